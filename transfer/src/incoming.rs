//! A directory that arrives as one stream, from `scp` or `tar`: what comes of each entry of it.
//!
//! The principal types are [`Incoming`] and [`Arrivals`]. Whatever a host sends, it is written
//! beneath the root alone, by the rules of `tree` (threats T6 to T8). The stream is read by one
//! green thread; others have the files written to the disk, which takes longer than to read them.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use sshoal_reactor::blocking;
use sshoal_reactor::sync::{Permit, Semaphore};

use crate::error::Error;
use crate::get::umask;
use crate::limits::Governor;
use crate::options::{Existing, Preserve, Verify};
use crate::remote_path;
use crate::tree::beneath::{Dir, Dress, Part};
use crate::tree::name::{is_one_name, stays_beneath};
use crate::tree::options::{Itemise, Links, TreeOptions, Unchanged};
use crate::tree::report::{Action, TreeReport, WhySkipped};
use crate::tree::work::{Course, Jobs, side_by_side};

/// A directory on its way to this machine.
pub(crate) struct Incoming<'a> {
    local: &'a Path,
    options: &'a TreeOptions,
    course: &'a Course,
    governor: Governor,
    preserve: Preserve,
    umask: u32,
    jobs: Jobs<Job>,
    /// Files that are here and not yet on the disk.
    places: Semaphore,
}

enum Job {
    Read,
    Store(Box<Store>),
}

/// A file that is here and is to get its name.
struct Store {
    part: Part,
    dir: Arc<Dir>,
    name: Vec<u8>,
    dress: Dress,
    bytes: u64,
    _place: Permit,
}

/// What the reader of the stream knows of what came so far.
pub(crate) struct Arrivals<'a> {
    incoming: &'a Incoming<'a>,
    entries: usize,
    bytes: u64,
    /// The paths that came, each as the begin of its digest: a host could send long ones.
    seen: HashSet<[u8; 16]>,
    /// The directories that killed copies' files were removed from, likewise: a host may come back to
    /// one again and again.
    swept: HashSet<[u8; 16]>,
}

/// What a host tells of a file or directory besides its name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) mode: u32,
    /// Last access and change, in seconds since 1970.
    pub(crate) times: Option<(u32, u32)>,
}

/// A file whose bytes are arriving.
pub(crate) struct Taking<'a> {
    incoming: &'a Incoming<'a>,
    part: Part,
    dir: Arc<Dir>,
    name: Vec<u8>,
    bytes: u64,
    place: Permit,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(
        local: &'a Path,
        options: &'a TreeOptions,
        (course, preserve): (&'a Course, Preserve),
    ) -> Result<Self, Error> {
        if options.copy.verify == Verify::Sha256 {
            return Err(Error::NotOffered {
                way: "a copy in one stream",
                what: "SHA-256 of each file",
            });
        }
        Ok(Self {
            local,
            options,
            course,
            governor: Governor::enter(&options.copy, course.scope())?,
            preserve,
            umask: umask(),
            jobs: Jobs::new(vec![Job::Read]),
            places: Semaphore::new(STORES_MAX),
        })
    }

    /// Has the stream read and what came of it stored. Parks until all is.
    pub(crate) fn run(
        &self,
        read: impl FnOnce(&mut Arrivals<'_>) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let (read, ended) = (Mutex::new(Some(read)), Mutex::new(Ok(())));
        side_by_side(STORES_MAX + 1, &|| {
            let all = self.jobs.do_all(self.course.scope(), |job| match job {
                Job::Read => {
                    let read = read.lock().take();
                    let result = read.map_or(Ok(()), |read| read(&mut Arrivals::new(self)));
                    // What came whole before a failure is stored all the same.
                    *ended.lock() = result;
                }
                Job::Store(file) => self.store(*file),
            });
            if all.is_err() {
                self.course.end(self.course.stopped());
            }
        });
        ended.into_inner()
    }

    fn store(&self, file: Store) {
        let Store { part, dir, .. } = file;
        let path = remote_path::join(&dir.path, &file.name);
        let (name, dress, existing) = (file.name, file.dress, self.options.copy.existing);
        // Syncing takes as long as the disk takes.
        let stored = blocking(move || part.store(&name, dress, existing));
        match stored.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) => {
                self.governor.end();
                self.done(&path, Action::Copy, |report| {
                    report.files += 1;
                    report.bytes += file.bytes;
                });
            }
            Err(error) => self.occupied(&path, error),
        }
        self.finish(dir);
    }

    /// Something could not get its name.
    fn occupied(&self, path: &[u8], error: io::Error) {
        let keeps = self.options.copy.existing == Existing::Keep;
        if keeps && error.kind() == io::ErrorKind::AlreadyExists {
            self.course.note(|report| report.kept += 1);
        } else {
            self.course.fail(path, self.here(path)(error));
        }
    }

    /// Opens the directory that all goes into.
    pub(crate) fn root(&self, told: Told) -> Result<Arc<Dir>, Error> {
        let parents = self.options.copy.parents;
        // A root that is there keeps its permissions, unless they are to be kept in step.
        let root = Dir::root(self.local, parents, self.dress_of_directory(told, false));
        let (root, made) = root.map_err(Error::local(self.local))?;
        if made {
            self.course.note(|report| report.directories += 1);
        } else {
            root.sweep();
        }
        Ok(Arc::new(root))
    }

    /// Gives a directory what it is to have, and those it is in, if nothing more comes into them.
    pub(crate) fn finish(&self, dir: Arc<Dir>) {
        let mut last = Arc::into_inner(dir);
        while let Some(mut dir) = last {
            if let Err(error) = dir.finish() {
                self.course.fail(&dir.path, self.here(&dir.path)(error));
            }
            last = dir.parent.take().and_then(Arc::into_inner);
        }
    }

    /// What a directory is given: the host's permissions and times if they are kept, else what a
    /// directory that is made here has.
    fn dress_of_directory(&self, told: Told, made: bool) -> Dress {
        let permissions = |mode| mode & 0o777 & !self.umask;
        match self.preserve {
            Preserve::Yes => Dress {
                permissions: Some(permissions(told.mode)),
                times: told.times,
            },
            Preserve::No => Dress {
                permissions: made.then_some(permissions(0o777)),
                times: None,
            },
        }
    }

    fn done(&self, path: &[u8], action: Action, count: impl FnOnce(&mut TreeReport)) {
        self.course.note(|report| {
            count(report);
            if self.options.itemise == Itemise::Yes {
                report.change(path, action);
            }
        });
    }

    /// A failure of a file of this machine.
    fn here(&self, path: &[u8]) -> impl FnOnce(io::Error) -> Error {
        Error::local(Dir::shown(self.local, path))
    }
}

impl<'a> Arrivals<'a> {
    fn new(incoming: &'a Incoming<'a>) -> Self {
        Self {
            incoming,
            entries: 0,
            bytes: 0,
            seen: HashSet::new(),
            swept: HashSet::new(),
        }
    }

    pub(crate) fn incoming(&self) -> &'a Incoming<'a> {
        self.incoming
    }

    /// Counts something that the host told, whatever it is.
    pub(crate) fn count(&mut self) -> Result<(), Error> {
        let entries_max = self.incoming.options.entries_max;
        if self.entries >= entries_max {
            return Err(Error::TooManyEntries { entries_max });
        }
        self.entries += 1;
        Ok(())
    }

    /// Counts bytes that the host is to send, whether they are kept or not.
    pub(crate) fn expect(&mut self, bytes: u64) -> Result<(), Error> {
        let bytes_max = self.incoming.options.bytes_max;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.bytes > bytes_max {
            true => Err(Error::TreeTooLarge { bytes_max }),
            false => Ok(()),
        }
    }

    /// Whether something of this name in a directory is taken; what is not is reported.
    pub(crate) fn admits(&mut self, directory: &[u8], name: &[u8]) -> bool {
        let path = remote_path::join(directory, name);
        let error = if !is_one_name(name) {
            let name = name.to_vec();
            Error::BadName { name }
        } else if self.incoming.options.leaves_out(&path) {
            return false;
        } else if !self.is_first(&path) {
            let name = name.to_vec();
            Error::NamedTwice { name }
        } else {
            return true;
        };
        self.incoming.course.fail(&path, error);
        false
    }

    fn is_first(&mut self, path: &[u8]) -> bool {
        self.seen.insert(begin_of_digest(path))
    }

    /// Opens a directory in another, or makes it; a failure is reported.
    pub(crate) fn directory(
        &mut self,
        dir: &Arc<Dir>,
        name: &[u8],
        told: Told,
    ) -> Option<Arc<Dir>> {
        let (incoming, path) = (self.incoming, remote_path::join(&dir.path, name));
        let depth_max = incoming.options.depth_max;
        if dir.depth >= depth_max {
            incoming.course.fail(&path, Error::TooDeep { depth_max });
            return None;
        }
        match dir.child(name, |made| incoming.dress_of_directory(told, made)) {
            Ok((child, made)) => {
                if made {
                    incoming.done(&path, Action::MakeDirectory, |report| {
                        report.directories += 1;
                    });
                }
                // Where it was made there is nothing to remove, now or when it comes again.
                if self.swept.insert(begin_of_digest(&path)) && !made {
                    child.sweep();
                }
                Some(Arc::new(child))
            }
            Err(error) => {
                incoming.course.fail(&path, incoming.here(&path)(error));
                None
            }
        }
    }

    /// Begins a file; where it is not taken, that is reported. Parks.
    pub(crate) fn file(
        &self,
        dir: &Arc<Dir>,
        name: &[u8],
        (size, told): (u64, Told),
    ) -> Result<Option<Taking<'a>>, Error> {
        let (incoming, path) = (self.incoming, remote_path::join(&dir.path, name));
        let bytes_max = incoming.options.copy.bytes_max;
        if let Some(bytes_max) = bytes_max.filter(|most| size > most.get()) {
            let bytes_max = bytes_max.get();
            incoming.course.fail(&path, Error::TooLarge { bytes_max });
            return Ok(None);
        }
        match self.stays(dir, name, (size, told)) {
            Ok(false) => {}
            Ok(true) => {
                incoming.course.note(|report| report.kept += 1);
                return Ok(None);
            }
            Err(error) => {
                incoming.course.fail(&path, incoming.here(&path)(error));
                return Ok(None);
            }
        }
        let place = incoming.places.acquire(incoming.course.scope());
        let place = place.map_err(|_| incoming.course.stopped())?;
        let part = match Part::new(dir, name) {
            Ok(part) => part,
            Err(error) => {
                incoming.course.fail(&path, incoming.here(&path)(error));
                return Ok(None);
            }
        };
        incoming.governor.begin(size);
        Ok(Some(Taking {
            incoming,
            part,
            dir: Arc::clone(dir),
            name: name.to_vec(),
            bytes: 0,
            place,
        }))
    }

    /// Whether what has the name here stays as it is.
    fn stays(&self, dir: &Dir, name: &[u8], (size, told): (u64, Told)) -> io::Result<bool> {
        let Some(there) = dir.look(name)? else {
            return Ok(false);
        };
        if there.is_directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let options = self.incoming.options;
        let modified = told.times.map(|(_, modified)| i64::from(modified));
        let equal = options.unchanged == Unchanged::SizeAndTime
            && there.is_file
            && (there.size, Some(there.modified)) == (size, modified);
        match options.copy.existing {
            _ if equal => Ok(true),
            Existing::Overwrite => Ok(false),
            Existing::Keep => Ok(true),
            Existing::Fail => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// Makes a symbolic link, if that is asked for and it leads to nothing outside.
    pub(crate) fn link(&self, dir: &Dir, name: &[u8], target: &[u8]) {
        let (incoming, path) = (self.incoming, remote_path::join(&dir.path, name));
        if incoming.options.links == Links::Skip {
            incoming.course.skip(&path, WhySkipped::Link);
        } else if !stays_beneath(target, dir.depth) {
            incoming.course.skip(&path, WhySkipped::LinkOutside);
        } else {
            match dir.link(target, name, incoming.options.copy.existing) {
                Ok(()) => incoming.done(&path, Action::Link, |report| report.links += 1),
                Err(error) => incoming.occupied(&path, error),
            }
        }
    }
}

impl Taking<'_> {
    /// Writes what comes next of the file. Parks where the rate is bounded.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let incoming = self.incoming;
        incoming
            .governor
            .pass(bytes.len(), incoming.course.scope())?;
        self.bytes += bytes.len() as u64;
        let written = self.part.file().write_all(bytes);
        written.map_err(|error| incoming.here(&self.path())(error))
    }

    /// The path from the root on.
    pub(crate) fn path(&self) -> Vec<u8> {
        remote_path::join(&self.dir.path, &self.name)
    }

    /// Has the file stored under its name, now that all of it is here.
    pub(crate) fn end(self, told: Told) {
        let incoming = self.incoming;
        let own = told.mode & 0o777 & !incoming.umask;
        let dress = Dress {
            permissions: Some(incoming.options.copy.permissions.unwrap_or(own)),
            times: told.times.filter(|_| incoming.preserve == Preserve::Yes),
        };
        incoming.jobs.put([Job::Store(Box::new(Store {
            part: self.part,
            dir: self.dir,
            name: self.name,
            dress,
            bytes: self.bytes,
            _place: self.place,
        }))]);
    }
}

/// Files that are written to the disk at once.
const STORES_MAX: usize = 16;

fn begin_of_digest(path: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(path);
    let mut begin = [0; 16];
    begin.copy_from_slice(&digest[..16]);
    begin
}
