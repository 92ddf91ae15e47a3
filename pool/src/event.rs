//! What a run tells while it goes on, and how much of it.

use sshoal_reactor::sync::Permit;
use sshoal_session::OutputStream;

use crate::outcome::Outcome;

/// Something that happened to one host of a run.
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "every host has one, so a box would save nothing"
)]
pub enum Event {
    /// A worker took the host: it is about to be connected to.
    Started {
        /// The host's position in the pool's list.
        index: usize,
    },
    /// The command printed something.
    Output {
        /// The host's position in the pool's list.
        index: usize,
        /// Where it was printed to.
        stream: OutputStream,
        /// What was printed, byte for byte; pieces end anywhere, not at lines.
        bytes: Vec<u8>,
    },
    /// The host ended; nothing more comes of it.
    Finished(Outcome),
}

/// Which events a run makes, besides [`Event::Finished`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Detail {
    /// No others.
    #[default]
    Outcomes,
    /// [`Event::Started`].
    Progress,
    /// [`Event::Started`] and [`Event::Output`]. While events are not taken, hosts that print are
    /// stopped from printing on, by back-pressure all the way to them.
    Output,
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
    /// The room that output takes, given back when the caller takes the event.
    pub(crate) _room: Option<Permit>,
}
