//! Why a host has no result, and why a call was not begun.

use std::io;
use std::path::PathBuf;

use sshoal_pool::PoolError;
use sshoal_session::ssh_config::SshConfigError;
use sshoal_session::{Host, HostError, HostsFileError, ResolverError};

use super::results::Done;

/// Why a host has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// SSH failed: the host was not reached, did not let us in, or was lost; or the time was up.
    #[error("{} failed", .0.phase())]
    Ssh(#[source] sshoal_session::Error),
    /// The connection or the server gave neither an exit status nor a signal.
    #[error("no exit status was received")]
    NoStatus(Done),
    /// The command ended otherwise than with exit status 0; of [`call`](super::call) only.
    #[error("{}", .0.exit())]
    Unsuccessful(Done),
    /// A file could not be copied.
    #[error("copy failed")]
    Copy(#[source] sshoal_transfer::Error),
    /// A folder or file on this machine could not be made or written.
    #[error("local file {}", path.display())]
    Local {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Returns what the command gave, where it came to that.
    pub fn done(&self) -> Option<&Done> {
        match self {
            Self::NoStatus(done) | Self::Unsuccessful(done) => Some(done),
            _ => None,
        }
    }

    /// Returns whether SSH is what failed.
    pub fn is_ssh(&self) -> bool {
        matches!(self, Self::Ssh(_) | Self::NoStatus(_))
    }
}

/// Why a call was not begun on any host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A host cannot be.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The file of hosts that a variable names cannot be read.
    #[error("the hosts file {}", path.display())]
    HostsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file to copy cannot be read.
    #[error(transparent)]
    Source(#[from] sshoal_transfer::Error),
    /// A line of the file of hosts cannot be read.
    #[error(transparent)]
    HostsFileLine(#[from] HostsFileError),
    /// ssh_config, or an option for it, is no good.
    #[error(transparent)]
    SshConfig(#[from] SshConfigError),
    /// A host cannot be reached as ssh_config and the options say.
    #[error("{host}")]
    Access {
        /// The host.
        host: Host,
        /// Why not.
        source: Box<ResolverError>,
    },
    /// There are no hosts, or a limit is zero.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A path that leads out of the hosts' folders.
    #[error("{} is not a path within each host's folder", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A folder on this machine cannot be made.
    #[error("local folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An environment variable has a value that makes no sense.
    #[error("{name}: {why}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What it has to be.
        why: &'static str,
    },
}
