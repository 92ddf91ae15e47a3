//! One file from a host, over SFTP: whole under its name, or not at all.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use sshoal_reactor::{Scope, blocking};
use sshoal_session::Session;
use tempfile::NamedTempFile;

use crate::error::{Error, Operation};
use crate::limits::Governor;
use crate::options::{BYTES_MAX, CopyOptions, Existing, Parents, Preserve, Resume, Verify};
use crate::part::{self, sweep};
use crate::put::Copied;
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, Sftp, SftpError};
use crate::stream::Drain;
use crate::{checksum, remote_path};

mod resume;

/// Copies a host's file to this machine. Parks.
///
/// The file is written under a temporary name in the same directory, synced and renamed in the end.
/// A path that ends in `/` gets the remote file's name, which has to be one that a file can have.
///
/// The copy gets the file's permissions less our umask and less the set-user-id bit and its like,
/// or what the options say; it is never another user's.
///
/// # Errors
///
/// By whose file and at what; the local file is then as it was, and nothing is left beside it. A
/// file that is written to meanwhile is [`Error::Changed`], unless it only grew: then what it had at
/// first is copied. What a process that was killed left beside it is removed.
pub fn get(
    session: &Session,
    remote: &[u8],
    local: &Path,
    options: &CopyOptions,
    scope: &Scope,
) -> Result<Copied, Error> {
    let local = target(remote, local)?;
    if let Some(kept) = look(&local, options)? {
        return Ok(kept);
    }
    let coming = Coming::open(session, remote, options, scope)?;
    if options.resume == Resume::Yes {
        return coming.resume(&local);
    }
    coming.afresh(make_part(&local, options)?, &local)
}

/// Copies a host's file into a writer, and returns that, flushed. Parks.
///
/// The writer is written to on a thread where it may block, about 1 MiB at once. Of the options
/// those apply that are not about the copy's name, permissions or times.
///
/// # Errors
///
/// By whose file and at what; the writer, which may have got a part, is dropped. A failure of the
/// writer is a `Local` one without a path.
pub fn get_writer<W: Write + Send + 'static>(
    session: &Session,
    remote: &[u8],
    writer: W,
    options: &CopyOptions,
    scope: &Scope,
) -> Result<(W, Copied), Error> {
    let coming = Coming::open(session, remote, options, scope)?;
    let mut drain = Drain::new(writer, WRITE_BYTES);
    let bytes = coming.take(|piece| drain.write(piece))?;
    Ok((drain.finish()?, coming.ended(bytes)))
}

/// A remote file on its way here.
struct Coming<'a> {
    session: &'a Session,
    remote: &'a [u8],
    options: &'a CopyOptions,
    scope: &'a Scope,
    governor: Governor,
    file: RemoteFile,
    about: Attributes,
}

impl<'a> Coming<'a> {
    /// Opens what is a plain file, and asks about it.
    fn open(
        session: &'a Session,
        remote: &'a [u8],
        options: &'a CopyOptions,
        scope: &'a Scope,
    ) -> Result<Self, Error> {
        let governor = Governor::enter(options, scope)?;
        let failed = |operation| move |error| Error::remote(operation, remote, error);
        let sftp = Sftp::open(session, scope).map_err(Error::from_sftp)?;
        // What is no file is not opened: a pipe on the host would never answer.
        let about = sftp.stat(remote, scope).map_err(failed(Operation::Stat))?;
        match about.file_type() {
            FileType::Directory => {
                return Err(Error::IsDirectory {
                    remote: remote.to_vec(),
                });
            }
            FileType::Other if about.mode.is_some() => {
                return Err(Error::NoFile {
                    remote: remote.to_vec(),
                });
            }
            _ => {}
        }
        let file = sftp.file(remote, OpenMode::Read, scope);
        let file = file.map_err(failed(Operation::Open))?;
        let about = file.stat(scope).map_err(failed(Operation::Stat))?;
        Ok(Self {
            session,
            remote,
            options,
            scope,
            governor,
            file,
            about,
        })
    }

    /// Receives all of it into a file, and checks it.
    fn receive(&self, part: &mut File, local: &Path) -> Result<u64, Error> {
        self.take(|piece| part.write_all(piece).map_err(Error::local(local)))
    }

    /// Receives all of it, and checks it.
    fn take(&self, mut into: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<u64, Error> {
        let mut hasher = (self.options.verify == Verify::Sha256).then(Sha256::new);
        let bytes = self.take_from(0, |piece| {
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
            }
            into(piece)
        })?;
        if let Some(hasher) = hasher {
            let ours = hasher.finalize().into();
            checksum::compare(self.session, (self.remote, self.remote), ours, self.scope)?;
        }
        Ok(bytes)
    }

    /// Receives what follows an offset, as much as there may be of it; returns the size of all.
    fn take_from(
        &self,
        from: u64,
        mut into: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        self.governor.begin(self.about.size.unwrap_or(0));
        self.governor.resume(from);
        let mut about = self.about;
        loop {
            let bytes_max = bytes_max(self.options, about.size);
            let mut bytes = from;
            let size = about.size;
            if size.is_some_and(|size| size > bytes_max) {
                return Err(Error::TooLarge { bytes_max });
            }
            let read = self.file.read_to_end(from, size, self.scope, |piece| {
                let before = bytes;
                bytes += piece.len() as u64;
                if size.is_some_and(|size| bytes > size) {
                    // More than it said: nothing of it is kept, but it may have grown since.
                    return Err(Failed::Beyond(before));
                }
                if bytes > bytes_max {
                    return Err(Failed::Here(Error::TooLarge { bytes_max }));
                }
                self.governor
                    .pass(piece.len(), self.scope)
                    .map_err(Failed::Here)?;
                into(piece).map_err(Failed::Here)
            });
            let (bytes, beyond) = match read {
                Ok(end) => (end, None),
                Err(Failed::Beyond(_))
                    if is_without_size(&self.file, (self.remote, &about), self.scope)? =>
                {
                    about.size = None;
                    continue;
                }
                Err(Failed::Beyond(end)) => (end, Some(bytes_max)),
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::There(error)) => {
                    return Err(Error::remote(Operation::Read, self.remote, error));
                }
            };
            let about = (self.remote, &about);
            check_whole(&self.file, about, (bytes, beyond), self.scope)?;
            return Ok(bytes);
        }
    }

    /// Gives the copy its name; what came to have it meanwhile may stay.
    fn store(&self, part: NamedTempFile, local: &Path, bytes: u64) -> Result<Copied, Error> {
        match store(part, self.about, local.to_path_buf(), self.options) {
            Ok(()) => Ok(self.ended(bytes)),
            Err(error) if error.is_already_there() => look(local, self.options)?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    fn afresh(&self, mut part: NamedTempFile, local: &Path) -> Result<Copied, Error> {
        let bytes = self.receive(part.as_file_mut(), local)?;
        self.store(part, local, bytes)
    }

    fn ended(&self, bytes: u64) -> Copied {
        self.governor.end();
        Copied { bytes, kept: false }
    }
}

/// Why a file was not received.
enum Failed {
    Here(Error),
    There(SftpError),
    /// There is more than the host said; what it said ends here.
    Beyond(u64),
}

impl From<SftpError> for Failed {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

/// Returns the path of the copy.
fn target(remote: &[u8], local: &Path) -> Result<PathBuf, Error> {
    if !local.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Ok(local.to_path_buf());
    }
    let name = remote_path::name(remote);
    if matches!(name, b"" | b"." | b"..") {
        return Err(Error::NoName {
            remote: remote.to_vec(),
        });
    }
    Ok(local.join(OsStr::from_bytes(name)))
}

/// Looks at what has the target's name; `Some` if it stays.
fn look(local: &Path, options: &CopyOptions) -> Result<Option<Copied>, Error> {
    let there = match fs::symlink_metadata(local) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::local(local)(error)),
    };
    match options.existing {
        // A link to one is not replaced either.
        _ if there.is_dir() || local.is_dir() => {
            let error = io::Error::from(ErrorKind::IsADirectory);
            Err(Error::local(local)(error))
        }
        Existing::Overwrite => Ok(None),
        Existing::Keep => Ok(Some(Copied {
            bytes: there.len(),
            kept: true,
        })),
        Existing::Fail => Err(exists(local)),
    }
}

fn exists(local: &Path) -> Error {
    Error::local(local)(ErrorKind::AlreadyExists.into())
}

/// Checks that all of a file arrived, and that it was not written to meanwhile; `beyond` is the
/// bound, if there is more of it than the host said. Parks.
///
/// A file that grew is taken for what it was, as files that are appended to are.
pub(crate) fn check_whole(
    file: &RemoteFile,
    (remote, about): (&[u8], &Attributes),
    (arrived, beyond): (u64, Option<u64>),
    scope: &Scope,
) -> Result<(), Error> {
    let Some(expected) = about.size else {
        return Ok(());
    };
    if arrived != expected {
        return Err(Error::Short { expected, arrived });
    }
    // What came by one answer is one version of it, and not worth another question.
    if beyond.is_none() && expected <= ONE_ANSWER_BYTES {
        return Ok(());
    }
    let told = file.stat(scope);
    let told = told.map_err(|error| Error::remote(Operation::Stat, remote, error))?;
    let changed = |about: &Attributes| about.times.map(|(_, changed)| changed);
    match (told.size, beyond) {
        (Some(size), _) if size > expected => Ok(()),
        (_, Some(bytes_max)) => Err(Error::TooLarge { bytes_max }),
        (Some(size), _) if size == expected && changed(&told) == changed(about) => Ok(()),
        _ => Err(Error::Changed {
            remote: remote.to_vec(),
        }),
    }
}

/// Returns whether a file of which there is more than the host said has no size that could be told: it
/// stays 0, as under `/proc`. Parks.
pub(crate) fn is_without_size(
    file: &RemoteFile,
    (remote, about): (&[u8], &Attributes),
    scope: &Scope,
) -> Result<bool, Error> {
    if about.size != Some(0) {
        return Ok(false);
    }
    let told = file.stat(scope);
    let told = told.map_err(|error| Error::remote(Operation::Stat, remote, error))?;
    Ok(told.size == Some(0))
}

/// How many bytes are taken: what the caller allows, or what the host says that there are, if it does.
pub(crate) fn bytes_max(options: &CopyOptions, told: Option<u64>) -> u64 {
    let allowed = options.bytes_max.map(std::num::NonZeroU64::get);
    allowed.or(told).unwrap_or(BYTES_MAX)
}

/// Returns the directory of the copy, made where it is missing.
fn make_directory<'a>(local: &'a Path, options: &CopyOptions) -> Result<&'a Path, Error> {
    let parent = local.parent().filter(|path| !path.as_os_str().is_empty());
    let directory = parent.unwrap_or_else(|| Path::new("."));
    if options.parents == Parents::Make {
        fs::create_dir_all(directory).map_err(Error::local(directory))?;
    }
    Ok(directory)
}

/// Makes the part file, and the directories for it where they are missing.
fn make_part(local: &Path, options: &CopyOptions) -> Result<NamedTempFile, Error> {
    let directory = make_directory(local, options)?;
    // Mode 0600 until it is whole, under a name that begins with a dot.
    let name = local.file_name().unwrap_or_default();
    let name = part::name_beside(name.as_bytes());
    let part = tempfile::Builder::new()
        .prefix(OsStr::from_bytes(&name))
        .rand_bytes(0)
        .tempfile_in(directory);
    sweep_now_and_then(directory);
    part.map_err(Error::local(local))
}

/// Removes what killed copies left in a directory; not for each of the many copies to it.
fn sweep_now_and_then(directory: &Path) {
    {
        let mut swept = SWEPT.lock();
        let now = Instant::now();
        if swept
            .get(directory)
            .is_some_and(|last| now.duration_since(*last) < SWEEP_PAUSE)
        {
            return;
        }
        if swept.len() >= SWEPT_MAX {
            swept.clear();
        }
        swept.insert(directory.to_path_buf(), now);
    }
    let directory = directory.to_path_buf();
    // What cannot be looked into is left as it is.
    let _ = blocking(move || File::open(directory).map(|opened| sweep::here(opened.as_fd())));
}

/// Gives the part file its permissions and times, has it written to the disk and named.
fn store(
    part: NamedTempFile,
    about: Attributes,
    local: PathBuf,
    options: &CopyOptions,
) -> Result<(), Error> {
    let (existing, preserve) = (options.existing, options.preserve);
    let permissions = match options.permissions {
        Some(permissions) => permissions,
        None => about.permissions().unwrap_or(FILE_PERMISSIONS) & 0o777 & !umask(),
    };
    let target = local.clone();
    // Syncing takes as long as the disk takes.
    let stored = blocking(move || {
        let file = part.as_file();
        file.set_permissions(Permissions::from_mode(permissions))?;
        if let (Preserve::Yes, Some((accessed, modified))) = (preserve, about.times) {
            let time = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
            let times = FileTimes::new()
                .set_accessed(time(accessed))
                .set_modified(time(modified));
            file.set_times(times)?;
        }
        sync(file)?;
        let named = match existing {
            Existing::Overwrite => part.persist(&target),
            // It fails where something has the name by then.
            _ => part.persist_noclobber(&target),
        };
        named.map(drop).map_err(|error| error.error)
    });
    let stored = stored.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    stored.map_err(Error::local(local))
}

/// Has a file written to the disk, where its file system can do that. Blocks.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Returns the process's umask without changing it, where the system tells it.
pub(crate) fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let told = told.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
    told.unwrap_or(UMASK)
}

/// Permissions of a copy, less the umask, where the host does not tell any.
const FILE_PERMISSIONS: u32 = 0o644;
/// The umask where the system does not tell it: nobody else may write.
const UMASK: u32 = 0o022;
/// What one answer of a host holds at least of a file; OpenSSH's hold eight times as much.
const ONE_ANSWER_BYTES: u64 = 32 * 1024;
/// When directories were last rid of what killed copies left; a leaf lock, nothing waits under it.
static SWEPT: Mutex<BTreeMap<PathBuf, Instant>> = Mutex::new(BTreeMap::new());
/// Directories of which it is remembered.
const SWEPT_MAX: usize = 1000;
/// How long a directory is left alone then.
const SWEEP_PAUSE: Duration = Duration::from_secs(10);
/// Bytes that a writer is given at once.
const WRITE_BYTES: usize = 1024 * 1024;
