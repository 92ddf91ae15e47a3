//! How long each phase of a host took.

use std::time::Duration;

use crate::error::Phase;

const PHASES: [Phase; 8] = [
    Phase::Resolve,
    Phase::Connect,
    Phase::Banner,
    Phase::Kex,
    Phase::HostKey,
    Phase::Auth,
    Phase::Open,
    Phase::Run,
];

/// How long each phase took; a phase that was not reached has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    phases: [Option<Duration>; PHASES.len()],
}

impl Timings {
    /// Returns how long a phase took, if it was reached.
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        let index = PHASES.iter().position(|p| *p == phase)?;
        self.phases[index]
    }

    /// Adds time to a phase; phases that are not timed (transfer, local) are left out.
    pub fn add(&mut self, phase: Phase, took: Duration) {
        if let Some(index) = PHASES.iter().position(|p| *p == phase) {
            *self.phases[index].get_or_insert_default() += took;
        }
    }

    /// Returns the phases that were reached, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        PHASES
            .iter()
            .zip(&self.phases)
            .filter_map(|(phase, took)| Some((*phase, (*took)?)))
    }
}
