//! What sort of failure a copy's is, in the words of a session's.

use std::io;

use sshoal_session::{Kind, Phase};

use super::{Error, Operation};
use crate::sftp::{SftpError, SftpStatus};

impl Error {
    /// Returns how far the host had come: [`Phase::Local`] where it failed on this machine's files,
    /// [`Phase::Transfer`] where the copy itself failed, or the session's own phase.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Session(error) | Self::Sftp(SftpError::Session(error)) => error.phase(),
            Self::Local { .. } | Self::Pattern { .. } => Phase::Local,
            _ => Phase::Transfer,
        }
    }

    /// Returns what went wrong, in one word.
    ///
    /// What a host's `scp` or another of its commands said is taken at its word: texts of the
    /// system's errors in English have their kinds, and all others are [`Kind::Io`].
    pub fn kind(&self) -> Kind {
        match self {
            Self::Session(error) | Self::Sftp(SftpError::Session(error)) => error.kind(),
            Self::Sftp(SftpError::Status(status)) | Self::Remote { status, .. } => {
                of_status(*status)
            }
            Self::Sftp(SftpError::Ended) => Kind::Closed,
            Self::Scp { message, .. } | Self::Command { message, .. } => of_text(message),
            Self::Local { source, .. } => of_io(source),
            Self::Exists { .. } => Kind::Exists,
            Self::NoAccount { .. } => Kind::NotFound,
            Self::Sftp(SftpError::Protocol(_))
            | Self::ScpProtocol { .. }
            | Self::BadName { .. }
            | Self::NamedTwice { .. } => Kind::Protocol,
            Self::TooLarge { .. }
            | Self::TreeTooLarge { .. }
            | Self::TooDeep { .. }
            | Self::TooManyEntries { .. } => Kind::Limit,
            _ => Kind::Io,
        }
    }

    /// Returns what the host's SFTP server refused, by which path on the host and with which status.
    pub fn sftp_status(&self) -> Option<(Operation, &[u8], SftpStatus)> {
        match self {
            Self::Remote {
                operation,
                remote,
                status,
            } => Some((*operation, remote, *status)),
            _ => None,
        }
    }

    /// Returns what the host's `scp` said, cleaned for a terminal and cut.
    pub fn scp_message(&self) -> Option<&str> {
        match self {
            Self::Scp { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Returns whether it failed by a file or directory of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }

    /// Returns whether it failed because something is not there, here or on the host.
    pub fn is_not_found(&self) -> bool {
        self.kind() == Kind::NotFound
    }

    /// Returns whether the user may not, here or on the host; a login that was refused is not meant.
    pub fn is_permission_denied(&self) -> bool {
        !matches!(self, Self::Session(_)) && self.kind() == Kind::Denied
    }

    /// Returns whether a disk or quota was full, where that was told: SFTP has no status for it, so
    /// that most servers answer [`SftpStatus::FAILURE`].
    pub fn is_no_space(&self) -> bool {
        self.kind() == Kind::NoSpace
    }
}

fn of_status(status: SftpStatus) -> Kind {
    match status {
        SftpStatus::NO_SUCH_FILE => Kind::NotFound,
        SftpStatus::PERMISSION_DENIED => Kind::Denied,
        _ => Kind::Io,
    }
}

fn of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        io::ErrorKind::AlreadyExists => Kind::Exists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
        _ => Kind::Io,
    }
}

/// The kind of a system's error in English, as it stands at the end of what commands say.
fn of_text(message: &str) -> Kind {
    let texts = [
        ("No such file or directory", Kind::NotFound),
        ("Permission denied", Kind::Denied),
        ("Read-only file system", Kind::Denied),
        ("File exists", Kind::Exists),
        ("No space left on device", Kind::NoSpace),
        ("Disk quota exceeded", Kind::NoSpace),
    ];
    let message = message.trim_end();
    let found = texts.iter().find(|(text, _)| message.ends_with(text));
    found.map_or(Kind::Io, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_words() {
        let remote = |status| Error::Remote {
            operation: Operation::Open,
            remote: b"/etc/x".to_vec(),
            status,
        };
        let local = |kind: io::ErrorKind| Error::Local {
            path: "/x".into(),
            source: kind.into(),
        };
        let scp = |message: &str| Error::Scp {
            remote: b"/x".to_vec(),
            message: message.into(),
        };
        let exists = Error::Exists {
            path: b"/x".to_vec(),
        };
        let cases = [
            (
                remote(SftpStatus::NO_SUCH_FILE),
                Phase::Transfer,
                Kind::NotFound,
            ),
            (
                remote(SftpStatus::PERMISSION_DENIED),
                Phase::Transfer,
                Kind::Denied,
            ),
            (remote(SftpStatus::FAILURE), Phase::Transfer, Kind::Io),
            (local(io::ErrorKind::NotFound), Phase::Local, Kind::NotFound),
            (
                local(io::ErrorKind::StorageFull),
                Phase::Local,
                Kind::NoSpace,
            ),
            (
                local(io::ErrorKind::AlreadyExists),
                Phase::Local,
                Kind::Exists,
            ),
            (
                scp("scp: /x: Permission denied"),
                Phase::Transfer,
                Kind::Denied,
            ),
            (
                scp("scp: /x: No space left on device\n"),
                Phase::Transfer,
                Kind::NoSpace,
            ),
            (
                scp("Permission denied, or so it says"),
                Phase::Transfer,
                Kind::Io,
            ),
            (exists, Phase::Transfer, Kind::Exists),
            (
                Error::TooLarge { bytes_max: 1 },
                Phase::Transfer,
                Kind::Limit,
            ),
        ];
        for (error, phase, kind) in cases {
            assert_eq!((error.phase(), error.kind()), (phase, kind), "{error}");
        }
    }

    #[test]
    fn what_was_said_can_be_taken_out() {
        let refused = Error::Remote {
            operation: Operation::Open,
            remote: b"/etc/x".to_vec(),
            status: SftpStatus::PERMISSION_DENIED,
        };
        let (operation, path, status) = refused.sftp_status().expect("has one");
        assert_eq!((operation, path), (Operation::Open, &b"/etc/x"[..]));
        assert_eq!(status, SftpStatus::PERMISSION_DENIED);
        assert!(refused.is_permission_denied() && !refused.is_local());
        let scp = Error::Scp {
            remote: b"/x".to_vec(),
            message: "scp: no".into(),
        };
        assert_eq!(scp.scp_message(), Some("scp: no"));
        let phase = Phase::Transfer;
        let stopped = Error::Session(sshoal_session::Error::Cancelled { phase });
        assert_eq!((stopped.phase(), stopped.kind()), (phase, Kind::NotRun));
    }
}
