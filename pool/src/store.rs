//! Where a run's collected output lies: memory under one bound, and one unlinked file beyond it.
//!
//! One file serves all hosts of a run, so that ten thousand hosts that print much cost one
//! descriptor. Each stream of a host writes into regions of its own, so bytes of hosts that print
//! by turns do not chop the file into pieces.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::limits;

/// The memory and the file of one run.
#[derive(Debug)]
pub(crate) struct Store {
    /// Bytes of memory handed out; never above `memory_bytes_max`.
    memory: AtomicUsize,
    memory_bytes_max: usize,
    /// Where the file is made; the system's folder for temporary files if `None`.
    folder: Option<PathBuf>,
    file: OnceLock<File>,
    /// Held while the file is made, so that it is made once; a leaf, no wait under it.
    making: Mutex<()>,
    /// The end of the last region handed out.
    end: AtomicU64,
    /// Regions that were read to their end and may be written anew. A leaf lock.
    free: Mutex<Vec<Region>>,
}

/// A part of the file that belongs to one stream of one host.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    at: u64,
    len: u64,
    room: u64,
}

impl Region {
    /// Returns how many bytes were written to it.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Store {
    pub(crate) fn new(memory_bytes_max: usize, folder: Option<PathBuf>) -> Self {
        Self {
            memory: AtomicUsize::new(0),
            memory_bytes_max,
            folder,
            file: OnceLock::new(),
            making: Mutex::new(()),
            end: AtomicU64::new(0),
            free: Mutex::default(),
        }
    }

    /// Takes `bytes` of memory out of the bound, if so much is left.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let take = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.memory_bytes_max)
        };
        self.memory
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Gives back what [`Store::reserve`] took.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns the bytes of memory handed out.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Appends bytes to a stream's regions. On an error the bytes that the regions count are
    /// still whole, and the call may be repeated with what is left.
    pub(crate) fn append(&self, regions: &mut Vec<Region>, bytes: &[u8]) -> io::Result<()> {
        let appended = self.write(regions, bytes);
        appended.map_err(|error| in_folder("output", self.folder.as_deref(), error))
    }

    fn write(&self, regions: &mut Vec<Region>, mut bytes: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        while !bytes.is_empty() {
            if regions
                .last()
                .is_none_or(|region| region.len == region.room)
            {
                let room = regions
                    .last()
                    .map_or(REGION_MIN, |r| (r.room * 2).min(REGION_MAX));
                regions.push(self.region(room));
            }
            let region = regions
                .last_mut()
                .expect("a region with room was pushed above");
            let fits = usize::try_from(region.room - region.len).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at(fits.min(bytes.len()));
            file.write_all_at(piece, region.at + region.len)?;
            region.len += piece.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Reads at a stream's offset; 0 at its end.
    pub(crate) fn read_at(
        &self,
        regions: &[Region],
        mut offset: u64,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        for region in regions {
            if offset < region.len {
                let left = usize::try_from(region.len - offset).unwrap_or(usize::MAX);
                let len = left.min(buf.len());
                let buf = &mut buf[..len];
                return self.file()?.read_at(buf, region.at + offset);
            }
            offset -= region.len;
        }
        Ok(0)
    }

    /// Takes a region back whose bytes nobody reads any more.
    pub(crate) fn reuse(&self, region: Region) {
        self.free.lock().push(Region { len: 0, ..region });
    }

    /// Returns an empty region: one that was given back, or another of this size.
    fn region(&self, room: u64) -> Region {
        let free = self.free.lock().pop();
        free.unwrap_or_else(|| Region {
            at: self.end.fetch_add(room, Ordering::Relaxed),
            len: 0,
            room,
        })
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let _making = self.making.lock();
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
        Ok(self.file.get_or_init(|| file))
    }
}

/// Names the folder of a temporary file in what the system said of it; a lack of descriptors stays as it
/// is, since that is waited out (P6).
pub(crate) fn in_folder(what: &str, folder: Option<&Path>, error: io::Error) -> io::Error {
    if limits::is_descriptor_limit(&error) {
        return error;
    }
    let text = match folder {
        Some(folder) => format!("cannot keep {what} in {}: {error}", folder.display()),
        None => format!(
            "cannot keep {what} in {} (TMPDIR names another folder): {error}",
            std::env::temp_dir().display()
        ),
    };
    io::Error::new(error.kind(), text)
}

/// The first region of a stream; holes cost no disk, so it may be generous.
const REGION_MIN: u64 = 2 * 1024 * 1024;
/// Later regions double up to this, so that a terabyte takes some ten thousand of them.
const REGION_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_full_is_named() {
        let full = || io::Error::from_raw_os_error(28);
        let set = in_folder("output", Some("/spill".as_ref()), full());
        assert_eq!(set.kind(), io::ErrorKind::StorageFull);
        let text = set.to_string();
        assert!(
            text.starts_with("cannot keep output in /spill: No space left"),
            "{text}"
        );
        let text = in_folder("input", None, full()).to_string();
        let folder = std::env::temp_dir();
        let expected = format!(
            "in {} (TMPDIR names another folder): No space",
            folder.display()
        );
        assert!(text.contains(&expected), "{text}");
        let none_left = in_folder("output", None, io::Error::from_raw_os_error(24));
        assert!(limits::is_descriptor_limit(&none_left), "{none_left}");
    }

    #[test]
    fn regions_that_were_read_are_written_anew() {
        let store = Store::new(0, None);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        store.append(&mut first, b"first").unwrap();
        let end = store.end.load(Ordering::Relaxed);
        store.reuse(first.remove(0));
        store.append(&mut second, b"2nd").unwrap();
        assert_eq!(store.end.load(Ordering::Relaxed), end, "in the same place");
        let mut buf = [0; 8];
        assert_eq!(store.read_at(&second, 0, &mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"2nd");
    }
}
