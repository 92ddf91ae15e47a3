//! The processes of a host, and which of them are a command's; pure.
//!
//! The principal types are [`Process`], one line of a list, and [`Family`], a command's processes.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use super::started::{Age, Ages};

/// A process of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// Its session; where `ps` gave it, its process group.
    pub(super) session: u32,
    /// When it started, on a clock of the host's.
    pub(super) started: Since,
}

/// When a process started, as well as the host can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Since {
    /// In ticks of Linux's `/proc`, a hundred in a second; tells two processes of one number apart.
    Ticks(u64),
    /// So many seconds ago (`etime` of `ps`).
    Ago(u64),
}

/// What tells one process from a later one of the same number; only the number, where there is no
/// `/proc`.
type Identity = (u32, Option<u64>);

impl Process {
    pub(super) fn identity(&self) -> Identity {
        match self.started {
            Since::Ticks(ticks) => (self.pid, Some(ticks)),
            Since::Ago(_) => (self.pid, None),
        }
    }

    /// Returns how long before another it started; `None` if it started after it.
    fn older_than(&self, other: &Self) -> Option<Duration> {
        match (self.started, other.started) {
            (Since::Ticks(own), Since::Ticks(other)) => Some(Duration::from_millis(
                other.checked_sub(own)?.saturating_mul(10),
            )),
            (Since::Ago(own), Since::Ago(other)) => {
                Some(Duration::from_secs(own.checked_sub(other)?))
            }
            _ => None,
        }
    }

    /// Returns by how much [`Process::older_than`] may be off.
    fn grain(&self) -> Duration {
        match self.started {
            Since::Ticks(_) => Duration::from_millis(30),
            Since::Ago(_) => Duration::from_millis(1_100),
        }
    }
}

/// Reads `pid parent session start state` of `/proc`. What is no process any more is none.
pub(super) fn of_proc(item: &str) -> Option<Process> {
    let (process, state) = numbers(item)?;
    let mut words = state.split(' ');
    let ticks = words.next()?.parse().ok()?;
    if matches!(words.next()?, "Z" | "X" | "x") {
        return None;
    }
    let started = Since::Ticks(ticks);
    Some(Process { started, ..process })
}

/// Reads `pid parent group elapsed state` of `ps`; without a state, all of them live.
pub(super) fn of_ps(line: &str) -> Option<Process> {
    let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let (process, rest) = numbers(&line)?;
    let mut words = rest.split(' ');
    let started = Since::Ago(elapsed(words.next()?)?);
    if words.next().is_some_and(|state| state.starts_with('Z')) {
        return None;
    }
    Some(Process { started, ..process })
}

fn numbers(item: &str) -> Option<(Process, &str)> {
    let mut words = item.splitn(4, ' ');
    let mut number = || words.next()?.parse().ok();
    let (pid, parent, session) = (number()?, number()?, number()?);
    let process = Process {
        pid,
        parent,
        session,
        started: Since::Ago(0),
    };
    Some((process, words.next()?))
}

/// Reads `[[dd-]hh:]mm:ss` as seconds.
fn elapsed(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut seconds: u64 = 0;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let days: u64 = days.parse().ok()?;
    days.checked_mul(24 * 60 * 60)?.checked_add(seconds)
}

/// Returns the process that a command began as: a child of the connection's own process, like the
/// helper. `None` if there is none, or if it cannot be told from those of other commands.
pub(super) fn leader(table: &[Process], helper: u32, ages: &Ages) -> Option<Process> {
    let helper = *table.iter().find(|process| process.pid == helper)?;
    let mut children: Vec<_> = table
        .iter()
        .filter(|process| process.parent == helper.parent && process.pid != helper.pid)
        .filter_map(|process| Some((process.older_than(&helper)?, *process)))
        .collect();
    if ages.only && children.len() == 1 {
        return Some(children[0].1);
    }
    let fits = |age: &Age, older: Duration| {
        let slack = helper.grain() + older / CLOCKS_DIFFER;
        age.least.saturating_sub(slack) <= older && older <= age.most + slack
    };
    children.sort_by_key(|(older, process)| (Reverse(*older), process.pid));
    // Ours, and those that are too close to it to be told from it by their age.
    let mut group = vec![false; ages.commands.len()];
    group[ages.own] = true;
    let mut members = 0;
    let mut near: Vec<&(Duration, Process)> = Vec::new();
    while members < group.iter().filter(|is| **is).count() {
        members = group.iter().filter(|is| **is).count();
        let within = |(older, _): &&(Duration, Process)| {
            (ages.commands.iter().zip(&group)).any(|(age, is)| *is && fits(age, *older))
        };
        near = children.iter().filter(within).collect();
        for (age, is) in ages.commands.iter().zip(&mut group) {
            *is |= near.iter().any(|(older, _)| fits(age, *older));
        }
    }
    // One process for each: they were started one after the other.
    let place = group[..ages.own].iter().filter(|is| **is).count();
    (near.len() == members && is_in_order(&near)).then(|| near[place].1)
}

/// Returns whether the numbers of processes tell the order in which they were started.
fn is_in_order(processes: &[&(Duration, Process)]) -> bool {
    processes.windows(2).all(|pair| {
        let ((first, one), (second, other)) = (pair[0], pair[1]);
        let ticks = matches!(one.started, Since::Ticks(_));
        first != second || (ticks && other.pid - one.pid < PIDS_APART_MAX)
    })
}

/// Numbers of processes that were started in one tick and are further apart have come round.
const PIDS_APART_MAX: u32 = 10_000;
/// The clocks of two machines differ by less than this part of a time.
const CLOCKS_DIFFER: u32 = 1_000;

/// The processes of a command: its first one's session, and all that descend from them.
#[derive(Debug)]
pub(super) struct Family {
    leader: Identity,
    /// All that ever were of it: their children are, even if they have left the session.
    known: HashSet<Identity>,
}

impl Family {
    pub(super) fn new(leader: &Process) -> Self {
        let leader = leader.identity();
        Self {
            leader,
            known: HashSet::from([leader]),
        }
    }

    /// Returns those that live, parents before their children.
    pub(super) fn living(&mut self, table: &[Process]) -> Vec<Process> {
        // The number may have come round to another process, which then leads the session.
        let (number, _) = self.leader;
        let taken = table
            .iter()
            .any(|process| process.pid == number && process.identity() != self.leader);
        let (mut living, mut rest): (Vec<&Process>, Vec<_>) = table.iter().partition(|process| {
            self.known.contains(&process.identity()) || (process.session == number && !taken)
        });
        loop {
            let parents: HashSet<u32> = living.iter().map(|process| process.pid).collect();
            let (children, others): (Vec<_>, Vec<_>) = rest
                .into_iter()
                .partition(|process| parents.contains(&process.parent));
            if children.is_empty() {
                break;
            }
            living.extend(children);
            rest = others;
        }
        self.known.extend(living.iter().map(|p| p.identity()));
        let mut living: Vec<Process> = living.into_iter().copied().collect();
        sort_by_descent(&mut living);
        living
    }
}

/// Puts parents before their children: a shell whose child ends first would run its next line.
fn sort_by_descent(processes: &mut Vec<Process>) {
    let mut sorted = Vec::with_capacity(processes.len());
    while !processes.is_empty() {
        let all: HashSet<u32> = processes.iter().map(|process| process.pid).collect();
        let (children, roots): (Vec<_>, Vec<_>) = processes
            .drain(..)
            .partition(|process| all.contains(&process.parent) && process.parent != process.pid);
        if roots.is_empty() {
            // A circle, which no host has.
            sorted.extend(children);
            break;
        }
        sorted.extend(roots);
        *processes = children;
    }
    *processes = sorted;
}

#[cfg(test)]
mod tests;
