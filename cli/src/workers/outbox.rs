//! Frames that wait to be written, by a thread of their own: whoever has something to say never
//! waits for the other side.
//!
//! What waits here is bounded by what the two sides allow each other: windows of output, and one
//! piece of input for each command.

use std::collections::VecDeque;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sshoal::Secret;

use super::frame;

/// What waits to be written to one side.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    is_closed: bool,
}

/// Bytes of frames.
#[derive(Debug)]
enum Piece {
    /// Of any number of them.
    Plain(Vec<u8>),
    /// Of one that is erased after.
    Hidden(Secret),
}

impl Outbox {
    /// Puts a frame behind all others. Does not wait.
    pub(super) fn push(&self, head: &impl Serialize, payload: &[u8]) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        if !matches!(state.pieces.back(), Some(Piece::Plain(_))) {
            state.pieces.push_back(Piece::Plain(Vec::new()));
        }
        let Some(Piece::Plain(bytes)) = state.pieces.back_mut() else {
            return;
        };
        let whole = bytes.len();
        if frame::write(bytes, head, payload).is_err() {
            // No head of ours is so; the other side would wait for a frame's rest.
            bytes.truncate(whole);
        }
        drop(state);
        self.more.notify_one();
    }

    /// As [`Self::push`], of a payload that is erased once it is written.
    pub(super) fn push_secret(&self, head: &impl Serialize, payload: &[u8]) {
        let mut bytes = Vec::new();
        if frame::write(&mut bytes, head, payload).is_ok() {
            let mut state = self.lock();
            state.pieces.push_back(Piece::Hidden(Secret::from(bytes)));
            drop(state);
            self.more.notify_one();
        }
    }

    /// Takes no more frames; those that wait are written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.more.notify_one();
    }

    /// Writes all frames until the outbox is closed or the other side is gone; ends this side of
    /// the stream then. Blocks.
    pub(super) fn write_to(&self, mut stream: &UnixStream) {
        loop {
            let mut state = self.lock();
            let piece = loop {
                if let Some(piece) = state.pieces.pop_front() {
                    break Some(piece);
                }
                if state.is_closed {
                    break None;
                }
                let woken = self.more.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let written = match piece {
                Some(Piece::Plain(bytes)) => stream.write_all(&bytes),
                Some(Piece::Hidden(secret)) => stream.write_all(secret.expose()),
                None => break,
            };
            if written.is_err() {
                let mut state = self.lock();
                state.is_closed = true;
                state.pieces.clear();
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
