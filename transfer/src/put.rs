//! One file to a host, over SFTP: whole under its name, or not at all.

use std::io::{self, Read};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sshoal_reactor::Scope;
use sshoal_session::Session;

use crate::checksum::Digest;
use crate::error::{Error, Operation};
use crate::limits::Governor;
use crate::options::{CopyOptions, Existing, Leftovers, Parents, Preserve, Resume, Verify};
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, Sftp, SftpError, SftpStatus};
use crate::source::{About, Source};
use crate::stream::Feed;
use crate::{checksum, part, remote_path, remote_tree};

mod resume;

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
/// unless the connection was lost: what then is left, a later copy that looks into the directory
/// removes ([`Leftovers::Remove`], [`Resume::Yes`], or [`put_tree`](crate::put_tree) with
/// [`TreeOptions::sync`](crate::TreeOptions)). A source that is written to meanwhile is a `Local`
/// one, unless it only grew: then what it had at first is copied.
pub fn put(
    session: &Session,
    source: &Source,
    remote: &[u8],
    options: &CopyOptions,
    scope: &Scope,
) -> Result<Copied, Error> {
    let governor = Governor::enter(options, scope)?;
    let sftp = &Sftp::open(session, scope).map_err(Error::from_sftp)?;
    let put = Put {
        session,
        sftp,
        about: source.about(),
        remote: &target(source, remote)?,
        options,
        scope,
        governor,
    };
    if options.leftovers == Leftovers::Remove && options.resume == Resume::No {
        // A directory that cannot be listed can be copied into all the same.
        let _ = put.swept();
    }
    put.source(source)
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
        about: source.about(),
        remote,
        options,
        scope,
        governor: Governor::enter(options, scope)?,
    };
    put.source(source)
}

/// Copies what a reader gives, to its end, to a host's file. Parks.
///
/// As [`put`](fn@crate::put) does, but that nothing is known of the size before the end, so that
/// [`Resume`] does not apply. The reader is read on a thread where it may block, at
/// most 1 MiB at once, as far as the host takes it.
///
/// # Errors
///
/// As those of [`put`](fn@crate::put); a failure of the reader is a `Local` one without a path.
pub fn put_reader(
    session: &Session,
    reader: impl Read + Send + 'static,
    remote: &[u8],
    options: &CopyOptions,
    scope: &Scope,
) -> Result<Copied, Error> {
    let governor = Governor::enter(options, scope)?;
    let sftp = &Sftp::open(session, scope).map_err(Error::from_sftp)?;
    if remote_path::name(remote).is_empty() {
        return Err(Error::NoName {
            remote: remote.to_vec(),
        });
    }
    let put = Put {
        session,
        sftp,
        about: None,
        remote,
        options,
        scope,
        governor,
    };
    match put.stays()? {
        Some(kept) => Ok(kept),
        None => put.run(|file| put.write_from(reader, file)),
    }
}

/// Returns the path of the copy: one that ends in `/` gets the source's name.
pub(crate) fn target(source: &Source, remote: &[u8]) -> Result<Vec<u8>, Error> {
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
    /// Of a source that is a file.
    about: Option<About>,
    remote: &'a [u8],
    options: &'a CopyOptions,
    scope: &'a Scope,
    governor: Governor,
}

/// What was written to a part file.
struct Sent {
    bytes: u64,
    /// Where the host's is to be compared with it.
    digest: Option<Digest>,
}

impl Put<'_> {
    /// Copies a source.
    fn source(&self, source: &Source) -> Result<Copied, Error> {
        match (self.stays()?, self.options.resume) {
            (Some(kept), _) => Ok(kept),
            (None, Resume::Yes) => self.resume(source),
            (None, Resume::No) => self.run(|file| self.write(source, 0, file)),
        }
    }

    /// Returns what is there already, if that stays.
    fn stays(&self) -> Result<Option<Copied>, Error> {
        match (self.look()?, self.options.existing) {
            (Some(attributes), Existing::Keep) => Ok(Some(Copied {
                bytes: attributes.size.unwrap_or_default(),
                kept: true,
            })),
            (Some(_), Existing::Fail) => Err(self.exists()),
            _ => Ok(None),
        }
    }

    fn run(&self, fill: impl FnOnce(&RemoteFile) -> Result<Sent, Error>) -> Result<Copied, Error> {
        let part = part::name_beside(self.remote);
        let made = self.create(&part);
        let sent = made.and_then(|file| self.complete(file, &part, fill));
        let result = sent.and_then(|bytes| self.give_name(&part).map(|()| bytes));
        match result {
            Ok(bytes) => Ok(self.ended(bytes)),
            Err(error) => {
                self.clean_up(|sftp, scope| sftp.remove(&part, scope));
                self.refused(error)
            }
        }
    }

    /// What failed; but that something has the name by then is no failure where that stays.
    fn refused(&self, error: Error) -> Result<Copied, Error> {
        match (&error, self.options.existing) {
            (Error::Exists { .. }, Existing::Keep) => self.stays()?.ok_or(error),
            _ => Err(error),
        }
    }

    fn ended(&self, bytes: u64) -> Copied {
        self.governor.end();
        Copied { bytes, kept: false }
    }

    /// Does what has to be done with a part file after a failure.
    fn clean_up(&self, work: impl Fn(&Sftp, &Scope) -> Result<(), SftpError>) {
        if !self.session.is_open() {
            return;
        }
        // The scope may have ended; what was begun must go all the same.
        let scope = match self.scope.check() {
            Ok(()) => self.scope.child(Some(CLEAN_UP_LONGEST)),
            Err(_) => Scope::root().child(Some(CLEAN_UP_TIMEOUT)),
        };
        match work(self.sftp, &scope) {
            Ok(()) | Err(SftpError::Status(_)) => {}
            // The server of this channel may have ended, and the session not.
            Err(_) if self.session.is_open() && scope.check().is_ok() => {
                let _ = Sftp::open(self.session, &scope).and_then(|sftp| work(&sftp, &scope));
            }
            Err(_) => {}
        }
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
    fn complete(
        &self,
        file: RemoteFile,
        part: &[u8],
        fill: impl FnOnce(&RemoteFile) -> Result<Sent, Error>,
    ) -> Result<u64, Error> {
        let written = fill(&file).and_then(|sent| {
            let told = file.stat(self.scope);
            let told = told.map_err(self.failed(Operation::Stat))?;
            match told.size {
                Some(arrived) if arrived != sent.bytes => {
                    return Err(Error::Short {
                        expected: sent.bytes,
                        arrived,
                    });
                }
                // The digest tells more than the size.
                None if sent.digest.is_none() => self.check_end(part, sent.bytes)?,
                _ => {}
            }
            // While the permissions are such that the host's command may read it.
            if let Some(ours) = sent.digest {
                checksum::compare(self.session, (part, self.remote), ours, self.scope)?;
            }
            let dressed = self.dress(&file, told.mode);
            dressed.map_err(self.failed(Operation::SetStat))?;
            match file.sync(self.scope) {
                // Some file systems cannot.
                Ok(_) | Err(SftpError::Status(SftpStatus::OP_UNSUPPORTED)) => Ok(sent),
                Err(error) => Err(self.failed(Operation::Sync)(error)),
            }
        });
        let closed = file.close(self.scope);
        // The first failure is the one that counts.
        let sent = written?;
        closed.map_err(self.failed(Operation::Close))?;
        Ok(sent.bytes)
    }

    /// Checks by its last byte that all of a part file arrived, where the host does not tell sizes.
    fn check_end(&self, part: &[u8], bytes: u64) -> Result<(), Error> {
        let read = |offset| {
            let file = self.sftp.file(part, OpenMode::Read, self.scope)?;
            file.read_at(offset, &mut [0], self.scope)
        };
        let ends = read(bytes).and_then(|beyond| match bytes.checked_sub(1) {
            Some(last) => Ok(beyond == 0 && read(last)? == 1),
            None => Ok(beyond == 0),
        });
        match ends {
            Ok(true) => Ok(()),
            Ok(false) | Err(SftpError::Status(_)) => Err(Error::NotTold {
                remote: self.remote.to_vec(),
                what: "size",
            }),
            Err(error) => Err(Error::from_sftp(error)),
        }
    }

    /// A failure by the name that the copy is to have.
    fn failed(&self, operation: Operation) -> impl Fn(SftpError) -> Error {
        move |error| Error::remote(operation, self.remote, error)
    }

    /// Makes the part file, and the directories for it where they are missing.
    fn create(&self, part: &[u8]) -> Result<RemoteFile, Error> {
        // Ours to read and to go on with, until it is dressed.
        let mode = OpenMode::CreateNew(self.permissions() | PRIVATE);
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

    /// Writes what follows an offset of a source.
    fn write(&self, source: &Source, from: u64, file: &RemoteFile) -> Result<Sent, Error> {
        let failed = self.failed(Operation::Write);
        let mut writing = file.writing();
        let (mut offset, size) = (from, source.size());
        self.governor.begin(size);
        self.governor.resume(from);
        while offset < size {
            let written = source.with_piece(offset, |bytes| {
                let piece = &bytes[..bytes.len().min(file.write_max())];
                self.governor.pass(piece.len(), self.scope)?;
                let written = writing.write(offset, piece, self.scope);
                written.map(|()| piece.len() as u64).map_err(&failed)
            });
            offset += written.map_err(|error| local_error(source, error))??;
        }
        writing.finish(self.scope).map_err(failed)?;
        let changed = source.check_unchanged();
        changed.map_err(|error| local_error(source, error))?;
        let digest = match self.options.verify {
            Verify::Size => None,
            Verify::Sha256 => Some(checksum::of_source(source, self.scope)?),
        };
        let bytes = size;
        Ok(Sent { bytes, digest })
    }

    /// Writes what a reader gives.
    fn write_from(
        &self,
        reader: impl Read + Send + 'static,
        file: &RemoteFile,
    ) -> Result<Sent, Error> {
        let failed = self.failed(Operation::Write);
        let mut writing = file.writing();
        let mut hasher = (self.options.verify == Verify::Sha256).then(Sha256::new);
        let mut feed = Feed::new(reader, READ_BYTES);
        let mut bytes = 0;
        self.governor.begin(0);
        while let Some(read) = feed.next(self.scope)? {
            self.governor.expect(read.len() as u64);
            for piece in read.chunks(file.write_max()) {
                self.governor.pass(piece.len(), self.scope)?;
                let written = writing.write(bytes, piece, self.scope);
                written.map_err(&failed)?;
                bytes += piece.len() as u64;
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(read);
            }
        }
        writing.finish(self.scope).map_err(failed)?;
        let digest = hasher.map(|hasher| hasher.finalize().into());
        Ok(Sent { bytes, digest })
    }

    /// Gives the part file the permissions and times that were asked for; `told` are those that it
    /// has.
    fn dress(&self, file: &RemoteFile, told: Option<u32>) -> Result<(), SftpError> {
        let preserve = self.options.preserve == Preserve::Yes;
        let about = self.about.filter(|_| preserve);
        let attributes = Attributes {
            mode: (self.options.permissions)
                .or(about.map(|about| about.permissions))
                .or(self.less_than_private(told)),
            times: about.map(|about| (seconds(about.times.0), seconds(about.times.1))),
            ..Attributes::default()
        };
        if attributes == Attributes::default() {
            return Ok(());
        }
        file.set_stat(&attributes, self.scope)
    }

    /// What the part file may not keep of the permissions that it was made with.
    fn less_than_private(&self, told: Option<u32>) -> Option<u32> {
        let own = self.permissions();
        let told = told.filter(|_| own & PRIVATE != PRIVATE)?;
        Some(told & own & 0o777)
    }

    /// The permissions that the copy is to have; the host's umask takes from them.
    fn permissions(&self) -> u32 {
        let own = self.about.map(|about| about.permissions & 0o777);
        match self.options.permissions {
            Some(permissions) => permissions & 0o777,
            None => own.unwrap_or(FILE_PERMISSIONS),
        }
    }

    fn give_name(&self, part: &[u8]) -> Result<(), Error> {
        if self.options.existing == Existing::Overwrite {
            let renamed = match self.sftp.renames_over() {
                true => self.sftp.rename_over(part, self.remote, self.scope),
                false => self.take_place(part),
            };
            return renamed.map_err(self.failed(Operation::Rename));
        }
        // It fails where something has the name by then: of two copies at once, one wins.
        let renamed = self.sftp.rename(part, self.remote, self.scope);
        renamed.map_err(|error| match self.sftp.lstat(self.remote, self.scope) {
            Ok(_) => self.exists(),
            Err(_) => Error::remote(Operation::Rename, self.remote, error),
        })
    }

    /// Gives the name of a file that is there, where the server cannot rename over one: that goes
    /// out of the way, and back should the name not be given.
    fn take_place(&self, part: &[u8]) -> Result<(), SftpError> {
        let (sftp, remote, scope) = (self.sftp, self.remote, self.scope);
        let refused = match sftp.rename(part, remote, scope) {
            Err(error @ SftpError::Status(_)) => error,
            other => return other,
        };
        if sftp.lstat(remote, scope).is_err() {
            return Err(refused);
        }
        let aside = part::name_beside(remote);
        sftp.rename(remote, &aside, scope)?;
        match sftp.rename(part, remote, scope) {
            // The copy has its name: what it replaces is of no more use to anybody.
            Ok(()) => {
                self.clean_up(|sftp, scope| sftp.remove(&aside, scope));
                Ok(())
            }
            Err(error) => {
                self.clean_up(|sftp, scope| sftp.rename(&aside, remote, scope));
                Err(error)
            }
        }
    }

    fn exists(&self) -> Error {
        Error::Exists {
            path: self.remote.to_vec(),
        }
    }
}

/// Reads a piece of what is sent.
fn read_source(source: &Source, offset: u64, piece: &mut [u8]) -> Result<(), Error> {
    let read = source.read_at(offset, piece);
    read.map_err(|error| local_error(source, error))
}

fn local_error(source: &Source, error: io::Error) -> Error {
    Error::local(source.path().unwrap_or_else(|| "".as_ref()))(error)
}

/// Makes a directory, and those that it is in, where they are missing. Parks.
pub(crate) fn make_directories(
    sftp: &Sftp,
    directory: Option<&[u8]>,
    scope: &Scope,
) -> Result<(), Error> {
    directory.map_or(Ok(()), |path| {
        remote_tree::make_all(sftp, path, scope).map(drop)
    })
}

/// SFTP's times are 32 bits.
pub(crate) fn seconds(time: i64) -> u32 {
    u32::try_from(time).unwrap_or(if time < 0 { 0 } else { u32::MAX })
}

/// Bytes that are asked of a reader at once.
const READ_BYTES: usize = 1024 * 1024;
/// How long the removal of an unfinished file may take after the caller's end of the copy.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take after another failure: what was sent before has to arrive first.
const CLEAN_UP_LONGEST: Duration = Duration::from_secs(30);
/// What the part file's owner may do with it.
const PRIVATE: u32 = 0o600;
/// Permissions of a directory that is made; the host's umask takes from them.
pub(crate) const DIRECTORY_PERMISSIONS: u32 = 0o777;
/// Permissions of a copy whose source has none.
const FILE_PERMISSIONS: u32 = 0o666;
