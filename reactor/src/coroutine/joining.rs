//! A green thread's end as a future, for executors that are none of ours.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{JoinHandle, Panic};
use crate::waiter::Watch;

/// The future of a green thread's result; `handle.await` makes it.
///
/// Any executor can poll it; no thread waits for it. Dropping it lets the thread run on by itself.
#[must_use = "a future does nothing unless it is polled"]
pub struct Joining<T> {
    handle: JoinHandle<T>,
    watch: Watch,
}

impl<T> Joining<T> {
    /// Returns whether the green thread has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> IntoFuture for JoinHandle<T> {
    type Output = Result<T, Panic>;
    type IntoFuture = Joining<T>;

    fn into_future(self) -> Joining<T> {
        Joining {
            handle: self,
            watch: Watch::new(),
        }
    }
}

impl<T> Future for Joining<T> {
    type Output = Result<T, Panic>;

    /// # Panics
    ///
    /// It was polled again after it had returned the result.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { handle, watch } = &mut *self;
        let packet = &handle.0;
        loop {
            let sequence = packet.waiters.sequence();
            if handle.is_finished() {
                packet.waiters.unwatch(watch);
                let result = { packet.result.lock().take() };
                return Poll::Ready(result.expect("a future is not polled after its end"));
            }
            if packet.waiters.watch(sequence, watch, context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Drop for Joining<T> {
    fn drop(&mut self) {
        // Everyone is told of the end: a wake-up that is not used was meant for nobody else.
        self.handle.0.waiters.unwatch(&mut self.watch);
    }
}

impl<T> fmt::Debug for Joining<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
