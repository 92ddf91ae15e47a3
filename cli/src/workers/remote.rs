//! Sessions and commands of a worker, as the pool knows them.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sshoal::connector::{Connected, NotStarted, Request, Running, StdinEnd, Taker};
use sshoal::{
    BeginAgain, Ending, Error, Exit, Host, OutputStream, Phase, Scope, Session, Stop, Timings,
    Unclear,
};

use super::inbox::{Asked, CommandBox, CommandWord, SessionBox, SessionWord};
use super::link::Link;
use super::wire::{Order, WINDOW, WireHost, cost};
use super::{GRACE, Group, Set};

/// A session's place in a worker, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    link: Arc<Link>,
    inbox: Arc<SessionBox>,
}

impl Place {
    /// Takes a place for a session with the first of these hosts, by way of the others; `None` if
    /// the worker is gone.
    pub(super) fn take(link: &Arc<Link>, hosts: &[Host]) -> Option<Self> {
        let inbox = link.inbox.session(hosts.to_vec())?;
        link.live.fetch_add(1, Ordering::Relaxed);
        let link = Arc::clone(link);
        Some(Self { link, inbox })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let session = self.inbox.number;
        self.link.inbox.forget(session);
        self.link.tell(&Order::GiveUp { session }, b"");
        self.link.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a session is opened with.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) set: &'a Arc<Set>,
    pub(super) host: &'a Host,
    pub(super) group: &'a Group,
}

impl Opening<'_> {
    /// Has the worker open the session. Parks.
    pub(super) fn open(
        &self,
        place: Place,
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error> {
        let session = place.inbox.number;
        let connect = Order::Connect {
            session,
            group: self.group.number,
            host: WireHost::of(self.host),
            within: scope.remaining(),
        };
        place.link.tell(&connect, b"");
        let mut phase = Phase::Resolve;
        let mut stop = None;
        // The run's limit ends with the worker's; what the worker says of it is exact.
        let mut waits = scope.clone();
        loop {
            match place.inbox.words.pop(&waits) {
                Ok(Some(SessionWord::Reached(done))) => {
                    phase = after(done);
                    reached(done);
                }
                Ok(Some(SessionWord::Connected(took))) => {
                    took.add_to(timings);
                    return Ok(Arc::new(RemoteSession {
                        place: Arc::new(place),
                        host: self.host.clone(),
                        set: Arc::clone(self.set),
                    }));
                }
                Ok(Some(SessionWord::NotConnected(error, took))) => {
                    took.add_to(timings);
                    return Err(by(stop, error));
                }
                Ok(Some(SessionWord::Closed) | None) => {
                    return Err(self.set.crashed(self.host, phase));
                }
                Err(why) if stop.is_none() => {
                    stop = Some(why);
                    waits = Scope::root().child(Some(GRACE));
                    place.link.tell(&Order::StopConnect { session }, b"");
                }
                Err(_) => return Err(stopped(stop.unwrap_or(Stop::Cancelled), phase)),
            }
        }
    }
}

/// Returns the phase that follows one of those that are told.
fn after(done: Phase) -> Phase {
    match done {
        Phase::Resolve => Phase::Connect,
        Phase::Connect => Phase::Banner,
        Phase::Banner => Phase::Kex,
        Phase::Kex => Phase::HostKey,
        Phase::HostKey => Phase::Auth,
        _ => Phase::Open,
    }
}

/// Says of a failure that came after a stop that it is the stop's.
fn by(stop: Option<Stop>, error: Error) -> Error {
    match (stop, error) {
        (Some(stop), Error::Cancelled { phase } | Error::TimedOut { phase, .. }) => {
            stopped(stop, phase)
        }
        (_, error) => error,
    }
}

/// Returns the failure of whoever waited in a scope that ended; the pool fills in the limit.
pub(super) fn stopped(stop: Stop, phase: Phase) -> Error {
    match stop {
        Stop::TimedOut => Error::TimedOut {
            phase,
            limit: Duration::ZERO,
        },
        Stop::Cancelled => Error::Cancelled { phase },
    }
}

/// The command may have been started, and nobody knows what became of it.
fn crashed() -> Error {
    Error::WorkerCrashed {
        phase: Phase::Run,
        again: BeginAgain::No,
    }
}

/// A session that a worker has.
struct RemoteSession {
    place: Arc<Place>,
    host: Host,
    set: Arc<Set>,
}

impl Connected for RemoteSession {
    fn start(&self, request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted> {
        let link = &self.place.link;
        let Some(inbox) = link.inbox.command() else {
            let error = self.set.crashed(&self.host, Phase::Open);
            return Err(NotStarted {
                error,
                asked: false,
            });
        };
        let running = RemoteCommand {
            place: Arc::clone(&self.place),
            inbox,
            state: Mutex::default(),
        };
        let command = running.inbox.number;
        let start = Order::Start {
            session: self.place.inbox.number,
            command,
            has_input: request.stdin == StdinEnd::Later,
            within: scope.remaining(),
        };
        link.tell(&start, request.bytes);
        let (mut stop, mut waits) = (None, scope.clone());
        loop {
            let (error, asked) = match running.inbox.words.pop(&waits) {
                Ok(Some(CommandWord::Started)) => return Ok(Arc::new(running)),
                Ok(Some(CommandWord::NotStarted(error, asked))) => (by(stop, error), asked),
                // P7: it may have been asked for before the worker died.
                Ok(_) => (crashed(), Asked::Yes),
                Err(why) if stop.is_none() => {
                    stop = Some(why);
                    waits = Scope::root().child(Some(GRACE));
                    link.tell(&Order::StopStart { command }, b"");
                    continue;
                }
                Err(_) => {
                    let stop = stop.unwrap_or(Stop::Cancelled);
                    (stopped(stop, Phase::Open), Asked::Yes)
                }
            };
            return Err(NotStarted {
                error,
                asked: asked == Asked::Yes,
            });
        }
    }

    fn close(&self) {
        let session = self.place.inbox.number;
        self.place.inbox.closing();
        self.place.link.tell(&Order::Close { session }, b"");
        // What it says, and whether in time, is nobody's concern.
        let _ = (self.place.inbox.words).pop(&Scope::root().child(Some(CLOSE_MAX)));
    }

    fn session(&self) -> Option<&Session> {
        None
    }
}

/// A command that a worker follows.
struct RemoteCommand {
    place: Arc<Place>,
    inbox: Arc<CommandBox>,
    /// Never held across a wait.
    state: Mutex<Taken>,
}

/// What was taken from the worker and not yet by the pool.
#[derive(Default)]
struct Taken {
    output: VecDeque<Piece>,
    over: Option<Over>,
    /// What was taken of the window and is not granted again.
    owed: usize,
}

/// A piece of output; so much of it was read.
struct Piece {
    stream: OutputStream,
    bytes: Vec<u8>,
    read: usize,
}

/// How following a command ended.
enum Over {
    Exited(Exit),
    /// Until somebody takes the failure; it is that of the worker's end then.
    Lost(Option<Error>),
}

impl RemoteCommand {
    /// Takes in what the worker says next; returns what became of ending the command. Parks.
    fn hear(&self, scope: &Scope) -> Result<Option<Ending>, Stop> {
        let word = self.inbox.words.pop(scope)?;
        let mut taken = self.taken();
        match word {
            Some(CommandWord::Output(stream, bytes)) => taken.output.push_back(Piece {
                stream,
                bytes,
                read: 0,
            }),
            Some(CommandWord::Exited(exit)) => taken.over = Some(Over::Exited(exit)),
            Some(CommandWord::Lost(error)) => taken.over = Some(Over::Lost(Some(error))),
            Some(CommandWord::Ended(ending)) => return Ok(Some(ending)),
            Some(CommandWord::Started | CommandWord::NotStarted(..)) => {}
            None => {
                taken.over.get_or_insert(Over::Lost(None));
                let why = Unclear::Lost;
                return Ok(Some(Ending::Unknown { why }));
            }
        }
        Ok(None)
    }

    /// Takes output that has come.
    fn next(&self, buf: &mut [u8]) -> Option<(OutputStream, usize)> {
        let mut taken = self.taken();
        let piece = taken.output.front_mut()?;
        let rest = &piece.bytes[piece.read..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        piece.read += len;
        let stream = piece.stream;
        if piece.read == piece.bytes.len() {
            let cost = cost(piece.bytes.len());
            taken.output.pop_front();
            self.owe(&mut taken, cost);
        }
        Some((stream, len))
    }

    /// Notes that a piece was read; the worker is told of many at once.
    fn owe(&self, taken: &mut Taken, cost: usize) {
        taken.owed += cost;
        if taken.owed >= WINDOW / 4 {
            let bytes = std::mem::take(&mut taken.owed);
            let command = self.inbox.number;
            // Before the worker can know of it.
            self.inbox.granted(bytes);
            self.place.link.tell(&Order::Grant { command, bytes }, b"");
        }
    }

    /// Returns how it ended, if it did.
    fn over(&self) -> Option<Result<Exit, Error>> {
        match self.taken().over.as_mut()? {
            Over::Exited(exit) => Some(Ok(exit.clone())),
            Over::Lost(error) => Some(Err(error.take().unwrap_or_else(crashed))),
        }
    }

    /// Sends something whose end is told, and waits for that. Parks.
    fn write(&self, order: &Order, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        self.inbox.writing();
        self.place.link.tell(order, bytes);
        match self.inbox.wrote.pop(scope) {
            Ok(Some(result)) => result,
            Ok(None) => Err(crashed()),
            Err(stop) => Err(stopped(stop, Phase::Run)),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running for RemoteCommand {
    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error> {
        let phase = Phase::Run;
        loop {
            scope.check().map_err(|stop| stopped(stop, phase))?;
            if let Some(read) = self.next(buf) {
                return Ok(Some(read));
            }
            match self.over() {
                Some(Ok(_)) => return Ok(None),
                Some(Err(error)) => return Err(error),
                None => {}
            }
            self.hear(scope).map_err(|stop| stopped(stop, phase))?;
        }
    }

    fn write_stdin(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        let command = self.inbox.number;
        for piece in bytes.chunks(INPUT_MAX) {
            self.write(&Order::Input { command }, piece, scope)?;
        }
        Ok(())
    }

    fn close_stdin(&self, scope: &Scope) -> Result<(), Error> {
        let command = self.inbox.number;
        self.write(&Order::InputEnd { command }, b"", scope)
    }

    fn signal(&self, name: &str, _: &Scope) -> Result<(), Error> {
        let (command, name) = (self.inbox.number, name.to_owned());
        self.place.link.tell(&Order::Signal { command, name }, b"");
        Ok(())
    }

    fn end(&self, grace: Duration, scope: &Scope, output: &mut Taker<'_>) -> Ending {
        self.inbox.ending();
        let end = Order::End {
            command: self.inbox.number,
            grace,
            // The worker's answer has to come within the scope, too.
            within: scope
                .remaining()
                .unwrap_or(END_MAX)
                .saturating_sub(ON_THE_WAY),
        };
        self.place.link.tell(&end, b"");
        let mut flow = ControlFlow::Continue(());
        let mut buf = vec![0; super::wire::CHUNK_MAX];
        loop {
            while let Some((stream, len)) = self.next(&mut buf) {
                if flow.is_continue() {
                    flow = output(stream, &buf[..len]);
                }
            }
            match self.hear(scope) {
                Ok(Some(ending)) => return ending,
                Ok(None) => {}
                Err(_) => {
                    let why = Unclear::Stopped;
                    return Ending::Unknown { why };
                }
            }
        }
    }

    fn wait(&self, scope: &Scope) -> Result<Exit, Error> {
        loop {
            if let Some(over) = self.over() {
                return over;
            }
            let stopped = |stop| stopped(stop, Phase::Run);
            self.hear(scope).map_err(stopped)?;
        }
    }
}

impl Drop for RemoteCommand {
    fn drop(&mut self) {
        let command = self.inbox.number;
        self.place.link.inbox.forget(command);
        self.place.link.tell(&Order::Forget { command }, b"");
    }
}

/// How long an orderly end may take: somewhat more than the session's own.
const CLOSE_MAX: Duration = Duration::from_secs(10);
/// Of a command that has no limit of its own for that.
const END_MAX: Duration = Duration::from_secs(10);
/// What the way to a worker and back may take.
const ON_THE_WAY: Duration = Duration::from_millis(50);
/// Input that is on its way to a worker at once.
const INPUT_MAX: usize = 64 << 10;
