//! One function over many items, on a fixed number of green threads (law G3).

use std::fmt;
use std::io;
use std::iter::Fuse;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::coroutine::{caught, spawn};
use crate::green::TaskError;
use crate::green::order::Order;
use crate::scope::Scope;
use crate::sync::Queue;

/// Calls `f` with each item, on at most `limit` green threads, and returns what it returned, in
/// the items' order. Parks the calling thread until all are done.
///
/// Every item has exactly one result: a panic is that item's error, and items that the scope's end
/// came before are [`TaskError::NotBegun`]. `f` is given a scope within `scope` for its waits, which
/// ends when all is done.
///
/// # Errors
///
/// The system gave no stack for a single green thread. With some, it goes on with those.
pub fn map<I, U, F>(
    scope: &Scope,
    limit: NonZeroUsize,
    items: I,
    f: F,
) -> io::Result<Vec<Result<U, TaskError>>>
where
    I: IntoIterator<Item: Send + 'static>,
    U: Send + 'static,
    F: Fn(&Scope, I::Item) -> U + Send + Sync + 'static,
{
    Ok(imap(scope, limit, items, f)?.collect())
}

/// As [`map`], one result after the other: an iterator of results in the items' order.
///
/// It takes items from `items` on the thread that it is called on, as there is room: at most twice
/// `limit` are taken and not yet yielded, so a slow reader holds up the work and no result piles
/// up. Dropping it cancels the scope of the calls under way and does not wait for them.
///
/// # Errors
///
/// As [`map`].
pub fn imap<I, U, F>(
    scope: &Scope,
    limit: NonZeroUsize,
    items: I,
    f: F,
) -> io::Result<InOrder<I::IntoIter, U>>
where
    I: IntoIterator<Item: Send + 'static>,
    U: Send + 'static,
    F: Fn(&Scope, I::Item) -> U + Send + Sync + 'static,
{
    Ok(InOrder {
        work: Work::start(scope, limit, items.into_iter(), f)?,
        order: Order::default(),
    })
}

/// As [`imap`], with results in the order in which they come, each with its item's position.
///
/// # Errors
///
/// As [`map`].
pub fn imap_unordered<I, U, F>(
    scope: &Scope,
    limit: NonZeroUsize,
    items: I,
    f: F,
) -> io::Result<Unordered<I::IntoIter, U>>
where
    I: IntoIterator<Item: Send + 'static>,
    U: Send + 'static,
    F: Fn(&Scope, I::Item) -> U + Send + Sync + 'static,
{
    Ok(Unordered {
        work: Work::start(scope, limit, items.into_iter(), f)?,
    })
}

/// Results in the items' order; [`imap`] makes it.
pub struct InOrder<I: Iterator, U> {
    work: Work<I, U>,
    order: Order<Result<U, TaskError>>,
}

/// Results in the order in which they come; [`imap_unordered`] makes it.
pub struct Unordered<I: Iterator, U> {
    work: Work<I, U>,
}

type Todo<T> = Arc<Queue<(usize, T)>>;
type Done<U> = Arc<Queue<(usize, Result<U, TaskError>)>>;
type Worker = Arc<dyn Fn() + Send + Sync>;

/// The workers, and what is between them and who takes the results.
struct Work<I: Iterator, U> {
    items: Fuse<I>,
    scope: Scope,
    todo: Todo<I::Item>,
    done: Done<U>,
    /// What each worker runs.
    worker: Worker,
    workers: usize,
    limit: usize,
    /// How many items were taken.
    taken: usize,
    /// How many of them were not yielded.
    outstanding: usize,
}

impl<I, U> Work<I, U>
where
    I: Iterator<Item: Send + 'static>,
    U: Send + 'static,
{
    fn start<F>(scope: &Scope, limit: NonZeroUsize, items: I, f: F) -> io::Result<Self>
    where
        F: Fn(&Scope, I::Item) -> U + Send + Sync + 'static,
    {
        let scope = scope.child(None);
        // What they hold is bounded by `outstanding`.
        let todo: Todo<I::Item> = Arc::new(Queue::unbounded());
        let done: Done<U> = Arc::new(Queue::unbounded());
        let (from, to, within) = (todo.clone(), done.clone(), scope.clone());
        let worker: Worker = Arc::new(move || {
            // A scope that nobody else has does not end: the queue's end is the worker's.
            let forever = Scope::root();
            while let Ok(Some((number, item))) = from.pop(&forever) {
                let _ = to.try_push((number, call(&within, item, &f)));
            }
        });
        let first = worker.clone();
        spawn(move || first())?;
        Ok(Self {
            items: items.fuse(),
            scope,
            todo,
            done,
            worker,
            workers: 1,
            limit: limit.get(),
            taken: 0,
            outstanding: 0,
        })
    }

    /// Takes items while there is room.
    fn fill(&mut self) {
        while self.outstanding < self.limit.saturating_mul(2) {
            let Some(item) = self.items.next() else {
                self.todo.close();
                return;
            };
            let number = self.taken;
            self.taken += 1;
            self.outstanding += 1;
            if self.todo.try_push((number, item)).is_err() {
                unreachable!("it has room, and is closed after the last item");
            }
            if self.workers < self.limit.min(self.outstanding) {
                let more = self.worker.clone();
                // Those that are there do it all if the system gives no more stacks.
                self.workers += usize::from(spawn(move || more()).is_ok());
            }
        }
    }

    /// Returns the next result that comes; `None` after the last. Parks.
    fn next(&mut self) -> Option<(usize, Result<U, TaskError>)> {
        self.fill();
        if self.outstanding == 0 {
            return None;
        }
        // Every item that was taken gives a result, so this ends.
        self.done.pop(&Scope::root()).ok().flatten()
    }
}

impl<I: Iterator, U> Drop for Work<I, U> {
    fn drop(&mut self) {
        self.scope.cancel();
        self.todo.close();
    }
}

/// The one result of an item.
fn call<T, U>(scope: &Scope, item: T, f: impl Fn(&Scope, T) -> U) -> Result<U, TaskError> {
    // The item is dropped within: that may panic as well.
    let called = caught(|| {
        scope.check()?;
        Ok(f(scope, item))
    });
    match called {
        Ok(result) => result.map_err(TaskError::NotBegun),
        Err(panic) => Err(TaskError::Panicked(panic)),
    }
}

impl<I, U> Iterator for Unordered<I, U>
where
    I: Iterator<Item: Send + 'static>,
    U: Send + 'static,
{
    type Item = (usize, Result<U, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.work.next()?;
        self.work.outstanding -= 1;
        Some(next)
    }
}

impl<I, U> Iterator for InOrder<I, U>
where
    I: Iterator<Item: Send + 'static>,
    U: Send + 'static,
{
    type Item = Result<U, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(result) = self.order.take() {
                self.work.outstanding -= 1;
                return Some(result);
            }
            let (number, result) = self.work.next()?;
            self.order.put(number, result);
        }
    }
}

impl<I: Iterator, U> fmt::Debug for Work<I, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("taken", &self.taken)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator, U> fmt::Debug for InOrder<I, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InOrder").field(&self.work).finish()
    }
}

impl<I: Iterator, U> fmt::Debug for Unordered<I, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unordered").field(&self.work).finish()
    }
}
