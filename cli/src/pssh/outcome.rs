//! How a host ended, as pssh tells it, and the exit code of all.

use std::time::Duration;

use super::tool::Tool;
use crate::record::{Ending, Record};

/// How a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The program that pssh would have run ended with this exit code: 255 is ssh's own.
    Exited(u8),
    /// The host's time was over.
    TimedOut,
    /// The user had enough.
    Interrupted,
    /// It was not begun when the user had enough.
    Cancelled,
    /// A defect of this program.
    Internal,
}

impl Fate {
    /// Reads it from a record; `timeout` is the limit of a host as a whole.
    pub(crate) fn of(record: &Record, timeout: Option<Duration>) -> Self {
        let late = timeout.is_some_and(|limit| record.duration >= limit);
        match &record.ending {
            // As a process's exit code is cut.
            Ending::Exited(status) => Self::Exited((*status & 0xff) as u8),
            Ending::Signaled(_) | Ending::NoStatus => Self::Exited(SSH_FAILED),
            Ending::Failed(failure) => match failure.kind {
                "internal" | "worker_crashed" => Self::Internal,
                "timeout" if late => Self::TimedOut,
                _ => Self::Exited(SSH_FAILED),
            },
            Ending::Cancelled { phase: None, .. } => Self::Cancelled,
            // Copies under way are stopped by either.
            Ending::Cancelled { .. } if late => Self::TimedOut,
            Ending::Cancelled { .. } => Self::Interrupted,
        }
    }

    /// Returns what is wrong, for the status line; nothing where nothing is.
    pub(crate) fn reason(self) -> Option<String> {
        match self {
            Self::Exited(0) => None,
            Self::Exited(code) => Some(format!("Exited with error code {code}")),
            Self::TimedOut => Some("Timed out".to_owned()),
            Self::Interrupted => Some("Interrupted".to_owned()),
            Self::Cancelled => Some("Cancelled".to_owned()),
            Self::Internal => Some("Internal error".to_owned()),
        }
    }
}

/// Returns the exit code of a tool whose hosts ended so.
pub(crate) fn exit_code(tool: Tool, fates: &[Fate]) -> u8 {
    let any = |fate: &dyn Fn(Fate) -> bool| fates.iter().any(|own| fate(*own));
    let copies_all = matches!(tool, Tool::Scp | Tool::Rsync);
    if any(&|fate| fate == Fate::Internal) {
        1
    } else if any(&|fate| fate == Fate::TimedOut) {
        3
    } else if any(&|fate| fate == Fate::Exited(SSH_FAILED) || copies_all && fate != Fate::Exited(0))
    {
        4
    } else if any(&|fate| fate != Fate::Exited(0)) {
        5
    } else {
        0
    }
}

/// The exit code of ssh where it failed itself.
pub(crate) const SSH_FAILED: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Failure;
    use crate::record::tests::{refused, sample};

    #[test]
    fn the_exit_code_follows_the_worst_of_all() {
        use Fate::{Cancelled, Exited, Internal, Interrupted, TimedOut};
        for (fates, ssh, scp) in [
            (&[][..], 0, 0),
            (&[Exited(0)], 0, 0),
            (&[Exited(0), Exited(1)], 5, 4),
            (&[Exited(1), Exited(255)], 4, 4),
            (&[Exited(255), TimedOut, Exited(1)], 3, 3),
            (&[Interrupted, Cancelled], 5, 4),
            (&[Internal, TimedOut], 1, 1),
        ] {
            assert_eq!(exit_code(Tool::Ssh, fates), ssh, "{fates:?}");
            assert_eq!(exit_code(Tool::Slurp, fates), ssh, "{fates:?}");
            assert_eq!(exit_code(Tool::Scp, fates), scp, "{fates:?}");
        }
    }

    #[test]
    fn what_ssh_would_have_ended_with_is_told() {
        let limit = Some(Duration::from_millis(800));
        let timeout = Failure {
            kind: "timeout",
            ..refused()
        };
        for (ending, limit, expected) in [
            (Ending::Exited(3), None, Some("Exited with error code 3")),
            (Ending::Exited(256), None, None),
            (
                Ending::Signaled("KILL".into()),
                None,
                Some("Exited with error code 255"),
            ),
            (
                Ending::Failed(refused()),
                limit,
                Some("Exited with error code 255"),
            ),
            (Ending::Failed(timeout.clone()), limit, Some("Timed out")),
            (
                Ending::Failed(timeout),
                None,
                Some("Exited with error code 255"),
            ),
        ] {
            let fate = Fate::of(&sample(ending), limit);
            assert_eq!(fate.reason().as_deref(), expected);
        }
    }
}
