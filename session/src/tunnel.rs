//! Connections made by the host for us (RFC 4254 §7.2): byte streams through a session, held in
//! memory, with no socket and no local port (law S2).
//!
//! The principal type is [`Tunnel`]. Its two ends meet in [`Ends`]: one side is whoever reads and
//! writes the stream, be it a session to a host further on; the other is the
//! [`Carrier`](carrier::Carrier) of the session, which moves bytes between the ends and libssh2.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use sshoal_reactor::{Hook, Interest, Scope, WaitList};

pub(crate) mod carrier;
pub(crate) mod listen;
pub(crate) mod open;

pub use self::listen::RemoteListener;
pub use self::open::Destination;

use self::carrier::Bell;

/// Bytes that wait for the channel beyond which writers wait.
const OUT_BYTES_MAX: usize = 128 * 1024;
/// Bytes here unread beyond which the channel is not read: its window then fills, and the host
/// stops sending.
const IN_BYTES_MAX: usize = 128 * 1024;
/// Buffers larger than this are given back when they fall empty.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// A connection that the host made for us: a byte stream in both directions.
///
/// Made by [`Session::tunnel`](crate::Session::tunnel). All methods may be called from several
/// threads at once; dropping it closes the connection and waits for nothing.
#[derive(Debug)]
pub struct Tunnel {
    ends: Arc<Ends>,
}

impl Tunnel {
    pub(crate) fn new(ends: Arc<Ends>) -> Self {
        Self { ends }
    }

    /// Reads at least one byte; 0 at the end of the stream. Parks.
    ///
    /// # Errors
    ///
    /// The session's end, or why the scope ended.
    pub fn read(&self, buffer: &mut [u8], scope: &Scope) -> io::Result<usize> {
        loop {
            let sequence = self.ends.waiters.sequence();
            match self.ends.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            if let Some(ticket) = self.ends.waiters.register(sequence, Interest::READ) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Writes all bytes. Parks.
    ///
    /// # Errors
    ///
    /// The session's end, or why the scope ended; some bytes may then be written.
    pub fn write_all(&self, mut bytes: &[u8], scope: &Scope) -> io::Result<()> {
        while !bytes.is_empty() {
            let sequence = self.ends.waiters.sequence();
            match self.ends.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(ticket) = self.ends.waiters.register(sequence, Interest::WRITE) {
                        ticket.wait(scope)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends our direction: the peer reads an end of stream once everything written was sent.
    pub fn finish(&self) {
        self.ends.outbound.lock().eof = true;
        self.ends.ring();
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.ends.close();
    }
}

/// What the carrier has brought, and its end.
#[derive(Debug, Default)]
struct Inbound {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were read.
    start: usize,
    end: Option<End>,
}

/// How a stream's direction towards us ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The peer ended it.
    Eof,
    /// What carried it went away.
    Lost(io::ErrorKind, String),
}

/// What the carrier is to take.
#[derive(Debug, Default)]
struct Outbound {
    bytes: Vec<u8>,
    /// Bytes that the carrier took and libssh2 has not: they count for the bound.
    taken: usize,
    /// Nothing follows.
    eof: bool,
    /// The near side has gone.
    closed: bool,
    /// And does not care for what was not sent.
    aborted: bool,
    /// Nothing can be sent any more.
    failed: bool,
}

/// The two ends of one tunnel; every lock here is a leaf.
#[derive(Debug)]
pub(crate) struct Ends {
    inbound: Mutex<Inbound>,
    outbound: Mutex<Outbound>,
    /// Who waits on the near side.
    waiters: WaitList,
    hook: OnceLock<Weak<dyn Hook>>,
    /// Calls the carrier.
    bell: Arc<Bell>,
}

impl Ends {
    fn new(bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self {
            inbound: Mutex::default(),
            outbound: Mutex::default(),
            waiters: WaitList::default(),
            hook: OnceLock::new(),
            bell,
        })
    }

    pub(crate) fn set_hook(&self, hook: Weak<dyn Hook>) {
        let _ = self.hook.set(hook);
    }

    pub(crate) fn waiters(&self) -> &WaitList {
        &self.waiters
    }

    /// Reads what is here; 0 at the end of the stream, `WouldBlock` where nothing is.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.take_in(|there| {
            let bytes = there.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&there[..bytes]);
            bytes
        })
    }

    /// As [`Ends::try_read`], up to the buffer's spare capacity.
    pub(crate) fn try_read_to(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.take_in(|there| {
            let bytes = there.len().min(buffer.capacity() - buffer.len());
            buffer.extend_from_slice(&there[..bytes]);
            bytes
        })
    }

    fn take_in(&self, take: impl FnOnce(&[u8]) -> usize) -> io::Result<usize> {
        let inbound = &mut *self.inbound.lock();
        let there = &inbound.bytes[inbound.start..];
        if there.is_empty() {
            return match &inbound.end {
                None => Err(io::ErrorKind::WouldBlock.into()),
                Some(End::Eof) => Ok(0),
                Some(End::Lost(kind, text)) => Err(io::Error::new(*kind, text.clone())),
            };
        }
        let was_full = there.len() >= IN_BYTES_MAX;
        let taken = take(there);
        inbound.start += taken;
        if inbound.start == inbound.bytes.len() {
            inbound.start = 0;
            inbound.bytes.clear();
            if inbound.bytes.capacity() > KEPT_BYTES_MAX {
                inbound.bytes = Vec::new();
            }
        }
        if was_full && inbound.bytes.len() - inbound.start < IN_BYTES_MAX {
            self.ring();
        }
        Ok(taken)
    }

    /// Takes what there is room for; `WouldBlock` where there is none.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = {
            let mut outbound = self.outbound.lock();
            if outbound.failed || outbound.closed || outbound.eof {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let room = OUT_BYTES_MAX.saturating_sub(outbound.bytes.len() + outbound.taken);
            let written = room.min(bytes.len());
            outbound.bytes.extend_from_slice(&bytes[..written]);
            written
        };
        if written == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.ring();
        Ok(written)
    }

    /// The near side goes away: nothing more is read or written here, but what was is sent.
    pub(crate) fn close(&self) {
        self.outbound.lock().closed = true;
        self.ring();
    }

    /// As [`Ends::close`], without care for what was not sent; wakes who waits.
    pub(crate) fn abort(&self) {
        {
            let mut outbound = self.outbound.lock();
            (outbound.closed, outbound.aborted) = (true, true);
        }
        self.ring();
        let lost = End::Lost(io::ErrorKind::ConnectionAborted, "tunnel closed".into());
        self.inbound.lock().end.get_or_insert(lost);
        self.waiters.wake(Interest::BOTH);
    }

    fn ring(&self) {
        self.bell.ring();
    }

    /// Returns whether the near side reads on.
    fn wants_more(&self) -> bool {
        let inbound = self.inbound.lock();
        inbound.bytes.len() - inbound.start < IN_BYTES_MAX
    }

    /// Brings bytes to the near side.
    fn bring(&self, bytes: &[u8]) {
        let inbound = &mut *self.inbound.lock();
        if inbound.start > 0 {
            inbound.bytes.drain(..inbound.start);
            inbound.start = 0;
        }
        inbound.bytes.extend_from_slice(bytes);
    }

    /// Ends the direction to the near side; the first end counts.
    fn end(&self, end: End) {
        if matches!(end, End::Lost(..)) {
            self.refuse();
        }
        self.inbound.lock().end.get_or_insert(end);
    }

    /// Takes what the near side wrote; it counts for the bound until [`Ends::taken`] says so.
    fn fetch(&self) -> Vec<u8> {
        let mut outbound = self.outbound.lock();
        outbound.taken += outbound.bytes.len();
        std::mem::take(&mut outbound.bytes)
    }

    /// Takes note that libssh2 took bytes.
    fn taken(&self, bytes: usize) {
        let taken = &mut self.outbound.lock().taken;
        // Nothing counts any more where the near side may write no more.
        *taken = taken.saturating_sub(bytes);
    }

    /// Lets the near side write no more.
    fn refuse(&self) {
        let mut outbound = self.outbound.lock();
        outbound.failed = true;
        outbound.bytes = Vec::new();
        outbound.taken = 0;
    }

    fn is_finished(&self) -> bool {
        self.outbound.lock().eof
    }

    fn is_closed(&self) -> bool {
        self.outbound.lock().closed
    }

    fn is_aborted(&self) -> bool {
        self.outbound.lock().aborted
    }

    fn has_unsent(&self) -> bool {
        !self.outbound.lock().bytes.is_empty()
    }

    /// Tells the near side that something changed.
    fn notify(&self, readiness: Interest) {
        if let Some(hook) = self.hook.get().and_then(Weak::upgrade) {
            hook.ready(readiness);
        }
        self.waiters.wake(readiness);
    }
}
