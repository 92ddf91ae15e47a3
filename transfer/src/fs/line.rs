//! One line of a host's file: that it is there, or is not.
//!
//! The principal type is [`LineEdit`], which knows bytes alone; [`RemoteFs::line_in_file`] applies
//! it on a host.

use regex::bytes::Regex;

use super::diff::{Edit, unified};
use super::write::untold;
use super::{RemoteFs, WriteOptions, failed, there};
use crate::error::{Error, Operation};
use crate::sftp::{FileType, SftpError, SftpStatus};

/// What is to be so of a file's lines.
#[derive(Debug, Clone)]
#[must_use]
pub struct LineEdit {
    /// Without its end; `None` where lines are only to go.
    line: Option<Vec<u8>>,
    /// Which lines are meant, where it is not the line itself.
    pattern: Option<Regex>,
    which: Which,
    /// Whether lines that differ in white space at their ends alone are the same.
    trims: bool,
    create: bool,
}

/// Which of the lines that fit are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Last,
    Every,
}

/// What an edit of a file changed, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineChange {
    /// Whether anything was changed.
    pub changed: bool,
    /// The change as a unified diff with three lines around it; empty without one.
    pub diff: String,
}

impl LineEdit {
    /// The file is to have this line: it is added behind the last one where no line is the same.
    pub fn present(line: impl Into<Vec<u8>>) -> Self {
        Self {
            line: Some(line.into()),
            pattern: None,
            which: Which::Last,
            trims: false,
            create: false,
        }
    }

    /// The file is to have no line that is the same as this one.
    pub fn absent(line: impl AsRef<[u8]>) -> Self {
        let text = line.as_ref().iter().map(|byte| format!("\\x{byte:02x}"));
        let pattern = format!("(?-u)^(?:{})$", text.collect::<String>());
        Self {
            line: None,
            pattern: Regex::new(&pattern).ok(),
            which: Which::Every,
            trims: false,
            create: false,
        }
    }

    /// The file is to have no line in which this regular expression finds anything.
    ///
    /// # Errors
    ///
    /// `Pattern` if it is none.
    pub fn absent_matching(pattern: &str) -> Result<Self, Error> {
        Ok(Self {
            line: None,
            pattern: Some(regex(pattern)?),
            which: Which::Every,
            trims: false,
            create: false,
        })
    }

    /// Has the line take the place of the last one in which this regular expression finds anything;
    /// where there is none, the line is added unless one is the same.
    ///
    /// # Errors
    ///
    /// `Pattern` if it is none.
    pub fn replacing(self, pattern: &str) -> Result<Self, Error> {
        self.meaning(pattern, Which::Last)
    }

    /// As [`LineEdit::replacing`], but of the first such line.
    ///
    /// # Errors
    ///
    /// `Pattern` if it is none.
    pub fn replacing_first(self, pattern: &str) -> Result<Self, Error> {
        self.meaning(pattern, Which::First)
    }

    /// As [`LineEdit::replacing`], but of every such line.
    ///
    /// # Errors
    ///
    /// `Pattern` if it is none.
    pub fn replacing_every(self, pattern: &str) -> Result<Self, Error> {
        self.meaning(pattern, Which::Every)
    }

    fn meaning(mut self, pattern: &str, which: Which) -> Result<Self, Error> {
        self.pattern = Some(regex(pattern)?);
        self.which = match self.line {
            Some(_) => which,
            None => Which::Every,
        };
        Ok(self)
    }

    /// Has a line that is there already, but for white space at its ends, count as the same. Default:
    /// it has to be the same to the byte.
    pub fn ignoring_space(mut self) -> Self {
        self.trims = true;
        self
    }

    /// Has a file that is not there be made. Default: that is an error where a line is to be there.
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }

    /// Returns whether it fails where there is no file.
    pub(super) fn needs_file(&self) -> bool {
        self.line.is_some() && !self.create
    }

    /// Returns the file's bytes as they are to be, with the change; `None` if they are so already.
    ///
    /// # Errors
    ///
    /// `Pattern` if the line has a newline in it.
    pub fn apply(&self, path: &[u8], old: &[u8]) -> Result<Option<(Vec<u8>, LineChange)>, Error> {
        if self.line.as_ref().is_some_and(|line| line.contains(&b'\n')) {
            return Err(Error::Pattern {
                message: "a line has no newline in it".to_owned(),
            });
        }
        let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
        let edits = self.edits(&lines);
        if edits.is_empty() {
            return Ok(None);
        }
        let (mut bytes, mut at) = (Vec::with_capacity(old.len() + 256), 0);
        for edit in &edits {
            bytes.extend(lines[at..edit.at].concat());
            bytes.extend(edit.added.concat());
            at = edit.at + edit.removed;
        }
        bytes.extend(lines[at..].concat());
        let change = LineChange {
            changed: true,
            diff: unified(path, &lines, &edits),
        };
        Ok(Some((bytes, change)))
    }

    fn edits(&self, lines: &[&[u8]]) -> Vec<Edit> {
        let fits = |pattern: &Regex, line: &[u8]| pattern.is_match(text(line));
        let meant: Vec<usize> = match &self.pattern {
            Some(pattern) => (0..lines.len())
                .filter(|&at| fits(pattern, lines[at]))
                .collect(),
            None => Vec::new(),
        };
        let Some(line) = &self.line else {
            let gone = meant.into_iter().map(|at| Edit {
                at,
                removed: 1,
                added: Vec::new(),
            });
            return gone.collect();
        };
        if meant.is_empty() {
            let same = |other: &&[u8]| match self.trims {
                true => other.trim_ascii() == line.trim_ascii(),
                false => text(other) == line,
            };
            return match lines.iter().any(same) {
                true => Vec::new(),
                false => vec![added(line, lines)],
            };
        }
        let meant = match self.which {
            Which::First => &meant[..1],
            Which::Last => &meant[meant.len() - 1..],
            Which::Every => &meant[..],
        };
        let other = meant.iter().filter(|&&at| text(lines[at]) != line);
        let edits = other.map(|&at| Edit {
            at,
            removed: 1,
            // It ends as the old one did, but that an empty one without an end would be none.
            added: vec![match &lines[at][text(lines[at]).len()..] {
                b"" if line.is_empty() => b"\n".to_vec(),
                end => [line, end].concat(),
            }],
        });
        edits.collect()
    }
}

/// Puts a line behind the last one, which gets an end where it has none.
fn added(line: &[u8], lines: &[&[u8]]) -> Edit {
    let line = [line, b"\n"].concat();
    match lines.last() {
        Some(last) if !last.ends_with(b"\n") => Edit {
            at: lines.len() - 1,
            removed: 1,
            added: vec![[last, b"\n".as_slice()].concat(), line],
        },
        _ => Edit {
            at: lines.len(),
            removed: 0,
            added: vec![line],
        },
    }
}

/// Returns a line without its end.
fn text(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

fn regex(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::Pattern {
        message: error.to_string(),
    })
}

impl RemoteFs<'_> {
    /// Brings a file of at most 64 MiB to have a line, or not to; returns what changed.
    ///
    /// It is written whole or not at all, with the permissions of before, and with the owner as
    /// [`WriteOptions::user`] says. Links are followed. Right before the file gets its name it is
    /// read again: if another has changed it meanwhile, the edit begins anew, three times.
    ///
    /// # Errors
    ///
    /// `Changed` if others keep changing it; `NotTold` where the host does not tell its permissions;
    /// `Pattern`; the host's refusal, or the session's
    /// failure. The file is then as it was.
    pub fn line_in_file(
        &self,
        path: impl AsRef<[u8]>,
        edit: &LineEdit,
    ) -> Result<LineChange, Error> {
        let path = path.as_ref();
        for _ in 0..TRIES {
            match self.edit(path, edit) {
                Err(Error::Changed { .. }) => {}
                other => return other,
            }
        }
        Err(changed(path))
    }

    /// Tells what [`RemoteFs::line_in_file`] would change, and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`RemoteFs::line_in_file`].
    pub fn line_in_file_preview(
        &self,
        path: impl AsRef<[u8]>,
        edit: &LineEdit,
    ) -> Result<LineChange, Error> {
        let path = path.as_ref();
        let old = self.old(path, edit)?.unwrap_or_default();
        let edited = edit.apply(path, &old)?;
        Ok(edited.map_or_else(unchanged, |(_, change)| change))
    }

    /// Reads what is edited; `None` where nothing is.
    fn old(&self, path: &[u8], edit: &LineEdit) -> Result<Option<Vec<u8>>, Error> {
        match there(self.read(path, EDIT_BYTES_MAX))? {
            None if edit.needs_file() => {
                let nothing = SftpError::Status(SftpStatus::NO_SUCH_FILE);
                Err(failed(Operation::Open, path)(nothing))
            }
            old => Ok(old),
        }
    }

    fn edit(&self, path: &[u8], edit: &LineEdit) -> Result<LineChange, Error> {
        // The name of the file is given to the edited one, not that of a link to it.
        let at = there(self.lstat(path))?;
        let link = at.is_some_and(|at| at.file_type() == FileType::Link);
        let target = match link {
            true => self.real_path(path)?,
            false => path.to_vec(),
        };
        let old = self.old(&target, edit)?;
        let before = there(self.lstat(&target))?;
        if before.is_some_and(|before| before.mode.is_none()) {
            return Err(untold(path));
        }
        let Some((bytes, change)) = edit.apply(path, old.as_deref().unwrap_or_default())? else {
            return Ok(unchanged());
        };
        let options = WriteOptions::new();
        self.replace(&target, &bytes, before.as_ref(), &options, || {
            let same = there(self.lstat(&target))? == before && {
                // Times are to the second: only the bytes tell.
                there(self.read(&target, EDIT_BYTES_MAX))? == old
            };
            match same {
                true => Ok(()),
                false => Err(changed(path)),
            }
        })?;
        Ok(change)
    }
}

pub(super) fn unchanged() -> LineChange {
    LineChange {
        changed: false,
        diff: String::new(),
    }
}

pub(super) fn changed(path: &[u8]) -> Error {
    Error::Changed {
        remote: path.to_vec(),
    }
}

/// How often an edit is begun.
pub(super) const TRIES: usize = 3;
/// The largest file that is edited.
pub(super) const EDIT_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
