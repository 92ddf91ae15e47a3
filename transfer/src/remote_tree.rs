//! A host's directories: listed, made with those above them, and deleted with all that is in them.
//!
//! Single copies, trees and [`RemoteFs`](crate::RemoteFs) share it. A host lists what it likes, so
//! whatever is no name is left out here and never becomes a part of a path.

use sshoal_reactor::Scope;
use sshoal_session::{Error as SessionError, Kind, Phase};

use crate::error::{Error, Operation};
use crate::put::DIRECTORY_PERMISSIONS;
use crate::remote_path;
use crate::sftp::{Attributes, Entry, FileType, Sftp, SftpError, SftpStatus};
use crate::tree::is_one_name;

/// Lists the names in a directory that can be names, in the host's order; `None` if it gives more
/// than so many, more than a million or more than 32 MiB of them. Parks.
pub(crate) fn list(
    sftp: &Sftp,
    directory: &[u8],
    names_max: usize,
    scope: &Scope,
) -> Result<Option<Vec<Entry>>, SftpError> {
    let mut open = sftp.directory(directory, scope)?;
    let (mut entries, mut told, mut bytes) = (Vec::new(), 0, 0);
    while let Some(entry) = open.next(scope)? {
        told += 1;
        bytes += entry.name.len();
        if told > names_max.min(NAMES_MAX) || bytes > NAMES_BYTES_MAX {
            return Ok(None);
        }
        if is_one_name(&entry.name) {
            entries.push(entry);
        }
    }
    Ok(Some(entries))
}

/// The error of a listing that was too long, where so many names may be taken.
pub(crate) fn too_long(entries_max: usize) -> Error {
    match entries_max > NAMES_MAX {
        true => too_many(TOO_LONG),
        false => Error::TooManyEntries { entries_max },
    }
}

/// Makes a directory, and those that it is in, where they are missing; whether it was not there. The
/// error names the one that cannot be made. Parks.
pub(crate) fn make_all(sftp: &Sftp, path: &[u8], scope: &Scope) -> Result<bool, Error> {
    let make = |path| sftp.make_directory(path, DIRECTORY_PERMISSIONS, scope);
    // Another host's copy, or another program, may have made it meanwhile.
    let is_there = |path| {
        let there = sftp.stat(path, scope);
        there.is_ok_and(|there| there.file_type() == FileType::Directory)
    };
    let failed = |path, error| Err(Error::remote(Operation::MakeDirectory, path, error));
    let (mut missing, mut next, mut made) = (Vec::new(), Some(path), false);
    while let Some(directory) = next {
        match make(directory) {
            Ok(()) => {
                made |= directory.len() == path.len();
                break;
            }
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => missing.push(directory),
            Err(_) if is_there(directory) => break,
            Err(error) => return failed(directory, error),
        }
        next = remote_path::parent(directory);
    }
    for directory in missing.into_iter().rev() {
        match make(directory) {
            Ok(()) => made |= directory.len() == path.len(),
            Err(_) if is_there(directory) => {}
            Err(error) => return failed(directory, error),
        }
    }
    Ok(made)
}

/// How trees of a host are deleted.
pub(crate) struct Deleting<'a> {
    pub(crate) sftp: &'a Sftp,
    /// Names that are taken in all.
    pub(crate) entries_max: usize,
    /// What stays, by its path; and so do the directories that it is in.
    pub(crate) stays: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether it is only counted.
    pub(crate) counted_only: bool,
    pub(crate) scope: &'a Scope,
}

/// A directory that is being emptied.
struct Level {
    /// How long the path to it is.
    path_bytes: usize,
    /// What is still in it.
    names: Vec<Entry>,
    /// Bytes that the names took at first.
    bytes: usize,
    /// Whether something in it stays, and so it does.
    stays: bool,
}

impl Deleting<'_> {
    /// Deletes what stands at a path, or a directory with all that is in it; of a link, the link.
    /// Returns how much was deleted. What another deletes meanwhile is no error. Parks.
    ///
    /// SFTP opens directories by their paths: what a link is put in the place of a directory for,
    /// between two calls, is the host's own affair.
    pub(crate) fn delete(&self, path: &[u8], about: &Attributes) -> Result<u64, Error> {
        let (mut deleted, mut seen, mut held) = (0, 0, 0);
        let mut path = path.to_vec();
        if (self.stays)(&path) {
            return Ok(0);
        }
        let mut levels = match self.type_of(&path, about)? {
            None => return Ok(0),
            Some(FileType::Directory) => vec![self.enter(&path, &mut seen)?],
            Some(_) => return self.gone(&path, Sftp::remove),
        };
        while let Some(level) = levels.last_mut() {
            path.truncate(level.path_bytes);
            if let Some(next) = level.names.pop() {
                path = remote_path::join(&path, &next.name);
                if (self.stays)(&path) {
                    level.stays = true;
                    continue;
                }
                match self.type_of(&path, &next.attributes)? {
                    None => {}
                    Some(FileType::Directory) => {
                        let within = self.enter(&path, &mut seen)?;
                        held += within.bytes;
                        if levels.len() >= LEVELS_MAX || held > HELD_BYTES_MAX {
                            return Err(too_many("a tree that is deeper than any path"));
                        }
                        levels.push(within);
                    }
                    Some(_) => deleted += self.gone(&path, Sftp::remove)?,
                }
                continue;
            }
            let Some(done) = levels.pop() else { break };
            held = held.saturating_sub(done.bytes);
            match levels.last_mut() {
                Some(above) if done.stays => above.stays = true,
                _ if done.stays => {}
                _ => deleted += self.gone(&path, Sftp::remove_directory)?,
            }
        }
        Ok(deleted)
    }

    /// What stands at a path, where the listing did not say; `None` if nothing does.
    fn type_of(&self, path: &[u8], told: &Attributes) -> Result<Option<FileType>, Error> {
        if told.mode.is_some() {
            return Ok(Some(told.file_type()));
        }
        match self.sftp.lstat(path, self.scope) {
            Ok(about) => Ok(Some(about.file_type())),
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => Ok(None),
            Err(error) => Err(Error::remote(Operation::Stat, path, error)),
        }
    }

    fn enter(&self, path: &[u8], seen: &mut usize) -> Result<Level, Error> {
        let entries_max = self.entries_max;
        let left = entries_max.saturating_sub(*seen);
        let names = match list(self.sftp, path, left, self.scope) {
            Ok(listed) => listed.ok_or_else(|| too_long(entries_max))?,
            // Another has deleted it.
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => Vec::new(),
            Err(error) => return Err(Error::remote(Operation::List, path, error)),
        };
        *seen += names.len();
        Ok(Level {
            path_bytes: path.len(),
            bytes: names
                .iter()
                .map(|entry| size_of::<Entry>() + entry.name.len())
                .sum(),
            names,
            stays: false,
        })
    }

    fn gone(
        &self,
        path: &[u8],
        remove: fn(&Sftp, &[u8], &Scope) -> Result<(), SftpError>,
    ) -> Result<u64, Error> {
        if self.counted_only {
            return Ok(1);
        }
        match remove(self.sftp, path, self.scope) {
            Ok(()) => Ok(1),
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => Ok(0),
            Err(error) => Err(Error::remote(Operation::Remove, path, error)),
        }
    }
}

/// A host tells more than is taken of it.
pub(crate) fn too_many(what: &'static str) -> Error {
    Error::Session(SessionError::Overstepped {
        phase: Phase::Transfer,
        what,
        kind: Kind::Limit,
    })
}

/// Names of a directory that are taken, whatever the caller allows: short ones take more memory
/// than their bytes.
const NAMES_MAX: usize = 1_000_000;
/// Of a directory that is too long.
pub(crate) const TOO_LONG: &str = "more names in a directory, or longer ones, than are looked at";
/// Bytes of all names of a directory together: most file systems end a name at 255.
const NAMES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Directories in each other: a path of 4,096 bytes, where Linux ends them, has no more.
const LEVELS_MAX: usize = 2048;
/// Bytes of the names that wait while a tree is deleted.
const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
