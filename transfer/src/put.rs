//! One file to a host, over SFTP: whole under its name, or not at all.

use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_session::Session;

use crate::error::{Error, Operation};
use crate::options::{CopyOptions, Existing, Parents, Preserve, Verify};
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, Sftp, SftpError, SftpStatus};
use crate::source::Source;
use crate::{checksum, part, remote_path};

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The file's size.
    pub bytes: u64,
    /// Whether a file of that name was there and stays, so that nothing was copied.
    pub kept: bool,
}

/// Copies to a host's file. Parks.
///
/// The file is written under a temporary name in the same directory and renamed in the end. A path
/// that ends in `/` gets the source's name.
///
/// # Errors
///
/// By whose file and at what; the host's file is then as it was, and nothing is left beside it,
/// unless the connection was lost.
pub fn put(
    session: &Session,
    source: &Source,
    remote: &[u8],
    options: &CopyOptions,
    scope: &Scope,
) -> Result<Copied, Error> {
    let sftp = Sftp::open(session, scope).map_err(Error::from_sftp)?;
    let remote = target(source, remote)?;
    put_over((session, &sftp), source, &remote, options, scope)
}

/// As [`put`], over an SFTP channel of the session, to a path that names the file.
pub(crate) fn put_over(
    (session, sftp): (&Session, &Sftp),
    source: &Source,
    remote: &[u8],
    options: &CopyOptions,
    scope: &Scope,
) -> Result<Copied, Error> {
    let put = Put {
        session,
        sftp,
        source,
        remote,
        options,
        scope,
    };
    put.run()
}

/// Returns the path of the copy: one that ends in `/` gets the source's name.
fn target(source: &Source, remote: &[u8]) -> Result<Vec<u8>, Error> {
    let file = source.path().and_then(|path| path.file_name());
    match (remote_path::name(remote), file) {
        ([], Some(name)) => Ok(remote_path::join(remote, name.as_encoded_bytes())),
        ([], None) => Err(Error::NoName {
            remote: remote.to_vec(),
        }),
        _ => Ok(remote.to_vec()),
    }
}

/// One copy under way.
struct Put<'a> {
    session: &'a Session,
    sftp: &'a Sftp,
    source: &'a Source,
    remote: &'a [u8],
    options: &'a CopyOptions,
    scope: &'a Scope,
}

impl Put<'_> {
    fn run(&self) -> Result<Copied, Error> {
        let there = self.look()?;
        match (there, self.options.existing) {
            (Some(attributes), Existing::Keep) => {
                return Ok(Copied {
                    bytes: attributes.size.unwrap_or_default(),
                    kept: true,
                });
            }
            (Some(_), Existing::Fail) => return Err(self.exists()),
            _ => {}
        }
        let part = part::name_beside(self.remote);
        let result = self.send(&part).and_then(|()| self.give_name(&part));
        if result.is_err() && self.session.is_open() {
            // The scope may have ended; what was begun must go all the same.
            let scope = Scope::root().child(Some(CLEAN_UP_TIMEOUT));
            let _ = self.sftp.remove(&part, &scope);
        }
        result.map(|()| Copied {
            bytes: self.source.size(),
            kept: false,
        })
    }

    /// Looks at what has the target's name; what is no file is in the way.
    fn look(&self) -> Result<Option<Attributes>, Error> {
        match self.sftp.stat(self.remote, self.scope) {
            Ok(attributes) if attributes.file_type() == FileType::Directory => {
                Err(Error::IsDirectory {
                    remote: self.remote.to_vec(),
                })
            }
            Ok(attributes) => Ok(Some(attributes)),
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => Ok(None),
            // Whoever may not look may still write.
            Err(SftpError::Status(_)) => Ok(None),
            Err(error) => Err(Error::from_sftp(error)),
        }
    }

    /// Writes the part file, checks it and leaves it with the permissions and times it is to have.
    fn send(&self, part: &[u8]) -> Result<(), Error> {
        let failed = |operation| move |error| Error::remote(operation, part, error);
        let file = self.create(part)?;
        let written = self.write(&file, part).and_then(|()| {
            let told = file.stat(self.scope).map_err(failed(Operation::Stat))?;
            let arrived = told.size.unwrap_or_default();
            if arrived != self.source.size() {
                return Err(Error::Short {
                    expected: self.source.size(),
                    arrived,
                });
            }
            self.dress(&file).map_err(failed(Operation::SetStat))?;
            file.sync(self.scope).map_err(failed(Operation::Sync))?;
            Ok(())
        });
        let closed = file.close(self.scope).map_err(failed(Operation::Close));
        // The first failure is the one that counts.
        written.and(closed)?;
        match self.options.verify {
            Verify::Size => Ok(()),
            Verify::Sha256 => {
                let ours = checksum::of_source(self.source)?;
                checksum::compare(self.session, (part, self.remote), ours, self.scope)
            }
        }
    }

    /// Makes the part file, and the directories for it where they are missing.
    fn create(&self, part: &[u8]) -> Result<RemoteFile, Error> {
        let mode = OpenMode::CreateNew(self.permissions());
        let made = match self.sftp.file(part, mode, self.scope) {
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE))
                if self.options.parents == Parents::Make =>
            {
                make_directories(self.sftp, remote_path::parent(self.remote), self.scope)?;
                self.sftp.file(part, mode, self.scope)
            }
            other => other,
        };
        made.map_err(|error| Error::remote(Operation::Open, self.remote, error))
    }

    fn write(&self, file: &RemoteFile, part: &[u8]) -> Result<(), Error> {
        let failed = |error| Error::remote(Operation::Write, part, error);
        let mut writing = file.writing();
        let (mut offset, size) = (0, self.source.size());
        let whole = usize::try_from(size).unwrap_or(usize::MAX);
        let mut buffer = vec![0; file.write_max().min(whole)];
        while offset < size {
            let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
            let piece = &mut buffer[..left.min(file.write_max())];
            let read = self.source.read_at(offset, piece);
            read.map_err(|error| {
                Error::local(self.source.path().unwrap_or_else(|| "".as_ref()))(error)
            })?;
            writing.write(offset, piece, self.scope).map_err(failed)?;
            offset += piece.len() as u64;
        }
        writing.finish(self.scope).map_err(failed)
    }

    /// Gives the part file the permissions and times that were asked for.
    fn dress(&self, file: &RemoteFile) -> Result<(), SftpError> {
        let preserve = self.options.preserve == Preserve::Yes;
        let about = self.source.about().filter(|_| preserve);
        let attributes = Attributes {
            mode: (self.options.permissions).or(about.map(|about| about.permissions)),
            times: about.map(|about| (seconds(about.times.0), seconds(about.times.1))),
            ..Attributes::default()
        };
        if attributes == Attributes::default() {
            return Ok(());
        }
        file.set_stat(&attributes, self.scope)
    }

    /// The permissions with which the part file is made; the host's umask takes from them.
    fn permissions(&self) -> u32 {
        let own = self.source.about().map(|about| about.permissions & 0o777);
        match self.options.permissions {
            Some(permissions) => permissions & 0o777,
            None => own.unwrap_or(FILE_PERMISSIONS),
        }
    }

    fn give_name(&self, part: &[u8]) -> Result<(), Error> {
        if self.options.existing == Existing::Overwrite {
            let renamed = self.sftp.rename_over(part, self.remote, self.scope);
            return renamed.map_err(|error| Error::remote(Operation::Rename, self.remote, error));
        }
        // It fails where something has the name by then: of two copies at once, one wins.
        let renamed = self.sftp.rename(part, self.remote, self.scope);
        renamed.map_err(|error| match self.sftp.lstat(self.remote, self.scope) {
            Ok(_) => self.exists(),
            Err(_) => Error::remote(Operation::Rename, self.remote, error),
        })
    }

    fn exists(&self) -> Error {
        Error::Exists {
            path: self.remote.to_vec(),
        }
    }
}

/// Makes a directory, and those that it is in, where they are missing. Parks.
pub(crate) fn make_directories(
    sftp: &Sftp,
    directory: Option<&[u8]>,
    scope: &Scope,
) -> Result<(), Error> {
    let make = |path| sftp.make_directory(path, DIRECTORY_PERMISSIONS, scope);
    // Another host's copy, or another program, may have made it meanwhile.
    let is_there = |path| {
        let there = sftp.stat(path, scope);
        there.is_ok_and(|there| there.file_type() == FileType::Directory)
    };
    let failed = |path, error| Err(Error::remote(Operation::MakeDirectory, path, error));
    let mut missing = Vec::new();
    let mut directory = directory;
    while let Some(path) = directory {
        match make(path) {
            Ok(()) => break,
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => missing.push(path),
            Err(_) if is_there(path) => break,
            Err(error) => return failed(path, error),
        }
        directory = remote_path::parent(path);
    }
    for path in missing.into_iter().rev() {
        match make(path) {
            Err(error) if !is_there(path) => return failed(path, error),
            _ => {}
        }
    }
    Ok(())
}

/// SFTP's times are 32 bits.
pub(crate) fn seconds(time: i64) -> u32 {
    u32::try_from(time).unwrap_or(if time < 0 { 0 } else { u32::MAX })
}

/// How long the removal of an unfinished file may take after a failure.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// Permissions of a directory that is made; the host's umask takes from them.
pub(crate) const DIRECTORY_PERMISSIONS: u32 = 0o777;
/// Permissions of a copy whose source has none.
const FILE_PERMISSIONS: u32 = 0o666;
