//! The loop that turns the poller's events into wake-ups (law R3).
//!
//! A shard is one poller and its loop. The loop is a green thread on a scheduler worker that waits
//! for the poller's own descriptor inside the scheduler's selector, so that waking a green thread
//! needs no system call; or, as the fallback, a thread of its own.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock, Weak};

use may::io::{CoIo, WaitIo, WaitIoWaker};
use parking_lot::Mutex;
use polling::{Events, Poller};
#[cfg(target_os = "linux")]
use rustix::buffer::spare_capacity;
#[cfg(target_os = "linux")]
use rustix::event::{Timespec, epoll};

use crate::coroutine;
use crate::fairness;
use crate::source::Slab;
use crate::waiter::Interest;

/// Events taken from the poller at once.
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
    fn dispatch(
        &self,
        events: impl Iterator<Item = (usize, Interest)>,
        targets: &mut Vec<Target>,
    ) -> usize {
        {
            let slab = self.slab.lock();
            let found = events.filter_map(|(key, readiness)| Some((slab.get(key)?, readiness)));
            targets.extend(found);
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
            let (mut ready, mut targets) = (Ready::new(), Vec::new());
            loop {
                fairness::polled();
                ready.take(&shard.poller);
                let full = ready.len() >= EVENTS_MAX.get();
                if shard.dispatch(ready.events(), &mut targets) > 0 {
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
                    shard.dispatch(events.iter().map(told), &mut targets);
                }
            })?;
        Ok(())
    }
}

/// What the poller has told, as it is taken without a wait.
#[cfg(target_os = "linux")]
struct Ready(Vec<epoll::Event>);

/// For a wait that returns at once, the poller sets a timer and arms two descriptors of its own
/// anew: four system calls out of five. Its own descriptor is asked instead, on Linux, where that
/// is an epoll(7) whose events hold the keys.
#[cfg(target_os = "linux")]
impl Ready {
    fn new() -> Self {
        Self(Vec::with_capacity(EVENTS_MAX.get()))
    }

    fn take(&mut self, poller: &Poller) {
        self.0.clear();
        // An interrupted wait has no events; the next readiness wakes it again.
        let _ = epoll::wait(
            poller,
            spare_capacity(&mut self.0),
            Some(&Timespec::default()),
        );
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn events(&self) -> impl Iterator<Item = (usize, Interest)> {
        self.0.iter().filter_map(|event| {
            let flags = event.flags;
            let (read, write) = (flags.intersects(READABLE), flags.intersects(WRITABLE));
            let last = match flags.intersects(LAST) {
                true => Interest::LAST,
                false => Interest::NONE,
            };
            let key = usize::try_from(event.data.u64()).ok()?;
            Some((key, interest(read, write).and(last)))
        })
    }
}

/// What says that a read is worth trying: the peer's end and an error do as well.
#[cfg(target_os = "linux")]
const READABLE: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::PRI)
    .union(epoll::EventFlags::RDHUP)
    .union(ENDED);
/// As [`READABLE`], for a write.
#[cfg(target_os = "linux")]
const WRITABLE: epoll::EventFlags = epoll::EventFlags::OUT.union(ENDED);
/// What makes a read come short although more is to come, or the end, without another event.
#[cfg(target_os = "linux")]
const LAST: epoll::EventFlags = epoll::EventFlags::PRI
    .union(epoll::EventFlags::RDHUP)
    .union(ENDED);
/// What the system tells unasked.
#[cfg(target_os = "linux")]
const ENDED: epoll::EventFlags = epoll::EventFlags::HUP.union(epoll::EventFlags::ERR);

/// What the poller has told, as it is taken without a wait.
#[cfg(not(target_os = "linux"))]
struct Ready(Events);

#[cfg(not(target_os = "linux"))]
impl Ready {
    fn new() -> Self {
        Self(Events::with_capacity(EVENTS_MAX))
    }

    fn take(&mut self, poller: &Poller) {
        self.0.clear();
        // An interrupted wait has no events; the next readiness wakes it again.
        let _ = poller.wait(&mut self.0, Some(std::time::Duration::ZERO));
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn events(&self) -> impl Iterator<Item = (usize, Interest)> {
        self.0.iter().map(told)
    }
}

/// Returns an event's key, and what its descriptor is ready for; whether the end was told with it
/// is not known.
fn told(event: polling::Event) -> (usize, Interest) {
    let interest = interest(event.readable, event.writable);
    (event.key, interest.and(Interest::LAST))
}

fn interest(read: bool, write: bool) -> Interest {
    match (read, write) {
        (true, true) => Interest::BOTH,
        (true, false) => Interest::READ,
        (false, true) => Interest::WRITE,
        (false, false) => Interest::NONE,
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
