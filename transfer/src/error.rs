//! Why a copy failed: by whose file, and at what.

use std::fmt;
use std::io;
use std::path::PathBuf;

use sshoal_reactor::{Scope, Stop};
use sshoal_session::{Kind, Phase};

use crate::sftp::{SftpError, SftpStatus};

mod kind;

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
    /// To set its permissions or times.
    SetStat,
    /// To write it to its disk.
    Sync,
    /// To make a directory.
    MakeDirectory,
    /// To remove it.
    Remove,
    /// To make a hard or a symbolic link.
    Link,
    /// To tell what a link says.
    ReadLink,
    /// To tell its path from the root.
    Resolve,
    /// To tell how much room its file system has.
    StatFileSystem,
}

impl Operation {
    /// What it is done to, in words.
    fn object(self) -> &'static str {
        match self {
            Self::MakeDirectory | Self::List => "directory",
            _ => "file",
        }
    }
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
            Self::SetStat => "set permissions or times of",
            Self::Sync => "sync",
            Self::MakeDirectory => "make",
            Self::Remove => "remove",
            Self::Link => "make link",
            Self::ReadLink => "read link",
            Self::Resolve => "resolve",
            Self::StatFileSystem => "tell the room of the file system of",
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
    /// What answers in the place of the host's SFTP server is of no use.
    #[error(transparent)]
    Sftp(SftpError),
    /// The host's SFTP server refused something.
    #[error(
        "could not {operation} remote {} {}: {status}",
        operation.object(),
        remote.escape_ascii()
    )]
    Remote {
        /// What it refused.
        operation: Operation,
        /// The file's path on the host.
        remote: Vec<u8>,
        /// What it answered.
        status: SftpStatus,
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
    /// A file of that name is there, and stays as it is.
    #[error("remote file {} already exists", path.escape_ascii())]
    Exists {
        /// Its path on the host.
        path: Vec<u8>,
    },
    /// What has the name is a directory.
    #[error("remote file {} is a directory", remote.escape_ascii())]
    IsDirectory {
        /// Its path on the host.
        remote: Vec<u8>,
    },
    /// What has the name is a device, a pipe or a socket, which is not read.
    #[error("remote file {} is no plain file", remote.escape_ascii())]
    NoFile {
        /// Its path on the host.
        remote: Vec<u8>,
    },
    /// A path that ends in `/` is to get the source's name, and the source has none.
    #[error("remote path {} names no file, and bytes have no name", remote.escape_ascii())]
    NoName {
        /// The path.
        remote: Vec<u8>,
    },
    /// The host has no command that computes a SHA-256, or it failed.
    #[error("the host could not compute a SHA-256 of {}", remote.escape_ascii())]
    NoChecksum {
        /// The file's path on the host.
        remote: Vec<u8>,
    },
    /// The two sides of a copy are not the same.
    #[error("{}: SHA-256 is {theirs} on the host and {ours} here", remote.escape_ascii())]
    Differs {
        /// The file's path on the host.
        remote: Vec<u8>,
        /// The digest of what is here.
        ours: String,
        /// The digest that the host computed.
        theirs: String,
    },
    /// A user or group of this name is not known to the host.
    #[error("the host knows no account {name:?}")]
    NoAccount {
        /// The name.
        name: String,
    },
    /// A command on the host, in place of SFTP, did not do it.
    #[error(
        "could not {operation} remote {} {}: {message}",
        operation.object(),
        remote.escape_ascii()
    )]
    Command {
        /// What it was to do.
        operation: Operation,
        /// The file's path on the host.
        remote: Vec<u8>,
        /// What it said, cleaned for a terminal and cut.
        message: String,
    },
    /// A file was changed by another while it was copied, or while it was edited again and again.
    #[error("remote file {} was changed by another meanwhile", remote.escape_ascii())]
    Changed {
        /// The file's path on the host.
        remote: Vec<u8>,
    },
    /// What the options ask for is not offered by this way of copying; nothing was copied.
    #[error("{way} does not offer {what}")]
    NotOffered {
        /// How it was to be copied.
        way: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// What the host's `tar` sent breaks the format; what arrived before is kept.
    #[error("tar of remote directory {}: {what}", remote.escape_ascii())]
    TarFormat {
        /// The path on the host.
        remote: Vec<u8>,
        /// The rule that it broke.
        what: &'static str,
    },
    /// The host does not tell of a file what has to be known to go on.
    #[error("the host does not tell the {what} of remote file {}", remote.escape_ascii())]
    NotTold {
        /// The path on the host.
        remote: Vec<u8>,
        /// What it does not tell.
        what: &'static str,
    },
    /// A pattern for lines is none.
    #[error("bad pattern: {message}")]
    Pattern {
        /// What is wrong with it.
        message: String,
    },
    /// The host gives a file a name that none can have: empty, `.`, `..`, with `/` or NUL in it, or
    /// longer than 255 bytes. Nothing was made of it.
    #[error("the host names a file {}, which is no name", name.escape_ascii())]
    BadName {
        /// What it said.
        name: Vec<u8>,
    },
    /// The host lists a name twice in one directory; the first is taken.
    #[error("the host lists {} twice", name.escape_ascii())]
    NamedTwice {
        /// The name.
        name: Vec<u8>,
    },
    /// A directory is deeper than the caller allows.
    #[error("more than {depth_max} directories deep")]
    TooDeep {
        /// The bound.
        depth_max: usize,
    },
    /// There are more names than the caller allows.
    #[error("more than {entries_max} names")]
    TooManyEntries {
        /// The bound.
        entries_max: usize,
    },
    /// All files together have more bytes than the caller allows.
    #[error("all files together are larger than the {bytes_max} bytes allowed")]
    TreeTooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The file is larger than the caller allows.
    #[error("remote file is larger than the {bytes_max} bytes allowed")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
}

impl Error {
    /// Returns whether the host refused SFTP as a whole, and not something of it.
    pub fn is_subsystem_refused(&self) -> bool {
        let Self::Session(error) = self else {
            return false;
        };
        (error.phase(), error.kind()) == (Phase::Open, Kind::Denied)
    }

    /// Returns whether it failed because something has the target's name, here or on the host.
    pub fn is_already_there(&self) -> bool {
        match self {
            Self::Exists { .. } => true,
            Self::Local { source, .. } => source.kind() == io::ErrorKind::AlreadyExists,
            _ => false,
        }
    }

    /// Returns whether it failed because nothing stands at a path of the host, as SFTP says it or a
    /// command under `sudo`.
    pub fn is_not_there(&self) -> bool {
        match self {
            Self::Remote { status, .. } => *status == SftpStatus::NO_SUCH_FILE,
            Self::Command { message, .. } => NOTHING.iter().any(|no| message.contains(no)),
            _ => false,
        }
    }

    pub(crate) fn remote(operation: Operation, remote: &[u8], error: SftpError) -> Self {
        match error {
            SftpError::Status(status) => Self::Remote {
                operation,
                remote: remote.to_vec(),
                status,
            },
            other => Self::from_sftp(other),
        }
    }

    /// A failure of the SFTP channel as a whole.
    pub(crate) fn from_sftp(error: SftpError) -> Self {
        match error {
            SftpError::Session(error) => Self::Session(error),
            other => Self::Sftp(other),
        }
    }

    pub(crate) fn local(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Local { path, source }
    }
}

/// What POSIX has commands say of a path where nothing is; OpenSSH's SFTP server has one status for
/// the same three.
const NOTHING: [&str; 3] = [
    "No such file or directory",
    "Not a directory",
    "Too many levels of symbolic links",
];

/// A scope's end, as the session's error in a transfer.
pub(crate) fn stopped(stop: Stop, scope: &Scope) -> sshoal_session::Error {
    let phase = Phase::Transfer;
    match stop {
        Stop::TimedOut => sshoal_session::Error::TimedOut {
            phase,
            limit: scope.timeout().unwrap_or_default(),
        },
        Stop::Cancelled => sshoal_session::Error::Cancelled { phase },
    }
}
