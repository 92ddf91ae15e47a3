//! The one loop that turns libssh2's "would block" into a wait (laws S4, S5, S6, S7, S14, S15).
//!
//! Lock order: reply lock, then a channel's write lock, then the library, then waiter list and
//! queues. The library's lock is never held across a wait.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libssh2_sys as sys;
use parking_lot::{Mutex, MutexGuard};
use sshoal_reactor::sync::{Permit, Semaphore};
use sshoal_reactor::{Interest, Scope, Stop, Ticket, yield_now};

use crate::auth::AuthError;
use crate::calls::Call;
use crate::channels::Channels;
use crate::ending::started::Started;
use crate::error::{ApiMisuse, Error, Kind, Libssh2Error, Phase};
use crate::ffi::{Called, ChannelId, Code, Farewell, Library};
use crate::wire::{Broken, Wire};

/// One session's library and wire, shared by its channels.
#[derive(Debug)]
pub(crate) struct Engine {
    /// One call into libssh2 at a time (S4). `None` once dropped apart.
    library: Mutex<Option<Library>>,
    wire: Arc<Wire>,
    /// One open that awaits a reply at a time (S5): replies are matched by type. So does
    /// authentication, and what is asked of the session as a whole.
    reply: Semaphore,
    /// One request on a channel that awaits a reply at a time (S5).
    requests: Semaphore,
    /// The channels that count for the host's limit.
    channels: Arc<Channels>,
    /// Channels whose owner went away before their end; freed when the next one opens.
    left: Mutex<Vec<ChannelId>>,
    /// The commands that run. A leaf lock.
    started: Mutex<Started>,
}

/// What one try of a call gave.
pub(crate) enum Attempt<'a, T> {
    Done(T),
    Failed(Libssh2Error),
    /// It can go on at once; `costly`: only the key exchange's costly step keeps it.
    Again {
        costly: bool,
    },
    Wait(Ticket<'a>),
}

/// How a carrier took in what the host has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drive {
    Driven,
    /// Not at all: there was no call to make.
    Idle,
    /// The session is of no more use.
    Lost,
}

/// What follows a carrier's turn.
pub(crate) enum Turn<'a> {
    Wait(Ticket<'a>),
    Again,
    /// The session has ended.
    Over,
}

/// As [`Attempt`], without a place in the list of who waits.
pub(crate) enum Tried<T> {
    Done(T),
    Failed(Libssh2Error),
    Again { costly: bool },
    Later { sequence: u64 },
}

/// A call into libssh2 that takes longer is logged: it keeps other sessions waiting. Measured by
/// the wall clock, which costs no system call.
const SLOW_CALL: Duration = Duration::from_millis(100);
/// Channels left behind at once, before the session is given up.
const LEFT_MAX: usize = 16;

impl Engine {
    pub(crate) fn new(wire: Arc<Wire>) -> Result<Arc<Self>, Libssh2Error> {
        let library = Library::new(wire.clone())?;
        Ok(Arc::new(Self {
            library: Mutex::new(Some(library)),
            channels: Channels::new(wire.clone()),
            wire,
            reply: Semaphore::new(1),
            requests: Semaphore::new(1),
            left: Mutex::default(),
            started: Mutex::default(),
        }))
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn started(&self) -> MutexGuard<'_, Started> {
        self.started.lock()
    }

    pub(crate) fn channels(&self) -> &Arc<Channels> {
        &self.channels
    }

    /// Takes the turn for opens that await a reply, and for requests of no channel. Parks.
    pub(crate) fn reply_turn(&self, phase: Phase, scope: &Scope) -> Result<Permit, Error> {
        self.reply
            .acquire(scope)
            .map_err(|stop| stopped(stop, phase, scope))
    }

    /// Takes the turn for requests on channels that await a reply. Parks.
    ///
    /// libssh2 tells their replies from those to opens, but not from each other.
    pub(crate) fn request_turn(&self, phase: Phase, scope: &Scope) -> Result<Permit, Error> {
        self.requests
            .acquire(scope)
            .map_err(|stop| stopped(stop, phase, scope))
    }

    /// Takes the turn for opens that await a reply, if nobody has it.
    pub(crate) fn try_reply_turn(&self) -> Option<Permit> {
        self.reply.try_acquire()
    }

    /// Runs something short on the library that never waits for the host.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Library) -> T) -> Result<T, Error> {
        let mut library = self.library.lock();
        let library = library.as_mut().ok_or(ApiMisuse::SessionClosed)?;
        self.wire.begin_call(true, None);
        let measured = Call::begin(false);
        let result = f(library);
        measured.end();
        if self.wire.end_call().moved {
            self.wire.waiters().wake_registered();
        }
        Ok(result)
    }

    /// As [`Engine::with`], for what may wait for the next flush: of another call, of the
    /// session's close, or of the keepalive's tick.
    pub(crate) fn queue<T>(&self, f: impl FnOnce(&mut Library) -> T) -> Result<T, Error> {
        let mut library = self.library.lock();
        let library = library.as_mut().ok_or(ApiMisuse::SessionClosed)?;
        self.wire.begin_call(true, None);
        let measured = Call::begin(false);
        let result = f(library);
        measured.end();
        if self.channels.is_tight() {
            self.wire.flush();
        }
        if self.wire.report().moved {
            self.wire.waiters().wake_registered();
        }
        Ok(result)
    }

    /// Tries a call once. After "would block" the same call must be made again (S6).
    pub(crate) fn attempt<T>(
        &self,
        costly: bool,
        call: &mut dyn FnMut(&mut Library) -> Called<T>,
    ) -> Attempt<'_, T> {
        match self.try_once(costly, call) {
            Tried::Done(value) => Attempt::Done(value),
            Tried::Failed(error) => Attempt::Failed(error),
            Tried::Again { costly } => Attempt::Again { costly },
            Tried::Later { sequence } => match self.register(sequence) {
                Some(ticket) => Attempt::Wait(ticket),
                None => Attempt::Again { costly: false },
            },
        }
    }

    /// Makes a call, which begins at that time; what it takes is counted, and logged if that is much.
    fn timed<T>(&self, began: Instant, call: impl FnOnce() -> T) -> T {
        let measured = Call::begin(self.wire.is_suspect());
        let result = call();
        let worked = measured.end();
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        if took > SLOW_CALL {
            tracing::warn!(?took, "a call into libssh2 held a scheduler thread");
        }
        self.wire.spent(worked.unwrap_or(took), now);
        result
    }

    /// Registers to be woken by what came after this moment; `None` if something has.
    pub(crate) fn register(&self, sequence: u64) -> Option<Ticket<'_>> {
        self.wire.waiters().register(sequence, Interest::READ)
    }

    /// As [`Engine::attempt`], with a result that another thread can go on with.
    pub(crate) fn try_once<T>(
        &self,
        costly: bool,
        call: &mut dyn FnMut(&mut Library) -> Called<T>,
    ) -> Tried<T> {
        let mut library = self.library.lock();
        let Some(library) = library.as_mut().filter(|_| !self.wire.is_broken()) else {
            let code = sys::LIBSSH2_ERROR_SOCKET_DISCONNECT;
            return Tried::Failed(Libssh2Error::new(code, "the session is closed"));
        };
        let sequence = self.wire.waiters().sequence();
        let now = Instant::now();
        self.wire.begin_call(costly, Some(now));
        let result = self.timed(now, || call(library));
        let report = self.wire.end_call();
        if report.moved {
            // They may have been served from the buffer, and no event will tell them (S4).
            self.wire.waiters().wake_registered();
        }
        match result {
            Ok(value) => Tried::Done(value),
            Err(Code::AGAIN) if report.more => Tried::Again {
                costly: report.costly,
            },
            Err(Code::AGAIN) if report.ended => {
                let code = sys::LIBSSH2_ERROR_SOCKET_DISCONNECT;
                Tried::Failed(Libssh2Error::new(code, "connection closed by host"))
            }
            Err(Code::AGAIN) => Tried::Later { sequence },
            Err(code) => Tried::Failed(library.error(code)),
        }
    }

    /// Tries a call once, its costly step allowed, and waits for nothing: whoever goes on finds
    /// how far it came.
    pub(crate) fn step(&self, call: &mut dyn FnMut(&mut Library) -> Called<()>) {
        drop(self.attempt(true, call));
    }

    /// Runs what a tunnels' carrier does in one turn: `drive` takes in what the host has sent;
    /// `serve` then moves bytes of channels, and receives nothing. Anything woken since `sequence`
    /// calls for another turn.
    pub(crate) fn turn(
        &self,
        sequence: u64,
        drive: impl FnOnce(&mut Library) -> Drive,
        serve: impl FnOnce(&mut Library),
    ) -> Turn<'_> {
        let mut library = self.library.lock();
        let Some(library) = library.as_mut().filter(|_| !self.wire.is_broken()) else {
            return Turn::Over;
        };
        let now = Instant::now();
        self.wire.begin_call(true, Some(now));
        let drive = self.timed(now, || drive(library));
        let report = self.wire.report();
        self.wire.stop_receiving();
        serve(library);
        if self.wire.end_call().moved {
            self.wire.waiters().wake_registered();
        }
        if drive == Drive::Lost || report.ended {
            return Turn::Over;
        }
        let waiting = drive == Drive::Idle || !report.more;
        // Under the library's lock, as everywhere: another thread's call may bring us something.
        match waiting.then(|| self.wire.waiters().register(sequence, Interest::BOTH)) {
            Some(Some(ticket)) => Turn::Wait(ticket),
            _ => Turn::Again,
        }
    }

    /// Makes a call until it is done. Parks.
    ///
    /// Given up when the scope ends; what that means for the session is the caller's to know (S6).
    pub(crate) fn call<T>(
        &self,
        phase: Phase,
        scope: &Scope,
        mut call: impl FnMut(&mut Library) -> Called<T>,
    ) -> Result<T, Error> {
        loop {
            match self.attempt(true, &mut call) {
                Attempt::Done(value) => return Ok(value),
                Attempt::Failed(error) => return Err(self.error(phase, error)),
                Attempt::Again { .. } => {
                    scope.check().map_err(|stop| stopped(stop, phase, scope))?;
                    yield_now();
                }
                Attempt::Wait(ticket) => {
                    ticket
                        .wait(scope)
                        .map_err(|stop| stopped(stop, phase, scope))?;
                }
            }
        }
    }

    /// As [`Engine::call`], for a request whose abandonment leaves the session unusable (S6): it
    /// is then given up. Nothing is asked for that nobody waits for.
    pub(crate) fn request<T>(
        &self,
        phase: Phase,
        scope: &Scope,
        call: impl FnMut(&mut Library) -> Called<T>,
    ) -> Result<T, Error> {
        self.request_with_grace(phase, (scope, Duration::ZERO), call)
    }

    /// As [`Engine::request`]; when the scope has ended, the answer is awaited for as long as the
    /// grace is, and the session is given up only without one.
    pub(crate) fn request_with_grace<T>(
        &self,
        phase: Phase,
        (scope, grace): (&Scope, Duration),
        mut call: impl FnMut(&mut Library) -> Called<T>,
    ) -> Result<T, Error> {
        scope.check().map_err(|stop| stopped(stop, phase, scope))?;
        let result = self.call(phase, scope, &mut call);
        match &result {
            Ok(_) => self.wire.replied(),
            Err(Error::TimedOut { .. } | Error::Cancelled { .. }) if grace.is_zero() => {
                self.break_off();
            }
            Err(Error::TimedOut { .. } | Error::Cancelled { .. }) => {
                let late = Scope::root().child(Some(grace));
                match self.call(phase, &late, call) {
                    Ok(_) => self.wire.replied(),
                    Err(Error::TimedOut { .. } | Error::Cancelled { .. }) => self.break_off(),
                    Err(_) => {}
                }
            }
            Err(_) => {}
        }
        result
    }

    /// Turns a failure of libssh2 into an error, with the wire's own reason if it has one.
    pub(crate) fn error(&self, phase: Phase, error: Libssh2Error) -> Error {
        if let Some(broken) = self.wire.broken() {
            return match broken {
                Broken::Io(kind, text) => Error::Disconnected {
                    phase,
                    source: io::Error::new(kind, text),
                },
                Broken::Overstepped(what, protocol) => {
                    let kind = if protocol {
                        Kind::Protocol
                    } else {
                        Kind::Limit
                    };
                    Error::Overstepped { phase, what, kind }
                }
                Broken::OtherVersion(theirs) => Error::OtherVersion { theirs },
                Broken::Stalled(silence) => Error::Stalled { phase, silence },
                Broken::Closed => ApiMisuse::SessionClosed.into(),
            };
        }
        match error.code() {
            sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | sys::LIBSSH2_ERROR_SOCKET_RECV
            | sys::LIBSSH2_ERROR_SOCKET_SEND => {
                let source = io::Error::new(io::ErrorKind::UnexpectedEof, error);
                Error::Disconnected { phase, source }
            }
            _ => match phase {
                Phase::Auth => AuthError::Failed { source: error }.into(),
                Phase::Open | Phase::Run | Phase::Transfer => Error::Channel {
                    phase,
                    source: error,
                },
                _ => Error::Handshake {
                    phase,
                    source: error,
                },
            },
        }
    }

    /// Returns the host's SSH_MSG_DISCONNECT, if one came.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        self.with(|library| library.farewell()).ok().flatten()
    }

    /// Returns the error of a session that has ended, for whoever did not ask anything of it.
    pub(crate) fn lost(&self, phase: Phase) -> Error {
        let code = sys::LIBSSH2_ERROR_SOCKET_DISCONNECT;
        self.error(phase, Libssh2Error::new(code, "connection closed by host"))
    }

    /// Leaves a channel to be freed later, by whoever opens the next one.
    pub(crate) fn leave(&self, channel: ChannelId) {
        let mut left = self.left.lock();
        left.push(channel);
        let crowded = left.len() > LEFT_MAX;
        drop(left);
        if crowded {
            self.break_off();
        }
        self.channels.stir();
    }

    /// Closes and frees a channel, or leaves it to be freed later.
    pub(crate) fn free(&self, channel: ChannelId) {
        let freed = self.with(|library| library.free_channel(channel));
        if matches!(freed, Ok(Err(Code::AGAIN))) {
            self.leave(channel);
        }
    }

    /// Returns whether channels are left to be freed.
    pub(crate) fn has_left(&self) -> bool {
        !self.left.lock().is_empty()
    }

    /// Frees channels that were left, as far as it goes without waiting.
    pub(crate) fn free_left(&self) {
        if self.has_left() {
            // A session that was closed has none.
            let _ = self.with(|library| self.free_left_of(library));
        }
    }

    /// As [`Engine::free_left`], within a call; returns whether any was freed.
    pub(crate) fn free_left_of(&self, library: &mut Library) -> bool {
        let mut left = self.left.lock();
        let before = left.len();
        left.retain(|channel| library.free_channel(*channel) == Err(Code::AGAIN));
        left.len() < before
    }

    /// Ends the connection at once, because a call on it was cut short where that cannot be mended
    /// (S6): to all others on it, it is lost, and nobody's misuse.
    pub(crate) fn break_off(&self) {
        let kind = io::ErrorKind::ConnectionAborted;
        self.wire.break_off(Broken::Io(kind, CUT_SHORT.into()));
    }

    /// Ends the connection at once; all who wait on it fail.
    pub(crate) fn give_up(&self) {
        self.wire.break_off(Broken::Closed);
    }
}

impl Drop for Engine {
    /// Never waits: the wire is closed first, so that nothing of libssh2's freeing can (S7).
    fn drop(&mut self) {
        self.wire.break_off(Broken::Closed);
        drop(self.library.get_mut().take());
    }
}

/// What those are told who share a session with a call that was cut short.
const CUT_SHORT: &str = "given up with another call on it that was cut short";

/// The error of a scope's end.
pub(crate) fn stopped(stop: Stop, phase: Phase, scope: &Scope) -> Error {
    match stop {
        Stop::TimedOut => Error::TimedOut {
            phase,
            limit: scope.timeout().unwrap_or_default(),
        },
        Stop::Cancelled => Error::Cancelled { phase },
    }
}
