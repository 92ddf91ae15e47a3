//! A host's files as bytes: read, written and looked for over SFTP, with no file on this machine.

use std::path::Path;

use sshoal_reactor::Scope;
use sshoal_session::{FileAttributes, OpenMode, Session, SftpError, SftpFile, SftpStatus};

use crate::copy::{Copied, close, deliver};
use crate::error::{Error, Operation};
use crate::glob::Glob;

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
    let sftp = session.sftp(scope)?;
    let file = sftp.open(remote, OpenMode::Read, scope);
    let file = file.map_err(failed(Operation::Open))?;
    let read = to_end(&file, remote, bytes_max, scope);
    close(file, scope, read, failed(Operation::Close))
}

fn to_end(file: &SftpFile, remote: &[u8], bytes_max: u64, scope: &Scope) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut chunk, scope);
        let read = read.map_err(|error| Error::remote(Operation::Read, remote, error))?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&chunk[..read]);
        if bytes.len() as u64 > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
    }
}

/// Writes bytes to a host's file, over one that is there. Parks.
///
/// As [`put`](crate::put) does: under a temporary name in the same directory, which is then renamed,
/// with mode 0600.
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
    let (mut source, expected) = (bytes, bytes.len() as u64);
    let source = (&mut source as _, expected, Path::new(""));
    deliver(session, source, remote, scope)
}

/// Tells what stands at a path of a host; of a symbolic link, its target. Parks.
///
/// # Errors
///
/// The host's refusal, with [`SftpStatus::NO_SUCH_FILE`] where nothing is, or the session's failure.
pub fn stat(session: &Session, remote: &[u8], scope: &Scope) -> Result<FileAttributes, Error> {
    let told = session.sftp(scope)?.stat(remote, scope);
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
/// only a pattern that does. At most 100,000 names of the directory are looked at.
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
    let sftp = session.sftp(scope)?;
    let listed = sftp.list(directory, NAMES_MAX, scope).map_err(failed)?;
    let pattern = Glob::new(pattern);
    let mut paths: Vec<Vec<u8>> = (listed.iter())
        .filter(|entry| pattern.fits(&entry.name))
        .map(|entry| join(directory, &entry.name))
        .collect();
    paths.sort_unstable();
    Ok(paths)
}

/// Returns the path of a name in a directory.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        [] => name.to_vec(),
        [.., b'/'] => [directory, name].concat(),
        _ => [directory, b"/", name].concat(),
    }
}

/// Bytes per read: most files that are read so are small, and many hosts are asked at once.
const READ_BYTES: usize = 32 * 1024;
/// Names of a directory that are looked at.
const NAMES_MAX: usize = 100_000;
