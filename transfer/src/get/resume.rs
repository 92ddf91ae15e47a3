//! Going on with a copy to this machine that was cut short.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sshoal_reactor::offload;
use tempfile::{NamedTempFile, TempPath};

use super::{Coming, make_directory, make_part, sweep_now_and_then};
use crate::checksum::{self, Digest};
use crate::error::Error;
use crate::options::Verify;
use crate::part::claim::Key;
use crate::put::Copied;

impl Coming<'_> {
    /// Copies, and goes on with what an earlier copy of the same file left.
    pub(super) fn resume(&self, local: &Path) -> Result<Copied, Error> {
        sweep_now_and_then(make_directory(local, self.options)?);
        // A file whose version cannot be told is copied anew.
        let (Some(size), Some((_, changed))) = (self.about.size, self.about.times) else {
            return self.afresh(make_part(local, self.options)?, local);
        };
        let (size_bytes, changed) = (size.to_be_bytes(), changed.to_be_bytes());
        let host = self.session.host().to_string();
        let version: [&[u8]; 4] = [&size_bytes, &changed, self.remote, host.as_bytes()];
        let key = Key::new(&version, local.as_os_str().as_bytes());
        let prefix = key.prefix(local.as_os_str().as_bytes());
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&prefix));
        let Some(mut part) = claim(&path).map_err(Error::local(local))? else {
            // Another copy is at it.
            return self.afresh(make_part(local, self.options)?, local);
        };
        match self.fill(&mut part, size, local) {
            Ok(bytes) => self.store(part, local, bytes),
            // Nothing that is worth to be gone on with.
            Err(
                error @ (Error::Differs { .. }
                | Error::Short { .. }
                | Error::Changed { .. }
                | Error::TooLarge { .. }),
            ) => Err(error),
            Err(error) => {
                // It stays for the next copy.
                part.disable_cleanup(true);
                Err(error)
            }
        }
    }

    /// Brings a part file to its end, from where its own is good, and checks all of it.
    fn fill(&self, part: &mut NamedTempFile, size: u64, local: &Path) -> Result<u64, Error> {
        let file = part.as_file_mut();
        let good = self.good(file, size, local)?;
        if good > 0 {
            match self.go_on(file, good, local) {
                // What was there is not what it seemed to be.
                Err(Error::Differs { .. }) => {}
                other => return other,
            }
        }
        begin_at(file, 0).map_err(Error::local(local))?;
        self.receive(file, local)
    }

    fn go_on(&self, file: &mut File, at: u64, local: &Path) -> Result<u64, Error> {
        begin_at(file, at).map_err(Error::local(local))?;
        let bytes = self.take_from(at, |piece| {
            file.write_all(piece).map_err(Error::local(local))
        })?;
        let whole = file.try_clone().map_err(Error::local(local))?;
        let ours = offload(move || digest(whole));
        let ours = ours.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let ours = ours.map_err(Error::local(local))?;
        match checksum::compare(self.session, (self.remote, self.remote), ours, self.scope) {
            Err(error @ (Error::NoChecksum { .. } | Error::Session(_))) => {
                // A host without a command for it is believed by the end that was checked.
                let goes_on = self.session.is_open() && self.scope.check().is_ok();
                match self.options.verify == Verify::Size && goes_on {
                    true => Ok(bytes),
                    false => Err(error),
                }
            }
            other => other.map(|()| bytes),
        }
    }

    /// Returns how much of a part file is good: all of it, if its end is as the host has it.
    fn good(&self, file: &File, size: u64, local: &Path) -> Result<u64, Error> {
        let there = file.metadata().map_err(Error::local(local))?.len();
        if there == 0 || there > size {
            return Ok(0);
        }
        let from = there - there.min(TAIL_BYTES);
        let mut at = from;
        let (mut own, mut theirs) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
        while at < there {
            let left = usize::try_from(there - at).unwrap_or(usize::MAX);
            let room = &mut theirs[..left.min(PIECE_BYTES)];
            let read = self.file.read_at(at, room, self.scope);
            let count = read.map_err(|error| {
                Error::remote(crate::error::Operation::Read, self.remote, error)
            })?;
            let own = &mut own[..count];
            file.read_exact_at(own, at).map_err(Error::local(local))?;
            if count == 0 || *own != theirs[..count] {
                return Ok(0);
            }
            at += count as u64;
        }
        Ok(there)
    }
}

/// Opens the part file of this name, or makes it, for this copy alone; `None` if another has it.
fn claim(path: &Path) -> io::Result<Option<NamedTempFile>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    // A link that somebody laid there is neither followed nor waited at.
    let file = match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => return Ok(None),
        Ok(_) => match options.open(path) {
            // Another user's.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            other => other?,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match options.create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                other => other?,
            }
        }
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // Where files cannot be locked nobody can tell who else has it.
        Err(TryLockError::Error(_)) => return Ok(None),
    }
    // The name may have gone to another file before the lock was ours: to the whole copy, even.
    let (own, named) = (file.metadata()?, fs::symlink_metadata(path));
    let same = named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino()));
    let ours = TempPath::try_from_path(path)?;
    // What another user laid there would stay theirs.
    let others = fs::metadata("/proc/self").is_ok_and(|process| process.uid() != own.uid());
    if !same || others || own.nlink() != 1 {
        let _ = ours.keep();
        return Ok(None);
    }
    Ok(Some(NamedTempFile::from_parts(file, ours)))
}

/// Cuts a file off and goes on writing there.
fn begin_at(file: &mut File, at: u64) -> io::Result<()> {
    file.set_len(at)?;
    file.seek(SeekFrom::Start(at)).map(drop)
}

fn digest(mut file: File) -> io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes at the end of a part file that are compared before it is gone on with.
const TAIL_BYTES: u64 = 1024 * 1024;
/// Bytes that are compared and hashed at once.
const PIECE_BYTES: usize = 256 * 1024;
