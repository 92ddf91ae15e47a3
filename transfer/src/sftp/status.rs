//! What an SFTP server answers when it does not do what it is asked to.

use std::fmt;

/// A status that an SFTP server gave (draft-ietf-secsh-filexfer-02 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SftpStatus(u32);

impl SftpStatus {
    /// It was done.
    pub(crate) const OK: Self = Self(0);
    /// There is no more: of a file's bytes, or of a directory's names.
    pub const EOF: Self = Self(1);
    /// The named file does not exist.
    pub const NO_SUCH_FILE: Self = Self(2);
    /// The user may not.
    pub const PERMISSION_DENIED: Self = Self(3);
    /// It failed, and the server says no more.
    pub const FAILURE: Self = Self(4);
    /// The server does not know the request.
    pub const OP_UNSUPPORTED: Self = Self(8);

    pub(crate) fn new(code: u32) -> Self {
        Self(code)
    }

    /// Returns the status's number.
    pub fn code(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SftpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("done"),
            1 => f.write_str("end of file"),
            2 => f.write_str("no such file"),
            3 => f.write_str("permission denied"),
            4 => f.write_str("failure"),
            5 => f.write_str("bad message"),
            6 => f.write_str("no connection"),
            7 => f.write_str("connection lost"),
            8 => f.write_str("operation unsupported"),
            other => write!(f, "status {other}"),
        }
    }
}

/// Why an SFTP operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SftpError {
    /// The server refused the operation.
    #[error("{0}")]
    Status(SftpStatus),
    /// The session failed, or the host has no SFTP.
    #[error(transparent)]
    Session(#[from] sshoal_session::Error),
    /// What came is no SFTP, or breaks its rules.
    #[error("the host's SFTP server broke the protocol: {0}")]
    Protocol(&'static str),
    /// The server ended, or an earlier failure left the channel unusable.
    #[error("the host's SFTP server has ended")]
    Ended,
}
