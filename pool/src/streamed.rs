//! Runs, events and programs as [`Stream`]s, for callers on an async runtime.
//!
//! The principal type is [`Streamed`]: a type of its own, because the methods of an iterator and
//! those of `StreamExt` have the same names.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::each::{Each, Visited};
use crate::event::Event;
use crate::outcome::Outcome;
use crate::report::Report;
use crate::run::{Events, Run};

/// A [`Run`], its [`Events`] or an [`Each`] as a stream; their methods `stream` make it.
///
/// Any executor can poll it, and no thread waits for it: the pool's green threads wake the task.
/// Dropping it cancels the run without waiting for it.
#[derive(Debug)]
#[must_use = "a run that is dropped is cancelled"]
pub struct Streamed<R> {
    inner: R,
    over: bool,
}

impl<R> Streamed<R> {
    fn new(inner: R) -> Self {
        Self { inner, over: false }
    }

    /// Returns what is streamed, for its handle and the like.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns what is streamed, with all that was not taken.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn note<T>(&mut self, next: Poll<Option<T>>) -> Poll<Option<T>> {
        self.over |= matches!(next, Poll::Ready(None));
        next
    }
}

impl Streamed<Run> {
    /// Awaits all hosts that are left and returns their outcomes in input order.
    pub async fn report(mut self) -> Report {
        let mut outcomes = Vec::new();
        while let Some(outcome) = poll_fn(|context| self.inner.poll_next(context)).await {
            outcomes.push(outcome);
        }
        Report::new(outcomes, self.inner.stopped_by())
    }
}

impl Run {
    /// Turns the run into a stream of its outcomes, in the order in which hosts end. Needs the
    /// feature `futures`.
    pub fn stream(self) -> Streamed<Self> {
        Streamed::new(self)
    }
}

impl Events {
    /// Turns the events into a stream. Needs the feature `futures`.
    pub fn stream(self) -> Streamed<Self> {
        Streamed::new(self)
    }
}

impl<T> Each<T> {
    /// Turns it into a stream of what the programs returned, in the order in which hosts end.
    /// Needs the feature `futures`.
    pub fn stream(self) -> Streamed<Self> {
        Streamed::new(self)
    }
}

impl Stream for Streamed<Run> {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let next = self.inner.poll_next(context);
        self.note(next)
    }
}

impl Stream for Streamed<Events> {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = self.inner.poll_next(context);
        self.note(next)
    }
}

impl<T> Stream for Streamed<Each<T>> {
    type Item = Visited<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Visited<T>>> {
        let next = self.inner.poll_next(context);
        self.note(next)
    }
}

impl<R> FusedStream for Streamed<R>
where
    Self: Stream,
{
    fn is_terminated(&self) -> bool {
        self.over
    }
}
