//! What each host of a run is asked to run.
//!
//! The principal type is [`Commands`].

use std::sync::Arc;

use sshoal_session::{Host, Launch};

use crate::error::RunError;

/// The command of each host of a run.
///
/// Anything that is a command's bytes can stand for it: all hosts then run the same.
#[derive(Debug, Clone)]
pub struct Commands(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Same(Vec<u8>),
    Each(Vec<Vec<u8>>),
}

/// The bytes that each host is asked to run.
#[derive(Debug, Clone)]
pub(crate) enum Resolved {
    Same(Arc<[u8]>),
    Each(Vec<Arc<[u8]>>),
}

impl Commands {
    /// Returns the same command for all hosts.
    pub fn same(command: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Same(command.into()))
    }

    /// Returns a command for each host, in the order of the hosts; there have to be as many.
    pub fn each<C: Into<Vec<u8>>>(commands: impl IntoIterator<Item = C>) -> Self {
        Self(Kind::Each(commands.into_iter().map(Into::into).collect()))
    }

    /// Makes the bytes for each host, with what a launch puts around them; checks everything.
    pub(crate) fn resolve(&self, hosts: &[Host], launch: &Launch) -> Result<Resolved, RunError> {
        let wrap = |command: &[u8]| match launch.wrap(command) {
            Ok(bytes) => Ok(Arc::from(bytes)),
            Err(source) => Err(RunError::Launch { source }),
        };
        match &self.0 {
            Kind::Same(command) => Ok(Resolved::Same(wrap(command)?)),
            Kind::Each(commands) if commands.len() == hosts.len() => {
                let commands = commands.iter().map(|command| wrap(command));
                Ok(Resolved::Each(commands.collect::<Result<_, _>>()?))
            }
            Kind::Each(commands) => Err(RunError::CommandCount {
                commands: commands.len(),
                hosts: hosts.len(),
            }),
        }
    }
}

impl<T: Into<Vec<u8>>> From<T> for Commands {
    fn from(command: T) -> Self {
        Self::same(command)
    }
}

impl Resolved {
    /// Returns the bytes for a host.
    pub(crate) fn of(&self, host: usize) -> &Arc<[u8]> {
        match self {
            Self::Same(command) => command,
            Self::Each(commands) => &commands[host],
        }
    }
}
