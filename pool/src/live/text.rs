//! Output as text: lines, decoded by an encoding of the caller's choice.
//!
//! The principal types are [`Encoding`] and [`TextLines`].

use std::fmt;
use std::iter::FusedIterator;

use encoding_rs::{Decoder, DecoderResult};

use super::line::{Line, LineEnding};
use super::reader::{Lines, ReadError};

/// How bytes are read as text: one of the encodings of the WHATWG Encoding Standard.
///
/// UTF-16 is not among them, because its lines do not end at a byte; output in it can be had as
/// bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding(&'static encoding_rs::Encoding);

/// What is made of bytes that are not what the encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "lossy or strict")]
pub enum OnBadBytes {
    /// They are replaced by U+FFFD.
    #[default]
    Replace,
    /// Their line is an error, [`ReadError::BadText`], that holds it as it came; lines after it
    /// are text again.
    Fail,
}

/// The lines of a stream as text, without what terminates them; [`OutputReader::text`] makes it.
///
/// A line that is longer than a piece may be comes in several items; see
/// [`OutputReader::line_bytes_max`]. Errors are those of [`Lines`], and nothing is lost by them.
///
/// [`OutputReader::text`]: crate::OutputReader::text
/// [`OutputReader::line_bytes_max`]: crate::OutputReader::line_bytes_max
#[derive(Debug)]
pub struct TextLines {
    lines: Lines,
    encoding: Encoding,
    on_bad_bytes: OnBadBytes,
    /// In the middle of a line that comes in pieces, which may end within a character.
    decoder: Option<LineDecoder>,
}

struct LineDecoder(Decoder);

impl Encoding {
    /// UTF-8.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);

    /// Returns an encoding by one of its names, such as `utf-8`, `latin1` or `shift_jis`, in any
    /// case; `None` for an unknown one and for UTF-16. By that standard `latin1`, `iso-8859-1` and
    /// `ascii` are names of windows-1252, which has every byte of theirs.
    pub fn by_name(name: &str) -> Option<Self> {
        let encoding = encoding_rs::Encoding::for_label_no_replacement(name.as_bytes())?;
        let has_lines = encoding != encoding_rs::UTF_16LE && encoding != encoding_rs::UTF_16BE;
        has_lines.then_some(Self(encoding))
    }

    /// Returns the encoding's name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoding").field(&self.name()).finish()
    }
}

impl TextLines {
    pub(super) fn new(lines: Lines, encoding: Encoding, on_bad_bytes: OnBadBytes) -> Self {
        Self {
            lines,
            encoding,
            on_bad_bytes,
            decoder: None,
        }
    }
}

impl Iterator for TextLines {
    type Item = Result<String, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let encoding = self.encoding;
        let decoder = self
            .decoder
            .take()
            .unwrap_or_else(|| LineDecoder::new(encoding));
        let (text, decoder) = decoder.decode(&line, self.on_bad_bytes);
        self.decoder = decoder;
        let encoding = encoding.name();
        Some(text.ok_or(ReadError::BadText { encoding, line }))
    }
}

impl FusedIterator for TextLines {}

impl LineDecoder {
    fn new(encoding: Encoding) -> Self {
        Self(encoding.0.new_decoder_without_bom_handling())
    }

    /// Decodes a line, or a piece of one; `None` if it is bad and must not be. What is left for the
    /// next piece is in the decoder that is returned.
    fn decode(mut self, line: &Line, on_bad_bytes: OnBadBytes) -> (Option<String>, Option<Self>) {
        let last = line.ending() != LineEnding::Cut;
        let mut bytes = line.bytes();
        let mut text = String::with_capacity(bytes.len());
        let mut is_good = true;
        loop {
            let (result, read) = self
                .0
                .decode_to_string_without_replacement(bytes, &mut text, last);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => text.reserve(bytes.len().max(16) * 3),
                DecoderResult::Malformed(..) => {
                    is_good = false;
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
        let text = (is_good || on_bad_bytes == OnBadBytes::Replace).then_some(text);
        (text, (!last).then_some(self))
    }
}

impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineDecoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoding: &str, bytes: &[u8], expected: Option<&str>) {
        let encoding = Encoding::by_name(encoding).unwrap();
        let line = Line::with_ending(bytes.to_vec(), LineEnding::None);
        let (text, rest) = LineDecoder::new(encoding).decode(&line, OnBadBytes::Fail);
        assert_eq!(text.as_deref(), expected, "{encoding:?} {bytes:?}");
        assert!(rest.is_none());
        let (lossy, _) = LineDecoder::new(encoding).decode(&line, OnBadBytes::Replace);
        let lossy = lossy.expect("never fails");
        assert!(expected.is_none_or(|text| text == lossy), "{lossy}");
        if encoding == Encoding::UTF_8 {
            assert_eq!(lossy, String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn decodes_by_the_encoding_that_is_named() {
        check("UTF-8", "größer".as_bytes(), Some("größer"));
        check("utf8", b"a\xffb\xe2\x82", None);
        check("utf-8", b"\xef\xbb\xbfa", Some("\u{feff}a"));
        check("latin1", b"gr\xf6\xdfer", Some("größer"));
        check("iso-8859-15", b"\xa4", Some("€"));
        check("koi8-r", b"\xc1", Some("а"));
        check("shift_jis", b"\x93\xfa\x96{", Some("日本"));
        check("shift_jis", b"\x93", None);
        check("gb18030", b"\x81\x30\x81\x30", Some("\u{80}"));
        assert_eq!(Encoding::by_name("utf-16le"), None);
        assert_eq!(Encoding::by_name("no such"), None);
        assert_eq!(Encoding::default().name(), "UTF-8");
    }

    #[test]
    fn a_character_may_be_divided_between_pieces() {
        let piece = |bytes: &[u8], ending| Line::with_ending(bytes.to_vec(), ending);
        let first = piece(b"\xe2\x82", LineEnding::Cut);
        let (text, decoder) = LineDecoder::new(Encoding::UTF_8).decode(&first, OnBadBytes::Fail);
        assert_eq!(text.as_deref(), Some(""));
        let last = piece(b"\xac!\n", LineEnding::Lf);
        let (text, _) = decoder.unwrap().decode(&last, OnBadBytes::Fail);
        assert_eq!(text.as_deref(), Some("€!"));
    }
}
