//! What ssh says on standard error where it fails, so that whoever looks for its words finds them.

use crate::record::{Ending, Failure, Record};

/// Where ssh would have connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// As ssh_config has it for the host.
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) port: u16,
}

/// Returns what ssh says of a host's end: nothing where the command's own says all.
pub(crate) fn of_ssh(record: &Record, to: &Destination) -> String {
    match &record.ending {
        Ending::Failed(failure) => failed(failure, to),
        Ending::NoStatus => format!("Connection to {} closed by remote host.\r\n", to.name),
        _ => String::new(),
    }
}

fn failed(failure: &Failure, to: &Destination) -> String {
    let Destination { name, user, port } = to;
    let reason = &failure.reason;
    let lines: Vec<String> = match (failure.phase, failure.kind) {
        ("connect", _) if reason.starts_with("jump host ") => vec![reason.clone()],
        ("connect", _) => vec![format!("ssh: connect to host {name} port {port}: {reason}")],
        ("banner", "closed") => vec![
            format!("kex_exchange_identification: {reason}"),
            format!("Connection closed by {name} port {port}"),
        ],
        ("banner", "reset") => vec![
            format!("kex_exchange_identification: read: {reason}"),
            format!("Connection reset by {name} port {port}"),
        ],
        ("banner", "timeout") => vec![
            reason.clone(),
            format!("Connection to {name} port {port} timed out"),
        ],
        ("host_key", kind) => {
            let unknown = (kind == "host_key_unknown")
                .then(|| unknown(reason))
                .flatten();
            let first = unknown.unwrap_or_else(|| reason.clone());
            vec![first, "Host key verification failed.".to_owned()]
        }
        ("auth", _) if reason.starts_with("Permission denied") => {
            vec![format!("{user}@{name}: {reason}")]
        }
        ("run", "closed" | "reset") => {
            vec![format!("Connection to {name} closed by remote host.")]
        }
        _ => vec![format!("ssh: {reason}")],
    };
    // Standard error is no terminal of ssh's, where it ends lines so.
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Puts our reason for an unknown key into ssh's words.
fn unknown(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once("No ")?;
    let (kind, rest) = rest.split_once(" host key is known for ")?;
    let (name, _) = rest.split_once(" and ")?;
    let kind = match kind {
        "ssh-ed25519" => "ED25519",
        kind if kind.starts_with("ecdsa-") => "ECDSA",
        kind if kind.contains("rsa") => "RSA",
        kind => kind,
    };
    let strict = "and you have requested strict checking.";
    Some(format!("No {kind} host key is known for {name} {strict}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{refused, sample};

    #[track_caller]
    fn check(phase: &'static str, kind: &'static str, reason: &str, expected: &str) {
        let failure = Failure {
            phase,
            kind,
            reason: reason.to_owned(),
            ..refused()
        };
        let to = Destination {
            name: "10.0.0.1".to_owned(),
            user: "ann".to_owned(),
            port: 2222,
        };
        let said = of_ssh(&sample(Ending::Failed(failure)), &to);
        assert_eq!(said, expected);
    }

    #[test]
    fn failures_are_in_the_words_of_ssh() {
        check(
            "connect",
            "refused",
            "Connection refused",
            "ssh: connect to host 10.0.0.1 port 2222: Connection refused\r\n",
        );
        check(
            "auth",
            "denied",
            "Permission denied (publickey).",
            "ann@10.0.0.1: Permission denied (publickey).\r\n",
        );
        check(
            "resolve",
            "unknown_host",
            "Could not resolve hostname a: Name or service not known",
            "ssh: Could not resolve hostname a: Name or service not known\r\n",
        );
        check(
            "host_key",
            "host_key_unknown",
            "No ssh-ed25519 host key is known for a and strict checking was requested (x)",
            "No ED25519 host key is known for a and you have requested strict checking.\r\n\
             Host key verification failed.\r\n",
        );
        let to = Destination {
            name: "a".to_owned(),
            user: "b".to_owned(),
            port: 22,
        };
        assert_eq!(of_ssh(&sample(Ending::Exited(1)), &to), "");
    }
}
