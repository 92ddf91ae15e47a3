//! The last lines of a run: how many hosts ended how, how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

use sshoal::Times;

use super::heading::Headings;
use super::status::{fine, seconds};
use crate::plan::Summing;
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
    /// Hosts that did not end well, by how they ended.
    bad: BTreeMap<String, Vec<usize>>,
    /// The hosts that took longest, the longest first; at most [`SLOWEST_MAX`].
    slowest: Vec<(Duration, usize)>,
    /// What was copied, if anything was to be: bytes, files, kept, deleted, failed.
    copied: Option<[u64; 5]>,
    /// Whether nothing was copied, and was only to be found out.
    is_dry: bool,
    /// Times by phase, in the order in which phases were first seen.
    phases: Vec<(&'static str, Times)>,
}

impl Summary {
    /// Makes an empty one, of a dry run or of one that does what it says.
    pub(crate) fn of(is_dry: bool) -> Self {
        Self {
            is_dry,
            ..Self::default()
        }
    }

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
        if let Some(how) = how(&record.ending) {
            self.bad.entry(how).or_default().push(record.index);
        }
        let faster = |(took, _): &(Duration, usize)| *took >= record.duration;
        let place = self.slowest.partition_point(faster);
        if place < SLOWEST_MAX {
            self.slowest.insert(place, (record.duration, record.index));
            self.slowest.truncate(SLOWEST_MAX);
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

    /// Returns the summary's lines.
    pub(crate) fn lines(&self, wall: Duration, how: Summing, headings: &Headings) -> Vec<String> {
        if how == Summing::Off {
            return Vec::new();
        }
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
        lines.extend(self.copied.map(|counts| match self.is_dry {
            true => to_copy(counts),
            false => copied(counts, wall),
        }));
        // Of one host alone the status line says it.
        if self.hosts > 1 {
            lines.extend(self.bad(headings));
        }
        if self.bad.contains_key("host_key host_key_unknown") {
            lines.push(UNKNOWN_KEYS.to_owned());
        }
        if how == Summing::Full {
            lines.extend(self.percentiles());
            if self.hosts > 1 {
                let name = |(took, index): &(Duration, usize)| {
                    format!("{} {}", headings.folded(&[*index]), seconds(*took))
                };
                let slowest: Vec<String> = self.slowest.iter().map(name).collect();
                lines.push(format!("{:>9}  {}", "slowest", slowest.join(", ")));
            }
        }
        lines
    }

    /// Returns a line for each way not to end well, with the hosts.
    fn bad(&self, headings: &Headings) -> impl Iterator<Item = String> {
        self.bad.iter().map(|(how, hosts)| {
            let mut hosts = hosts.clone();
            hosts.sort_unstable();
            let mut names = headings.names(&hosts);
            if names.len() > NAMES_BYTES_MAX {
                let few = hosts.len().min(NAMES_MAX);
                let first = headings.folded(&hosts[..few]);
                names = format!("{first} … ({})", hosts.len());
            }
            format!("  {how}: {names}")
        })
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

/// Says how a host ended that did not end well; nothing of one that an interrupt kept from its end.
fn how(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Exited(0) | Ending::Cancelled { .. } => None,
        Ending::Exited(status) => Some(format!("exit {status}")),
        Ending::Signaled(name) => Some(format!("signal {name}")),
        Ending::NoStatus => Some("without exit status".to_owned()),
        Ending::Failed(failure) => Some(format!("{} {}", failure.phase, failure.kind)),
    }
}

/// Hosts that are named as the slowest.
const SLOWEST_MAX: usize = 5;
/// The longest list of folded names that a line has whole.
const NAMES_BYTES_MAX: usize = 500;
/// Hosts that are named where the list is longer.
const NAMES_MAX: usize = 20;

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

/// Returns the line of what a dry run would have copied.
fn to_copy([bytes, files, kept, deleted, failed]: [u64; 5]) -> String {
    let (bytes, plural) = (size::show(bytes), if files == 1 { "" } else { "s" });
    let mut line = format!("{files} file{plural} to copy, {bytes}");
    for (count, what) in [
        (kept, "kept"),
        (deleted, "to delete"),
        (failed, "not to be copied"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line + "; nothing was changed"
}

/// What to do about the first failure that most people see.
const UNKNOWN_KEYS: &str = "  host keys that nobody has recorded: --host-key ask shows them and asks \
                            once, --host-key accept-new records them";

#[cfg(test)]
mod tests {
    use super::super::status::Colors;
    use super::*;
    use crate::record::tests::{refused, sample};

    fn headings(hosts: usize) -> Headings {
        let labels = (0..hosts).map(|index| format!("h{index}")).collect();
        Headings::new(labels, Colors::Off)
    }

    fn add(summary: &mut Summary, ending: Ending) {
        let mut record = sample(ending);
        record.index = summary.hosts;
        record.duration = Duration::from_secs(summary.hosts as u64);
        summary.add(&record);
    }

    #[test]
    fn counts_by_kind_and_names_who_failed() {
        let mut summary = Summary::default();
        for _ in 0..7 {
            add(&mut summary, Ending::Exited(0));
        }
        add(&mut summary, Ending::Exited(3));
        add(&mut summary, Ending::Signaled("KILL".into()));
        add(&mut summary, Ending::Failed(refused()));
        let lines = |how| summary.lines(Duration::from_secs(2), how, &headings(10));
        let counts = [
            "10 hosts in 2.0s (5.0 hosts/s): \
             7 ok, 1 exit 3, 1 signal KILL, 1 failed: connect refused",
            "  connect refused: h9",
            "  exit 3: h7",
            "  signal KILL: h8",
        ];
        assert_eq!(lines(Summing::Counts), counts);
        assert!(lines(Summing::Off).is_empty());
        let full = lines(Summing::Full);
        assert_eq!(full[..4], counts);
        assert!(
            full[4].starts_with("  connect  p50    2.0ms  p90"),
            "{}",
            full[4]
        );
        assert_eq!(
            full[6],
            "  slowest  h9 9.0s, h8 8.0s, h7 7.0s, h6 6.0s, h5 5.0s"
        );
    }

    #[test]
    fn a_long_list_of_names_is_cut() {
        let mut summary = Summary::default();
        for index in 0..3000 {
            let ending = if index % 3 == 0 {
                Ending::Exited(1)
            } else {
                Ending::Exited(0)
            };
            add(&mut summary, ending);
        }
        let lines = summary.lines(Duration::from_secs(2), Summing::Counts, &headings(3000));
        assert!(lines[1].ends_with(" … (1000)"), "{}", lines[1]);
        assert!(lines[1].len() < NAMES_BYTES_MAX, "{}", lines[1]);
    }
}
