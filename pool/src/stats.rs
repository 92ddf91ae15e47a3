//! What a run took and what went wrong in it, as numbers: the principal type is [`Stats`].

use std::collections::BTreeMap;

use sshoal_session::{Kind, Phase};

use crate::outcome::{End, Outcome};
use crate::report::{Counts, Report};

mod times;

pub use times::{Spread, Times};

/// Numbers over the outcomes of any number of hosts and runs.
///
/// Its memory is bounded, whatever the number of outcomes; see [`Times`].
///
/// # Examples
///
/// ```no_run
/// # fn example(pool: sshoal_pool::Pool) -> Result<(), sshoal_pool::RunError> {
/// use sshoal_session::Phase;
///
/// let stats = pool.run("uptime")?.report().stats();
/// if let Some(auth) = stats.phase(Phase::Auth) {
///     println!("authentication: half within {:?}, all within {:?}", auth.p50, auth.max);
/// }
/// for (phase, kind, hosts) in stats.failures() {
///     println!("{hosts} failed: {phase} {kind}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stats {
    hosts: u64,
    counts: Counts,
    phases: BTreeMap<Phase, Times>,
    whole: Times,
    failures: BTreeMap<(Phase, Kind), u64>,
    retries: u64,
    stdout_bytes: u64,
    stderr_bytes: u64,
}

impl Stats {
    /// Returns the numbers of no outcome.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one host's outcome in.
    pub fn add(&mut self, outcome: &Outcome) {
        self.hosts += 1;
        self.counts.add(outcome.end());
        for (phase, took) in outcome.timings().iter() {
            self.phases.entry(phase).or_default().add(took);
        }
        if outcome.started().is_some() {
            self.whole.add(outcome.duration());
        }
        if let End::Failed(error) = outcome.end() {
            let failures = self.failures.entry((error.phase(), error.kind()));
            *failures.or_default() += 1;
        }
        self.retries += u64::from(outcome.attempts().saturating_sub(1));
        self.stdout_bytes += outcome.stdout().len();
        self.stderr_bytes += outcome.stderr().len();
    }

    /// Returns how many outcomes were counted in.
    pub fn hosts(&self) -> u64 {
        self.hosts
    }

    /// Returns how many hosts ended how.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how long a phase took over the hosts that reached it, failed there or not; `None`
    /// if none did. Of a host that was tried more than once, the last attempt counts.
    pub fn phase(&self, phase: Phase) -> Option<Spread> {
        self.phases.get(&phase)?.spread()
    }

    /// Returns how long each phase took that any host reached, in the order of the phases.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, Spread)> + '_ {
        let spread = |(phase, times): (&Phase, &Times)| Some((*phase, times.spread()?));
        self.phases.iter().filter_map(spread)
    }

    /// Returns how long hosts took from their begin to their end, over those that were begun;
    /// `None` if none was. Pauses between attempts are part of it.
    pub fn whole(&self) -> Option<Spread> {
        self.whole.spread()
    }

    /// Returns how many hosts failed, by the phase in which and by what went wrong.
    pub fn failures(&self) -> impl Iterator<Item = (Phase, Kind, u64)> + '_ {
        let failures = self.failures.iter();
        failures.map(|((phase, kind), hosts)| (*phase, *kind, *hosts))
    }

    /// Returns how often hosts were tried again.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Returns how many bytes of standard output the outcomes hold.
    pub fn stdout_bytes(&self) -> u64 {
        self.stdout_bytes
    }

    /// Returns how many bytes of standard error the outcomes hold.
    pub fn stderr_bytes(&self) -> u64 {
        self.stderr_bytes
    }
}

impl<'a> Extend<&'a Outcome> for Stats {
    fn extend<I: IntoIterator<Item = &'a Outcome>>(&mut self, outcomes: I) {
        outcomes.into_iter().for_each(|outcome| self.add(outcome));
    }
}

impl<'a> FromIterator<&'a Outcome> for Stats {
    fn from_iter<I: IntoIterator<Item = &'a Outcome>>(outcomes: I) -> Self {
        let mut stats = Self::new();
        stats.extend(outcomes);
        stats
    }
}

impl Report {
    /// Returns how long phases took and what went wrong, over all outcomes.
    pub fn stats(&self) -> Stats {
        self.into_iter().collect()
    }
}
