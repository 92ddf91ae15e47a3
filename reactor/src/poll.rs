//! The loop that turns the poller's events into wake-ups (law R3).
//!
//! A shard is one poller and its loop. The loop is a green thread on a scheduler worker that waits
//! for the poller's own descriptor inside the scheduler's selector, so that waking a green thread
//! needs no system call; or, as the fallback, a thread of its own.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use may::io::{CoIo, WaitIo, WaitIoWaker};
use parking_lot::Mutex;
use polling::{Events, Poller};

use crate::coroutine;
use crate::fairness;
use crate::source::Slab;
use crate::waiter::Interest;

/// Events taken from the poller at once; `wait` costs five system calls, so take many.
const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// One poller and the targets registered with it.
pub(crate) struct Shard {
    pub(crate) poller: Poller,
    pub(crate) slab: Mutex<Slab>,
    /// Wakes the loop if it is a green thread.
    waker: OnceLock<WaitIoWaker>,
    this: Weak<Self>,
}

impl Shard {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let poller = Poller::new()?;
        Ok(Arc::new_cyclic(|this| Self {
            poller,
            slab: Mutex::default(),
            waker: OnceLock::new(),
            this: this.clone(),
        }))
    }

    pub(crate) fn share(&self) -> Arc<Self> {
        self.this
            .upgrade()
            .expect("a shard is only reached through its Arc")
    }

    /// Calls the target of each event; targets are looked up under the slab's lock and called
    /// outside it.
    fn dispatch(&self, events: &Events, targets: &mut Vec<Target>) -> usize {
        {
            let slab = self.slab.lock();
            targets.extend(events.iter().filter_map(|event| {
                let read = if event.readable {
                    Interest::READ
                } else {
                    Interest::NONE
                };
                let write = if event.writable {
                    Interest::WRITE
                } else {
                    Interest::NONE
                };
                Some((slab.get(event.key)?, read.and(write)))
            }));
        }
        let count = targets.len();
        for (target, readiness) in targets.drain(..) {
            target.ready(readiness);
        }
        count
    }

    /// Starts the loop as a green thread on worker `id` of `workers`.
    pub(crate) fn start_green(self: &Arc<Self>, id: usize, workers: usize) -> io::Result<()> {
        let shard = self.clone();
        let descriptor = self.descriptor_for(id, workers)?;
        // Without the scheduler's selector the loop still works, at the price of a thread.
        let Ok(io) = CoIo::new(PollerDescriptor(descriptor)) else {
            return self.start_thread();
        };
        let _ = self.waker.set(io.waker());
        coroutine::spawn_on(id, move || {
            let (mut events, mut targets) = (Events::with_capacity(EVENTS_MAX), Vec::new());
            loop {
                events.clear();
                fairness::polled();
                // An interrupted wait has no events; the next readiness wakes it again.
                let _ = shard.poller.wait(&mut events, Some(Duration::ZERO));
                let full = events.len() >= EVENTS_MAX.get();
                if shard.dispatch(&events, &mut targets) > 0 {
                    // Those just woken run first: their own reads save the next events.
                    coroutine::yield_now();
                }
                if !full {
                    io.wait_io();
                }
            }
        })
    }

    /// Lets the loop poll once, although the scheduler's selector had no turn to ask for it.
    pub(crate) fn nudge(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wakeup();
        }
    }

    /// Returns a duplicate of the poller's descriptor that worker `id` watches.
    ///
    /// The scheduler gives a descriptor to a worker by its number. Left to chance, all shards may
    /// fall to one worker (each poller takes three descriptors, so with three workers they do),
    /// and all that they wake runs there.
    fn descriptor_for(&self, id: usize, workers: usize) -> io::Result<OwnedFd> {
        let mut others = Vec::new();
        loop {
            let duplicate = rustix::io::fcntl_dupfd_cloexec(&self.poller, 0)?;
            let number = usize::try_from(duplicate.as_raw_fd()).unwrap_or(0);
            if number % workers == id % workers {
                return Ok(duplicate);
            }
            others.push(duplicate);
        }
    }

    /// Starts the loop as a thread of its own.
    pub(crate) fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let shard = self.clone();
        std::thread::Builder::new()
            .name("sshoal-reactor".into())
            .spawn(move || {
                let (mut events, mut targets) = (Events::with_capacity(EVENTS_MAX), Vec::new());
                loop {
                    events.clear();
                    let _ = shard.poller.wait(&mut events, None);
                    shard.dispatch(&events, &mut targets);
                }
            })?;
        Ok(())
    }
}

type Target = (Arc<dyn crate::source::Ready>, Interest);

/// A duplicate of the poller's own descriptor, as the scheduler's selector wants it.
struct PollerDescriptor(OwnedFd);

impl AsRawFd for PollerDescriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
