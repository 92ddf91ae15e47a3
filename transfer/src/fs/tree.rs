//! Directories and trees of a host: walked, found in, made and removed; no link is followed.

use std::num::NonZeroUsize;

use super::find::{self, Look, Paths};
use super::{RemoteFs, failed, there};
use crate::error::{Error, Operation};
use crate::put::DIRECTORY_PERMISSIONS;
use crate::remote_path;
use crate::remote_tree::{self, Deleting, too_many};
use crate::sftp::{Attributes, Entry, FileType, SftpError, SftpStatus};

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
        let (mut found, mut paths) = (Vec::new(), Paths::default());
        // What is still to be told, the next one last.
        let mut ahead = self.below(root.as_ref(), &mut paths)?;
        while let Some(next) = ahead.pop() {
            if found.len() + ahead.len() >= found_max.get() {
                return Err(too_many("more names in a tree than were allowed"));
            }
            if next.attributes.file_type() == FileType::Directory {
                ahead.extend(self.below(&next.path, &mut paths)?);
            }
            found.push(next);
        }
        Ok(found)
    }

    /// Returns what is in a directory, the first one last.
    fn below(&self, directory: &[u8], paths: &mut Paths) -> Result<Vec<Found>, Error> {
        let listed = self.list(directory)?;
        let found = listed.into_iter().rev().map(|entry| {
            Ok(Found {
                path: paths.join(directory, &entry.name)?,
                attributes: entry.attributes,
            })
        });
        found.collect()
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
    /// More names than that, or 256 MiB of paths; or the session's failure.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        find::glob(self, pattern.as_ref())
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

impl Look for RemoteFs<'_> {
    fn is_there(&self, path: &[u8]) -> Result<bool, Error> {
        match self.sftp.lstat(path, &self.scope) {
            Ok(_) => Ok(true),
            Err(SftpError::Status(_)) => Ok(false),
            Err(error) => Err(Error::from_sftp(error)),
        }
    }

    fn within(&self, directory: &[u8]) -> Result<Option<Vec<Entry>>, Error> {
        match crate::bytes::list(&self.sftp, directory, &self.scope) {
            Ok(listed) => Ok(Some(listed)),
            Err(SftpError::Status(_)) => Ok(None),
            Err(error) => Err(failed(Operation::List, directory)(error)),
        }
    }
}
