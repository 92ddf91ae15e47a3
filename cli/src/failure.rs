//! Why work on a host's files failed, in the words of records: of copies and of `fs` alike.

use sshoal::Error as SessionError;
use sshoal::transfer::{Error, sftp::SftpError};

use crate::record::Failure;
use crate::sanitise::one_line;
use crate::wording::{chain, reason};

/// Returns a failure in words; phase and kind are the library's own.
pub(crate) fn of(error: &Error) -> Failure {
    let session = match error {
        Error::Session(error) | Error::Sftp(SftpError::Session(error)) => Some(error),
        _ => None,
    };
    Failure {
        phase: error.phase().as_str(),
        kind: error.kind().as_str(),
        reason: match (session, error) {
            (Some(error), _) => reason(error),
            (None, Error::Local { path, .. }) if error.is_already_there() => {
                let text = format!("local file {} already exists", path.display());
                one_line(&text).into_owned()
            }
            (None, error) => one_line(&chain(error)).into_owned(),
        },
        // The session was open: the time that ran out was that of the work.
        by_our_limit: matches!(session, Some(SessionError::TimedOut { .. })),
    }
}

/// As [`with_remedy`], of a copy, for which the bound of what is taken can be set.
pub(crate) fn of_copy(error: &Error) -> Failure {
    let mut failure = with_remedy(error);
    if matches!(error, Error::TooLarge { .. } | Error::TreeTooLarge { .. }) {
        failure.reason.push_str("; --max-bytes sets another bound");
    }
    failure
}

/// As [`of`], and says what to do where a path on the hosts was meant as a pattern.
pub(crate) fn with_remedy(error: &Error) -> Failure {
    let mut failure = of(error);
    let path = match error {
        Error::Remote { remote, .. } | Error::Command { remote, .. } => remote.as_slice(),
        Error::Scp { remote, .. } => remote,
        _ => return failure,
    };
    if error.is_not_found() && path.iter().any(|byte| b"*?[".contains(byte)) {
        failure.reason.push_str(PATTERN);
    }
    failure
}

const PATTERN: &str = "; patterns are not expanded on hosts: `sshoal get -r` takes a whole directory, \
                       `sshoal fs glob` tells the names";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sshoal::Phase;
    use sshoal::transfer::Operation;
    use sshoal::transfer::sftp::SftpStatus;

    use super::*;

    #[track_caller]
    fn check(error: Error, expected: (&str, &str, bool)) {
        let failure = of(&error);
        let told = (failure.phase, failure.kind, failure.by_our_limit);
        assert_eq!(told, expected, "{}", failure.reason);
        assert!(!failure.reason.chars().any(char::is_control));
    }

    #[test]
    fn phase_and_kind_are_the_librarys_and_a_time_limit_is_ours() {
        let (remote, path) = (b"/a\x1b\n".to_vec(), "/b\x1b".into());
        let refused = |status| Error::Remote {
            operation: Operation::Open,
            remote: b"/a\x1b".to_vec(),
            status,
        };
        let late = || SessionError::TimedOut {
            phase: Phase::Transfer,
            limit: Duration::from_secs(3),
        };
        let source = std::io::ErrorKind::StorageFull.into();
        check(
            refused(SftpStatus::NO_SUCH_FILE),
            ("transfer", "not_found", false),
        );
        check(
            refused(SftpStatus::PERMISSION_DENIED),
            ("transfer", "denied", false),
        );
        check(
            Error::Exists { path: remote },
            ("transfer", "exists", false),
        );
        check(Error::Local { path, source }, ("local", "no_space", false));
        let limit = Error::TooLarge { bytes_max: 1 };
        check(limit, ("transfer", "limit", false));
        check(Error::Session(late()), ("transfer", "timeout", true));
        let late = Error::Sftp(SftpError::Session(late()));
        check(late, ("transfer", "timeout", true));
    }

    #[test]
    fn a_pattern_that_names_nothing_has_a_remedy() {
        let refused = |path: &[u8], status| {
            let operation = Operation::Stat;
            let remote = path.to_vec();
            with_remedy(&Error::Remote {
                operation,
                remote,
                status,
            })
            .reason
        };
        for path in [&b"/var/log/*"[..], b"a?", b"/srv/[ab]/x"] {
            let reason = refused(path, SftpStatus::NO_SUCH_FILE);
            assert!(reason.contains("not expanded on hosts"), "{reason}");
        }
        let plain = refused(b"/var/log/x", SftpStatus::NO_SUCH_FILE);
        assert!(!plain.contains("not expanded"), "{plain}");
        let denied = refused(b"/srv/*", SftpStatus::PERMISSION_DENIED);
        assert!(!denied.contains("not expanded"), "{denied}");
    }

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
