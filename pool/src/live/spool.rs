//! The unread output of one host: both streams, their order, and how much memory they have.
//!
//! The principal type is [`Spool`]; it is always under its host's lock.

use std::collections::VecDeque;
use std::io;

use sshoal_session::OutputStream;

use super::fifo::{Account, Fifo, Freed};
use super::line::Line;
use crate::output::HOST_MEMORY_MAX;
use crate::store::Store;
use crate::worker::CHUNK_MAX;

/// The unread output of one host.
#[derive(Debug, Default)]
pub(super) struct Spool {
    stdout: Fifo,
    stderr: Fifo,
    /// Where the streams take turns: each entry is a stream and how far it had come at its end.
    /// Neighbours are of different streams.
    order: VecDeque<(OutputStream, u64)>,
    /// Memory within the bounds of unread output.
    held: usize,
    /// Memory for collected output, taken from the store.
    lent: usize,
    /// Readers of one stream alone that wait for it.
    pub(super) parked: [usize; 2],
    /// Whether the host is in the list of those that have something for who waits.
    pub(super) queued: bool,
    /// Whether the host was refused memory by the run's bound.
    pub(super) starving: bool,
    /// Set when nothing more comes, after the outcome.
    pub(super) ended: bool,
}

/// What bounds one host's output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Memory for unread output of the host.
    pub(super) unread_bytes_max: usize,
    /// Bytes of each stream after which the rest is thrown away.
    pub(super) output_bytes_max: Option<u64>,
}

/// What a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    One(OutputStream),
    Both,
}

impl Spool {
    pub(super) fn stream(&self, stream: OutputStream) -> &Fifo {
        match stream {
            OutputStream::Stdout => &self.stdout,
            OutputStream::Stderr => &self.stderr,
        }
    }

    fn stream_mut(&mut self, stream: OutputStream) -> &mut Fifo {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    /// Returns whether nothing waits to be read.
    pub(super) fn is_empty(&self, which: Which) -> bool {
        match which {
            Which::One(stream) => self.stream(stream).unread() == 0,
            Which::Both => self.stdout.unread() == 0 && self.stderr.unread() == 0,
        }
    }

    /// Returns whether somebody waits for one stream alone, and would for ever if bytes of the other
    /// held the host up.
    pub(super) fn is_awaited(&self) -> bool {
        let is_awaited = |stream| self.parked[position(stream)] > 0 && self.stream(stream).is_dry();
        is_awaited(OutputStream::Stdout) || is_awaited(OutputStream::Stderr)
    }

    /// Returns how many of these bytes are kept; marks the stream where some are not.
    pub(super) fn admit(&mut self, stream: OutputStream, len: usize, limits: &Limits) -> usize {
        let this = self.stream_mut(stream);
        let room = limits
            .output_bytes_max
            .map_or(u64::MAX, |max| max.saturating_sub(this.came()));
        let keep = len.min(usize::try_from(room).unwrap_or(usize::MAX));
        this.truncated |= keep < len;
        keep
    }

    /// Adds bytes within the bounds; returns how many, 0 if the host has to wait. `share` asks for
    /// memory that all hosts share: at least and at most so much.
    pub(super) fn append(
        &mut self,
        (stream, bytes): (OutputStream, &[u8]),
        limits: &Limits,
        share: impl FnOnce(usize, usize) -> Option<usize>,
    ) -> usize {
        let before = self.stream(stream).came();
        if self.stream_mut(stream).fill(bytes) == 0 {
            let Some(capacity) = self.grant(stream, bytes.len(), limits, share) else {
                return 0;
            };
            self.held += capacity;
            let this = self.stream_mut(stream);
            this.add_memory(capacity, Account::Unread);
            this.fill(bytes);
        }
        self.note_order(stream, before)
    }

    /// Adds bytes beyond the bounds: to the memory for collected output, or to the file.
    pub(super) fn collect(
        &mut self,
        (stream, bytes): (OutputStream, &[u8]),
        store: &Store,
    ) -> (usize, io::Result<()>) {
        let capacity = bytes.len().clamp(GRANT_MIN, CHUNK_MAX);
        let fits = self.held + self.lent + capacity <= HOST_MEMORY_MAX;
        let this = self.stream_mut(stream);
        let before = this.came();
        let result = if !this.ends_in_file() && fits && store.reserve(capacity) {
            this.add_memory(capacity, Account::Collected);
            this.fill(bytes);
            self.lent += capacity;
            Ok(())
        } else {
            this.spill(bytes, store)
        };
        (self.note_order(stream, before), result)
    }

    /// Returns the capacity of a piece of memory for so many bytes, at most; `None`: there is none.
    fn grant(
        &self,
        stream: OutputStream,
        len: usize,
        limits: &Limits,
        share: impl FnOnce(usize, usize) -> Option<usize>,
    ) -> Option<usize> {
        let unread = usize::try_from(self.stream(stream).unread()).unwrap_or(usize::MAX);
        // Many small pieces cost more than few large ones, and one line needs a small one only.
        let most = len.max(unread).clamp(PIECE_MIN, CHUNK_MAX);
        let least = len.clamp(PIECE_MIN, GRANT_MIN);
        let room = limits.unread_bytes_max.saturating_sub(self.held);
        if room < least {
            return None;
        }
        let most = most.min(room);
        let own = OWN_BYTES.saturating_sub(self.held);
        if own >= most {
            return Some(most);
        }
        match share(least.saturating_sub(own).max(1), most - own) {
            Some(shared) => Some(own + shared),
            None => (own >= least).then_some(own),
        }
    }

    /// Notes whose bytes came last; returns how many since the stream had come so far.
    fn note_order(&mut self, stream: OutputStream, before: u64) -> usize {
        let came = self.stream(stream).came();
        if came == before {
            return 0;
        }
        let len = self.order.len();
        let at = match self.order.back() {
            Some((last, _)) if *last == stream => Some(len - 1),
            // Between its streams SSH keeps no order, so neither must this for ever.
            _ if len >= ORDER_MAX => Some(len - 2),
            _ => None,
        };
        match at {
            Some(at) => self.order[at].1 = came,
            None => self.order.push_back((stream, came)),
        }
        usize::try_from(came - before).unwrap_or(usize::MAX)
    }

    /// Reads what comes next of one stream, or of the one whose bytes came first; 0 if there is
    /// nothing.
    pub(super) fn read(
        &mut self,
        which: Which,
        buf: &mut [u8],
        store: &Store,
    ) -> io::Result<(OutputStream, usize, Freed)> {
        let (stream, most) = match which {
            Which::One(stream) => (stream, buf.len()),
            Which::Both => self.next_in_order(buf.len()),
        };
        let (len, freed) = self.stream_mut(stream).read(&mut buf[..most], store)?;
        self.forget_order();
        Ok((stream, len, freed))
    }

    /// Takes the next line of either stream, begun with the one whose bytes came first. After the
    /// host's end the last line needs no terminator.
    pub(super) fn take_line(
        &mut self,
        which: Which,
        bytes_max: usize,
        store: &Store,
    ) -> (io::Result<Option<(OutputStream, Line)>>, Freed) {
        let first = match which {
            Which::One(stream) => stream,
            Which::Both => self.next_in_order(0).0,
        };
        let streams = [first, other(first)];
        let streams = match which {
            Which::One(_) => &streams[..1],
            Which::Both => &streams[..],
        };
        let mut freed = Freed::default();
        for stream in streams {
            let this = self.stream_mut(*stream);
            let (line, of_it) = this.take_line(bytes_max, store);
            freed.add(of_it);
            let line = match line {
                Ok(None) if self.ended => self.stream_mut(*stream).take_rest(),
                Ok(line) => line,
                Err(error) => return (Err(error), freed),
            };
            if let Some(line) = line {
                self.forget_order();
                return (Ok(Some((*stream, line))), freed);
            }
        }
        (Ok(None), freed)
    }

    /// Counts freed memory out; returns how many bytes of it all hosts share.
    pub(super) fn settle(&mut self, freed: Freed, store: &Store) -> usize {
        let shared = self.held.saturating_sub(OWN_BYTES);
        self.held -= freed.unread;
        if freed.collected > 0 {
            self.lent -= freed.collected;
            store.give_back(freed.collected);
        }
        shared - self.held.saturating_sub(OWN_BYTES)
    }

    /// Returns the memory within the bounds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Returns the stream whose bytes are next, and how many of `most` are its in a row.
    fn next_in_order(&self, most: usize) -> (OutputStream, usize) {
        let Some((stream, end)) = self.order.front() else {
            return (OutputStream::Stdout, 0);
        };
        let left = end - self.stream(*stream).given();
        (
            *stream,
            most.min(usize::try_from(left).unwrap_or(usize::MAX)),
        )
    }

    /// Forgets turns that were read.
    fn forget_order(&mut self) {
        while let Some((stream, end)) = self.order.front() {
            if self.stream(*stream).given() < *end {
                return;
            }
            self.order.pop_front();
        }
    }
}

/// The place of a stream in a pair.
pub(super) fn position(stream: OutputStream) -> usize {
    match stream {
        OutputStream::Stdout => 0,
        OutputStream::Stderr => 1,
    }
}

fn other(stream: OutputStream) -> OutputStream {
    match stream {
        OutputStream::Stdout => OutputStream::Stderr,
        OutputStream::Stderr => OutputStream::Stdout,
    }
}

/// Memory for unread output that each host has for itself, whatever others hold.
pub(super) const OWN_BYTES: usize = 8 * 1024;
/// The smallest piece of memory that is asked for, unless fewer bytes came.
pub(super) const GRANT_MIN: usize = 1024;
/// The smallest piece of memory; most commands print a line.
const PIECE_MIN: usize = 64;
/// Turns that are remembered; more are made into fewer.
const ORDER_MAX: usize = 1024;
