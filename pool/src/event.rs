//! What a run tells while it goes on, and how much of it.

use std::fmt;
use std::time::Duration;

use sshoal_reactor::sync::Permit;
use sshoal_session::{Error, Exit, Kind, OutputStream, Phase};

use crate::outcome::Outcome;

/// Something that happened to one host of a run.
///
/// A host's events come in the order of the variants, but that [`Event::Retry`] may come any number
/// of times after [`Event::Started`], and [`Event::Output`] after [`Event::Accepted`]. Nothing comes
/// after [`Event::Finished`], which every host has, also one that was never begun. Times are from
/// the begin of the run.
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "every host has one, so a box would save nothing"
)]
pub enum Event {
    /// A worker took the host: it is about to be connected to, or its open session is at hand.
    Started {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
    },
    /// The host could not be connected to, and will be tried again. Left out while very many of
    /// these wait to be taken.
    Retry {
        /// The host's position in the pool's list.
        index: usize,
        /// When the attempt failed.
        at: Duration,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How long the host waits before the next attempt.
        pause: Duration,
        /// Why it failed.
        failure: Failure,
    },
    /// The connection is made and the host's key accepted; nobody is logged in yet. Not told of a
    /// session that was open before.
    Connected {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
    },
    /// The host let the user in. Not told of a session that was open before.
    Authenticated {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
    },
    /// The host accepted the command: from here on it may run.
    Accepted {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
    },
    /// The command printed something.
    Output {
        /// The host's position in the pool's list.
        index: usize,
        /// When it came.
        at: Duration,
        /// Where it was printed to.
        stream: OutputStream,
        /// What was printed, byte for byte; pieces end anywhere, not at lines.
        bytes: Vec<u8>,
    },
    /// The command ended by itself or by a signal, or its channel was closed.
    Exit {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
        /// How.
        exit: Exit,
    },
    /// The host failed for good. A host that was stopped with the run did not fail.
    Failed {
        /// The host's position in the pool's list.
        index: usize,
        /// When.
        at: Duration,
        /// Why; the outcome, which follows, holds the error itself.
        failure: Failure,
    },
    /// The host ended; nothing more comes of it.
    Finished(Outcome),
}

/// What an error was, as an event tells it: the error itself is the outcome's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// How far the host had come.
    pub phase: Phase,
    /// What went wrong, in one word.
    pub kind: Kind,
    /// The error and what caused it; it may hold the host's bytes, not cleaned.
    pub message: String,
}

/// Which events a run makes, besides [`Event::Finished`]; each level has those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Detail {
    /// No others.
    #[default]
    Outcomes,
    /// All but [`Event::Output`]. They wait to be taken without holding anyone up.
    Progress,
    /// All. While events are not taken, hosts that print are stopped from printing on, by
    /// back-pressure all the way to them.
    Output,
}

impl Event {
    /// Returns the position in the pool's list of the host that it is about.
    pub fn index(&self) -> usize {
        match self {
            Self::Started { index, .. }
            | Self::Retry { index, .. }
            | Self::Connected { index, .. }
            | Self::Authenticated { index, .. }
            | Self::Accepted { index, .. }
            | Self::Output { index, .. }
            | Self::Exit { index, .. }
            | Self::Failed { index, .. } => *index,
            Self::Finished(outcome) => outcome.index(),
        }
    }
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            phase: error.phase(),
            kind: error.kind(),
            message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.phase, self.message)
    }
}

/// Whether the output of hosts is put into their outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Collect {
    /// It is: [`Outcome::stdout`] and [`Outcome::stderr`] hold it.
    #[default]
    Yes,
    /// It is not; with [`Detail::Output`] it passes through, otherwise it is thrown away.
    No,
}

/// An event on its way to the caller.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) event: Event,
    /// The room that output or a retry takes, given back when the caller takes the event.
    pub(crate) _room: Option<Permit>,
}
