//! A directory of this machine, walked once for all hosts.
//!
//! The principal type is [`LocalTree`].

use std::collections::{HashMap, VecDeque};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

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
    root: PathBuf,
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
    /// It follows no symbolic link but the one that `root` itself may be. What cannot be read is
    /// told in every report; what the options exclude is left out.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, is none, or holds more names than the options allow.
    pub fn walk(root: impl Into<PathBuf>, options: &TreeOptions) -> Result<Self, Error> {
        let root = root.into();
        let about = fs::metadata(&root).map_err(Error::local(&root))?;
        if !about.is_dir() {
            let error = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(Error::local(&root)(error));
        }
        let mut inner = Inner {
            entries: vec![Entry::new(Vec::new(), 0, 0, EntryKind::Directory, &about)],
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
        let source = Source::file(self.0.local(&self.0.entries[index].path))?;
        self.0.sources.lock().hold(index, &source);
        Ok(source)
    }
}

impl Inner {
    fn local(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            return self.root.clone();
        }
        self.root.join(std::ffi::OsStr::from_bytes(path))
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
        let mut names = Vec::new();
        let listed = fs::read_dir(self.local(&path)).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                names.push((entry.file_name().into_vec(), entry.file_type()?));
                if self.entries.len() + names.len() > options.entries_max.saturating_add(1) {
                    break;
                }
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.failed.push((path, error.kind()));
            return Ok(());
        }
        if self.entries.len() + names.len() > options.entries_max.saturating_add(1) {
            let entries_max = options.entries_max;
            return Err(Error::TooManyEntries { entries_max });
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, file_type) in names {
            let path = remote_path::join(&path, &name);
            if !options.leaves_out(&path) {
                self.add(path, (index, inside), file_type);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: Vec<u8>, (parent, depth): (usize, usize), file_type: FileType) {
        let local = self.local(&path);
        match look(&local, file_type) {
            Ok(Some((kind, about))) => {
                let entry = Entry::new(path, parent, depth, kind, &about);
                self.entries.push(entry);
            }
            Ok(None) => self.skipped.push((path, WhySkipped::Special)),
            Err(error) => self.failed.push((path, error.kind())),
        }
    }
}

/// Looks at something without following it; `None` for what is never opened.
fn look(local: &Path, file_type: FileType) -> io::Result<Option<(EntryKind, Metadata)>> {
    let about = fs::symlink_metadata(local)?;
    let kind = if file_type.is_dir() {
        EntryKind::Directory
    } else if file_type.is_file() {
        EntryKind::File { size: about.len() }
    } else if file_type.is_symlink() {
        EntryKind::Link {
            target: fs::read_link(local)?.into_os_string().into_vec(),
        }
    } else {
        return Ok(None);
    };
    Ok(Some((kind, about)))
}

impl Entry {
    fn new(path: Vec<u8>, parent: usize, depth: usize, kind: EntryKind, about: &Metadata) -> Self {
        Self {
            path,
            parent,
            depth,
            kind,
            permissions: about.mode() & 0o7777,
            times: (about.atime(), about.mtime()),
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
