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

    /// Takes note of whole lines that were appended under the same lock.
    pub(super) fn appended(&mut self, text: &[u8], file: &File, path: &Path) -> io::Result<()> {
        self.known.add_text(text, path);
        self.stamp = Some(Stamp::of(&file.metadata()?));
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
