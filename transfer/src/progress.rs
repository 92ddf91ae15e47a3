//! How far copies have come: bytes, files, rate and time left, of a host and of all.
//!
//! The principal type is [`Progress`]. It is counters that copies add to and anybody reads at any
//! time; nothing is sent or called while bytes move. Files that begin and end are told to whoever
//! wants to hear of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Counters of copies. Cheap to clone; clones are the same counters.
///
/// [`CopyOptions::progress`](crate::CopyOptions::progress) takes those of all hosts. A fleet counts
/// each host's besides, which [`Progress::of_host`] returns.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    /// What these count in too.
    all: Option<Progress>,
    /// The place in the fleet of the host that these are of.
    host: Option<usize>,
    hears: Hears,
    bytes: AtomicU64,
    bytes_expected: AtomicU64,
    bytes_resumed: AtomicU64,
    files: AtomicU64,
    files_expected: AtomicU64,
    begun: Instant,
    /// A leaf lock: nothing waits under it.
    recent: Mutex<Recent>,
    /// A leaf lock: nothing waits under it.
    hosts: Mutex<BTreeMap<usize, Progress>>,
}

/// Who is told of files; the counters of a host tell those of all.
struct Hears(Option<Box<Hear>>);

type Hear = dyn Fn(&FileEvent) + Send + Sync;

/// A file that a copy began or ended with; [`Progress::telling`] hears of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileEvent {
    /// A file was begun.
    Begun {
        /// The host's place in the fleet, from 0; `None` of a copy that is no fleet's.
        host: Option<usize>,
        /// How many bytes it has; 0 if that is not known before its end.
        bytes: u64,
    },
    /// A file has its final name. One that fails has no such event: its copy's error tells that.
    Ended {
        /// The host's place in the fleet, from 0; `None` of a copy that is no fleet's.
        host: Option<usize>,
    },
}

/// What counters show at one moment; [`Progress::snapshot`] makes it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Bytes that have moved.
    pub bytes: u64,
    /// Bytes of the files begun so far; see [`Progress::bytes_expected`].
    pub bytes_expected: u64,
    /// Bytes that an earlier copy had moved.
    pub bytes_resumed: u64,
    /// Files that have their final names.
    pub files: u64,
    /// Files that were begun.
    pub files_expected: u64,
    /// Bytes a second, over the last one to two seconds.
    pub rate: f64,
    /// How long the files begun will still take at this rate; `None` while nothing moves.
    pub time_left: Option<Duration>,
    /// How long ago the counters were made.
    pub elapsed: Duration,
}

/// Two moments of the recent past, the older one at least a window ago once there are two.
#[derive(Debug, Clone, Copy)]
struct Recent {
    older: (Instant, u64),
    newer: (Instant, u64),
}

impl Progress {
    /// Returns counters that stand at nothing.
    pub fn new() -> Self {
        Self::within(None, None, Hears(None))
    }

    /// Returns counters that stand at nothing, and tell `hear` of each file that a copy begins, and of
    /// each that has its name in the end. Nothing is told while bytes move.
    ///
    /// It is called by the copy itself, on a green thread with a small stack, and holds it up: it must
    /// not wait, and what takes long belongs elsewhere. If it panics, so does the copy, once what
    /// is under way beside it has ended.
    pub fn telling(hear: impl Fn(&FileEvent) + Send + Sync + 'static) -> Self {
        Self::within(None, None, Hears(Some(Box::new(hear))))
    }

    fn within(all: Option<Self>, host: Option<usize>, hears: Hears) -> Self {
        let begun = Instant::now();
        Self(Arc::new(Counters {
            all,
            host,
            hears,
            bytes: AtomicU64::new(0),
            bytes_expected: AtomicU64::new(0),
            bytes_resumed: AtomicU64::new(0),
            files: AtomicU64::new(0),
            files_expected: AtomicU64::new(0),
            begun,
            recent: Mutex::new(Recent::new(begun)),
            hosts: Mutex::default(),
        }))
    }

    /// Returns the counters of the host at this place in the fleet; what they count, these count too.
    pub fn of_host(&self, index: usize) -> Self {
        let mut hosts = self.0.hosts.lock();
        let host = hosts.entry(index);
        let own = || Self::within(Some(self.clone()), Some(index), Hears(None));
        host.or_insert_with(own).clone()
    }

    /// Returns the counters of the hosts that have any, by their places in the fleet.
    pub fn hosts(&self) -> Vec<(usize, Self)> {
        let hosts = self.0.hosts.lock();
        hosts
            .iter()
            .map(|(index, host)| (*index, host.clone()))
            .collect()
    }

    /// Returns how many bytes have moved.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Returns how many bytes the files begun so far have in all, as far as that is known before
    /// their end, less those that an earlier copy had moved.
    pub fn bytes_expected(&self) -> u64 {
        self.0.bytes_expected.load(Ordering::Relaxed)
    }

    /// Returns how many bytes an earlier copy had moved already.
    pub fn bytes_resumed(&self) -> u64 {
        self.0.bytes_resumed.load(Ordering::Relaxed)
    }

    /// Returns how many files have their final names.
    pub fn files(&self) -> u64 {
        self.0.files.load(Ordering::Relaxed)
    }

    /// Returns how many files were begun.
    pub fn files_expected(&self) -> u64 {
        self.0.files_expected.load(Ordering::Relaxed)
    }

    /// Returns how long ago these counters were made.
    pub fn elapsed(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// Returns how many bytes a second move, over the last one to two seconds.
    pub fn rate(&self) -> f64 {
        let recent = *self.0.recent.lock();
        recent.rate(Instant::now(), self.bytes())
    }

    /// Returns how long the files begun will still take at this rate; `None` while nothing moves.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.bytes_expected().saturating_sub(self.bytes());
        if left == 0 {
            return Some(Duration::ZERO);
        }
        let rate = self.rate();
        (rate > 0.0)
            .then(|| Duration::try_from_secs_f64(left as f64 / rate).ok())
            .flatten()
    }

    /// Returns what the counters show.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bytes: self.bytes(),
            bytes_expected: self.bytes_expected(),
            bytes_resumed: self.bytes_resumed(),
            files: self.files(),
            files_expected: self.files_expected(),
            rate: self.rate(),
            time_left: self.time_left(),
            elapsed: self.elapsed(),
        }
    }

    /// Counts a file that is begun, and of how many bytes.
    pub(crate) fn begin(&self, bytes: u64) {
        self.each(|counters| {
            counters.files_expected.fetch_add(1, Ordering::Relaxed);
            counters.bytes_expected.fetch_add(bytes, Ordering::Relaxed);
        });
        let host = self.0.host;
        self.tell(&FileEvent::Begun { host, bytes });
    }

    /// Counts bytes of a file of which nothing was known when it was begun.
    pub(crate) fn expect(&self, bytes: u64) {
        self.each(|counters| {
            counters.bytes_expected.fetch_add(bytes, Ordering::Relaxed);
        });
    }

    /// Counts bytes that need not move, of those that were expected.
    pub(crate) fn resume(&self, bytes: u64) {
        self.each(|counters| {
            counters.bytes_resumed.fetch_add(bytes, Ordering::Relaxed);
            let _ = counters.bytes_expected.fetch_update(
                Ordering::Relaxed,
                Ordering::Relaxed,
                |expected| Some(expected.saturating_sub(bytes)),
            );
        });
    }

    /// Counts bytes that moved.
    pub(crate) fn moved(&self, bytes: u64) {
        let now = Instant::now();
        self.each(|counters| {
            let before = counters.bytes.fetch_add(bytes, Ordering::Relaxed);
            counters.recent.lock().pass(now, before + bytes);
        });
    }

    /// Counts a file that has its name.
    pub(crate) fn end(&self) {
        self.each(|counters| {
            counters.files.fetch_add(1, Ordering::Relaxed);
        });
        let host = self.0.host;
        self.tell(&FileEvent::Ended { host });
    }

    fn tell(&self, event: &FileEvent) {
        self.each(|counters| {
            if let Some(hear) = &counters.hears.0 {
                hear(event);
            }
        });
    }

    fn each(&self, count: impl Fn(&Counters)) {
        count(&self.0);
        let mut next = self.0.all.as_ref();
        while let Some(progress) = next {
            count(&progress.0);
            next = progress.0.all.as_ref();
        }
    }
}

impl fmt::Debug for Hears {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Recent {
    fn new(now: Instant) -> Self {
        Self {
            older: (now, 0),
            newer: (now, 0),
        }
    }

    fn pass(&mut self, now: Instant, bytes: u64) {
        if now.saturating_duration_since(self.newer.0) >= WINDOW {
            self.older = self.newer;
            self.newer = (now, bytes);
        }
    }

    fn rate(self, now: Instant, bytes: u64) -> f64 {
        let seconds = now.saturating_duration_since(self.older.0).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        bytes.saturating_sub(self.older.1) as f64 / seconds
    }
}

/// The rate is over the last one to two of these.
const WINDOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_counts_all_count() {
        let all = Progress::new();
        let (one, other) = (all.of_host(1), all.of_host(7));
        one.begin(100);
        other.begin(50);
        one.resume(30);
        one.moved(70);
        other.moved(20);
        one.end();
        assert_eq!((one.bytes(), other.bytes(), all.bytes()), (70, 20, 90));
        assert_eq!((one.bytes_expected(), all.bytes_expected()), (70, 120));
        assert_eq!((one.bytes_resumed(), all.bytes_resumed()), (30, 30));
        assert_eq!((all.files(), all.files_expected()), (1, 2));
        assert_eq!(one.time_left(), Some(Duration::ZERO));
        let listed: Vec<usize> = all.hosts().iter().map(|(index, _)| *index).collect();
        assert_eq!(listed, [1, 7]);
        assert_eq!(all.of_host(1).bytes(), 70, "the same counters");
    }

    #[test]
    fn files_are_told_with_their_host() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let all = Progress::telling(move |event| heard.lock().push(*event));
        all.of_host(3).begin(10);
        all.of_host(3).moved(10);
        all.of_host(3).end();
        all.begin(5);
        let expected = [
            FileEvent::Begun {
                host: Some(3),
                bytes: 10,
            },
            FileEvent::Ended { host: Some(3) },
            FileEvent::Begun {
                host: None,
                bytes: 5,
            },
        ];
        assert_eq!(*told.lock(), expected);
        let snapshot = all.snapshot();
        assert_eq!((snapshot.bytes, snapshot.bytes_expected), (10, 15));
        assert_eq!((snapshot.files, snapshot.files_expected), (1, 2));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut recent = Recent::new(begun);
        for step in 1..=40 {
            recent.pass(at(step * 100), step * 100);
        }
        let rate = recent.rate(at(4000), 4000);
        assert!((rate - 1000.0).abs() < 1.0, "{rate}");
        let stalled = recent.rate(at(14_000), 4000);
        assert!(stalled < 100.0, "{stalled}");
    }
}
