//! Writing beneath one directory of this machine and nowhere else (threats T6 to T8).
//!
//! Every directory is opened from the descriptor of the one it is in, by one name and through no
//! link; so what somebody else plants or swaps in between leads nowhere.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::name::is_one_name;
use super::options::DryRun;
use super::{open, prune};
use crate::get::sync;
use crate::options::{Existing, Parents};
use crate::part::{self, sweep};
use crate::remote_path;

/// A directory that is being filled.
#[derive(Debug)]
pub(crate) struct Dir {
    /// `None` where it is not there and nothing is made.
    file: Option<File>,
    /// Whether anything is made.
    dry_run: DryRun,
    pub(crate) parent: Option<Arc<Self>>,
    /// From the root on; empty for the root.
    pub(crate) path: Vec<u8>,
    /// How many directories it is beneath the root.
    pub(crate) depth: usize,
    /// What it is given when all is in it.
    pub(crate) dress: Dress,
}

/// Permissions, and when it was last read and changed, that a file or directory is to have.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dress {
    pub(crate) permissions: Option<u32>,
    pub(crate) times: Option<(u32, u32)>,
}

/// What has a name already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct There {
    pub(crate) is_file: bool,
    pub(crate) is_directory: bool,
    pub(crate) is_link: bool,
    pub(crate) size: u64,
    pub(crate) permissions: u32,
    pub(crate) modified: i64,
}

impl Dir {
    /// Opens the root, which is the caller's own path, or makes it; whether it was made.
    pub(crate) fn root(local: &Path, parents: Parents, dress: Dress) -> io::Result<(Self, bool)> {
        let made = make_root(local, parents)?;
        let dir = Self {
            file: Some(open_root(local)?),
            dry_run: DryRun::No,
            parent: None,
            path: Vec::new(),
            depth: 0,
            dress,
        };
        dir.make_ours(made)?;
        Ok((dir, made))
    }

    /// Opens the root of what is only looked at; whether it would be made. Of this directory and all
    /// in it nothing is made or changed.
    pub(crate) fn dry_root(local: &Path, parents: Parents) -> io::Result<(Self, bool)> {
        let is_there = is_there(local, parents)?;
        let dir = Self {
            file: is_there.then(|| open_root(local)).transpose()?,
            dry_run: DryRun::Yes,
            parent: None,
            path: Vec::new(),
            depth: 0,
            dress: Dress::default(),
        };
        Ok((dir, !is_there))
    }

    /// Removes what killed copies left in it.
    pub(crate) fn sweep(&self) {
        if let (Some(file), DryRun::No) = (&self.file, self.dry_run) {
            sweep::here(file.as_fd());
        }
    }

    /// Opens a directory in this one, or makes it; whether it was made, or would be.
    pub(crate) fn child(
        self: &Arc<Self>,
        name: &[u8],
        dress: impl FnOnce(bool) -> Dress,
    ) -> io::Result<(Self, bool)> {
        let dry_run = self.dry_run;
        let place = one(name)?;
        let (file, made) = match &self.file {
            None => (None, true),
            Some(_) if dry_run == DryRun::Yes && self.look(name)?.is_none() => (None, true),
            Some(file) => {
                // Nobody else looks into it before it is dressed.
                let made = dry_run == DryRun::No && make(file, place)?;
                (Some(open::directory(file.as_fd(), name)?), made)
            }
        };
        let dir = Self {
            file,
            dry_run,
            parent: Some(Arc::clone(self)),
            path: remote_path::join(&self.path, name),
            depth: self.depth + 1,
            dress: match dry_run {
                DryRun::No => dress(made),
                DryRun::Yes => Dress::default(),
            },
        };
        dir.make_ours(made)?;
        Ok((dir, made))
    }

    /// Has the owner write to a directory that was there, until it is dressed.
    fn make_ours(&self, made: bool) -> io::Result<()> {
        match &self.file {
            Some(file) if !made && self.dress.permissions.is_some() => prune::make_ours(file),
            _ => Ok(()),
        }
    }

    /// The directory itself, where it is there.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        let file = self.file.as_ref().ok_or(ErrorKind::NotFound)?;
        Ok(file.as_fd())
    }

    /// Looks at what has a name, and through no link.
    pub(crate) fn look(&self, name: &[u8]) -> io::Result<Option<There>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let about = match rustix::fs::statat(file, one(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => about,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let file_type = rustix::fs::FileType::from_raw_mode(about.st_mode);
        Ok(Some(There {
            is_file: file_type.is_file(),
            is_directory: file_type.is_dir(),
            is_link: file_type.is_symlink(),
            permissions: open::permissions(&about),
            size: u64::try_from(about.st_size).unwrap_or_default(),
            modified: about.st_mtime,
        }))
    }

    /// Opens a plain file, and follows no link.
    pub(crate) fn open(&self, name: &[u8]) -> io::Result<File> {
        open::file(self.fd()?, name)
    }

    /// What the link of a name says.
    pub(crate) fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.fd()?, one(name)?, Vec::new())?;
        Ok(target.into_bytes())
    }

    /// Makes a symbolic link, over one that is there or not.
    pub(crate) fn link(&self, target: &[u8], name: &[u8], existing: Existing) -> io::Result<()> {
        let (place, target, dir) = (one(name)?, OsStr::from_bytes(target), self.fd()?);
        if existing != Existing::Overwrite {
            return Ok(rustix::fs::symlinkat(target, dir, place)?);
        }
        let part = part::name_beside(name);
        let part = OsStr::from_bytes(&part);
        rustix::fs::symlinkat(target, dir, part)?;
        let named = rustix::fs::renameat(dir, part, dir, place);
        if named.is_err() {
            let _ = rustix::fs::unlinkat(dir, part, AtFlags::empty());
        }
        Ok(named?)
    }

    /// Gives the directory its permissions and times, when all is in it.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| self.dress.put_on(file))
    }

    /// The path of a name in it, to be told to people.
    pub(crate) fn shown(root: &Path, path: &[u8]) -> PathBuf {
        root.join(OsStr::from_bytes(path))
    }
}

impl Drop for Dir {
    /// Goes up in a loop: as a drop within a drop, a deep directory would take all of a small stack.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut dir) = parent.and_then(Arc::into_inner) {
            parent = dir.parent.take();
        }
    }
}

impl Dress {
    pub(crate) fn put_on(self, file: &File) -> io::Result<()> {
        if let Some(permissions) = self.permissions {
            file.set_permissions(Permissions::from_mode(permissions))?;
        }
        let Some((accessed, modified)) = self.times else {
            return Ok(());
        };
        let time = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        let times = FileTimes::new().set_accessed(time(accessed));
        file.set_times(times.set_modified(time(modified)))
    }
}

/// A file on its way into a directory, under a name of its own; dropped, it goes.
#[derive(Debug)]
pub(crate) struct Part {
    dir: Arc<Dir>,
    name: Vec<u8>,
    file: File,
    named: bool,
}

impl Part {
    /// Makes it beside its target, for its owner alone.
    pub(crate) fn new(dir: &Arc<Dir>, target: &[u8]) -> io::Result<Self> {
        one(target)?;
        let name = part::name_beside(target);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = OsStr::from_bytes(&name);
        let fd = rustix::fs::openat(dir.fd()?, place, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self {
            dir: Arc::clone(dir),
            name,
            file: File::from(fd),
            named: false,
        })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it permissions and times, has it written to the disk and gives it its name. Blocks.
    pub(crate) fn store(
        mut self,
        target: &[u8],
        dress: Dress,
        existing: Existing,
    ) -> io::Result<()> {
        dress.put_on(&self.file)?;
        sync(&self.file)?;
        let (from, to) = (OsStr::from_bytes(&self.name), one(target)?);
        let dir = self.dir.fd()?;
        if existing == Existing::Overwrite {
            rustix::fs::renameat(dir, from, dir, to)?;
        } else {
            rename_anew(dir, from, to)?;
        }
        self.named = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named {
            let place = OsStr::from_bytes(&self.name);
            if let Some(dir) = self.dir.file() {
                let _ = rustix::fs::unlinkat(dir, place, AtFlags::empty());
            }
        }
    }
}

/// Renames to a name that nothing has.
fn rename_anew(dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    match rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {}
        other => return Ok(other?),
    }
    // File systems that cannot: a second name, which fails where there is one, in place of the first.
    rustix::fs::linkat(dir, from, dir, to, AtFlags::empty())?;
    Ok(rustix::fs::unlinkat(dir, from, AtFlags::empty())?)
}

/// A name as the system takes it, if it is one.
fn one(name: &[u8]) -> io::Result<&OsStr> {
    match is_one_name(name) {
        true => Ok(OsStr::from_bytes(name)),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Makes a directory; whether it was not there.
fn make(dir: &File, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes the root; whether it was not there.
fn make_root(local: &Path, parents: Parents) -> io::Result<bool> {
    match fs::create_dir(local) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound && parents == Parents::Make => {
            fs::create_dir_all(local)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn open_root(local: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(local, flags, Mode::empty())?))
}

/// Whether the root is there; an error if it could not be made either.
fn is_there(local: &Path, parents: Parents) -> io::Result<bool> {
    match fs::metadata(local) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if parents == Parents::Make => Ok(false),
        Err(_) => {
            let parent = local.parent().filter(|path| !path.as_os_str().is_empty());
            fs::metadata(parent.unwrap_or(Path::new("."))).map(|_| false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn root(path: &Path) -> Arc<Dir> {
        let root = Dir::root(path, Parents::Make, Dress::default());
        Arc::new(root.expect("opens the root").0)
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let scratch = tempfile::tempdir().expect("makes a folder");
        let (inside, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        fs::create_dir(&outside).expect("makes a folder");
        fs::write(outside.join("file"), "theirs").expect("writes");
        let root = root(&inside);
        std::os::unix::fs::symlink(&outside, inside.join("dir")).expect("links");
        std::os::unix::fs::symlink(outside.join("file"), inside.join("file")).expect("links");
        assert!(root.child(b"dir", |_| Dress::default()).is_err());
        for name in [&b"../out/file"[..], b"..", b"dir/file", b"/tmp/x", b""] {
            assert!(Part::new(&root, name).is_err());
            assert!(root.child(name, |_| Dress::default()).is_err());
            assert!(root.link(b"x", name, Existing::Overwrite).is_err());
        }
        // The link is replaced, and what it leads to stays.
        let mut part = Part::new(&root, b"file").expect("makes a part");
        part.file().write_all(b"mine").expect("writes");
        let stored = part.store(b"file", Dress::default(), Existing::Overwrite);
        stored.expect("stores");
        assert_eq!(fs::read(inside.join("file")).expect("reads"), b"mine");
        assert_eq!(fs::read(outside.join("file")).expect("reads"), b"theirs");
    }

    #[test]
    fn a_part_that_is_dropped_goes_and_an_existing_name_stays() {
        let scratch = tempfile::tempdir().expect("makes a folder");
        let root = root(scratch.path());
        drop(Part::new(&root, b"file").expect("makes a part"));
        assert_eq!(fs::read_dir(scratch.path()).expect("lists").count(), 0);
        fs::write(scratch.path().join("file"), "theirs").expect("writes");
        let part = Part::new(&root, b"file").expect("makes a part");
        let stored = part.store(b"file", Dress::default(), Existing::Fail);
        assert_eq!(stored.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(scratch.path()).expect("lists").count(), 1);
    }
}
