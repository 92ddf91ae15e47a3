//! A host's side of its copies, one after the other.

use std::path::Path;

use sshoal::transfer::sftp::FileType;
use sshoal::transfer::{
    self, Copied, CopyOptions, Error, Existing, Keep, LocalTree, RemoteFs, Scp, Source, SudoFs,
    TreeOptions, TreeReport,
};
use sshoal::{Scope, Session, quote};

use super::became::Copies;
use super::paths;
use super::plan::{Item, Sent};
use super::work::{Way, Work};
use crate::failure::of_copy as of;

/// One host's side.
pub(super) struct Side<'a> {
    pub(super) work: &'a Work,
    pub(super) session: &'a Session,
    pub(super) scope: &'a Scope,
    pub(super) file: CopyOptions,
    pub(super) tree: TreeOptions,
}

/// What became of one file.
#[derive(Debug, Clone, Copy)]
struct One {
    bytes: u64,
    kept: bool,
}

impl From<Copied> for One {
    fn from(copied: Copied) -> Self {
        Self {
            bytes: copied.bytes,
            kept: copied.kept,
        }
    }
}

/// A file that was there and stays.
const KEPT: One = One {
    bytes: 0,
    kept: true,
};

impl<'a> Side<'a> {
    /// Makes one copy. Parks.
    pub(super) fn item(&self, item: &Item, copies: &mut Copies) {
        let (path, copied) = match item {
            Item::Put {
                path,
                sent,
                to,
                name,
            } => match &**sent {
                Sent::Tree(tree) => return copies.add(self.put_tree(tree, to), to),
                Sent::File(source) => (to, self.put((path, source), to, name.as_deref())),
            },
            Item::Get { from, to } => match self.is_tree(from) {
                Ok(true) => return copies.add(self.get_tree(from, to), from),
                Ok(false) => (from, self.get(from, to)),
                Err(error) => (from, Err(error)),
            },
        };
        match copied {
            Ok(copied) if copied.kept => copies.kept += 1,
            Ok(copied) => {
                copies.files += 1;
                copies.bytes += copied.bytes;
            }
            Err(error) => {
                let failure = of(&error);
                copies.failed.push((path.clone(), failure.clone()));
                if matches!(error, Error::Session(_)) {
                    copies.ended = Some(failure);
                }
            }
        }
    }

    /// Copies a file to the host; into a directory that is there if it may have a name in it.
    fn put(&self, sent: (&Path, &Source), to: &[u8], name: Option<&[u8]>) -> Result<One, Error> {
        let put = match (self.put_as(sent, to), name) {
            (Err(error), Some(name)) if self.is_in_the_way(&error, to) => {
                self.put_as(sent, &paths::join(to, name))
            }
            (done, _) => done,
        };
        match put {
            // Of scp, which knows nothing of keeping.
            Err(Error::Exists { .. }) if self.work.existing == Existing::Keep => Ok(KEPT),
            put => put,
        }
    }

    fn put_as(&self, (path, source): (&Path, &Source), to: &[u8]) -> Result<One, Error> {
        let put = match &self.work.way {
            Way::Scp(keep) => self.scp(*keep).send(path, to),
            Way::Sudo(sudo) => {
                let files = SudoFs::new(self.session, sudo.clone(), self.scope);
                files.put(source, to, &self.file)
            }
            Way::Sftp => transfer::put(self.session, source, to, &self.file, self.scope),
        };
        put.map(One::from)
    }

    fn put_tree(&self, tree: &LocalTree, to: &[u8]) -> TreeReport {
        match self.work.way {
            Way::Scp(keep) => self.scp(keep).send_tree(tree, to, &self.tree),
            _ => transfer::put_tree(self.session, tree, to, &self.tree, self.scope),
        }
    }

    fn get_tree(&self, from: &[u8], to: &Path) -> TreeReport {
        match self.work.way {
            Way::Scp(keep) => self.scp(keep).receive_tree(from, to, &self.tree),
            _ => transfer::get_tree(self.session, from, to, &self.tree, self.scope),
        }
    }

    /// Whether a copy failed because a directory has its name.
    fn is_in_the_way(&self, error: &Error, path: &[u8]) -> bool {
        match error {
            Error::IsDirectory { .. } => true,
            Error::Exists { .. } | Error::Command { .. } => {
                self.tests_as_directory(path).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Asks a command of the host whether a path is a directory.
    fn tests_as_directory(&self, path: &[u8]) -> Result<bool, Error> {
        let path = match path {
            [b'-', ..] => paths::join(b".", path),
            path => path.to_vec(),
        };
        let command = [b"test -d ".as_slice(), &quote(&path)].concat();
        let tested = self.session.command(command).scope(self.scope).output()?;
        Ok(tested.exit.is_success())
    }

    /// Copies a file of the host.
    fn get(&self, from: &[u8], to: &Path) -> Result<One, Error> {
        let Way::Scp(keep) = self.work.way else {
            let got = transfer::get(self.session, from, to, &self.file, self.scope);
            return got.map(One::from);
        };
        let failed = |source| Error::Local {
            path: to.to_owned(),
            source,
        };
        if to.symlink_metadata().is_ok() {
            match self.work.existing {
                Existing::Keep => return Ok(KEPT),
                Existing::Overwrite => {}
                _ => return Err(failed(std::io::ErrorKind::AlreadyExists.into())),
            }
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        self.scp(keep).receive(from, to).map(One::from)
    }

    /// Whether a path of the host is a directory, and directories are copied.
    fn is_tree(&self, path: &[u8]) -> Result<bool, Error> {
        match self.work.way {
            _ if !self.work.is_recursive => Ok(false),
            // Whoever wants no SFTP may have none.
            Way::Scp(_) => self.tests_as_directory(path),
            _ => {
                let files = RemoteFs::open(self.session, self.scope)?;
                Ok(files.stat(path)?.file_type() == FileType::Directory)
            }
        }
    }

    fn scp(&self, keep: Keep) -> Scp<'a> {
        let scp = Scp::new(self.session, self.scope).keep(keep);
        let scp = scp.limits(&self.file);
        match self.work.plan.bytes_max {
            Some(bytes) => scp.bytes_max(bytes.get()),
            None => scp,
        }
    }
}
