//! A report as an error, for callers who want one instead of outcomes to look at.
//!
//! The principal type is [`FailedHosts`].

use std::error::Error as StdError;
use std::fmt;

use super::Report;
use crate::outcome::{End, Outcome};

/// Some hosts of a run failed; the whole report is within, with the outcomes of all hosts.
///
/// Its text names how many failed and the first of them in input order; its source is that host's
/// error, if it has one.
#[derive(Debug)]
pub struct FailedHosts {
    report: Report,
    /// In input order, at least one.
    failed: Vec<usize>,
}

impl FailedHosts {
    /// Returns the report as it is if no outcome is bad.
    pub(super) fn unless_none(
        report: Report,
        is_bad: impl Fn(&Outcome) -> bool,
    ) -> Result<Report, Box<Self>> {
        let bad = report.outcomes.iter().enumerate();
        let bad = bad.filter(|(_, outcome)| is_bad(outcome));
        let failed: Vec<usize> = bad.map(|(at, _)| at).collect();
        match failed.is_empty() {
            true => Ok(report),
            false => Err(Box::new(Self { report, failed })),
        }
    }

    /// Returns the outcomes of the hosts that failed, in input order.
    pub fn outcomes(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        self.failed.iter().map(|at| &self.report.outcomes[*at])
    }

    /// Returns the outcome of the first host, in input order, that failed.
    pub fn first(&self) -> &Outcome {
        &self.report.outcomes[self.failed[0]]
    }

    /// Returns the outcomes of all hosts.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns the outcomes of all hosts.
    pub fn into_report(self) -> Report {
        self.report
    }
}

impl fmt::Display for FailedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, hosts) = (self.failed.len(), self.report.outcomes.len());
        let first = self.first();
        write!(f, "{failed} of {hosts} hosts failed; {}: ", first.host())?;
        match first.end() {
            // The error itself is the source.
            End::Failed(error) => write!(f, "{} failed", error.phase()),
            end => end.fmt(f),
        }
    }
}

impl StdError for FailedHosts {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.first().end() {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }
}
