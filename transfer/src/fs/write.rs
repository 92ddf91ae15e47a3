//! A host's file written whole or not at all, and only if that changes something.

use super::diff::{between, unknown};
use super::line::{EDIT_BYTES_MAX, unchanged};
use super::{LineChange, Owner, RemoteFs, failed, there};
use crate::error::{Error, Operation};
use crate::options::Existing;
use crate::part;
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, SftpError, SftpStatus};

/// How a file is written; the default is what is said at each setter.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct WriteOptions {
    pub(super) permissions: Option<u32>,
    pub(super) user: Option<Owner>,
    pub(super) group: Option<Owner>,
    pub(super) existing: Existing,
}

impl WriteOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the permissions, for example `0o600`. Default: those of the file that is replaced; 0644
    /// where there is none.
    pub fn permissions(mut self, permissions: u32) -> Self {
        self.permissions = Some(permissions & 0o7777);
        self
    }

    /// Sets the owner. Default: that of the file that is replaced where the user may give it that,
    /// else the user who logged in.
    pub fn user(mut self, user: impl Into<Owner>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the group. Default: as with the owner.
    pub fn group(mut self, group: impl Into<Owner>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets what becomes of a file that is there. Default: [`Existing::Overwrite`].
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }
}

/// What a file is to replace.
pub(super) enum Before {
    /// Something that is to stay.
    Kept,
    /// A file, or what is no file, or nothing.
    File(Option<Attributes>),
}

impl WriteOptions {
    /// Decides by what stands at the path.
    pub(super) fn before(&self, path: &[u8], there: Option<Attributes>) -> Result<Before, Error> {
        match (&there, self.existing) {
            (Some(there), _) if there.file_type() == FileType::Directory => {
                Err(Error::IsDirectory {
                    remote: path.to_vec(),
                })
            }
            (Some(_), Existing::Keep) => Ok(Before::Kept),
            (Some(_), Existing::Fail) => Err(exists(path)),
            // What is to be kept and is not known may be what keeps others out.
            (Some(there), _) if there.mode.is_none() && self.permissions.is_none() => {
                Err(untold(path))
            }
            _ => Ok(Before::File(there.filter(|there| {
                there.mode.is_none() || there.file_type() == FileType::File
            }))),
        }
    }
}

impl RemoteFs<'_> {
    /// Writes a file, whole or not at all; returns whether anything changed. A file that has these
    /// bytes and what the options say already stays as it is. A link is replaced, not followed.
    ///
    /// # Errors
    ///
    /// `Exists` and `IsDirectory` by what is there; `NotTold` where the permissions are to be kept
    /// and the host does not tell them; `NoAccount` for an unknown name; the host's
    /// refusal, or the session's failure. The file is then as it was, and nothing is left beside it.
    pub fn write(
        &self,
        path: impl AsRef<[u8]>,
        bytes: impl AsRef<[u8]>,
        options: &WriteOptions,
    ) -> Result<bool, Error> {
        let (path, bytes) = (path.as_ref(), bytes.as_ref());
        let before = match self.before(path, options)? {
            Before::Kept => return Ok(false),
            Before::File(before) => before,
        };
        if let Some(before) = &before
            && self.is_so(path, bytes, before, options)?
        {
            return Ok(false);
        }
        self.replace(path, bytes, before.as_ref(), options, || Ok(()))?;
        Ok(true)
    }

    /// Tells what [`RemoteFs::write`] would change, with the difference of the bytes, and changes
    /// nothing. Permissions and owner alone may be what would change; there is no difference then.
    ///
    /// # Errors
    ///
    /// As [`RemoteFs::write`]; that it may not be written is not found out.
    pub fn write_preview(
        &self,
        path: impl AsRef<[u8]>,
        bytes: impl AsRef<[u8]>,
        options: &WriteOptions,
    ) -> Result<LineChange, Error> {
        let (path, bytes) = (path.as_ref(), bytes.as_ref());
        let before = match self.before(path, options)? {
            Before::Kept => return Ok(unchanged()),
            Before::File(before) => before,
        };
        let Some(before) = before else {
            let diff = between(path, b"", bytes);
            return Ok(LineChange {
                changed: true,
                diff,
            });
        };
        let changed = !self.is_so(path, bytes, &before, options)?;
        let diff = match self.read(path, EDIT_BYTES_MAX) {
            _ if !changed => String::new(),
            Ok(old) => between(path, &old, bytes),
            // Who may not read it, or not all of it, may still replace it.
            Err(Error::Remote { .. } | Error::TooLarge { .. }) => unknown(path),
            Err(error) => return Err(error),
        };
        Ok(LineChange { changed, diff })
    }

    /// Looks at what a file is to replace.
    fn before(&self, path: &[u8], options: &WriteOptions) -> Result<Before, Error> {
        options.before(path, there(self.lstat(path))?)
    }

    /// Returns whether a file is already as it is to be.
    fn is_so(
        &self,
        path: &[u8],
        bytes: &[u8],
        before: &Attributes,
        options: &WriteOptions,
    ) -> Result<bool, Error> {
        let wanted = options.permissions;
        if before.size != Some(bytes.len() as u64)
            || wanted.is_some_and(|wanted| before.permissions() != Some(wanted))
        {
            return Ok(false);
        }
        let owner = self.numbers(options.user.as_ref(), options.group.as_ref(), before.owner)?;
        if owner.is_some() && owner != before.owner {
            return Ok(false);
        }
        match self.read(path, bytes.len() as u64) {
            Ok(there) => Ok(there == bytes),
            // Who may not read it may still replace it.
            Err(Error::Remote { .. } | Error::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes beside a file and takes its name, if `check` agrees at the last moment.
    pub(super) fn replace(
        &self,
        path: &[u8],
        bytes: &[u8],
        before: Option<&Attributes>,
        options: &WriteOptions,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let part = part::name_beside(path);
        // Nobody else reads it before it has its owner and permissions.
        let file = self
            .sftp
            .file(&part, OpenMode::CreateNew(PRIVATE), &self.scope);
        let file = file.map_err(failed(Operation::Open, path))?;
        let written = self
            .fill(file, &part, bytes, before, options)
            .and_then(|()| check())
            .and_then(|()| self.name(&part, path, options.existing));
        if written.is_err() {
            self.clean_up(&part);
        }
        written
    }

    fn fill(
        &self,
        file: RemoteFile,
        part: &[u8],
        bytes: &[u8],
        before: Option<&Attributes>,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let scope = &self.scope;
        let written = file
            .write_at(0, bytes, scope)
            .map_err(failed(Operation::Write, part))
            .and_then(|()| self.dress(&file, part, before, options))
            .and_then(|()| match file.sync(scope) {
                // Some file systems cannot.
                Ok(_) | Err(SftpError::Status(SftpStatus::OP_UNSUPPORTED)) => Ok(()),
                Err(error) => Err(failed(Operation::Sync, part)(error)),
            });
        let closed = file.close(scope).map_err(failed(Operation::Close, part));
        written?;
        closed
    }

    /// Sets owner, then permissions: a change of the owner takes id bits away.
    fn dress(
        &self,
        file: &RemoteFile,
        part: &[u8],
        before: Option<&Attributes>,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let set = |attributes: Attributes| file.set_stat(&attributes, &self.scope);
        let own = file
            .stat(&self.scope)
            .map_err(failed(Operation::Stat, part))?;
        let kept = before.and_then(|before| before.owner);
        let owner = self.numbers(
            options.user.as_ref(),
            options.group.as_ref(),
            kept.or(own.owner),
        )?;
        let wanted = owner.is_some();
        if let Some(owner) = owner.or(kept).filter(|owner| own.owner != Some(*owner)) {
            let owned = set(Attributes {
                owner: Some(owner),
                ..Attributes::default()
            });
            match owned {
                // It was to be kept where that may be.
                Err(SftpError::Status(_)) if !wanted => {}
                other => other.map_err(failed(Operation::SetStat, part))?,
            }
        }
        let kept = before.and_then(Attributes::permissions);
        let mode = match options.permissions.or(kept) {
            Some(permissions) => permissions,
            None => FILE_PERMISSIONS,
        };
        let dressed = set(Attributes {
            mode: Some(mode),
            ..Attributes::default()
        });
        dressed.map_err(failed(Operation::SetStat, part))
    }

    fn name(&self, part: &[u8], path: &[u8], existing: Existing) -> Result<(), Error> {
        if existing == Existing::Overwrite {
            let named = self.sftp.rename_over(part, path, &self.scope);
            return named.map_err(failed(Operation::Rename, path));
        }
        let named = self.sftp.rename(part, path, &self.scope);
        named.map_err(|error| match self.sftp.lstat(path, &self.scope) {
            Ok(_) => exists(path),
            Err(_) => Error::remote(Operation::Rename, path, error),
        })
    }
}

pub(super) fn untold(path: &[u8]) -> Error {
    Error::NotTold {
        remote: path.to_vec(),
        what: "permissions",
    }
}

fn exists(path: &[u8]) -> Error {
    Error::Exists {
        path: path.to_vec(),
    }
}

/// Permissions of a file that had none.
pub(super) const FILE_PERMISSIONS: u32 = 0o644;
/// Permissions of a file that is not whole.
const PRIVATE: u32 = 0o600;
