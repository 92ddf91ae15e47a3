//! JSON objects, a line each, in a file or on standard output.
//!
//! Bytes that are UTF-8 stand as text, others in base64; nothing is lost. Characters that would
//! act on a terminal are written as `\u` escapes, so that looking at the lines is safe.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::console::Console;
use crate::sanitise::is_harmless;

/// Where the objects go.
#[derive(Debug)]
pub(super) struct Lines {
    /// The flag that asked for them, for errors.
    flag: &'static str,
    /// `None`: standard output.
    file: Option<(PathBuf, BufWriter<File>)>,
    /// The first thing that went wrong; after it nothing more is written.
    failed: Option<std::io::Error>,
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

    /// Writes an object.
    pub(super) fn write(&mut self, object: &impl Serialize, console: &mut Console) {
        let line = line(object);
        match &mut self.file {
            None => console.put(line.as_bytes()),
            Some((_, file)) if self.failed.is_none() => {
                // A line at a time, so that a reader never sees half of one for long.
                let done = file.write_all(line.as_bytes()).and_then(|()| file.flush());
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
            _ => Ok(()),
        }
    }
}

/// Returns an object as a line.
pub(super) fn line(object: &impl Serialize) -> String {
    let json = serde_json::to_string(object).expect("an object of strings and numbers is JSON");
    let mut line = harmless(&json);
    line.push('\n');
    line
}

/// Returns bytes as a string, and how they are in it.
pub(super) fn text(bytes: &[u8]) -> (String, &'static str) {
    match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (STANDARD.encode(bytes), "base64"),
    }
}

/// Escapes what JSON lets stand and a terminal obeys; the characters can only be inside strings.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
