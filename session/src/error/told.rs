//! What another process says of a host's failure, where sessions are that process's.

use std::error::Error as StdError;

use super::{Kind, Phase};

/// A host's failure in another process, which works for this one.
///
/// The error itself cannot leave its process; these are its words, and what is decided by them.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever has sessions in another process makes these"
)]
pub struct Told {
    /// How far the host had come.
    pub phase: Phase,
    /// What went wrong, in one word.
    pub kind: Kind,
    /// What may be done about it.
    pub remedy: Remedy,
    /// The words; they may be the host's and are not clean.
    pub source: Box<dyn StdError + Send + Sync>,
}

/// What may be done about a host's failure in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what a pool tells apart")]
pub enum Remedy {
    /// Nothing.
    Nothing,
    /// Another attempt, where retries are wanted: the cause may pass.
    Retry,
    /// A fresh session: the one that was kept is gone.
    Reconnect,
    /// To wait: a limit of this machine was met.
    Wait,
}

/// Whether a host whose worker process died may be begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum BeginAgain {
    /// It may: its command was not asked for.
    Yes,
    /// Its command may have been started, or it was in too many workers that died.
    No,
}
