//! What a shell has given and nobody has read, in bounded memory.

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope, Stop, WaitList};

use super::error::ShellError;
use super::pattern::Pattern;
use crate::exit::Exit;
use crate::ffi::OutputStream;

/// The output of a shell between its reader and those who take it.
#[derive(Debug)]
pub(super) struct Inbox {
    /// A leaf lock, never held across a wait.
    state: Mutex<State>,
    bytes_max: usize,
    /// Who waits for output, or for the end.
    takers: WaitList,
    /// The reader, where it waits for room.
    room: WaitList,
}

#[derive(Debug, Default)]
struct State {
    stdout: Unread,
    stderr: Unread,
    end: Option<End>,
}

/// How a shell's output ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    Exit(Exit),
    Failed(ShellError),
}

/// The unread bytes of one stream, in one piece.
#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    /// Where in `bytes` the unread ones begin.
    start: usize,
    /// How many bytes were taken so far.
    taken: u64,
}

/// What [`Inbox::find`] found: what came before, what fitted, and which alternative.
pub(super) type Cut = (Vec<u8>, Vec<u8>, usize);

impl Inbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            bytes_max: bytes_max.max(1),
            takers: WaitList::default(),
            room: WaitList::default(),
        }
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Waits until there is room, and returns for how many bytes. Parks.
    pub(super) fn room(&self, scope: &Scope) -> Result<usize, Stop> {
        loop {
            let sequence = self.room.sequence();
            let room = self.bytes_max.saturating_sub(self.state.lock().unread());
            if room > 0 {
                return Ok(room);
            }
            if let Some(ticket) = self.room.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    pub(super) fn put(&self, stream: OutputStream, bytes: &[u8]) {
        self.state.lock().of(stream).put(bytes);
        self.takers.wake(Interest::BOTH);
    }

    pub(super) fn end(&self, end: End) {
        self.state.lock().end = Some(end);
        self.takers.wake(Interest::BOTH);
    }

    /// Looks at what there is until `look` gives something. Parks.
    pub(super) fn wait<T>(
        &self,
        scope: &Scope,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Stop> {
        loop {
            let sequence = self.takers.sequence();
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if let Some(ticket) = self.takers.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Takes the next bytes of one of the streams; `None` if there are none.
    pub(super) fn read(
        &self,
        streams: &[OutputStream],
        buffer: &mut [u8],
    ) -> Option<(OutputStream, usize)> {
        let mut state = self.state.lock();
        let stream = *(streams.iter()).find(|stream| !state.of(**stream).is_empty())?;
        let taken = state.of(stream).read(buffer);
        drop(state);
        self.taken();
        Some((stream, taken))
    }

    /// Takes all that is there of both streams.
    pub(super) fn take(&self) -> (Vec<u8>, Vec<u8>) {
        let mut state = self.state.lock();
        let all = (state.stdout.take_all(), state.stderr.take_all());
        drop(state);
        self.taken();
        all
    }

    /// Takes what a pattern fits and all before it. `searched` says how far the stream was searched
    /// before, counted from its begin.
    pub(super) fn find(
        &self,
        stream: OutputStream,
        pattern: &Pattern,
        searched: &mut u64,
    ) -> Option<Cut> {
        let mut state = self.state.lock();
        let unread = state.of(stream);
        let before = usize::try_from(searched.saturating_sub(unread.taken)).unwrap_or(0);
        let Some(hit) = pattern.find(unread.as_slice(), before) else {
            *searched = unread.taken + unread.as_slice().len() as u64;
            return None;
        };
        let mut before = unread.take(hit.range.end);
        let matched = before.split_off(hit.range.start);
        drop(state);
        self.taken();
        Some((before, matched, hit.which))
    }

    pub(super) fn ended(&self) -> Option<End> {
        self.state.lock().end.clone()
    }

    pub(super) fn unread(&self) -> usize {
        self.state.lock().unread()
    }

    /// Returns how many bytes have come so far, read or not.
    pub(super) fn arrived(&self) -> u64 {
        let state = self.state.lock();
        state.stdout.taken + state.stderr.taken + state.unread() as u64
    }

    /// Returns whether the shell is held up until something is read.
    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.end.is_none() && state.unread() >= self.bytes_max
    }

    fn taken(&self) {
        self.room.wake(Interest::BOTH);
    }
}

impl State {
    fn of(&mut self, stream: OutputStream) -> &mut Unread {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn unread(&self) -> usize {
        self.stdout.as_slice().len() + self.stderr.as_slice().len()
    }
}

impl Unread {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.as_slice().len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.as_slice()[..count]);
        self.skip(count);
        count
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.as_slice()[..count].to_vec();
        self.skip(count);
        taken
    }

    fn take_all(&mut self) -> Vec<u8> {
        if self.start == 0 {
            self.taken += self.bytes.len() as u64;
            return std::mem::take(&mut self.bytes);
        }
        self.take(self.as_slice().len())
    }

    fn skip(&mut self, count: usize) {
        self.taken += count as u64;
        self.start += count;
        if self.is_empty() {
            // Memory is given back; a few kilobytes are kept for the next lines.
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }
}

/// Memory that a stream keeps once all of it was read.
const KEPT_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OUT: OutputStream = OutputStream::Stdout;

    #[test]
    fn what_follows_a_pattern_stays() {
        let inbox = Inbox::new(100);
        let mut searched = 0;
        inbox.put(OUT, b"login: pas");
        assert_eq!(inbox.find(OUT, &"password".into(), &mut searched), None);
        assert_eq!(searched, 10);
        inbox.put(OUT, b"sword: rest");
        let cut = inbox.find(OUT, &"password".into(), &mut searched);
        let expected = (b"login: ".to_vec(), b"password".to_vec(), 0);
        assert_eq!(cut, Some(expected));
        assert_eq!(inbox.take(), (b": rest".to_vec(), vec![]));
    }

    #[test]
    fn is_full_at_the_very_byte_and_has_room_once_read() {
        let inbox = Inbox::new(4);
        inbox.put(OUT, b"abc");
        inbox.put(OutputStream::Stderr, b"d");
        assert!(inbox.is_full());
        let stopped = Scope::root().child(Some(std::time::Duration::from_millis(1)));
        assert_eq!(inbox.room(&stopped), Err(Stop::TimedOut));
        assert_eq!(inbox.read(&[OUT], &mut [0; 2]), Some((OUT, 2)));
        assert_eq!(inbox.room(&Scope::root()), Ok(2));
        inbox.end(End::Exit(Exit::Status(0)));
        inbox.put(OUT, b"ef");
        assert!(!inbox.is_full(), "nothing is held up after the end");
    }

    proptest! {
        /// However bytes are put and read, they come out once, in order.
        #[test]
        fn bytes_come_out_as_they_went_in(steps in proptest::collection::vec((0..9usize, 0..9usize), 0..60)) {
            let inbox = Inbox::new(1000);
            let (mut put, mut read) = (0..=u8::MAX, Vec::new());
            for (more, less) in steps {
                inbox.put(OUT, &put.by_ref().take(more).collect::<Vec<_>>());
                let mut buffer = vec![0; less];
                let count = inbox.read(&[OUT], &mut buffer).map_or(0, |(_, count)| count);
                read.extend_from_slice(&buffer[..count]);
            }
            read.extend(inbox.take().0);
            let expected: Vec<u8> = (0..=u8::MAX).take(read.len()).collect();
            prop_assert_eq!(&read, &expected);
            prop_assert_eq!(usize::from(put.next().unwrap_or(u8::MAX)), read.len().min(255));
        }
    }
}
