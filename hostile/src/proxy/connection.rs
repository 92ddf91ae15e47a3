//! One connection through the proxy: bytes wait for their moment, and go on in the script's pieces.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
};

use super::editor::{Editor, Piece};
use super::{Counts, Direction, Ending, SMALL, Script};

/// One connection with its two directions.
pub(super) struct Connection<'s> {
    script: &'s Script,
    /// The client's and the server's, in this order.
    sockets: [TcpStream; 2],
    ways: [Way; 2],
    /// The direction of the last bytes.
    last: Direction,
    fate: Fate,
}

/// What is under way in one direction.
struct Way {
    direction: Direction,
    editor: Editor,
    queue: VecDeque<Batch>,
    queued_bytes: usize,
    /// So many bytes at once, and the time between; and when the next ones may pass.
    slow: Option<(usize, Duration)>,
    next_at: Instant,
    /// What is left of the piece that the script chose for the next writes.
    piece: u64,
    /// Of its own per direction, so that the pieces do not depend on which side is faster.
    random: u64,
    eof: bool,
    /// The receiver's socket took less than it was given.
    blocked: bool,
}

/// Bytes that arrived together, or what happens behind them.
struct Batch {
    /// The moment from which they may go on.
    due: Instant,
    piece: Piece,
    sent: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passing,
    Ended(Ending),
}

impl<'s> Connection<'s> {
    pub(super) fn new(script: &'s Script, sockets: [TcpStream; 2], number: u64) -> Self {
        for socket in &sockets {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_nonblocking(true);
            if script.small_buffers {
                let _ = sockopt::set_socket_send_buffer_size(socket, SMALL);
            }
        }
        let way = |direction, salt: u64| Way {
            direction,
            editor: Editor::new(script, direction),
            queue: VecDeque::new(),
            queued_bytes: 0,
            slow: None,
            next_at: Instant::now(),
            piece: 0,
            random: script
                .seed
                .wrapping_add((2 * number + salt).wrapping_mul(GOLDEN)),
            eof: false,
            blocked: false,
        };
        Self {
            script,
            sockets,
            ways: [way(Direction::ToClient, 0), way(Direction::ToServer, 1)],
            last: Direction::ToServer,
            fate: Fate::Passing,
        }
    }

    /// Passes bytes until both directions are at their end or the script ends the connection.
    pub(super) fn pass(mut self, wake: &io::PipeReader, counts: &Counts) {
        while self.fate == Fate::Passing && self.wait(wake) {
            for index in 0..self.ways.len() {
                let moved = self
                    .receive(index, counts)
                    .and_then(|()| self.forward(index, counts));
                if moved.is_err() {
                    return self.reset();
                }
            }
            if self.ways.iter().all(|way| way.eof && way.queue.is_empty()) {
                return;
            }
        }
        match self.fate {
            Fate::Passing | Fate::Ended(Ending::Stall) => while wait([], wake, None) {},
            Fate::Ended(Ending::Reset) => self.reset(),
            Fate::Ended(Ending::Close) => self.close(wake),
        }
    }

    /// Waits until a socket is ready in a direction we have use for, or the next delay is over.
    fn wait(&self, wake: &io::PipeReader) -> bool {
        let interest = |socket: usize| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, self.ways[1 - socket].has_room());
            flags.set(PollFlags::OUT, self.ways[socket].blocked);
            (self.sockets[socket].as_fd(), flags)
        };
        let due = self.ways.iter().filter(|way| !way.blocked);
        let due = due.filter_map(|way| way.due()).min();
        let limit = due.map(|due| due.saturating_duration_since(Instant::now()));
        // A socket without use is left out: its hang-up would be reported all the same, again and again.
        match [interest(0), interest(1)] {
            [(_, a), (_, b)] if a.is_empty() && b.is_empty() => wait([], wake, limit),
            [a, (_, b)] if b.is_empty() => wait([a], wake, limit),
            [(_, a), b] if a.is_empty() => wait([b], wake, limit),
            both => wait(both, wake, limit),
        }
    }

    /// Takes what the sender of a direction has for us.
    fn receive(&mut self, index: usize, counts: &Counts) -> io::Result<()> {
        let way = &mut self.ways[index];
        let mut buffer = vec![0; 0x10000];
        while way.has_room() {
            let count = match (&self.sockets[1 - index]).read(&mut buffer) {
                Ok(count) => count,
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            way.eof = count == 0;
            let due = Instant::now() + self.script.one_way;
            let mut pieces = way.editor.edit(&buffer[..count], counts);
            if way.eof {
                pieces.push(Piece::Eof);
            }
            for piece in pieces {
                way.queued_bytes += piece.bytes().len();
                way.queue.push_back(Batch {
                    due,
                    piece,
                    sent: 0,
                });
            }
        }
        Ok(())
    }

    /// Gives the receiver of a direction what is due.
    fn forward(&mut self, index: usize, counts: &Counts) -> io::Result<()> {
        let now = Instant::now();
        self.ways[index].blocked = false;
        while self.ways[index].due().is_some_and(|due| due <= now) {
            let limit = self.piece(index);
            let way = &mut self.ways[index];
            let mut socket = &self.sockets[index];
            let batch = way.queue.front_mut().expect("the loop looked at it");
            let bytes = match &batch.piece {
                Piece::Bytes(bytes) => bytes,
                Piece::Eof => {
                    way.queue.pop_front();
                    return socket.shutdown(Shutdown::Write);
                }
                Piece::End(ending) => {
                    self.fate = Fate::Ended(*ending);
                    return Ok(());
                }
                Piece::Pause(time) => {
                    way.next_at = now + *time;
                    way.queue.pop_front();
                    continue;
                }
                Piece::Slow(bytes, time) => {
                    way.slow = Some((*bytes, *time));
                    way.queue.pop_front();
                    continue;
                }
            };
            let rest = &bytes[batch.sent..];
            let limit = limit.min(rest.len() as u64) as usize;
            let count = match socket.write(&rest[..limit]) {
                Ok(count) => count,
                Err(error) if would_block(&error) => {
                    way.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            batch.sent += count;
            if batch.sent == bytes.len() {
                way.queue.pop_front();
            }
            way.queued_bytes -= count;
            way.piece = way.piece.saturating_sub(count as u64);
            if let Some((_, time)) = way.slow {
                way.next_at = now + time;
            }
            if (self.last, way.direction) == (Direction::ToClient, Direction::ToServer) {
                counts.turns.fetch_add(1, Ordering::Relaxed);
            }
            self.last = way.direction;
            counts
                .of(way.direction)
                .fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How many bytes the next write of a direction may have.
    fn piece(&mut self, index: usize) -> u64 {
        let way = &mut self.ways[index];
        if way.piece == 0 {
            way.piece = self.script.dribble.as_ref().map_or(u64::MAX, |pieces| {
                pieces.start() + next(&mut way.random) % (pieces.end() - pieces.start() + 1)
            });
        }
        way.slow
            .map_or(way.piece, |(bytes, _)| way.piece.min(bytes as u64))
    }

    /// Resets both connections: closing with no time to linger sends the reset.
    fn reset(self) {
        for socket in &self.sockets {
            let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    /// Sends an EOF to both sides and takes what they still send, which would otherwise cause a reset.
    fn close(self, wake: &io::PipeReader) {
        let mut open: Vec<_> = self.sockets.iter().collect();
        for socket in &open {
            let _ = socket.shutdown(Shutdown::Write);
        }
        let mut buffer = [0; 0x1000];
        while let [socket, ..] = open[..] {
            let mut from = socket;
            match from.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if would_block(&error) => {
                    if !wait([(socket.as_fd(), PollFlags::IN)], wake, None) {
                        return;
                    }
                }
                Ok(0) | Err(_) => drop(open.remove(0)),
            }
        }
    }
}

/// Waits for one of the descriptors, the time, or the end of the proxy, which is false.
pub(super) fn wait<const N: usize>(
    on: [(BorrowedFd<'_>, PollFlags); N],
    wake: &io::PipeReader,
    limit: Option<Duration>,
) -> bool {
    let mut fds: Vec<_> = on
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    fds.push(PollFd::new(wake, PollFlags::IN));
    let limit = limit.map(|limit| Timespec::try_from(limit).expect("delays are short"));
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => fds[N].revents().is_empty(),
        Err(_) => false,
    }
}

impl Way {
    /// Whether more may be read; what is under way is bounded, which is far more than any test's delay holds.
    const fn has_room(&self) -> bool {
        !self.eof && self.queued_bytes < QUEUE_BYTES_MAX
    }

    /// When the next bytes may go on, if there are any.
    fn due(&self) -> Option<Instant> {
        let batch = self.queue.front()?;
        Some(batch.due.max(self.next_at))
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The next number of a splitmix64 sequence.
const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The step of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// What one direction of one connection may hold.
const QUEUE_BYTES_MAX: usize = 64 << 20;
