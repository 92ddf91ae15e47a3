//! One stream of one host, from where it comes in to where it is read: first in, first out.
//!
//! Pure but for the store's file. Pieces lie in memory, each counted against an account, or in the
//! file; a piece that was read to its end is given back at once. The principal type is [`Fifo`].

use std::collections::VecDeque;
use std::io;

use super::line::{Line, LineEnding};
use crate::store::{Region, Store};

/// What a piece of memory is counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The bounds of unread output: this host's and the run's.
    Unread,
    /// The memory for collected output, while somebody waits for the host's end.
    Collected,
}

/// Memory that was freed, by account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "the accounts have to hear of it"]
pub(super) struct Freed {
    pub(super) unread: usize,
    pub(super) collected: usize,
}

/// The unread bytes of one stream.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    segments: VecDeque<Segment>,
    /// Bytes that a reader of lines took off the segments and that end in no line yet: they come
    /// before the segments, and hold no `\n`.
    carry: Vec<u8>,
    /// How many bytes of `carry` were read.
    carry_at: usize,
    /// Bytes that came, those that were cut apart.
    came: u64,
    /// Bytes that were given to readers.
    given: u64,
    /// More came than was asked for.
    pub(super) truncated: bool,
}

#[derive(Debug)]
enum Segment {
    Memory {
        /// Never grows beyond its first capacity, which is what is counted.
        bytes: Vec<u8>,
        at: usize,
        account: Account,
    },
    File {
        regions: Vec<Region>,
        /// The offset in `regions` that comes next.
        at: u64,
    },
}

impl Fifo {
    /// Returns how many bytes came, those that were cut apart.
    pub(super) fn came(&self) -> u64 {
        self.came
    }

    /// Returns how many bytes were given to readers.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Returns how many bytes wait to be read.
    pub(super) fn unread(&self) -> u64 {
        self.came - self.given
    }

    /// Returns whether there is nothing that a waiting reader has not seen.
    pub(super) fn is_dry(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns whether what comes next lies behind bytes in the file.
    pub(super) fn ends_in_file(&self) -> bool {
        matches!(self.segments.back(), Some(Segment::File { .. }))
    }

    /// Puts what fits into memory that is there; returns how much.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let Some(Segment::Memory { bytes: last, .. }) = self.segments.back_mut() else {
            return 0;
        };
        let fits = bytes.len().min(last.capacity() - last.len());
        last.extend_from_slice(&bytes[..fits]);
        self.came += fits as u64;
        fits
    }

    /// Adds an empty piece of memory of so many bytes.
    pub(super) fn add_memory(&mut self, capacity: usize, account: Account) {
        self.segments.push_back(Segment::Memory {
            bytes: Vec::with_capacity(capacity),
            at: 0,
            account,
        });
    }

    /// Puts bytes into the file; on an error, those that were written count as having come.
    pub(super) fn spill(&mut self, bytes: &[u8], store: &Store) -> io::Result<()> {
        if !self.ends_in_file() {
            let regions = Vec::new();
            self.segments.push_back(Segment::File { regions, at: 0 });
        }
        let Some(Segment::File { regions, .. }) = self.segments.back_mut() else {
            unreachable!("it ends in the file, or was made to above");
        };
        let before = len_of(regions);
        let result = store.append(regions, bytes);
        let written = len_of(regions) - before;
        if len_of(regions) == 0 {
            self.segments.pop_back();
        }
        self.came += written;
        result
    }

    /// Reads what comes next, at most `buf` full; 0 if nothing waits.
    pub(super) fn read(&mut self, buf: &mut [u8], store: &Store) -> io::Result<(usize, Freed)> {
        let (mut len, mut freed) = (0, Freed::default());
        let carried = &self.carry[self.carry_at..];
        if !carried.is_empty() {
            len = carried.len().min(buf.len());
            buf[..len].copy_from_slice(&carried[..len]);
            self.carry_at += len;
            if self.carry_at == self.carry.len() {
                (self.carry, self.carry_at) = (Vec::new(), 0);
            }
        }
        while len < buf.len() && !self.segments.is_empty() {
            match self.read_segment(&mut buf[len..], store) {
                Ok((read, of_it)) => {
                    len += read;
                    freed.add(of_it);
                }
                // What was read is the caller's; the error comes again with the next call.
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.given += len as u64;
        Ok((len, freed))
    }

    /// Reads of the first segment, which is there.
    fn read_segment(&mut self, buf: &mut [u8], store: &Store) -> io::Result<(usize, Freed)> {
        let len = match self.segments.front_mut() {
            None => 0,
            Some(Segment::Memory { bytes, at, .. }) => {
                let len = buf.len().min(bytes.len() - *at);
                buf[..len].copy_from_slice(&bytes[*at..*at + len]);
                *at += len;
                len
            }
            Some(Segment::File { regions, at }) => {
                let len = store.read_at(regions, *at, buf)?;
                if len == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *at += len as u64;
                let first = regions.first().map_or(0, Region::len);
                if regions.len() > 1 && *at >= first {
                    *at -= first;
                    store.reuse(regions.remove(0));
                }
                len
            }
        };
        Ok((len, self.drop_read(store)))
    }

    /// Gives back the first segment if it was read to its end.
    fn drop_read(&mut self, store: &Store) -> Freed {
        let mut freed = Freed::default();
        let is_read = match self.segments.front() {
            None => false,
            Some(Segment::Memory { bytes, at, .. }) => *at == bytes.len(),
            Some(Segment::File { regions, at }) => *at == len_of(regions),
        };
        if !is_read {
            return freed;
        }
        match self.segments.pop_front() {
            Some(Segment::Memory { bytes, account, .. }) => match account {
                Account::Unread => freed.unread = bytes.capacity(),
                Account::Collected => freed.collected = bytes.capacity(),
            },
            Some(Segment::File { regions, .. }) => {
                for region in regions {
                    store.reuse(region);
                }
            }
            None => {}
        }
        freed
    }

    /// Takes the next line, terminator included; one with more than `bytes_max` bytes before its
    /// `\n` is given in pieces. `None` if no line has come to its end: what came of it is kept, and is what a read or the
    /// next line begins with.
    pub(super) fn take_line(
        &mut self,
        bytes_max: usize,
        store: &Store,
    ) -> (io::Result<Option<Line>>, Freed) {
        let mut freed = Freed::default();
        if self.carry_at > 0 {
            self.carry.drain(..self.carry_at);
            self.carry_at = 0;
        }
        loop {
            if self.carry.len() > bytes_max {
                return (Ok(Some(self.cut(bytes_max))), freed);
            }
            match self.carry_on(bytes_max, store) {
                Ok((true, of_it)) => {
                    freed.add(of_it);
                    let line = Line::new(std::mem::take(&mut self.carry));
                    self.given += line.with_terminator().len() as u64;
                    return (Ok(Some(line)), freed);
                }
                Ok((false, of_it)) => freed.add(of_it),
                Err(error) => return (Err(error), freed),
            }
            if self.segments.is_empty() && self.carry.len() <= bytes_max {
                return (Ok(None), freed);
            }
        }
    }

    /// Takes what is left when nothing more comes: a last line without a terminator.
    pub(super) fn take_rest(&mut self) -> Option<Line> {
        let bytes = std::mem::take(&mut self.carry);
        let rest = bytes[std::mem::take(&mut self.carry_at)..].to_vec();
        self.given += rest.len() as u64;
        (!rest.is_empty()).then(|| Line::with_ending(rest, LineEnding::None))
    }

    /// Moves bytes of the first segment to the carried ones, up to the end of a line or to
    /// one more than `bytes_max`, which shows that the line goes on; returns whether the line has ended.
    fn carry_on(&mut self, bytes_max: usize, store: &Store) -> io::Result<(bool, Freed)> {
        let room = (bytes_max - self.carry.len()).saturating_add(1);
        let ended = match self.segments.front_mut() {
            None => return Ok((false, Freed::default())),
            Some(Segment::Memory { bytes, at, .. }) => {
                let rest = &bytes[*at..];
                let piece = &rest[..rest.len().min(room)];
                let end = memchr::memchr(b'\n', piece);
                let len = end.map_or(piece.len(), |end| end + 1);
                self.carry.extend_from_slice(&piece[..len]);
                *at += len;
                end.is_some()
            }
            Some(Segment::File { regions, at }) => {
                let begin = self.carry.len();
                self.carry.resize(begin + room.min(FILE_READ), 0);
                let read = store.read_at(regions, *at, &mut self.carry[begin..]);
                let len = *read.as_ref().unwrap_or(&0);
                let end = memchr::memchr(b'\n', &self.carry[begin..begin + len]);
                let len = end.map_or(len, |end| end + 1);
                self.carry.truncate(begin + len);
                read?;
                if len == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *at += len as u64;
                end.is_some()
            }
        };
        Ok((ended, self.drop_read(store)))
    }

    /// Takes a piece of a line that is too long; a `\r` stays with the `\n` that may follow it.
    fn cut(&mut self, bytes_max: usize) -> Line {
        let after_cr = bytes_max > 1 && self.carry[bytes_max - 1] == b'\r';
        let rest = self.carry.split_off(bytes_max - usize::from(after_cr));
        let bytes = std::mem::replace(&mut self.carry, rest);
        self.given += bytes.len() as u64;
        Line::with_ending(bytes, LineEnding::Cut)
    }
}

impl Freed {
    pub(super) fn add(&mut self, other: Self) {
        self.unread += other.unread;
        self.collected += other.collected;
    }
}

fn len_of(regions: &[Region]) -> u64 {
    regions.iter().map(Region::len).sum()
}

/// Bytes read from the file at once for a line.
const FILE_READ: usize = 32 * 1024;
