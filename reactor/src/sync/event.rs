//! A flag that can be waited for.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

/// A flag that is set once and stays set.
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
        loop {
            let sequence = self.waiters.sequence();
            if self.is_set() {
                return Ok(());
            }
            if let Some(ticket) = self.waiters.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }
}
