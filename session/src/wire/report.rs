//! What the wire tells those who use it.

use std::io;
use std::time::Duration;

/// What a call into libssh2 left behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallReport {
    /// Bytes went to libssh2 or came from it: other waiters may have been served.
    pub(crate) moved: bool,
    /// It stopped before the socket was seen to be empty, with or without bytes left here: no
    /// event will come for what is there (law S14).
    pub(crate) more: bool,
    /// It stopped before the costly step of the key exchange.
    pub(crate) costly: bool,
    /// It asked for more than the host will ever send.
    pub(crate) ended: bool,
}

impl CallReport {
    pub(super) const NEW: Self = Self {
        moved: false,
        more: false,
        costly: false,
        ended: false,
    };
}

/// What libssh2's receive callback gets.
pub(crate) enum Received {
    Bytes(usize),
    Nothing,
    /// The negotiated names must be set by [`Wire::set_cipher`](super::Wire::set_cipher) first.
    NeedCipher,
    Failed,
}

/// Why the wire is of no more use.
#[derive(Debug, Clone)]
pub(crate) enum Broken {
    /// The system's error, kept by kind and text because several callers may ask.
    Io(io::ErrorKind, String),
    /// The host gave no sign of life for so long.
    Stalled(Duration),
    /// The host went past a bound; `true` if it broke the protocol rather than a limit.
    Overstepped(&'static str, bool),
    /// The host speaks this version of the protocol, and not ours.
    OtherVersion(String),
    /// We closed it.
    Closed,
}
