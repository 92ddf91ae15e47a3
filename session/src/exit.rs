//! How a command ended (RFC 4254 §6.10).

use std::fmt;

/// How a command ended, as the server told it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "RFC 4254 §6.10 knows a status and a signal only"
)]
pub enum Exit {
    /// The command ended by itself with this exit status.
    Status(u32),
    /// A signal ended the command.
    Signal {
        /// The signal's name without `SIG`, for example `KILL`.
        name: String,
        /// What the server said about it, often nothing; bytes of the host's, not cleaned.
        message: String,
    },
    /// The channel closed and neither a status nor a signal had come.
    None,
}

impl Exit {
    /// Returns whether the command ended with exit status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(0) => f.write_str("ok"),
            Self::Status(status) => write!(f, "exit {status}"),
            Self::Signal { name, .. } => {
                let name: String = name
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(32)
                    .collect();
                write!(f, "signal {name}")
            }
            Self::None => f.write_str("no exit status"),
        }
    }
}
