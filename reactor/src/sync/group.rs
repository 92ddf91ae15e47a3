//! Green threads of one purpose, at most so many at once.

use std::io;

use parking_lot::Mutex;

use crate::coroutine::{JoinHandle, Panic, spawn};
use crate::scope::{Scope, Stop};
use crate::sync::Semaphore;

/// A set of green threads that are joined together.
#[derive(Debug)]
pub struct Group<T> {
    running: Semaphore,
    handles: Mutex<Vec<JoinHandle<T>>>,
}

impl<T: Send + 'static> Group<T> {
    /// Returns a group in which at most `limit` green threads run at once, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            running: Semaphore::new(limit.max(1)),
            handles: Mutex::default(),
        }
    }

    /// Starts a green thread of the group. Parks the calling thread while the group is full.
    ///
    /// # Errors
    ///
    /// Why the scope ended before there was room, or that the system gave no stack.
    pub fn spawn(&self, scope: &Scope, f: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        let permit = self
            .running
            .acquire(scope)
            .map_err(|stop: Stop| io::Error::from(stop))?;
        let handle = spawn(move || {
            let _permit = permit;
            f()
        })?;
        self.handles.lock().push(handle);
        Ok(())
    }

    /// Waits for all that were started, and returns their results in that order. Parks.
    pub fn join_all(&self) -> Vec<Result<T, Panic>> {
        let handles = std::mem::take(&mut *self.handles.lock());
        handles.into_iter().map(JoinHandle::join).collect()
    }
}
