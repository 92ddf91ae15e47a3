//! A directory of this machine, walked once for all hosts.
//!
//! The principal type is [`LocalTree`].

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Stat};

use super::open;
use super::options::TreeOptions;
use super::report::WhySkipped;
use crate::error::Error;
use crate::remote_path;
use crate::source::{Source, WeakSource};

/// A directory of this machine, as it was when it was walked. Cheap to clone; clones share it, and
/// with it the bytes of the files, each of which is read once for hosts that are near each other.
#[derive(Debug, Clone)]
pub struct LocalTree(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// As it was given, to be told to people.
    root: PathBuf,
    /// Open, so that what is beneath it is found whatever becomes of the path, and through no link.
    dir: File,
    /// The directory itself first, and everything behind its directory.
    entries: Vec<Entry>,
    failed: Vec<(Vec<u8>, io::ErrorKind)>,
    skipped: Vec<(Vec<u8>, WhySkipped)>,
    too_deep: Vec<Vec<u8>>,
    sources: Mutex<Sources>,
}

/// Something beneath the directory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// From the directory on; empty for itself.
    pub(crate) path: Vec<u8>,
    /// Its directory's place among the entries.
    pub(crate) parent: usize,
    /// How many directories it is in, the root not counted.
    pub(crate) depth: usize,
    pub(crate) kind: EntryKind,
    pub(crate) permissions: u32,
    /// When it was last read and last changed, in seconds since 1970.
    pub(crate) times: (i64, i64),
}

#[derive(Debug)]
pub(crate) enum EntryKind {
    Directory,
    File { size: u64 },
    Link { target: Vec<u8> },
}

/// Files that are open, and those that were used last.
#[derive(Debug, Default)]
struct Sources {
    open: HashMap<usize, WeakSource>,
    last: VecDeque<Source>,
    last_bytes: u64,
}

impl LocalTree {
    /// Walks a directory. Blocks while the disk does: call it once, before the hosts.
    ///
    /// It follows no symbolic link but the one that `root` itself may be, then or when the files are
    /// read. What cannot be read is told in every report; what the options exclude is left out. Each
    /// entry takes about 110 bytes and its path. The directory stays open as long as the tree.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, is none, or holds more names than the options allow.
    pub fn walk(root: impl Into<PathBuf>, options: &TreeOptions) -> Result<Self, Error> {
        let root = root.into();
        let failed = |error| Error::local(&root)(error);
        let dir = File::open(&root).map_err(failed)?;
        let about = rustix::fs::fstat(&dir).map_err(|error| failed(error.into()))?;
        if !FileType::from_raw_mode(about.st_mode).is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let mut inner = Inner {
            entries: vec![Entry::new(Vec::new(), 0, 0, EntryKind::Directory, &about)],
            dir,
            root,
            failed: Vec::new(),
            skipped: Vec::new(),
            too_deep: Vec::new(),
            sources: Mutex::default(),
        };
        let mut next = 0;
        // Entries are only added at the end: directories come level after level.
        while next < inner.entries.len() {
            if matches!(inner.entries[next].kind, EntryKind::Directory) {
                inner.list(next, options)?;
            }
            next += 1;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Returns how many files, links and directories there are, itself not counted.
    pub fn entries(&self) -> usize {
        self.0.entries.len() - 1
    }

    /// Returns how many bytes all files have together.
    pub fn bytes(&self) -> u64 {
        let sizes = self.0.entries.iter().map(|entry| match entry.kind {
            EntryKind::File { size } => size,
            _ => 0,
        });
        sizes.sum()
    }

    /// All entries, directories before what is in them and level after level.
    pub(crate) fn all(&self) -> &[Entry] {
        &self.0.entries
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = (&[u8], Error)> {
        self.0.failed.iter().map(|(path, kind)| {
            let local = self.0.local(path);
            (path.as_slice(), Error::local(local)((*kind).into()))
        })
    }

    pub(crate) fn skipped(&self) -> &[(Vec<u8>, WhySkipped)] {
        &self.0.skipped
    }

    pub(crate) fn too_deep(&self) -> &[Vec<u8>] {
        &self.0.too_deep
    }

    /// Returns a file's bytes, shared by all who copy it at the time.
    pub(crate) fn source(&self, index: usize) -> Result<Source, Error> {
        let held = (self.0.sources.lock().open.get(&index)).and_then(WeakSource::upgrade);
        if let Some(source) = held {
            return Ok(source);
        }
        let path = &self.0.entries[index].path;
        let local = self.0.local(path);
        let file = open::file(self.0.dir.as_fd(), path).map_err(Error::local(&local))?;
        let source = Source::opened(local, file)?;
        self.0.sources.lock().hold(index, &source);
        Ok(source)
    }
}

impl Inner {
    fn local(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            return self.root.clone();
        }
        self.root.join(OsStr::from_bytes(path))
    }

    /// Adds what is in a directory, sorted by name.
    fn list(&mut self, index: usize, options: &TreeOptions) -> Result<(), Error> {
        let Entry { path, depth, .. } = &self.entries[index];
        let (path, depth) = (path.clone(), *depth);
        let inside = if index == 0 { 0 } else { depth + 1 };
        if inside > options.depth_max {
            self.too_deep.push(path);
            return Ok(());
        }
        let most = options.entries_max.saturating_add(1);
        let listed = open::directory(self.dir.as_fd(), &path)
            .and_then(|dir| Ok((open::names(&dir, most - self.entries.len() + 1)?, dir)));
        let (mut names, dir) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.failed.push((path, error.kind()));
                return Ok(());
            }
        };
        if self.entries.len() + names.len() > most {
            let entries_max = options.entries_max;
            return Err(Error::TooManyEntries { entries_max });
        }
        names.sort_unstable();
        for name in names {
            let path = remote_path::join(&path, &name);
            if !options.leaves_out(&path) {
                let found = look(&dir, &name);
                self.add(path, (index, inside), found);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>, (parent, depth): (usize, usize), found: io::Result<Found>) {
        match found {
            Ok((Some(kind), about)) => {
                let entry = Entry::new(path, parent, depth, kind, &about);
                self.entries.push(entry);
            }
            Ok((None, _)) => self.skipped.push((path, WhySkipped::Special)),
            Err(error) => self.failed.push((path, error.kind())),
        }
    }
}

/// What a name stands for, `None` for what is never opened.
type Found = (Option<EntryKind>, Stat);

/// Looks at something without following it.
fn look(dir: &File, name: &[u8]) -> io::Result<Found> {
    let place = OsStr::from_bytes(name);
    let about = rustix::fs::statat(dir, place, AtFlags::SYMLINK_NOFOLLOW)?;
    let file_type = FileType::from_raw_mode(about.st_mode);
    let kind = if file_type.is_dir() {
        Some(EntryKind::Directory)
    } else if file_type.is_file() {
        let size = u64::try_from(about.st_size).unwrap_or_default();
        Some(EntryKind::File { size })
    } else if file_type.is_symlink() {
        let target = rustix::fs::readlinkat(dir, place, Vec::new())?;
        let target = target.into_bytes();
        Some(EntryKind::Link { target })
    } else {
        None
    };
    Ok((kind, about))
}

impl Entry {
    fn new(path: Vec<u8>, parent: usize, depth: usize, kind: EntryKind, about: &Stat) -> Self {
        Self {
            path,
            parent,
            depth,
            kind,
            permissions: open::permissions(about),
            times: (about.st_atime, about.st_mtime),
        }
    }
}

impl Sources {
    /// Holds a file for who comes next, and lets go of those that came long before.
    fn hold(&mut self, index: usize, source: &Source) {
        self.open.insert(index, source.downgrade());
        self.last.push_back(source.clone());
        self.last_bytes += source.held_bytes_max();
        while self.last.len() > SOURCES_MAX || self.last_bytes > SOURCES_BYTES_MAX {
            let Some(first) = self.last.pop_front() else {
                return;
            };
            self.last_bytes -= first.held_bytes_max();
        }
        if self.open.len() > 2 * SOURCES_MAX {
            self.open.retain(|_, source| source.upgrade().is_some());
        }
    }
}

/// Files that stay open when nobody copies them.
const SOURCES_MAX: usize = 128;
/// Bytes that such files hold.
const SOURCES_BYTES_MAX: u64 = 16 * 1024 * 1024;
