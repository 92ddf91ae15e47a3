//! Files of the two sides of a copy.

use std::fs;
use std::path::{Path, PathBuf};

use super::sshd::Sshd;

pub(crate) fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists the directory").flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A directory for the host's side and one for ours.
pub(crate) fn sides(sshd: &Sshd) -> [PathBuf; 2] {
    ["there", "here"].map(|name| {
        let dir = sshd.scratch().join(name);
        fs::create_dir(&dir).expect("makes a directory");
        dir
    })
}
