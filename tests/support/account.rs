//! An account with a password that one sshd has to itself, with its own rules of PAM: the machine's files stay as they
//! are, because the server sees others in their place, in a mount namespace of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// An account that one server has to itself.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    password: String,
    pam: String,
    /// The rules of sudo, where the account is that of a user of its own and not another name of root's.
    sudoers: Option<String>,
}

/// The account of [`super::sshd::SshdBuilder::account`].
pub(crate) const ACCOUNT: &str = "sshoal-test";

/// Puts the server's own files in place of the machine's, for this process and its children alone.
const MOUNTS: &str = "\
mount --bind DIR/passwd /etc/passwd && mount --bind DIR/shadow /etc/shadow && \
mount --bind DIR/pam /etc/pam.d/sshd && exec \"$0\" \"$@\"";

/// And sudo's, which asks by the same rules of PAM.
const SUDO_MOUNTS: &str = "\
mount --bind DIR/sudoers /etc/sudoers && mount --bind DIR/pam /etc/pam.d/sudo";

/// PAM asks for the password once, and for nothing else.
const PAM: [&str; 3] = [
    "auth required pam_unix.so nodelay",
    "account required pam_permit.so",
    "session required pam_permit.so",
];

/// The user id of an account that is not root's; no other account of the machine should have it.
pub(crate) const SUDOER_ID: u32 = 64_321;

impl Account {
    /// An account with a password, in clear or hashed, and PAM's lines for sshd.
    pub(crate) fn new(password: &str, pam: &[&str]) -> Self {
        Self {
            password: password.to_owned(),
            pam: pam.iter().map(|line| format!("{line}\n")).collect(),
            sudoers: None,
        }
    }

    /// The account of a user who is not root, with a password and sudo's rules for all users.
    pub(crate) fn with_sudo(password: &str, sudoers: &[&str]) -> Self {
        Self {
            sudoers: Some(sudoers.iter().map(|line| format!("{line}\n")).collect()),
            ..Self::new(password, &PAM)
        }
    }

    /// What puts the server's own files in place of the machine's.
    pub(crate) fn mounts(&self, dir: &Path) -> String {
        let mounts = match self.sudoers {
            Some(_) => format!("{SUDO_MOUNTS} && {MOUNTS}"),
            None => MOUNTS.to_owned(),
        };
        mounts.replace("DIR", &dir.display().to_string())
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
        let (id, home) = match self.sudoers {
            Some(_) => (SUDOER_ID, "/"),
            None => (0, "/root"),
        };
        let passwd = format!("{ACCOUNT}:x:{id}:{id}::{home}:/bin/sh\n");
        let shadow = format!("{ACCOUNT}:{hash}:19000:0:99999:7:::\n");
        for (name, line) in [("passwd", passwd), ("shadow", shadow)] {
            let machine = fs::read_to_string(Path::new("/etc").join(name)).expect("reads accounts");
            fs::write(dir.join(name), format!("{machine}{line}")).expect("writes accounts");
        }
        fs::write(dir.join("pam"), &self.pam).expect("writes PAM's rules");
        if let Some(sudoers) = &self.sudoers {
            assert!(
                Path::new("/etc/pam.d/sudo").exists(),
                "no sudo found: install the package `sudo`"
            );
            let path = dir.join("sudoers");
            fs::write(&path, sudoers).expect("writes sudo's rules");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o440))
                .expect("sudo wants this mode");
        }
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
