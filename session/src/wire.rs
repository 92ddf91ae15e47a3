//! The memory transport between libssh2 and the socket (laws S1, S3, S4, S14).
//!
//! libssh2 reads from and writes to the buffers here, through its callbacks, and never sees the
//! socket. Whatever it sends is taken whole and flushed once after the call; what it may receive
//! is cut into whole packets, within a budget per call and a cap on what comes for nothing; what
//! libssh2 makes of it in memory is bounded where it is allocated (`ffi/memory.rs`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use sshoal_reactor::{Hook, Interest, Scope, Stop, WaitList};

use crate::framing::{Framing, Offer};
use crate::link::Link;
use crate::short_io::{SHORT_BYTES_MAX, ShortIo};

mod allowance;
mod pace;
mod report;
mod spare;
mod work;

use self::allowance::allowance;
pub(crate) use self::pace::save as save_work;
use self::work::Work;
pub(crate) use report::{Broken, CallReport, Received};

/// Bytes in the out-queue beyond which writers wait.
const OUT_BYTES_HIGH: usize = 128 * 1024;
/// Bytes in the out-queue that are better sent before more is made: as many as the system puts into
/// one packet of its own.
const OUT_BYTES_ENOUGH: usize = 64 * 1024;
/// Bytes in the out-queue that nobody waits to write: answers that a host has us give and does not
/// take.
const OUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes given to libssh2 in one call, before it has to come back.
const CALL_BYTES_MAX: usize = 64 * 1024;
/// Bytes received for nothing, beyond what the windows allow.
const IDLE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 32 * 1024;

#[derive(Debug)]
struct Inbox {
    framing: Framing,
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were given.
    start: usize,
    ended: bool,
    /// Bytes that may still be given in this call.
    budget: usize,
    costly: bool,
    /// libssh2 has sent something in this call.
    has_sent: bool,
    report: CallReport,
    /// Bytes given for nothing: no reader and no request has had anything of them.
    idle: usize,
    /// Time spent in calls for nothing.
    work: Work,
    /// The sum of the windows of open channels.
    windows: usize,
    /// When the call began in which bytes came.
    last_received: Instant,
    /// When the call began that receives, if that is known: the clock is not asked for each packet.
    now: Option<Instant>,
    /// When the server's version line was complete.
    version_at: Option<Instant>,
    short: ShortIo,
}

#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    start: usize,
    /// All bytes ever queued.
    sent_bytes: u64,
    short: ShortIo,
}

/// The two queues of one session and what carries them.
#[derive(Debug)]
pub(crate) struct Wire {
    link: Link,
    inbox: Mutex<Inbox>,
    outbox: Mutex<Outbox>,
    /// Length of the out-queue, read without its lock.
    queued: AtomicUsize,
    broken: Mutex<Option<Broken>>,
    is_broken: AtomicBool,
    /// What its host does seems to be for nothing: calls are counted by CPU time.
    is_suspect: AtomicBool,
}

impl Wire {
    pub(crate) fn new(link: Link, short_io: Option<u64>) -> Arc<Self> {
        let wire = Arc::new(Self {
            link,
            inbox: Mutex::new(Inbox {
                framing: Framing::new(),
                bytes: Vec::new(),
                start: 0,
                ended: false,
                budget: 0,
                costly: false,
                has_sent: false,
                report: CallReport::NEW,
                idle: 0,
                work: Work::new(Instant::now()),
                windows: 0,
                last_received: Instant::now(),
                now: None,
                version_at: None,
                short: ShortIo::new(short_io),
            }),
            outbox: Mutex::new(Outbox {
                short: ShortIo::new(short_io),
                ..Outbox::default()
            }),
            queued: AtomicUsize::new(0),
            broken: Mutex::new(None),
            is_broken: AtomicBool::new(false),
            is_suspect: AtomicBool::new(false),
        });
        let hook: Arc<dyn Hook> = wire.clone();
        wire.link.set_hook(Arc::downgrade(&hook));
        wire
    }

    /// Returns the threads that wait for this session.
    pub(crate) fn waiters(&self) -> &WaitList {
        self.link.waiters()
    }

    /// Returns what carries the bytes.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Begins a call into libssh2, `now` if the caller knows the time. `costly` lets the key exchange's costly step go on.
    pub(crate) fn begin_call(&self, costly: bool, now: Option<Instant>) {
        let mut inbox = self.inbox.lock();
        inbox.now = now;
        inbox.budget = CALL_BYTES_MAX;
        inbox.costly = costly;
        inbox.has_sent = false;
        inbox.report = CallReport::NEW;
        // libssh2 may hold a packet and a half from an earlier call: it then looks at them first,
        // and gives up at the half one without asking for the rest, which may be here already.
        inbox.report.more = inbox.framing.hides_lengths();
    }

    /// Ends a call into libssh2: sends what it queued.
    pub(crate) fn end_call(&self) -> CallReport {
        self.flush();
        self.report()
    }

    /// Returns what the call left behind.
    pub(crate) fn report(&self) -> CallReport {
        self.inbox.lock().report
    }

    /// Gives libssh2 nothing more in this call, which costs no system call either.
    pub(crate) fn stop_receiving(&self) {
        self.inbox.lock().budget = 0;
    }

    /// Returns whether a writer would have to wait for room.
    pub(crate) fn is_full(&self) -> bool {
        self.queued.load(Ordering::Acquire) > OUT_BYTES_HIGH
    }

    /// Returns whether so much is queued that it is better sent before more is.
    pub(crate) fn has_enough(&self) -> bool {
        self.queued.load(Ordering::Acquire) >= OUT_BYTES_ENOUGH
    }

    /// Returns how many bytes the call may still be given.
    pub(crate) fn budget(&self) -> usize {
        self.inbox.lock().budget
    }

    /// Has the call made again if it moved bytes, where "would block" cannot be trusted then.
    pub(crate) fn retry_if_moved(&self) {
        let report = &mut self.inbox.lock().report;
        report.more |= report.moved;
    }

    /// Returns how many bytes libssh2 has sent since the session began.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.outbox.lock().sent_bytes
    }

    /// The receive callback: fills `buffer` with what may be given now.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        let inbox = &mut *self.inbox.lock();
        loop {
            if self.is_broken.load(Ordering::Acquire) {
                return Received::Failed;
            }
            // Until its turn comes, which wakes whoever waits. A key exchange begins between two
            // packets, and nothing was given since.
            if inbox.work.is_held() {
                inbox.report.more = false;
                return Received::Nothing;
            }
            // Never in the middle of a packet (S3).
            if !inbox.framing.is_within_packet() && (inbox.budget == 0 || inbox.short.refuses()) {
                inbox.report.more = true;
                return Received::Nothing;
            }
            // What it sent may be its half of a key exchange that the host began. It must then be
            // left between two packets, and with hidden lengths only this moment is sure to be.
            if inbox.has_sent && inbox.framing.hides_lengths() {
                inbox.report.more = true;
                return Received::Nothing;
            }
            let there = &inbox.bytes[inbox.start..];
            let room = inbox.short.cut(buffer.len());
            match inbox.framing.offer(there, room, inbox.budget, inbox.costly) {
                Offer::Give(bytes) => return self.give(inbox, &mut buffer[..bytes]),
                Offer::NeedCipher => return Received::NeedCipher,
                Offer::Costly => {
                    inbox.report.costly = true;
                    inbox.report.more = true;
                    return Received::Nothing;
                }
                Offer::Broken(what) => {
                    self.break_off(Broken::Overstepped(what, true));
                    return Received::Failed;
                }
                // Told to libssh2 it would make it fail before it has given what it holds.
                Offer::More if inbox.ended => {
                    inbox.report.more = false;
                    inbox.report.ended = true;
                    return Received::Nothing;
                }
                Offer::More => {
                    if !self.fill(inbox) {
                        inbox.report.more = false;
                        return Received::Nothing;
                    }
                }
            }
        }
    }

    fn give(&self, inbox: &mut Inbox, to: &mut [u8]) -> Received {
        let there = &inbox.bytes[inbox.start..];
        to.copy_from_slice(&there[..to.len()]);
        if let Err(why) = inbox.framing.gave(there, to.len()) {
            self.break_off(why);
            return Received::Failed;
        }
        if inbox.version_at.is_none() && !inbox.framing.awaits_version() {
            inbox.version_at = Some(Instant::now());
        }
        inbox.start += to.len();
        inbox.budget = inbox.budget.saturating_sub(to.len());
        inbox.report.moved = true;
        // Where lengths are hidden, libssh2 asks once and comes back with half a packet in hand.
        inbox.report.more = true;
        inbox.idle += to.len();
        if inbox.start == inbox.bytes.len() {
            inbox.start = 0;
            spare::give_back(&mut inbox.bytes);
        }
        if inbox.idle > IDLE_BYTES_MAX + allowance(inbox.windows) {
            self.break_off(Broken::Overstepped("data that nothing asked for", false));
            return Received::Failed;
        }
        Received::Bytes(to.len())
    }

    /// Reads from the socket once; `false` if nothing came.
    fn fill(&self, inbox: &mut Inbox) -> bool {
        if inbox.start > 0 {
            inbox.bytes.drain(..inbox.start);
            inbox.start = 0;
        }
        let read = if inbox.short.is_on() {
            let mut few = [0; SHORT_BYTES_MAX];
            let most = inbox.short.cut(few.len());
            let read = self.link.try_read(&mut few[..most]);
            read.inspect(|read| inbox.bytes.extend_from_slice(&few[..*read]))
        } else {
            if inbox.bytes.capacity() == 0 {
                inbox.bytes = spare::take();
            }
            inbox.bytes.reserve(READ_BYTES);
            self.link.try_read_to(&mut inbox.bytes)
        };
        match read {
            Ok(0) => inbox.ended = true,
            Ok(_) => inbox.last_received = *inbox.now.get_or_insert_with(Instant::now),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if inbox.bytes.is_empty() {
                    spare::give_back(&mut inbox.bytes);
                }
                return false;
            }
            // What came before is still to be read.
            Err(error) => {
                inbox.ended = true;
                let why = Broken::Io(error.kind(), error.to_string());
                self.broken.lock().get_or_insert(why);
            }
        }
        true
    }

    /// The send callback: takes everything; `false` once the wire is broken.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        if self.is_broken.load(Ordering::Acquire) {
            return false;
        }
        {
            let mut inbox = self.inbox.lock();
            if inbox.framing.sent(bytes) {
                inbox.work.exchange_begun();
            }
            inbox.has_sent = true;
            inbox.report.moved = true;
        }
        let queued = {
            let mut outbox = self.outbox.lock();
            if outbox.bytes.capacity() == 0 {
                outbox.bytes = spare::take();
            }
            outbox.bytes.extend_from_slice(bytes);
            outbox.sent_bytes += bytes.len() as u64;
            outbox.bytes.len() - outbox.start
        };
        self.queued.store(queued, Ordering::Release);
        if queued > OUT_BYTES_MAX {
            self.break_off(Broken::Overstepped("answers that it does not take", false));
        }
        queued <= OUT_BYTES_MAX
    }

    /// Sends what is queued, as far as the socket takes it.
    pub(crate) fn flush(&self) {
        if self.queued.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut failed = None;
        {
            let outbox = &mut *self.outbox.lock();
            while outbox.start < outbox.bytes.len() {
                let most = outbox.short.cut(outbox.bytes.len() - outbox.start);
                match self
                    .link
                    .try_write(&outbox.bytes[outbox.start..outbox.start + most])
                {
                    Ok(written) => outbox.start += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        failed = Some(error);
                        outbox.start = outbox.bytes.len();
                    }
                }
            }
            if outbox.start == outbox.bytes.len() {
                outbox.start = 0;
                spare::give_back(&mut outbox.bytes);
            } else if outbox.start > OUT_BYTES_HIGH {
                outbox.bytes.drain(..outbox.start);
                outbox.start = 0;
            }
            self.queued
                .store(outbox.bytes.len() - outbox.start, Ordering::Release);
        }
        // What the peer sent before it went away is still worth reading: only sending is over.
        if let Some(error) = failed {
            self.note_send_failure(error);
        }
    }

    fn note_send_failure(&self, error: io::Error) {
        let why = Broken::Io(error.kind(), error.to_string());
        match error.kind() {
            io::ErrorKind::BrokenPipe => {}
            // The system tells it once; the reader will see an ordinary end of the stream.
            io::ErrorKind::ConnectionReset => {
                self.broken.lock().get_or_insert(why);
            }
            _ => self.break_off(why),
        }
    }

    /// Waits until the out-queue has room for a writer. Parks.
    pub(crate) fn wait_for_room(&self, scope: &Scope) -> Result<(), Stop> {
        self.wait_below(OUT_BYTES_HIGH, scope)
    }

    /// Waits until everything queued was taken by the socket. Parks.
    pub(crate) fn wait_until_sent(&self, scope: &Scope) -> Result<(), Stop> {
        self.wait_below(0, scope)
    }

    fn wait_below(&self, bytes: usize, scope: &Scope) -> Result<(), Stop> {
        loop {
            let sequence = self.waiters().sequence();
            self.flush();
            if self.queued.load(Ordering::Acquire) <= bytes || self.is_broken() {
                return Ok(());
            }
            if let Some(ticket) = self.waiters().register(sequence, Interest::WRITE) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Sets the names that the first key exchange settled on, for what the server sends.
    pub(crate) fn set_cipher(&self, cipher: &str, mac: &str) {
        self.inbox.lock().framing.set_cipher(cipher, mac);
    }

    /// Returns whether the server's version line is still awaited.
    pub(crate) fn awaits_version(&self) -> bool {
        self.inbox.lock().framing.awaits_version()
    }

    /// Returns the server's lists of algorithms, while the first key exchange lasts.
    pub(crate) fn kexinit(&self) -> Vec<u8> {
        self.inbox.lock().framing.kexinit().to_vec()
    }

    /// Returns what was in the server's reply of the first key exchange, once.
    pub(crate) fn take_reply(&self) -> Vec<u8> {
        self.inbox.lock().framing.take_reply()
    }

    /// Returns when the server's version line was complete.
    pub(crate) fn version_at(&self) -> Option<Instant> {
        self.inbox.lock().version_at
    }

    /// Returns when bytes last came from the host, with what the socket holds; where more is there
    /// than is kept here, that is at this moment.
    pub(crate) fn heard(&self) -> Instant {
        self.probe();
        let inbox = self.inbox.lock();
        // One that is held may wait for an answer of ours.
        match inbox.bytes.len() < CALL_BYTES_MAX && !inbox.work.is_held() {
            true => inbox.last_received,
            false => Instant::now(),
        }
    }

    /// Returns whether the connection is still there, as far as the socket tells without a wait.
    pub(crate) fn probe(&self) -> bool {
        let inbox = &mut *self.inbox.lock();
        inbox.now = None;
        // What came is kept for the next call; a farewell has the end of the stream behind it.
        while !inbox.ended && !self.is_broken() && inbox.bytes.len() < CALL_BYTES_MAX {
            if !self.fill(inbox) {
                break;
            }
        }
        !inbox.ended && !self.is_broken()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Returns why the wire is of no more use, if so; the end of the stream counts.
    pub(crate) fn broken(&self) -> Option<Broken> {
        let broken = self.broken.lock().clone();
        broken.or_else(|| {
            let eof = Broken::Io(
                io::ErrorKind::UnexpectedEof,
                "connection closed by host".into(),
            );
            self.inbox.lock().ended.then_some(eof)
        })
    }

    /// Makes every callback fail from here on, ends the connection and wakes all waiters. The
    /// first reason stays.
    pub(crate) fn break_off(&self, why: Broken) {
        self.broken.lock().get_or_insert(why);
        if !self.is_broken.swap(true, Ordering::AcqRel) {
            self.link.shutdown();
        }
    }
}

impl Hook for Wire {
    fn ready(&self, readiness: Interest) {
        if readiness.meets(Interest::WRITE) {
            self.flush();
        }
    }
}
