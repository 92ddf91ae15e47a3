//! One file, there or back, over SFTP.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sshoal_reactor::{Scope, blocking};
use sshoal_session::Session;

use crate::error::{Error, Operation};
use crate::sftp::{OpenMode, RemoteFile, Sftp, SftpError};

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
    let sftp = Sftp::open(session, scope).map_err(Error::from_sftp)?;
    let part = part_name(remote);
    let result = send(&sftp, &mut source, local, &part, scope).and_then(|bytes| {
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
    source: &mut File,
    local: &Path,
    part: &[u8],
    scope: &Scope,
) -> Result<u64, Error> {
    let failed = |operation| move |error| Error::remote(operation, part, error);
    let file = sftp.file(part, OpenMode::CreateNew(PART_MODE), scope);
    let file = file.map_err(failed(Operation::Open))?;
    let written = write_all(&file, source, scope).map_err(|error| match error {
        Failed::Here(error) => Error::local(local)(error),
        Failed::There(error) => failed(Operation::Write)(error),
    });
    let size = written.and_then(|()| {
        let told = file.stat(scope).map_err(failed(Operation::Stat))?;
        Ok(told.size.unwrap_or_default())
    });
    close(file, scope, size, failed(Operation::Close))
}

/// On whose side it failed.
enum Failed {
    Here(std::io::Error),
    There(SftpError),
}

/// Writes a whole local file, many writes under way at once.
fn write_all(file: &RemoteFile, source: &mut File, scope: &Scope) -> Result<(), Failed> {
    let mut writing = file.writing();
    let mut chunk = vec![0; file.write_max()];
    let mut offset = 0;
    loop {
        let filled = fill(source, &mut chunk).map_err(Failed::Here)?;
        if filled == 0 {
            return writing.finish(scope).map_err(Failed::There);
        }
        let written = writing.write(offset, &chunk[..filled], scope);
        written.map_err(Failed::There)?;
        offset += filled as u64;
    }
}

/// Closes a file whatever happened to it; the first failure is the one that counts.
fn close<T>(
    file: RemoteFile,
    scope: &Scope,
    result: Result<T, Error>,
    failed: impl FnOnce(SftpError) -> Error,
) -> Result<T, Error> {
    let closed = file.close(scope).map_err(failed);
    result.and_then(|value| closed.map(|()| value))
}

/// Reads until the chunk is full or the file ends.
fn fill(source: &mut File, chunk: &mut [u8]) -> std::io::Result<usize> {
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
    let sftp = Sftp::open(session, scope).map_err(Error::from_sftp)?;
    let file = sftp
        .file(remote, OpenMode::Read, scope)
        .map_err(failed(Operation::Open))?;
    let directory = local
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let part = tempfile::NamedTempFile::new_in(directory.unwrap_or_else(|| Path::new(".")));
    let received = part.map_err(Error::local(local)).and_then(|mut part| {
        let expected = file.stat(scope).map_err(failed(Operation::Stat))?.size;
        let bytes = receive((&file, expected), part.as_file_mut(), bytes_max, scope);
        let bytes = bytes.map_err(|error| match error {
            Refused::TooLarge => Error::TooLarge { bytes_max },
            Refused::Here(error) => Error::local(local)(error),
            Refused::There(error) => failed(Operation::Read)(error),
        })?;
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

/// Why a file was not received.
enum Refused {
    TooLarge,
    Here(std::io::Error),
    There(SftpError),
}

impl From<SftpError> for Refused {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

fn receive(
    (file, size): (&RemoteFile, Option<u64>),
    part: &mut File,
    bytes_max: u64,
    scope: &Scope,
) -> Result<u64, Refused> {
    let mut bytes = 0;
    file.read_to_end(0, size, scope, |piece| {
        bytes += piece.len() as u64;
        // A host may send more than it said; nothing beyond the bound is kept.
        if bytes > bytes_max {
            return Err(Refused::TooLarge);
        }
        part.write_all(piece).map_err(Refused::Here)
    })
}

/// A name beside the target that no other copy uses.
fn part_name(remote: &[u8]) -> Vec<u8> {
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
