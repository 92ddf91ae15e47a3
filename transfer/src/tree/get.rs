//! A host's directory to this machine; the host may send what it likes (threats T6 to T8).

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};
use sshoal_reactor::{Scope, blocking};
use sshoal_session::Session;

use super::beneath::{Dir, Dress, Part};
use super::name::{is_one_name, stays_beneath};
use super::options::{Itemise, Links, Stream, TreeOptions, Unchanged};
use super::report::{Action, TreeReport, WhySkipped};
use super::work::{Budget, Course, Jobs, side_by_side};
use crate::error::{Error, Operation};
use crate::get::{bytes_max, umask};
use crate::limits::Governor;
use crate::options::{Existing, Preserve, Verify};
use crate::sftp::{Attributes, FileType, OpenMode, RemoteFile, Sftp, SftpError};
use crate::{checksum, remote_path};

/// Copies a host's directory's content to one of this machine, which is made if it is not there.
/// Parks.
///
/// Many files are copied at once, each whole under its name or not at all. What fails is reported by
/// its path, and the rest goes on. Names are bytes, whatever they are.
///
/// Nothing is written outside `local`, whatever the host says and whatever links are planted in it
/// meanwhile: a host's name is taken only if it is one name, each directory is opened from the one it
/// is in and through no link, and a link is made only where it leads to something beneath `local`.
/// What is no plain file on the host is not opened. Nothing gets the set-user-id bit and its like.
/// The options bound depth, names and bytes.
pub fn get_tree(
    session: &Session,
    remote: &[u8],
    local: &Path,
    options: &TreeOptions,
    scope: &Scope,
) -> TreeReport {
    if options.stream == Stream::Tar {
        return crate::tar::get(session, remote, local, options, scope);
    }
    let course = Course::new(scope);
    match Sftp::open(session, course.scope()) {
        Ok(sftp) => {
            let getting = Getting {
                session,
                sftp,
                remote: if remote.is_empty() { b"." } else { remote },
                local,
                options,
                course: &course,
                budget: Budget::new(PERMIT_BYTES),
                jobs: Jobs::new(Vec::new()),
                entries: AtomicUsize::new(0),
                bytes: AtomicU64::new(0),
                umask: umask(),
            };
            if let Err(error) = getting.run() {
                course.end(error);
            }
        }
        Err(error) => course.end(Error::from_sftp(error)),
    }
    course.into_report()
}

/// One copy under way.
struct Getting<'a> {
    session: &'a Session,
    sftp: Sftp,
    remote: &'a [u8],
    local: &'a Path,
    options: &'a TreeOptions,
    course: &'a Course,
    budget: Budget,
    jobs: Jobs<Job>,
    /// Names that the host told.
    entries: AtomicUsize,
    /// Bytes that the host sent.
    bytes: AtomicU64,
    umask: u32,
}

/// Something that a host listed in a directory.
struct Job {
    dir: Arc<Dir>,
    name: Vec<u8>,
    about: Attributes,
}

impl Getting<'_> {
    fn run(&self) -> Result<(), Error> {
        let about = self.sftp.stat(self.remote, self.course.scope());
        let about = about.map_err(|e| Error::remote(Operation::Stat, self.remote, e))?;
        let parents = self.options.copy.parents;
        // A root that is there keeps its permissions, unless they are to be kept in step.
        let dress = self.dress_of_directory(&about, false);
        let root = Dir::root(self.local, parents, dress);
        let (root, made) = root.map_err(Error::local(self.local))?;
        if made {
            self.course.note(|report| report.directories += 1);
        }
        let root = Arc::new(root);
        self.list(&root)?;
        self.finish(root);
        side_by_side(self.options.workers(), &|| self.work());
        Ok(())
    }

    fn work(&self) {
        loop {
            match self.jobs.take(self.course.scope()) {
                Ok(Some(job)) => {
                    if let Err(error) = self.entry(&job) {
                        let path = remote_path::join(&job.dir.path, &job.name);
                        self.course.fail(&path, error);
                    }
                    self.finish(job.dir);
                    self.jobs.done();
                }
                Ok(None) => return,
                Err(_) => return self.course.end(self.course.stopped()),
            }
        }
    }

    fn remote(&self, path: &[u8]) -> Vec<u8> {
        match path {
            [] => self.remote.to_vec(),
            path => remote_path::join(self.remote, path),
        }
    }

    /// A failure of a file of this machine.
    fn here(&self, path: &[u8]) -> impl FnOnce(io::Error) -> Error {
        Error::local(Dir::shown(self.local, path))
    }

    fn done(&self, path: &[u8], action: Action, count: impl FnOnce(&mut TreeReport)) {
        self.course.note(|report| {
            count(report);
            if self.options.itemise == Itemise::Yes {
                report.change(path, action);
            }
        });
    }

    /// Takes the names in a directory, each of which becomes a job.
    fn list(&self, dir: &Arc<Dir>) -> Result<(), Error> {
        let (remote, scope) = (self.remote(&dir.path), self.course.scope());
        let failed = |error: SftpError| Error::remote(Operation::List, &remote, error);
        let mut open = self.sftp.directory(&remote, scope).map_err(failed)?;
        let (mut jobs, mut names) = (Vec::new(), HashSet::new());
        let entries_max = self.options.entries_max;
        while let Some(entry) = open.next(scope).map_err(failed)? {
            if self.entries.fetch_add(1, Ordering::Relaxed) >= entries_max {
                return Err(Error::TooManyEntries { entries_max });
            }
            let (name, about) = (entry.name, entry.attributes);
            let path = remote_path::join(&dir.path, &name);
            if !is_one_name(&name) {
                self.course.fail(&path, Error::BadName { name });
            } else if self.options.leaves_out(&path) {
            } else if names.insert(name.clone()) {
                let dir = Arc::clone(dir);
                jobs.push(Job { dir, name, about });
            } else {
                self.course.fail(&path, Error::NamedTwice { name });
            }
        }
        self.jobs.put(jobs);
        Ok(())
    }

    /// Gives a directory what it is to have, and those it is in, if it was the last one in them.
    fn finish(&self, dir: Arc<Dir>) {
        let mut last = Arc::into_inner(dir);
        while let Some(mut dir) = last {
            if let Err(error) = dir.finish() {
                let error = self.here(&dir.path)(error);
                self.course.fail(&dir.path, error);
            }
            last = dir.parent.take().and_then(Arc::into_inner);
        }
    }

    fn entry(&self, job: &Job) -> Result<(), Error> {
        let path = remote_path::join(&job.dir.path, &job.name);
        let mut about = job.about;
        if about.mode.is_none() {
            let remote = self.remote(&path);
            let told = self.sftp.lstat(&remote, self.course.scope());
            about = told.map_err(|error| Error::remote(Operation::Stat, &remote, error))?;
        }
        match about.file_type() {
            FileType::Directory => self.directory(job, &about),
            FileType::File => self.file(job, &path, &about),
            FileType::Link => self.link(job, path),
            FileType::Other => {
                self.course
                    .note(|report| report.skip(path, WhySkipped::Special));
                Ok(())
            }
        }
    }

    fn directory(&self, job: &Job, about: &Attributes) -> Result<(), Error> {
        let depth_max = self.options.depth_max;
        if job.dir.depth >= depth_max {
            return Err(Error::TooDeep { depth_max });
        }
        let dress = |made| self.dress_of_directory(about, made);
        let path = remote_path::join(&job.dir.path, &job.name);
        let (dir, made) = job.dir.child(&job.name, dress).map_err(self.here(&path))?;
        if made {
            self.done(&path, Action::MakeDirectory, |report| {
                report.directories += 1
            });
        }
        let dir = Arc::new(dir);
        let listed = self.list(&dir);
        self.finish(dir);
        listed
    }

    /// What a directory is given: the host's permissions and times if they are kept, else what a
    /// directory that is made here has.
    fn dress_of_directory(&self, about: &Attributes, made: bool) -> Dress {
        let permissions = |mode| mode & 0o777 & !self.umask;
        if self.options.copy.preserve == Preserve::Yes {
            return Dress {
                permissions: about.mode.map(permissions),
                times: about.times,
            };
        }
        Dress {
            permissions: made.then_some(permissions(0o777)),
            times: None,
        }
    }

    fn link(&self, job: &Job, path: Vec<u8>) -> Result<(), Error> {
        if self.options.links == Links::Skip {
            self.course
                .note(|report| report.skip(path, WhySkipped::Link));
            return Ok(());
        }
        let remote = self.remote(&path);
        let target = self.sftp.read_link(&remote, self.course.scope());
        let target = target.map_err(|error| Error::remote(Operation::Link, &remote, error))?;
        if !stays_beneath(&target, job.dir.depth) {
            self.course
                .note(|report| report.skip(path, WhySkipped::LinkOutside));
            return Ok(());
        }
        let existing = self.options.copy.existing;
        match job.dir.link(&target, &job.name, existing) {
            Err(error)
                if existing == Existing::Keep && error.kind() == io::ErrorKind::AlreadyExists =>
            {
                self.course.note(|report| report.kept += 1);
            }
            Err(error) => return Err(self.here(&path)(error)),
            Ok(()) => self.done(&path, Action::Link, |report| report.links += 1),
        }
        Ok(())
    }

    fn file(&self, job: &Job, path: &[u8], about: &Attributes) -> Result<(), Error> {
        if self.stays(job, path, about)? {
            self.course.note(|report| report.kept += 1);
            return Ok(());
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
        let preserve = self.options.copy.preserve == Preserve::Yes;
        let own = about.mode.unwrap_or(FILE_PERMISSIONS) & 0o777 & !self.umask;
        let dress = Dress {
            permissions: Some(self.options.copy.permissions.unwrap_or(own)),
            times: about.times.filter(|_| preserve),
        };
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
        let same_size = there.is_file && about.size == Some(there.size);
        let modified = about.times.map(|(_, modified)| i64::from(modified));
        let equal = match self.options.unchanged {
            Unchanged::SizeAndTime => same_size && modified == Some(there.modified),
            // A digest of what is here would have to be of the file beneath the descriptor.
            Unchanged::Copy | Unchanged::Sha256 => false,
        };
        match self.options.copy.existing {
            _ if equal => Ok(true),
            Existing::Overwrite => Ok(false),
            Existing::Keep => Ok(true),
            Existing::Fail => Err(self.here(path)(io::ErrorKind::AlreadyExists.into())),
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
        let mut hasher = (self.options.copy.verify == Verify::Sha256).then(Sha256::new);
        let mut bytes = 0;
        let read = file.read_to_end(0, about.size, self.course.scope(), |piece| {
            let count = piece.len() as u64;
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
        match read {
            Ok(_) => {}
            Err(Failed::Here(error)) => return Err(error),
            Err(Failed::There(error)) => {
                return Err(Error::remote(Operation::Read, remote, error));
            }
        }
        if let Some(expected) = about.size.filter(|expected| *expected != bytes) {
            let arrived = bytes;
            return Err(Error::Short { expected, arrived });
        }
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
}

impl From<SftpError> for Failed {
    fn from(error: SftpError) -> Self {
        Self::There(error)
    }
}

/// Permissions of a file of which the host tells none.
const FILE_PERMISSIONS: u32 = 0o644;
/// Bytes of a permit: all permits together are less than the channel's window, so that a host that
/// sends what was asked for can always go on reading.
const PERMIT_BYTES: u64 = 30_000;
