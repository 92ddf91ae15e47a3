//! How much work a host may make that nobody has anything of (law S1): pure.
//!
//! Key exchanges are the most that a host can ask for with the fewest bytes: some hundred for a
//! millisecond. What was delivered to a reader, or written for one, pays for it, and so does time.

use std::time::{Duration, Instant};

/// Work for nothing that ends a session, beyond what time and bytes pay for.
const IDLE_WORK_MAX: Duration = Duration::from_secs(2);
/// The share of the time that a session may spend on it for ever: 1/50 of a core.
const TIME_SHARE: u32 = 50;
/// What a byte that was delivered pays for. Bytes cost some nanoseconds: it is for key exchanges
/// between them, for which servers have limits of 16 bytes upwards.
const BYTE_WORK: Duration = Duration::from_micros(2);
/// The most that a call counts: one that took longer was held up, or the whole process was.
const CALL_MAX: Duration = Duration::from_millis(100);

/// The work for nothing so far.
#[derive(Debug)]
pub(super) struct Work {
    idle: Duration,
    counted: Instant,
}

impl Work {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            idle: Duration::ZERO,
            counted: now,
        }
    }

    /// Takes note of a call that took so long; `false` when it was too much.
    pub(super) fn spent(&mut self, took: Duration, now: Instant) -> bool {
        let time = now.saturating_duration_since(self.counted) / TIME_SHARE;
        self.counted = now;
        self.idle = self.idle.saturating_sub(time) + took.min(CALL_MAX);
        self.idle <= IDLE_WORK_MAX
    }

    /// Takes note of bytes delivered to a reader, or taken from a writer.
    pub(super) fn delivered(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.idle = self.idle.saturating_sub(BYTE_WORK.saturating_mul(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_millis(1);

    #[test]
    fn work_for_nothing_comes_to_an_end() {
        let mut now = Instant::now();
        let mut work = Work::new(now);
        let mut calls = 0;
        while work.spent(CALL, now) {
            now += CALL;
            calls += 1;
        }
        assert!((2000..2100).contains(&calls), "{calls}");
    }

    #[test]
    fn work_now_and_then_has_no_end() {
        let mut now = Instant::now();
        let mut work = Work::new(now);
        for _ in 0..100_000 {
            assert!(work.spent(CALL, now));
            now += CALL * TIME_SHARE;
        }
    }

    #[test]
    fn bytes_pay_for_work() {
        let now = Instant::now();
        let mut work = Work::new(now);
        for _ in 0..100_000 {
            assert!(work.spent(CALL, now));
            work.delivered(500);
        }
    }

    #[test]
    fn a_process_that_was_stopped_within_a_call_did_not_work() {
        let now = Instant::now();
        let mut work = Work::new(now);
        assert!(work.spent(Duration::from_secs(3600), now));
    }
}
