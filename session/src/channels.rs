//! How many channels for commands and files a session has at once: as many as the host allows, and
//! who comes then waits in order.
//!
//! A host tells its limit (`MaxSessions` of sshd) only by refusing. Such a refusal is taken for the
//! limit while other channels of ours are open; nothing was started by it, so it is safe to ask
//! again once one of them is gone. Tunnels count for no host's limit of this sort and are not
//! counted here. The principal type is [`Channels`].

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use sshoal_reactor::sync::{Permit, Semaphore};
use sshoal_reactor::{Interest, Scope, spawn, yield_now};

use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Phase};
use crate::ffi::{ChannelId, Code};
use crate::wire::Wire;

mod limit;

use limit::{Asked, Freed, Limit};

/// The receive window of a command's channel, and of one that is opened ahead (law S11).
pub(crate) const COMMAND_WINDOW_BYTES: u32 = 256 * 1024;

/// The channels of one session that count for the host's limit.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Held by who opens next, also while it waits for a place: the others line up behind it.
    turn: Semaphore,
    /// A leaf lock.
    state: Mutex<State>,
    /// Who waits for a place waits on the session's own list, which also tells its end.
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct State {
    limit: Limit,
    /// Somebody found no place, and is to be woken when there may be one.
    waits: bool,
    /// Open channels that nobody has yet, oldest first.
    ahead: VecDeque<ChannelId>,
}

/// A channel's place below the limit; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    channels: Arc<Channels>,
    /// Set once a channel has it.
    has_channel: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let freed = self.has_channel.then_some(Freed);
        self.channels.state.lock().limit.give_back(freed);
        self.channels.stir();
    }
}

impl Channels {
    pub(crate) fn new(wire: Arc<Wire>) -> Arc<Self> {
        Arc::new(Self {
            turn: Semaphore::new(1),
            state: Mutex::default(),
            wire,
        })
    }

    /// Has who waits for a place look again.
    pub(crate) fn stir(&self) {
        if std::mem::take(&mut self.state.lock().waits) {
            self.wire.waiters().wake(Interest::READ);
        }
    }

    fn try_place(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state.lock();
        let taken = state.limit.take();
        // Under the lock under which places are given back, so that none is missed.
        state.waits = !taken;
        taken.then(|| Place {
            channels: self.clone(),
            has_channel: false,
        })
    }

    /// Returns whether a close is to be sent at once: the host may need it for the next open.
    pub(crate) fn is_tight(&self) -> bool {
        self.state.lock().limit.is_tight()
    }

    /// Takes note of what is open when the host is asked for a channel.
    fn ask(&self) -> Asked {
        self.state.lock().limit.ask()
    }

    fn put_ahead(&self, channel: ChannelId) {
        self.state.lock().ahead.push_back(channel);
        self.stir();
    }

    fn pop_ahead(&self) -> Option<ChannelId> {
        self.state.lock().ahead.pop_front()
    }
}

/// Opens a channel for a command or a subsystem, with this receive window, or takes one that was
/// opened ahead. Parks, at first until it is the caller's turn and the session has a place.
///
/// # Errors
///
/// The host refused with no other channel open, in phase open; the connection was lost, or the
/// scope ended: an open that was asked for is then awaited behind the scenes, and kept for the next
/// command.
pub(crate) fn open(engine: &Arc<Engine>, window: u32, scope: &Scope) -> Result<ChannelId, Error> {
    let _turn = turn(engine, scope)?;
    loop {
        if let Some(channel) = take_ahead(engine, window) {
            return Ok(channel);
        }
        let place = place(engine, scope)?;
        let reply = engine.reply_turn(Phase::Open, scope)?;
        // One that somebody had asked for and given up may have come meanwhile.
        if let Some(channel) = take_ahead(engine, window) {
            return Ok(channel);
        }
        if let Some(channel) = ask(engine, (place, reply), window, scope)? {
            return Ok(channel);
        }
    }
}

/// Opens a channel that the next command takes, if there is a place for it and nobody waits for
/// one. Parks.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn open_ahead(engine: &Arc<Engine>, scope: &Scope) -> Result<(), Error> {
    let channels = engine.channels();
    let Some(_turn) = channels.turn.try_acquire() else {
        return Ok(());
    };
    while let Some(place) = channels.try_place() {
        let reply = engine.reply_turn(Phase::Open, scope)?;
        if let Some(channel) = ask(engine, (place, reply), COMMAND_WINDOW_BYTES, scope)? {
            channels.put_ahead(channel);
            break;
        }
    }
    Ok(())
}

fn turn(engine: &Engine, scope: &Scope) -> Result<Permit, Error> {
    let turn = engine.channels().turn.acquire(scope);
    turn.map_err(|stop| stopped(stop, Phase::Open, scope))
}

/// Takes a channel that was opened ahead, unless the host has closed it since.
fn take_ahead(engine: &Engine, window: u32) -> Option<ChannelId> {
    while window == COMMAND_WINDOW_BYTES
        && let Some(channel) = engine.channels().pop_ahead()
    {
        let over = engine.with(|library| library.is_over(channel));
        if matches!(over, Ok(false)) {
            return Some(channel);
        }
        engine.free(channel);
    }
    None
}

/// Waits for a place; the caller has the turn. Parks.
fn place(engine: &Engine, scope: &Scope) -> Result<Place, Error> {
    let (channels, wire) = (engine.channels(), engine.wire());
    let phase = Phase::Open;
    let stop = |stop| stopped(stop, phase, scope);
    loop {
        let sequence = wire.waiters().sequence();
        if let Some(place) = channels.try_place() {
            return Ok(place);
        }
        // One that nobody uses gives way.
        if let Some(channel) = channels.pop_ahead() {
            engine.free(channel);
        } else if engine.has_left() {
            // Nobody else may be reading what the host says about them.
            let freed = engine.attempt(true, &mut |library| match engine.free_left_of(library) {
                true => Ok(()),
                false => Err(Code::AGAIN),
            });
            match freed {
                Attempt::Done(()) => {}
                Attempt::Failed(error) => return Err(engine.error(phase, error)),
                Attempt::Again { .. } => {
                    scope.check().map_err(stop)?;
                    yield_now();
                }
                Attempt::Wait(ticket) => ticket.wait(scope).map_err(stop)?,
            }
        } else if !wire.probe() {
            return Err(engine.lost(phase));
        } else if let Some(ticket) = wire.waiters().register(sequence, Interest::READ) {
            ticket.wait(scope).map_err(stop)?;
        }
    }
}

/// Asks the host for a channel; `None` where it is worth asking again. Parks.
fn ask(
    engine: &Arc<Engine>,
    (place, reply): (Place, Permit),
    window: u32,
    scope: &Scope,
) -> Result<Option<ChannelId>, Error> {
    engine.free_left();
    // Counted when it is asked: some may be gone by the time of the answer.
    let asked = engine.channels().ask();
    match request(engine, window, scope) {
        Ok(channel) => opened(engine, channel, place).map(Some),
        Err(error @ (Error::TimedOut { .. } | Error::Cancelled { .. })) => {
            let later = engine.clone();
            let waiting = spawn(move || {
                let _reply = reply;
                let Ok(channel) = request(&later, window, &Scope::root()) else {
                    return;
                };
                match opened(&later, channel, place) {
                    Ok(channel) if window == COMMAND_WINDOW_BYTES => {
                        later.channels().put_ahead(channel);
                    }
                    Ok(channel) => later.free(channel),
                    Err(_) => {}
                }
            });
            if waiting.is_err() {
                engine.break_off();
            }
            Err(error)
        }
        Err(error) if is_refusal(&error) && learns(engine, asked) => Ok(None),
        Err(error) => Err(error),
    }
}

fn request(engine: &Engine, window: u32, scope: &Scope) -> Result<ChannelId, Error> {
    engine.call(Phase::Open, scope, |library| {
        library.open_channel("session", window, b"")
    })
}

fn opened(engine: &Engine, channel: ChannelId, mut place: Place) -> Result<ChannelId, Error> {
    engine.wire().replied();
    engine.channels().state.lock().limit.accepted();
    place.has_channel = true;
    // It goes with the channel, whoever frees that.
    engine.with(|library| library.give_place(channel, place))?;
    Ok(channel)
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Channel { source, .. } if source.is_refused_open())
}

/// Takes note of a refusal; returns whether other channels were the reason.
fn learns(engine: &Engine, asked: Asked) -> bool {
    let others = engine.channels().state.lock().limit.refused(asked);
    if others {
        tracing::debug!(?asked, "the host has no room for another channel");
    }
    others
}
