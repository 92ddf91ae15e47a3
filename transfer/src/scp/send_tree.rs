//! A directory to a host by its `scp`: each file for itself, under the promise that one file has.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Bytes, Given, Keep, MODE_BITS, PRIVATE, Scp};
use crate::directories::{Directories, Dressed};
use crate::error::Error;
use crate::limits::Governor;
use crate::options::{Existing, Parents, Preserve, Verify};
use crate::remote_path;
use crate::tree::local::{Entry, EntryKind, LocalTree};
use crate::tree::options::{Delete, DryRun, Itemise, TreeOptions, Unchanged};
use crate::tree::report::{Action, TreeReport, WhySkipped};
use crate::tree::work::{Course, side_by_side};

impl Scp<'_> {
    /// Copies a directory's content to a host's directory, which is made if it is not there. Parks.
    ///
    /// Directories are made over SFTP, or by `mkdir` where the host has none. Then up to six files
    /// are copied at once, each as [`Scp::send`] does: whole under its name, where nothing stands.
    /// What has a name there already stays as it is and fails with [`Error::Exists`], whatever the
    /// options say, or is counted as kept with [`Existing::Keep`]. Symbolic links are skipped and
    /// reported, since SCP has none.
    ///
    /// [`Unchanged`], [`Delete`], [`DryRun`] and [`Verify::Sha256`] are not offered and end the copy
    /// before it begins. Permissions and times go along as [`Scp::keep`] says, and both with
    /// [`Preserve::Yes`].
    pub fn send_tree(&self, tree: &LocalTree, remote: &[u8], options: &TreeOptions) -> TreeReport {
        let course = Course::new(self.scope);
        let remote = if remote.is_empty() { b"." } else { remote };
        let within = Scp {
            session: self.session,
            scope: course.scope(),
            keep: match options.copy.preserve {
                Preserve::Yes => Keep::ModeAndTimes,
                Preserve::No => self.keep,
            },
            bytes_max: self.bytes_max,
            limits: options.copy.clone(),
        };
        let sending = Sending {
            scp: &within,
            tree,
            remote,
            options,
            course: &course,
        };
        if let Err(error) = sending.run() {
            course.end(error);
        }
        course.into_report()
    }
}

/// One copy under way.
struct Sending<'a> {
    scp: &'a Scp<'a>,
    tree: &'a LocalTree,
    remote: &'a [u8],
    options: &'a TreeOptions,
    course: &'a Course,
}

impl Sending<'_> {
    fn run(&self) -> Result<(), Error> {
        check_offered("SCP", self.options)?;
        tell_of_walk(self.tree, self.options, self.course);
        let directories = Directories::open(self.scp.session, self.course.scope())?;
        let made = self.make(&directories)?;
        let next = AtomicUsize::new(0);
        let all = self.tree.all();
        let at_once = self.options.files_at_once.get().min(COMMANDS_MAX);
        side_by_side(at_once, &|| {
            while let Some(entry) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                all.get(index).map(|entry| (index, entry))
            } {
                let (index, entry) = entry;
                if self.course.scope().check().is_err() {
                    return self.course.end(self.course.stopped());
                }
                if !made.contains(&entry.parent) {
                    continue;
                }
                if let Err(error) = self.entry(index, entry) {
                    self.course.fail(&entry.path, error);
                }
            }
        });
        if self.scp.keep == Keep::ModeAndTimes {
            self.dress(&directories, &made)?;
        }
        Ok(())
    }

    fn path(&self, entry: &Entry) -> Vec<u8> {
        match &entry.path[..] {
            [] => self.remote.to_vec(),
            path => remote_path::join(self.remote, path),
        }
    }

    /// Makes the directories, level after level; returns the entries of those that are there.
    fn make(&self, directories: &Directories<'_>) -> Result<HashSet<usize>, Error> {
        let mut there = HashSet::new();
        for (level, indices) in levels(self.tree).iter().enumerate() {
            let all = self.tree.all();
            let reached: Vec<usize> = (indices.iter().copied())
                .filter(|index| level == 0 || there.contains(&all[*index].parent))
                .collect();
            let preserve = self.scp.keep == Keep::ModeAndTimes;
            let paths: Vec<_> = (reached.iter())
                .map(|index| {
                    let entry = &all[*index];
                    // Ours to fill until it is dressed.
                    let permissions = preserve.then_some(entry.permissions & 0o777 | 0o700);
                    (self.path(entry), permissions)
                })
                .collect();
            let parents = match level {
                0 => self.options.copy.parents,
                _ => Parents::Expect,
            };
            let told = directories.make(&paths, parents)?;
            for (index, told) in reached.into_iter().zip(told) {
                match told {
                    Ok(made) => {
                        there.insert(index);
                        if made {
                            self.done(&all[index], Action::MakeDirectory, |report| {
                                report.directories += 1;
                            });
                        }
                    }
                    Err(error) => self.course.fail(&all[index].path, error),
                }
            }
        }
        Ok(there)
    }

    fn entry(&self, index: usize, entry: &Entry) -> Result<(), Error> {
        match entry.kind {
            EntryKind::Directory => Ok(()),
            EntryKind::Link { .. } => {
                self.course.skip(&entry.path, WhySkipped::Link);
                Ok(())
            }
            EntryKind::File { .. } => match self.file(index, entry) {
                Err(Error::Exists { .. }) if self.options.copy.existing == Existing::Keep => {
                    self.course.note(|report| report.kept += 1);
                    Ok(())
                }
                other => other,
            },
        }
    }

    fn file(&self, index: usize, entry: &Entry) -> Result<(), Error> {
        let governor = Governor::enter(&self.options.copy, self.course.scope())?;
        let source = self.tree.source(index)?;
        let own = match self.scp.keep {
            Keep::Nothing => PRIVATE,
            Keep::Mode | Keep::ModeAndTimes => entry.permissions & MODE_BITS,
        };
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let (accessed, modified) = entry.times;
        let given = Given {
            mode: self
                .options
                .copy
                .permissions
                .map_or(own, |mode| mode & MODE_BITS),
            size: source.size(),
            times: (self.scp.keep == Keep::ModeAndTimes)
                .then(|| (seconds(modified), seconds(accessed))),
        };
        let local = source.path().unwrap_or_else(|| "".as_ref());
        let mut bytes = Bytes {
            source: &source,
            offset: 0,
        };
        let remote = self.path(entry);
        let copied = (self.scp).deliver((&mut bytes, local), &remote, (&given, &governor))?;
        self.done(entry, Action::Copy, |report| {
            report.files += 1;
            report.bytes += copied.bytes;
        });
        Ok(())
    }

    /// Gives the directories the permissions and times of ours, from within.
    fn dress(&self, directories: &Directories<'_>, made: &HashSet<usize>) -> Result<(), Error> {
        dress(self.tree, (directories, self.course), |index, entry| {
            made.contains(&index).then(|| self.path(entry))
        })
    }

    fn done(&self, entry: &Entry, action: Action, count: impl FnOnce(&mut TreeReport)) {
        self.course.note(|report| {
            count(report);
            if self.options.itemise == Itemise::Yes {
                report.change(&entry.path, action);
            }
        });
    }
}

/// Refuses what only SFTP offers.
pub(crate) fn check_offered(way: &'static str, options: &TreeOptions) -> Result<(), Error> {
    let what = if options.dry_run == DryRun::Yes {
        "a dry run"
    } else if options.delete == Delete::Yes {
        "deletion"
    } else if options.unchanged != Unchanged::Copy {
        "a look for equal files"
    } else if options.copy.verify == Verify::Sha256 {
        "SHA-256 of each file"
    } else {
        return Ok(());
    };
    Err(Error::NotOffered { way, what })
}

/// Reports what the walk found that cannot be copied.
pub(crate) fn tell_of_walk(tree: &LocalTree, options: &TreeOptions, course: &Course) {
    let depth_max = options.depth_max;
    for (path, error) in tree.failed() {
        course.fail(path, error);
    }
    for path in tree.too_deep() {
        course.fail(path, Error::TooDeep { depth_max });
    }
    for (path, why) in tree.skipped() {
        course.skip(path, *why);
    }
}

/// The entries that are directories, level by level; the root is a level of its own.
fn levels(tree: &LocalTree) -> Vec<Vec<usize>> {
    let mut levels = Vec::<Vec<usize>>::new();
    for (index, entry) in tree.all().iter().enumerate() {
        if matches!(entry.kind, EntryKind::Directory) {
            let level = if index == 0 { 0 } else { entry.depth + 1 };
            levels.resize_with(levels.len().max(level + 1), Vec::new);
            levels[level].push(index);
        }
    }
    levels
}

/// Gives the host's directories that have a path the permissions and times of ours, from within.
pub(crate) fn dress(
    tree: &LocalTree,
    (directories, course): (&Directories<'_>, &Course),
    path: impl Fn(usize, &Entry) -> Option<Vec<u8>>,
) -> Result<(), Error> {
    let (mut all, mut indices) = (Vec::new(), Vec::new());
    for index in levels(tree).into_iter().rev().flatten() {
        let entry = &tree.all()[index];
        if let Some(path) = path(index, entry) {
            indices.push(index);
            all.push(Dressed {
                path,
                permissions: entry.permissions,
                times: entry.times,
            });
        }
    }
    for (index, told) in indices.into_iter().zip(directories.dress(&all)?) {
        if let Err(error) = told {
            course.fail(&tree.all()[index].path, error);
        }
    }
    Ok(())
}

/// OpenSSH allows ten channels to a session (`MaxSessions`), and one is ours already.
const COMMANDS_MAX: usize = 6;
