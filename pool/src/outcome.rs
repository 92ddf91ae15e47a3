//! What became of one host: the principal type is [`Outcome`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sshoal_session::{Ending, Error, Exit, Host, Kind, Phase, Timings};

use crate::output::{Collected, HostOutput};

/// Everything known about one host of a run; each host of a run has exactly one.
#[derive(Debug)]
pub struct Outcome {
    index: usize,
    hosts: Arc<[Host]>,
    /// Shared with the host's handle, if the run was started to be read.
    end: Arc<End>,
    output: HostOutput,
    timings: Timings,
    visit: Visit,
    stopped_by: Option<StopCause>,
    command: Option<Arc<[u8]>>,
    ending: Option<Ending>,
}

/// When and how often a host was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visit {
    pub(crate) started: Option<SystemTime>,
    pub(crate) duration: Duration,
    pub(crate) attempts: u32,
    /// Attempts that were made because the one before failed to connect.
    pub(crate) retries: u32,
}

/// How a host ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The command ended by itself with this exit status.
    Exited(u32),
    /// A signal ended the command.
    Signaled {
        /// The signal's name without `SIG`, for example `KILL`; the host's bytes, not cleaned.
        name: String,
        /// What the server said about it, often nothing; the host's bytes, not cleaned.
        message: String,
    },
    /// The channel closed and neither a status nor a signal had come.
    NoStatus,
    /// The host failed; the error says in which phase and how.
    Failed(Error),
    /// The run was stopped before the host had ended.
    Cancelled {
        /// How far the host had come; [`Phase::Local`] if it was never begun.
        phase: Phase,
        /// What stopped the run.
        cause: StopCause,
    },
}

/// What stopped a run before all of its hosts had ended by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopCause {
    /// The caller: it cancelled the run, dropped it, or closed the host.
    Caller,
    /// The whole run's deadline.
    Deadline,
    /// As many hosts had failed as [`StopAfter`](crate::StopAfter) allows.
    Failures,
}

impl Outcome {
    pub(crate) fn new(
        (index, hosts): (usize, &Arc<[Host]>),
        (end, stopped_by): (End, Option<StopCause>),
        output: HostOutput,
        timings: Timings,
        visit: Visit,
    ) -> Self {
        let hosts = Arc::clone(hosts);
        Self {
            index,
            hosts,
            end: Arc::new(end),
            output,
            timings,
            visit,
            stopped_by,
            command: None,
            ending: None,
        }
    }

    pub(crate) fn of_command(self, command: Option<Arc<[u8]>>) -> Self {
        Self { command, ..self }
    }

    /// Returns the same outcome with this output.
    pub(crate) fn with_output(&self, output: HostOutput) -> Self {
        Self {
            output,
            index: self.index,
            hosts: Arc::clone(&self.hosts),
            end: Arc::clone(&self.end),
            timings: self.timings,
            visit: self.visit,
            stopped_by: self.stopped_by,
            command: self.command.clone(),
            ending: self.ending,
        }
    }

    pub(crate) fn after(self, ending: Option<Ending>) -> Self {
        Self { ending, ..self }
    }

    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.hosts[self.index]
    }

    /// Returns the exact bytes that the host was asked to run; `None` if it did not come to that.
    pub fn command(&self) -> Option<&[u8]> {
        self.command.as_deref()
    }

    /// Returns how it ended.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// Returns whether the command ended with exit status 0.
    pub fn is_success(&self) -> bool {
        matches!(*self.end, End::Exited(0))
    }

    /// Returns what the command wrote to standard output, as far as it came, whatever the end.
    pub fn stdout(&self) -> &Collected {
        &self.output.stdout
    }

    /// Returns what the command wrote to standard error, as far as it came, whatever the end.
    pub fn stderr(&self) -> &Collected {
        &self.output.stderr
    }

    /// Returns how long each phase took; of several attempts, the last.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Returns when the host was begun, by the wall clock; `None` if it never was.
    pub fn started(&self) -> Option<SystemTime> {
        self.visit.started
    }

    /// Returns how long the host took from its begin to its end, pauses between attempts included.
    pub fn duration(&self) -> Duration {
        self.visit.duration
    }

    /// Returns how often the host was tried; 0 if it was never begun. More than one by
    /// [`PoolBuilder::retries`](crate::PoolBuilder::retries), or if a kept session turned out to be
    /// dead before the command was started on it. The command itself was started once at most.
    pub fn attempts(&self) -> u32 {
        self.visit.attempts
    }

    /// Returns whether the command was really ended on its host, if a limit or
    /// [`RunHandle::cancel_and_end`](crate::RunHandle::cancel_and_end) had it ended; `None` if it
    /// ended by itself, was never begun, or was left to the host.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Returns what stopped the run, if that is what ended this host: it is then
    /// [`End::Cancelled`], or timed out with the run's deadline as the limit, or failed as its last
    /// attempt did before another could be made.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.stopped_by
    }

    /// Returns how it ended, with the error, as something that can be kept and shared.
    pub fn into_end(self) -> Arc<End> {
        self.end
    }
}

impl End {
    /// Returns the outcome's word in reports, for example `no_status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Signaled { .. } => "signaled",
            Self::NoStatus => "no_status",
            Self::Failed(_) => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Returns whether the host failed before it accepted the command: it was not reached, did not
    /// let us in, or refused. No exit status is such a failure, nor is 255, with which `ssh` says
    /// the same.
    pub fn is_not_started(&self) -> bool {
        match self {
            Self::Failed(error) => !matches!(error.phase(), Phase::Run | Phase::Transfer),
            _ => false,
        }
    }

    /// Returns the phase in which the host failed or was cancelled.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Failed(error) => Some(error.phase()),
            Self::Cancelled { phase, .. } => Some(*phase),
            _ => None,
        }
    }

    /// Returns what went wrong in one word: [`Kind::NotRun`] for a host that was never begun.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Failed(error) => Some(error.kind()),
            Self::Cancelled {
                phase: Phase::Local,
                ..
            } => Some(Kind::NotRun),
            _ => None,
        }
    }
}

impl From<Exit> for End {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Status(status) => Self::Exited(status),
            Exit::Signal { name, message, .. } => Self::Signaled { name, message },
            Exit::None => Self::NoStatus,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("ok"),
            Self::Exited(status) => write!(f, "exit {status}"),
            Self::Signaled { name, .. } => {
                // The name is the server's: nothing of it may reach a terminal unseen.
                let name: String = name
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(32)
                    .collect();
                write!(f, "signal {name}")
            }
            Self::NoStatus => f.write_str("no exit status"),
            Self::Failed(error) => {
                write!(f, "failed: {}: {error}", error.phase())?;
                write_causes(f, error)
            }
            Self::Cancelled {
                phase: Phase::Local,
                ..
            } => f.write_str("not run"),
            Self::Cancelled { phase, .. } => write!(f, "cancelled: {phase}"),
        }
    }
}

/// Writes the causes of an error, each said once: some errors say their cause themselves.
fn write_causes(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            write!(f, ": {more}")?;
            said = more;
        }
        cause = error.source();
    }
    Ok(())
}

impl StopCause {
    /// Returns the cause in one word: `caller`, `deadline` or `failures`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Deadline => "deadline",
            Self::Failures => "failures",
        }
    }
}
