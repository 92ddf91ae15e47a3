//! Files on the host, by SFTP: what a transfer is made of.

use std::fmt;
use std::sync::Arc;

use libssh2_sys as sys;
use sshoal_reactor::Scope;

use crate::engine::Engine;
use crate::error::{Error, Phase};
use crate::ffi::{Called, Code, FileId, Library};
use crate::session::Session;

mod entries;

pub use entries::{DirectoryEntry, FileAttributes, FileKind};

/// A status that an SFTP server gave (draft-ietf-secsh-filexfer-02 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SftpStatus(u32);

impl SftpStatus {
    /// The named file does not exist.
    pub const NO_SUCH_FILE: Self = Self(2);
    /// The user may not.
    pub const PERMISSION_DENIED: Self = Self(3);
    /// It failed, and the server says no more.
    pub const FAILURE: Self = Self(4);
    /// The server does not know the request.
    pub const OP_UNSUPPORTED: Self = Self(8);

    /// Returns the status's number.
    pub fn code(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SftpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
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
    /// The session failed, or the server has no SFTP.
    #[error(transparent)]
    Session(#[from] Error),
}

/// How a remote file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For writing; it must not exist, and gets this mode.
    CreateNew(u32),
}

/// The SFTP channel of a session; opened at most once per session. Made by [`Session::sftp`].
#[derive(Debug, Clone)]
pub struct Sftp(Arc<Engine>);

/// An open remote file; dropping it without [`SftpFile::close`] gives the session up, because its
/// close would have to wait.
#[derive(Debug)]
pub struct SftpFile {
    engine: Arc<Engine>,
    file: FileId,
    closed: bool,
}

impl Session {
    /// Opens the SFTP channel, or returns the open one. Parks.
    ///
    /// # Errors
    ///
    /// The server has no SFTP (phase `transfer`), the connection was lost, or the scope ended.
    pub fn sftp(&self, scope: &Scope) -> Result<Sftp, Error> {
        let engine = self.engine();
        let _turn = engine.reply_turn(Phase::Transfer, scope)?;
        let _files = engine.file_turn(scope)?;
        engine.request(Phase::Transfer, scope, |library| {
            retried(engine, library.open_sftp())
        })?;
        Ok(Sftp(engine.clone()))
    }
}

impl Sftp {
    /// Opens a file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn open(&self, path: &[u8], mode: OpenMode, scope: &Scope) -> Result<SftpFile, SftpError> {
        let (flags, mode) = match mode {
            OpenMode::Read => (sys::LIBSSH2_FXF_READ, 0),
            OpenMode::CreateNew(mode) => (
                sys::LIBSSH2_FXF_WRITE | sys::LIBSSH2_FXF_CREAT | sys::LIBSSH2_FXF_EXCL,
                mode,
            ),
        };
        let file = operation(&self.0, scope, |library| {
            library.open_file(path, flags, mode)
        })?;
        Ok(SftpFile {
            engine: self.0.clone(),
            file,
            closed: false,
        })
    }

    /// Renames a file over another, where the server can; else to a name that nothing has. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn rename_over(&self, from: &[u8], to: &[u8], scope: &Scope) -> Result<(), SftpError> {
        let over = operation(&self.0, scope, |library| library.rename_over(from, to));
        match over {
            Err(SftpError::Status(SftpStatus::OP_UNSUPPORTED)) => {
                operation(&self.0, scope, |library| library.rename(from, to))
            }
            other => other,
        }
    }

    /// Removes a file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn remove(&self, path: &[u8], scope: &Scope) -> Result<(), SftpError> {
        operation(&self.0, scope, |library| library.remove_file(path))
    }
}

impl SftpFile {
    /// Reads the next bytes; 0 at the end. Parks.
    ///
    /// Use one size for all reads of a file, at most 240,000 bytes (law S11).
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn read(&self, buffer: &mut [u8], scope: &Scope) -> Result<usize, SftpError> {
        operation(&self.engine, scope, |library| {
            library.read_file(self.file, buffer)
        })
    }

    /// Writes all bytes; returns when the server has acknowledged them. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn write_all(&self, bytes: &[u8], scope: &Scope) -> Result<(), SftpError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.engine.wire().wait_for_room(scope);
            room.map_err(|stop| crate::engine::stopped(stop, Phase::Transfer, scope))?;
            let written = operation(&self.engine, scope, |library| {
                library.write_file(self.file, rest)
            })?;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Returns the file's size, if the server tells it. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn size(&self, scope: &Scope) -> Result<Option<u64>, SftpError> {
        operation(&self.engine, scope, |library| library.file_size(self.file))
    }

    /// Closes the file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status (some report a full disk only here), or the session's failure.
    pub fn close(mut self, scope: &Scope) -> Result<(), SftpError> {
        let closed = operation(&self.engine, scope, |library| library.close_file(self.file));
        self.closed = true;
        closed
    }
}

impl Drop for SftpFile {
    fn drop(&mut self) {
        if !self.closed {
            self.engine.give_up();
        }
    }
}

/// libssh2's SFTP may say "would block" with the end of its channel at hand, for which no event
/// will come: after half a packet it does not look on.
fn retried<T>(engine: &Engine, result: Called<T>) -> Called<T> {
    if matches!(result, Err(Code::AGAIN)) {
        engine.wire().retry_if_moved();
    }
    result
}

/// Makes one SFTP operation; abandoned half way it leaves the session unusable (S6).
fn operation<T>(
    engine: &Engine,
    scope: &Scope,
    mut call: impl FnMut(&mut Library) -> Called<T>,
) -> Result<T, SftpError> {
    let _turn = engine.file_turn(scope)?;
    let mut status = None;
    let result = engine.request(Phase::Transfer, scope, |library| {
        let result = retried(engine, call(library));
        if result.as_ref().err() == Some(&Code(sys::LIBSSH2_ERROR_SFTP_PROTOCOL)) {
            status = Some(SftpStatus(library.sftp_status()));
        }
        result
    });
    match (result, status) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(status)) => Err(SftpError::Status(status)),
        (Err(error), None) => Err(error.into()),
    }
}
