//! The hosts of one run: who waits for what.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

use super::Counts;

/// The hosts of one run.
#[derive(Debug)]
pub(super) struct RunHosts {
    /// Hosts that are back from a pause or from a busy destination; they go before `waiting`.
    pub(super) ready: VecDeque<usize>,
    /// Hosts to begin, next one first.
    pub(super) waiting: VecDeque<usize>,
    /// Hosts that are tried again at that time.
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    pub(super) states: Vec<State>,
    pub(super) counts: Counts,
    deadline: Option<Instant>,
    /// Set by `stop`: no host of it is begun any more, not even one that is put back.
    stopped: bool,
}

/// Where a host is in its run.
/// Waiting → Connecting | Running; Connecting → Running | Waiting | Ended;
/// Running → Waiting (its kept session had died) | Ended; Waiting → Ended (the run was stopped).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Connecting,
    Running,
    Ended,
}

impl RunHosts {
    /// All hosts of a run wait, in this order.
    pub(super) fn new(waiting: VecDeque<usize>, deadline: Option<Instant>) -> Self {
        let hosts = waiting.len();
        Self {
            ready: VecDeque::new(),
            waiting,
            paused: BinaryHeap::new(),
            states: vec![State::Waiting; hosts],
            counts: Counts {
                waiting: hosts,
                ..Counts::default()
            },
            deadline,
            stopped: false,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.stopped || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn enter(&mut self, host: usize, state: State) {
        let before = std::mem::replace(&mut self.states[host], state);
        assert_ne!(before, State::Ended, "a host ends once");
        *self.counts.of(before) -= 1;
        *self.counts.of(state) += 1;
    }

    /// Puts a host aside until that time.
    pub(super) fn pause(&mut self, host: usize, until: Instant) {
        self.enter(host, State::Waiting);
        self.paused.push(Reverse((until, host)));
    }

    /// Takes back the hosts whose pause is over.
    pub(super) fn resume(&mut self, now: Instant) {
        while let Some(Reverse((until, host))) = self.paused.peek().copied()
            && until <= now
        {
            self.paused.pop();
            self.ready.push_back(host);
        }
    }

    /// Returns when the next pause is over.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        self.paused.peek().map(|Reverse((until, _))| *until)
    }

    /// Ends all hosts that wait for whatever, and returns them.
    pub(super) fn stop(&mut self) -> Vec<usize> {
        self.stopped = true;
        if self.counts.waiting == 0 {
            return Vec::new();
        }
        self.ready.clear();
        self.waiting.clear();
        self.paused.clear();
        let waits = |host: &usize| self.states[*host] == State::Waiting;
        let stopped: Vec<usize> = (0..self.states.len()).filter(waits).collect();
        for host in &stopped {
            self.enter(*host, State::Ended);
        }
        stopped
    }
}
