//! A host's copies, one after the other: a program over its open session.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sshoal::transfer::{
    self, Copied, CopyOptions, Error, Existing, Keep, Progress, RemoteFs, Scp, SudoFs, TreeOptions,
    WriteOptions, sftp::FileType,
};
use sshoal::{Reached, Scope, Session, Sudo, quote};

use super::failure::{Copies, of};
use super::plan::{Direction, Item, Plan, Sent};
use super::slow::Slow;
use super::{options, paths};
use crate::args::CopyArgs;
use crate::record::Failure;
use crate::size;

/// What the hosts do.
#[derive(Debug)]
pub(super) struct Work {
    plan: Plan,
    file: CopyOptions,
    tree: TreeOptions,
    existing: Existing,
    is_recursive: bool,
    /// By scp, and what goes along.
    scp: Option<Keep>,
    sudo: Option<Sudo>,
    limit: Option<Duration>,
    progress: Progress,
    slow: Option<Arc<Slow>>,
    /// The lowest rate as it is told.
    too_slow: String,
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

/// One host's side.
struct Side<'a> {
    work: &'a Work,
    session: &'a Session,
    scope: &'a Scope,
    file: CopyOptions,
    tree: TreeOptions,
}

impl Work {
    pub(super) fn new(
        plan: Plan,
        args: &CopyArgs,
        progress: Progress,
        sudo: Option<Sudo>,
    ) -> Result<Self> {
        if sudo.is_some() {
            for item in plan.items.iter().flatten() {
                if let Item::Put { path, sent, .. } = item
                    && let Sent::File(source) = &**sent
                    && source.size() > SUDO_BYTES_MAX
                {
                    let most = SUDO_BYTES_MAX >> 20;
                    bail!("--sudo: {} is above {most} MiB", path.display());
                }
            }
        }
        let file = options::file(args, &progress);
        let min = args.flow.min_rate;
        let slow = min.map(Slow::watch).transpose();
        Ok(Self {
            tree: match plan.direction {
                // What was said about how equal files are told goes on.
                Direction::Sync => plan.tree.clone().copy(file.clone()).sync(),
                _ => plan.tree.clone().copy(file.clone()),
            },
            existing: options::existing(args),
            is_recursive: args.how.recursive,
            scp: args.how.scp.then_some(match args.how.preserve {
                true => Keep::ModeAndTimes,
                false => Keep::Mode,
            }),
            sudo,
            limit: plan.pace.command_timeout,
            slow: slow.context("cannot begin")?,
            too_slow: min.map_or_else(String::new, |min| {
                let rate = size::show(min.bytes_per_second);
                format!("fewer than {rate} a second over {:?}", min.window)
            }),
            plan,
            file,
            progress,
        })
    }

    /// Copies what a host is to have, or to give. Parks.
    pub(super) fn of(&self, host: &Reached<'_>) -> Copies {
        let index = host.index();
        let scope = host.scope().child(self.limit);
        let counters = self.progress.of_host(index);
        let is_slow = (self.slow.as_ref()).map(|slow| slow.add(index, &scope, counters));
        let side = Side {
            work: self,
            session: host.session(),
            scope: &scope,
            file: self.file.for_host(index),
            tree: self.tree.for_host(index),
        };
        let mut copies = Copies::default();
        for item in &self.plan.items[index] {
            side.item(item, &mut copies);
            if copies.ended.is_some() {
                break;
            }
        }
        if let Some(slow) = &self.slow {
            slow.remove(index);
        }
        if copies.ended.is_some() && host.scope().check().is_err() {
            copies.is_stopped = true;
        } else if is_slow.is_some_and(|is_slow| is_slow.load(Ordering::Acquire)) {
            copies.ended = Some(Failure {
                phase: "transfer",
                kind: "stalled",
                reason: self.too_slow.clone(),
                by_our_limit: true,
            });
        }
        copies
    }
}

impl Side<'_> {
    fn item(&self, item: &Item, copies: &mut Copies) {
        let (path, copied) = match item {
            Item::Put { sent, to, .. } if matches!(&**sent, Sent::Tree(_)) => {
                if let Sent::Tree(tree) = &**sent {
                    let (session, options) = (self.session, &self.tree);
                    let report = transfer::put_tree(session, tree, to, options, self.scope);
                    copies.add(report, to);
                }
                return;
            }
            Item::Put {
                path,
                sent,
                to,
                name,
            } => (to.clone(), self.put(path, sent, to, name.as_deref())),
            Item::Get { from, to } => match self.is_directory(from) {
                Ok(true) => {
                    let (session, options) = (self.session, &self.tree);
                    let report = transfer::get_tree(session, from, to, options, self.scope);
                    copies.add(report, from);
                    return;
                }
                Ok(false) => (from.clone(), self.get(from, to)),
                Err(error) => (from.clone(), Err(error)),
            },
        };
        match copied {
            Ok(copied) if copied.kept => copies.kept += 1,
            Ok(copied) => {
                copies.files += 1;
                copies.bytes += copied.bytes;
            }
            Err(error) if matches!(error, Error::Session(_)) => {
                let failure = of(&error);
                copies.failed.push((path, failure.clone()));
                copies.ended = Some(failure);
            }
            Err(error) => copies.failed.push((path, of(&error))),
        }
    }

    /// Copies a file to the host; into a directory that is there if it may have a name in it.
    fn put(&self, path: &Path, sent: &Sent, to: &[u8], name: Option<&[u8]>) -> Result<One, Error> {
        let put = |to: &[u8]| match (&self.work.sudo, self.work.scp, sent) {
            (Some(sudo), _, Sent::File(_)) => self.put_by_sudo(sudo.clone(), path, to),
            (None, Some(keep), _) => {
                let scp = Scp::new(self.session, self.scope).keep(keep);
                scp.send(path, to).map(One::from)
            }
            (None, None, Sent::File(source)) => {
                let put = transfer::put(self.session, source, to, &self.file, self.scope);
                put.map(One::from)
            }
            (_, _, Sent::Tree(_)) => Ok(KEPT),
        };
        let put = match (put(to), name) {
            (Err(error), Some(name)) if self.is_in_the_way(&error, to) => {
                put(&paths::join(to, name))
            }
            (done, _) => done,
        };
        match put {
            // Of scp, which knows nothing of keeping.
            Err(Error::Exists { .. }) if self.work.existing == Existing::Keep => Ok(KEPT),
            put => put,
        }
    }

    /// Whether a copy failed because a directory has its name.
    fn is_in_the_way(&self, error: &Error, path: &[u8]) -> bool {
        match error {
            Error::IsDirectory { .. } => true,
            Error::Exists { .. } | Error::Command { .. } => {
                let path = match path {
                    [b'-', ..] => paths::join(b".", path),
                    path => path.to_vec(),
                };
                let command = [b"test -d ".as_slice(), &quote(&path)].concat();
                let tested = self.session.command(command).scope(self.scope).output();
                tested.is_ok_and(|tested| tested.exit.is_success())
            }
            _ => false,
        }
    }

    fn put_by_sudo(&self, sudo: Sudo, path: &Path, to: &[u8]) -> Result<One, Error> {
        let local = path.to_owned();
        let read = sshoal::blocking(move || std::fs::read(local));
        let read = read.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let bytes = read.map_err(|source| Error::Local {
            path: path.to_owned(),
            source,
        })?;
        let size = bytes.len() as u64;
        let files = SudoFs::new(self.session, sudo, self.scope);
        let options = WriteOptions::new().existing(self.work.existing);
        let written = files.write(to, bytes, &options)?;
        Ok(match written {
            true => One {
                bytes: size,
                kept: false,
            },
            false => KEPT,
        })
    }

    /// Copies a file of the host.
    fn get(&self, from: &[u8], to: &Path) -> Result<One, Error> {
        let Some(keep) = self.work.scp else {
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
        let scp = Scp::new(self.session, self.scope).keep(keep);
        scp.receive(from, to).map(One::from)
    }

    /// Whether a path of the host is a directory, and directories are copied.
    fn is_directory(&self, path: &[u8]) -> Result<bool, Error> {
        if !self.work.is_recursive {
            return Ok(false);
        }
        let files = RemoteFs::open(self.session, self.scope)?;
        Ok(files.stat(path)?.file_type() == FileType::Directory)
    }
}

/// The largest file that is written by a command: each host holds it.
const SUDO_BYTES_MAX: u64 = 16 << 20;
