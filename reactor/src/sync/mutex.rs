//! A lock that parks, and a condition that is waited for under it.
//!
//! Unlike any other guard (law G5), [`MutexGuard`] may be held across a wait: who wants the lock
//! meanwhile parks, and no scheduler thread is held up.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::scope::{Scope, Stop};
use crate::sync::{Permit, Semaphore};
use crate::waiter::{Interest, WaitList};

/// A value that one thread at a time has; who waits longest is served first.
///
/// A holder that panics gives it up as it left it. Locking twice on one thread waits for itself:
/// there is no re-entrance.
pub struct Mutex<T> {
    /// One permit: who has it may take the value out of its place.
    turn: Semaphore,
    /// Empty while a guard has the value. A leaf lock, held for a move alone.
    place: parking_lot::Mutex<Option<Box<T>>>,
}

/// The value of a [`Mutex`]; dropping it gives it back, without a wait.
#[must_use = "a guard that is not kept gives the lock up at once"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// There until the drop.
    value: Option<Box<T>>,
    /// Given back after the value: fields are dropped after `drop` has run.
    _permit: Permit,
}

impl<T> Mutex<T> {
    /// Returns a lock around a value.
    pub fn new(value: T) -> Self {
        Self {
            turn: Semaphore::new(1),
            place: parking_lot::Mutex::new(Some(Box::new(value))),
        }
    }

    /// Takes the lock. Parks the calling thread until it is free.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn lock(&self, scope: &Scope) -> Result<MutexGuard<'_, T>, Stop> {
        Ok(self.guard(self.turn.acquire(scope)?))
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        Some(self.guard(self.turn.try_acquire()?))
    }

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// If a guard was leaked.
    pub fn into_inner(self) -> T {
        *self.place.into_inner().expect("no guard was leaked")
    }

    fn guard(&self, permit: Permit) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            value: self.place.lock().take(),
            _permit: permit,
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a guard has the value")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a guard has the value")
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        *self.mutex.place.lock() = self.value.take();
    }
}

/// Something about a [`Mutex`]'s value that threads wait for.
#[derive(Debug, Default)]
pub struct Condition(WaitList);

impl Condition {
    /// Returns a condition that nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the lock up, parks until notified, and takes the lock again. No notification between
    /// the two is missed; what is waited for may have changed again, so callers loop.
    ///
    /// # Errors
    ///
    /// Why the scope ended; the lock is not taken again then.
    pub fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        scope: &Scope,
    ) -> Result<MutexGuard<'a, T>, Stop> {
        let mutex = guard.mutex;
        let ticket = self.0.enlist(Interest::BOTH);
        drop(guard);
        ticket.wait(scope)?;
        let taken = mutex.lock(scope);
        if taken.is_err() {
            // A notification for one is not lost with who got it.
            self.notify_one();
        }
        taken
    }

    /// Wakes the one that waits longest.
    pub fn notify_one(&self) {
        self.0.wake_one();
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        self.0.wake(Interest::BOTH);
    }
}
