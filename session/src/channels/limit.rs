//! How many channels a host allows, as far as its answers tell; pure.

/// Channels of a session at once, until the host refuses one. sshd allows ten (`MaxSessions`), and
/// counts a command that was left behind for as long as it runs: two are for those.
const CHANNELS_MAX: usize = 8;
/// Channels that are opened below a limit learnt, before one more is tried: what the host counted
/// and we did not may be gone by then. Doubles with each refusal, up to the second.
const PATIENCE_MIN: u32 = 32;
const PATIENCE_MAX: u32 = 4096;

/// Places, those taken, and what was learnt about them.
#[derive(Debug)]
pub(super) struct Limit {
    taken: usize,
    most: usize,
    /// Channels freed since the host was last asked for one: it may count them still. sshd takes
    /// in a close and an open that come together before it lets go of the closed channel.
    lingering: usize,
    patience: u32,
    /// Opens until one place more is tried.
    until_trial: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            taken: 0,
            most: CHANNELS_MAX,
            lingering: 0,
            patience: PATIENCE_MIN,
            until_trial: PATIENCE_MIN,
        }
    }
}

impl Limit {
    /// Takes a place; `false` if none is free.
    pub(super) fn take(&mut self) -> bool {
        let is_free = self.taken < self.most;
        self.taken += usize::from(is_free);
        is_free
    }

    /// Gives a place back, with the channel that had it or without one.
    pub(super) fn give_back(&mut self, channel: Option<Freed>) {
        self.taken = self.taken.saturating_sub(1);
        self.lingering += usize::from(channel.is_some());
    }

    /// Returns what the host may count besides the channel that it is asked for at this moment.
    pub(super) fn ask(&mut self) -> Asked {
        Asked {
            others: self.taken.saturating_sub(1),
            lingering: std::mem::take(&mut self.lingering),
        }
    }

    /// Takes note of a refusal; returns whether others were the reason, so that it is worth asking
    /// again.
    pub(super) fn refused(&mut self, asked: Asked) -> bool {
        if asked.lingering > 0 {
            return true;
        }
        if asked.others > 0 {
            self.most = self.most.min(asked.others);
            self.until_trial = self.patience;
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        }
        asked.others > 0
    }

    /// Returns whether the host is known to have no room for another channel beside those open and
    /// one that is just being closed: the close is then not to wait for the next open.
    pub(super) fn is_tight(&self) -> bool {
        self.most < CHANNELS_MAX && self.taken + 1 >= self.most
    }

    /// Takes note of a channel opened.
    pub(super) fn accepted(&mut self) {
        if self.most == CHANNELS_MAX {
            return;
        }
        self.until_trial -= 1;
        if self.until_trial == 0 {
            self.most += 1;
            self.until_trial = self.patience;
        }
    }
}

/// A channel of a place was freed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freed;

/// What a host may have counted when it was asked for a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    others: usize,
    lingering: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn asked(others: usize) -> Asked {
        let lingering = 0;
        Asked { others, lingering }
    }

    fn take_all(limit: &mut Limit) -> usize {
        std::iter::from_fn(|| limit.take().then_some(())).count()
    }

    #[test]
    fn eight_places_until_the_host_refuses() {
        let mut limit = Limit::default();
        assert_eq!(take_all(&mut limit), 8);
        assert!(!limit.is_tight());
        limit.give_back(Some(Freed));
        assert!(limit.take() && !limit.take());
    }

    #[test]
    fn a_refusal_lowers_the_limit_to_what_was_open() {
        let mut limit = Limit::default();
        for _ in 0..3 {
            assert!(limit.take());
        }
        let asked = limit.ask();
        assert!(limit.refused(asked) && limit.is_tight());
        limit.give_back(None);
        assert!(!limit.take());
        limit.give_back(Some(Freed));
        assert!(limit.take() && !limit.take());
    }

    #[test]
    fn a_refusal_with_nothing_open_is_the_hosts() {
        let mut limit = Limit::default();
        assert!(limit.take());
        let asked = limit.ask();
        assert!(!limit.refused(asked));
        assert_eq!(limit.most, 8);
    }

    /// A channel that was freed with no answer since is a reason to ask once more, and to learn nothing.
    #[test]
    fn a_channel_just_closed_may_count_still() {
        let mut limit = Limit::default();
        assert!(limit.take() && limit.take());
        limit.give_back(Some(Freed));
        assert!(limit.take());
        let asked = limit.ask();
        assert!(limit.refused(asked));
        assert_eq!(limit.most, 8);
        let asked = limit.ask();
        assert!(limit.refused(asked));
        assert_eq!(limit.most, 1);
    }

    #[test]
    fn one_more_is_tried_later_and_later() {
        let mut limit = Limit::default();
        let mut opens_until_trial = Vec::new();
        for _ in 0..9 {
            assert!(limit.refused(asked(1)));
            let opens = std::iter::from_fn(|| {
                limit.accepted();
                (limit.most == 1).then_some(())
            });
            opens_until_trial.push(1 + opens.count());
        }
        let doubled = [32, 64, 128, 256, 512, 1024, 2048, 4096, 4096];
        assert_eq!(opens_until_trial, doubled);
    }

    proptest! {
        /// Whatever a host answers, there is a place when none is taken, and never more than eight; and nobody asks
        /// without end.
        #[test]
        fn there_is_always_a_place_for_one(answers in prop::collection::vec(0_u8..4, 0..400)) {
            let mut limit = Limit::default();
            for answer in answers {
                match answer {
                    0 => limit.give_back(Some(Freed)),
                    1 if limit.take() => {
                        let mut asks = 0;
                        while { let asked = limit.ask(); limit.refused(asked) } && limit.taken <= limit.most {
                            asks += 1;
                            prop_assert!(asks < 3);
                        }
                        limit.give_back(None);
                    }
                    _ if limit.take() => { limit.ask(); limit.accepted() }
                    _ => {}
                }
                prop_assert!(limit.taken <= CHANNELS_MAX);
                prop_assert!((1..=CHANNELS_MAX).contains(&limit.most));
            }
        }
    }
}
