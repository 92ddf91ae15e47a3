//! What a command wrote to one stream: in memory, or as much as is read piece by piece.

use std::io::{self, Read};

use sshoal::Collected;

/// What a command wrote to one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Written<'a> {
    /// All of it.
    Here(&'a [u8]),
    /// In the run's temporary file.
    Kept(&'a Collected),
}

impl<'a> Written<'a> {
    pub(crate) fn is_empty(self) -> bool {
        match self {
            Self::Here(bytes) => bytes.is_empty(),
            Self::Kept(collected) => collected.is_empty(),
        }
    }

    /// Gives all of it in pieces, each of which ends with a line, but for the last one and those
    /// within a line that is longer than a piece.
    ///
    /// # Errors
    /// The file cannot be read back.
    pub(crate) fn in_lines(self, mut give: impl FnMut(&[u8])) -> io::Result<()> {
        self.in_pieces(|piece, is_last| {
            let end = piece.iter().rposition(|byte| *byte == b'\n');
            let taken = match end {
                Some(end) if !is_last => end + 1,
                _ => piece.len(),
            };
            give(&piece[..taken]);
            taken
        })
    }

    /// Gives all of it in pieces of text.
    ///
    /// # Errors
    /// The file cannot be read back, or, as [`io::ErrorKind::InvalidData`], it is no UTF-8.
    pub(crate) fn in_text(self, mut give: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let mut result = Ok(());
        self.in_pieces(|piece, is_last| {
            if result.is_err() {
                return piece.len();
            }
            let (text, taken) = match str::from_utf8(piece) {
                Ok(text) => (text, piece.len()),
                Err(error) if error.error_len().is_none() && !is_last => {
                    let (text, _) = piece.split_at(error.valid_up_to());
                    (str::from_utf8(text).unwrap_or_default(), text.len())
                }
                Err(_) => {
                    result = Err(io::ErrorKind::InvalidData.into());
                    return piece.len();
                }
            };
            result = give(text);
            taken
        })?;
        result
    }

    /// Gives all of it in pieces of so many bytes, but for the last one.
    ///
    /// # Errors
    /// The file cannot be read back.
    pub(crate) fn in_blocks(self, bytes: usize, mut give: impl FnMut(&[u8])) -> io::Result<()> {
        self.in_pieces(|piece, is_last| {
            let taken = match is_last {
                true => piece.len(),
                false => piece.len() - piece.len() % bytes,
            };
            give(&piece[..taken]);
            taken
        })
    }

    /// Gives pieces, and whether each is the last; what is not taken of one comes again with the
    /// next.
    fn in_pieces(self, mut take: impl FnMut(&[u8], bool) -> usize) -> io::Result<()> {
        let collected = match self {
            Self::Here(bytes) => {
                take(bytes, true);
                return Ok(());
            }
            Self::Kept(collected) => collected,
        };
        let mut left = collected.len();
        let mut reader = collected.reader();
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
        while left > 0 {
            let most = left.min(PIECE_BYTES as u64);
            reader.by_ref().take(most).read_to_end(&mut piece)?;
            left -= most;
            let taken = take(&piece, left == 0);
            piece.drain(..taken);
        }
        Ok(())
    }
}

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;
