//! How fast copies go, and how many at once, whatever the number of sessions.
//!
//! The principal type is [`Bandwidth`].

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::sync::{Event, Permit, Semaphore};
use sshoal_reactor::{Scope, Stop};

use crate::error::{self, Error};
use crate::options::CopyOptions;
use crate::progress::Progress;

/// A bound of bytes a second for all copies that share it. Cheap to clone; clones are one bound.
///
/// It counts the bytes of files, not those of the protocol. What was not used of the last tenth of a
/// second may be used at once.
#[derive(Debug, Clone)]
pub struct Bandwidth(Arc<Mutex<Tokens>>);

/// Bytes that may move, counted in the time that they take: pure, it is given the time.
#[derive(Debug)]
struct Tokens {
    bytes_per_second: NonZeroU64,
    /// When all that was let through so far has had its time.
    free_at: Option<Instant>,
}

impl Bandwidth {
    /// Returns a bound.
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(Arc::new(Mutex::new(Tokens {
            bytes_per_second,
            free_at: None,
        })))
    }

    /// Waits until these bytes may move. Parks.
    fn take(&self, bytes: u64, scope: &Scope) -> Result<(), Error> {
        let wait = self.0.lock().take(bytes, Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let within = scope.child(Some(wait));
        // Nobody sets it: only time or the caller ends the wait.
        let _ = Event::new().wait(&within);
        scope.check().map_err(|stop| stopped(stop, scope))
    }
}

impl Tokens {
    /// Takes bytes, and returns how long they have to wait.
    fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let seconds = bytes as f64 / self.bytes_per_second.get() as f64;
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = self.free_at.map_or(earliest, |free| free.max(earliest));
        let took = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
        let free = from + took.min(LONGEST);
        self.free_at = Some(free);
        free.saturating_duration_since(now)
    }
}

/// What holds copies back; each copy has its own, made of what the options say.
#[derive(Debug)]
pub(crate) struct Governor {
    progress: Option<Progress>,
    bounds: Vec<Bandwidth>,
    /// Whether the file is counted: one that is copied again is one file.
    begun: AtomicBool,
    /// Held while the copy is under way.
    _place: Option<Permit>,
}

impl Governor {
    /// Waits for a place among the copies under way. Parks.
    pub(crate) fn enter(options: &CopyOptions, scope: &Scope) -> Result<Self, Error> {
        let place = match &options.at_once {
            Some(places) => {
                let place = places.acquire(scope);
                Some(place.map_err(|stop| stopped(stop, scope))?)
            }
            None => None,
        };
        let own = options.host_bandwidth.as_ref().map(|bound| match bound {
            HostBandwidth::Each(rate) => Bandwidth::new(*rate),
            HostBandwidth::This(bound) => bound.clone(),
        });
        let bounds = own.into_iter().chain(options.bandwidth.clone()).collect();
        Ok(Self {
            progress: options.progress.clone(),
            bounds,
            begun: AtomicBool::new(false),
            _place: place,
        })
    }

    pub(crate) fn begin(&self, bytes: u64) {
        match self.begun.swap(true, Ordering::Relaxed) {
            false => self.count(|progress| progress.begin(bytes)),
            true => self.expect(bytes),
        }
    }

    /// Counts bytes of which nothing was known when the file was begun.
    pub(crate) fn expect(&self, bytes: u64) {
        self.count(|progress| progress.expect(bytes));
    }

    pub(crate) fn resume(&self, bytes: u64) {
        self.count(|progress| progress.resume(bytes));
    }

    pub(crate) fn end(&self) {
        self.count(Progress::end);
    }

    /// Waits until bytes may move, and counts them. Parks.
    pub(crate) fn pass(&self, bytes: usize, scope: &Scope) -> Result<(), Error> {
        for bound in &self.bounds {
            bound.take(bytes as u64, scope)?;
        }
        self.count(|progress| progress.moved(bytes as u64));
        Ok(())
    }

    fn count(&self, count: impl Fn(&Progress)) {
        if let Some(progress) = &self.progress {
            count(progress);
        }
    }
}

/// The bound of one host: still to be made for each, or this host's.
#[derive(Debug, Clone)]
pub(crate) enum HostBandwidth {
    Each(NonZeroU64),
    This(Bandwidth),
}

impl CopyOptions {
    /// Returns these options for the host at this place in a fleet: with counters of its own, and a
    /// bound of its own that all its copies share. [`put`](fn@crate::put) and
    /// [`get`](fn@crate::get) with the options of all hosts bound each copy alone.
    pub fn for_host(&self, index: usize) -> Self {
        let mut own = self.clone();
        if let Some(HostBandwidth::Each(rate)) = own.host_bandwidth {
            own.host_bandwidth = Some(HostBandwidth::This(Bandwidth::new(rate)));
        }
        own.progress = self
            .progress
            .as_ref()
            .map(|progress| progress.of_host(index));
        own
    }
}

pub(crate) fn places(count: std::num::NonZeroUsize) -> Semaphore {
    Semaphore::new(count.get())
}

/// The end of the caller's scope.
pub(crate) fn stopped(stop: Stop, scope: &Scope) -> Error {
    Error::Session(error::stopped(stop, scope))
}

/// What may be made up for of time in which nothing moved.
const BURST: Duration = Duration::from_millis(100);
/// The longest wait for one piece, so that no rate overflows the clock.
const LONGEST: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let rate = NonZeroU64::new(1000).expect("not 0");
        let mut tokens = Tokens {
            bytes_per_second: rate,
            free_at: None,
        };
        let t0 = Instant::now() + Duration::from_secs(1);
        assert_eq!(tokens.take(100, t0), Duration::ZERO, "the burst");
        assert_eq!(tokens.take(500, t0), Duration::from_millis(500));
        assert_eq!(tokens.take(500, t0), Duration::from_millis(1000));
        let later = t0 + Duration::from_secs(60);
        assert_eq!(tokens.take(600, later), Duration::from_millis(500));
    }

    #[test]
    fn a_host_has_one_bound_for_all_its_copies() {
        let rate = NonZeroU64::new(1000).expect("not 0");
        let all = CopyOptions::new()
            .host_bandwidth(rate)
            .progress(&Progress::new());
        let scope = Scope::root();
        let own = all.for_host(3);
        let first = Governor::enter(&own, &scope).expect("has a place");
        let second = Governor::enter(&own.clone(), &scope).expect("has a place");
        assert!(Arc::ptr_eq(&first.bounds[0].0, &second.bounds[0].0));
        let other = Governor::enter(&all.for_host(4), &scope).expect("has a place");
        assert!(!Arc::ptr_eq(&first.bounds[0].0, &other.bounds[0].0));
    }
}
