//! The pseudo-terminal of a command (RFC 4254 §6.2, §8).

use crate::launch::LaunchError;

/// A pseudo-terminal: its type, its size and its modes.
///
/// A command on one has no standard error of its own: both streams are the terminal, and arrive as
/// standard output, with the terminal's line ends. Its input is what is typed; the end of input is
/// typed too, as Ctrl-D, since a server closes a terminal's input for nobody.
///
/// When the channel is closed under it, the host hangs up on the command (`SIGHUP`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Pty {
    term: String,
    columns: u32,
    rows: u32,
    modes: Vec<(u8, u32)>,
}

impl Pty {
    /// Returns a terminal of this type, such as `xterm` or `dumb`, as large as given in characters.
    pub fn new(term: impl Into<String>, columns: u32, rows: u32) -> Self {
        Self {
            term: term.into(),
            columns,
            rows,
            modes: Vec::new(),
        }
    }

    /// Sets a mode by its number (RFC 4254 §8; 53 is `ECHO`, off by 0). Default: the server's own.
    pub fn mode(mut self, opcode: u8, value: u32) -> Self {
        self.modes.retain(|(other, _)| *other != opcode);
        self.modes.push((opcode, value));
        self
    }

    pub(crate) fn term(&self) -> &str {
        &self.term
    }

    /// Returns columns and rows.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.columns, self.rows)
    }

    /// Returns the modes as they are sent.
    pub(crate) fn encoded_modes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.modes.len() * 5 + 1);
        for (opcode, value) in &self.modes {
            bytes.push(*opcode);
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        bytes.push(MODES_END);
        bytes
    }

    pub(super) fn check(&self) -> Result<(), LaunchError> {
        let term = &self.term;
        let what = if term.is_empty() || term.len() > TERM_BYTES_MAX {
            "the type has 1 to 64 characters"
        } else if !term.bytes().all(|byte| byte.is_ascii_graphic()) {
            "the type is one plain word"
        } else if !size_is_good(self.columns, self.rows) {
            "it has 1 to 65535 columns and rows"
        } else if self.modes.len() > MODES_MAX {
            "it has at most 36 modes"
        } else if self.modes.iter().any(|(opcode, _)| !MODES.contains(opcode)) {
            "modes have the numbers 1 to 159"
        } else {
            return Ok(());
        };
        Err(LaunchError::Terminal { what })
    }
}

impl Default for Pty {
    /// A terminal of type `vt100` of 80 columns and 24 rows.
    fn default() -> Self {
        Self::new("vt100", 80, 24)
    }
}

/// Whether a terminal can have this size; the kernel counts in 16 bits.
pub(crate) fn size_is_good(columns: u32, rows: u32) -> bool {
    let good = 1..=u32::from(u16::MAX);
    good.contains(&columns) && good.contains(&rows)
}

/// libssh2 sends at most 256 bytes of type and modes together (`channel.c`).
const TERM_BYTES_MAX: usize = 64;
/// Five bytes each, and one for the end.
const MODES_MAX: usize = 36;
/// The modes that have a value of 32 bits (RFC 4254 §8).
const MODES: std::ops::RangeInclusive<u8> = 1..=159;
/// TTY_OP_END (RFC 4254 §8).
const MODES_END: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_sent_once_each_with_an_end() {
        let pty = Pty::default().mode(53, 1).mode(36, 2).mode(53, 0);
        assert_eq!(pty.encoded_modes(), [36, 0, 0, 0, 2, 53, 0, 0, 0, 0, 0]);
        assert_eq!(Pty::default().encoded_modes(), [0]);
    }

    #[test]
    fn terminals_that_cannot_be_are_refused() {
        let modes = |count: u8| (1..=count).fold(Pty::default(), |pty, n| pty.mode(n, 0));
        for good in [
            Pty::default(),
            Pty::new("x".repeat(64), 1, 65_535),
            modes(36),
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for wrong in [
            Pty::new("", 80, 24),
            Pty::new("x".repeat(65), 80, 24),
            Pty::new("a b", 80, 24),
            Pty::new("a\0", 80, 24),
            Pty::new("xterm", 0, 24),
            Pty::new("xterm", 80, 65_536),
            modes(37),
            Pty::default().mode(0, 1),
            Pty::default().mode(160, 1),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
