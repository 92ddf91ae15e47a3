//! What is sent: a local file that is read once for all hosts, or bytes.
//!
//! The principal type is [`Source`].

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::{fmt, io};

use parking_lot::Mutex;
use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{Scope, offload};

use crate::checksum::Digest;
use crate::error::{Error, stopped};
use crate::sftp::CHANNEL_BYTES;

/// What is sent to one host or to many. Cheap to clone; clones share what was read.
#[derive(Debug, Clone)]
pub struct Source(Arc<Inner>);

/// What is sent, held by somebody else.
#[derive(Debug)]
pub(crate) struct WeakSource(Weak<Inner>);

struct Inner {
    from: From,
    size: u64,
    /// Permissions and times, where it is a file.
    about: Option<About>,
    cache: Mutex<Cache>,
    digest: OnceLock<Digest>,
    /// Held by who computes the digest.
    hashing: Semaphore,
}

enum From {
    File { path: PathBuf, file: File },
    Bytes(Vec<u8>),
}

/// What is known of a local file besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) permissions: u32,
    /// When it was last read and last changed, in seconds since 1970.
    pub(crate) times: (i64, i64),
    /// The part of a second of the last change.
    pub(crate) nanoseconds: i64,
}

/// Pieces of the file that somebody uses, and those that were used last.
#[derive(Default)]
struct Cache {
    pieces: HashMap<u64, Weak<Vec<u8>>>,
    last: VecDeque<Arc<Vec<u8>>>,
}

impl Source {
    /// Returns a local file's bytes; it is opened here, and has to be a plain file.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is a directory or something else that has no size.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let failed = |error| Error::local(&path)(error);
        // A pipe would hold up whoever opens it, so it is looked at before.
        let is_file = std::fs::metadata(&path).map_err(failed)?.is_file();
        if !is_file {
            let kind = io::ErrorKind::InvalidInput;
            return Err(failed(io::Error::new(kind, "is not a plain file")));
        }
        let file = File::open(&path).map_err(failed)?;
        Self::opened(path, file)
    }

    /// Returns the bytes of a plain file that is open; the path names it in errors.
    pub(crate) fn opened(path: PathBuf, file: File) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(Error::local(&path))?;
        let about = About {
            permissions: metadata.mode() & 0o7777,
            times: (metadata.atime(), metadata.mtime()),
            nanoseconds: metadata.mtime_nsec(),
        };
        Ok(Self::new(
            From::File { path, file },
            metadata.len(),
            Some(about),
        ))
    }

    /// Returns these bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        Self::new(From::Bytes(bytes), size, None)
    }

    fn new(from: From, size: u64, about: Option<About>) -> Self {
        let cache = Mutex::default();
        Self(Arc::new(Inner {
            from,
            size,
            about,
            cache,
            digest: OnceLock::new(),
            hashing: Semaphore::new(1),
        }))
    }

    /// Returns how many bytes there are; of a file, how many there were when it was opened.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    pub(crate) fn about(&self) -> Option<About> {
        self.0.about
    }

    /// Fails if the file was written to since it was opened. One that only grew is taken for what
    /// it was, as files that are appended to are.
    pub(crate) fn check_unchanged(&self) -> io::Result<()> {
        let (From::File { file, .. }, Some(about)) = (&self.0.from, self.0.about) else {
            return Ok(());
        };
        let metadata = file.metadata()?;
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        let same = metadata.len() == self.0.size && changed == (about.times.1, about.nanoseconds);
        match same || metadata.len() > self.0.size {
            true => Ok(()),
            false => Err(io::Error::other("was changed while it was copied")),
        }
    }

    /// Returns the file's path, where it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.0.from {
            From::File { path, .. } => Some(path),
            From::Bytes(_) => None,
        }
    }

    /// Returns it without holding it.
    pub(crate) fn downgrade(&self) -> WeakSource {
        WeakSource(Arc::downgrade(&self.0))
    }

    /// Returns how many bytes it holds at most while nobody uses them.
    pub(crate) fn held_bytes_max(&self) -> u64 {
        self.0.size.min(PIECES_MAX as u64 * PIECE_BYTES)
    }

    /// Returns the digest, computed on the CPU pool by whoever comes first. Parks: the others wait
    /// as green threads, since a pool whose threads wait for one of them does nothing else.
    pub(crate) fn digest(
        &self,
        compute: fn(&Self) -> io::Result<Digest>,
        scope: &Scope,
    ) -> Result<Digest, Error> {
        let turn = self.0.hashing.acquire(scope);
        let _turn = turn.map_err(|stop| Error::Session(stopped(stop, scope)))?;
        if let Some(digest) = self.0.digest.get() {
            return Ok(*digest);
        }
        let own = self.clone();
        let computed = offload(move || compute(&own));
        let computed = computed.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let path = self.path().unwrap_or_else(|| "".as_ref());
        let digest = computed.map_err(Error::local(path))?;
        Ok(*self.0.digest.get_or_init(|| digest))
    }

    /// Fills the buffer from an offset on; all of it must lie within the size.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            filled += self.with_piece(offset + filled as u64, |bytes| {
                let count = bytes.len().min(buffer.len() - filled);
                buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
                count
            })?;
        }
        Ok(())
    }

    /// Gives the bytes that are held together from an offset on, at least one; the offset must lie
    /// within the size.
    pub(crate) fn with_piece<T>(
        &self,
        offset: u64,
        take: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let inner = &*self.0;
        let piece;
        let (bytes, skip): (&[u8], u64) = match &inner.from {
            From::Bytes(bytes) => (bytes, offset),
            From::File { file, .. } => {
                piece = inner.piece(file, offset / PIECE_BYTES)?;
                (&piece, offset % PIECE_BYTES)
            }
        };
        let skip = usize::try_from(skip).map_err(io::Error::other)?;
        // Beyond its end, or the file is shorter than it was.
        let rest = bytes.get(skip..).filter(|rest| !rest.is_empty());
        Ok(take(rest.ok_or(io::ErrorKind::UnexpectedEof)?))
    }
}

impl WeakSource {
    /// Returns it, if somebody holds it still.
    pub(crate) fn upgrade(&self) -> Option<Source> {
        self.0.upgrade().map(Source)
    }
}

impl Inner {
    /// Returns a piece of the file: one that somebody holds, or else read from it.
    fn piece(&self, file: &File, number: u64) -> io::Result<Arc<Vec<u8>>> {
        let held = self
            .cache
            .lock()
            .pieces
            .get(&number)
            .and_then(Weak::upgrade);
        if let Some(piece) = held {
            return Ok(piece);
        }
        let from = number * PIECE_BYTES;
        let length = self.size.saturating_sub(from).min(PIECE_BYTES);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], from + filled as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let piece = Arc::new(bytes);
        let mut cache = self.cache.lock();
        if cache.last.len() >= PIECES_MAX {
            cache.last.pop_front();
            cache.pieces.retain(|_, piece| piece.strong_count() > 0);
        }
        cache.last.push_back(Arc::clone(&piece));
        cache.pieces.insert(number, Arc::downgrade(&piece));
        Ok(piece)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match &self.from {
            From::File { path, .. } => Some(path),
            From::Bytes(_) => None,
        };
        f.debug_struct("Source")
            .field("path", &path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Bytes of a file that are read at once, and shared by the hosts that are near each other in it:
/// as many as OpenSSH's server takes in one write. Each host holds one at most.
const PIECE_BYTES: u64 = 7 * CHANNEL_BYTES as u64;
/// Pieces that are held when nobody uses them.
const PIECES_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_at_any_place_and_once() {
        let dir = tempfile::tempdir().expect("makes a folder");
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| ((n * 31) >> 7) as u8).collect();
        std::fs::write(&path, &bytes).expect("writes");
        let source = Source::file(&path).expect("opens");
        assert_eq!(source.size(), 3_000_000);
        let again = source.clone();
        for (offset, count) in [(0, 5), (1_048_570, 20), (999, 2_500_000), (2_999_999, 1)] {
            let mut buffer = vec![0; count];
            source.read_at(offset as u64, &mut buffer).expect("reads");
            assert_eq!(buffer, bytes[offset..offset + count]);
        }
        // What was read is shared, and stays whatever becomes of the file meanwhile.
        std::fs::write(&path, "short").expect("writes");
        let mut buffer = vec![0; 100];
        again.read_at(2_000_000, &mut buffer).expect("is held");
        assert_eq!(buffer, bytes[2_000_000..2_000_100]);
        let past = source.read_at(2_999_950, &mut buffer);
        assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_became_shorter_is_told() {
        let dir = tempfile::tempdir().expect("makes a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, vec![7; 5000]).expect("writes");
        let source = Source::file(&path).expect("opens");
        std::fs::write(&path, "short").expect("writes");
        let read = source.read_at(0, &mut [0; 10]);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(Source::file(dir.path()).is_err(), "a folder");
    }
}
