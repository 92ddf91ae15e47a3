//! JSON objects, a line each, in a file or on standard output.
//!
//! Bytes that are UTF-8 stand as text, others in base64; nothing is lost. Characters that would
//! act on a terminal are written as `\u` escapes, so that looking at the lines is safe.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::console::{Console, Sink};
use crate::record::Written;
use crate::sanitise::is_harmless;

/// Where the objects go.
#[derive(Debug)]
pub(super) struct Lines {
    /// The flag that asked for them, for errors.
    flag: &'static str,
    /// `None`: standard output.
    file: Option<(PathBuf, BufWriter<File>)>,
    /// The first thing that went wrong; after it nothing more is written.
    failed: Option<io::Error>,
}

impl Lines {
    /// Makes the file, or takes standard output for `-`.
    ///
    /// # Errors
    /// Fails if the file cannot be made.
    pub(super) fn open(path: &Path, flag: &'static str) -> Result<Self> {
        Self::with(path, flag, File::options().write(true).truncate(true))
    }

    /// As [`Self::open`], and adds to what is in the file.
    ///
    /// # Errors
    /// Fails if the file cannot be made.
    pub(super) fn append(path: &Path, flag: &'static str) -> Result<Self> {
        Self::with(path, flag, File::options().append(true))
    }

    fn with(path: &Path, flag: &'static str, options: &mut OpenOptions) -> Result<Self> {
        let file = match path == Path::new("-") {
            true => None,
            false => {
                let made = options.create(true).open(path);
                let file =
                    made.with_context(|| format!("{flag}: cannot write {}", path.display()))?;
                Some((path.to_owned(), BufWriter::new(file)))
            }
        };
        Ok(Self {
            flag,
            file,
            failed: None,
        })
    }

    /// Notes that an object cannot be written.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failed.get_or_insert(error);
    }

    /// Writes an object.
    pub(super) fn write(&mut self, object: &impl Serialize, console: &mut Console) {
        match &mut self.file {
            // A progress bar would stand between the pieces.
            None if console.shows(Sink::Stdout) => console.put(line(object).as_bytes()),
            None => {
                let mut pieces = BufWriter::with_capacity(PIECE_BYTES, Pieces(console));
                // A console that is gone is the console's to say.
                let _ = write_line(object, &mut pieces).and_then(|()| pieces.flush());
            }
            Some((_, file)) if self.failed.is_none() => {
                // A line at a time, so that a reader never sees half of one for long.
                let done = write_line(object, &mut *file).and_then(|()| file.flush());
                self.failed = done.err();
            }
            Some(_) => {}
        }
    }

    /// Returns whether the objects go to standard output.
    pub(super) fn is_stdout(&self) -> bool {
        self.file.is_none()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What could not be written.
    pub(super) fn end(self) -> Result<()> {
        match (self.failed, self.file) {
            (Some(error), Some((path, _))) => Err(error)
                .with_context(|| format!("{}: cannot write {}", self.flag, path.display())),
            (Some(error), None) => {
                Err(error).with_context(|| format!("{}: cannot write", self.flag))
            }
            _ => Ok(()),
        }
    }
}

/// Standard output, for a line that is written piece by piece.
struct Pieces<'a>(&'a mut Console);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a line that go to standard output at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Returns an object as a line.
pub(super) fn line(object: &impl Serialize) -> String {
    let mut line = Vec::new();
    write_line(object, &mut line).expect("an object of strings and numbers is JSON");
    String::from_utf8(line).expect("JSON is UTF-8")
}

/// Writes an object as a line, piece by piece: a host may have printed more than memory holds twice.
fn write_line(object: &impl Serialize, mut writer: impl Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut writer, Harmless);
    object.serialize(&mut serializer)?;
    writer.write_all(b"\n")
}

/// Bytes as they stand in an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// As they are.
    Utf8(&'a str),
    /// In base64.
    Bytes(&'a [u8]),
    /// As [`Self::Utf8`], read as it is written.
    KeptUtf8(Written<'a>),
    /// As [`Self::Bytes`], read as it is written.
    KeptBytes(Written<'a>),
}

impl<'a> Text<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Utf8)
    }

    /// As [`Self::of`], wherever the bytes are.
    ///
    /// # Errors
    /// They cannot be read back.
    pub(super) fn of_written(written: Written<'a>) -> io::Result<Self> {
        let kept = match written {
            Written::Here(bytes) => return Ok(Self::of(bytes)),
            kept @ Written::Kept(_) => kept,
        };
        match kept.in_text(|_| Ok(())) {
            Ok(()) => Ok(Self::KeptUtf8(kept)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Self::KeptBytes(kept)),
            Err(error) => Err(error),
        }
    }

    /// How they are written, in a word.
    pub(super) fn encoding(self) -> &'static str {
        match self {
            Self::Utf8(_) | Self::KeptUtf8(_) => "utf-8",
            Self::Bytes(_) | Self::KeptBytes(_) => "base64",
        }
    }
}

/// The bytes are written to what takes text, and cannot fail for any other reason than that does.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Ok(());
        let read = match self {
            Self::Utf8(text) => return f.write_str(text),
            Self::Bytes(bytes) => return Base64Display::new(bytes, &STANDARD).fmt(f),
            Self::KeptUtf8(kept) => kept.in_text(|text| {
                written = written.and_then(|()| f.write_str(text));
                Ok(())
            }),
            // Whole groups of three bytes make whole groups of four characters.
            Self::KeptBytes(kept) => kept.in_blocks(3, |block| {
                let block = Base64Display::new(block, &STANDARD);
                written = written.and_then(|()| block.fmt(f));
            }),
        };
        match read {
            Ok(()) => written,
            // It was read a moment ago. Not an error: whoever formats knows none of its own.
            Err(error) => write!(f, " … the rest cannot be read back: {error}"),
        }
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Utf8(text) => serializer.serialize_str(text),
            other => serializer.collect_str(other),
        }
    }
}

/// Escapes what JSON lets stand and a terminal obeys.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut written = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| !is_harmless(*c)) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            written = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }
}
