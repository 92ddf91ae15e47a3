//! When a run stops by itself, because too many of its hosts failed.
//!
//! The principal type is [`StopAfter`].

use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::outcome::End;
use crate::run::Flights;

/// After how many failures a run begins no more hosts.
///
/// Hosts that were not begun then end as [`End::Cancelled`] with
/// [`StopCause::Failures`](crate::StopCause::Failures); those in flight are left to end, unless
/// [`StopAfter::in_flight`] says otherwise. Hosts run side by side: those under way at that moment
/// may fail too, so that there are more failures in the end than were asked for.
///
/// # Examples
///
/// ```
/// use sshoal_pool::{Failing, InFlight, RunSpec, StopAfter};
///
/// let careful = RunSpec::new("systemctl restart web").stop_after(StopAfter::first());
/// let unreachable = StopAfter::first().counting(Failing::NotStarted).in_flight(InFlight::End);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct StopAfter {
    limit: Limit,
    counting: Failing,
    in_flight: InFlight,
}

/// Which ends of hosts count as failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Failing {
    /// All but exit status 0; of programs, panics and hosts that were not reached, and what
    /// [`Reached::count_as_failed`](crate::Reached::count_as_failed) was called for.
    #[default]
    NotSuccessful,
    /// Only those of hosts on which the command was not started: not reached, not let in, or
    /// refused. Exit statuses, 255 among them, do not count, nor do commands that were begun and
    /// lost. This is what parallel-ssh's `stop_on_errors` looks at.
    NotStarted,
}

/// What becomes of hosts in flight when a run stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum InFlight {
    /// They go on to their end.
    #[default]
    Finish,
    /// They are given up where they are, as [`RunHandle::cancel`](crate::RunHandle::cancel) does.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Hosts(NonZeroUsize),
    Percent(NonZeroU8),
}

impl StopAfter {
    /// Stops at the first failure.
    pub const fn first() -> Self {
        Self::failures(NonZeroUsize::MIN)
    }

    /// Stops at so many failures.
    pub const fn failures(hosts: NonZeroUsize) -> Self {
        Self::new(Limit::Hosts(hosts))
    }

    /// Stops as soon as so many in a hundred of all hosts of the run have failed. Above 100 it
    /// never does.
    pub const fn percent(percent: NonZeroU8) -> Self {
        Self::new(Limit::Percent(percent))
    }

    const fn new(limit: Limit) -> Self {
        Self {
            limit,
            counting: Failing::NotSuccessful,
            in_flight: InFlight::Finish,
        }
    }

    /// Sets what counts as a failure. Default: [`Failing::NotSuccessful`].
    pub const fn counting(mut self, failing: Failing) -> Self {
        self.counting = failing;
        self
    }

    /// Sets what becomes of hosts in flight. Default: [`InFlight::Finish`].
    pub const fn in_flight(mut self, in_flight: InFlight) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// Returns how many failures stop a run over so many hosts.
    fn limit(&self, hosts: usize) -> usize {
        match self.limit {
            Limit::Hosts(hosts) => hosts.get(),
            Limit::Percent(percent) => (hosts * usize::from(percent.get())).div_ceil(100),
        }
    }
}

/// Counts the failures of one run.
#[derive(Debug)]
pub(crate) struct Failures {
    spec: StopAfter,
    limit: usize,
    seen: AtomicUsize,
}

impl Failures {
    pub(crate) fn new(spec: StopAfter, hosts: usize) -> Self {
        Self {
            spec,
            limit: spec.limit(hosts),
            seen: AtomicUsize::new(0),
        }
    }

    /// Counts a host's end, and whether its program said that it failed; returns what is done with
    /// hosts in flight if the run is to stop at it, which is said once.
    pub(crate) fn count(&self, end: &End, said: bool) -> Option<Flights> {
        let fails = match self.spec.counting {
            Failing::NotSuccessful if said => true,
            Failing::NotSuccessful => !matches!(end, End::Exited(0) | End::Cancelled { .. }),
            Failing::NotStarted => end.is_not_started(),
        };
        if !fails || self.seen.fetch_add(1, Ordering::Relaxed) + 1 != self.limit {
            return None;
        }
        Some(match self.spec.in_flight {
            InFlight::Finish => Flights::Leave,
            InFlight::End => Flights::End,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_all_hosts_and_rounded_up() {
        let limit =
            |percent: u8, hosts| StopAfter::percent(NonZeroU8::new(percent).unwrap()).limit(hosts);
        assert_eq!([limit(1, 1), limit(1, 100), limit(1, 101)], [1, 1, 2]);
        assert_eq!([limit(50, 3), limit(100, 3), limit(101, 3)], [2, 3, 4]);
    }
}
