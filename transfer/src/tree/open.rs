//! Opening what is beneath a directory of this machine, and through no link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::name::is_one_name;

/// Opens a directory at a path of names beneath another; that itself for the empty path.
pub(crate) fn directory(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY.union(OFlags::DIRECTORY);
    match path {
        [] => Ok(File::from(root.try_clone_to_owned()?)),
        path => Ok(File::from(open(root, path, flags)?)),
    }
}

/// Opens a plain file at a path of names beneath a directory, to be read. What is none is refused,
/// and a pipe holds nobody up.
pub(crate) fn file(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    let file = File::from(open(root, path, flags)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "is not a plain file",
        ));
    }
    Ok(file)
}

fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    if !path.split(|byte| *byte == b'/').all(is_one_name) {
        return Err(ErrorKind::InvalidInput.into());
    }
    let flags = flags.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    #[cfg(target_os = "linux")]
    if path.len() < PATH_BYTES_MAX {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let name = OsStr::from_bytes(path);
        match rustix::fs::openat2(root, name, flags, Mode::empty(), resolve) {
            // A kernel before 5.6, or a sandbox that knows it not.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return Ok(other?),
        }
    }
    Ok(name_by_name(root, path, flags)?)
}

/// Opens each directory from the one it is in: for systems without `openat2`, and for paths that are
/// longer than the system takes at once.
fn name_by_name(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = path.split(|byte| *byte == b'/');
    let last = names.next_back().unwrap_or_default();
    let mut within: Option<OwnedFd> = None;
    let directory = OFlags::RDONLY
        .union(OFlags::DIRECTORY)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);
    for name in names {
        let from = within.as_ref().map_or(root, AsFd::as_fd);
        let name = OsStr::from_bytes(name);
        within = Some(rustix::fs::openat(from, name, directory, Mode::empty())?);
    }
    let from = within.as_ref().map_or(root, AsFd::as_fd);
    rustix::fs::openat(from, OsStr::from_bytes(last), flags, Mode::empty())
}

/// The names in a directory, but `.` and `..`, in no order; no more than so many.
pub(crate) fn names(dir: &File, names_max: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        if names.len() >= names_max {
            break;
        }
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// The permission bits of what was looked at, id bits included.
#[allow(
    clippy::useless_conversion,
    reason = "some systems have them in 16 bits"
)]
pub(crate) fn permissions(about: &Stat) -> u32 {
    u32::from(about.st_mode) & 0o7777
}

/// Longer paths are opened name by name: systems end them at 4,096 bytes.
#[cfg(target_os = "linux")]
const PATH_BYTES_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Both ways to open refuse what is a link, at the end of the path or within it.
    #[test]
    fn no_link_is_gone_through() {
        let scratch = tempfile::tempdir().expect("makes a folder");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("in/dir")).expect("makes folders");
        fs::write(at("in/dir/file"), "mine").expect("writes");
        fs::write(at("secret"), "theirs").expect("writes");
        symlink(at("secret"), at("in/link")).expect("links");
        symlink("dir", at("in/way")).expect("links");
        let root = File::open(at("in")).expect("opens");
        let long = [b"dir/".repeat(2000), b"file".to_vec()].concat();
        for (path, expected) in [
            (&b"dir/file"[..], true),
            (b"link", false),
            (b"way/file", false),
            (b"../secret", false),
            (b"/etc/passwd", false),
            (b"dir", false),
            (b"", false),
            (&long, false),
        ] {
            let shown = path.escape_ascii();
            assert_eq!(file(root.as_fd(), path).is_ok(), expected, "{shown}");
            if path.split(|byte| *byte == b'/').all(is_one_name) && path != b"dir" {
                let flags = OFlags::RDONLY.union(OFlags::NOFOLLOW);
                let opened = name_by_name(root.as_fd(), path, flags);
                assert_eq!(opened.is_ok(), expected, "{shown}");
            }
        }
        assert!(directory(root.as_fd(), b"dir").is_ok());
        assert!(directory(root.as_fd(), b"way").is_err());
        let own = directory(root.as_fd(), b"").expect("is the root");
        let mut found = names(&own, 9).expect("lists");
        found.sort();
        assert_eq!(found, [&b"dir"[..], b"link", b"way"]);
    }
}
