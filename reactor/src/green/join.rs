//! Many tasks, waited for together.

use std::fmt;
use std::sync::Arc;

use crate::green::{Task, TaskError};
use crate::scope::{Scope, Stop};
use crate::sync::Queue;

/// Parks the calling thread until all tasks have ended; can be repeated, and takes nothing.
///
/// # Errors
///
/// Why `scope` ended; the tasks go on, and [`Task::is_finished`] tells which have ended.
pub fn wait_all<T>(tasks: &[Task<T>], scope: &Scope) -> Result<(), Stop> {
    tasks.iter().try_for_each(|task| task.wait(scope))
}

/// Cancels all tasks and returns at once; [`wait_all`] waits until they have ended.
pub fn cancel_all<T>(tasks: &[Task<T>]) {
    tasks.iter().for_each(Task::cancel);
}

/// Returns what each task returned, in their order, whatever became of the others. Parks the
/// calling thread until all have ended.
pub fn join_all<T>(tasks: impl IntoIterator<Item = Task<T>>) -> Vec<Result<T, TaskError>> {
    // All are there before the first is waited for: the iterator may start them.
    let tasks: Vec<_> = tasks.into_iter().collect();
    tasks.into_iter().map(Task::join).collect()
}

/// Why [`try_join_all`] has no values.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "tasks have no other way to end without values"
)]
pub enum JoinError<E> {
    /// A task returned an error: the first in time.
    Failed {
        /// Its position in the list at the call.
        index: usize,
        /// What it returned.
        error: E,
    },
    /// A task panicked or was not begun, before another returned an error.
    Task {
        /// Its position in the list at the call.
        index: usize,
        /// Why it has no value.
        error: TaskError,
    },
    /// The scope ended first; the list is as it was.
    Stopped(Stop),
}

impl<E: fmt::Display> fmt::Display for JoinError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { index, error } => write!(f, "task {index}: {error}"),
            Self::Task { index, error } => write!(f, "task {index}: {error}"),
            Self::Stopped(stop) => stop.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for JoinError<E> {}

/// Returns the values of all tasks, in their order, and empties the list; or the first error, as
/// soon as there is one. Parks the calling thread.
///
/// # Errors
///
/// The first error in time: that task is taken off the list, the others stay on it and go on. To
/// end them, use [`cancel_all`], or cancel the scope that they were started in. If `scope` ended
/// first, nothing is taken and the call can be repeated.
pub fn try_join_all<T, E>(
    tasks: &mut Vec<Task<Result<T, E>>>,
    scope: &Scope,
) -> Result<Vec<T>, JoinError<E>> {
    let ended = followed(tasks.iter());
    for _ in 0..tasks.len() {
        let Some(index) = ended.pop(scope).map_err(JoinError::Stopped)? else {
            break;
        };
        if !tasks[index].has_ended_with(Result::is_ok) {
            // It has no value, so this does not add one.
            return Err(value(index, tasks.remove(index)).err().unwrap_or_else(|| {
                unreachable!("a task that has ended without a value has none later")
            }));
        }
    }
    let tasks = std::mem::take(tasks);
    tasks
        .into_iter()
        .enumerate()
        .map(|(index, task)| value(index, task))
        .collect()
}

fn value<T, E>(index: usize, task: Task<Result<T, E>>) -> Result<T, JoinError<E>> {
    match task.join() {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(JoinError::Failed { index, error }),
        Err(error) => Err(JoinError::Task { index, error }),
    }
}

/// Returns a queue of the tasks' positions, in the order in which they end.
fn followed<'a, T: 'a>(tasks: impl Iterator<Item = &'a Task<T>>) -> Arc<Queue<usize>> {
    // It holds one number for each task at most.
    let ended = Arc::new(Queue::unbounded());
    for (number, task) in tasks.enumerate() {
        task.tell(&ended, number);
    }
    ended
}

/// Tasks in the order in which they end; [`as_completed`] makes it. As an iterator it parks the
/// calling thread for each. Dropping it lets the tasks run on.
#[derive(Debug)]
pub struct AsCompleted<T> {
    tasks: Vec<Option<Task<T>>>,
    ended: Arc<Queue<usize>>,
    left: usize,
}

/// Returns an iterator of each task's position in the list, and what it returned, in the order in
/// which the tasks end.
pub fn as_completed<T>(tasks: impl IntoIterator<Item = Task<T>>) -> AsCompleted<T> {
    let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    AsCompleted {
        ended: followed(tasks.iter().flatten()),
        left: tasks.len(),
        tasks,
    }
}

impl<T> AsCompleted<T> {
    /// Returns the next task that ends; `None` after the last. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// Why `scope` ended; nothing is lost, and the call can be repeated.
    #[expect(
        clippy::type_complexity,
        reason = "the iterator's item, or that it was stopped"
    )]
    pub fn next_within(
        &mut self,
        scope: &Scope,
    ) -> Result<Option<(usize, Result<T, TaskError>)>, Stop> {
        if self.left == 0 {
            return Ok(None);
        }
        let ended = self.ended.pop(scope)?;
        self.left -= 1;
        let task = ended.and_then(|index| Some((index, self.tasks[index].take()?)));
        Ok(task.map(|(index, task)| (index, task.join())))
    }

    /// Returns the tasks that were not yielded, in their order.
    pub fn into_rest(self) -> Vec<Task<T>> {
        self.tasks.into_iter().flatten().collect()
    }
}

impl<T> Iterator for AsCompleted<T> {
    type Item = (usize, Result<T, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        // A scope that nobody else has does not end.
        self.next_within(&Scope::root()).ok().flatten()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for AsCompleted<T> {}
impl<T> std::iter::FusedIterator for AsCompleted<T> {}
