//! Tasks of executors among the waiters: a [`Watch`] is to a task what a ticket is to a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;

use super::{Cell, Interest, Parked, STOPPED, WAITING, WOKEN, WaitList};
use crate::coroutine::caught;

/// A task's place in the list of those that wait; empty until a poll finds nothing.
///
/// Give it back with the `unwatch` of what was polled, so that a wake-up which the task does not
/// use goes to another. Merely dropped, it waits no more, but such a wake-up is lost.
#[derive(Debug, Default)]
pub struct Watch(Option<Arc<Cell>>);

impl Watch {
    /// Returns a place in no list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether a wake-up came that no poll has followed.
    pub(crate) fn is_woken(&self) -> bool {
        let state = |cell: &Arc<Cell>| cell.state.load(Ordering::Acquire);
        self.0.as_ref().map(state) == Some(WOKEN)
    }

    /// Returns whether it waits already, for this waker.
    fn waits_for(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|cell| {
            let waits = cell.state.load(Ordering::Acquire) == WAITING;
            waits && matches!(&cell.parked, Parked::Task(own) if own.will_wake(waker))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(cell) = &self.0 {
            cell.retire();
        }
    }
}

impl Cell {
    fn of_task(waker: &Waker) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(WAITING),
            parked: Parked::Task(waker.clone()),
        })
    }

    /// Stops it without telling the task, which is the one that asks for it; returns whether it
    /// still waited.
    fn retire(&self) -> bool {
        self.state
            .compare_exchange(WAITING, STOPPED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl WaitList {
    /// Registers a task, unless something was woken since `sequence`: then try again.
    ///
    /// A place that the task has already is kept, or replaced where the waker is another.
    #[must_use = "a task that was not registered is not woken"]
    pub(crate) fn watch(&self, sequence: u64, watch: &mut Watch, waker: &Waker) -> bool {
        // What is not in the list any more and still waits is about to be woken: that will do too.
        let fresh = (!watch.waits_for(waker)).then(|| Cell::of_task(waker));
        let (_stale, _entry) = {
            let mut inner = self.inner.lock();
            if inner.sequence != sequence {
                return false;
            }
            let Some(fresh) = fresh else { return true };
            let stale = watch.0.replace(Arc::clone(&fresh));
            let at = stale.as_ref().and_then(|stale| {
                let mut cells = inner.cells.iter();
                cells.position(|(_, cell)| Arc::ptr_eq(cell, stale))
            });
            let entry = at.and_then(|at| inner.cells.remove(at));
            inner.cells.push_back((Interest::BOTH, fresh));
            self.waiting.store(inner.cells.len(), Ordering::Release);
            (stale, entry)
        };
        // Wakers are dropped here, outside of the lock: what that does is not ours.
        true
    }

    /// Takes a task's place back; returns whether it was woken meanwhile.
    pub(crate) fn unwatch(&self, watch: &mut Watch) -> bool {
        let Some(cell) = watch.0.take() else {
            return false;
        };
        if !cell.retire() {
            return true;
        }
        self.remove(&cell);
        false
    }
}

/// Wakes a task. The code is its executor's: a panic of it must not end whoever wakes.
pub(super) fn wake(waker: &Waker) {
    let _ = caught(|| waker.wake_by_ref());
}
