//! How a command is launched on a host.
//!
//! The principal type is [`Launch`].

use crate::error::Error;

/// How a command is launched: what stands around it, and what it finds when it begins.
///
/// The default is nothing: the command's bytes go to the host as they are, and the user's login
/// shell there runs them.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Launch {}

impl Launch {
    /// Returns a launch with nothing around the command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes that the host is asked to run for a command.
    ///
    /// # Errors
    ///
    /// Something cannot be passed on as it is asked for; nothing is sent.
    pub fn wrap(&self, command: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(command.to_vec())
    }
}
