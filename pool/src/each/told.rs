//! What a program under way tells of its hosts besides their end.

use super::{Each, Visited};
use crate::event::Event;

/// What a program under way tells: how far a host has come, or that it has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum EachEvent<T> {
    /// How far a host has come. [`Event::Finished`] is not among these, and [`Event::Exit`] says that
    /// the program returned.
    Event(Event),
    /// A host has ended.
    Visited(Visited<T>),
}

impl<T> Each<T> {
    /// Waits for what is told next; `None` when all hosts have ended and were told of. Parks. Of a
    /// program that was not begun by [`Pool::each_told`](crate::Pool::each_told) only the ends are
    /// told.
    pub fn next_told(&mut self) -> Option<EachEvent<T>> {
        Some(match self.run.next_event()? {
            Event::Finished(outcome) => EachEvent::Visited(self.visited(outcome)),
            event => EachEvent::Event(event),
        })
    }
}
