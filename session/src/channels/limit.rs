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
    patience: u32,
    /// Opens until one place more is tried.
    until_trial: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            taken: 0,
            most: CHANNELS_MAX,
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

    /// Gives a place back.
    pub(super) fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// Returns how many places are taken besides the caller's own.
    pub(super) fn others(&self) -> usize {
        self.taken.saturating_sub(1)
    }

    /// Takes note of a channel refused while so many others were open, at least one.
    pub(super) fn refused(&mut self, others: usize) {
        self.most = self.most.min(others.max(1));
        self.until_trial = self.patience;
        self.patience = (self.patience * 2).min(PATIENCE_MAX);
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

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn take_all(limit: &mut Limit) -> usize {
        std::iter::from_fn(|| limit.take().then_some(())).count()
    }

    #[test]
    fn eight_places_until_the_host_refuses() {
        let mut limit = Limit::default();
        assert_eq!(take_all(&mut limit), 8);
        limit.give_back();
        assert!(limit.take() && !limit.take());
    }

    #[test]
    fn a_refusal_lowers_the_limit_to_what_was_open() {
        let mut limit = Limit::default();
        for _ in 0..3 {
            assert!(limit.take());
        }
        limit.refused(limit.others());
        limit.give_back();
        assert!(!limit.take());
        limit.give_back();
        assert!(limit.take() && !limit.take());
        // Those that were open when it was asked may all be gone at the answer.
        limit.refused(1);
        assert_eq!(limit.most, 1);
    }

    #[test]
    fn one_more_is_tried_later_and_later() {
        let mut limit = Limit::default();
        let mut opens_until_trial = Vec::new();
        for _ in 0..9 {
            limit.refused(1);
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
        /// Whatever a host answers, there is a place when none is taken, and never more than eight.
        #[test]
        fn there_is_always_a_place_for_one(answers in prop::collection::vec(0_u8..4, 0..400)) {
            let mut limit = Limit::default();
            for answer in answers {
                match answer {
                    0 => limit.give_back(),
                    1 if limit.others() > 0 => {
                        limit.refused(limit.others());
                        limit.give_back();
                    }
                    _ if limit.take() => limit.accepted(),
                    _ => {}
                }
                prop_assert!(limit.taken <= CHANNELS_MAX);
                prop_assert!((1..=CHANNELS_MAX).contains(&limit.most));
            }
        }
    }
}
