//! `-o` and `-e`: a file per host, made at its first byte, with exactly the host's bytes.
//!
//! A file that is there is replaced, or added to where that is asked for. Nothing but a plain file ever is: a link or device under a
//! host's name, planted by whoever can write to the directory, is refused.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What becomes of files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Append,
}

/// The files of one directory.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    dir: OwnedFd,
    /// By host, in input order.
    names: Vec<String>,
    made: HashSet<usize>,
    existing: Existing,
    /// At most [`OPEN_FILES_MAX`]; a file closed to make room is opened again to append.
    open: BTreeMap<usize, File>,
    /// The open files' hosts, the longest open first; may name some that are closed.
    order: VecDeque<usize>,
    /// The first failure; the files that could be written are.
    failed: Option<anyhow::Error>,
}

impl Files {
    /// Makes the directory if it is not there; `labels` names the hosts in input order.
    pub(crate) fn open(path: &Path, labels: &[String]) -> Result<Self> {
        let what = || format!("cannot use the directory {}", path.display());
        std::fs::create_dir_all(path)
            .map_err(|error| match error.kind() {
                // That something is there is not what is wrong with it.
                io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                _ => error,
            })
            .with_context(what)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).with_context(what)?;
        rustix::fs::accessat(&dir, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
            .with_context(what)?;
        Ok(Self {
            path: path.to_owned(),
            dir,
            names: names(labels),
            made: HashSet::new(),
            existing: Existing::Replace,
            open: BTreeMap::new(),
            order: VecDeque::new(),
            failed: None,
        })
    }

    /// Sets what becomes of files that are there; they are replaced by default.
    pub(crate) fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Returns whether the files of both would be the same ones.
    pub(crate) fn is_same_directory(&self, other: &Self) -> bool {
        let place = |dir| rustix::fs::fstat(dir).map(|facts| (facts.st_dev, facts.st_ino));
        matches!((place(&self.dir), place(&other.dir)), (Ok(a), Ok(b)) if a == b)
    }

    /// Appends bytes to a host's file.
    pub(crate) fn bytes(&mut self, index: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = self.append(index, bytes) {
            let path = self.path.join(&self.names[index]);
            let error = error.context(format!("cannot write {}", path.display()));
            self.failed.get_or_insert(error);
        }
    }

    /// Closes a host's file.
    pub(crate) fn finished(&mut self, index: usize) {
        self.open.remove(&index);
    }

    /// Closes all; the first failure, if there was one.
    pub(crate) fn end(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn append(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        if !self.open.contains_key(&index) {
            let first = self.made.insert(index);
            let file = if first {
                self.create(index)?
            } else {
                self.reopen(index)?
            };
            while self.open.len() >= OPEN_FILES_MAX {
                let Some(oldest) = self.order.pop_front() else {
                    break;
                };
                self.open.remove(&oldest);
            }
            self.open.insert(index, file);
            self.order.push_back(index);
        }
        let file = self.open.get_mut(&index).context("the file is not open")?;
        Ok(file.write_all(bytes)?)
    }

    /// Makes the file anew. With `EXCL` no link is ever followed, whoever races us.
    fn create(&self, index: usize) -> Result<File> {
        let name = self.names[index].as_str();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        match rustix::fs::openat(&self.dir, name, flags, mode) {
            Err(Errno::EXIST) => {
                let found = rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
                    return Err(anyhow!(
                        "something that is no plain file is there; remove it"
                    ));
                }
                if self.existing == Existing::Append {
                    return self.reopen(index);
                }
                rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?;
                Ok(rustix::fs::openat(&self.dir, name, flags, mode)?.into())
            }
            made => Ok(made?.into()),
        }
    }

    fn reopen(&self, index: usize) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = self.names[index].as_str();
        Ok(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?.into())
    }
}

/// Gives each host a name of its own: the label, with `.1`, `.2` for those that come again.
pub(crate) fn names(labels: &[String]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut name = |label: &String| {
        let plain = file_name(label);
        let numbered = (1..).map(|k| format!("{plain}.{k}"));
        let free = std::iter::once(plain.clone())
            .chain(numbered)
            .find(|n| taken.insert(n.clone()));
        free.unwrap_or(plain)
    };
    labels.iter().map(&mut name).collect()
}

/// Writes what cannot stand in a file name as `%XX`.
fn file_name(label: &str) -> String {
    match label {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => label.replace('/', "%2F").replace('\0', "%00"),
    }
}

/// Files held open at once in one directory; descriptors belong to the sessions.
const OPEN_FILES_MAX: usize = 64;

#[cfg(test)]
mod tests;
