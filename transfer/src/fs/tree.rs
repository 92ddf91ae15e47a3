//! Directories and trees of a host: walked, found in, made and removed; no link is followed.

use std::num::NonZeroUsize;

use super::{RemoteFs, failed, there};
use crate::error::{Error, Operation};
use crate::glob::Glob;
use crate::put::DIRECTORY_PERMISSIONS;
use crate::remote_path;
use crate::remote_tree::{self, Deleting, too_many};
use crate::sftp::{Attributes, FileType, SftpError, SftpStatus};

/// What was found in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Its path: the root's, with what is below it.
    pub path: Vec<u8>,
    /// What the host tells of it; of a link, of the link itself.
    pub attributes: Attributes,
}

impl RemoteFs<'_> {
    /// Returns all that is below a directory, at most `found_max`, sorted so that a directory comes
    /// right before what is in it. A link is found but not followed, the root alone excepted.
    ///
    /// # Errors
    ///
    /// The host's refusal of any directory, more than `found_max` or 256 MiB of paths, or the
    /// session's failure.
    pub fn walk(
        &self,
        root: impl AsRef<[u8]>,
        found_max: NonZeroUsize,
    ) -> Result<Vec<Found>, Error> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        // What is still to be told, the next one last.
        let mut ahead = self.below(root.as_ref())?;
        while let Some(next) = ahead.pop() {
            bytes += next.path.len();
            if found.len() + ahead.len() >= found_max.get() || bytes > PATHS_BYTES_MAX {
                return Err(too_many(
                    "more names in a tree, or longer paths, than were allowed",
                ));
            }
            if next.attributes.file_type() == FileType::Directory {
                ahead.extend(self.below(&next.path)?);
            }
            found.push(next);
        }
        Ok(found)
    }

    /// Returns what is in a directory, the first one last.
    fn below(&self, directory: &[u8]) -> Result<Vec<Found>, Error> {
        let listed = self.list(directory)?;
        let found = listed.into_iter().rev().map(|entry| Found {
            path: remote_path::join(directory, &entry.name),
            attributes: entry.attributes,
        });
        Ok(found.collect())
    }

    /// Returns the paths that fit a pattern, sorted by their bytes; at most 1,000,000 names are
    /// looked at.
    ///
    /// Each part of it between slashes is for one name, as a POSIX shell reads it (see
    /// [`glob`](fn@crate::glob)); the part `**` is for any number of directories below each other,
    /// none included, but for links and for those whose names begin with a dot. Directories that may
    /// not be listed have nothing that fits.
    ///
    /// # Errors
    ///
    /// More names than that, or the session's failure.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        let pattern = pattern.as_ref();
        let root: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"" };
        let parts: Vec<&[u8]> = pattern
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .collect();
        let (mut found, mut looked) = (Vec::new(), 0);
        // Directories with how many parts of the pattern led there.
        let mut ahead = vec![(root.to_vec(), 0)];
        while let Some((directory, at)) = ahead.pop() {
            match parts.get(at) {
                None if at > 0 => found.push(directory),
                None => {}
                Some(part) if *part == b"**" => {
                    // A last `**` is for what is in the directories.
                    let within = self.within(&directory, &mut looked)?;
                    let last = at + 1 == parts.len();
                    for entry in within {
                        if entry.name.starts_with(b".") {
                            continue;
                        }
                        let path = remote_path::join(&directory, &entry.name);
                        if last {
                            found.push(path.clone());
                        }
                        if entry.attributes.file_type() == FileType::Directory {
                            ahead.push((path, at));
                        }
                    }
                    if !last {
                        ahead.push((directory, at + 1));
                    }
                }
                Some(part) if is_plain(part) => {
                    let path = remote_path::join(&directory, part);
                    let last = at + 1 == parts.len();
                    if !last || self.is_there(&path)? {
                        ahead.push((path, at + 1));
                    }
                }
                Some(part) => {
                    let glob = Glob::new(part);
                    let within = self.within(&directory, &mut looked)?;
                    let fitting = within.into_iter().filter(|entry| glob.fits(&entry.name));
                    ahead.extend(
                        fitting.map(|entry| (remote_path::join(&directory, &entry.name), at + 1)),
                    );
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Tells whether a path is there, a link that leads nowhere too.
    fn is_there(&self, path: &[u8]) -> Result<bool, Error> {
        match self.sftp.lstat(path, &self.scope) {
            Ok(_) => Ok(true),
            Err(SftpError::Status(_)) => Ok(false),
            Err(error) => Err(Error::from_sftp(error)),
        }
    }

    /// Lists what may be a directory; nothing if it is none.
    fn within(
        &self,
        directory: &[u8],
        looked: &mut usize,
    ) -> Result<Vec<crate::sftp::Entry>, Error> {
        let path: &[u8] = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        match crate::bytes::list(&self.sftp, path, &self.scope) {
            Ok(listed) => {
                *looked += listed.len() + 1;
                match *looked > LOOKED_MAX {
                    true => Err(too_many("more names than a pattern is tried on")),
                    false => Ok(listed),
                }
            }
            Err(SftpError::Status(_)) => Ok(Vec::new()),
            Err(error) => Err(failed(Operation::List, path)(error)),
        }
    }

    /// Makes a directory and those above it, with mode 0777 less the host's umask, or the last one
    /// with these permissions; returns whether it was not there.
    ///
    /// # Errors
    ///
    /// `Exists` if something else has a name of the path; the host's refusal, or the session's
    /// failure.
    pub fn make_directories(
        &self,
        path: impl AsRef<[u8]>,
        permissions: Option<u32>,
    ) -> Result<bool, Error> {
        let path = path.as_ref();
        let made = match remote_tree::make_all(&self.sftp, path, &self.scope) {
            Err(Error::Remote { remote, .. })
                if there(self.stat(&remote))?
                    .is_some_and(|about| about.file_type() != FileType::Directory) =>
            {
                return Err(Error::Exists { path: remote });
            }
            other => other?,
        };
        if let Some(permissions) = permissions
            && (made || self.stat(path)?.permissions() != Some(permissions & 0o7777))
        {
            self.chmod(path, permissions)?;
            return Ok(true);
        }
        Ok(made)
    }

    fn make(&self, path: &[u8]) -> Result<(), Error> {
        let made = self
            .sftp
            .make_directory(path, DIRECTORY_PERMISSIONS, &self.scope);
        made.map_err(failed(Operation::MakeDirectory, path))
    }

    /// Makes a directory where nothing stands, with mode 0777 less the host's umask.
    ///
    /// # Errors
    ///
    /// `Exists` if something has the name; the host's refusal, or the session's failure.
    pub fn make_directory(&self, path: impl AsRef<[u8]>) -> Result<(), Error> {
        let path = path.as_ref();
        self.make(path)
            .map_err(|error| match self.sftp.lstat(path, &self.scope) {
                Ok(_) => Error::Exists {
                    path: path.to_vec(),
                },
                Err(_) => error,
            })
    }

    /// Removes an empty directory; returns whether there was one.
    ///
    /// # Errors
    ///
    /// The host's refusal (`FAILURE` where it is not empty), or the session's failure.
    pub fn remove_directory(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        let removed = self.sftp.remove_directory(path, &self.scope);
        Ok(there(removed.map_err(failed(Operation::Remove, path)))?.is_some())
    }

    /// Removes what stands at a path, with all that is in it; of a link, the link. Returns whether
    /// there was anything. What another removes meanwhile is no error.
    ///
    /// SFTP opens directories by their paths: whoever may write to the tree and puts a link in the
    /// place of a directory between a look and the next call could have what it leads to emptied.
    ///
    /// # Errors
    ///
    /// The host's refusal, which leaves the rest; a directory that is deeper than any path; or the
    /// session's failure.
    pub fn remove_all(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        if matches!(remote_path::name(path), b"." | b"..") || path == b"/" || path.is_empty() {
            return Err(Error::Remote {
                operation: Operation::Remove,
                remote: path.to_vec(),
                status: SftpStatus::FAILURE,
            });
        }
        let deleting = Deleting {
            sftp: &self.sftp,
            entries_max: usize::MAX,
            stays: &|_| false,
            counted_only: false,
            scope: &self.scope,
        };
        let deleted = deleting.delete(path, &Attributes::default())?;
        Ok(deleted > 0)
    }
}

/// Returns whether a part of a pattern is a name as it stands.
fn is_plain(part: &[u8]) -> bool {
    !part
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Names that are looked at for a pattern.
const LOOKED_MAX: usize = 1_000_000;
/// Bytes of all paths that are found: in an endless directory of directories they become long.
const PATHS_BYTES_MAX: usize = 256 * 1024 * 1024;
