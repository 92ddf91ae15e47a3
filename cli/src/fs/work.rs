//! One verb done on one host: a program over its open session.

use std::time::Duration;

use sshoal::transfer::sftp::FileType;
use sshoal::transfer::{Error, LineChange, Owner, RemoteFs, SudoFs};
use sshoal::{Reached, Sudo};

use super::files::Files;
use super::text::{Form, facts, room, shown};
use super::verb::{Owners, Verb};

/// What all hosts do.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) verb: Verb,
    pub(super) sudo: Option<Sudo>,
    /// For a host's work.
    pub(super) limit: Option<Duration>,
    /// Nothing is changed.
    pub(super) dry_run: bool,
}

/// What a host did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What is shown of it.
    pub(super) output: Vec<u8>,
    /// Whether there was a difference that was asked for.
    pub(super) differs: bool,
    /// Whether the answer is no.
    pub(super) denies: bool,
    /// Why it did not go on.
    pub(super) failed: Option<Error>,
    /// Whether the run's end was the reason.
    pub(super) stopped: bool,
}

impl Work {
    /// Does it on a host. Parks.
    pub(super) fn of(&self, host: &Reached<'_>) -> Done {
        let scope = host.scope().child(self.limit);
        let files = match &self.sudo {
            Some(sudo) => Ok(Files::Sudo(SudoFs::new(
                host.session(),
                sudo.clone(),
                &scope,
            ))),
            None => RemoteFs::open(host.session(), &scope).map(Files::Sftp),
        };
        let mut done = Done::default();
        let end = files.and_then(|files| self.act(&files, &mut done));
        done.failed = end.err();
        done.stopped = done.failed.is_some() && host.scope().check().is_err();
        done
    }

    fn act(&self, files: &Files<'_>, done: &mut Done) -> Result<(), Error> {
        match &self.verb {
            Verb::Read { path, bytes_max } => done.output = files.read(path, *bytes_max)?,
            Verb::Stat {
                paths,
                follow,
                form,
            } => stat(files, (paths, *follow), *form, done)?,
            Verb::Exists(path) => {
                done.denies = !files.exists(path)?;
                let answer: &[u8] = if done.denies { b"no\n" } else { b"yes\n" };
                done.output.extend_from_slice(answer);
            }
            Verb::List(path, form) => {
                for entry in files.list(path)? {
                    form.write(&entry.name, Some(&entry.attributes), &mut done.output);
                }
            }
            Verb::Walk(path, most, form) => {
                for found in files.walk(path, *most)? {
                    form.write(&found.path, Some(&found.attributes), &mut done.output);
                }
            }
            Verb::Glob(patterns, form) => {
                for pattern in patterns {
                    for path in files.glob(pattern)? {
                        form.write(&path, None, &mut done.output);
                    }
                }
            }
            Verb::Room(path) => {
                let told = room(&files.stat_file_system(path)?);
                done.say(&format!("{told} {}", shown(path)));
            }
            _ => self.change(files, done)?,
        }
        Ok(())
    }

    /// The verbs that change something.
    fn change(&self, files: &Files<'_>, done: &mut Done) -> Result<(), Error> {
        match &self.verb {
            Verb::Write {
                path,
                bytes,
                options,
                diff,
            } => {
                let shown = match *diff || self.dry_run {
                    true => Some(files.write_preview(path, bytes, options)?),
                    false => None,
                };
                let changed = match (self.dry_run, &shown) {
                    (true, Some(shown)) => shown.changed,
                    _ => files.write(path, bytes, options)?,
                };
                self.edited((path, *diff, changed), shown, done);
            }
            Verb::Line { path, edit, diff } => {
                let change = match self.dry_run {
                    true => files.line_in_file_preview(path, edit)?,
                    false => files.line_in_file(path, edit)?,
                };
                self.edited((path, *diff, change.changed), Some(change), done);
            }
            Verb::Append { path, bytes } => {
                if !self.dry_run {
                    files.append(path, bytes)?;
                }
                self.tell(done, path, !bytes.is_empty());
            }
            Verb::Truncate(path, bytes) => {
                let other = files.stat(path)?.size != Some(*bytes);
                if other && !self.dry_run {
                    files.truncate(path, *bytes)?;
                }
                self.tell(done, path, other);
            }
            Verb::Chmod(mode, paths) => {
                for path in paths {
                    let other = files.stat(path)?.permissions() != Some(*mode);
                    if other && !self.dry_run {
                        files.chmod(path, *mode)?;
                    }
                    self.tell(done, path, other);
                }
            }
            Verb::Chown(owner, paths) => {
                for path in paths {
                    let changed = self.own(files, path, owner)?;
                    self.tell(done, path, changed);
                }
            }
            _ => self.rename(files, done)?,
        }
        Ok(())
    }

    /// The verbs that change names.
    fn rename(&self, files: &Files<'_>, done: &mut Done) -> Result<(), Error> {
        match &self.verb {
            Verb::MakeDirectories { paths, .. } => {
                for path in paths {
                    let made = self.make(files, path)?;
                    self.tell(done, path, made);
                }
            }
            Verb::Remove { paths, recursive } => {
                for path in paths {
                    let gone = self.remove(files, path, *recursive)?;
                    self.tell(done, path, gone);
                }
            }
            Verb::Rename(from, to) => {
                if files.standing(from)?.is_none() {
                    // Who says so is the host.
                    files.lstat(from)?;
                }
                let there = files.standing(to)?.map(|there| there.file_type());
                if there == Some(FileType::Directory) {
                    return Err(Error::Exists { path: to.clone() });
                }
                if !self.dry_run {
                    files.rename(from, to)?;
                }
                self.tell(done, to, true);
            }
            Verb::Link {
                target,
                path,
                symbolic,
            } => {
                let made = self.link(files, (target, path), *symbolic)?;
                self.tell(done, path, made);
            }
            _ => {}
        }
        Ok(())
    }

    fn make(&self, files: &Files<'_>, path: &[u8]) -> Result<bool, Error> {
        let Verb::MakeDirectories {
            parents,
            mode,
            owner,
            ..
        } = &self.verb
        else {
            return Ok(false);
        };
        let there = match files.stat(path) {
            Ok(there) => Some(there),
            Err(error) if error.is_not_there() => None,
            Err(error) => return Err(error),
        };
        let is_directory = |there: FileType| there == FileType::Directory && *parents;
        if let Some(there) = &there
            && !is_directory(there.file_type())
        {
            return Err(Error::Exists {
                path: path.to_vec(),
            });
        }
        let other_mode = mode
            .is_some_and(|mode| there.as_ref().and_then(|there| there.permissions()) != Some(mode));
        let mut changed = there.is_none() || other_mode;
        if self.dry_run {
            let owned = there.and_then(|there| there.owner);
            return Ok(changed || owner.may_differ(owned));
        }
        match parents {
            true => changed |= files.make_directories(path, *mode)?,
            false => {
                files.make_directory(path)?;
                if let Some(mode) = mode {
                    files.chmod(path, *mode)?;
                }
            }
        }
        if owner.is_some() {
            changed |= self.own(files, path, owner)?;
        }
        Ok(changed)
    }

    fn remove(&self, files: &Files<'_>, path: &[u8], recursive: bool) -> Result<bool, Error> {
        let Some(there) = files.standing(path)? else {
            return Ok(false);
        };
        if there.file_type() == FileType::Directory && !recursive {
            return Err(Error::IsDirectory {
                remote: path.to_vec(),
            });
        }
        match (self.dry_run, recursive) {
            (true, _) => Ok(true),
            (false, true) => files.remove_all(path),
            (false, false) => files.remove(path),
        }
    }

    fn link(
        &self,
        files: &Files<'_>,
        (target, path): (&[u8], &[u8]),
        symbolic: bool,
    ) -> Result<bool, Error> {
        if !self.dry_run && symbolic {
            return files.symlink(target, path);
        }
        if !self.dry_run {
            return files.hard_link(target, path).map(|()| true);
        }
        match files.standing(path)?.map(|there| there.file_type()) {
            None if symbolic => Ok(true),
            None => files.lstat(target).map(|_| true),
            Some(FileType::Link) if symbolic => Ok(files.read_link(path)? != target),
            Some(_) => Err(Error::Exists {
                path: path.to_vec(),
            }),
        }
    }

    /// Sets an owner; returns whether it was another.
    fn own(&self, files: &Files<'_>, path: &[u8], owner: &Owners) -> Result<bool, Error> {
        let before = files.stat(path)?.owner;
        if self.dry_run || !owner.may_differ(before) {
            return Ok(owner.may_differ(before));
        }
        files.chown(path, owner.user.as_ref(), owner.group.as_ref())?;
        Ok(files.stat(path)?.owner != before)
    }

    /// Tells what became of a file's bytes, by their difference where that is wanted.
    fn edited(
        &self,
        (path, diff, changed): (&[u8], bool, bool),
        shown: Option<LineChange>,
        done: &mut Done,
    ) {
        let shown = shown.filter(|_| diff).map(|shown| shown.diff);
        done.differs = diff && changed;
        match shown {
            Some(text) if !text.is_empty() => done.output.extend_from_slice(text.as_bytes()),
            _ => self.tell(done, path, changed),
        }
    }

    /// Says what was done to a path, or would be.
    fn tell(&self, done: &mut Done, path: &[u8], changed: bool) {
        let (did, would) = match &self.verb {
            Verb::Write { .. } => ("wrote", "would write"),
            Verb::Append { .. } => ("appended to", "would append to"),
            Verb::MakeDirectories { .. } => ("made", "would make"),
            Verb::Remove { .. } => ("removed", "would remove"),
            Verb::Rename(..) => ("renamed to", "would rename to"),
            Verb::Link { .. } => ("linked", "would link"),
            _ => ("changed", "would change"),
        };
        let word = match (changed, self.dry_run) {
            (false, _) => "unchanged",
            (true, false) => did,
            (true, true) => would,
        };
        done.say(&format!("{word} {}", shown(path)));
    }
}

impl Done {
    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.push(b'\n');
    }
}

impl Owners {
    fn is_some(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    /// Whether they may be other than these; what a name stands for only the host knows.
    fn may_differ(&self, before: Option<(u32, u32)>) -> bool {
        let other = |owner: &Option<Owner>, own: Option<u32>| match owner {
            None => false,
            Some(Owner::Id(id)) => own != Some(*id),
            Some(Owner::Name(_)) => true,
        };
        other(&self.user, before.map(|(user, _)| user))
            || other(&self.group, before.map(|(_, group)| group))
    }
}

fn stat(
    files: &Files<'_>,
    (paths, follow): (&[Vec<u8>], bool),
    form: Form,
    done: &mut Done,
) -> Result<(), Error> {
    for path in paths {
        let about = match follow {
            true => files.stat(path)?,
            false => files.lstat(path)?,
        };
        let mut line = format!("{} {}", facts(&about, form.times), shown(path));
        if about.file_type() == FileType::Link {
            line.push_str(&format!(" -> {}", shown(&files.read_link(path)?)));
        }
        done.say(&line);
    }
    Ok(())
}
