//! How long calls into libssh2 take, by the CPU time of the thread that makes them.
//!
//! Off until it is asked for, since each measured call costs two system calls more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

static WATCHED: AtomicBool = AtomicBool::new(false);
static COUNTS: [AtomicU64; CLASSES] = [const { AtomicU64::new(0) }; CLASSES];
static LONGEST_NS: AtomicU64 = AtomicU64::new(0);

/// The last class is that of 2³⁰ µs, some 18 minutes, and more.
const CLASSES: usize = 32;

/// The calls into libssh2 of all sessions of this process since [`CallTimes::watch`].
///
/// A call runs on a scheduler thread and cannot be interrupted: as long as it lasts, no other
/// session is served by that thread. What a host sends must not make one long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimes {
    counts: [u64; CLASSES],
    longest: Duration,
}

impl CallTimes {
    /// Begins to measure, from zero; until then nothing is.
    ///
    /// It is for all sessions of the process and costs two system calls for each call into libssh2.
    pub fn watch() {
        COUNTS
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
        LONGEST_NS.store(0, Ordering::Relaxed);
        WATCHED.store(true, Ordering::Relaxed);
    }

    /// Returns what was measured so far.
    pub fn now() -> Self {
        Self {
            counts: COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(LONGEST_NS.load(Ordering::Relaxed)),
        }
    }

    /// Returns the number of calls.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the CPU time of the longest call.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Returns how many calls took less than each limit and at least the one before it; limits are
    /// powers of two of microseconds, the first is 1 µs.
    pub fn histogram(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let limits = (0..CLASSES as u32).map(|class| Duration::from_micros(1 << class));
        limits.zip(self.counts)
    }
}

/// The measure of one call, if it is measured: because all are, or because its session asks for it.
pub(crate) struct Call {
    watched: bool,
    began: Option<u64>,
}

impl Call {
    pub(crate) fn begin(asked: bool) -> Self {
        let watched = WATCHED.load(Ordering::Relaxed);
        Self {
            watched,
            began: (watched || asked).then(thread_ns),
        }
    }

    /// Returns the CPU time, if it was measured.
    pub(crate) fn end(self) -> Option<Duration> {
        let took = thread_ns().saturating_sub(self.began?);
        if self.watched {
            // 0 for less than 1 µs, then one more for each power of two.
            let class = (u64::BITS - (took / 1000).leading_zeros()) as usize;
            COUNTS[class.min(CLASSES - 1)].fetch_add(1, Ordering::Relaxed);
            LONGEST_NS.fetch_max(took, Ordering::Relaxed);
        }
        Some(Duration::from_nanos(took))
    }
}

fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is ever negative, nor will a thread run for 500 years.
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}
