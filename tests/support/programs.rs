//! Programs of a host's that stand in for the usual ones.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::sshd::Sshd;

/// A server whose users have this PATH, made of a directory for programs of the test's own.
#[track_caller]
pub(crate) fn with_programs(path: impl Fn(&Path) -> String) -> Option<(Sshd, PathBuf)> {
    let programs = tempfile::tempdir().expect("makes a directory").keep();
    let sshd = Sshd::builder()
        .log_level("INFO")
        .config(&format!("SetEnv SHLVL=5 PATH={}", path(&programs)))
        .start();
    if sshd.is_none() {
        fs::remove_dir_all(&programs).expect("removes the directory");
    }
    Some((sshd?, programs))
}

/// The test's own programs before the others.
pub(crate) fn before_others(dir: &Path) -> String {
    format!("{}:/usr/bin:/bin", dir.display())
}

/// Puts a program there.
pub(crate) fn program(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writes the program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets the mode");
}
