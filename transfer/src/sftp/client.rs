//! Requests and replies over one SFTP channel, many under way at once.
//!
//! Replies come in any order (draft-ietf-secsh-filexfer-02 §3). Whoever waits for one and finds
//! nobody reading reads for all; so there is no thread for it, green or other.

use std::collections::HashMap;
use std::io::IoSlice;

use parking_lot::Mutex;
use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{Interest, Scope, WaitList};
use sshoal_session::{ApiMisuse, Child, Error, OutputStream, Phase};

use super::packet::{Malformed, Reply, Writer};
use super::received::Received;
use super::status::SftpError;
use crate::error::stopped;

/// The two ends of an SFTP channel, shared by all who ask something over it.
#[derive(Debug)]
pub(super) struct Client {
    channel: Child,
    state: Mutex<State>,
    /// One thread reads at a time.
    reading: Semaphore,
    /// Who waits for a reply, or for the turn to read.
    arrived: WaitList,
}

#[derive(Debug, Default)]
struct State {
    /// Requests under way, by their number.
    pending: HashMap<u32, Slot>,
    /// The number of the request before the next.
    last: u32,
    /// What was received and not handed out; taken out by who reads.
    received: Received,
    /// Set for good by what leaves the channel unusable.
    broken: Option<Broken>,
}

#[derive(Debug)]
enum Slot {
    Waiting,
    Arrived(Reply),
    /// Nobody waits for it any longer; its number is taken until the reply comes.
    Abandoned,
}

#[derive(Debug, Clone, Copy)]
enum Broken {
    Ended,
    /// By the session's failure, which the channel tells to each who asks.
    Lost,
    Protocol(&'static str),
}

/// A request under way; dropped without [`Pending::wait`], its reply is thrown away when it comes.
#[derive(Debug)]
#[must_use = "a request that is dropped is not waited for"]
pub(super) struct Pending<'a> {
    client: &'a Client,
    id: u32,
}

impl Client {
    pub(super) fn new(channel: Child) -> Self {
        Self {
            channel,
            state: Mutex::default(),
            reading: Semaphore::new(1),
            arrived: WaitList::default(),
        }
    }

    /// Sends a request that `make` makes with its number, less the last bytes of it, which are
    /// `tail`. Parks while there is no room to send.
    ///
    /// A scope that ends in the middle of it leaves the channel unusable; before, to others as it
    /// was. What holds a NUL byte in a path is not sent.
    pub(super) fn send(
        &self,
        make: impl FnOnce(u32) -> Writer,
        tail: &[u8],
        scope: &Scope,
    ) -> Result<Pending<'_>, SftpError> {
        let id = self.begin(scope)?;
        let pending = Pending { client: self, id };
        let packet = make(id);
        if packet.holds_nul() {
            self.state.lock().pending.remove(&id);
            return Err(Error::from(ApiMisuse::NulByte).into());
        }
        let mut head = packet.finish_before(tail.len());
        let tail = match tail.len() {
            0..=COPIED_BYTES_MAX => {
                head.extend_from_slice(tail);
                &[]
            }
            _ => tail,
        };
        let mut pieces = [IoSlice::new(&head), IoSlice::new(tail)];
        if let Err(error) = self.channel.write_stdin_vectored(&mut pieces, scope) {
            match self.channel.takes_stdin() {
                // It was not asked, so there is no reply to come.
                true => drop(self.state.lock().pending.remove(&id)),
                false => self.break_off(Broken::Ended),
            }
            return Err(in_transfer(error).into());
        }
        Ok(pending)
    }

    /// Sends a packet that has no reply of its own. Parks.
    pub(super) fn send_bare(&self, packet: &[u8], scope: &Scope) -> Result<(), SftpError> {
        let sent = self.channel.write_stdin(packet, scope);
        sent.map_err(|error| in_transfer(error).into())
    }

    /// Receives the next packet, without its length, before any request is made. Parks.
    pub(super) fn receive_bare(&self, scope: &Scope) -> Result<Vec<u8>, SftpError> {
        loop {
            match self.state.lock().received.next() {
                Ok(Some(packet)) => return Ok(packet.to_vec()),
                Ok(None) => {}
                Err(Malformed) => return Err(SftpError::Protocol(NO_SFTP)),
            }
            self.receive(scope)?;
        }
    }

    fn begin(&self, scope: &Scope) -> Result<u32, SftpError> {
        let mut state = self.state.lock();
        if let Some(broken) = state.broken {
            drop(state);
            return Err(self.failure(broken, scope));
        }
        // Those that were given up count, and it may answer none of them.
        if state.pending.len() >= PENDING_MAX {
            return Err(SftpError::Protocol("too much is left unanswered"));
        }
        // Far fewer are under way than there are numbers.
        let mut id = state.last.wrapping_add(1);
        while state.pending.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        state.last = id;
        state.pending.insert(id, Slot::Waiting);
        Ok(id)
    }

    /// Takes a reply that is there, or learns that none will come.
    fn take(&self, id: u32, scope: &Scope) -> Result<Option<Reply>, SftpError> {
        let mut state = self.state.lock();
        match state.pending.get(&id) {
            Some(Slot::Arrived(_)) => match state.pending.remove(&id) {
                Some(Slot::Arrived(reply)) => Ok(Some(reply)),
                _ => unreachable!("it was seen above, under the same lock"),
            },
            _ => match state.broken {
                Some(broken) => {
                    drop(state);
                    Err(self.failure(broken, scope))
                }
                None => Ok(None),
            },
        }
    }

    /// Waits for a reply, and reads for all while nobody else does. Parks.
    fn wait(&self, id: u32, scope: &Scope) -> Result<Reply, SftpError> {
        loop {
            let sequence = self.arrived.sequence();
            if let Some(reply) = self.take(id, scope)? {
                return Ok(reply);
            }
            if let Some(turn) = self.reading.try_acquire() {
                // It may have come while another had the turn.
                let result = match self.take(id, scope) {
                    Ok(None) => self.receive(scope).map(|()| None),
                    other => other,
                };
                drop(turn);
                // Theirs may be among what came; and one of them is to read on.
                self.arrived.wake(Interest::BOTH);
                if let Some(reply) = result? {
                    return Ok(reply);
                }
                continue;
            }
            if let Some(ticket) = self.arrived.register(sequence, Interest::READ) {
                let waited = ticket.wait(scope);
                waited.map_err(|stop| SftpError::from(stopped(stop, scope)))?;
            }
        }
    }

    /// Receives what comes next and hands whole packets to who waits for them. Parks.
    fn receive(&self, scope: &Scope) -> Result<(), SftpError> {
        // Only one reads at a time, so that nobody misses it meanwhile.
        let mut received = std::mem::take(&mut self.state.lock().received);
        let read = self.channel.read(received.room(), scope);
        if let Ok(Some((OutputStream::Stdout, count))) = read {
            received.fill(count);
        }
        let mut state = self.state.lock();
        state.received = received;
        match read {
            Ok(Some((OutputStream::Stdout, _))) => {
                let handed_out = state.hand_out();
                drop(state);
                handed_out.map_err(|what| {
                    self.break_off(Broken::Protocol(what));
                    SftpError::Protocol(what)
                })
            }
            // A word of the server's to its own administrator.
            Ok(Some((OutputStream::Stderr, _))) => Ok(()),
            Ok(None) => {
                drop(state);
                self.break_off(Broken::Ended);
                Err(SftpError::Ended)
            }
            Err(error) => {
                drop(state);
                if !matches!(error, Error::TimedOut { .. } | Error::Cancelled { .. }) {
                    self.break_off(Broken::Lost);
                }
                Err(in_transfer(error).into())
            }
        }
    }

    fn break_off(&self, broken: Broken) {
        self.state.lock().broken.get_or_insert(broken);
        self.arrived.wake(Interest::BOTH);
    }

    /// Why nothing more comes. A channel whose session was lost fails at once with that.
    fn failure(&self, broken: Broken, scope: &Scope) -> SftpError {
        match broken {
            Broken::Ended => SftpError::Ended,
            Broken::Protocol(what) => SftpError::Protocol(what),
            Broken::Lost => match self.channel.read(&mut [0], scope) {
                Err(error) => in_transfer(error).into(),
                Ok(_) => SftpError::Ended,
            },
        }
    }

    fn abandon(&self, id: u32) {
        let mut state = self.state.lock();
        let over = state.broken.is_some();
        match state.pending.get_mut(&id) {
            Some(slot @ Slot::Waiting) if !over => *slot = Slot::Abandoned,
            Some(_) => drop(state.pending.remove(&id)),
            None => {}
        }
    }
}

impl State {
    /// Takes whole packets out of what was received. Before the first request there are none.
    /// Fails by the rule that the host broke.
    fn hand_out(&mut self) -> Result<(), &'static str> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut received = std::mem::take(&mut self.received);
        let result = loop {
            match received.next() {
                Ok(None) => break Ok(()),
                Ok(Some(packet)) => {
                    if let Err(what) = self.hand(packet) {
                        break Err(what);
                    }
                }
                Err(Malformed) => break Err("a packet that is empty or too long"),
            }
        };
        self.received = received;
        result
    }

    fn hand(&mut self, packet: &[u8]) -> Result<(), &'static str> {
        let parsed = Reply::parse(packet);
        let (id, reply) = parsed.map_err(|Malformed| "an answer that cannot be read")?;
        match self.pending.get_mut(&id) {
            Some(slot @ Slot::Waiting) => *slot = Slot::Arrived(reply),
            Some(Slot::Abandoned) => drop(self.pending.remove(&id)),
            // Nothing a host sends without being asked is kept.
            Some(Slot::Arrived(_)) | None => {
                return Err("an answer that nobody asked for");
            }
        }
        Ok(())
    }
}

impl Pending<'_> {
    /// Waits for the reply. Parks.
    ///
    /// A scope that ends leaves the channel as it was; the reply is thrown away when it comes.
    pub(super) fn wait(self, scope: &Scope) -> Result<Reply, SftpError> {
        self.client.wait(self.id, scope)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.client.abandon(self.id);
    }
}

/// A failure of the channel, as one of a transfer.
pub(super) fn in_transfer(error: Error) -> Error {
    match error {
        Error::TimedOut { limit, .. } => Error::TimedOut {
            phase: Phase::Transfer,
            limit,
        },
        Error::Cancelled { .. } => Error::Cancelled {
            phase: Phase::Transfer,
        },
        Error::Disconnected { source, .. } => Error::Disconnected {
            phase: Phase::Transfer,
            source,
        },
        other => other,
    }
}

/// Of what comes before SFTP began.
const NO_SFTP: &str = "what came is no SFTP; does a shell on the host print something at login?";
/// What is rather copied than sent in an SSH packet of its own.
const COPIED_BYTES_MAX: usize = 4 * 1024;
/// Requests under way at once, with those that nobody waits for any longer.
const PENDING_MAX: usize = 64 * 1024;
