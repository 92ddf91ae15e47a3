//! A host's collected output: in memory first, in a file beyond that, cut only on request.
//!
//! The principal type is [`Collected`], one stream of one host.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use sshoal_session::OutputStream;

use crate::store::{Region, Store};

/// What one stream of one host's command printed, byte for byte.
///
/// Up to 1 MiB per host lies in memory; more is in an unlinked temporary file that is shared by
/// the run and goes away with the last of its outcomes. [`Collected::bytes`] and
/// [`Collected::reader`] hide the difference.
pub struct Collected {
    /// All bytes, or none once they are in the file.
    memory: Vec<u8>,
    /// What `memory` has reserved from the store: its capacity.
    reserved: usize,
    /// Empty while the bytes are in memory.
    regions: Vec<Region>,
    len: u64,
    truncated: bool,
    store: Arc<Store>,
}

impl Collected {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self {
            memory: Vec::new(),
            reserved: 0,
            regions: Vec::new(),
            len: 0,
            truncated: false,
            store: Arc::clone(store),
        }
    }

    /// Returns how many bytes were collected.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the host printed more than was collected, because a bound was asked for.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Returns whether the bytes lie in the temporary file.
    pub fn is_spilled(&self) -> bool {
        !self.regions.is_empty()
    }

    /// Returns the same output once more, if it lies in the temporary file: whoever reads it piece by
    /// piece can let the outcome go. `None` while it is in memory.
    pub fn spilled(&self) -> Option<Self> {
        self.is_spilled().then(|| Self {
            memory: Vec::new(),
            reserved: 0,
            regions: self.regions.clone(),
            len: self.len,
            truncated: self.truncated,
            store: Arc::clone(&self.store),
        })
    }

    /// Returns all bytes: borrowed where they lie in memory, read from the file otherwise.
    ///
    /// # Errors
    /// Reading the temporary file failed.
    pub fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        if !self.is_spilled() {
            return Ok(Cow::Borrowed(&self.memory));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).unwrap_or(0));
        self.reader().read_to_end(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Returns all bytes as text; what is no UTF-8 is replaced by U+FFFD.
    ///
    /// # Errors
    /// Reading the temporary file failed.
    pub fn text(&self) -> io::Result<String> {
        Ok(match self.bytes()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
        })
    }

    /// Returns a reader over the bytes, from the first; it holds no copy of them.
    pub fn reader(&self) -> CollectedReader<'_> {
        CollectedReader {
            collected: self,
            offset: 0,
        }
    }

    /// Adds bytes: to memory while `memory_left` and the run's bound allow it, to the file
    /// otherwise.
    fn append(&mut self, bytes: &[u8], memory_left: usize) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.is_spilled() && self.make_room(self.memory.len() + bytes.len(), memory_left) {
            self.memory.extend_from_slice(bytes);
        } else {
            if !self.memory.is_empty() {
                self.store.append(&mut self.regions, &self.memory)?;
            }
            // Only now: had the file failed, the bytes would be in memory still.
            self.memory = Vec::new();
            self.store.give_back(std::mem::take(&mut self.reserved));
            self.store.append(&mut self.regions, bytes)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Grows the memory to hold `len` bytes, within the bounds; returns whether it could.
    fn make_room(&mut self, len: usize, memory_left: usize) -> bool {
        if len <= self.reserved {
            return true;
        }
        if len > memory_left {
            return false;
        }
        let roomy = len
            .next_power_of_two()
            .clamp(MEMORY_MIN, memory_left.max(len));
        let Some(reserved) = [roomy, len]
            .into_iter()
            .find(|cap| self.store.reserve(cap - self.reserved))
        else {
            return false;
        };
        self.memory.reserve_exact(reserved - self.memory.len());
        self.reserved = reserved;
        true
    }
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected")
            .field("len", &self.len)
            .field("truncated", &self.truncated)
            .field("spilled", &self.is_spilled())
            .finish_non_exhaustive()
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.store.give_back(self.reserved);
    }
}

/// Reads collected output from its first byte; [`Collected::reader`] makes it.
#[derive(Debug)]
pub struct CollectedReader<'a> {
    collected: &'a Collected,
    offset: u64,
}

impl Read for CollectedReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Collected {
            memory,
            regions,
            store,
            ..
        } = self.collected;
        let len = if self.collected.is_spilled() {
            store.read_at(regions, self.offset, buf)?
        } else {
            let at = usize::try_from(self.offset).unwrap_or(memory.len());
            (&memory[at..]).read(buf)?
        };
        self.offset += len as u64;
        Ok(len)
    }
}

/// Both streams of one host while its command runs.
#[derive(Debug)]
pub(crate) struct HostOutput {
    pub(crate) stdout: Collected,
    pub(crate) stderr: Collected,
    /// The most bytes collected of each stream; all if `None`.
    bytes_max: Option<u64>,
}

impl HostOutput {
    pub(crate) fn new(store: &Arc<Store>, bytes_max: Option<u64>) -> Self {
        Self {
            stdout: Collected::new(store),
            stderr: Collected::new(store),
            bytes_max,
        }
    }

    /// Marks a stream of which more came than is here.
    pub(crate) fn mark_truncated(&mut self, stream: OutputStream) {
        match stream {
            OutputStream::Stdout => self.stdout.truncated = true,
            OutputStream::Stderr => self.stderr.truncated = true,
        }
    }

    /// Collects bytes of a stream. May be called again with the same bytes after an error that
    /// came before the first of them was taken, which `EMFILE` always is.
    pub(crate) fn append(&mut self, stream: OutputStream, bytes: &[u8]) -> io::Result<()> {
        let (this, other) = match stream {
            OutputStream::Stdout => (&mut self.stdout, &self.stderr),
            OutputStream::Stderr => (&mut self.stderr, &self.stdout),
        };
        let room = self.bytes_max.map_or(u64::MAX, |max| max - this.len);
        let keep = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        this.append(
            &bytes[..keep],
            HOST_MEMORY_MAX.saturating_sub(other.reserved),
        )?;
        this.truncated |= keep < bytes.len();
        Ok(())
    }
}

/// Bytes of one host that are collected in memory before they go to the file.
pub(crate) const HOST_MEMORY_MAX: usize = 1024 * 1024;
/// The first piece of memory of a stream; most commands print a line.
const MEMORY_MIN: usize = 64;

#[cfg(test)]
mod tests;
