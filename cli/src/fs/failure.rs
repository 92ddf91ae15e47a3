//! Why work on a host's files failed, in the words of records.

use sshoal::Error as SessionError;
use sshoal::transfer::{Error, sftp::SftpStatus};

use crate::record::Failure;
use crate::sanitise::one_line;
use crate::wording::{chain, reason};

/// Returns a failure in words.
pub(super) fn of(error: &Error) -> Failure {
    let (phase, kind) = match error {
        Error::Session(error) => (error.phase().as_str(), error.kind().as_str()),
        Error::Remote { status, .. } if *status == SftpStatus::PERMISSION_DENIED => {
            ("transfer", "denied")
        }
        Error::TooLarge { .. } => ("transfer", "limit"),
        Error::Sftp(_) => ("transfer", "protocol"),
        _ => ("transfer", "io"),
    };
    Failure {
        phase,
        kind,
        reason: match error {
            Error::Session(error) => reason(error),
            error => one_line(&chain(error)).into_owned(),
        },
        // The session was open: the time that ran out was that of the work.
        by_our_limit: matches!(error, Error::Session(SessionError::TimedOut { .. })),
    }
}

#[cfg(test)]
mod tests {
    use sshoal::transfer::Operation;

    use super::*;

    #[test]
    fn a_refusal_names_operation_and_path_and_is_harmless() {
        let refused = of(&Error::Command {
            operation: Operation::Stat,
            remote: b"/a\x1b\n".to_vec(),
            message: "No \u{9b}such file".to_owned(),
        });
        assert_eq!((refused.phase, refused.kind), ("transfer", "io"));
        let expected = "could not stat remote file /a\\x1b\\n: No \\xc2\\x9bsuch file";
        assert!(
            !refused.reason.chars().any(char::is_control),
            "{}",
            refused.reason
        );
        assert!(
            refused.reason.starts_with(&expected[..38]),
            "{}",
            refused.reason
        );
    }
}
