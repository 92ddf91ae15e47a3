//! A flag that can be waited for.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

/// A flag that stays set until it is cleared.
#[derive(Debug, Default)]
pub struct Event {
    set: AtomicBool,
    waiters: WaitList,
}

impl Event {
    /// Returns an event that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event and wakes all who wait for it.
    pub fn set(&self) {
        self.set.store(true, Ordering::Release);
        self.waiters.wake(Interest::BOTH);
    }

    /// Takes the flag down for waits to come; who waits when it is set is woken even if it is cleared
    /// at once.
    pub fn clear(&self) {
        self.set.store(false, Ordering::Release);
    }

    /// Returns whether the event is set.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Parks the calling thread until the event is set.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn wait(&self, scope: &Scope) -> Result<(), Stop> {
        let sequence = self.waiters.sequence();
        if self.is_set() {
            return Ok(());
        }
        // Nothing but `set` wakes: a wake-up, and one since the sequence was taken, is that it was
        // set, whatever became of it since.
        match self.waiters.register(sequence, Interest::BOTH) {
            Some(ticket) => ticket.wait(scope),
            None => Ok(()),
        }
    }

    pub(crate) fn waiters(&self) -> &WaitList {
        &self.waiters
    }
}
