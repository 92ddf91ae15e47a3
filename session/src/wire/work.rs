//! How much work a host may make that nobody has anything of (law S1): pure.
//!
//! Key exchanges are the most that a host can ask for with the fewest bytes: some hundred for a
//! millisecond. What was delivered to a reader, or written for one, pays for it, and so does time.
//! Beyond a little that is free, each exchange takes a turn that all sessions share (`pace.rs`).

use std::time::{Duration, Instant};

/// Work for nothing that ends a session, beyond what time and bytes pay for. A window full of packets
/// of one byte, which nobody reads yet, takes half of it in a debug build.
const IDLE_WORK_MAX: Duration = Duration::from_secs(4);
/// Work from which on calls are to be counted by CPU time: where the machine is busy, the clock
/// tells of others' work too, and a session must not end for that.
const SUSPECT: Duration = Duration::from_secs(1);
/// The share of the time that a session may spend on it for ever: 1/50 of a core.
const TIME_SHARE: u32 = 50;
/// What a byte that was delivered pays for. Bytes cost some nanoseconds: it is for key exchanges
/// between them, for which servers have limits of 16 bytes upwards.
const BYTE_WORK: Duration = Duration::from_micros(2);
/// What an answer pays for that we asked for: a command without output brings nothing else, and a
/// host may have new keys behind each packet.
const ANSWER_WORK: Duration = Duration::from_millis(1);
/// The most that a call counts: by the clock, one that took longer was held up, or the whole process
/// was.
const CALL_MAX: Duration = Duration::from_millis(100);
/// Work for nothing up to which key exchanges take no turn: some twenty of them.
const FREE: Duration = Duration::from_millis(10);
/// As [`CALL_MAX`], for what takes no turn: one call that was held up does not make it too much.
const FREE_CALL_MAX: Duration = Duration::from_millis(5);
/// As [`TIME_SHARE`], for what takes no turn: ten thousand sessions take a core.
const FREE_SHARE: u32 = 10_000;
/// Time spent waiting for turns that ends a session of which nothing is delivered meanwhile.
const HELD_MAX: Duration = Duration::from_secs(60);

/// The work for nothing so far.
#[derive(Debug)]
pub(super) struct Work {
    idle: Duration,
    /// As `idle`, but that time pays less for it.
    shared: Duration,
    counted: Instant,
    /// A key exchange has begun, and nobody has asked yet whether it takes a turn.
    begun: bool,
    /// What was worked since the last turn.
    unasked: Duration,
    /// When it began to wait for a turn.
    held: Option<Instant>,
    /// How long it has waited for turns since anything was delivered.
    held_for: Duration,
    /// Whether there was a key exchange behind the first one.
    has_exchanged: bool,
}

impl Work {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            idle: Duration::ZERO,
            shared: Duration::ZERO,
            counted: now,
            begun: false,
            unasked: Duration::ZERO,
            held: None,
            held_for: Duration::ZERO,
            has_exchanged: false,
        }
    }

    /// Takes note of a call that took so long; `false` when it was too much.
    pub(super) fn spent(&mut self, took: Duration, now: Instant) -> bool {
        let time = now.saturating_duration_since(self.counted);
        self.counted = now;
        self.idle = self.idle.saturating_sub(time / TIME_SHARE) + took.min(CALL_MAX);
        self.shared = self.shared.saturating_sub(time / FREE_SHARE) + took.min(FREE_CALL_MAX);
        self.unasked += took.min(CALL_MAX);
        self.idle <= IDLE_WORK_MAX
    }

    /// Returns whether calls are to be told by CPU time.
    pub(super) fn is_suspect(&self) -> bool {
        self.idle > SUSPECT
    }

    /// Takes note of the begin of a key exchange behind the first one.
    pub(super) fn exchange_begun(&mut self) {
        self.begun = true;
        self.has_exchanged = true;
    }

    /// Returns whether there was a key exchange behind the first one.
    pub(super) fn has_exchanged(&self) -> bool {
        self.has_exchanged
    }

    /// Holds the session if a key exchange has begun that takes a turn; returns what was worked for
    /// nothing since the last one.
    pub(super) fn hold(&mut self, now: Instant) -> Option<Duration> {
        if !std::mem::take(&mut self.begun) {
            return None;
        }
        let worked = std::mem::take(&mut self.unasked);
        if self.shared <= FREE || self.is_held() {
            return None;
        }
        self.held = Some(now);
        // The rest was paid for.
        Some(worked.min(self.shared))
    }

    /// Returns whether the session waits for a turn.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Begins a turn; `false` if the session is to end because it has waited too long for nothing.
    pub(super) fn go_on(&mut self, now: Instant) -> bool {
        if let Some(held) = self.held.take() {
            self.held_for += now.saturating_duration_since(held);
        }
        self.held_for <= HELD_MAX
    }

    /// Takes note of bytes delivered to a reader, or taken from a writer.
    pub(super) fn delivered(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.pay(BYTE_WORK.saturating_mul(bytes));
    }

    /// Takes note of an answer to something that we asked for.
    pub(super) fn answered(&mut self) {
        self.pay(ANSWER_WORK);
    }

    fn pay(&mut self, paid: Duration) {
        self.idle = self.idle.saturating_sub(paid);
        self.shared = self.shared.saturating_sub(paid);
        self.held_for = Duration::ZERO;
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
            assert_eq!(work.is_suspect(), calls > 1020, "{calls}");
        }
        assert!((4000..4200).contains(&calls), "{calls}");
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

    /// A session that runs one command after the other, none of which says anything, has no end.
    #[test]
    fn answers_pay_for_commands_without_output() {
        let mut now = Instant::now();
        let mut work = Work::new(now);
        for _ in 0..100_000 {
            (0..8).for_each(|_| assert!(work.spent(CALL / 10, now)));
            work.exchange_begun();
            assert_eq!(work.hold(now), None);
            work.answered();
            now += CALL;
        }
    }

    /// Exchanges that nobody has anything of take turns once they are too many; the work since the
    /// last turn is told with each.
    #[test]
    fn exchanges_beyond_what_is_free_take_turns() {
        let now = Instant::now();
        let mut work = Work::new(now);
        let exchange = |work: &mut Work| {
            assert!(work.spent(CALL, now));
            work.exchange_begun();
            work.hold(now)
        };
        for _ in 0..10 {
            assert_eq!(exchange(&mut work), None);
        }
        assert_eq!(exchange(&mut work), Some(CALL));
        assert!(work.is_held());
        assert_eq!(exchange(&mut work), None, "it has asked");
        assert!(work.go_on(now) && !work.is_held());
        assert!(work.spent(CALL, now));
        assert_eq!(exchange(&mut work), Some(2 * CALL));
        assert!(work.go_on(now));
        assert!(work.spent(CALL, now));
        assert_eq!(work.hold(now), None, "no key exchange");
        work.delivered(10_000);
        assert_eq!(exchange(&mut work), None, "somebody had something of it");
    }

    /// An hour of delivered bytes is not what the next turn costs.
    #[test]
    fn work_that_was_paid_for_is_not_told() {
        let now = Instant::now();
        let mut work = Work::new(now);
        for _ in 0..100_000 {
            assert!(work.spent(CALL, now));
            work.delivered(500);
        }
        (0..11).for_each(|_| assert!(work.spent(CALL, now)));
        work.exchange_begun();
        assert_eq!(work.hold(now), Some(11 * CALL));
    }

    #[test]
    fn a_session_that_only_waits_for_turns_comes_to_an_end() {
        let mut now = Instant::now();
        let mut work = Work::new(now);
        let mut held = |work: &mut Work| {
            while !work.is_held() {
                assert!(work.spent(CALL, now));
                work.exchange_begun();
                let _ = work.hold(now);
            }
            now += HELD_MAX * 3 / 4;
            work.go_on(now)
        };
        assert!(held(&mut work));
        work.delivered(1);
        assert!(held(&mut work), "somebody has had something of it");
        assert!(!held(&mut work));
    }
}
