//! Lists of parked green and plain threads and of tasks, and how one of them is woken exactly once (law R4).
//!
//! The order that loses no wake-up: take the [`WaitList::sequence`], try the operation, and if it
//! could not go on, [`WaitList::register`] with that sequence *before* giving up the lock under
//! which it was tried. A wake-up in between changed the sequence; registering then says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::thread::Thread;

use may::coroutine::{self, Coroutine};
use parking_lot::Mutex;

use crate::fairness;
use crate::scope::{Scope, Stop};

mod task;

pub use task::Watch;

/// What a waiter waits for, or what came: reading, writing, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Bytes, or the end of them, can be read.
    pub const READ: Self = Self(1);
    /// There is room to write.
    pub const WRITE: Self = Self(2);
    /// Either.
    pub const BOTH: Self = Self(3);
    /// Nothing to wait for: the peer's end, an error or urgent data was told, and what an event says
    /// of the bytes before it holds no longer.
    pub(crate) const LAST: Self = Self(4);

    /// Returns whether the two share a direction.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the directions of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }
}

const WAITING: u8 = 0;
const WOKEN: u8 = 1;
const STOPPED: u8 = 2;

#[derive(Debug)]
enum Parked {
    Green(Coroutine),
    Plain(Thread),
    /// A task of an executor that is none of ours; it never parks here.
    Task(Waker),
}

/// One wait of one thread. Its state leaves `WAITING` once, by whoever comes first, and only that
/// one unparks; a token left over in the thread is harmless, because waits loop on the state (G7).
#[derive(Debug)]
pub(crate) struct Cell {
    state: AtomicU8,
    parked: Parked,
}

impl Cell {
    pub(crate) fn of_current() -> Arc<Self> {
        let parked = if coroutine::is_coroutine() {
            Parked::Green(coroutine::current())
        } else {
            Parked::Plain(std::thread::current())
        };
        Arc::new(Self {
            state: AtomicU8::new(WAITING),
            parked,
        })
    }

    fn leave(&self, to: u8) -> bool {
        let won = self
            .state
            .compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if won {
            match &self.parked {
                Parked::Green(green) => {
                    // With the fence in `park`: see there.
                    fence(Ordering::SeqCst);
                    green.unpark();
                }
                Parked::Plain(thread) => thread.unpark(),
                Parked::Task(waker) => task::wake(waker),
            }
        }
        won
    }

    /// Returns whether this call was the one that woke it.
    pub(crate) fn wake(&self) -> bool {
        self.leave(WOKEN)
    }

    /// Returns whether this call was the one that stopped it.
    pub(crate) fn stop(&self) -> bool {
        self.leave(STOPPED)
    }

    /// Parks until woken (`true`) or stopped (`false`).
    pub(crate) fn park(&self) -> bool {
        #[cfg(feature = "faults")]
        crate::faults::wait_begins();
        let green = matches!(self.parked, Parked::Green(_));
        loop {
            if green {
                // It may park on its own, and take the token of a wake-up of ours: only the state
                // read after it counts.
                fairness::switching();
            }
            match self.state.load(Ordering::Acquire) {
                WAITING if green => {
                    coroutine::park();
                    // The scheduler clears its token by a plain load and store. A waker that still
                    // saw the old token did not unpark us; without a fence on both sides, we could
                    // see the old state here as well, and park for ever.
                    fence(Ordering::SeqCst);
                }
                WAITING => std::thread::park(),
                state => return state == WOKEN,
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Counts wake-ups, so that one between a failed attempt and the registration is seen.
    sequence: u64,
    cells: VecDeque<(Interest, Arc<Cell>)>,
}

/// Threads that wait for one thing, in the order they came.
#[derive(Debug, Default)]
pub struct WaitList {
    inner: Mutex<Inner>,
    /// Length of `cells`, read without the lock to skip wake-ups that nobody waits for.
    waiting: AtomicUsize,
}

impl WaitList {
    /// Returns whether any thread waits; it costs no lock.
    pub fn is_waited_on(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Returns the count of wake-ups so far; take it before the attempt.
    pub fn sequence(&self) -> u64 {
        self.inner.lock().sequence
    }

    /// Registers the calling thread, unless something was woken since `sequence`: then try again.
    pub fn register(&self, sequence: u64, interest: Interest) -> Option<Ticket<'_>> {
        let mut inner = self.inner.lock();
        if inner.sequence != sequence {
            return None;
        }
        let cell = Cell::of_current();
        inner.cells.push_back((interest, cell.clone()));
        self.waiting.store(inner.cells.len(), Ordering::Release);
        Some(Ticket { list: self, cell })
    }

    /// Registers a cell that is in other lists as well, unless something was woken since `sequence`.
    ///
    /// Only for lists whose wake-ups are for all: one for one alone would be lost where another
    /// list woke the cell and its waiter acts on that one. The caller takes it out by `remove`.
    pub(crate) fn register_shared(&self, sequence: u64, cell: &Arc<Cell>) -> bool {
        let mut inner = self.inner.lock();
        let registered = inner.sequence == sequence;
        if registered {
            inner.cells.push_back((Interest::BOTH, cell.clone()));
            self.waiting.store(inner.cells.len(), Ordering::Release);
        }
        registered
    }

    /// Registers the calling thread; for a caller under a lock that whoever wakes takes as well.
    pub(crate) fn enlist(&self, interest: Interest) -> Ticket<'_> {
        let mut inner = self.inner.lock();
        let cell = Cell::of_current();
        inner.cells.push_back((interest, cell.clone()));
        self.waiting.store(inner.cells.len(), Ordering::Release);
        Ticket { list: self, cell }
    }

    /// Takes the one that waits longest off the list, for the caller to wake.
    pub(crate) fn first(&self) -> Option<Arc<Cell>> {
        let mut inner = self.inner.lock();
        inner.sequence += 1;
        let first = inner.cells.pop_front();
        self.waiting.store(inner.cells.len(), Ordering::Release);
        first.map(|(_, cell)| cell)
    }

    /// Wakes all that wait for any of `readiness`; nobody is woken under the list's lock.
    pub fn wake(&self, readiness: Interest) {
        let woken = {
            let mut inner = self.inner.lock();
            inner.sequence += 1;
            let woken = Self::take(&mut inner.cells, readiness);
            self.waiting.store(inner.cells.len(), Ordering::Release);
            woken
        };
        match woken {
            Taken::None => {}
            Taken::One(cell) => {
                cell.wake();
            }
            Taken::Many(cells) => {
                for cell in cells {
                    cell.wake();
                }
            }
        }
    }

    /// Wakes all that are registered, and does not count as a wake-up for who registers later;
    /// costs no lock when nobody is.
    ///
    /// Only for a caller that holds the lock under which all others make their attempts.
    pub fn wake_registered(&self) {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return;
        }
        let cells = {
            let mut inner = self.inner.lock();
            self.waiting.store(0, Ordering::Release);
            std::mem::take(&mut inner.cells)
        };
        for (_, cell) in cells {
            cell.wake();
        }
    }

    /// Wakes the one that waits longest.
    pub fn wake_one(&self) {
        // One that was stopped meanwhile does not use the wake-up: the next one gets it.
        while self.first().is_some_and(|cell| !cell.wake()) {}
    }

    /// Nearly always one thread waits on a list: that case allocates nothing.
    fn take(cells: &mut VecDeque<(Interest, Arc<Cell>)>, readiness: Interest) -> Taken {
        if cells.is_empty() {
            return Taken::None;
        }
        if cells.len() == 1 {
            let meets = cells[0].0.meets(readiness);
            return match meets.then(|| cells.pop_front()).flatten() {
                Some((_, cell)) => Taken::One(cell),
                None => Taken::None,
            };
        }
        let (woken, rest) = cells
            .drain(..)
            .partition(|(interest, _)| interest.meets(readiness));
        let woken: VecDeque<(Interest, Arc<Cell>)> = woken;
        *cells = rest;
        Taken::Many(woken.into_iter().map(|(_, cell)| cell).collect())
    }

    pub(crate) fn remove(&self, cell: &Arc<Cell>) {
        let mut inner = self.inner.lock();
        // A scope stops its waits in the order they came, so the one to remove is near the front.
        let at = inner
            .cells
            .iter()
            .position(|(_, other)| Arc::ptr_eq(other, cell));
        if let Some(at) = at {
            inner.cells.remove(at);
        }
        self.waiting.store(inner.cells.len(), Ordering::Release);
    }
}

enum Taken {
    None,
    One(Arc<Cell>),
    Many(Vec<Arc<Cell>>),
}

/// A registration in a [`WaitList`]; dropping it without waiting takes it back.
#[derive(Debug)]
#[must_use = "a ticket that is not waited on is taken back"]
pub struct Ticket<'a> {
    list: &'a WaitList,
    cell: Arc<Cell>,
}

impl Ticket<'_> {
    /// Parks until the list wakes this registration or the scope ends.
    ///
    /// A wake-up that came first counts, even if the scope has ended since.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn wait(self, scope: &Scope) -> Result<(), Stop> {
        let attached = match scope.attach(&self.cell) {
            Ok(attached) => attached,
            // A wake-up meant for one waiter must not be lost with this one.
            Err(stop) => return if self.cell.stop() { Err(stop) } else { Ok(()) },
        };
        let woken = self.cell.park();
        drop(attached);
        if woken { Ok(()) } else { Err(scope.stop()) }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.cell.state.load(Ordering::Acquire) != WOKEN {
            self.list.remove(&self.cell);
        }
    }
}
