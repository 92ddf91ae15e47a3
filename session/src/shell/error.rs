//! What can go wrong with an interactive shell.

use std::sync::Arc;

use crate::error::{Error, Kind, Phase};

/// Why something asked of an [`InteractiveShell`](crate::InteractiveShell) failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// The shell's output ended before what was waited for came; what is unread can still be read.
    #[error("the shell ended before what was waited for came")]
    Ended,
    /// The shell gave more than [`ShellSpec::unread_bytes_max`](crate::ShellSpec::unread_bytes_max)
    /// that nobody read, and is held up; once something was read, the same can be asked again.
    #[error("{bytes_max} bytes of the shell's output are unread, and it is held up")]
    Full {
        /// The bound.
        bytes_max: usize,
    },
    /// The session failed, the scope ended, or the shell's input is closed. Once a session was
    /// lost, every call gives the same error.
    #[error(transparent)]
    Session(Arc<Error>),
}

impl ShellError {
    /// Returns the session's failure, if that is what it is.
    pub fn session(&self) -> Option<&Error> {
        match self {
            Self::Session(error) => Some(error),
            Self::Ended | Self::Full { .. } => None,
        }
    }

    /// Returns how far the host had come.
    pub fn phase(&self) -> Phase {
        self.session().map_or(Phase::Run, Error::phase)
    }

    /// Returns what went wrong, in one word.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ended => Kind::Closed,
            Self::Full { .. } => Kind::Limit,
            Self::Session(error) => error.kind(),
        }
    }
}

impl From<Error> for ShellError {
    fn from(error: Error) -> Self {
        Self::Session(Arc::new(error))
    }
}
