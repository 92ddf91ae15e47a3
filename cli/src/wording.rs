//! Failures in one line each, in OpenSSH's words where it has some, so that whoever searches for
//! `Connection refused` finds it.

use std::io;
use std::time::Duration;

use sshoal::{Error, Phase};

use crate::sanitise::one_line;
use crate::workers::Said;

/// Returns why a host failed; one line, safe to show.
pub(crate) fn reason(error: &Error) -> String {
    one_line(&text_of(error)).into_owned()
}

fn text_of(error: &Error) -> String {
    match error {
        Error::Resolve { name, source } => {
            format!("Could not resolve hostname {name}: {}", os_text(source))
        }
        Error::Connect { source, .. } => os_text(source),
        Error::Jump { jump, source } => format!("jump host {jump}: {}", text_of(source)),
        Error::Tunnel { jump, source } => {
            format!(
                "jump host {jump}: open failed: {}",
                opening(&source.to_string())
            )
        }
        Error::NoCommonAlgorithm { list, theirs } => {
            format!("Unable to negotiate: no matching {list} found. Their offer: {theirs}")
        }
        Error::Stalled { silence, .. } => {
            let seconds = silence.as_secs();
            format!("Timeout, server not responding for {seconds} s")
        }
        Error::TimedOut {
            phase: Phase::Connect,
            ..
        } => "Connection timed out".to_owned(),
        Error::TimedOut {
            phase: Phase::Banner,
            ..
        } => "Connection timed out during banner exchange".to_owned(),
        Error::TimedOut {
            phase: Phase::Run,
            limit,
        } => format!("Timed out after {:?}", rounded(*limit)),
        Error::Silent { limit } => format!("No output for {:?}", rounded(*limit)),
        Error::TimedOut { phase, limit } => {
            format!("Timed out during {phase} after {:?}", rounded(*limit))
        }
        Error::Disconnected { source, .. } => match source.kind() {
            io::ErrorKind::UnexpectedEof => "Connection closed by remote host".to_owned(),
            _ => os_text(source),
        },
        Error::Told(told) => match told.source.downcast_ref::<Said>() {
            Some(said) => said.reason().to_owned(),
            None => chain(error),
        },
        other => chain(other),
    }
}

/// Rounds to the millisecond: what was left of a deadline has nine digits that nobody asked for.
fn rounded(limit: Duration) -> Duration {
    let millis = limit.saturating_add(Duration::from_micros(500)).as_millis();
    u64::try_from(millis).map_or(limit, Duration::from_millis)
}

/// Takes the reason of a refused channel out of libssh2's text for it.
fn opening(text: &str) -> &str {
    let text = text.split(" (libssh2 ").next().unwrap_or(text);
    let reason = text.strip_prefix("Channel open failure (");
    let reason = reason.and_then(|reason| reason.strip_suffix(')'));
    reason.unwrap_or(text)
}

/// Joins an error and its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = without_number(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = without_number(&error.to_string());
        // Some say their cause themselves, where a sentence goes on behind it.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Returns an error of the system in words, without its number.
pub(crate) fn os_text(error: &io::Error) -> String {
    let text = without_number(&error.to_string());
    let resolver = "failed to lookup address information: ";
    text.strip_prefix(resolver).unwrap_or(&text).to_owned()
}

/// Cuts ` (os error 111)` off, which says nothing to an operator.
pub(crate) fn without_number(text: &str) -> String {
    match text.rsplit_once(" (os error ") {
        Some((before, number)) if number.ends_with(')') => before.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_the_words_of_ssh() {
        let refused = Error::Connect {
            address: "127.0.0.1:22".parse().unwrap(),
            source: io::Error::from_raw_os_error(111),
        };
        assert_eq!(reason(&refused), "Connection refused");
        let name = "nowhere".to_owned();
        let text = "failed to lookup address information: Name or service not known";
        let unknown = Error::Resolve {
            name,
            source: io::Error::other(text),
        };
        let expected = "Could not resolve hostname nowhere: Name or service not known";
        assert_eq!(reason(&unknown), expected);
        let limit = Duration::from_secs(3);
        let silent = Error::TimedOut {
            phase: Phase::Banner,
            limit,
        };
        assert_eq!(
            reason(&silent),
            "Connection timed out during banner exchange"
        );
        let long = Error::TimedOut {
            phase: Phase::Run,
            limit,
        };
        assert_eq!(reason(&long), "Timed out after 3s");
        let left = Error::TimedOut {
            phase: Phase::Run,
            limit: Duration::from_nanos(999_998_448),
        };
        assert_eq!(reason(&left), "Timed out after 1s");
        let source = io::Error::from(io::ErrorKind::UnexpectedEof);
        let lost = Error::Disconnected {
            phase: Phase::Run,
            source,
        };
        assert_eq!(reason(&lost), "Connection closed by remote host");
    }

    #[test]
    fn says_what_failed_on_the_way() {
        let refused = || Error::Connect {
            address: "127.0.0.1:22".parse().unwrap(),
            source: io::Error::from_raw_os_error(111),
        };
        let gate = Error::Jump {
            jump: "gate".to_owned(),
            source: refused().into(),
        };
        assert_eq!(reason(&gate), "jump host gate: Connection refused");
        let outer = Error::Jump {
            jump: "outer".to_owned(),
            source: gate.into(),
        };
        let expected = "jump host outer: jump host gate: Connection refused";
        assert_eq!(reason(&outer), expected);
        let text = "Channel open failure (connect failed) (libssh2 -21)";
        assert_eq!(opening(text), "connect failed");
        assert_eq!(opening("Would block (libssh2 -37)"), "Would block");
    }

    #[test]
    fn says_why_two_sides_do_not_get_together() {
        let nothing = Error::NoCommonAlgorithm {
            list: sshoal::AlgorithmList::Cipher,
            theirs: "aes256-cbc,3des-cbc\x1b[2J".to_owned(),
        };
        let expected = "Unable to negotiate: no matching cipher found. \
                        Their offer: aes256-cbc,3des-cbc\\x1b[2J";
        assert_eq!(reason(&nothing), expected);
        let stalled = Error::Stalled {
            phase: Phase::Run,
            silence: Duration::from_secs(90),
        };
        assert_eq!(reason(&stalled), "Timeout, server not responding for 90 s");
        let methods = "publickey,password".to_owned();
        let denied = Error::Auth(sshoal::AuthError::Denied { methods });
        assert_eq!(reason(&denied), "Permission denied (publickey,password).");
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = io::Error::from_raw_os_error(2);
        let start = Error::ProxyCommand(sshoal::ProxyCommandError::Start { source });
        let expected = "cannot start the proxy command: No such file or directory";
        assert_eq!(reason(&start), expected);
        let path = "/run/agent".to_owned();
        let source = io::Error::other("gone: /run/agent");
        let agent = Error::Auth(sshoal::AuthError::Agent { path, source });
        let expected = "the authentication agent at /run/agent: gone: /run/agent";
        assert_eq!(reason(&agent), expected);
    }

    #[test]
    fn shows_no_byte_that_acts() {
        let message = "bad\x1b[2J\nline".to_owned();
        let internal = Error::Internal {
            phase: Phase::Run,
            message,
        };
        let text = reason(&internal);
        assert!(text.ends_with("bad\\x1b[2J\\x0aline"), "{text}");
    }
}
