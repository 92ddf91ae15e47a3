//! What the real ssh says.

use std::path::Path;
use std::process::{Command, Stdio};

use sshoal::Kind;

use super::Asked;

/// What ssh printed, and what that means.
#[derive(Debug)]
pub(crate) struct Answer {
    text: String,
}

impl Answer {
    /// Whether ssh went on to authenticate.
    pub(crate) fn accepts(&self) -> bool {
        self.text.contains("Permission denied (")
    }

    /// Whether ssh refused, with this among its reasons.
    pub(crate) fn refused_as(&self, kind: Kind) -> bool {
        let words = match kind {
            Kind::HostKeyUnknown => "host key is known for",
            Kind::HostKeyChanged => "HOST IDENTIFICATION HAS CHANGED",
            Kind::HostKeyRevoked => "REVOKED HOST KEY DETECTED",
            _ => return false,
        };
        self.text.contains("Host key verification failed.") && self.text.contains(words)
    }

    /// Whether ssh's answer is this one: taken, or refused for this reason.
    pub(crate) fn agrees_with(&self, ours: Option<Kind>) -> bool {
        match ours {
            None => self.accepts(),
            Some(kind) => self.refused_as(kind),
        }
    }
}

/// Connects with ssh, over a pipe, to an sshd with this configuration; `algorithm` is the only one it may ask for.
pub(crate) fn ask(file: &Path, config: &Path, asked: &Asked, algorithm: Option<&str>) -> Answer {
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-p", &asked.port.to_string()]);
    let option = |name: &str, value: &str| format!("-o{name}={value}");
    command.arg(option("UserKnownHostsFile", &file.display().to_string()));
    let server = format!("/usr/sbin/sshd -i -f {}", config.display());
    command.arg(option("ProxyCommand", &server));
    if let Some(alias) = asked.alias {
        command.arg(option("HostKeyAlias", alias));
    }
    if let Some(algorithm) = algorithm {
        command.arg(option("HostKeyAlgorithms", algorithm));
    }
    command
        .args(OPTIONS)
        .args(["--", &format!("nobody@{}", asked.name), "true"]);
    // The shell that runs sshd: the smallest one.
    command.env("SHELL", "/bin/sh").stdin(Stdio::null());
    let output = command
        .output()
        .expect("ssh runs: it comes with the package `openssh-client`");
    Answer {
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Nothing of the user's own, no question, no authentication.
const OPTIONS: [&str; 9] = [
    "-oGlobalKnownHostsFile=/dev/null",
    "-oStrictHostKeyChecking=yes",
    "-oBatchMode=yes",
    "-oPreferredAuthentications=none",
    "-oPubkeyAuthentication=no",
    "-oIdentityAgent=none",
    "-oKexAlgorithms=curve25519-sha256",
    "-oConnectTimeout=60",
    "-oUpdateHostKeys=no",
];
