//! A queue between threads, bounded or not.

use std::collections::VecDeque;
use std::fmt;

use parking_lot::Mutex;

use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

/// Items in the order they came, at most as many as the queue's bound; many may push and pop.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    bound: usize,
    /// Who waits for an item, or for the end.
    poppers: WaitList,
    /// Who waits for room.
    pushers: WaitList,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// Why an item was not taken, and the item.
#[expect(clippy::exhaustive_enums, reason = "a push has no other way to fail")]
pub enum PushError<T> {
    /// The queue is closed.
    Closed(T),
    /// The scope ended before there was room.
    Stopped(T, Stop),
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed"),
            Self::Stopped(_, stop) => f.debug_tuple("Stopped").field(stop).finish(),
        }
    }
}

impl<T> Queue<T> {
    /// Returns a queue that holds at most `bound` items, at least one.
    pub fn bounded(bound: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            bound: bound.max(1),
            poppers: WaitList::default(),
            pushers: WaitList::default(),
        }
    }

    /// Returns a queue that always has room. Who fills it must know that it is emptied: a bound holds
    /// up the pusher, this one takes memory.
    pub fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// Adds an item at the end if there is room, without a wait.
    ///
    /// # Errors
    ///
    /// The item, if the queue is full or closed.
    pub fn try_push(&self, item: T) -> Result<(), T> {
        {
            let mut state = self.state.lock();
            if state.closed || state.items.len() >= self.bound {
                drop(state);
                return Err(item);
            }
            state.items.push_back(item);
        }
        self.poppers.wake_one();
        Ok(())
    }

    /// Adds an item at the end. Parks the calling thread until there is room.
    ///
    /// # Errors
    ///
    /// The item, if the queue is closed or the scope ended.
    pub fn push(&self, item: T, scope: &Scope) -> Result<(), PushError<T>> {
        loop {
            let sequence = self.pushers.sequence();
            {
                let mut state = self.state.lock();
                if state.closed {
                    drop(state);
                    return Err(PushError::Closed(item));
                }
                if state.items.len() < self.bound {
                    state.items.push_back(item);
                    break;
                }
            }
            if let Some(ticket) = self.pushers.register(sequence, Interest::BOTH)
                && let Err(stop) = ticket.wait(scope)
            {
                return Err(PushError::Stopped(item, stop));
            }
        }
        self.poppers.wake_one();
        Ok(())
    }

    /// Takes the first item, if there is one.
    pub fn try_pop(&self) -> Option<T> {
        let item = self.state.lock().items.pop_front();
        if item.is_some() {
            self.pushers.wake_one();
        }
        item
    }

    /// Takes the first item; `None` once the queue is closed and empty. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn pop(&self, scope: &Scope) -> Result<Option<T>, Stop> {
        loop {
            let sequence = self.poppers.sequence();
            let (item, closed) = {
                let mut state = self.state.lock();
                (state.items.pop_front(), state.closed)
            };
            if item.is_some() {
                self.pushers.wake_one();
                return Ok(item);
            }
            if closed {
                return Ok(None);
            }
            if let Some(ticket) = self.poppers.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Takes no more items; those in the queue can still be popped.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.poppers.wake(Interest::BOTH);
        self.pushers.wake(Interest::BOTH);
    }

    /// Returns how many items are in the queue.
    pub fn len(&self) -> usize {
        self.state.lock().items.len()
    }

    /// Returns whether the queue holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
