//! Deleting beneath one directory of this machine, and never through a link.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::name::is_one_name;
use super::open;
use super::options::{DryRun, TreeOptions};
use crate::remote_path;

/// A directory that is being emptied; it is held open, so that it is what it was when it was found.
struct Level {
    dir: File,
    name: Vec<u8>,
    path: Vec<u8>,
    /// What is still in it.
    names: Vec<Vec<u8>>,
    /// Whether something in it stays, and so it does.
    stays: bool,
}

/// Deletes what has a name in a directory, with all that is in it; `path` is from the root on. What
/// the options exclude stays, and the directories that it is in. Returns how much was deleted, or
/// would be. Blocks.
pub(crate) fn delete(
    dir: &File,
    path: &[u8],
    name: &[u8],
    options: &TreeOptions,
) -> io::Result<u64> {
    let (mut deleted, dry) = (0, options.dry_run == DryRun::Yes);
    let first = Level {
        dir: dir.try_clone()?,
        name: Vec::new(),
        path: path.to_vec(),
        names: vec![name.to_vec()],
        stays: false,
    };
    // The first is not ours to delete: with it alone all is done.
    let mut levels = vec![first];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.names.pop() {
            let path = remote_path::join(&level.path, &name);
            if options.leaves_out(&path) {
                level.stays = true;
                continue;
            }
            match enter(&level.dir, name, path, dry)? {
                Some(Found::Directory(within)) => levels.push(within),
                Some(Found::Deleted) => deleted += 1,
                None => {}
            }
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let Some(above) = levels.last_mut() else {
            break;
        };
        if done.stays {
            above.stays = true;
        } else if dry || unlink(&above.dir, &done.name, AtFlags::REMOVEDIR)? {
            deleted += 1;
        }
    }
    Ok(deleted)
}

enum Found {
    Directory(Level),
    Deleted,
}

/// Deletes what is no directory, or opens what is one; `None` if nothing is there.
fn enter(dir: &File, name: Vec<u8>, path: Vec<u8>, dry: bool) -> io::Result<Option<Found>> {
    let place = OsStr::from_bytes(&name);
    if !is_one_name(&name) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let about = match rustix::fs::statat(dir, place, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => about,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !FileType::from_raw_mode(about.st_mode).is_dir() {
        let gone = dry || unlink(dir, &name, AtFlags::empty())?;
        return Ok(gone.then_some(Found::Deleted));
    }
    let within = open::directory(dir.as_fd(), &name)?;
    if !dry {
        make_ours(&within)?;
    }
    let names = open::names(&within, usize::MAX)?;
    Ok(Some(Found::Directory(Level {
        dir: within,
        name,
        path,
        names,
        stays: false,
    })))
}

/// Lets the owner write to a directory, who may not by its permissions.
pub(crate) fn make_ours(dir: &File) -> io::Result<()> {
    let mode = dir.metadata()?.permissions().mode() & 0o7777;
    if mode & 0o700 != 0o700 {
        // Whose it is not may be allowed to all the same.
        let _ = dir.set_permissions(Permissions::from_mode(mode | 0o700));
    }
    Ok(())
}

/// Returns whether there was something.
fn unlink(dir: &File, name: &[u8], flags: AtFlags) -> io::Result<bool> {
    match rustix::fs::unlinkat(dir, OsStr::from_bytes(name), flags) {
        Ok(()) => Ok(true),
        // Somebody else was there first.
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_deleted_is_beneath_and_what_is_excluded_stays() {
        let scratch = tempfile::tempdir().expect("makes a folder");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("in/gone/deep/deeper")).expect("makes folders");
        fs::create_dir_all(at("in/half/kept")).expect("makes folders");
        fs::create_dir_all(at("out/dir")).expect("makes folders");
        for file in [
            "in/gone/deep/file",
            "in/half/a",
            "in/half/kept/b.o",
            "out/dir/file",
        ] {
            fs::write(at(file), "x").expect("writes");
        }
        symlink(at("out"), at("in/gone/link")).expect("links");
        symlink(at("out/dir"), at("in/way")).expect("links");
        fs::set_permissions(at("in/gone/deep"), Permissions::from_mode(0o500)).expect("sets");
        let root = File::open(at("in")).expect("opens");
        let options = TreeOptions::new().exclude("*.o");
        let dry = options.clone().dry_run(DryRun::Yes);
        for (name, expected) in [("gone", 5), ("half", 1), ("way", 1), ("none", 0)] {
            let told = delete(&root, b"", name.as_bytes(), &dry).expect("looks");
            assert_eq!(told, expected, "{name} would be");
            let gone = delete(&root, b"", name.as_bytes(), &options).expect("deletes");
            assert_eq!(gone, expected, "{name}");
        }
        assert!(at("in/half/kept/b.o").exists() && !at("in/half/a").exists());
        assert!(!at("in/gone").exists() && !at("in/way").is_symlink());
        assert!(at("out/dir/file").exists());
        for name in [&b".."[..], b"../out", b"/etc", b"half/kept", b""] {
            assert!(delete(&root, b"", name, &options).is_err());
        }
        assert!(at("out/dir/file").exists());
    }
}
