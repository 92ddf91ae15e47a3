//! Going on with a copy to a host that was cut short.

use super::{Copied, PRIVATE, Put, read_source};
use crate::bytes::list;
use crate::error::{Error, Operation};
use crate::options::Verify;
use crate::part::claim::{Claim, Key};
use crate::part::sweep;
use crate::sftp::{Entry, FileType, OpenMode, SftpError};
use crate::source::Source;
use crate::{checksum, remote_path};

impl Put<'_> {
    /// Copies, and goes on with what an earlier copy of the same source left.
    pub(super) fn resume(&self, source: &Source) -> Result<Copied, Error> {
        let key = self.key(source)?;
        let claim = Claim::new();
        let part = claim.path(key, self.remote);
        let mut result = match self.take_over(key, &part, source)? {
            0 => self.from(source, 0, &part),
            at => match self.from(source, at, &part) {
                // What was there is not what it seemed to be.
                Err(Error::Differs { .. } | Error::Short { .. }) => {
                    self.clean_up(|sftp, scope| sftp.remove(&part, scope));
                    self.from(source, 0, &part)
                }
                other => other,
            },
        };
        if result.is_ok() {
            result = self.give_name(&part);
        }
        match result {
            Ok(()) => Ok(self.ended(source.size())),
            Err(error) => {
                match error {
                    // Nothing that is worth to be gone on with.
                    Error::Differs { .. } | Error::Short { .. } | Error::Exists { .. } => {
                        self.clean_up(|sftp, scope| sftp.remove(&part, scope));
                    }
                    Error::Local { .. } if source.check_unchanged().is_err() => {
                        self.clean_up(|sftp, scope| sftp.remove(&part, scope));
                    }
                    _ => {
                        let left = claim.path_left(key, self.remote);
                        self.clean_up(|sftp, scope| sftp.rename_over(&part, &left, scope));
                    }
                }
                self.refused(error)
            }
        }
    }

    fn key(&self, source: &Source) -> Result<Key, Error> {
        let size = source.size().to_be_bytes();
        let Some(about) = self.about else {
            let digest = checksum::of_source(source, self.scope)?;
            return Ok(Key::new(&[&digest], self.remote));
        };
        let (_, changed) = about.times;
        let (changed, part) = (changed.to_be_bytes(), about.nanoseconds.to_be_bytes());
        Ok(Key::new(&[&size, &changed, &part], self.remote))
    }

    /// Gives the longest part file that an earlier copy left the name `part`, and returns how much
    /// of it is good; 0 if there is none.
    fn take_over(&self, key: Key, part: &[u8], source: &Source) -> Result<u64, Error> {
        let mut left: Vec<_> = (self.swept()?.into_iter())
            .filter(|entry| {
                let changed = entry.attributes.times.map(|(_, changed)| changed);
                let size = entry.attributes.size.unwrap_or(0);
                entry.attributes.file_type() == FileType::File
                    && size <= source.size()
                    && key.is_left(self.remote, &entry.name, changed)
            })
            .collect();
        left.sort_by_key(|entry| entry.attributes.size);
        let mut good = 0;
        while let Some(entry) = left.pop() {
            let path = remote_path::join(&self.remote[..self.directory_length()], &entry.name);
            if good > 0 {
                // A shorter one is of no more use; whoever has it meanwhile keeps it.
                let _ = self.sftp.remove(&path, self.scope);
                continue;
            }
            match self.sftp.rename_over(&path, part, self.scope) {
                Ok(()) => good = self.check(part, source)?,
                // Another copy was faster, or it is not ours to take.
                Err(SftpError::Status(_)) => {}
                Err(error) => return Err(Error::from_sftp(error)),
            }
        }
        Ok(good)
    }

    /// Removes what killed copies left in the target's directory; returns what is there.
    pub(super) fn swept(&self) -> Result<Vec<Entry>, Error> {
        let directory = remote_path::parent(self.remote).unwrap_or(b".");
        let listed = match list(self.sftp, directory, self.scope) {
            Ok(listed) => listed,
            // Where names cannot be looked for, there is nothing to go on with.
            Err(SftpError::Status(_)) => return Ok(Vec::new()),
            Err(error) => return Err(Error::from_sftp(error)),
        };
        let names = listed.iter().map(|entry| (&entry.name, &entry.attributes));
        let swept = sweep::there(self.sftp, directory, names, self.scope);
        swept.map_err(Error::from_sftp)?;
        Ok(listed)
    }

    /// How much of the target's path is its directory, with the last `/`.
    fn directory_length(&self) -> usize {
        self.remote.len() - remote_path::name(self.remote).len()
    }

    /// Returns the size of a part file whose end is as the source has it; removes any other.
    fn check(&self, part: &[u8], source: &Source) -> Result<u64, Error> {
        // What was listed as a file may have become a link meanwhile.
        let about = self.sftp.lstat(part, self.scope);
        let about = about.map_err(self.failed(Operation::Stat))?;
        let size = about.size.unwrap_or(0);
        if about.file_type() == FileType::File && size > 0 && size <= source.size() {
            let from = size - size.min(TAIL_BYTES);
            let file = self.sftp.file(part, OpenMode::Read, self.scope);
            let file = file.map_err(self.failed(Operation::Open))?;
            let mut at = from;
            let mut own = Vec::new();
            let read = file.read_to_end(from, Some(size), self.scope, |piece| {
                // The server of a copy that was killed may still write what it was sent.
                let left = usize::try_from(size - at).unwrap_or(usize::MAX);
                let piece = &piece[..piece.len().min(left)];
                own.resize(piece.len(), 0);
                read_source(source, at, &mut own).map_err(Unlike::Here)?;
                let pairs = own.iter().zip(piece);
                let same = pairs.take_while(|(ours, theirs)| ours == theirs).count();
                at += same as u64;
                match same == piece.len() && !piece.is_empty() {
                    true => Ok(()),
                    false => Err(Unlike::Enough),
                }
            });
            match read {
                Ok(_) | Err(Unlike::Enough) => {}
                Err(Unlike::Here(error)) => return Err(error),
                Err(Unlike::There(error)) => return Err(self.failed(Operation::Read)(error)),
            }
            // Where all of the end is wrong, what is before it is not to be believed.
            if at > from {
                return Ok(at);
            }
        }
        let removed = self.sftp.remove(part, self.scope);
        removed.map_err(self.failed(Operation::Remove))?;
        Ok(0)
    }

    /// Writes the part file from an offset on, and checks all of it.
    fn from(&self, source: &Source, at: u64, part: &[u8]) -> Result<(), Error> {
        let file = match at {
            0 => self.create(part)?,
            _ => {
                let mode = OpenMode::Write(self.permissions() | PRIVATE);
                let file = self.sftp.file(part, mode, self.scope);
                let file = file.map_err(self.failed(Operation::Open))?;
                // One that went meanwhile was made anew, and has nothing before the offset.
                let told = file.stat(self.scope);
                let arrived = told.map_err(self.failed(Operation::Stat))?.size;
                let arrived = arrived.unwrap_or_default();
                if arrived < at {
                    let expected = at;
                    return Err(Error::Short { expected, arrived });
                }
                file
            }
        };
        self.complete(file, part, |file| self.write(source, at, file))?;
        if at == 0 || self.options.verify == Verify::Sha256 {
            return Ok(());
        }
        let ours = checksum::of_source(source, self.scope)?;
        match checksum::compare(self.session, (part, self.remote), ours, self.scope) {
            // A host without a command for it is believed by the end that was checked.
            Err(Error::NoChecksum { .. }) => Ok(()),
            Err(Error::Session(_)) if self.session.is_open() && self.scope.check().is_ok() => {
                Ok(())
            }
            other => other,
        }
    }
}

/// Why the end of a part file was not read to its end.
enum Unlike {
    Enough,
    Here(Error),
    There(SftpError),
}

impl From<SftpError> for Unlike {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

/// Bytes at the end of a part file that are compared before it is gone on with: more than the 4 MiB
/// that may be under way, since some servers write what is in any order.
const TAIL_BYTES: u64 = 5 * 1024 * 1024;
