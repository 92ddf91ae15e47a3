//! Moves bytes between a session's channels and the tunnels that are their other ends.
//!
//! One green thread a session, from its first tunnel on. It alone reads and writes these channels,
//! so that hundreds of tunnels' owners do not each drive libssh2 for the sake of all (law S4).

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope, Stream, yield_now};

use super::listen::Listening;
use super::{End, Ends, Tunnel};
use crate::engine::{Drive, Engine, Turn};
use crate::ffi::{ChannelId, Code, Library, OutputStream};
use crate::forward;
use crate::wire::{Broken, Wire};

/// Connections to the agent, and tunnels of other sorts, beyond which no agent is given.
const TUNNELS_TO_AGENT_MAX: usize = 64;
/// Channels that we have closed and the host has not, beyond which the session is given up.
const CLOSING_MAX: usize = 1024;
/// How long a turn serves tunnels before it gives way; the others come first in the next turn.
const SERVE_MAX: Duration = Duration::from_millis(5);
/// Bytes read from a channel at once.
const READ_BYTES: usize = 32 * 1024;

/// How the near side of a tunnel calls the carrier.
#[derive(Debug)]
pub(crate) struct Bell {
    engine: Arc<Engine>,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self) {
        // One that nobody has heard yet speaks for all.
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.engine.wire().waiters().wake(Interest::READ);
        }
    }
}

/// The tunnels of one session.
#[derive(Debug)]
pub(crate) struct Carrier {
    engine: Arc<Engine>,
    bell: Arc<Bell>,
    /// What the green thread has not taken over yet; `None` once it has ended.
    arrived: Mutex<Option<Carried>>,
    /// How many tunnels there are.
    count: AtomicUsize,
    /// Our agent's socket, where the host may use it.
    agent: Option<PathBuf>,
}

/// What a carrier carries.
#[derive(Debug, Default)]
struct Carried {
    tunnels: Vec<Far>,
    listeners: Vec<Listening>,
    /// The tunnel that is served first.
    first: usize,
}

/// One tunnel, on the carrier's side.
#[derive(Debug)]
struct Far {
    channel: ChannelId,
    ends: Arc<Ends>,
    /// What libssh2 is to take; kept as it is until it did (law S6).
    sending: Vec<u8>,
    /// Bytes of `sending` that were taken.
    sent: usize,
    eof_sent: bool,
    /// Everything was read, or nothing more can be.
    ended: bool,
    /// What the turn changed for the near side.
    has_read: bool,
    has_room: bool,
    /// The channel was closed, and the host's close is awaited.
    is_closing: bool,
    /// The channel was freed.
    is_free: bool,
}

impl Carrier {
    /// Makes the carrier of a session, and starts its green thread. `agent` is the socket of our
    /// agent, where the host may use it.
    pub(crate) fn start(engine: Arc<Engine>, agent: Option<PathBuf>) -> io::Result<Arc<Self>> {
        let bell = Arc::new(Bell {
            engine: engine.clone(),
            rung: AtomicBool::new(false),
        });
        let carrier = Arc::new(Self {
            engine,
            bell,
            arrived: Mutex::new(Some(Carried::default())),
            count: AtomicUsize::new(0),
            agent,
        });
        let running = carrier.clone();
        sshoal_reactor::spawn(move || running.run())?;
        Ok(carrier)
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns how many tunnels there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes over a channel that was opened; returns its near side.
    pub(super) fn carry(&self, channel: ChannelId) -> Arc<Ends> {
        let ends = Ends::new(self.bell.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        let far = Far::new(channel, ends.clone());
        match &mut *self.arrived.lock() {
            Some(arrived) => arrived.tunnels.push(far),
            // The session ended right behind the host's answer.
            None => ends.end(CHANNEL_LOST),
        }
        // Data may have come with the confirmation.
        self.bell.ring();
        ends
    }

    /// Takes over a port that the host listens on.
    pub(super) fn take_listener(&self, listening: Listening) {
        match &mut *self.arrived.lock() {
            Some(arrived) => arrived.listeners.push(listening),
            None => listening.reception.end(),
        }
        self.bell.ring();
    }

    /// Runs until the session's end.
    fn run(&self) {
        let (wire, scope) = (self.engine.wire(), Scope::root());
        let mut carried = Carried::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            // In this order: what is announced after the count was read is seen by it.
            let sequence = wire.waiters().sequence();
            self.bell.rung.store(false, Ordering::SeqCst);
            if let Some(arrived) = &mut *self.arrived.lock() {
                carried.append(arrived);
            }
            let mut guests = Vec::new();
            let turn = self.turn(sequence, &mut carried, &mut guests, &mut buffer);
            carried.notify();
            let before = carried.tunnels.len();
            carried.tunnels.retain(|tunnel| !tunnel.is_free);
            let freed = before - carried.tunnels.len();
            self.count.fetch_sub(freed, Ordering::Relaxed);
            for guest in guests {
                self.show_to_agent(guest);
            }
            match turn {
                Turn::Wait(ticket) => {
                    // Nothing ends it but the session's end, which wakes it.
                    let _ = ticket.wait(&scope);
                }
                Turn::Again => yield_now(),
                Turn::Over => return self.fail(carried),
            }
        }
    }

    /// Takes in what the host sent, and moves what can be moved for every tunnel.
    fn turn(
        &self,
        sequence: u64,
        carried: &mut Carried,
        guests: &mut Vec<Tunnel>,
        buffer: &mut [u8],
    ) -> Turn<'_> {
        let wire = self.engine.wire();
        let any = carried.tunnels.first().map(|tunnel| tunnel.channel);
        if any.is_none() && carried.listeners.is_empty() && self.agent.is_none() {
            let ticket = wire.waiters().register(sequence, Interest::BOTH);
            return match ticket {
                _ if !wire.probe() => Turn::Over,
                Some(ticket) => Turn::Wait(ticket),
                None => Turn::Again,
            };
        }
        let first = carried.listeners.first().map(|listening| listening.id);
        let accepted = Cell::new(None);
        // Each takes in whatever came, for all channels.
        let drive = |library: &mut Library| {
            let tried = match (any, first) {
                (Some(any), _) => library.read(any, OutputStream::Stdout, &mut []).map(drop),
                (None, Some(first)) => library.accept(first).map(|guest| accepted.set(Some(guest))),
                // Whoever else uses the session does.
                (None, None) => return Drive::Idle,
            };
            match tried {
                Ok(()) | Err(Code::AGAIN) => Drive::Driven,
                Err(_) => Drive::Lost,
            }
        };
        let served_all = Cell::new(true);
        let turn = self.engine.turn(sequence, drive, |library| {
            self.welcome(library, carried, accepted.take(), guests);
            served_all.set(carried.serve(library, wire, buffer));
        });
        if carried.closing() > CLOSING_MAX {
            wire.break_off(Broken::Overstepped(
                "channels that it does not close",
                false,
            ));
        }
        match turn {
            Turn::Wait(_) if !served_all.get() => Turn::Again,
            turn => turn,
        }
    }

    /// Takes the connections that the host has brought.
    fn welcome(
        &self,
        library: &mut Library,
        carried: &mut Carried,
        accepted: Option<ChannelId>,
        guests: &mut Vec<Tunnel>,
    ) {
        let Carried {
            tunnels, listeners, ..
        } = carried;
        let mut bring = |channel| {
            let ends = Ends::new(self.bell.clone());
            self.count.fetch_add(1, Ordering::Relaxed);
            tunnels.push(Far::new(channel, ends.clone()));
            Tunnel::new(ends)
        };
        if let (Some(channel), Some(first)) = (accepted, listeners.first()) {
            first.reception.bring(bring(channel));
        }
        listeners.retain(|listening| {
            if listening.reception.is_closed() {
                return library.unlisten(listening.id) == Err(Code::AGAIN);
            }
            while listening.reception.has_room()
                && let Ok(channel) = library.accept(listening.id)
            {
                listening.reception.bring(bring(channel));
            }
            true
        });
        while let Some(channel) = library.next_guest() {
            guests.push(bring(channel));
        }
    }

    /// Lets the host talk to our agent, on a green thread of its own.
    fn show_to_agent(&self, guest: Tunnel) {
        let Some(path) = self.agent.clone() else {
            return;
        };
        if self.count() > TUNNELS_TO_AGENT_MAX {
            tracing::warn!("the host opened too many connections to the agent");
            return;
        }
        let joined = sshoal_reactor::spawn(move || {
            let scope = Scope::root();
            match Stream::connect_unix(&path, &scope) {
                Ok(agent) => forward::join(agent, guest, &scope),
                Err(error) => tracing::debug!(%error, "no agent to forward"),
            }
        });
        // Without memory for a green thread the host finds the agent gone.
        drop(joined);
    }

    /// Ends all tunnels with the session.
    fn fail(&self, mut carried: Carried) {
        let wire = self.engine.wire();
        // Whoever asks later why the session ended is to hear of the host, not of this.
        wire.break_off(wire.broken().unwrap_or_else(|| {
            Broken::Io(
                io::ErrorKind::ConnectionAborted,
                "the host ended the session".to_owned(),
            )
        }));
        let (kind, text) = match wire.broken() {
            Some(Broken::Io(kind, text)) => (kind, text),
            Some(Broken::Overstepped(what, _)) => (io::ErrorKind::InvalidData, what.to_owned()),
            _ => (
                io::ErrorKind::ConnectionAborted,
                "session closed".to_owned(),
            ),
        };
        // What arrives from here on ends at once.
        let arrived = self.arrived.lock().take();
        carried.append(&mut arrived.unwrap_or_default());
        for tunnel in &mut carried.tunnels {
            tunnel.ends.end(End::Lost(kind, text.clone()));
            (tunnel.has_read, tunnel.has_room) = (true, true);
        }
        carried.notify();
        for listening in &carried.listeners {
            listening.reception.end();
        }
    }
}

impl Carried {
    fn append(&mut self, arrived: &mut Self) {
        self.tunnels.append(&mut arrived.tunnels);
        self.listeners.append(&mut arrived.listeners);
    }

    /// Moves what can be moved for every tunnel, for as long as a turn may take; whether it came to
    /// all of them. What libssh2 has queued is searched for each, and a host can make that long.
    fn serve(&mut self, library: &mut Library, wire: &Wire, buffer: &mut [u8]) -> bool {
        let (begun, count) = (Instant::now(), self.tunnels.len());
        for served in 0..count {
            let at = (self.first + served) % count;
            let tunnel = &mut self.tunnels[at];
            tunnel.has_read |= tunnel.receive(library, buffer);
            if !wire.is_full() {
                tunnel.has_room |= tunnel.send(library);
            }
            tunnel.leave(library);
            if begun.elapsed() > SERVE_MAX && served + 1 < count {
                self.first = at + 1;
                return false;
            }
        }
        true
    }

    fn closing(&self) -> usize {
        let closing = self.tunnels.iter().filter(|tunnel| tunnel.is_closing);
        closing.count()
    }

    /// Tells near sides what a turn changed.
    fn notify(&mut self) {
        for tunnel in &mut self.tunnels {
            tunnel.notify();
        }
        for listening in &self.listeners {
            if !listening.reception.has_room() {
                listening.reception.notify();
            }
        }
    }
}

impl Far {
    fn new(channel: ChannelId, ends: Arc<Ends>) -> Self {
        Self {
            channel,
            ends,
            sending: Vec::new(),
            sent: 0,
            eof_sent: false,
            ended: false,
            has_read: false,
            has_room: false,
            is_closing: false,
            is_free: false,
        }
    }

    /// Moves what the host sent to the near side; whether there was something, be it the end.
    fn receive(&mut self, library: &mut Library, buffer: &mut [u8]) -> bool {
        let mut something = false;
        while !self.ended && self.ends.wants_more() {
            // Asked first, because a read is dearer and most tunnels have nothing.
            if library.unread(self.channel) == 0 {
                if library.is_at_end(self.channel) {
                    self.ended = true;
                    self.ends.end(End::Eof);
                    something = true;
                }
                break;
            }
            match library.read(self.channel, OutputStream::Stdout, buffer) {
                Ok(read @ 1..) => {
                    self.ends.bring(&buffer[..read]);
                    something = true;
                }
                Err(Code::AGAIN) => break,
                // What is left is of a stream that a tunnel has not.
                Ok(_) => {
                    self.ended = true;
                    self.ends.end(End::Eof);
                    something = true;
                }
                Err(_) => {
                    self.ended = true;
                    self.ends.end(CHANNEL_LOST);
                    something = true;
                }
            }
        }
        something
    }

    /// Moves what the near side wrote to the host; whether that made room.
    fn send(&mut self, library: &mut Library) -> bool {
        let mut made_room = false;
        loop {
            if self.sent == self.sending.len() {
                self.sent = 0;
                self.sending = self.ends.fetch();
                if self.sending.is_empty() {
                    break;
                }
            }
            match library.write(self.channel, &self.sending[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.ends.taken(written);
                    made_room = true;
                }
                Err(Code::AGAIN) => return made_room,
                Err(_) => {
                    // Whether more can come is told by reading.
                    self.ends.refuse();
                    self.sending = Vec::new();
                    self.sent = 0;
                    return true;
                }
            }
        }
        if !self.eof_sent && self.ends.is_finished() {
            self.eof_sent = library.send_eof(self.channel) != Err(Code::AGAIN);
        }
        made_room
    }

    /// Closes and frees the channel once the near side has gone.
    fn leave(&mut self, library: &mut Library) {
        if !self.ends.is_closed() {
            return;
        }
        if self.sent < self.sending.len() || self.ends.has_unsent() {
            // What was written goes out first, unless nobody cares for it any more; and what
            // libssh2 has begun to send must be given to it again before anything else (S6).
            let begun = self.sent < self.sending.len() && library.has_room(self.channel);
            if begun || !self.ends.is_aborted() {
                return;
            }
        }
        self.is_free = library.free_channel(self.channel) != Err(Code::AGAIN);
        self.is_closing = !self.is_free;
    }

    /// Tells the near side what a turn changed.
    fn notify(&mut self) {
        let readiness = match (self.has_read, self.has_room) {
            (false, false) => return,
            (true, false) => Interest::READ,
            (false, true) => Interest::WRITE,
            (true, true) => Interest::BOTH,
        };
        (self.has_read, self.has_room) = (false, false);
        self.ends.notify(readiness);
    }
}

/// The end of a channel that libssh2 gives up while its session lives.
const CHANNEL_LOST: End = End::Lost(io::ErrorKind::ConnectionAborted, String::new());
