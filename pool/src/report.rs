//! All outcomes of a run, in the order of its hosts.

use std::ops::Index;

use sshoal_session::Error;

use crate::outcome::{End, Outcome, StopCause};

mod failed;

pub use self::failed::FailedHosts;

/// The outcomes of a run in input order, one per host.
#[derive(Debug)]
#[must_use]
pub struct Report {
    /// In input order.
    outcomes: Vec<Outcome>,
    /// Positions in `outcomes` in the order in which hosts ended.
    ended: Vec<usize>,
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
    /// Sorts the outcomes by host; they are given in the order in which hosts ended.
    pub(crate) fn new(outcomes: Vec<Outcome>, stopped_by: Option<StopCause>) -> Self {
        let mut numbered: Vec<(usize, Outcome)> = outcomes.into_iter().enumerate().collect();
        numbered.sort_unstable_by_key(|(_, outcome)| outcome.index());
        let mut ended = vec![0; numbered.len()];
        for (at, (nth, _)) in numbered.iter().enumerate() {
            ended[*nth] = at;
        }
        let outcomes: Vec<Outcome> = numbered.into_iter().map(|(_, outcome)| outcome).collect();
        let mut counts = Counts::default();
        for outcome in &outcomes {
            counts.add(outcome.end());
        }
        Self {
            outcomes,
            ended,
            counts,
            stopped_by,
        }
    }

    /// Returns the outcomes in input order; the position is the host's index.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Returns the outcomes in the order in which hosts ended; those that were not begun come when
    /// the run was stopped.
    pub fn in_completion_order(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        self.ended.iter().map(|at| &self.outcomes[*at])
    }

    /// Returns the outcome of the host at an index, if the run has it.
    pub fn get(&self, index: usize) -> Option<&Outcome> {
        self.outcomes.get(index)
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

impl Report {
    /// Returns the outcomes that are anything but exit status 0, in input order.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_success())
    }

    /// Returns the first host, in input order, that failed with an error, and the error. Exit
    /// statuses and signals are none.
    pub fn first_error(&self) -> Option<(&Outcome, &Error)> {
        self.outcomes
            .iter()
            .find_map(|outcome| match outcome.end() {
                End::Failed(error) => Some((outcome, error)),
                _ => None,
            })
    }

    /// Returns the report if every host ended with exit status 0.
    ///
    /// # Errors
    /// Some did not. The report is in the error, so that nothing is lost of the others.
    pub fn require_success(self) -> Result<Self, Box<FailedHosts>> {
        FailedHosts::unless_none(self, |outcome| !outcome.is_success())
    }

    /// Returns the report if the command was started on every host, whatever became of it: what
    /// parallel-ssh raises for with `stop_on_errors`.
    ///
    /// # Errors
    /// Some hosts failed before that ([`End::is_not_started`]), or were cancelled.
    pub fn require_started(self) -> Result<Self, Box<FailedHosts>> {
        FailedHosts::unless_none(self, |outcome| match outcome.end() {
            End::Cancelled { .. } => true,
            end => end.is_not_started(),
        })
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
