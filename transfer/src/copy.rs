//! One file, there or back, over SFTP.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sshoal_reactor::{Scope, blocking};
use sshoal_session::{OpenMode, Session, Sftp, SftpFile};

use crate::error::{Error, Operation};

/// Bytes per SFTP read or write: beyond this libssh2 breaks its own window (law S11).
const CHUNK_BYTES: usize = 240_000;
/// How long the removal of an unfinished file may take after a failure.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// The mode of a file that is being written.
const PART_MODE: u32 = 0o600;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The file's size.
    pub bytes: u64,
}

/// Copies a local file to a host. Parks.
///
/// The file is written under a temporary name in the same directory and renamed, over an existing
/// file too. It gets mode 0600.
///
/// # Errors
///
/// By whose file and at what; the remote target is then as it was.
pub fn put(session: &Session, local: &Path, remote: &[u8], scope: &Scope) -> Result<Copied, Error> {
    let mut source = File::open(local).map_err(Error::local(local))?;
    let expected = source.metadata().map_err(Error::local(local))?.len();
    deliver(session, (&mut source, expected, local), remote, scope)
}

/// Writes what a source gives under a temporary name and gives it the final one; the path is for
/// the source's own errors.
pub(crate) fn deliver(
    session: &Session,
    (source, expected, local): (&mut dyn Read, u64, &Path),
    remote: &[u8],
    scope: &Scope,
) -> Result<Copied, Error> {
    let sftp = session.sftp(scope)?;
    let part = part_name(remote);
    let result = send(&sftp, source, local, &part, scope).and_then(|bytes| {
        if bytes != expected {
            return Err(Error::Short {
                expected,
                arrived: bytes,
            });
        }
        let renamed = sftp.rename_over(&part, remote, scope);
        renamed.map_err(|error| Error::remote(Operation::Rename, remote, error))?;
        Ok(Copied { bytes })
    });
    if result.is_err() && session.is_open() {
        // The scope may have ended; what was begun must go all the same.
        let scope = Scope::root().child(Some(CLEAN_UP_TIMEOUT));
        let _ = sftp.remove(&part, &scope);
    }
    result
}

/// Writes the part file and returns the size that the host tells of it.
fn send(
    sftp: &Sftp,
    source: &mut dyn Read,
    local: &Path,
    part: &[u8],
    scope: &Scope,
) -> Result<u64, Error> {
    let failed = |operation| move |error| Error::remote(operation, part, error);
    let file = sftp.open(part, OpenMode::CreateNew(PART_MODE), scope);
    let file = file.map_err(failed(Operation::Open))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let written = loop {
        let filled = match fill(source, &mut chunk) {
            Ok(0) => break Ok(()),
            Ok(filled) => filled,
            Err(error) => break Err(Error::local(local)(error)),
        };
        if let Err(error) = file.write_all(&chunk[..filled], scope) {
            break Err(failed(Operation::Write)(error));
        }
    };
    let size = written.and_then(|()| {
        let size = file.size(scope).map_err(failed(Operation::Stat))?;
        Ok(size.unwrap_or_default())
    });
    close(file, scope, size, failed(Operation::Close))
}

/// Closes a file whatever happened to it; the first failure is the one that counts.
pub(crate) fn close<T>(
    file: SftpFile,
    scope: &Scope,
    result: Result<T, Error>,
    failed: impl FnOnce(sshoal_session::SftpError) -> Error,
) -> Result<T, Error> {
    let closed = file.close(scope).map_err(failed);
    result.and_then(|value| closed.map(|()| value))
}

/// Reads until the chunk is full or the file ends.
pub(crate) fn fill(source: &mut dyn Read, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match source.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Copies a host's file to this machine, at most `bytes_max` bytes of it. Parks.
///
/// The file is written under a temporary name in the same directory, synced and renamed, over an
/// existing file too. It gets mode 0600.
///
/// # Errors
///
/// By whose file and at what; the local target is then as it was, and nothing is left beside it.
pub fn get(
    session: &Session,
    remote: &[u8],
    local: &Path,
    bytes_max: u64,
    scope: &Scope,
) -> Result<Copied, Error> {
    let failed = |operation| move |error| Error::remote(operation, remote, error);
    let sftp = session.sftp(scope)?;
    let file = sftp
        .open(remote, OpenMode::Read, scope)
        .map_err(failed(Operation::Open))?;
    let directory = local
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let part = tempfile::NamedTempFile::new_in(directory.unwrap_or_else(|| Path::new(".")));
    let received = part.map_err(Error::local(local)).and_then(|mut part| {
        let expected = file.size(scope).map_err(failed(Operation::Stat))?;
        let bytes = receive(&file, part.as_file_mut(), remote, local, bytes_max, scope)?;
        match expected {
            Some(expected) if expected != bytes => Err(Error::Short {
                expected,
                arrived: bytes,
            }),
            _ => Ok((part, bytes)),
        }
    });
    let (part, bytes) = close(file, scope, received, failed(Operation::Close))?;
    let target = local.to_path_buf();
    // Syncing takes as long as the disk takes.
    let stored = blocking(move || {
        part.as_file().sync_all()?;
        part.persist(&target).map_err(|error| error.error)
    });
    let stored = stored.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    stored.map_err(Error::local(local))?;
    Ok(Copied { bytes })
}

fn receive(
    file: &SftpFile,
    part: &mut File,
    remote: &[u8],
    local: &Path,
    bytes_max: u64,
    scope: &Scope,
) -> Result<u64, Error> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk, scope);
        let read = read.map_err(|error| Error::remote(Operation::Read, remote, error))?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes += read as u64;
        // A host may send more than it said; nothing beyond the bound is kept.
        if bytes > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        part.write_all(&chunk[..read])
            .map_err(Error::local(local))?;
    }
}

/// A name beside the target that no other copy uses.
pub(crate) fn part_name(remote: &[u8]) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = remote.to_vec();
    name.extend(format!(".sshoal-{}-{time:x}-{next:x}", std::process::id()).bytes());
    name
}
