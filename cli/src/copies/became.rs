//! What became of a host's copies, as the renderers need it: words and numbers, cleaned where shown.

use sshoal::transfer::{Action, TreeReport, WhySkipped};

use super::paths;
use crate::failure::of_copy as of;
use crate::record::Failure;
use crate::sanitise::one_line;
use crate::size;

/// What became of a host's copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) kept: u64,
    pub(crate) directories: u64,
    pub(crate) links: u64,
    pub(crate) deleted: u64,
    /// Paths and why they were skipped.
    pub(crate) skipped: Vec<(Vec<u8>, &'static str)>,
    /// Paths and why they could not be copied.
    pub(crate) failed: Vec<(Vec<u8>, Failure)>,
    /// What was done to which path, where that was asked for.
    pub(crate) changes: Vec<(&'static str, Vec<u8>)>,
    /// What the lists leave out.
    pub(crate) unlisted: u64,
    /// Why not all was looked at.
    pub(crate) ended: Option<Failure>,
    /// Whether the run's end was the reason.
    pub(crate) is_stopped: bool,
}

impl Copies {
    /// Returns why the host failed, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        if let Some(ended) = &self.ended {
            return Some(ended.clone());
        }
        let (path, first) = self.failed.first()?;
        let mut failure = first.clone();
        if self.failed.len() > 1 {
            let (count, path) = (self.failed.len(), paths::shown(path));
            let text = format!(
                "{count} could not be copied, such as {path}: {}",
                first.reason
            );
            failure.reason = one_line(&text).into_owned();
        }
        Some(failure)
    }

    /// Returns how much was copied, for people; `None` if there is nothing to tell.
    pub(crate) fn counts(&self) -> Option<String> {
        let mut counts = match self.files {
            0 => Vec::new(),
            1 => vec![format!("1 file, {}", size::show(self.bytes))],
            files => vec![format!("{files} files, {}", size::show(self.bytes))],
        };
        for (count, word) in [
            (self.links, if self.links == 1 { "link" } else { "links" }),
            (self.kept, "kept"),
            (self.deleted, "deleted"),
            (self.skipped.len() as u64, "skipped"),
        ] {
            if count > 0 {
                counts.push(format!("{count} {word}"));
            }
        }
        (!counts.is_empty()).then(|| counts.join(", "))
    }

    /// Adds a directory's report; `root` is the path that its paths are from.
    pub(super) fn add(&mut self, report: TreeReport, root: &[u8]) {
        let whole = |path: &[u8]| match path {
            [] => root.to_vec(),
            path => paths::join(root, path),
        };
        self.bytes += report.bytes;
        self.files += report.files;
        self.kept += report.kept;
        self.directories += report.directories;
        self.links += report.links;
        self.deleted += report.deleted;
        self.unlisted += report.unlisted;
        let skipped = report.skipped.iter();
        self.skipped.extend(skipped.map(|entry| {
            let why = match entry.why {
                WhySkipped::Link => "link",
                WhySkipped::LinkOutside => "link outside",
                _ => "special",
            };
            (whole(&entry.path), why)
        }));
        let failed = report.failed.iter();
        self.failed
            .extend(failed.map(|entry| (whole(&entry.path), of(&entry.error))));
        let changes = report.changes.iter().map(|change| {
            let word = match change.action {
                Action::MakeDirectory => "mkdir",
                Action::Link => "link",
                Action::Delete => "delete",
                _ => "copy",
            };
            let path = match change.path.as_slice() {
                // The directory itself.
                [] => b".".to_vec(),
                path => path.to_vec(),
            };
            (word, path)
        });
        self.changes.extend(changes);
        self.changes.sort_by(|one, other| one.1.cmp(&other.1));
        if let Some(error) = &report.ended_early {
            self.ended = Some(of(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use sshoal::transfer::Error;

    use super::*;

    #[test]
    fn a_failure_of_many_names_the_first_and_is_harmless() {
        let error = Error::Exists {
            path: b"/etc/\x1b[2J".to_vec(),
        };
        let mut copies = Copies::default();
        assert_eq!(copies.failure(), None);
        copies.failed.push((b"a".to_vec(), of(&error)));
        let one = copies.failure().unwrap();
        assert_eq!((one.phase, one.kind), ("transfer", "exists"));
        assert!(one.reason.starts_with("remote file /etc/\\x1b[2J already"));
        copies.failed.push((b"b".to_vec(), of(&error)));
        let many = copies.failure().unwrap();
        assert!(
            many.reason
                .starts_with("2 could not be copied, such as a: ")
        );
    }
}
