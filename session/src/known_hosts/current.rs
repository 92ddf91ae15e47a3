//! What the file that keys are appended to holds at this moment: other programs add to it too.

use std::fs::{File, Metadata};
use std::io::{self, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{KnownHosts, read_bounded};

/// The lines of the file, read again only where it changed. To be used under the file's lock.
#[derive(Debug, Default)]
pub(super) struct Current {
    known: KnownHosts,
    /// Of the file whose lines these are.
    stamp: Option<Stamp>,
}

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl Current {
    /// Returns what the file holds.
    pub(super) fn read(&mut self, mut file: &File, path: &Path) -> io::Result<&KnownHosts> {
        let stamp = Stamp::of(&file.metadata()?);
        if self.stamp.as_ref() != Some(&stamp) {
            file.rewind()?;
            let mut known = KnownHosts::new();
            known.add_text(&read_bounded(file)?, path);
            *self = Self {
                known,
                stamp: Some(stamp),
            };
        }
        Ok(&self.known)
    }

    /// Takes note of whole lines that were appended since the last [`read`](Self::read).
    pub(super) fn appended(&mut self, text: &[u8], file: &File, path: &Path) -> io::Result<()> {
        self.known.add_text(text, path);
        let stamp = Stamp::of(&file.metadata()?);
        let before = self.stamp.take().map_or(0, |before| before.length);
        // ssh takes no lock: what it put between is still to be read.
        self.stamp = (stamp.length == before + text.len() as u64).then_some(stamp);
        Ok(())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// Another program appends between our look and our append, and is found at the next look.
    #[test]
    fn what_comes_between_is_read_next_time() {
        const KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let mut current = Current::default();
        assert_eq!(current.read(file.as_file(), &path).unwrap().len(), 0);
        for (foreign, ours, seen) in [("", "a", 1), ("x", "b", 3), ("", "c", 4)] {
            if !foreign.is_empty() {
                writeln!(file, "{foreign} {KEY}").unwrap();
            }
            let line = format!("{ours} {KEY}\n");
            file.write_all(line.as_bytes()).unwrap();
            current
                .appended(line.as_bytes(), file.as_file(), &path)
                .unwrap();
            assert_eq!(
                current.read(file.as_file(), &path).unwrap().len(),
                seen,
                "{ours}"
            );
        }
    }
}
