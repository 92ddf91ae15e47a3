//! What became of a directory that was copied.

use crate::error::Error;

/// What became of a directory that was copied. Paths are from the copied directory on, in bytes.
///
/// Of each list at most 10,000 entries are kept, and of all together those that take at most 64 MiB;
/// [`TreeReport::unlisted`] counts the others.
#[derive(Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct TreeReport {
    /// Files that were copied.
    pub files: u64,
    /// Files that were there, or equal, and stay as they are.
    pub kept: u64,
    /// Files that stay, and got other permissions or times.
    pub adjusted: u64,
    /// Directories that were made.
    pub directories: u64,
    /// Symbolic links that were made.
    pub links: u64,
    /// Files, links and directories that were deleted.
    pub deleted: u64,
    /// Bytes of the files that were copied.
    pub bytes: u64,
    /// What is no file and no directory, and was not copied.
    pub skipped: Vec<SkippedEntry>,
    /// What could not be copied; of a directory, nothing in it was.
    pub failed: Vec<FailedEntry>,
    /// Each change, where that was asked for, in no order.
    pub changes: Vec<Change>,
    /// How many entries the lists leave out.
    pub unlisted: u64,
    /// What ended the copy before all was looked at: the session's failure, or a bound.
    pub ended_early: Option<Error>,
    /// Bytes that the entries of all lists take, with what their errors repeat of them.
    listed_bytes: usize,
}

/// Something that was not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedEntry {
    /// Its path.
    pub path: Vec<u8>,
    /// Why.
    pub why: WhySkipped,
}

/// Why something was not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhySkipped {
    /// It is a symbolic link, and they are skipped.
    Link,
    /// It is a symbolic link that leads out of the copied directory.
    LinkOutside,
    /// It is a device, a pipe or a socket, which is never opened.
    Special,
}

/// Something that could not be copied.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedEntry {
    /// Its path, as it was given: a name that a host made up is not cleaned.
    pub path: Vec<u8>,
    /// Why.
    pub error: Error,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What was changed.
    pub path: Vec<u8>,
    /// How.
    pub action: Action,
}

/// What was done to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A directory was made.
    MakeDirectory,
    /// A file was copied.
    Copy,
    /// A file stays, and got other permissions or times.
    Adjust,
    /// A symbolic link was made.
    Link,
    /// It was deleted, with all in it that is not excluded.
    Delete,
}

impl TreeReport {
    /// Returns whether all was copied but what was skipped.
    pub fn is_success(&self) -> bool {
        self.failed.is_empty() && self.ended_early.is_none()
    }

    pub(crate) fn skip(&mut self, path: Vec<u8>, why: WhySkipped) {
        if self.has_room(self.skipped.len(), path.len()) {
            self.skipped.push(SkippedEntry { path, why });
        }
    }

    pub(crate) fn fail(&mut self, path: Vec<u8>, error: Error) {
        // An error names the path once more.
        if self.has_room(self.failed.len(), 2 * path.len()) {
            self.failed.push(FailedEntry { path, error });
        }
    }

    pub(crate) fn change(&mut self, path: &[u8], action: Action) {
        if self.has_room(self.changes.len(), path.len()) {
            let path = path.to_vec();
            self.changes.push(Change { path, action });
        }
    }

    /// Whether a list takes one more, of so many bytes; if not, it is counted. The first one of a
    /// list is always taken: without it a failure would be none.
    fn has_room(&mut self, length: usize, bytes: usize) -> bool {
        let fits = length < LIST_MAX && self.listed_bytes + bytes <= LISTED_BYTES_MAX;
        if length == 0 || fits {
            self.listed_bytes += bytes;
            return true;
        }
        self.unlisted += 1;
        false
    }
}

/// Entries that a list keeps.
const LIST_MAX: usize = 10_000;
/// Bytes of all lists: a host's names may be 256 KiB long, and its paths 16 KiB.
const LISTED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_so_many_entries_and_bytes_and_a_failure_in_any_case() {
        let mut report = TreeReport::default();
        let long = vec![b'x'; 256 * 1024];
        for _ in 0..1_000 {
            report.skip(long.clone(), WhySkipped::Special);
        }
        assert_eq!(report.skipped.len(), LISTED_BYTES_MAX / long.len());
        let bad = Error::BadName { name: long.clone() };
        report.fail(long, bad);
        let bad = Error::BadName { name: Vec::new() };
        report.fail(b"/".to_vec(), bad);
        assert_eq!(report.failed.len(), 1);
        assert!(!report.is_success());
        assert_eq!(report.unlisted, 1_000 - 256 + 1);

        let mut report = TreeReport::default();
        for _ in 0..LIST_MAX + 5 {
            report.change(b"a", Action::Copy);
        }
        assert_eq!((report.changes.len(), report.unlisted), (LIST_MAX, 5));
    }
}
