//! An account with a password that one sshd has to itself, with its own rules of PAM: the machine's files stay as they
//! are, because the server sees others in their place, in a mount namespace of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// An account that one server has to itself.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    password: String,
    pam: String,
}

/// The account of [`super::sshd::SshdBuilder::account`].
pub(crate) const ACCOUNT: &str = "sshoal-test";

/// Puts the server's own files in place of the machine's, for this process and its children alone.
pub(crate) const MOUNTS: &str = "\
mount --bind DIR/passwd /etc/passwd && mount --bind DIR/shadow /etc/shadow && \
mount --bind DIR/pam /etc/pam.d/sshd && exec \"$0\" \"$@\"";

impl Account {
    /// An account with a password, in clear or hashed, and PAM's lines for sshd.
    pub(crate) fn new(password: &str, pam: &[&str]) -> Self {
        Self {
            password: password.to_owned(),
            pam: pam.iter().map(|line| format!("{line}\n")).collect(),
        }
    }

    /// Writes the machine's accounts with ours, which is another name of the user who runs the tests.
    pub(crate) fn write(&self, dir: &Path) {
        let hash = match self.password.strip_prefix("$6$") {
            Some(_) => self.password.clone(),
            None => {
                let hashed = Command::new("openssl")
                    .args(["passwd", "-6", &self.password])
                    .output()
                    .expect("openssl runs: it comes with the package `openssl`");
                String::from_utf8_lossy(&hashed.stdout).trim().to_owned()
            }
        };
        let passwd = format!("{ACCOUNT}:x:0:0::/root:/bin/sh\n");
        let shadow = format!("{ACCOUNT}:{hash}:19000:0:99999:7:::\n");
        for (name, line) in [("passwd", passwd), ("shadow", shadow)] {
            let machine = fs::read_to_string(Path::new("/etc").join(name)).expect("reads accounts");
            fs::write(dir.join(name), format!("{machine}{line}")).expect("writes accounts");
        }
        fs::write(dir.join("pam"), &self.pam).expect("writes PAM's rules");
    }
}

/// Whether this process may make a mount namespace and mount in it.
pub(crate) fn may_mount() -> bool {
    let script = "mount --bind /etc/passwd /etc/passwd";
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .stderr(Stdio::null())
        .status();
    rustix::process::geteuid().is_root() && status.is_ok_and(|status| status.success())
}
