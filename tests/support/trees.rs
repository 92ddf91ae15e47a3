//! Directories with all sorts of names for tests, and what stands in a directory, to be compared.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use super::sessions::random_bytes;

/// What stands in a directory: by path, what it is, its permissions, when it was changed, in seconds, and the SHA-256 of
/// its content.
pub(crate) type Snapshot = BTreeMap<PathBuf, (char, u32, i64, [u8; 32])>;

/// Looks at all that is in a directory, and follows no link.
pub(crate) fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("lists a directory") {
            let path = entry.expect("is listed").path();
            let about = fs::symlink_metadata(&path).expect("is there");
            let mut hasher = Sha256::new();
            let kind = if about.is_dir() {
                todo.push(path.clone());
                'd'
            } else if about.is_symlink() {
                let target = fs::read_link(&path).expect("reads a link");
                hasher.update(target.as_os_str().as_bytes());
                'l'
            } else if about.is_file() {
                hasher.update(fs::read(&path).expect("reads a file"));
                'f'
            } else {
                'o'
            };
            // A link has no time that anybody would keep.
            let modified = if kind == 'l' { 0 } else { about.mtime() };
            let known = (
                kind,
                about.mode() & 0o7777,
                modified,
                hasher.finalize().into(),
            );
            let path = path.strip_prefix(root).expect("is in it").to_path_buf();
            found.insert(path, known);
        }
    }
    found
}

/// Fills a directory with so many small files, one of `large` bytes, and every sort of name.
pub(crate) fn plant(root: &Path, files: usize, large: usize) {
    let make = |path: &Path| fs::create_dir_all(path).expect("makes a directory");
    let write = |path: PathBuf, bytes: Vec<u8>| fs::write(path, bytes).expect("writes a file");
    for number in 0..files {
        let dir = root.join(format!("dir {}", number / 100));
        make(&dir);
        let size = [0, 1, 700, 5_000, 40_000][number % 5];
        write(
            dir.join(number.to_string()),
            random_bytes(size, number as u64),
        );
    }
    make(root);
    write(root.join("large"), random_bytes(large, 7));
    for name in [
        &b"two  spaces "[..],
        b"new\nline",
        b"\xff\xfe\x80",
        b"-rf",
        b"'\"`$HOME;*?",
        b"\x1b[31m",
        b"...",
        b"~",
        b"%2e%2e",
        &[b'x'; 255],
    ] {
        write(root.join(OsStr::from_bytes(name)), name.to_vec());
        let dir = root.join("odd").join(OsStr::from_bytes(name));
        make(&dir);
        write(dir.join("in it"), name.to_vec());
    }
    make(&root.join("empty/emptier"));
    let deep: PathBuf = (0..40).map(|level| format!("level {level}")).collect();
    make(&root.join(&deep));
    write(root.join(deep).join("deep"), b"down here".to_vec());
    shut(root);
    symlink("large", root.join("link")).expect("links");
    symlink("../large", root.join("empty/up")).expect("links");
    symlink("nowhere", root.join("dangling")).expect("links");
    let script = root.join("script");
    write(script.clone(), b"#!/bin/sh\n".to_vec());
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).expect("sets");
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o711)).expect("sets");
    age(root);
}

/// Files and directories that may not be written to, and files that nobody but root may open, where root runs the tests.
fn shut(root: &Path) {
    let dir = root.join("shut");
    fs::create_dir_all(dir.join("shut too")).expect("makes a directory");
    for (name, mode) in [
        ("read", 0o444),
        ("nothing", 0),
        ("run", 0o111),
        ("shut too/in it", 0o400),
    ] {
        if mode & 0o400 == 0 && !rustix::process::geteuid().is_root() {
            continue;
        }
        fs::write(dir.join(name), name).expect("writes a file");
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("sets");
    }
    for (name, mode) in [("shut too", 0o500), ("", 0o555)] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("sets");
    }
}

/// Gives all files and directories times in the past, each its own, from within outwards.
pub(crate) fn age(root: &Path) {
    for (number, path) in snapshot(root).into_keys().rev().enumerate() {
        let path = root.join(path);
        if path.is_symlink() {
            continue;
        }
        let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + 60 * number as u64);
        let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
        fs::File::open(&path)
            .and_then(|file| file.set_times(times))
            .expect("sets times");
    }
}
