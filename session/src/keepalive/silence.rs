//! When a silent host is asked for a sign of life, and when it is given up: pure, the clock is the
//! caller's.

use std::time::{Duration, Instant};

/// The longest time between two looks at a session: what waits for a flush waits no longer.
const LOOK: Duration = Duration::from_secs(5);

/// The longest interval: as good as none.
const INTERVAL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// One host's silence.
#[derive(Debug)]
pub(super) struct Silence {
    interval: Duration,
    /// Intervals of silence after which the host counts as lost.
    max: u32,
    /// When the silence began: at the last byte, or later, when somebody began to wait for one.
    since: Instant,
    /// When the host was asked in this silence.
    asked: Option<Instant>,
    /// When nobody was seen to wait.
    unwaited: Instant,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to do.
    Fine,
    /// The host is to be asked.
    Ask,
    /// The host was silent for so long.
    Lost { silence: Duration },
}

impl Silence {
    pub(super) fn new(interval: Duration, max: u32, now: Instant) -> Self {
        Self {
            // So that no time leaves the clock's range.
            interval: interval.min(INTERVAL_MAX),
            max: max.max(1),
            since: now,
            asked: None,
            unwaited: now,
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns when to look for the first time.
    pub(super) fn first_look(&self) -> Instant {
        self.since + self.patience().min(LOOK)
    }

    /// Returns whether the host was asked and nothing came since.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Takes note of when bytes last came, `None` where nobody waits for any; returns what that
    /// means and when to look again.
    pub(super) fn look(&mut self, now: Instant, heard: Option<Instant>) -> (Verdict, Instant) {
        if heard.is_none() {
            self.unwaited = now;
        }
        let since = heard.map_or(now, |heard| heard.max(self.unwaited));
        if since > self.since {
            self.since = since;
            self.asked = None;
        }
        let at = self.next();
        if now < at {
            return (Verdict::Fine, at.min(now + LOOK));
        }
        if self.asked.is_some() {
            let silence = now.saturating_duration_since(self.since);
            return (Verdict::Lost { silence }, now);
        }
        self.asked = Some(now);
        (Verdict::Ask, self.next().min(now + LOOK))
    }

    /// When the question is due, or after it the end.
    fn next(&self) -> Instant {
        match self.asked {
            None => self.since + self.patience(),
            // A process that was stopped itself comes late with its question: it gets its time.
            Some(asked) => {
                let end = self.since + self.interval.saturating_mul(self.max);
                end.max(asked + self.patience())
            }
        }
    }

    /// From the last byte to the question.
    fn patience(&self) -> Duration {
        match self.max {
            1 => self.interval / 2,
            _ => self.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// Looks at a host that says nothing after `heard`, whenever it is told to, from the first look
    /// on; returns when it was asked and when it was lost.
    fn until_lost(silence: &mut Silence, heard: Instant) -> (Vec<Duration>, Duration) {
        let (mut asked, mut at) = (Vec::new(), silence.first_look());
        loop {
            let (verdict, again) = silence.look(at, Some(heard));
            match verdict {
                Verdict::Fine => {}
                Verdict::Ask => asked.push(at - heard),
                Verdict::Lost { silence } => {
                    assert!(silence <= at - heard);
                    return (asked, at - heard);
                }
            }
            assert!(again > at && again <= at + LOOK);
            at = again;
        }
    }

    #[test]
    fn a_silent_host_is_asked_once_and_lost_at_the_limit() {
        let start = Instant::now();
        for (interval, max) in [(30, 3), (15, 2), (1, 3), (3, 4), (60, 10)] {
            let mut silence = Silence::new(S * interval, max, start);
            let expected = (vec![S * interval], S * interval * max);
            assert_eq!(until_lost(&mut silence, start), expected);
        }
        let mut once = Silence::new(S * 10, 1, start);
        assert_eq!(until_lost(&mut once, start), (vec![S * 5], S * 10));
    }

    #[test]
    fn an_answer_begins_the_count_anew() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 4, 3, start);
        assert_eq!(silence.look(start + S * 4, Some(start)).0, Verdict::Ask);
        assert!(silence.is_asked());
        let heard = start + S * 9;
        let looked = silence.look(start + S * 10, Some(heard));
        assert_eq!(looked, (Verdict::Fine, heard + S * 4));
        assert!(!silence.is_asked());
        assert_eq!(until_lost(&mut silence, heard).1, S * 12);
    }

    #[test]
    fn a_host_that_sends_is_never_asked() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 2, 3, start);
        for second in 0..1000 {
            let now = start + S * second;
            assert_eq!(silence.look(now, Some(now)).0, Verdict::Fine);
        }
    }

    /// Nobody waits for an hour; the silence counts from when somebody does.
    #[test]
    fn silence_that_nobody_waits_through_does_not_count() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 10, 3, start);
        for second in (0..3600).step_by(5) {
            let looked = silence.look(start + S * second, None);
            assert_eq!(looked, (Verdict::Fine, start + S * (second + 5)));
        }
        let last = start + S * 3595;
        assert_eq!(silence.look(last + S * 5, Some(start)).0, Verdict::Fine);
        assert_eq!(until_lost(&mut silence, start).1, S * 3595 + S * 30);
    }

    /// This process was stopped for an hour in the middle of a silence: the host gets its question
    /// and time to answer.
    #[test]
    fn a_process_that_slept_asks_before_it_gives_up() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 5, 3, start);
        let woken = start + S * 3600;
        let looked = silence.look(woken, Some(start));
        assert_eq!(looked, (Verdict::Ask, woken + S * 5));
        let lost = silence.look(woken + S * 5, Some(start)).0;
        assert!(matches!(lost, Verdict::Lost { .. }));
    }

    #[test]
    fn an_interval_beyond_the_clock_is_as_good_as_none() {
        let start = Instant::now();
        let mut silence = Silence::new(Duration::MAX, u32::MAX, start);
        assert_eq!(silence.first_look(), start + LOOK);
        let later = start + S * 86_400;
        assert_eq!(
            silence.look(later, Some(start)),
            (Verdict::Fine, later + LOOK)
        );
    }
}
