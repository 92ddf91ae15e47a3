//! Lines, without a loss: what a line holds, and what ended it.
//!
//! The principal type is [`Line`].

/// A line of output, byte for byte.
///
/// A line ends at `\n` or `\r\n`, or where the output ends; a `\r` elsewhere is a byte like any
/// other. [`Line::with_terminator`] of all lines, one after the other, is the output itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    bytes: Vec<u8>,
    ending: LineEnding,
}

/// What ended a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a line can end in no other way")]
pub enum LineEnding {
    /// `\n`.
    Lf,
    /// `\r\n`.
    CrLf,
    /// The end of the output: it is the last line, and nothing terminates it.
    None,
    /// Nothing: the line is longer than a piece may be, and the next item goes on with it.
    Cut,
}

impl Line {
    /// Returns a line of bytes that end in `\n`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let ending = match bytes.ends_with(b"\r\n") {
            true => LineEnding::CrLf,
            false => LineEnding::Lf,
        };
        Self::with_ending(bytes, ending)
    }

    pub(super) fn with_ending(bytes: Vec<u8>, ending: LineEnding) -> Self {
        Self { bytes, ending }
    }

    /// Returns the line without what terminates it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - self.ending.len()]
    }

    /// Returns the line with what terminates it.
    pub fn with_terminator(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns what ended the line.
    pub fn ending(&self) -> LineEnding {
        self.ending
    }

    /// Returns the line without what terminates it.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.bytes.len() - self.ending.len());
        self.bytes
    }
}

impl AsRef<[u8]> for Line {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl LineEnding {
    /// Returns how many bytes it has.
    fn len(self) -> usize {
        match self {
            Self::Lf => 1,
            Self::CrLf => 2,
            Self::None | Self::Cut => 0,
        }
    }
}
