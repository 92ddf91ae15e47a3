//! Which part of an input is in memory, and who still needs it: no reading, no waiting, no clock.
//!
//! The principal type is [`Window`].

use std::collections::VecDeque;
use std::sync::Arc;

/// Pieces of an input in the order they were read, and where each host is.
///
/// A host is waiting for its command, behind the window, in it, or done. A piece leaves the memory
/// when no host in the window needs it any more; as long as others may come for it, only once it is
/// kept elsewhere.
#[derive(Debug)]
pub(super) struct Window {
    pieces: VecDeque<Piece>,
    /// The number of the first piece in memory, and its offset in the input.
    first: u64,
    offset: u64,
    bytes: usize,
    bytes_max: usize,
    hosts: Vec<Place>,
    waiting: usize,
    behind: usize,
    inside: usize,
    /// Hosts in the window that have had all of it.
    at_end: usize,
    /// Whether all was read.
    complete: bool,
    /// Pieces before this one are kept elsewhere.
    kept: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Arc<[u8]>,
    /// Hosts that have it or need it next.
    held: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    /// Needs the input from this offset.
    Behind(u64),
    /// Has or needs the piece of this number.
    Inside {
        piece: u64,
        has: bool,
    },
    Done,
}

/// What a host is to be given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Piece(Arc<[u8]>),
    /// So many bytes at most, from an offset of what is kept elsewhere.
    Kept {
        offset: u64,
        len: u64,
    },
    Later,
    End,
}

/// What whoever reads the input is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    Read,
    /// Keep a piece elsewhere, at its offset, and say so by [`Window::kept`].
    Keep {
        piece: u64,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Wait,
    /// Nobody needs any more of it.
    Stop,
}

impl Window {
    /// Returns an empty window for hosts that all wait; `kept`: all of it is elsewhere already.
    pub(super) fn new(hosts: usize, bytes_max: usize, kept: bool) -> Self {
        Self {
            pieces: VecDeque::new(),
            first: 0,
            offset: 0,
            bytes: 0,
            bytes_max,
            hosts: vec![Place::Waiting; hosts],
            waiting: hosts,
            behind: 0,
            inside: 0,
            at_end: 0,
            complete: false,
            kept: if kept { u64::MAX } else { 0 },
        }
    }

    /// Notes that a host's command was accepted.
    pub(super) fn begin(&mut self, host: usize) {
        if self.hosts[host] != Place::Waiting {
            return;
        }
        self.waiting -= 1;
        if self.offset == 0 {
            self.enter(host);
        } else {
            self.behind += 1;
            self.hosts[host] = Place::Behind(0);
        }
        self.trim();
    }

    /// Notes that a host needs nothing any more.
    pub(super) fn ended(&mut self, host: usize) {
        match std::mem::replace(&mut self.hosts[host], Place::Done) {
            Place::Waiting => self.waiting -= 1,
            Place::Behind(_) => self.behind -= 1,
            Place::Inside { piece, .. } => {
                self.inside -= 1;
                self.let_go(piece);
            }
            Place::Done => {}
        }
        self.trim();
    }

    /// Returns what a host is to be given next; it has dealt with what it was given before.
    pub(super) fn next(&mut self, host: usize) -> Next {
        if let Place::Inside { piece, has: true } = self.hosts[host] {
            self.let_go(piece);
            self.hold(host, piece + 1);
            self.trim();
        }
        match self.hosts[host] {
            Place::Behind(offset) => Next::Kept {
                offset,
                len: self.offset - offset,
            },
            Place::Inside { piece, .. } => match self.pieces.get(self.index(piece)) {
                Some(found) => {
                    self.hosts[host] = Place::Inside { piece, has: true };
                    Next::Piece(Arc::clone(&found.bytes))
                }
                None if self.complete => Next::End,
                None => Next::Later,
            },
            Place::Waiting | Place::Done => Next::End,
        }
    }

    /// Notes that a host behind the window was given so many bytes of what is kept elsewhere.
    pub(super) fn given(&mut self, host: usize, bytes: u64) {
        let Place::Behind(offset) = &mut self.hosts[host] else {
            return;
        };
        *offset += bytes;
        if *offset == self.offset {
            self.behind -= 1;
            self.enter(host);
            self.trim();
        }
    }

    /// Returns what whoever reads the input is to do next.
    pub(super) fn task(&mut self) -> Task {
        if self.waiting + self.behind + self.inside == 0 {
            return Task::Stop;
        }
        while self.bytes >= self.bytes_max || self.pieces.len() >= PIECES_MAX {
            let Some(front) = self.pieces.front().filter(|front| front.held == 0) else {
                return Task::Wait;
            };
            // Who is behind holds the others up too, and nothing is read for those who only wait.
            if self.inside == 0 || self.behind > 0 {
                return Task::Wait;
            }
            if self.kept <= self.first {
                return Task::Keep {
                    piece: self.first,
                    offset: self.offset,
                    bytes: Arc::clone(&front.bytes),
                };
            }
            self.drop_first();
        }
        Task::Read
    }

    /// Notes that a piece, and all before it, are kept elsewhere.
    pub(super) fn kept(&mut self, piece: u64) {
        self.kept = self.kept.max(piece + 1);
    }

    /// Adds what was read; nothing is the end.
    pub(super) fn push(&mut self, bytes: Arc<[u8]>) {
        if bytes.is_empty() {
            self.complete = true;
            return;
        }
        self.bytes += bytes.len();
        let held = std::mem::take(&mut self.at_end);
        self.pieces.push_back(Piece { bytes, held });
        self.trim();
    }

    /// Returns how much is in memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a host before the first piece in memory.
    fn enter(&mut self, host: usize) {
        self.inside += 1;
        self.hold(host, self.first);
    }

    fn hold(&mut self, host: usize, piece: u64) {
        self.hosts[host] = Place::Inside { piece, has: false };
        let index = self.index(piece);
        match self.pieces.get_mut(index) {
            Some(piece) => piece.held += 1,
            None => self.at_end += 1,
        }
    }

    fn let_go(&mut self, piece: u64) {
        let index = self.index(piece);
        match self.pieces.get_mut(index) {
            Some(piece) => piece.held -= 1,
            None => self.at_end -= 1,
        }
    }

    /// Drops what nobody can come for any more.
    fn trim(&mut self) {
        while self.waiting + self.behind == 0
            && self.pieces.front().is_some_and(|front| front.held == 0)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(front) = self.pieces.pop_front() {
            self.first += 1;
            self.offset += front.bytes.len() as u64;
            self.bytes -= front.bytes.len();
        }
    }

    /// The place of a piece in memory; a host in the window is never before the first one.
    fn index(&self, piece: u64) -> usize {
        usize::try_from(piece - self.first).unwrap_or(usize::MAX)
    }
}

/// Pieces in memory at once: those of a reader that gives single bytes are small.
const PIECES_MAX: usize = 1024;
