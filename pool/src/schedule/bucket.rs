//! So many begins a second, evenly spread: a token bucket that is told the time.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How often something may begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// What one begin takes of the bucket.
    interval: Duration,
}

/// When the next may begin, by one rate: whoever owns the bucket gives the same each time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// When all that began has been paid for; `None` before the first.
    due: Option<Instant>,
}

impl Rate {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.get(),
        }
    }
}

impl Bucket {
    /// Returns the moment from which one may begin; `None` is at once, whatever the time.
    pub(super) fn opens(&self) -> Option<Instant> {
        self.due.and_then(|due| due.checked_sub(CATCH_UP))
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.opens().is_none_or(|at| at <= now)
    }

    /// Takes one begin out.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + rate.interval);
    }
}

/// How much of a delay is made up for: a wake-up is late by a millisecond or two, which at a
/// thousand begins a second would else halve the rate. In any span of time there are thus at most
/// as many begins as the rate has in the span and this together, and one.
pub(super) const CATCH_UP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32) -> Rate {
        Rate::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn begins_are_spread_over_the_second() {
        let (mut bucket, t0) = (Bucket::default(), Instant::now());
        let begins: Vec<u64> = (0..1_000)
            .filter(|ms| {
                let now = t0 + Duration::from_millis(*ms);
                let open = bucket.is_open(now);
                if open {
                    bucket.take(rate(5), now);
                }
                open
            })
            .collect();
        assert_eq!(begins, [0, 190, 390, 590, 790, 990]);
    }

    #[test]
    fn late_wake_ups_are_made_up_for_and_long_pauses_are_not() {
        let (mut bucket, t0) = (Bucket::default(), Instant::now());
        let mut begun_at = |ms: u64| {
            let now = t0 + Duration::from_millis(ms);
            let mut begun = 0;
            while bucket.is_open(now) {
                bucket.take(rate(1_000), now);
                begun += 1;
            }
            begun
        };
        assert_eq!(begun_at(0), 11, "what 10 ms have, and one");
        assert_eq!(begun_at(3), 3);
        assert_eq!(begun_at(60_000), 11, "a minute saves nothing up");
    }
}
