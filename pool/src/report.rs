//! All outcomes of a run, in the order of its hosts.

use std::ops::Index;

use crate::outcome::{End, Outcome, StopCause};

/// The outcomes of a run in input order, one per host.
#[derive(Debug)]
#[must_use]
pub struct Report {
    outcomes: Vec<Outcome>,
    counts: Counts,
    stopped_by: Option<StopCause>,
}

/// How many hosts ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Exit status 0.
    pub succeeded: usize,
    /// Another exit status.
    pub exited: usize,
    /// Ended by a signal.
    pub signaled: usize,
    /// Neither status nor signal.
    pub no_status: usize,
    /// Failed.
    pub failed: usize,
    /// Stopped with the run.
    pub cancelled: usize,
}

impl Report {
    /// Sorts the outcomes by host.
    pub(crate) fn new(mut outcomes: Vec<Outcome>, stopped_by: Option<StopCause>) -> Self {
        outcomes.sort_unstable_by_key(Outcome::index);
        let mut counts = Counts::default();
        for outcome in &outcomes {
            counts.add(outcome.end());
        }
        Self {
            outcomes,
            counts,
            stopped_by,
        }
    }

    /// Returns the outcomes in input order; the position is the host's index.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Returns how many hosts ended how.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns what stopped the run early, if anything did.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.stopped_by
    }

    /// Returns whether every host ended with exit status 0.
    pub fn is_success(&self) -> bool {
        self.counts.succeeded == self.outcomes.len()
    }

    /// Returns the outcomes of a host by name, all of them where it is listed more than once.
    pub fn by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Outcome> {
        self.outcomes
            .iter()
            .filter(move |outcome| outcome.host().name() == name)
    }
}

impl Counts {
    /// Counts one host's end in.
    pub fn add(&mut self, end: &End) {
        let count = match end {
            End::Exited(0) => &mut self.succeeded,
            End::Exited(_) => &mut self.exited,
            End::Signaled { .. } => &mut self.signaled,
            End::NoStatus => &mut self.no_status,
            End::Failed(_) => &mut self.failed,
            End::Cancelled { .. } => &mut self.cancelled,
        };
        *count += 1;
    }
}

impl Index<usize> for Report {
    type Output = Outcome;

    fn index(&self, index: usize) -> &Outcome {
        &self.outcomes[index]
    }
}

impl IntoIterator for Report {
    type Item = Outcome;
    type IntoIter = std::vec::IntoIter<Outcome>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

impl<'a> IntoIterator for &'a Report {
    type Item = &'a Outcome;
    type IntoIter = std::slice::Iter<'a, Outcome>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.iter()
    }
}
