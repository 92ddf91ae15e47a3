//! Keys made by ssh-keygen.

use std::{path::Path, process::Command};

/// Writes a key pair without passphrase to `path` and `path.pub`.
pub(crate) fn generate_key(path: &Path, kind: &str) {
    keygen(path, kind, "");
}

/// Writes a key pair to `path` and `path.pub`, encrypted if the passphrase is not empty.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let output = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "sshoal test",
            "-f",
        ])
        .arg(path)
        .output()
        .expect("ssh-keygen runs: it comes with the package `openssh-client`");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen -t {kind}: {error}");
}
