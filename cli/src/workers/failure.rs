//! Failures of hosts on their way from a worker to the run.

use std::fmt;

use sshoal::{ApiMisuse, Error, Kind, Phase, Remedy, RetryOn, Told, is_local_limit};

use super::wire::{WireError, WireRemedy};
use crate::wording;

/// A failure's words, in the two forms in which they are shown.
#[derive(Debug)]
pub(crate) struct Said {
    message: String,
    reason: String,
}

impl Said {
    /// Returns why, in OpenSSH's words; not clean.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Said {}

impl WireError {
    /// Takes a failure apart.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::TimedOut { phase, .. } => Self::TimedOut {
                phase: (*phase).into(),
            },
            Error::Cancelled { phase } => Self::Cancelled {
                phase: (*phase).into(),
            },
            other => Self::Told {
                phase: other.phase().into(),
                kind: place(other.kind()),
                remedy: remedy(other),
                message: cut(message(other)),
                reason: cut(wording::reason(other)),
            },
        }
    }

    /// Makes the failure that stands for it in the run.
    pub(super) fn error(self) -> Error {
        match self {
            // Whoever set the limit fills it in.
            Self::TimedOut { phase } => Error::TimedOut {
                phase: phase.into(),
                limit: std::time::Duration::ZERO,
            },
            Self::Cancelled { phase } => Error::Cancelled {
                phase: phase.into(),
            },
            Self::Told {
                phase,
                kind,
                remedy,
                message,
                reason,
            } => Error::Told(Box::new(Told {
                phase: phase.into(),
                kind: Kind::ALL
                    .get(usize::from(kind))
                    .copied()
                    .unwrap_or(Kind::Internal),
                remedy: match remedy {
                    WireRemedy::Nothing => Remedy::Nothing,
                    WireRemedy::Retry => Remedy::Retry,
                    WireRemedy::Reconnect => Remedy::Reconnect,
                    WireRemedy::Wait => Remedy::Wait,
                },
                source: Box::new(Said { message, reason }),
            })),
        }
    }
}

/// Returns an error and its causes, as an event has them.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

fn place(kind: Kind) -> u8 {
    let place = Kind::ALL.iter().position(|known| *known == kind);
    place
        .and_then(|place| place.try_into().ok())
        .unwrap_or(u8::MAX)
}

fn remedy(error: &Error) -> WireRemedy {
    if is_local_limit(error) {
        return WireRemedy::Wait;
    }
    if RetryOn::default().covers(error) {
        return WireRemedy::Retry;
    }
    match error {
        Error::Disconnected { .. }
        | Error::Stalled { .. }
        | Error::ApiMisuse(ApiMisuse::SessionClosed) => WireRemedy::Reconnect,
        _ => WireRemedy::Nothing,
    }
}

/// Cuts a text at what a frame has room for.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Returns an error of the worker itself.
pub(super) fn local(phase: Phase, error: std::io::Error) -> WireError {
    WireError::of(&Error::Local {
        phase,
        source: error,
    })
}

/// Far above any error's text, and six times below what a head may have, as JSON writes a byte of
/// it in six at most.
const TEXT_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Sends an error over the wire and back.
    fn told(error: &Error) -> Error {
        let text = serde_json::to_vec(&WireError::of(error)).unwrap();
        let wire: WireError = serde_json::from_slice(&text).unwrap();
        wire.error()
    }

    #[test]
    fn a_failure_says_the_same_on_the_other_side() {
        let refused = Error::Connect {
            address: "127.0.0.1:22".parse().unwrap(),
            source: io::Error::from_raw_os_error(111),
        };
        let lost = Error::Disconnected {
            phase: Phase::Run,
            source: io::ErrorKind::ConnectionReset.into(),
        };
        let late = Error::TimedOut {
            phase: Phase::Banner,
            limit: std::time::Duration::ZERO,
        };
        for error in [refused, lost, late] {
            let told = told(&error);
            assert_eq!(told.phase(), error.phase());
            assert_eq!(told.kind(), error.kind());
            assert_eq!(wording::reason(&told), wording::reason(&error));
            assert_eq!(message(&told), message(&error));
            let retry = RetryOn::default();
            assert_eq!(retry.covers(&told), retry.covers(&error), "{error}");
        }
    }

    #[test]
    fn a_limit_of_this_machine_is_one_on_the_other_side() {
        let source = io::Error::from_raw_os_error(24);
        let phase = Phase::Connect;
        assert!(is_local_limit(&told(&Error::Local { phase, source })));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("é".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
