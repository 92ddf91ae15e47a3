//! A host's files as bytes: read, written and looked for over SFTP, with no file on this machine.

use sshoal_reactor::Scope;
use sshoal_session::{Error as SessionError, Kind, Phase, Session};

use crate::error::{Error, Operation};
use crate::glob::Glob;
use crate::options::CopyOptions;
use crate::put::{Copied, put};
use crate::remote_path;
use crate::remote_tree;
use crate::sftp::{Attributes, Entry, OpenMode, RemoteFile, Sftp, SftpError, SftpStatus};
use crate::source::Source;

/// Reads a host's file, at most `bytes_max` bytes of it. Parks.
///
/// It is read to its end, whatever size the host tells: files under `/proc` tell none.
///
/// # Errors
///
/// The host's refusal by operation, `TooLarge`, or the session's failure.
pub fn read(
    session: &Session,
    remote: &[u8],
    bytes_max: u64,
    scope: &Scope,
) -> Result<Vec<u8>, Error> {
    let failed = |operation| move |error| Error::remote(operation, remote, error);
    let sftp = open(session, scope)?;
    let file = sftp.file(remote, OpenMode::Read, scope);
    let file = file.map_err(failed(Operation::Open))?;
    // Nothing was written: closing it is not waited for.
    to_end(&file, remote, bytes_max, scope)
}

/// Why a file was not read.
enum Refused {
    TooLarge,
    There(SftpError),
}

impl From<SftpError> for Refused {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

pub(crate) fn to_end(
    file: &RemoteFile,
    remote: &[u8],
    bytes_max: u64,
    scope: &Scope,
) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::remote(Operation::Stat, remote, error);
    let size = file.stat(scope).map_err(failed)?.size;
    let mut bytes = Vec::new();
    let read = file.read_to_end(0, size, scope, |piece| {
        bytes.extend_from_slice(piece);
        if bytes.len() as u64 > bytes_max {
            return Err(Refused::TooLarge);
        }
        Ok(())
    });
    match read {
        Ok(_) => Ok(bytes),
        Err(Refused::TooLarge) => Err(Error::TooLarge { bytes_max }),
        Err(Refused::There(error)) => Err(Error::remote(Operation::Read, remote, error)),
    }
}

fn open(session: &Session, scope: &Scope) -> Result<Sftp, Error> {
    Sftp::open(session, scope).map_err(Error::from_sftp)
}

/// Writes bytes to a host's file, over one that is there. Parks.
///
/// As [`put`](fn@crate::put) does by default: under a temporary name in the same directory, which is
/// then renamed.
///
/// # Errors
///
/// By what was asked of the host; the target is then as it was.
pub fn write(
    session: &Session,
    remote: &[u8],
    bytes: &[u8],
    scope: &Scope,
) -> Result<Copied, Error> {
    put(
        session,
        &Source::bytes(bytes),
        remote,
        &CopyOptions::new(),
        scope,
    )
}

/// Tells what stands at a path of a host; of a symbolic link, its target. Parks.
///
/// # Errors
///
/// The host's refusal, with [`SftpStatus::NO_SUCH_FILE`] where nothing is, or the session's failure.
pub fn stat(session: &Session, remote: &[u8], scope: &Scope) -> Result<Attributes, Error> {
    let told = open(session, scope)?.stat(remote, scope);
    told.map_err(|error| Error::remote(Operation::Stat, remote, error))
}

/// Tells whether anything stands at a path of a host; a link that leads nowhere is nothing. Parks.
///
/// # Errors
///
/// The host's refusal for another reason, or the session's failure.
pub fn exists(session: &Session, remote: &[u8], scope: &Scope) -> Result<bool, Error> {
    match stat(session, remote, scope) {
        Ok(_) => Ok(true),
        Err(Error::Remote {
            status: SftpStatus::NO_SUCH_FILE,
            ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lists the paths in a host's directory whose names fit a pattern, sorted by their bytes. Parks.
///
/// The pattern is for one name, as a POSIX shell reads it: `*` is any text, `?` any byte, `[a-z]` and
/// `[!a-z]` one byte of some, `\` takes the next byte as it is. A name that begins with a dot fits
/// only a pattern that does. At most 100,000 names of the directory are looked at, and 32 MiB of
/// them.
///
/// # Errors
///
/// The host's refusal, more names than that, or the session's failure.
pub fn glob(
    session: &Session,
    directory: &[u8],
    pattern: &[u8],
    scope: &Scope,
) -> Result<Vec<Vec<u8>>, Error> {
    let failed = |error: SftpError| Error::remote(Operation::List, directory, error);
    let sftp = open(session, scope)?;
    let listed = list(&sftp, directory, scope).map_err(failed)?;
    let pattern = Glob::new(pattern);
    let mut paths: Vec<Vec<u8>> = (listed.iter())
        .filter(|entry| pattern.fits(&entry.name))
        .map(|entry| remote_path::join(directory, &entry.name))
        .collect();
    paths.sort_unstable();
    Ok(paths)
}

/// Lists the names in a directory that can be names: a host may send anything.
pub(crate) fn list(sftp: &Sftp, directory: &[u8], scope: &Scope) -> Result<Vec<Entry>, SftpError> {
    let listed = remote_tree::list(sftp, directory, NAMES_MAX, scope)?;
    listed.ok_or(SftpError::Session(SessionError::Overstepped {
        phase: Phase::Transfer,
        what: remote_tree::TOO_LONG,
        kind: Kind::Limit,
    }))
}

/// Names of a directory that are looked at.
const NAMES_MAX: usize = 100_000;
