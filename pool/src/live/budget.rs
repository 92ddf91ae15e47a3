//! The run's bound of unread output: who may take how much of it, and who is next.
//!
//! Pure; the principal type is [`Budget`]. Each host has a piece of memory for itself, so that
//! nobody who reads one host waits for the readers of others; what is beyond it comes out of here.

use std::collections::VecDeque;

/// Memory that all hosts of a run share.
#[derive(Debug)]
pub(super) struct Budget {
    free: usize,
    /// Hosts that found nothing here, in the order they came; each once.
    queue: VecDeque<usize>,
    /// By host: whether it still wants something, and whether it is in the queue.
    wants: Box<[Want]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Want {
    wants: bool,
    queued: bool,
}

impl Budget {
    pub(super) fn new(bytes: usize, hosts: usize) -> Self {
        Self {
            free: bytes,
            queue: VecDeque::new(),
            wants: vec![Want::default(); hosts].into(),
        }
    }

    /// Takes up to `most` bytes, and `least` at least; a host that gets nothing is told when there
    /// is something: by being the one that [`Budget::next`] returns.
    pub(super) fn take(&mut self, host: usize, least: usize, most: usize) -> Option<usize> {
        if self.free >= least {
            let taken = most.min(self.free);
            self.free -= taken;
            return Some(taken);
        }
        let want = &mut self.wants[host];
        want.wants = true;
        if !std::mem::replace(&mut want.queued, true) {
            self.queue.push_back(host);
        }
        None
    }

    /// Gives bytes back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.free += bytes;
    }

    /// Notes that a host does not wait any more.
    pub(super) fn unwant(&mut self, host: usize) {
        self.wants[host].wants = false;
    }

    /// Returns the host to wake, if there is something for it. One that then takes all it wants
    /// has to ask for the next.
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.free >= WORTH_WAKING {
            let host = self.queue.pop_front()?;
            let want = std::mem::take(&mut self.wants[host]);
            if want.wants {
                return Some(host);
            }
        }
        None
    }
}

/// Nobody is woken for less. No more than any host asks for at least.
const WORTH_WAKING: usize = super::spool::GRANT_MIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_is_left_and_tells_those_in_line() {
        let mut budget = Budget::new(10_000, 4);
        assert_eq!(budget.take(0, 1_000, 8_000), Some(8_000));
        assert_eq!(budget.take(1, 1_000, 8_000), Some(2_000));
        assert_eq!(budget.take(2, 1_000, 8_000), None);
        assert_eq!(budget.take(3, 1_000, 8_000), None);
        assert_eq!(budget.take(2, 1_000, 8_000), None, "in line once");
        assert_eq!(budget.next(), None, "there is nothing");
        budget.give_back(2_000);
        budget.unwant(2);
        assert_eq!(budget.next(), Some(3), "one that waits no more is left out");
        assert_eq!(budget.take(3, 1, 2_000), Some(2_000));
        budget.give_back(2_000);
        assert_eq!(budget.next(), None, "nobody is in line");
        assert_eq!(budget.take(2, 3_000, 8_000), None);
        budget.give_back(8_000);
        assert_eq!(budget.next(), Some(2), "it can come back");
    }
}
