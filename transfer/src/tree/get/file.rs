//! One file of a directory that is got: whether it stays, and its bytes.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::atomic::Ordering;

use sha2::{Digest as _, Sha256};
use sshoal_reactor::{blocking, offload};

use super::{Getting, Job};
use crate::checksum::{self, Digest};
use crate::error::{Error, Operation};
use crate::get::{bytes_max, check_whole, is_without_size};
use crate::limits::Governor;
use crate::options::{Existing, Preserve, Verify};
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, SftpError};
use crate::tree::beneath::{Dress, Part, There};
use crate::tree::options::{DryRun, Unchanged};
use crate::tree::report::Action;

impl Getting<'_> {
    pub(super) fn file(&self, job: &Job, path: &[u8], about: &Attributes) -> Result<(), Error> {
        if self.stays(job, path, about)? {
            self.course.note(|report| report.kept += 1);
            return Ok(());
        }
        if self.options.dry_run == DryRun::Yes {
            return self.would_be_copied(path, about);
        }
        let (remote, scope) = (self.remote(path), self.course.scope());
        let governor = Governor::enter(&self.options.copy, scope)?;
        let failed = |operation| {
            let remote = &remote;
            move |error| Error::remote(operation, remote, error)
        };
        let file = self.sftp.file(&remote, OpenMode::Read, scope);
        let file = file.map_err(failed(Operation::Open))?;
        // What it is by now, and not what the directory told.
        let about = file.stat(scope).map_err(failed(Operation::Stat))?;
        if about.mode.is_some() && about.file_type() != FileType::File {
            return Err(Error::NoFile { remote });
        }
        let size = about.size.unwrap_or(u64::MAX);
        let under_way = self.budget.take(size, scope);
        let _under_way = under_way.map_err(|_| self.course.stopped())?;
        let mut part = Part::new(&job.dir, &job.name).map_err(self.here(path))?;
        governor.begin(about.size.unwrap_or(0));
        let bytes = self.receive(&file, (&remote, path), &about, (&mut part, &governor))?;
        drop(file);
        let dress = self.dress_of_file(&about);
        let (name, existing) = (job.name.clone(), self.options.copy.existing);
        // Syncing takes as long as the disk takes.
        let stored = blocking(move || part.store(&name, dress, existing));
        let stored = stored.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        stored.map_err(self.here(path))?;
        governor.end();
        self.done(path, Action::Copy, |report| {
            report.files += 1;
            report.bytes += bytes;
        });
        Ok(())
    }

    /// Whether what has the name here stays as it is.
    fn stays(&self, job: &Job, path: &[u8], about: &Attributes) -> Result<bool, Error> {
        let Some(there) = job.dir.look(&job.name).map_err(self.here(path))? else {
            return Ok(false);
        };
        if there.is_directory {
            return Err(self.here(path)(io::ErrorKind::IsADirectory.into()));
        }
        match self.options.copy.existing {
            _ if self.is_equal((job, path), about, &there)? => {
                self.adjust((job, path), about, &there)?;
                Ok(true)
            }
            Existing::Overwrite => Ok(false),
            Existing::Keep => Ok(true),
            Existing::Fail => Err(self.here(path)(io::ErrorKind::AlreadyExists.into())),
        }
    }

    fn would_be_copied(&self, path: &[u8], about: &Attributes) -> Result<(), Error> {
        self.done(path, Action::Copy, |report| {
            report.files += 1;
            report.bytes += about.size.unwrap_or_default();
        });
        Ok(())
    }

    /// Whether a file here is the host's, as far as the options ask.
    fn is_equal(
        &self,
        (job, path): (&Job, &[u8]),
        about: &Attributes,
        there: &There,
    ) -> Result<bool, Error> {
        if !there.is_file || about.size != Some(there.size) {
            return Ok(false);
        }
        match self.options.unchanged {
            Unchanged::Copy => Ok(false),
            Unchanged::SizeAndTime => {
                let modified = about.times.map(|(_, modified)| i64::from(modified));
                Ok(modified == Some(there.modified))
            }
            Unchanged::Sha256 => {
                let file = job.dir.open(&job.name).map_err(self.here(path))?;
                let size = there.size;
                let ours = offload(move || digest(file, size));
                let ours = ours.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                let ours = ours.map_err(self.here(path))?;
                let remote = self.remote(path);
                let theirs = checksum::of_remote(self.session, &remote, self.course.scope())?;
                Ok(ours == Some(theirs))
            }
        }
    }

    /// Gives an equal file the permissions and times that are to be kept, where they differ.
    fn adjust(
        &self,
        (job, path): (&Job, &[u8]),
        about: &Attributes,
        there: &There,
    ) -> Result<(), Error> {
        if self.options.copy.preserve == Preserve::No {
            return Ok(());
        }
        let dress = self.dress_of_file(about);
        let modified = dress.times.map(|(_, modified)| i64::from(modified));
        if dress.permissions == Some(there.permissions)
            && modified.is_none_or(|modified| modified == there.modified)
        {
            return Ok(());
        }
        if self.options.dry_run == DryRun::No {
            let file = job.dir.open(&job.name);
            let put_on = file.and_then(|file| dress.put_on(&file));
            put_on.map_err(self.here(path))?;
        }
        self.done(path, Action::Adjust, |report| report.adjusted += 1);
        Ok(())
    }

    /// What a file is given: never an id bit, and of permissions what the umask leaves.
    fn dress_of_file(&self, about: &Attributes) -> Dress {
        let preserve = self.options.copy.preserve == Preserve::Yes;
        let own = about.mode.unwrap_or(FILE_PERMISSIONS) & 0o777 & !self.umask;
        Dress {
            permissions: Some(self.options.copy.permissions.unwrap_or(own)),
            times: about.times.filter(|_| preserve),
        }
    }

    /// Receives a file's bytes, at most as many as the host told of it and all may have.
    fn receive(
        &self,
        file: &RemoteFile,
        (remote, path): (&[u8], &[u8]),
        about: &Attributes,
        (part, governor): (&mut Part, &Governor),
    ) -> Result<u64, Error> {
        let one_max = bytes_max(&self.options.copy, about.size);
        let all_max = self.options.bytes_max;
        if about.size.is_some_and(|size| size > one_max) {
            return Err(Error::TooLarge { bytes_max: one_max });
        }
        let mut hasher = (self.options.copy.verify == Verify::Sha256).then(Sha256::new);
        let mut bytes = 0;
        let read = file.read_to_end(0, about.size, self.course.scope(), |piece| {
            let count = piece.len() as u64;
            if about.size.is_some_and(|size| bytes + count > size) {
                return Err(Failed::Beyond);
            }
            bytes += count;
            if bytes > one_max {
                let bytes_max = one_max;
                return Err(Failed::Here(Error::TooLarge { bytes_max }));
            }
            if self.bytes.fetch_add(count, Ordering::Relaxed) + count > all_max {
                let bytes_max = all_max;
                return Err(Failed::Here(Error::TreeTooLarge { bytes_max }));
            }
            governor
                .pass(piece.len(), self.course.scope())
                .map_err(Failed::Here)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
            }
            let written = part.file().write_all(piece);
            written.map_err(|error| Failed::Here(self.here(path)(error)))
        });
        let beyond = matches!(read, Err(Failed::Beyond)).then_some(one_max);
        match read {
            Err(Failed::Beyond) if is_without_size(file, (remote, about), self.course.scope())? => {
                // Nothing of it was taken yet.
                let about = Attributes {
                    size: None,
                    ..*about
                };
                return self.receive(file, (remote, path), &about, (part, governor));
            }
            Ok(_) | Err(Failed::Beyond) => {}
            Err(Failed::Here(error)) => return Err(error),
            Err(Failed::There(error)) => {
                return Err(Error::remote(Operation::Read, remote, error));
            }
        }
        check_whole(file, (remote, about), (bytes, beyond), self.course.scope())?;
        if let Some(hasher) = hasher {
            let ours = hasher.finalize().into();
            checksum::compare(self.session, (remote, remote), ours, self.course.scope())?;
        }
        Ok(bytes)
    }
}

/// Why a file was not received.
enum Failed {
    Here(Error),
    There(SftpError),
    /// There is more than the host said.
    Beyond,
}

impl From<SftpError> for Failed {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

/// Computes the digest of a file; `None` if it has become longer.
fn digest(mut file: File, size: u64) -> io::Result<Option<Digest>> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(hasher.finalize().into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes += count as u64;
        if bytes > size {
            return Ok(None);
        }
        hasher.update(&buffer[..count]);
    }
}

/// Bytes hashed at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Permissions of a file of which the host tells none.
const FILE_PERMISSIONS: u32 = 0o644;
