//! The last lines of a run: how many hosts ended how, how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

use sshoal::Times;

use super::status::fine;
use crate::plan::Talk;
use crate::record::{Ending, Record};
use crate::size;

/// The counts of one run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    hosts: usize,
    ok: usize,
    cancelled: usize,
    no_status: usize,
    statuses: BTreeMap<u32, usize>,
    signals: BTreeMap<String, usize>,
    failures: BTreeMap<(&'static str, &'static str), usize>,
    /// What was copied, if anything was to be: bytes, files, kept, deleted, failed.
    copied: Option<[u64; 5]>,
    /// Times by phase, in the order in which phases were first seen.
    phases: Vec<(&'static str, Times)>,
}

impl Summary {
    /// Counts a finished host.
    pub(crate) fn add(&mut self, record: &Record) {
        self.hosts += 1;
        match &record.ending {
            Ending::Exited(0) => self.ok += 1,
            Ending::Exited(status) => *self.statuses.entry(*status).or_default() += 1,
            Ending::Signaled(name) => *self.signals.entry(name.clone()).or_default() += 1,
            Ending::NoStatus => self.no_status += 1,
            Ending::Failed(f) => *self.failures.entry((f.phase, f.kind)).or_default() += 1,
            Ending::Cancelled { .. } => self.cancelled += 1,
        }
        if let Some(copies) = &record.copies {
            let failed = copies.failed.len() as u64;
            let own = [
                copies.bytes,
                copies.files,
                copies.kept,
                copies.deleted,
                failed,
            ];
            let all = self.copied.get_or_insert_default();
            for (all, own) in all.iter_mut().zip(own) {
                *all += own;
            }
        }
        for &(name, took) in &record.phases {
            match self.phases.iter_mut().find(|(known, _)| *known == name) {
                Some((_, times)) => times.add(took),
                None => {
                    let mut times = Times::new();
                    times.add(took);
                    self.phases.push((name, times));
                }
            }
        }
    }

    /// Returns the summary's lines; the phases' percentiles only if asked to be verbose.
    pub(crate) fn lines(&self, wall: Duration, talk: Talk) -> Vec<String> {
        let hosts = match self.hosts {
            1 => "1 host".to_owned(),
            n => format!("{n} hosts"),
        };
        let rate = self.hosts as f64 / wall.as_secs_f64().max(1e-6);
        let counts = self.counts().join(", ");
        let first = format!(
            "{hosts} in {:.1}s ({rate:.1} hosts/s): {counts}",
            wall.as_secs_f64()
        );
        let mut lines = vec![first];
        lines.extend(self.copied.map(|counts| copied(counts, wall)));
        if talk == Talk::Verbose {
            lines.extend(self.percentiles());
        }
        lines
    }

    fn counts(&self) -> Vec<String> {
        let mut counts = vec![format!("{} ok", self.ok)];
        counts.extend(
            self.statuses
                .iter()
                .map(|(status, n)| format!("{n} exit {status}")),
        );
        counts.extend(
            self.signals
                .iter()
                .map(|(name, n)| format!("{n} signal {name}")),
        );
        if self.no_status > 0 {
            counts.push(format!("{} without exit status", self.no_status));
        }
        let failure = |((phase, kind), n): (&(_, _), _)| format!("{n} failed: {phase} {kind}");
        counts.extend(self.failures.iter().map(failure));
        if self.cancelled > 0 {
            counts.push(format!("{} cancelled", self.cancelled));
        }
        counts
    }

    /// Returns a line per phase with its percentiles over the hosts that reached it.
    fn percentiles(&self) -> impl Iterator<Item = String> {
        let line = |(name, times): &(&'static str, Times)| {
            let of = times.spread()?;
            let [half, most, all, max] = [of.p50, of.p90, of.p99, of.max].map(fine);
            Some(format!(
                "{name:>9}  p50 {half:>8}  p90 {most:>8}  p99 {all:>8}  max {max:>8}"
            ))
        };
        self.phases.iter().filter_map(line)
    }
}

/// Returns the line of what was copied.
fn copied([bytes, files, kept, deleted, failed]: [u64; 5], wall: Duration) -> String {
    let rate = (bytes as f64 / wall.as_secs_f64().max(1e-6)) as u64;
    let (bytes, rate) = (size::show(bytes), size::show(rate));
    let plural = if files == 1 { "" } else { "s" };
    let mut line = format!("{files} file{plural} copied, {bytes} ({rate}/s)");
    for (count, word) in [(kept, "kept"), (deleted, "deleted"), (failed, "not copied")] {
        if count > 0 {
            line.push_str(&format!(", {count} {word}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{refused, sample};

    #[test]
    fn counts_by_kind() {
        let mut summary = Summary::default();
        for _ in 0..7 {
            summary.add(&sample(Ending::Exited(0)));
        }
        summary.add(&sample(Ending::Exited(3)));
        summary.add(&sample(Ending::Signaled("KILL".into())));
        summary.add(&sample(Ending::Failed(refused())));
        let lines = summary.lines(Duration::from_secs(2), Talk::Normal);
        assert_eq!(
            lines,
            ["10 hosts in 2.0s (5.0 hosts/s): \
              7 ok, 1 exit 3, 1 signal KILL, 1 failed: connect refused"]
        );
    }
}
