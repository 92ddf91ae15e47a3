//! What hosts said, for as long as a run: in memory first, in an unlinked file beyond that.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where bytes are kept.
#[derive(Debug, Default)]
pub(super) struct Store {
    in_memory: usize,
    /// Made for the first bytes that have no room in memory.
    file: Option<File>,
    end: u64,
}

/// Bytes that a [`Store`] keeps.
#[derive(Debug)]
pub(super) enum Kept {
    Memory(Vec<u8>),
    File { at: u64, len: usize },
}

impl Store {
    /// Keeps bytes; in memory too, where they can be in no file.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Kept {
        if self.in_memory + bytes.len() > MEMORY_BYTES_MAX
            && let Ok(kept) = self.keep_in_file(bytes)
        {
            return kept;
        }
        self.in_memory += bytes.len();
        Kept::Memory(bytes.to_vec())
    }

    fn keep_in_file(&mut self, bytes: &[u8]) -> io::Result<Kept> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        let file = self.file.insert(file);
        file.write_all_at(bytes, self.end)?;
        let (at, len) = (self.end, bytes.len());
        self.end += len as u64;
        Ok(Kept::File { at, len })
    }

    /// Returns what was kept.
    ///
    /// # Errors
    /// Reading the file failed.
    pub(super) fn read<'a>(&self, kept: &'a Kept) -> io::Result<Cow<'a, [u8]>> {
        match (kept, &self.file) {
            (Kept::Memory(bytes), _) => Ok(Cow::Borrowed(bytes)),
            (Kept::File { at, len }, Some(file)) => {
                let mut bytes = vec![0; *len];
                file.read_exact_at(&mut bytes, *at)?;
                Ok(Cow::Owned(bytes))
            }
            (Kept::File { .. }, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// What is kept in memory over all hosts.
const MEMORY_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_memory_and_from_the_file() {
        let mut store = Store {
            in_memory: MEMORY_BYTES_MAX - 3,
            ..Store::default()
        };
        let texts = [&b"one"[..], b"two", b"", b"three"];
        let kept = texts.map(|text| store.keep(text));
        assert!(matches!(kept[0], Kept::Memory(_)) && matches!(kept[3], Kept::File { .. }));
        for (kept, text) in kept.iter().zip(texts) {
            assert_eq!(store.read(kept).unwrap(), text);
        }
    }
}
