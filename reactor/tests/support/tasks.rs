//! An executor as small as can be: one task, polled on the calling thread.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use sshoal_reactor::sync::{Queue, Watch};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future on the calling plain thread until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Takes the next item as a task.
pub(crate) async fn next<T>(queue: &Queue<T>, watch: &mut Watch) -> Option<T> {
    poll_fn(|context| queue.poll_pop(watch, context)).await
}

/// A waker that counts, and panics if it is told to.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) woken: AtomicUsize,
    pub(crate) panics: bool,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "a waker that panics");
    }
}

impl Count {
    pub(crate) fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}
