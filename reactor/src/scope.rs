//! Deadlines and cancellation, nested: what every wait that can last takes.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::deadline::DeadlineKey;
use crate::timer;
use crate::waiter::{Cell, Interest, WaitList};

/// Whether a [`Scope`] still runs, and if not, what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a scope has no other way to end")]
pub enum Status {
    /// It still runs.
    Live,
    /// Its own timeout ran out.
    TimedOut,
    /// It was cancelled, or a scope around it ended.
    Cancelled,
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a scope has no other way to end")]
pub enum Stop {
    /// The scope's own timeout ran out.
    TimedOut,
    /// The scope was cancelled, or a scope around it ended.
    Cancelled,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
        })
    }
}

impl std::error::Error for Stop {}

impl From<Stop> for io::Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::TimedOut => Self::new(io::ErrorKind::TimedOut, stop),
            Stop::Cancelled => Self::other(stop),
        }
    }
}

/// A deadline and a cancellation; clones share both.
///
/// A child ends when its own timeout runs out or when its parent ends, whichever is first.
/// The deadline is one entry in the reactor's timer for the scope's life, not one per wait (G1).
#[derive(Clone)]
pub struct Scope(Arc<Inner>);

pub(crate) struct Inner {
    /// Leaves `Live` once; written under `links`, so that who attaches under it cannot miss it.
    status: AtomicU8,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    timer: OnceLock<DeadlineKey>,
    /// The parent and this scope's place in its `children`.
    parent: OnceLock<(Scope, usize)>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    /// Waits under way in this scope.
    cells: Places<Arc<Cell>>,
    /// Scopes within it.
    children: Places<Weak<Inner>>,
}

/// Entries that are put in and taken out in constant time, by their place: thousands of waits may
/// share one scope. A free place is reused.
struct Places<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Places<T> {
    fn put(&mut self, entry: T) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(entry);
            return place;
        }
        self.places.push(Some(entry));
        self.places.len() - 1
    }

    /// Frees a place; does nothing once all entries were taken.
    fn free(&mut self, place: usize) {
        if let Some(entry) = self.places.get_mut(place) {
            *entry = None;
            self.free.push(place);
        }
    }

    fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.free = Vec::new();
        std::mem::take(&mut self.places).into_iter().flatten()
    }
}

const LIVE: u8 = 0;
const TIMED_OUT: u8 = 1;
const CANCELLED: u8 = 2;

impl Scope {
    /// Returns a scope without a deadline, which ends only when it is cancelled.
    pub fn root() -> Self {
        Self(Arc::new(Inner {
            status: AtomicU8::new(LIVE),
            timeout: None,
            deadline: None,
            timer: OnceLock::new(),
            parent: OnceLock::new(),
            links: Mutex::default(),
        }))
    }

    /// Returns a scope within this one; with a timeout, it ends by itself when that runs out.
    #[must_use]
    pub fn child(&self, timeout: Option<Duration>) -> Self {
        // A timeout beyond the clock's range is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let child = Arc::new(Inner {
            status: AtomicU8::new(LIVE),
            timeout,
            deadline,
            timer: OnceLock::new(),
            parent: OnceLock::new(),
            links: Mutex::default(),
        });
        // Listed and timed only once it is whole: a parent's end or a timer that cannot reach it
        // would be lost.
        if !self.adopt(&child) {
            child.end(CANCELLED);
        } else if let Some(at) = deadline {
            let _ = child.timer.set(timer::set(at, Arc::downgrade(&child)));
        }
        Self(child)
    }

    /// Lists a child, unless this scope has ended.
    fn adopt(&self, child: &Arc<Inner>) -> bool {
        let mut links = self.0.links.lock();
        if self.0.status.load(Ordering::Acquire) != LIVE {
            return false;
        }
        let place = links.children.put(Arc::downgrade(child));
        let _ = child.parent.set((self.clone(), place));
        true
    }

    /// Ends the scope and those within it; does nothing if it has ended.
    pub fn cancel(&self) {
        self.0.end(CANCELLED);
    }

    /// Returns whether the scope still runs, and if not, what ended it.
    pub fn status(&self) -> Status {
        match self.0.status.load(Ordering::Acquire) {
            LIVE => Status::Live,
            TIMED_OUT => Status::TimedOut,
            _ => Status::Cancelled,
        }
    }

    /// Returns an error if the scope has ended.
    ///
    /// # Errors
    ///
    /// Why it ended.
    pub fn check(&self) -> Result<(), Stop> {
        match self.status() {
            Status::Live => Ok(()),
            Status::TimedOut => Err(Stop::TimedOut),
            Status::Cancelled => Err(Stop::Cancelled),
        }
    }

    /// Returns the timeout that this scope was made with.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.timeout
    }

    /// Returns how long until this scope's own deadline; `None` if it has none.
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .deadline
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Parks until the scope ends, and returns why.
    pub fn ended(&self) -> Stop {
        let nothing = WaitList::default();
        let sequence = nothing.sequence();
        match nothing.register(sequence, Interest::BOTH) {
            Some(ticket) => ticket.wait(self).err().unwrap_or_else(|| self.stop()),
            None => self.stop(),
        }
    }

    /// The reason of a scope that has ended.
    pub(crate) fn stop(&self) -> Stop {
        match self.status() {
            Status::TimedOut => Stop::TimedOut,
            Status::Live | Status::Cancelled => Stop::Cancelled,
        }
    }

    /// Makes the scope's end stop this cell, until the guard is dropped.
    pub(crate) fn attach(&self, cell: &Arc<Cell>) -> Result<Attached<'_>, Stop> {
        let mut links = self.0.links.lock();
        self.check()?;
        let place = links.cells.put(cell.clone());
        Ok(Attached { scope: self, place })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("status", &self.status())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// A cell's registration in a scope.
pub(crate) struct Attached<'a> {
    scope: &'a Scope,
    place: usize,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.scope.0.links.lock().cells.free(self.place);
    }
}

impl Inner {
    /// Called by the timer, without the timer's lock.
    pub(crate) fn time_out(&self) {
        self.end(TIMED_OUT);
    }

    fn end(&self, to: u8) {
        // By a list of what is left, not by recursion: this may run on a small stack.
        let mut left = self.end_alone(to);
        while let Some(child) = left.pop() {
            left.extend(child.end_alone(CANCELLED));
        }
    }

    /// Ends this scope and its waits, and returns its children.
    fn end_alone(&self, to: u8) -> Vec<Arc<Self>> {
        let (cells, children) = {
            let mut links = self.links.lock();
            if self
                .status
                .compare_exchange(LIVE, to, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
            {
                return Vec::new();
            }
            (links.cells.take_all(), links.children.take_all())
        };
        for cell in cells {
            let _ = cell.stop();
        }
        children.filter_map(|child| child.upgrade()).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(key) = self.timer.get() {
            timer::unset(*key);
        }
        // Scopes around it that nothing else holds go one by one, not within each other's drop.
        let mut link = self.parent.take();
        while let Some((parent, place)) = link {
            parent.0.links.lock().children.free(place);
            link = Arc::into_inner(parent.0).and_then(|mut inner| inner.parent.take());
        }
    }
}

/// Parks the calling green or plain thread for this long; for ever if the clock does not reach it.
pub fn sleep(duration: Duration) {
    Scope::root().child(Some(duration)).ended();
}

#[cfg(test)]
mod tests;
