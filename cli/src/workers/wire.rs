//! What the run and its workers say to each other: [`Order`] to a worker, [`Report`] from one.
//!
//! Sessions and commands have numbers that the run draws and that are used once in a worker's
//! life. Payloads are named in the comments.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sshoal::{EndedBy, Ending, Exit, Host, Left, Phase, Timings, Unclear};

use super::frame::Limits;

/// What a worker is told.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// How hosts are got into; the first one, and once.
    Begin(Box<super::plan::Plan>),
    /// The password of the fleet is the payload.
    Password,
    /// The password for sudo is the payload.
    SudoPassword,
    /// The passphrase of a key is the payload.
    Passphrase { key: Vec<u8> },
    /// Hosts with this number are got into as this one is.
    Group {
        group: u32,
        host: WireHost,
        own: Vec<WireOption>,
    },
    /// Opens a session.
    Connect {
        session: u64,
        group: u32,
        host: WireHost,
        within: Option<Duration>,
    },
    /// Gives up what opens the session; the report comes all the same.
    StopConnect { session: u64 },
    /// Starts a command, whose bytes are the payload.
    Start {
        session: u64,
        command: u64,
        has_input: bool,
        within: Option<Duration>,
    },
    /// Gives up starting the command; the report comes all the same.
    StopStart { command: u64 },
    /// So much more of the command's output may be sent.
    Grant { command: u64, bytes: usize },
    /// The payload is for the command's standard input.
    Input { command: u64 },
    /// Ends the command's standard input.
    InputEnd { command: u64 },
    /// Sends the command a signal.
    Signal { command: u64, name: String },
    /// Ends the command on its host.
    End {
        command: u64,
        grace: Duration,
        within: Duration,
    },
    /// Nothing more is wanted of the command.
    Forget { command: u64 },
    /// Ends the session in order.
    Close { session: u64 },
    /// Gives the session up.
    GiveUp { session: u64 },
    /// The answers to a question, as many as there were prompts, or none; the payload is all of
    /// them, of these lengths.
    Answer {
        question: u64,
        lengths: Option<Vec<usize>>,
    },
}

/// What a worker says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has begun.
    Ready,
    /// A phase of a session's opening is done.
    Reached {
        session: u64,
        phase: WirePhase,
    },
    Connected {
        session: u64,
        timings: WireTimings,
    },
    NotConnected {
        session: u64,
        error: WireError,
        timings: WireTimings,
    },
    Started {
        command: u64,
    },
    NotStarted {
        command: u64,
        error: WireError,
        asked: bool,
    },
    /// The payload is output.
    Output {
        command: u64,
        stream: WireStream,
    },
    /// The command ended, and all of its output was sent.
    Exited {
        command: u64,
        exit: WireExit,
    },
    /// It cannot be followed any more.
    Lost {
        command: u64,
        error: WireError,
    },
    /// A piece of input, or its end, was taken or not.
    Wrote {
        command: u64,
        error: Option<WireError>,
    },
    /// What became of [`Order::End`].
    Ended {
        command: u64,
        ending: WireEnding,
    },
    /// What became of [`Order::Close`].
    Closed {
        session: u64,
    },
    /// A host asks for what only the user knows.
    Asked {
        question: u64,
        host: WireHost,
        name: String,
        instruction: String,
        prompts: Vec<(String, bool)>,
    },
}

/// What a worker takes: the run is trusted, and a command may be long.
pub(super) const ORDERS: Limits = Limits {
    head_max: 16 << 20,
    payload_max: 16 << 20,
};

/// What is taken from a worker.
pub(super) const REPORTS: Limits = Limits {
    head_max: 256 << 10,
    payload_max: CHUNK_MAX,
};

/// Output in one report at most.
pub(super) const CHUNK_MAX: usize = 32 << 10;

/// Output of a command that is on its way to the run, by [`cost`].
pub(super) const WINDOW: usize = 128 << 10;

/// Returns what a piece of output takes of the window: its bytes, and what is around them.
pub(super) fn cost(bytes: usize) -> usize {
    bytes + 64
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireHost {
    name: String,
    user: Option<String>,
    port: Option<u16>,
}

impl WireHost {
    pub(super) fn of(host: &Host) -> Self {
        Self {
            name: host.name().to_owned(),
            user: host.user().map(str::to_owned),
            port: host.port(),
        }
    }

    /// Returns the host; `None` if it is none.
    pub(super) fn host(&self) -> Option<Host> {
        let mut host = Host::new(self.name.as_str()).ok()?;
        if let Some(port) = self.port {
            host = host.with_port(port).ok()?;
        }
        match &self.user {
            Some(user) => host.with_user(user.as_str()).ok(),
            None => Some(host),
        }
    }
}

/// An option of one host, with the file and line that it comes from, where it does from one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireOption {
    pub(super) text: String,
}

/// A phase, by its place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WirePhase(u8);

impl From<Phase> for WirePhase {
    fn from(phase: Phase) -> Self {
        let place = Phase::ALL.iter().position(|known| *known == phase);
        Self(
            place
                .and_then(|place| place.try_into().ok())
                .unwrap_or(u8::MAX),
        )
    }
}

impl From<WirePhase> for Phase {
    fn from(wire: WirePhase) -> Self {
        let phase = Self::ALL.get(usize::from(wire.0));
        phase.copied().unwrap_or(Self::Local)
    }
}

/// How long each phase took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireTimings(Vec<(WirePhase, Duration)>);

impl WireTimings {
    pub(super) fn of(timings: &Timings) -> Self {
        let timings = timings.iter().map(|(phase, took)| (phase.into(), took));
        Self(timings.collect())
    }

    pub(super) fn add_to(&self, timings: &mut Timings) {
        for (phase, took) in &self.0 {
            // What is told twice, or for longer than a run lasts, is no time.
            let phase = Phase::from(*phase);
            if timings.get(phase).is_none() && *took <= TOOK_MAX {
                timings.add(phase, *took);
            }
        }
    }
}

/// Of what was printed where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireStream {
    Stdout,
    Stderr,
}

/// A failure, as it can leave its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireError {
    TimedOut {
        phase: WirePhase,
    },
    Cancelled {
        phase: WirePhase,
    },
    Told {
        phase: WirePhase,
        /// The kind's place among all.
        kind: u8,
        remedy: WireRemedy,
        /// The error and its causes.
        message: String,
        /// The same in OpenSSH's words.
        reason: String,
    },
}

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireRemedy {
    Nothing,
    Retry,
    Reconnect,
    Wait,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireExit {
    Status(u32),
    Signal { name: String, message: String },
    None,
}

impl From<Exit> for WireExit {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Status(status) => Self::Status(status),
            Exit::Signal { name, message } => Self::Signal { name, message },
            Exit::None => Self::None,
        }
    }
}

impl From<WireExit> for Exit {
    fn from(exit: WireExit) -> Self {
        match exit {
            WireExit::Status(status) => Self::Status(status),
            WireExit::Signal { name, message } => Self::Signal { name, message },
            WireExit::None => Self::None,
        }
    }
}

/// What became of ending a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireEnding {
    Ended(By),
    Closed(By),
    Processes { count: usize, refused: usize },
    Channel,
    Lost,
    Stopped,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum By {
    Itself,
    Term,
    Kill,
}

impl From<Ending> for WireEnding {
    fn from(ending: Ending) -> Self {
        let by = |by| match by {
            EndedBy::Term => By::Term,
            EndedBy::Kill => By::Kill,
            _ => By::Itself,
        };
        match ending {
            Ending::Ended { by: how } => Self::Ended(by(how)),
            Ending::Closed { by: how } => Self::Closed(by(how)),
            Ending::NotEnded {
                left: Left::Processes { count, refused },
            } => Self::Processes { count, refused },
            Ending::NotEnded { .. } => Self::Channel,
            Ending::Unknown { why: Unclear::Lost } => Self::Lost,
            _ => Self::Stopped,
        }
    }
}

impl From<WireEnding> for Ending {
    fn from(ending: WireEnding) -> Self {
        let by = |by| match by {
            By::Itself => EndedBy::Itself,
            By::Term => EndedBy::Term,
            By::Kill => EndedBy::Kill,
        };
        match ending {
            WireEnding::Ended(how) => Self::Ended { by: by(how) },
            WireEnding::Closed(how) => Self::Closed { by: by(how) },
            WireEnding::Processes { count, refused } => Self::NotEnded {
                left: Left::Processes { count, refused },
            },
            WireEnding::Channel => Self::NotEnded {
                left: Left::Channel,
            },
            WireEnding::Lost => Self::Unknown { why: Unclear::Lost },
            WireEnding::Stopped => Self::Unknown {
                why: Unclear::Stopped,
            },
        }
    }
}

/// Longer than any phase of a host takes.
const TOOK_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
