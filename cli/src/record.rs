//! One finished host, as the renderers need it: words, numbers and bytes, cleaned where shown.
//!
//! The principal type is [`Record`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sshoal::{
    Collected, Config, End, Error, Event, Host, Jump, Kind, Outcome, Phase, StopCause, Visited,
};

use crate::console::Sink;
use crate::copies::Copies;
use crate::exit_code::Class;
use crate::journal::Journal;
use crate::sanitise::one_line;
use crate::wording::reason;

mod written;

pub(crate) use written::Written;

/// How one host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The command ended with this exit status.
    Exited(u32),
    /// A signal ended the command; the name has no `SIG`, and is the server's text, cleaned.
    Signaled(String),
    /// The channel closed with neither.
    NoStatus,
    /// The host failed.
    Failed(Failure),
    /// The run was stopped before the host's end.
    Cancelled {
        /// How far it had come; `None` if it was never begun.
        phase: Option<&'static str>,
        /// Whether the run's deadline was the reason.
        by_deadline: bool,
    },
}

/// Why a host failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How far the host had come, for example `connect`.
    pub(crate) phase: &'static str,
    /// What went wrong in one word, for example `refused`.
    pub(crate) kind: &'static str,
    /// The same in a sentence, with OpenSSH's words where it has some; one line, cleaned.
    pub(crate) reason: String,
    /// Whether a limit of ours ended a command that had been accepted, or the whole run.
    pub(crate) by_our_limit: bool,
}

/// One finished host.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Position in the input, from 0.
    pub(crate) index: usize,
    /// How the host is called on lines, for example `web1:2222`.
    pub(crate) label: String,
    /// The host's name or address.
    pub(crate) host: String,
    /// The user that was logged in.
    pub(crate) user: String,
    /// The port that was connected to.
    pub(crate) port: u16,
    pub(crate) ending: Ending,
    /// Whether the command was really ended, if we were to end it.
    pub(crate) ended: Option<sshoal::Ending>,
    /// What the command wrote to standard output, if it was collected.
    pub(crate) stdout: Vec<u8>,
    /// What the command wrote to standard error, if it was collected.
    pub(crate) stderr: Vec<u8>,
    /// What is too much for `stdout` and `stderr`, which are empty then; for [`Recorder::in_pieces`].
    pub(crate) kept: [Option<Arc<Collected>>; 2],
    /// Whether some of the output was dropped.
    pub(crate) truncated: bool,
    /// Whether there was a difference that was asked for.
    pub(crate) differs: bool,
    pub(crate) attempts: u32,
    pub(crate) started: Option<SystemTime>,
    pub(crate) duration: Duration,
    /// The jump hosts on the way, the first one first, as ssh's `-J` has them.
    pub(crate) way: Option<Arc<str>>,
    /// What was copied, where that is what the host did.
    pub(crate) copies: Option<Box<Copies>>,
    /// The phases that were reached, in order.
    pub(crate) phases: Vec<(&'static str, Duration)>,
}

impl Ending {
    /// Returns the outcome's word in reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Signaled(_) => "signaled",
            Self::NoStatus => "no_status",
            Self::Failed(_) => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

impl Record {
    /// Returns what the command wrote to a stream, wherever that is.
    pub(crate) fn written(&self, sink: Sink) -> Written<'_> {
        let here = match sink {
            Sink::Stdout => &self.stdout,
            Sink::Stderr => &self.stderr,
        };
        let kept = self.kept[sink as usize].as_deref();
        kept.map_or(Written::Here(here), Written::Kept)
    }

    /// Returns what the exit code makes of it.
    pub(crate) fn class(&self) -> Class {
        match &self.ending {
            Ending::Exited(0) if self.differs => Class::Differs,
            Ending::Exited(0) => Class::Good,
            Ending::Exited(status) => Class::of_status(*status),
            Ending::Signaled(_) => Class::of_signal(),
            Ending::NoStatus => Class::Failed,
            Ending::Failed(failure) if failure.by_our_limit => Class::TimedOut,
            Ending::Failed(Failure {
                kind: "internal" | "worker_crashed",
                ..
            }) => Class::Internal,
            Ending::Failed(_) => Class::Failed,
            Ending::Cancelled {
                by_deadline: true, ..
            } => Class::TimedOut,
            Ending::Cancelled {
                by_deadline: false, ..
            } => Class::Stopped,
        }
    }

    /// Returns how it ended, as a status line says it.
    pub(crate) fn verdict(&self) -> String {
        let verdict = match &self.ending {
            Ending::Exited(0) => match self.copies.as_deref().and_then(Copies::counts) {
                Some(counts) => format!("ok: {counts}"),
                None => "ok".to_owned(),
            },
            Ending::Exited(status) => format!("exit {status}"),
            Ending::Signaled(name) => format!("signal {name}"),
            Ending::NoStatus => "failed: run: no exit status was received".to_owned(),
            Ending::Failed(f) => format!("failed: {}: {}", f.phase, f.reason),
            Ending::Cancelled { phase: None, .. } => "not run".to_owned(),
            Ending::Cancelled {
                phase: Some(phase), ..
            } => format!("cancelled: {phase}"),
        };
        match &self.ended {
            Some(ended) => format!("{verdict}; {ended}"),
            None => verdict,
        }
    }
}

/// Makes records of outcomes.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// By host, in input order.
    pub(crate) labels: Vec<String>,
    /// In input order.
    hosts: Vec<Host>,
    /// User and port, by host.
    logins: Vec<(String, u16)>,
    /// Jump hosts, by host.
    ways: Vec<Option<Arc<str>>>,
    /// Where what happens is kept, too.
    journal: Mutex<Option<Journal>>,
    in_pieces: bool,
}

/// Names the jump hosts on the way of each configuration; those that share one share its name.
fn ways(configs: &[Arc<Config>]) -> Vec<Option<Arc<str>>> {
    let mut known: HashMap<*const Jump, Arc<str>> = HashMap::new();
    let name = |jump: &Arc<Jump>| -> Arc<str> {
        let mut hops = vec![jump.host().to_string()];
        let mut before = jump.config().jump_host();
        while let Some(jump) = before {
            hops.push(jump.host().to_string());
            before = jump.config().jump_host();
        }
        hops.reverse();
        hops.join(",").into()
    };
    let way = |config: &Arc<Config>| {
        let jump = config.jump_host()?;
        let known = known.entry(Arc::as_ptr(jump));
        Some(known.or_insert_with(|| name(jump)).clone())
    };
    configs.iter().map(way).collect()
}

impl Recorder {
    /// Makes it for these hosts, called so, with their configurations.
    pub(crate) fn new(labels: Vec<String>, hosts: &[Host], configs: &[Arc<Config>]) -> Self {
        let login = |(host, config): (&Host, &Arc<Config>)| {
            let user = host.user().unwrap_or(config.user()).to_owned();
            (user, host.port().unwrap_or(config.port()))
        };
        Self {
            labels,
            hosts: hosts.to_vec(),
            logins: hosts.iter().zip(configs).map(login).collect(),
            ways: ways(configs),
            journal: Mutex::default(),
            in_pieces: false,
        }
    }

    /// Leaves much output where it is, for renderers that read it by [`Record::written`]: else all
    /// of a host's is in memory at once.
    pub(crate) fn in_pieces(&mut self, in_pieces: bool) {
        self.in_pieces = in_pieces;
    }

    /// Keeps what happens in a journal, too.
    pub(crate) fn keep(&mut self, journal: Option<Journal>) {
        self.journal = Mutex::new(journal);
    }

    /// Keeps an event: a host's end is [`Self::record_at`]'s.
    pub(crate) fn event(&self, event: &Event) {
        let Some(journal) = &mut *self.journal() else {
            return;
        };
        match event {
            // Not when it has accepted: if we are killed before, it may run the command all the same.
            Event::Authenticated { index, .. } => journal.asked(*index),
            Event::Output {
                index,
                stream,
                bytes,
                ..
            } => journal.bytes(*index, (*stream).into(), bytes),
            _ => {}
        }
    }

    /// Ends the journal with the run.
    ///
    /// # Errors
    /// Fails if not all of it could be written.
    pub(crate) fn end(&self, exit_code: u8) -> anyhow::Result<()> {
        let journal = self.journal().take();
        journal.map_or(Ok(()), |journal| journal.end(exit_code))
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what became of the copies of the host at this position in the list apart; the run was
    /// stopped before, by `stop`.
    pub(crate) fn copied(
        &self,
        index: usize,
        visited: Visited<Copies>,
        stop: Option<StopCause>,
    ) -> Record {
        let mut record = self.made(index, visited.outcome());
        let was_reached = visited.value().is_some();
        let copies = visited.into_result().unwrap_or_default();
        if copies.is_stopped {
            record.ending = Ending::Cancelled {
                phase: Some(Phase::Transfer.as_str()),
                by_deadline: stop == Some(StopCause::Deadline),
            };
        } else if let Some(failure) = copies.failure() {
            record.ending = Ending::Failed(failure);
        }
        if let Some(journal) = &mut *self.journal() {
            // Copies that were cut short can be made again, as if they had not been begun.
            let is_whole = was_reached && copies.ended.is_none() && !copies.is_stopped;
            journal.ended(&record, is_whole);
        }
        record.copies = Some(Box::new(copies));
        record
    }

    /// Takes an outcome apart; its output is read into memory.
    pub(crate) fn record(&self, outcome: &Outcome) -> Record {
        self.record_at(outcome.index(), outcome)
    }

    /// Makes the record of a host that was not begun, because this stopped the run.
    pub(crate) fn left_out(&self, index: usize, cause: StopCause) -> Record {
        let (user, port) = self.logins[index].clone();
        Record {
            index,
            label: self.labels[index].clone(),
            host: self.hosts[index].name().to_owned(),
            user,
            port,
            ending: Ending::Cancelled {
                phase: None,
                by_deadline: cause == StopCause::Deadline,
            },
            ended: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            kept: [None, None],
            truncated: false,
            differs: false,
            attempts: 0,
            started: None,
            duration: Duration::ZERO,
            way: self.ways[index].clone(),
            copies: None,
            phases: Vec::new(),
        }
    }

    /// As [`Self::record`], of the host at this position in the list.
    pub(crate) fn record_at(&self, index: usize, outcome: &Outcome) -> Record {
        let record = self.made(index, outcome);
        if let Some(journal) = &mut *self.journal() {
            journal.ended(&record, is_started(outcome.end()));
        }
        record
    }

    fn made(&self, index: usize, outcome: &Outcome) -> Record {
        let host = outcome.host();
        let mut ending = ending(outcome);
        let streams = [outcome.stdout(), outcome.stderr()];
        let kept = streams.map(|output| output.spilled().filter(|_| self.in_pieces).map(Arc::new));
        let mut read = |at: usize| match streams[at].bytes() {
            Ok(bytes) => bytes.into_owned(),
            Err(error) => {
                let reason = format!("the collected output cannot be read back: {error}");
                let (phase, kind) = ("local", "io");
                ending = Ending::Failed(Failure {
                    phase,
                    kind,
                    reason,
                    by_our_limit: false,
                });
                Vec::new()
            }
        };
        let [stdout, stderr] = [0, 1].map(|at| match kept[at] {
            Some(_) => Vec::new(),
            None => read(at),
        });
        let phases = outcome.timings();
        Record {
            index,
            label: self.labels[index].clone(),
            host: host.name().to_owned(),
            user: self.logins[index].0.clone(),
            port: self.logins[index].1,
            ending,
            ended: outcome.ending().copied(),
            stdout,
            stderr,
            kept,
            truncated: outcome.stdout().is_truncated() || outcome.stderr().is_truncated(),
            differs: false,
            attempts: outcome.attempts(),
            started: outcome.started(),
            duration: outcome.duration(),
            way: self.ways[index].clone(),
            copies: None,
            phases: phases
                .iter()
                .map(|(phase, took)| (phase.as_str(), took))
                .collect(),
        }
    }
}

/// Whether the command may have been begun: a host that was asked for it, and not heard of again,
/// may run it.
fn is_started(end: &End) -> bool {
    match end {
        End::Failed(error) if error.phase() == Phase::Open => !matches!(
            error.kind(),
            // The host, or we before it was asked.
            Kind::Denied | Kind::Internal | Kind::WorkerCrashed
        ),
        End::Failed(_) => !end.is_not_started(),
        End::Cancelled { phase, .. } => matches!(phase, Phase::Open | Phase::Run),
        _ => true,
    }
}

fn ending(outcome: &Outcome) -> Ending {
    let by_deadline = outcome.stopped_by() == Some(StopCause::Deadline);
    match outcome.end() {
        End::Exited(status) => Ending::Exited(*status),
        End::Signaled { name, .. } => Ending::Signaled(one_line(name).into_owned()),
        End::NoStatus => Ending::NoStatus,
        End::Cancelled {
            phase: Phase::Local,
            ..
        } => Ending::Cancelled {
            phase: None,
            by_deadline,
        },
        End::Cancelled { phase, .. } => Ending::Cancelled {
            phase: Some(phase.as_str()),
            by_deadline,
        },
        End::Failed(error) => {
            let command = matches!(
                error,
                Error::Silent { .. }
                    | Error::TimedOut {
                        phase: Phase::Run,
                        ..
                    }
            );
            Ending::Failed(Failure {
                phase: error.phase().as_str(),
                kind: error.kind().as_str(),
                reason: reason(error),
                by_our_limit: command || by_deadline,
            })
        }
        other => Ending::Failed(Failure {
            phase: other.phase().map_or("local", Phase::as_str),
            kind: "internal",
            reason: one_line(&other.to_string()).into_owned(),
            by_our_limit: false,
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
