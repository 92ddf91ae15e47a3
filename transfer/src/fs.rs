//! Work on a host's files over one SFTP channel, with nothing installed on the host.
//!
//! The principal type is [`RemoteFs`]; [`SudoFs`] does the same as another user, by commands.

use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_session::Session;

use crate::error::{Error, Operation};
use crate::part;
use crate::sftp::{
    Attributes, Entry, FileSystemStat, FileType, OpenMode, RemoteFile, Sftp, SftpError, SftpStatus,
};

mod diff;
mod find;
mod line;
mod owner;
mod sudo;
mod tree;
mod write;

pub use line::{LineChange, LineEdit};
pub use owner::Owner;
pub use sudo::SudoFs;
pub use tree::Found;
pub use write::WriteOptions;

/// A host's files, over one SFTP channel of a session. All methods park the calling thread.
///
/// Paths are bytes; relative ones are below where the host's SFTP server begins, the user's home
/// directory as a rule. Errors name the operation, the path and the host's status.
#[derive(Debug)]
pub struct RemoteFs<'a> {
    session: &'a Session,
    sftp: Sftp,
    scope: Scope,
}

impl<'a> RemoteFs<'a> {
    /// Opens a channel; all that is done over it is within the scope.
    ///
    /// # Errors
    ///
    /// The host has no SFTP ([`Error::is_subsystem_refused`]), or the session's failure.
    pub fn open(session: &'a Session, scope: &Scope) -> Result<Self, Error> {
        Ok(Self {
            session,
            sftp: Sftp::open(session, scope).map_err(Error::from_sftp)?,
            scope: scope.clone(),
        })
    }

    /// Returns the channel, for what has no method here.
    pub fn sftp(&self) -> &Sftp {
        &self.sftp
    }

    /// Reads a file to its end, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// The host's refusal, `TooLarge`, or the session's failure.
    pub fn read(&self, path: impl AsRef<[u8]>, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let file = self.file(path, OpenMode::Read)?;
        crate::bytes::to_end(&file, path, bytes_max, &self.scope)
    }

    /// Reads a file of text, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// As [`RemoteFs::read`], and `NotText` if it is no UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<[u8]>, bytes_max: u64) -> Result<String, Error> {
        let path = path.as_ref();
        let text = String::from_utf8(self.read(path, bytes_max)?);
        text.map_err(|_| Error::NotText {
            remote: path.to_vec(),
        })
    }

    /// Writes bytes behind the end of a file, which is made with mode 0644 less the host's umask
    /// where there is none. It is not atomic: readers may see a part of it.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure; a part may have been written.
    pub fn append(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let path = path.as_ref();
        let file = self.file(path, OpenMode::Append(write::FILE_PERMISSIONS))?;
        // Where the end is the host says for each write: they are under way one after the other.
        let written = file.write_at(0, bytes.as_ref(), &self.scope);
        let closed = file.close(&self.scope);
        written.map_err(failed(Operation::Write, path))?;
        closed.map_err(failed(Operation::Close, path))
    }

    /// Tells what stands at a path; of a symbolic link, its target.
    ///
    /// # Errors
    ///
    /// The host's refusal, with [`SftpStatus::NO_SUCH_FILE`] where nothing is.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<Attributes, Error> {
        let path = path.as_ref();
        let told = self.sftp.stat(path, &self.scope);
        told.map_err(failed(Operation::Stat, path))
    }

    /// Tells what stands at a path; of a symbolic link, the link itself.
    ///
    /// # Errors
    ///
    /// As [`RemoteFs::stat`].
    pub fn lstat(&self, path: impl AsRef<[u8]>) -> Result<Attributes, Error> {
        let path = path.as_ref();
        let told = self.sftp.lstat(path, &self.scope);
        told.map_err(failed(Operation::Stat, path))
    }

    /// Tells whether anything stands at a path; a link that leads nowhere is nothing.
    ///
    /// # Errors
    ///
    /// The host's refusal for another reason, or the session's failure.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(there(self.stat(path))?.is_some())
    }

    /// Lists a directory, sorted by the bytes of the names; at most 100,000 of them. What cannot be
    /// a name is left out.
    ///
    /// # Errors
    ///
    /// The host's refusal, more names than that, or the session's failure.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>, Error> {
        let path = path.as_ref();
        let listed = crate::bytes::list(&self.sftp, path, &self.scope);
        let mut listed = listed.map_err(failed(Operation::List, path))?;
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// Gives a file or directory another name, in place of a file that has it.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure.
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), Error> {
        let from = from.as_ref();
        let renamed = self.sftp.rename_over(from, to.as_ref(), &self.scope);
        renamed.map_err(failed(Operation::Rename, from))
    }

    /// Removes a file or a link; returns whether there was one.
    ///
    /// # Errors
    ///
    /// The host's refusal, of a directory too, or the session's failure.
    pub fn remove(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        let removed = self.sftp.remove(path, &self.scope);
        Ok(there(removed.map_err(failed(Operation::Remove, path)))?.is_some())
    }

    /// Has a symbolic link at `path` say `target`; returns whether it did not before. A link that
    /// says something else is replaced, anything else is not.
    ///
    /// # Errors
    ///
    /// `Exists` if something else has the name; the host's refusal, or the session's failure.
    pub fn symlink(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (target, path) = (target.as_ref(), path.as_ref());
        match there(self.lstat(path))?.map(|about| about.file_type()) {
            None => {
                let made = self.sftp.symlink(target, path, &self.scope);
                made.map_err(failed(Operation::Link, path))?;
                Ok(true)
            }
            Some(FileType::Link) if self.read_link(path)? == target => Ok(false),
            Some(FileType::Link) => {
                let other = part::name_beside(path);
                let made = self.sftp.symlink(target, &other, &self.scope);
                made.map_err(failed(Operation::Link, path))?;
                let named = self.rename(&other, path);
                if named.is_err() {
                    self.clean_up(&other);
                }
                named.map(|()| true)
            }
            Some(_) => Err(Error::Exists {
                path: path.to_vec(),
            }),
        }
    }

    /// Makes a hard link at `path`, where nothing stands, to the file `target`.
    ///
    /// # Errors
    ///
    /// `Exists` if something has the name; the host's refusal, or the session's failure.
    pub fn hard_link(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<(), Error> {
        let path = path.as_ref();
        let made = self.sftp.hard_link(target.as_ref(), path, &self.scope);
        made.map_err(|error| match self.sftp.lstat(path, &self.scope) {
            Ok(_) => Error::Exists {
                path: path.to_vec(),
            },
            Err(_) => Error::remote(Operation::Link, path, error),
        })
    }

    /// Returns what a symbolic link says.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure.
    pub fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let told = self.sftp.read_link(path, &self.scope);
        told.map_err(failed(Operation::ReadLink, path))
    }

    /// Returns a path from the root, without links.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure.
    pub fn real_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let told = self.sftp.real_path(path, &self.scope);
        told.map_err(failed(Operation::Resolve, path))
    }

    /// Sets permissions, for example `0o640`, of a link's target where it is a link.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure.
    pub fn chmod(&self, path: impl AsRef<[u8]>, permissions: u32) -> Result<(), Error> {
        let mode = Some(permissions & 0o7777);
        self.set(
            path.as_ref(),
            Attributes {
                mode,
                ..Attributes::default()
            },
        )
    }

    /// Sets the owner and the group, as far as given; of a link's target where it is a link.
    ///
    /// # Errors
    ///
    /// `NoAccount` for a name that the host does not know; the host's refusal, or the session's
    /// failure.
    pub fn chown(
        &self,
        path: impl AsRef<[u8]>,
        user: Option<&Owner>,
        group: Option<&Owner>,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let before = self.stat(path)?.owner;
        let owner = self.numbers(user, group, before)?;
        self.set(
            path,
            Attributes {
                owner,
                ..Attributes::default()
            },
        )
    }

    /// Sets a file's size: what is beyond it goes, and what is missing are zeros.
    ///
    /// # Errors
    ///
    /// The host's refusal, or the session's failure.
    pub fn truncate(&self, path: impl AsRef<[u8]>, bytes: u64) -> Result<(), Error> {
        let size = Some(bytes);
        self.set(
            path.as_ref(),
            Attributes {
                size,
                ..Attributes::default()
            },
        )
    }

    /// Returns how much room the file system of a path has.
    ///
    /// # Errors
    ///
    /// The host's refusal, `OP_UNSUPPORTED` where it cannot tell, or the session's failure.
    pub fn stat_file_system(&self, path: impl AsRef<[u8]>) -> Result<FileSystemStat, Error> {
        let path = path.as_ref();
        let told = self.sftp.stat_file_system(path, &self.scope);
        told.map_err(failed(Operation::StatFileSystem, path))
    }

    fn file(&self, path: &[u8], mode: OpenMode) -> Result<RemoteFile, Error> {
        let file = self.sftp.file(path, mode, &self.scope);
        file.map_err(failed(Operation::Open, path))
    }

    fn set(&self, path: &[u8], attributes: Attributes) -> Result<(), Error> {
        let set = self.sftp.set_stat(path, &attributes, &self.scope);
        set.map_err(failed(Operation::SetStat, path))
    }

    /// Removes what was begun, after a failure; the scope may have ended.
    fn clean_up(&self, path: &[u8]) {
        if self.session.is_open() {
            let scope = Scope::root().child(Some(CLEAN_UP_TIMEOUT));
            let _ = self.sftp.remove(path, &scope);
        }
    }
}

/// Names operation and path of a failure.
fn failed(operation: Operation, path: &[u8]) -> impl FnOnce(SftpError) -> Error {
    move |error| Error::remote(operation, path, error)
}

/// Turns the host's word that nothing is there into `None`.
fn there<T>(told: Result<T, Error>) -> Result<Option<T>, Error> {
    match told {
        Ok(told) => Ok(Some(told)),
        Err(Error::Remote {
            status: SftpStatus::NO_SUCH_FILE,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long the removal of an unfinished file may take after a failure.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(2);
