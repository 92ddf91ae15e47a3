//! A number of permits that threads take and give back.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

#[derive(Debug)]
struct Shared {
    /// Permits that nobody has; more than none only while nobody waits. Who finds none registers
    /// under this lock, so that a permit given back meanwhile is handed to it.
    free: Mutex<usize>,
    waiters: WaitList,
}

/// A fixed number of permits; clones share them.
#[derive(Debug, Clone)]
pub struct Semaphore(Arc<Shared>);

/// A permit, given back when it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
pub struct Permit(Arc<Shared>);

impl Semaphore {
    /// Returns a semaphore of this many permits.
    pub fn new(permits: usize) -> Self {
        Self(Arc::new(Shared {
            free: Mutex::new(permits),
            waiters: WaitList::default(),
        }))
    }

    /// Takes a permit if one is free.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut free = self.0.free.lock();
        *free = free.checked_sub(1)?;
        Some(Permit(self.0.clone()))
    }

    /// Takes a permit; who waits longest is served first. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn acquire(&self, scope: &Scope) -> Result<Permit, Stop> {
        let ticket = {
            let mut free = self.0.free.lock();
            if *free > 0 {
                *free -= 1;
                return Ok(Permit(self.0.clone()));
            }
            self.0.waiters.enlist(Interest::BOTH)
        };
        // To be woken is to be given the permit: nobody can overtake.
        ticket.wait(scope)?;
        Ok(Permit(self.0.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        loop {
            let first = {
                let mut free = self.0.free.lock();
                let first = self.0.waiters.first();
                if first.is_none() {
                    *free += 1;
                }
                first
            };
            // One that was stopped meanwhile takes no permit: the next one gets it.
            if first.is_none_or(|first| first.wake()) {
                return;
            }
        }
    }
}
