//! A host's directory to this machine; the host may send what it likes (threats T6 to T8).

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use sshoal_reactor::{Scope, blocking};
use sshoal_session::Session;

use super::beneath::{Dir, Dress};
use super::name::{is_one_name, stays_beneath};
use super::options::{Delete, DryRun, Itemise, Links, Stream, TreeOptions};
use super::report::{Action, TreeReport, WhySkipped};
use super::work::{Budget, Course, Jobs, side_by_side};
use super::{open, prune};
use crate::error::{Error, Operation};
use crate::get::umask;
use crate::options::{Existing, Preserve};
use crate::remote_path;
use crate::sftp::{Attributes, FileType, Sftp, SftpError};

mod file;

/// Copies a host's directory's content to one of this machine, which is made if it is not there.
/// Parks.
///
/// What is in `remote` comes to be in `local`, whether the paths end in `/` or not: `local` becomes
/// the copy, and `remote`'s own name is not used. Either may be a link to a directory, which is
/// followed.
///
/// Many files are copied at once, each whole under its name or not at all. What fails is reported by
/// its path, and the rest goes on. Names are bytes, whatever they are.
///
/// Nothing is written or deleted outside `local`, whatever the host says and whatever links are
/// planted in it meanwhile: a host's name is taken only if it is one name, each directory is opened
/// from the one it is in and through no link, and a link is made only where it leads to something
/// beneath `local`. What is no plain file on the host is not opened. Nothing gets the set-user-id bit
/// and its like, nor what our umask takes away, even where permissions are kept. The options bound
/// depth, names and bytes.
///
/// What is here and not on the host stays, unless [`TreeOptions::delete`] says otherwise: then a host
/// decides what stays in `local`.
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
                extra: Mutex::default(),
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
    /// What is here and not on the host, where that is to be deleted.
    extra: Mutex<Vec<Extra>>,
}

/// Names in a directory that the host does not have.
struct Extra {
    path: Vec<u8>,
    names: Vec<Vec<u8>>,
    /// What the directory is given again, when they are gone.
    dress: Dress,
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
        let root = match self.options.dry_run {
            DryRun::No => Dir::root(self.local, parents, dress),
            DryRun::Yes => Dir::dry_root(self.local, parents),
        };
        let (root, made) = root.map_err(Error::local(self.local))?;
        if made {
            self.course.note(|report| report.directories += 1);
        } else {
            root.sweep();
        }
        let own = root.file().map(File::try_clone).transpose();
        let own = own.map_err(Error::local(self.local))?;
        let root = Arc::new(root);
        let listed = self.list(&root);
        self.finish(root);
        listed?;
        side_by_side(self.options.workers(), &|| self.work());
        // Where the copy ended early, directories are not left closed to others.
        for job in self.jobs.left() {
            self.finish(job.dir);
        }
        let whole = self.course.note(|report| report.is_success());
        if let (Some(root), true) = (own, whole) {
            self.delete(&root);
        }
        Ok(())
    }

    /// Deletes what the host does not have.
    fn delete(&self, root: &File) {
        for extra in std::mem::take(&mut *self.extra.lock()) {
            if self.course.scope().check().is_err() {
                return self.course.end(self.course.stopped());
            }
            let (root, options) = (root.try_clone(), self.options.clone());
            // Deleting takes as long as the disk takes.
            let deleted = blocking(move || {
                let outcome = root.and_then(|root| extra.delete(&root, &options));
                (extra, outcome)
            });
            let Ok((extra, outcome)) = deleted else {
                let error = io::Error::other("the deletion panicked");
                return self.course.end(Error::local(self.local)(error));
            };
            let outcome = outcome.unwrap_or_else(|error| {
                self.course.fail(&extra.path, self.here(&extra.path)(error));
                Vec::new()
            });
            for (name, outcome) in outcome {
                let path = remote_path::join(&extra.path, &name);
                match outcome {
                    Ok(0) => {}
                    Ok(count) => self.done(&path, Action::Delete, |report| report.deleted += count),
                    Err(error) => self.course.fail(&path, self.here(&path)(error)),
                }
            }
        }
    }

    fn work(&self) {
        let all = self.jobs.do_all(self.course.scope(), |job| {
            if let Err(error) = self.entry(&job) {
                let path = remote_path::join(&job.dir.path, &job.name);
                self.course.fail(&path, error);
            }
            self.finish(job.dir);
        });
        if all.is_err() {
            self.course.end(self.course.stopped());
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
        if self.options.delete == Delete::Yes {
            self.look_for_extra(dir, &names)?;
        }
        self.jobs.put(jobs);
        Ok(())
    }

    /// Remembers what is in a directory here that the host did not list.
    fn look_for_extra(&self, dir: &Dir, told: &HashSet<Vec<u8>>) -> Result<(), Error> {
        let Some(file) = dir.file() else {
            return Ok(());
        };
        let mut names = open::names(file, usize::MAX).map_err(self.here(&dir.path))?;
        names.retain(|name| {
            !told.contains(name) && !self.options.leaves_out(&remote_path::join(&dir.path, name))
        });
        if !names.is_empty() {
            let (path, dress) = (dir.path.clone(), dir.dress);
            self.extra.lock().push(Extra { path, names, dress });
        }
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
        let child = job.dir.child(&job.name, dress);
        let (dir, made) = child.map_err(self.here(&path))?;
        if made {
            self.done(&path, Action::MakeDirectory, |report| {
                report.directories += 1
            });
        } else {
            dir.sweep();
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
        let there = job.dir.look(&job.name).map_err(self.here(&path))?;
        let same = there.is_some_and(|there| there.is_link)
            && (job.dir.link_target(&job.name)).is_ok_and(|ours| ours == target);
        let existing = self.options.copy.existing;
        if same || (existing == Existing::Keep && there.is_some()) {
            self.course.note(|report| report.kept += 1);
            return Ok(());
        }
        if self.options.dry_run == DryRun::No {
            let made = job.dir.link(&target, &job.name, existing);
            made.map_err(self.here(&path))?;
        } else if existing == Existing::Fail && there.is_some() {
            return Err(self.here(&path)(io::ErrorKind::AlreadyExists.into()));
        }
        self.done(&path, Action::Link, |report| report.links += 1);
        Ok(())
    }
}

impl Extra {
    /// Deletes the names, and tells of each what became of it. Blocks.
    fn delete(&self, root: &File, options: &TreeOptions) -> io::Result<Vec<Deleted>> {
        let dir = open::directory(root.as_fd(), &self.path)?;
        if options.dry_run == DryRun::No {
            prune::make_ours(&dir)?;
        }
        let delete = |name: &Vec<u8>| {
            let gone = prune::delete(&dir, &self.path, name, options);
            (name.clone(), gone)
        };
        let deleted = self.names.iter().map(delete).collect();
        self.dress.put_on(&dir)?;
        Ok(deleted)
    }
}

/// A name, with how much was deleted of it.
type Deleted = (Vec<u8>, io::Result<u64>);

/// Bytes of a permit: all permits together are less than the channel's window, so that a host that
/// sends what was asked for can always go on reading.
const PERMIT_BYTES: u64 = 30_000;
