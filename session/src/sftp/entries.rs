//! What stands at a path of a host, and in a directory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sshoal_reactor::Scope;

use super::{Sftp, SftpError, SftpFile, operation};
use crate::error::{Error, Kind, Phase};
use crate::ffi::Attributes;

/// What a server tells of a file; all of it may be untrue, and what it left out is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAttributes(Attributes);

/// What sort of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket, or the server does not tell.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryEntry {
    /// The name alone: never empty, `.` or `..`, and without `/` and NUL.
    pub name: Vec<u8>,
    /// What stands there; of a symbolic link, the link's own.
    pub attributes: FileAttributes,
}

impl FileAttributes {
    /// Returns what sort of file it is.
    pub fn kind(&self) -> FileKind {
        // The type bits of st_mode (IEEE 1003.1, <sys/stat.h>), as servers send them.
        match self.0.mode.map(|mode| mode & 0o170_000) {
            Some(0o100_000) => FileKind::File,
            Some(0o040_000) => FileKind::Directory,
            Some(0o120_000) => FileKind::Symlink,
            _ => FileKind::Other,
        }
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> Option<u64> {
        self.0.size
    }

    /// Returns the permission bits, those that set an id included.
    pub fn mode(&self) -> Option<u32> {
        self.0.mode.map(|mode| mode & 0o7777)
    }

    /// Returns the owner's and the group's number.
    pub fn owner(&self) -> Option<(u32, u32)> {
        self.0.owner
    }

    /// Returns when it was last read, in whole seconds.
    pub fn accessed(&self) -> Option<SystemTime> {
        self.0.times.map(|(accessed, _)| time(accessed))
    }

    /// Returns when it was last changed, in whole seconds.
    pub fn modified(&self) -> Option<SystemTime> {
        self.0.times.map(|(_, modified)| time(modified))
    }
}

fn time(seconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.into())
}

impl Sftp {
    /// Asks what stands at a path; of a symbolic link, its target. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn stat(&self, path: &[u8], scope: &Scope) -> Result<FileAttributes, SftpError> {
        let told = operation(&self.0, scope, |library| library.stat(path));
        told.map(FileAttributes)
    }

    /// Lists a directory, in the order of the server, at most `entries_max` names. Parks.
    ///
    /// Names that are none, with a `/` in them for example, are left out.
    ///
    /// # Errors
    ///
    /// The server's status, the session's failure, or `Overstepped` if there are more names.
    pub fn list(
        &self,
        path: &[u8],
        entries_max: usize,
        scope: &Scope,
    ) -> Result<Vec<DirectoryEntry>, SftpError> {
        let file = operation(&self.0, scope, |library| library.open_directory(path))?;
        let directory = SftpFile {
            engine: self.0.clone(),
            file,
            closed: false,
        };
        let listed = directory.entries(entries_max, scope);
        // The first failure is the one that counts.
        let closed = directory.close(scope);
        listed.and_then(|entries| closed.map(|()| entries))
    }
}

impl SftpFile {
    fn entries(&self, entries_max: usize, scope: &Scope) -> Result<Vec<DirectoryEntry>, SftpError> {
        let (mut entries, mut told) = (Vec::new(), 0);
        let mut name = vec![0; NAME_BYTES_MAX];
        loop {
            let read = operation(&self.engine, scope, |library| {
                library.read_directory(self.file, &mut name)
            });
            let (length, attributes) = match read? {
                (0, _) => return Ok(entries),
                read => read,
            };
            told += 1;
            // `.` and `..` are told too, and are nobody's files.
            if told > entries_max.saturating_add(2) {
                return Err(SftpError::Session(Error::Overstepped {
                    phase: Phase::Transfer,
                    what: "more names in a directory than allowed",
                    kind: Kind::Limit,
                }));
            }
            let name = &name[..length];
            if is_name(name) {
                entries.push(DirectoryEntry {
                    name: name.to_vec(),
                    attributes: FileAttributes(attributes),
                });
            }
        }
    }
}

/// Returns whether a host's word can be a name in a directory.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// The longest name that is taken; file systems stop at 255.
const NAME_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in ["", ".", "..", "a/b", "/etc", "../x", "a\0"] {
            assert!(!is_name(name.as_bytes()), "{name:?}");
        }
        for name in ["...", ".a", "a b", "\u{fc}", "-", "*"] {
            assert!(is_name(name.as_bytes()), "{name:?}");
        }
    }
}
