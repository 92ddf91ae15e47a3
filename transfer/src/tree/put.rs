//! A directory to a host.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sshoal_reactor::Scope;
use sshoal_session::Session;

use super::local::{Entry, EntryKind, LocalTree};
use super::name::stays_beneath;
use super::options::{Delete, DryRun, Itemise, Links, Stream, TreeOptions, Unchanged};
use super::report::{Action, TreeReport, WhySkipped};
use super::work::{Budget, Course, PERMITS, side_by_side};
use crate::error::{Error, Operation};
use crate::options::{Existing, Leftovers, Parents, Preserve};
use crate::part::{self, sweep};
use crate::put::{DIRECTORY_PERMISSIONS, make_directories, put_over, seconds};
use crate::remote_tree::{self, Deleting};
use crate::sftp::{Attributes, FileType, Sftp, SftpError, SftpStatus};
use crate::{checksum, remote_path};

/// Copies a directory's content to a host's directory, which is made if it is not there. Parks.
///
/// What is in the tree comes to be in `remote`, whether the paths end in `/` or not: `remote` becomes
/// the copy, and the local directory's own name is not used. `remote` may be a link to a directory;
/// an empty one is where the host's SFTP server begins.
///
/// Directories are made level by level, empty ones too, and then many files are copied at once,
/// each as [`put`](fn@crate::put) does: whole under its name, or not at all. What fails is reported
/// by its path, and the rest goes on. Names are bytes, whatever they are.
///
/// A file that changes after the walk is sent as it is when it is opened, and what is gone by then, or
/// is a link or no file any more, is a failure of its own; no link beneath the tree is followed.
///
/// What is on the host and not here stays, unless [`TreeOptions::delete`] says otherwise. A directory
/// without all of its owner's permissions gets them until all is in it, where permissions are kept.
pub fn put_tree(
    session: &Session,
    tree: &LocalTree,
    remote: &[u8],
    options: &TreeOptions,
    scope: &Scope,
) -> TreeReport {
    if options.stream == Stream::Tar {
        return crate::tar::put(session, tree, remote, options, scope);
    }
    let course = Course::new(scope);
    match Sftp::open(session, course.scope()) {
        Ok(sftp) => {
            let putting = Putting {
                session,
                sftp,
                tree,
                remote: if remote.is_empty() { b"." } else { remote },
                options,
                course: &course,
                places: Mutex::default(),
                budget: Budget::new(UNDER_WAY_BYTES / PERMITS as u64),
            };
            putting.run();
        }
        Err(error) => course.end(Error::from_sftp(error)),
    }
    course.into_report()
}

/// One copy under way.
struct Putting<'a> {
    session: &'a Session,
    sftp: Sftp,
    tree: &'a LocalTree,
    remote: &'a [u8],
    options: &'a TreeOptions,
    course: &'a Course,
    /// The host's directories that can be copied to, by their entry.
    places: Mutex<HashMap<usize, Place>>,
    budget: Budget,
}

/// A directory of the host; what is in it, where that counts and it was there before.
type Place = Option<Arc<Listing>>;

/// What a directory of the host holds: each name with what the host tells of it.
type Listing = HashMap<Vec<u8>, Attributes>;

impl Putting<'_> {
    fn run(&self) {
        self.tell_of_walk();
        let (mut levels, mut others) = (Vec::<Vec<usize>>::new(), Vec::new());
        for (index, entry) in self.tree.all().iter().enumerate() {
            match entry.kind {
                EntryKind::Directory => {
                    // The root is a level of its own.
                    let level = if index == 0 { 0 } else { entry.depth + 1 };
                    levels.resize_with(levels.len().max(level + 1), Vec::new);
                    levels[level].push(index);
                }
                _ => others.push(index),
            }
        }
        for level in &levels {
            self.each(level, |index, entry| self.directory(index, entry));
        }
        self.each(&others, |index, entry| self.entry(index, entry));
        let whole = self.course.note(|report| report.is_success());
        if self.options.delete == Delete::Yes && whole {
            self.delete();
        }
        if self.options.copy.preserve == Preserve::Yes && self.options.dry_run == DryRun::No {
            // From within: what is made in a directory changes its times.
            for level in levels.iter().rev() {
                self.each(level, |index, entry| self.dress(index, entry));
            }
        }
    }

    /// Reports what the walk found that cannot be copied.
    fn tell_of_walk(&self) {
        let depth_max = self.options.depth_max;
        for (path, error) in self.tree.failed() {
            self.course.fail(path, error);
        }
        for path in self.tree.too_deep() {
            self.course.fail(path, Error::TooDeep { depth_max });
        }
        self.course.note(|report| {
            for (path, why) in self.tree.skipped() {
                report.skip(path.clone(), *why);
            }
        });
    }

    /// Does something with each of these entries, many at once.
    fn each(&self, indices: &[usize], work: impl Fn(usize, &Entry) -> Result<(), Error> + Sync) {
        let next = AtomicUsize::new(0);
        let worker = || {
            while let Some(&index) = indices.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.course.scope().check().is_err() {
                    return self.course.end(self.course.stopped());
                }
                let entry = &self.tree.all()[index];
                if let Err(error) = work(index, entry) {
                    self.course.fail(&entry.path, error);
                }
            }
        };
        side_by_side(self.options.workers().min(indices.len()), &worker);
    }

    fn path(&self, path: &[u8]) -> Vec<u8> {
        match path {
            [] => self.remote.to_vec(),
            path => remote_path::join(self.remote, path),
        }
    }

    /// The directory that an entry goes to, if it could be made.
    fn place(&self, entry: &Entry) -> Option<Place> {
        self.places.lock().get(&entry.parent).cloned()
    }

    /// What the host has in an entry's place, as far as it was looked at.
    fn there(&self, entry: &Entry) -> Option<Attributes> {
        let listing = self.place(entry)??;
        listing.get(remote_path::name(&entry.path)).copied()
    }

    fn done(&self, entry: &Entry, action: Action, count: impl FnOnce(&mut TreeReport)) {
        self.course.note(|report| {
            count(report);
            if self.options.itemise == Itemise::Yes {
                report.change(&entry.path, action);
            }
        });
    }

    /// Makes a directory, or finds it there.
    fn directory(&self, index: usize, entry: &Entry) -> Result<(), Error> {
        if index != 0 && self.place(entry).is_none() {
            return Ok(());
        }
        let (path, scope) = (self.path(&entry.path), self.course.scope());
        let made = match self.options.dry_run {
            DryRun::Yes => Err(SftpError::Status(SftpStatus::FAILURE)),
            DryRun::No => self.make(&path, index, entry),
        };
        let made = match made {
            Ok(()) => true,
            Err(SftpError::Status(status)) => match self.sftp.stat(&path, scope) {
                Ok(there) if there.file_type() == FileType::Directory => {
                    self.make_ours(&path, &there);
                    false
                }
                Ok(_) => return Err(Error::Exists { path }),
                Err(SftpError::Status(SftpStatus::NO_SUCH_FILE))
                    if self.options.dry_run == DryRun::Yes =>
                {
                    true
                }
                _ => {
                    let error = SftpError::Status(status);
                    return Err(Error::remote(Operation::MakeDirectory, &path, error));
                }
            },
            Err(error) => return Err(Error::from_sftp(error)),
        };
        let place = if made {
            self.done(entry, Action::MakeDirectory, |report| {
                report.directories += 1
            });
            None
        } else if self.looks() {
            Some(Arc::new(self.swept(&path)?))
        } else {
            if self.options.copy.leftovers == Leftovers::Remove {
                // A directory that cannot be listed can be copied into all the same.
                let _ = self.swept(&path);
            }
            None
        };
        self.places.lock().insert(index, place);
        Ok(())
    }

    /// Lets the owner write to a directory that was there, until it is dressed.
    fn make_ours(&self, path: &[u8], there: &Attributes) {
        let mode = there.permissions().unwrap_or(0o700);
        let dresses = self.options.copy.preserve == Preserve::Yes;
        if dresses && self.options.dry_run == DryRun::No && mode & 0o700 != 0o700 {
            let attributes = Attributes {
                mode: Some(mode | 0o700),
                ..Attributes::default()
            };
            // Whose it is not may be allowed to write all the same.
            let _ = (self.sftp).set_stat(path, &attributes, self.course.scope());
        }
    }

    /// Lists a directory that was there, and removes what killed copies left in it.
    fn swept(&self, path: &[u8]) -> Result<Listing, Error> {
        let listing = self.list(path)?;
        if self.options.dry_run == DryRun::No {
            let swept = sweep::there(&self.sftp, path, &listing, self.course.scope());
            swept.map_err(Error::from_sftp)?;
        }
        Ok(listing)
    }

    /// Lists a directory that was there.
    fn list(&self, path: &[u8]) -> Result<Listing, Error> {
        let (entries_max, scope) = (self.options.entries_max, self.course.scope());
        let listed = remote_tree::list(&self.sftp, path, entries_max, scope);
        let listed = listed.map_err(|error| Error::remote(Operation::List, path, error))?;
        let listed = listed.ok_or_else(|| remote_tree::too_long(entries_max))?;
        Ok(listed
            .into_iter()
            .map(|entry| (entry.name, entry.attributes))
            .collect())
    }

    fn make(&self, path: &[u8], index: usize, entry: &Entry) -> Result<(), SftpError> {
        let permissions = match self.options.copy.preserve {
            // Ours to fill until it is dressed.
            Preserve::Yes => entry.permissions & 0o777 | 0o700,
            Preserve::No => DIRECTORY_PERMISSIONS,
        };
        let make = || {
            let scope = self.course.scope();
            self.sftp.make_directory(path, permissions, scope)
        };
        match make() {
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE))
                if index == 0 && self.options.copy.parents == Parents::Make =>
            {
                let parent = remote_path::parent(path);
                match make_directories(&self.sftp, parent, self.course.scope()) {
                    Ok(()) => make(),
                    Err(_) => Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)),
                }
            }
            other => other,
        }
    }

    /// Whether what the host has counts.
    fn looks(&self) -> bool {
        let options = self.options;
        options.unchanged != Unchanged::Copy
            || options.delete == Delete::Yes
            || options.dry_run == DryRun::Yes
    }

    /// Copies a file or a link.
    fn entry(&self, index: usize, entry: &Entry) -> Result<(), Error> {
        if self.place(entry).is_none() {
            return Ok(());
        }
        match &entry.kind {
            EntryKind::File { size } => self.file(index, entry, *size),
            EntryKind::Link { target } => self.link(entry, target),
            EntryKind::Directory => Ok(()),
        }
    }

    fn file(&self, index: usize, entry: &Entry, size: u64) -> Result<(), Error> {
        let scope = self.course.scope();
        let path = self.path(&entry.path);
        if let Some(there) = self.there(entry)
            && self.is_equal(index, entry, (&path, there))?
        {
            self.adjust(entry, &path, &there)?;
            self.course.note(|report| report.kept += 1);
            return Ok(());
        }
        if self.options.dry_run == DryRun::No {
            let under_way = self.budget.take(size, scope);
            let _under_way = under_way.map_err(|_| self.course.stopped())?;
            let source = self.tree.source(index)?;
            let (session, sftp) = (self.session, &self.sftp);
            let copied = put_over((session, sftp), &source, &path, &self.options.copy, scope)?;
            if copied.kept {
                self.course.note(|report| report.kept += 1);
                return Ok(());
            }
        }
        self.done(entry, Action::Copy, |report| {
            report.files += 1;
            report.bytes += size;
        });
        Ok(())
    }

    fn is_equal(
        &self,
        index: usize,
        entry: &Entry,
        (path, there): (&[u8], Attributes),
    ) -> Result<bool, Error> {
        let EntryKind::File { size } = entry.kind else {
            return Ok(false);
        };
        if there.file_type() != FileType::File || there.size != Some(size) {
            return Ok(false);
        }
        match self.options.unchanged {
            Unchanged::Copy => Ok(false),
            Unchanged::SizeAndTime => {
                let modified = there.times.map(|(_, modified)| modified);
                Ok(modified == Some(seconds(entry.times.1)))
            }
            Unchanged::Sha256 => {
                let ours = checksum::of_source(&self.tree.source(index)?, self.course.scope())?;
                let theirs = checksum::of_remote(self.session, path, self.course.scope())?;
                Ok(ours == theirs)
            }
        }
    }

    /// Gives an equal file the permissions and times that are to be kept, where they differ.
    fn adjust(&self, entry: &Entry, path: &[u8], there: &Attributes) -> Result<(), Error> {
        let permissions = self.options.copy.permissions.unwrap_or(entry.permissions);
        let times = (seconds(entry.times.0), seconds(entry.times.1));
        if self.options.copy.preserve == Preserve::No
            || there.permissions() == Some(permissions)
                && there.times.is_some_and(|told| told.1 == times.1)
        {
            return Ok(());
        }
        if self.options.dry_run == DryRun::No {
            let attributes = Attributes {
                mode: Some(permissions),
                times: Some(times),
                ..Attributes::default()
            };
            let set = self.sftp.set_stat(path, &attributes, self.course.scope());
            set.map_err(|error| Error::remote(Operation::SetStat, path, error))?;
        }
        self.done(entry, Action::Adjust, |report| report.adjusted += 1);
        Ok(())
    }

    fn link(&self, entry: &Entry, target: &[u8]) -> Result<(), Error> {
        if self.options.links == Links::Skip {
            self.course.skip(&entry.path, WhySkipped::Link);
            return Ok(());
        }
        if !stays_beneath(target, entry.depth) {
            self.course.skip(&entry.path, WhySkipped::LinkOutside);
            return Ok(());
        }
        let (path, scope) = (self.path(&entry.path), self.course.scope());
        let failed = |error| Error::remote(Operation::Link, &path, error);
        let there = self.there(entry);
        if there.is_some_and(|there| there.file_type() == FileType::Link)
            && self
                .sftp
                .read_link(&path, scope)
                .is_ok_and(|told| told == target)
        {
            self.course.note(|report| report.kept += 1);
            return Ok(());
        }
        if self.options.dry_run == DryRun::No {
            if self.options.copy.existing == Existing::Overwrite {
                let part = part::name_beside(&path);
                self.sftp.symlink(target, &part, scope).map_err(failed)?;
                if let Err(error) = self.sftp.rename_over(&part, &path, scope) {
                    let _ = self.sftp.remove(&part, scope);
                    return Err(failed(error));
                }
            } else if let Err(error) = self.sftp.symlink(target, &path, scope) {
                match self.sftp.lstat(&path, scope) {
                    Err(_) => return Err(failed(error)),
                    Ok(_) if self.options.copy.existing == Existing::Fail => {
                        return Err(Error::Exists { path });
                    }
                    Ok(_) => {
                        self.course.note(|report| report.kept += 1);
                        return Ok(());
                    }
                }
            }
        }
        self.done(entry, Action::Link, |report| report.links += 1);
        Ok(())
    }

    /// Deletes what only the host has.
    fn delete(&self) {
        let all = self.tree.all();
        let walked = all.iter().map(|entry| entry.path.as_slice());
        let skipped = self.tree.skipped().iter().map(|(path, _)| path.as_slice());
        let ours: HashSet<&[u8]> = walked.chain(skipped).collect();
        let places = self.places.lock().clone();
        let listings = places
            .into_iter()
            .filter_map(|(index, place)| Some((index, place?)));
        let mut extra: Vec<(Vec<u8>, Attributes)> = Vec::new();
        for (index, listing) in listings {
            let paths = listing
                .iter()
                .map(|(name, about)| (remote_path::join(&all[index].path, name), *about));
            extra.extend(paths.filter(|(path, _)| {
                !ours.contains(path.as_slice()) && !self.options.leaves_out(path)
            }));
        }
        let next = AtomicUsize::new(0);
        side_by_side(self.options.workers().min(extra.len()), &|| {
            while let Some((path, about)) = extra.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.delete_one(path, about) {
                    self.course.fail(path, error);
                }
            }
        });
    }

    fn delete_one(&self, path: &[u8], about: &Attributes) -> Result<(), Error> {
        let root = self.path(b"");
        let stays = |remote: &[u8]| {
            let beneath = remote.get(root.len()..).unwrap_or_default();
            let slashes = beneath.iter().take_while(|byte| **byte == b'/').count();
            self.options.leaves_out(&beneath[slashes..])
        };
        let deleting = Deleting {
            sftp: &self.sftp,
            entries_max: self.options.entries_max,
            stays: &stays,
            counted_only: self.options.dry_run == DryRun::Yes,
            scope: self.course.scope(),
        };
        let deleted = deleting.delete(&self.path(path), about)?;
        self.course.note(|report| {
            report.deleted += deleted;
            if deleted > 0 && self.options.itemise == Itemise::Yes {
                report.change(path, Action::Delete);
            }
        });
        Ok(())
    }

    /// Gives a directory the permissions and times of ours.
    fn dress(&self, index: usize, entry: &Entry) -> Result<(), Error> {
        if !self.places.lock().contains_key(&index) {
            return Ok(());
        }
        let attributes = Attributes {
            mode: Some(entry.permissions),
            times: Some((seconds(entry.times.0), seconds(entry.times.1))),
            ..Attributes::default()
        };
        let path = self.path(&entry.path);
        let set = self.sftp.set_stat(&path, &attributes, self.course.scope());
        set.map_err(|error| Error::remote(Operation::SetStat, &path, error))
    }
}

/// Bytes of all files that are under way to one host: what one large file alone has.
const UNDER_WAY_BYTES: u64 = 4 * 1024 * 1024;
