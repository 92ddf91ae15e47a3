//! Failures in one line each, in OpenSSH's words where it has some, so that whoever searches for
//! `Connection refused` finds it.

use std::error::Error as _;
use std::io;

use sshoal::{Error, Phase};

use crate::sanitise::one_line;

/// Returns why a host failed; one line, safe to show.
pub(crate) fn reason(error: &Error) -> String {
    let text = match error {
        Error::Resolve { name, source } => {
            format!("Could not resolve hostname {name}: {}", os_text(source))
        }
        Error::Connect { source, .. } => os_text(source),
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
        } => format!("Timed out after {limit:?}"),
        Error::TimedOut { phase, limit } => format!("Timed out during {phase} after {limit:?}"),
        Error::Disconnected { source, .. } => match source.kind() {
            io::ErrorKind::UnexpectedEof => "Connection closed by remote host".to_owned(),
            _ => os_text(source),
        },
        other => chain(other),
    };
    one_line(&text).into_owned()
}

/// Joins an error and its causes.
fn chain(error: &Error) -> String {
    let mut text = without_number(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&without_number(&error.to_string()));
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
fn without_number(text: &str) -> String {
    match text.rsplit_once(" (os error ") {
        Some((before, number)) if number.ends_with(')') => before.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let source = io::Error::from(io::ErrorKind::UnexpectedEof);
        let lost = Error::Disconnected {
            phase: Phase::Run,
            source,
        };
        assert_eq!(reason(&lost), "Connection closed by remote host");
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
