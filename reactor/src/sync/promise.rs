//! A value that one thread gives and others wait for.

use std::sync::OnceLock;

use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

/// A value that is set once; any number of threads wait for it. A failure to be passed on is a
/// value too: `Promise<Result<T, E>>`.
#[derive(Debug)]
pub struct Promise<T> {
    value: OnceLock<T>,
    waiters: WaitList,
}

impl<T> Promise<T> {
    /// Returns a promise without a value.
    pub fn new() -> Self {
        Self {
            value: OnceLock::new(),
            waiters: WaitList::default(),
        }
    }

    /// Sets the value and wakes all who wait for it.
    ///
    /// # Errors
    ///
    /// The value, if there was one before.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.waiters.wake(Interest::BOTH);
        Ok(())
    }

    /// Returns the value, if it is there.
    pub fn try_get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value. Parks the calling thread until it is there.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn get(&self, scope: &Scope) -> Result<&T, Stop> {
        loop {
            let sequence = self.waiters.sequence();
            if let Some(value) = self.value.get() {
                return Ok(value);
            }
            if let Some(ticket) = self.waiters.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    pub(crate) fn waiters(&self) -> &WaitList {
        &self.waiters
    }
}

impl<T> Default for Promise<T> {
    fn default() -> Self {
        Self::new()
    }
}
