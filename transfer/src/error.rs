//! Why a copy failed: by whose file, and at what.

use std::fmt;
use std::io;
use std::path::PathBuf;

use sshoal_session::{SftpError, SftpStatus};

/// What was asked of the host's SFTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// To open the file.
    Open,
    /// To read from it.
    Read,
    /// To write to it.
    Write,
    /// To tell its size, or what else it knows of it.
    Stat,
    /// To list a directory.
    List,
    /// To close it.
    Close,
    /// To give it its final name.
    Rename,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Stat => "stat",
            Self::List => "list",
            Self::Close => "close",
            Self::Rename => "rename",
        })
    }
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The session failed, or the host has no SFTP.
    #[error(transparent)]
    Session(#[from] sshoal_session::Error),
    /// The host's SFTP server refused something.
    #[error("could not {operation} remote file {}: {status}", remote.escape_ascii())]
    Remote {
        /// What it refused.
        operation: Operation,
        /// The file's path on the host.
        remote: Vec<u8>,
        /// What it answered.
        status: SftpStatus,
    },
    /// Something stands at the path on the host already; it is as it was.
    #[error("remote file {} already exists", remote.escape_ascii())]
    Exists {
        /// The path on the host.
        remote: Vec<u8>,
    },
    /// The host's `scp` said why it would not, or ended without its answer.
    #[error("scp of remote file {}: {message}", remote.escape_ascii())]
    Scp {
        /// The path on the host.
        remote: Vec<u8>,
        /// What it said, cleaned for a terminal and cut.
        message: String,
    },
    /// What the host sent as `scp` breaks the protocol; nothing of it was kept.
    #[error("scp of remote file {}: protocol error: {what}", remote.escape_ascii())]
    ScpProtocol {
        /// The path on the host.
        remote: Vec<u8>,
        /// The rule that it broke.
        what: &'static str,
    },
    /// The file's bytes are no UTF-8, and text was asked for.
    #[error("remote file {} is not UTF-8", remote.escape_ascii())]
    NotText {
        /// The path on the host.
        remote: Vec<u8>,
    },
    /// A file on this machine could not be read or written.
    #[error("local file {}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file that arrived is not as long as the one that was sent.
    #[error("{arrived} bytes arrived of {expected}")]
    Short {
        /// The source's size.
        expected: u64,
        /// The copy's size.
        arrived: u64,
    },
    /// The file is larger than the caller allows.
    #[error("remote file is larger than the {bytes_max} bytes allowed")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
}

impl Error {
    pub(crate) fn remote(operation: Operation, remote: &[u8], error: SftpError) -> Self {
        match error {
            SftpError::Status(status) => Self::Remote {
                operation,
                remote: remote.to_vec(),
                status,
            },
            SftpError::Session(error) => Self::Session(error),
            other => Self::Local {
                path: PathBuf::new(),
                source: io::Error::other(other),
            },
        }
    }

    pub(crate) fn local(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Local { path, source }
    }
}
