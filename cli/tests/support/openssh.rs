//! Real OpenSSH servers, as the root package's tests start them, and a home directory that knows them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::sshoal;

#[path = "../../../tests/support/account.rs"]
pub(crate) mod account;
#[path = "../../../tests/support/keys.rs"]
pub(crate) mod keys;
#[path = "../../../tests/support/process.rs"]
pub(crate) mod process;
#[path = "../../../tests/support/sleepers.rs"]
pub(crate) mod sleepers;
#[path = "../../../tests/support/sshd.rs"]
pub(crate) mod sshd;

use sshd::Sshd;

/// A user's home directory.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// Makes one with an empty `.ssh`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ssh = dir.path().join(".ssh");
        std::fs::create_dir(&ssh).unwrap();
        std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o700)).unwrap();
        Self { dir }
    }

    /// The path of a file in `.ssh`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(".ssh").join(name)
    }

    /// Writes a file in `.ssh` that nobody else may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Reads a file in `.ssh`, empty if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `sshoal run` at home, with a deadline for what hangs.
    pub(crate) fn run(&self) -> Command {
        let mut command = sshoal(self.dir.path());
        command.args(["run", "--deadline", "100"]);
        command
    }
}

/// The lines of an ssh_config section that lead to a server's first address, key and all.
pub(crate) fn section(host: &str, sshd: &Sshd) -> String {
    let (address, port, key) = (sshd.address(), sshd.port(), sshd.key_path());
    let key = key.display();
    format!("Host {host}\n  HostName {address}\n  Port {port}\n  IdentityFile {key}\n")
}
