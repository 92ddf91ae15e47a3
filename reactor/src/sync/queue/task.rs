//! A queue as tasks of executors see it.

use std::task::{Context, Poll};

use super::Queue;
use crate::waiter::Watch;

impl<T> Queue<T> {
    /// Takes the first item; `None` once the queue is closed and empty. For the tasks of an
    /// executor; threads have [`Queue::pop`].
    ///
    /// While there is none, the task has its place in `watch`, and is woken when there is. A task
    /// that gives up hands `watch` to [`Queue::unwatch`].
    pub fn poll_pop(&self, watch: &mut Watch, context: &Context<'_>) -> Poll<Option<T>> {
        loop {
            let woken = watch.is_woken();
            let sequence = self.poppers.sequence();
            let (item, closed) = {
                let mut state = self.state.lock();
                (state.items.pop_front(), state.closed)
            };
            if item.is_some() {
                // One that comes only now is for another item.
                if self.poppers.unwatch(watch) && !woken {
                    self.poppers.wake_one();
                }
                self.pushers.wake_one();
                return Poll::Ready(item);
            }
            if closed {
                self.poppers.unwatch(watch);
                return Poll::Ready(None);
            }
            if self.poppers.watch(sequence, watch, context.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// Takes a task's place back; a wake-up that it was given and has not used goes to another.
    pub fn unwatch(&self, watch: &mut Watch) {
        if self.poppers.unwatch(watch) {
            self.poppers.wake_one();
        }
    }
}
