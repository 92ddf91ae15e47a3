//! When a silent host is asked for a sign of life, and when it is given up: pure, the clock is the
//! caller's.

use std::time::{Duration, Instant};

/// The longest time between two looks at a session: what waits for a flush waits no longer.
const LOOK: Duration = Duration::from_secs(5);
/// libssh2 sends no question sooner after another (`keepalive.c`); and a little for its clock,
/// which is not ours.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(2010);

/// One host's silence.
#[derive(Debug)]
pub(super) struct Silence {
    interval: Duration,
    /// Intervals of silence after which the host counts as lost.
    max: u32,
    /// When the silence began: at the last byte, or later, when somebody began to wait for one.
    since: Instant,
    /// Questions asked since then.
    asked: u32,
    /// When one was asked last, answered or not.
    asked_at: Option<Instant>,
    /// When nobody was seen to wait.
    unwaited: Instant,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to do. So many questions were answered.
    Fine { answers: u32 },
    /// The host is to be asked.
    Ask { answers: u32 },
    /// The host was silent for so long.
    Lost { silence: Duration },
}

impl Verdict {
    pub(super) fn answers(self) -> u32 {
        match self {
            Self::Fine { answers } | Self::Ask { answers } => answers,
            Self::Lost { .. } => 0,
        }
    }
}

impl Silence {
    pub(super) fn new(interval: Duration, max: u32, now: Instant) -> Self {
        Self {
            interval,
            max: max.max(1),
            since: now,
            asked: 0,
            asked_at: None,
            unwaited: now,
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns when to look for the first time.
    pub(super) fn first_look(&self) -> Instant {
        self.since + self.gap().min(LOOK)
    }

    /// Takes note of when bytes last came, `None` where nobody waits for any; returns what that
    /// means and when to look again.
    pub(super) fn look(&mut self, now: Instant, heard: Option<Instant>) -> (Verdict, Instant) {
        if heard.is_none() {
            self.unwaited = now;
        }
        let since = heard.map_or(now, |heard| heard.max(self.unwaited));
        let mut answers = 0;
        if since > self.since {
            self.since = since;
            answers = std::mem::take(&mut self.asked);
        }
        let (at, last) = self.next();
        if now < at {
            return (Verdict::Fine { answers }, at.min(now + LOOK));
        }
        if last {
            let silence = now.saturating_duration_since(self.since);
            return (Verdict::Lost { silence }, now);
        }
        self.asked += 1;
        self.asked_at = Some(now);
        (Verdict::Ask { answers }, self.next().0.min(now + LOOK))
    }

    /// When the next question is due, or, after the last one, the end.
    fn next(&self) -> (Instant, bool) {
        let end = self.since + self.interval.saturating_mul(self.max);
        let due = self.since + self.gap().saturating_mul(self.asked + 1);
        let due = self
            .asked_at
            .map_or(due, |asked| due.max(asked + BETWEEN_QUESTIONS));
        // A question that leaves no time for an answer is not asked, but one is in any case.
        let asks = self.asked < self.questions() && due + self.gap() / 2 <= end;
        if asks || self.asked == 0 {
            return (due, false);
        }
        // A process that was stopped itself comes late with its questions: they get some time.
        let asked = self.asked_at.unwrap_or(self.since);
        (end.max(asked + self.gap() / 2), true)
    }

    /// Questions to a host before it counts as lost: one after each interval but the last.
    fn questions(&self) -> u32 {
        (self.max - 1).max(1)
    }

    /// From the last byte to the first question, and from one to the next.
    fn gap(&self) -> Duration {
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

    /// Looks at a host that says nothing after `heard`, whenever it is told to, from `start` on;
    /// returns when it was asked and when it was lost.
    fn until_lost(silence: &mut Silence, start: Instant) -> (Vec<Duration>, Duration) {
        let (mut asked, mut at) = (Vec::new(), silence.first_look());
        loop {
            let (verdict, again) = silence.look(at, Some(start));
            match verdict {
                Verdict::Fine { .. } => {}
                Verdict::Ask { .. } => asked.push(at - start),
                Verdict::Lost { silence } => {
                    assert!(silence <= at - start);
                    return (asked, at - start);
                }
            }
            assert!(again > at && again <= at + LOOK);
            at = again;
        }
    }

    #[test]
    fn a_silent_host_is_lost_at_the_limit() {
        let start = Instant::now();
        for (interval, max, asked) in [
            (30, 3, vec![30, 60]),
            (15, 2, vec![15]),
            (3, 4, vec![3, 6, 9]),
            (60, 10, (1..10).map(|n| n * 60).collect()),
        ] {
            let mut silence = Silence::new(S * interval, max, start);
            let asked: Vec<_> = asked.into_iter().map(|n| S * n).collect();
            assert_eq!(until_lost(&mut silence, start), (asked, S * interval * max));
        }
        let mut once = Silence::new(S * 10, 1, start);
        assert_eq!(until_lost(&mut once, start), (vec![S * 5], S * 10));
    }

    /// Two seconds pass between two questions, because libssh2 would not send the second.
    #[test]
    fn short_intervals_are_asked_at_most_every_two_seconds() {
        let start = Instant::now();
        let mut silence = Silence::new(S, 3, start);
        let (asked, lost) = until_lost(&mut silence, start);
        assert_eq!((asked, lost), (vec![S], S * 3));
        let mut silence = Silence::new(S, 5, start);
        let (asked, lost) = until_lost(&mut silence, start);
        assert_eq!(asked, [S, S + BETWEEN_QUESTIONS]);
        assert_eq!(lost, S * 5);
    }

    #[test]
    fn an_answer_begins_the_count_anew() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 4, 3, start);
        assert_eq!(
            silence.look(start + S * 4, Some(start)).0,
            Verdict::Ask { answers: 0 }
        );
        assert_eq!(
            silence.look(start + S * 8, Some(start)).0,
            Verdict::Ask { answers: 0 }
        );
        let heard = start + S * 9;
        let (verdict, again) = silence.look(start + S * 10, Some(heard));
        assert_eq!(
            (verdict, again),
            (Verdict::Fine { answers: 2 }, heard + S * 4)
        );
        assert_eq!(until_lost(&mut silence, heard).1, S * 12);
    }

    #[test]
    fn a_host_that_sends_is_never_asked() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 2, 3, start);
        for second in 0..1000 {
            let now = start + S * second;
            assert_eq!(silence.look(now, Some(now)).0, Verdict::Fine { answers: 0 });
        }
    }

    /// Nobody waits for an hour; the silence counts from when somebody does.
    #[test]
    fn silence_that_nobody_waits_through_does_not_count() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 10, 3, start);
        for second in (0..3600).step_by(5) {
            let (verdict, again) = silence.look(start + S * second, None);
            assert_eq!(verdict, Verdict::Fine { answers: 0 });
            assert_eq!(again, start + S * (second + 5));
        }
        let last = start + S * 3595;
        assert_eq!(
            silence.look(last + S * 5, Some(start)).0,
            Verdict::Fine { answers: 0 }
        );
        assert_eq!(until_lost(&mut silence, start).1, S * 3595 + S * 30);
    }

    /// This process was stopped for an hour in the middle of a silence: the host gets its question
    /// and time to answer.
    #[test]
    fn a_process_that_slept_asks_before_it_gives_up() {
        let start = Instant::now();
        let mut silence = Silence::new(S * 10, 3, start);
        let woken = start + S * 3600;
        let (verdict, again) = silence.look(woken, Some(start));
        assert_eq!(
            (verdict, again),
            (Verdict::Ask { answers: 0 }, woken + S * 5)
        );
        let lost = silence.look(again, Some(start)).0;
        assert!(matches!(lost, Verdict::Lost { .. }));
    }
}
