//! The files of the fleet's hosts, in memory: one tree of directories and files per host.
//!
//! Bounded: a file holds at most 64 MiB, the whole fleet 1 GiB of contents and names together;
//! what goes over either fails with `SSH_FX_FAILURE`. A removed file that is still open stays
//! readable and counted until its last handle closes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};

/// The files of all hosts.
#[derive(Debug)]
pub(crate) struct Store {
    /// One tree per host that was asked for files. The lock is held for the look-up only.
    trees: Mutex<HashMap<usize, Arc<Mutex<Tree>>>>,
    budget: Arc<Budget>,
}

impl Store {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let budget = Arc::new(Budget {
            used_bytes: AtomicU64::new(0),
            bytes_max,
        });
        Self {
            trees: Mutex::default(),
            budget,
        }
    }

    /// Returns the tree of one host, made on its first use.
    pub(crate) fn tree(&self, host: usize) -> Arc<Mutex<Tree>> {
        let mut trees = self.trees.lock();
        let tree = trees
            .entry(host)
            .or_insert_with(|| Arc::new(Mutex::new(Tree::new(&self.budget))));
        Arc::clone(tree)
    }
}

/// What is left of the memory for all files.
#[derive(Debug)]
struct Budget {
    /// Relaxed: a sum that orders nothing else.
    used_bytes: AtomicU64,
    bytes_max: u64,
}

impl Budget {
    fn take(&self, bytes: u64) -> Result<(), StatusCode> {
        let add = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        match self.used_bytes.fetch_update(Relaxed, Relaxed, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(StatusCode::Failure),
        }
    }

    fn give(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Relaxed);
    }
}

/// The files of one host, by absolute path without `.`, `..` or a slash at the end.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    budget: Arc<Budget>,
}

/// A file shared by its name and by the handles that have it open.
pub(crate) type SharedFile = Arc<Mutex<File>>;

#[derive(Clone, Debug)]
enum Node {
    Dir(Meta),
    File(SharedFile),
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    permissions: u32,
    mtime: u32,
}

impl Tree {
    fn new(budget: &Arc<Budget>) -> Self {
        let dir = || {
            Node::Dir(Meta {
                permissions: 0o755,
                mtime: now(),
            })
        };
        let nodes = ["/", "/home", "/tmp"].map(|path| (path.to_owned(), dir()));
        Self {
            nodes: BTreeMap::from(nodes),
            budget: Arc::clone(budget),
        }
    }

    /// Opens a file by the flags of SFTP version 3.
    pub(crate) fn open(
        &mut self,
        path: &str,
        flags: OpenFlags,
        attrs: &FileAttributes,
    ) -> Result<SharedFile, StatusCode> {
        match self.nodes.get(path) {
            Some(Node::Dir(_)) => Err(StatusCode::Failure),
            Some(Node::File(_)) if flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUDE) => {
                Err(StatusCode::Failure)
            }
            Some(Node::File(file)) => {
                if flags.contains(OpenFlags::WRITE | OpenFlags::TRUNCATE) {
                    file.lock().resize(0)?;
                }
                Ok(Arc::clone(file))
            }
            None if flags.contains(OpenFlags::CREATE) => {
                let permissions = attrs.permissions.unwrap_or(0o644) & 0o7777;
                let meta = Meta {
                    permissions,
                    mtime: now(),
                };
                let budget = Arc::clone(&self.budget);
                let file = Arc::new(Mutex::new(File {
                    data: Vec::new(),
                    meta,
                    budget,
                }));
                self.insert(path, Node::File(Arc::clone(&file)))?;
                Ok(file)
            }
            None => Err(StatusCode::NoSuchFile),
        }
    }

    pub(crate) fn attrs(&self, path: &str) -> Result<FileAttributes, StatusCode> {
        self.nodes
            .get(path)
            .map(Node::attrs)
            .ok_or(StatusCode::NoSuchFile)
    }

    pub(crate) fn set_attrs(
        &mut self,
        path: &str,
        attrs: &FileAttributes,
    ) -> Result<(), StatusCode> {
        match self.nodes.get_mut(path).ok_or(StatusCode::NoSuchFile)? {
            Node::File(file) => file.lock().set_attrs(attrs),
            Node::Dir(meta) => {
                meta.set(attrs);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Result<(), StatusCode> {
        match self.nodes.get(path).ok_or(StatusCode::NoSuchFile)? {
            Node::Dir(_) => Err(StatusCode::Failure),
            Node::File(_) => {
                self.take_out(path);
                Ok(())
            }
        }
    }

    pub(crate) fn mkdir(&mut self, path: &str, attrs: &FileAttributes) -> Result<(), StatusCode> {
        if self.nodes.contains_key(path) {
            return Err(StatusCode::Failure);
        }
        let permissions = attrs.permissions.unwrap_or(0o755) & 0o7777;
        self.insert(
            path,
            Node::Dir(Meta {
                permissions,
                mtime: now(),
            }),
        )
    }

    pub(crate) fn rmdir(&mut self, path: &str) -> Result<(), StatusCode> {
        match self.nodes.get(path).ok_or(StatusCode::NoSuchFile)? {
            Node::Dir(_) if path != "/" && self.below(path).next().is_none() => {
                self.take_out(path);
                Ok(())
            }
            _ => Err(StatusCode::Failure),
        }
    }

    /// Renames a file or a directory; an existing file gives way only if `replace` says so.
    pub(crate) fn rename(
        &mut self,
        from: &str,
        to: &str,
        replace: Replace,
    ) -> Result<(), StatusCode> {
        let node = self
            .nodes
            .get(from)
            .cloned()
            .ok_or(StatusCode::NoSuchFile)?;
        let into_itself = to
            .strip_prefix(from)
            .is_some_and(|rest| rest.starts_with('/'));
        if from == "/" || into_itself || !self.parent_is_dir(to) {
            return Err(StatusCode::Failure);
        }
        match (self.nodes.get(to), &node, replace) {
            (None, ..) => {}
            (Some(_), ..) if from == to => return Ok(()),
            (Some(Node::File(_)), Node::File(_), Replace::Yes) => self.take_out(to),
            _ => return Err(StatusCode::Failure),
        }
        let below = self.below(from).map(|(path, _)| path.clone());
        let moved: Vec<String> = below.chain([from.to_owned()]).collect();
        // Taken before the first move, so that no half of a directory is lost to a full budget.
        let count = moved.len() as u64;
        self.budget
            .take(count * (to.len().saturating_sub(from.len())) as u64)?;
        for path in moved {
            if let Some(node) = self.nodes.remove(&path) {
                self.nodes
                    .insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
        self.budget
            .give(count * (from.len().saturating_sub(to.len())) as u64);
        Ok(())
    }

    /// Returns the names in a directory with their attributes, in order.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<(String, FileAttributes)>, StatusCode> {
        let Some(Node::Dir(_)) = self.nodes.get(path) else {
            return Err(StatusCode::NoSuchFile);
        };
        let skip = if path == "/" { 1 } else { path.len() + 1 };
        let names = self.below(path).map(|(path, node)| (&path[skip..], node));
        let direct = names.filter(|(name, _)| !name.contains('/'));
        Ok(direct
            .map(|(name, node)| (name.to_owned(), node.attrs()))
            .collect())
    }

    /// Returns everything under a directory, itself left out.
    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Node)> {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let from_prefix = self.nodes.range(prefix.clone()..);
        let below = from_prefix.take_while(move |(path, _)| path.starts_with(&prefix));
        below.filter(|(path, _)| path.as_str() != "/")
    }

    fn parent_is_dir(&self, path: &str) -> bool {
        let parent = match path.rfind('/') {
            Some(0) | None => "/",
            Some(end) => &path[..end],
        };
        matches!(self.nodes.get(parent), Some(Node::Dir(_)))
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<(), StatusCode> {
        if !self.parent_is_dir(path) {
            return Err(StatusCode::NoSuchFile);
        }
        self.budget.take(name_bytes(path))?;
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn take_out(&mut self, path: &str) {
        if self.nodes.remove(path).is_some() {
            self.budget.give(name_bytes(path));
        }
    }
}

/// Whether a rename may put a file in another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// As `posix-rename@openssh.com` does.
    Yes,
    /// As the rename of SFTP version 3 does.
    No,
}

impl Node {
    fn attrs(&self) -> FileAttributes {
        match self {
            Self::Dir(meta) => meta.attrs(DIRECTORY, 0),
            Self::File(file) => file.lock().attrs(),
        }
    }
}

impl Meta {
    fn attrs(self, kind: u32, size: u64) -> FileAttributes {
        FileAttributes {
            size: Some(size),
            uid: Some(0),
            gid: Some(0),
            permissions: Some(kind | self.permissions),
            atime: Some(self.mtime),
            mtime: Some(self.mtime),
            user: None,
            group: None,
        }
    }

    fn set(&mut self, attrs: &FileAttributes) {
        self.permissions = attrs
            .permissions
            .map_or(self.permissions, |bits| bits & 0o7777);
        self.mtime = attrs.mtime.unwrap_or(self.mtime);
    }
}

/// One file's contents. Its bytes are counted in the fleet's budget until it is dropped.
#[derive(Debug)]
pub(crate) struct File {
    data: Vec<u8>,
    meta: Meta,
    budget: Arc<Budget>,
}

impl File {
    pub(crate) fn attrs(&self) -> FileAttributes {
        self.meta.attrs(REGULAR, self.data.len() as u64)
    }

    pub(crate) fn set_attrs(&mut self, attrs: &FileAttributes) -> Result<(), StatusCode> {
        if let Some(size) = attrs.size {
            self.resize(size)?;
        }
        self.meta.set(attrs);
        Ok(())
    }

    /// Returns at most `len` bytes from `offset`; an empty answer means EOF.
    pub(crate) fn read(&self, offset: u64, len: u32) -> &[u8] {
        let start = usize::try_from(offset).map_or(self.data.len(), |at| at.min(self.data.len()));
        let end = start.saturating_add(len as usize).min(self.data.len());
        &self.data[start..end]
    }

    /// Writes at `offset`, or at the end if that is `None`; a gap reads as zeros.
    pub(crate) fn write(&mut self, offset: Option<u64>, bytes: &[u8]) -> Result<(), StatusCode> {
        let offset = offset.unwrap_or(self.data.len() as u64);
        let end = offset
            .checked_add(bytes.len() as u64)
            .ok_or(StatusCode::Failure)?;
        if end > self.data.len() as u64 {
            self.resize(end)?;
        }
        // The resize bounds both ends by FILE_BYTES_MAX, which fits a usize.
        self.data[offset as usize..end as usize].copy_from_slice(bytes);
        self.meta.mtime = now();
        Ok(())
    }

    fn resize(&mut self, size: u64) -> Result<(), StatusCode> {
        if size > FILE_BYTES_MAX {
            return Err(StatusCode::Failure);
        }
        let old = self.data.len() as u64;
        self.budget.take(size.saturating_sub(old))?;
        self.data.resize(size as usize, 0);
        if size == 0 {
            self.data = Vec::new();
        }
        self.budget.give(old.saturating_sub(size));
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.budget.give(self.data.len() as u64);
    }
}

/// What a name costs besides its bytes: map entry, attributes and the file's own fields.
fn name_bytes(path: &str) -> u64 {
    path.len() as u64 + 256
}

fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// The most bytes in one file.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// The most bytes in all files of a fleet, names included.
pub(crate) const STORE_BYTES_MAX: u64 = 1 << 30;

#[cfg(test)]
mod tests;
