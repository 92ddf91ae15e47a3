//! The hosts of a run that are under way the longest, with how far each has come: a line each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sshoal::{Event, Times};

use crate::sanitise::one_line;

/// The hosts under way; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Table {
    hosts: Arc<Mutex<Hosts>>,
}

/// What is known of the hosts.
#[derive(Debug)]
struct Hosts {
    /// By host, in input order.
    labels: Vec<String>,
    /// What those do that have let us in.
    inside: &'static str,
    under_way: HashMap<usize, Host>,
    /// How long those took that have ended.
    took: Times,
}

/// A host under way.
#[derive(Debug, Clone, Copy)]
struct Host {
    since: Instant,
    doing: &'static str,
}

impl Table {
    /// Begins with the hosts' labels in input order.
    pub(super) fn new(labels: Vec<String>, inside: &'static str) -> Self {
        let hosts = Hosts {
            labels,
            inside,
            under_way: HashMap::new(),
            took: Times::new(),
        };
        Self {
            hosts: Arc::new(Mutex::new(hosts)),
        }
    }

    /// Notes what a host does; [`Self::finished`] notes its end.
    pub(super) fn event(&self, event: &Event, now: Instant) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let index = event.index();
        let doing = match event {
            Event::Started { .. } => "connect",
            Event::Connected { .. } => "auth",
            Event::Authenticated { .. } => hosts.inside,
            Event::Accepted { .. } => "run",
            Event::Retry { .. } => "retry",
            _ => return,
        };
        let host = Host { since: now, doing };
        hosts.under_way.entry(index).or_insert(host).doing = doing;
    }

    /// Notes that a host ended.
    pub(super) fn finished(&self, index: usize, now: Instant) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.under_way.remove(&index) {
            hosts.took.add(now.saturating_duration_since(host.since));
        }
    }

    /// Returns the lines, the host that is under way the longest first.
    pub(super) fn lines(&self, now: Instant) -> Vec<String> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = hosts.took.percentile(50);
        let line = |(index, took, doing): (usize, Duration, &str)| {
            // A few that are slow say something of these; before half have ended, of nobody.
            let is_slow = usual.is_some_and(|usual| took > usual * SLOW_TIMES);
            let slow = if is_slow { "  slow" } else { "" };
            let label = one_line(&hosts.labels[index]);
            format!("  {label}  {doing} {:.1}s{slow}", took.as_secs_f64())
        };
        let mut longest: Vec<(usize, Duration, &str)> = hosts
            .under_way
            .iter()
            .map(|(index, host)| {
                let took = now.saturating_duration_since(host.since);
                (*index, took, host.doing)
            })
            .filter(|(_, took, _)| *took >= SHOWN_AFTER)
            .collect();
        longest.sort_by_key(|(index, took, _)| (std::cmp::Reverse(*took), *index));
        longest.truncate(LINES_MAX);
        longest.into_iter().map(line).collect()
    }
}

/// Hosts that have a line.
const LINES_MAX: usize = 5;
/// Hosts that are done sooner never have one.
const SHOWN_AFTER: Duration = Duration::from_millis(500);
/// So many times as long as half of the hosts took is slow.
const SLOW_TIMES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_under_way_come_first_and_fast_ones_never() {
        let labels = ["a", "b\x1b[2J", "c"].map(str::to_owned).into();
        let (table, begun) = (Table::new(labels, "open"), Instant::now());
        let at = Duration::ZERO;
        for (index, after) in [(0, 300), (1, 0), (2, 900)] {
            let now = begun + Duration::from_millis(after);
            table.event(&Event::Started { index, at }, now);
        }
        table.event(&Event::Accepted { index: 1, at }, begun);
        let lines = table.lines(begun + Duration::from_secs(1));
        assert_eq!(lines, ["  b\\x1b[2J  run 1.0s", "  a  connect 0.7s"]);
        let mut hosts = table.hosts.lock().unwrap();
        hosts.took.add(Duration::from_millis(200));
        drop(hosts);
        let lines = table.lines(begun + Duration::from_secs(1));
        assert_eq!(lines, ["  b\\x1b[2J  run 1.0s  slow", "  a  connect 0.7s"]);
    }
}
