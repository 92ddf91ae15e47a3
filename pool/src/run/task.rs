//! A run as tasks of executors take from it. No thread waits for them: the worker that puts an
//! event wakes the task.

use std::task::{Context, Poll, ready};

use crate::event::Event;
use crate::outcome::Outcome;
use crate::run::{Events, Run};

impl Run {
    /// As the iterator's `next`, for the tasks of an executor: gives the next outcome, `None` when
    /// all hosts have ended, or sees to it that the task is woken when there is one.
    ///
    /// A task that polls and then drops the run cancels it without a wait, as with the iterator.
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Outcome>> {
        for _ in 0..SKIPPED_MAX {
            match ready!(self.poll_event(context)) {
                Some(Event::Finished(outcome)) => return Poll::Ready(Some(outcome)),
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
        // Others of the executor's tasks have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_event(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        let item = ready!(self.state.items.poll_pop(&mut self.watch, context));
        Poll::Ready(item.map(|item| item.event))
    }
}

impl Events {
    /// As the iterator's `next`, for the tasks of an executor; see [`Run::poll_next`].
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        self.run.poll_event(context)
    }
}

/// Events that are no outcomes and passed over in one poll.
const SKIPPED_MAX: usize = 64;
