//! A green thread with a scope of its own: the principal type is [`Task`].

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::coroutine::{JoinHandle, Link, Panic, spawn};
use crate::scope::{Scope, Stop};
use crate::sync::Queue;
use crate::waiter::WaitList;

/// A green thread in a scope of its own. Dropping it lets the thread run on by itself, until the
/// scope around it ends.
pub struct Task<T> {
    scope: Scope,
    handle: JoinHandle<Result<T, Stop>>,
}

/// Why a task has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a task has no other way to end without a value"
)]
pub enum TaskError {
    /// It panicked.
    Panicked(Panic),
    /// Its scope ended before it was begun: nothing of it ran.
    NotBegun(Stop),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => panic.fmt(f),
            Self::NotBegun(stop) => write!(f, "not begun: {stop}"),
        }
    }
}

impl std::error::Error for TaskError {}

/// Starts a green thread in a scope of its own within `scope`, which `f` is given: its waits in
/// it end when the task is cancelled or `scope` ends.
///
/// A task whose scope has ended before its turn comes is not begun.
///
/// # Errors
///
/// The system gave no memory for the stack; see [`spawn`].
pub fn spawn_in<F, T>(scope: &Scope, f: F) -> io::Result<Task<T>>
where
    F: FnOnce(&Scope) -> T + Send + 'static,
    T: Send + 'static,
{
    start(scope, None, f)
}

/// As [`spawn_in`], but begins `f` after this long. A task that is cancelled until then is not
/// begun. Its stack is taken at once.
///
/// # Errors
///
/// As [`spawn_in`].
pub fn spawn_after<F, T>(scope: &Scope, delay: Duration, f: F) -> io::Result<Task<T>>
where
    F: FnOnce(&Scope) -> T + Send + 'static,
    T: Send + 'static,
{
    start(scope, Some(delay), f)
}

fn start<F, T>(scope: &Scope, delay: Option<Duration>, f: F) -> io::Result<Task<T>>
where
    F: FnOnce(&Scope) -> T + Send + 'static,
    T: Send + 'static,
{
    let own = scope.child(None);
    let inner = own.clone();
    let handle = spawn(move || {
        if delay.is_some() {
            inner.child(delay).ended();
        }
        inner.check()?;
        Ok(f(&inner))
    })?;
    Ok(Task { scope: own, handle })
}

impl<T> Task<T> {
    /// Cancels the task and returns at once: it ends at its next wait in its scope, or does not
    /// begin.
    ///
    /// Code that does not wait in the scope it was given is not ended by this, or by anything else:
    /// nothing is ever unwound (law G6). Loops that compute ask [`Scope::check`] now and then.
    pub fn cancel(&self) {
        self.scope.cancel();
    }

    /// Cancels the task, and parks the calling thread until it has ended.
    ///
    /// # Errors
    ///
    /// Why `scope` ended before the task did; the task stays cancelled.
    pub fn cancel_and_wait(&self, scope: &Scope) -> Result<(), Stop> {
        self.cancel();
        self.wait(scope)
    }

    /// Parks the calling thread until the task has ended; can be repeated.
    ///
    /// # Errors
    ///
    /// Why `scope` ended; the task goes on.
    pub fn wait(&self, scope: &Scope) -> Result<(), Stop> {
        self.handle.wait(scope)
    }

    /// Returns what the task returned. Parks the calling thread until it has ended.
    ///
    /// # Errors
    ///
    /// Its panic, or that it was not begun.
    pub fn join(self) -> Result<T, TaskError> {
        flat(self.handle.join())
    }

    /// Calls `f` when the task has ended, on the green thread that ends; at once and here if it
    /// has. `f` should be short; its panic is lost.
    pub fn on_end(&self, f: impl FnOnce() + Send + 'static) {
        self.handle.link(Link::Call(Box::new(f)));
    }

    /// Returns the task's scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Returns whether the task has ended and has a value.
    pub fn is_successful(&self) -> bool {
        self.has_ended_with(|_| true)
    }

    /// Returns why the task has no value; `None` if it has one or has not ended.
    pub fn error(&self) -> Option<TaskError> {
        let look = |result: &Result<_, Panic>| match result {
            Ok(Ok(_)) => None,
            Ok(Err(stop)) => Some(TaskError::NotBegun(*stop)),
            Err(panic) => Some(TaskError::Panicked(panic.clone())),
        };
        self.handle.peek(look).flatten()
    }

    /// Returns whether the task has ended with a value that `is` holds of; `is` runs under a lock.
    pub(super) fn has_ended_with(&self, is: impl FnOnce(&T) -> bool) -> bool {
        let look = |result: &Result<Result<T, Stop>, Panic>| match result {
            Ok(Ok(value)) => is(value),
            Ok(Err(_)) | Err(_) => false,
        };
        self.handle.peek(look).unwrap_or(false)
    }

    /// Has the task put this number into the queue when it ends.
    pub(super) fn tell(&self, queue: &Arc<Queue<usize>>, number: usize) {
        let queue: Weak<_> = Arc::downgrade(queue);
        self.handle.link(Link::Tell(queue, number));
    }

    pub(crate) fn waiters(&self) -> &WaitList {
        self.handle.waiters()
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("finished", &self.is_finished())
            .field("scope", &self.scope)
            .finish()
    }
}

fn flat<T>(joined: Result<Result<T, Stop>, Panic>) -> Result<T, TaskError> {
    match joined {
        Ok(result) => result.map_err(TaskError::NotBegun),
        Err(panic) => Err(TaskError::Panicked(panic)),
    }
}
