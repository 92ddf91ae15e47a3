//! One host under way: from its session through its command to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::{Scope, Status};
use sshoal_session::{
    ApiMisuse, BeginAgain, Ending, Error, Exit, OutputStream, Phase, Remedy, Timings,
};

use super::close;
use crate::connector::{Connected, NotStarted, Request, Running, StdinEnd};
use crate::each::Reached;
use crate::engine::Engine;
use crate::event::{Collect, Detail};
use crate::input::Feeding;
use crate::limits;
use crate::live::Held;
use crate::outcome::{End, Outcome, StopCause, Visit};
use crate::output::HostOutput;
use crate::run::{Job, RunState};
use crate::schedule::Seat;

mod ending;
mod verdict;

use ending::Silence;
use verdict::{stopped_in_run, with_limit};

/// One host under way.
pub(super) struct Flight<'a> {
    engine: &'a Arc<Engine>,
    run: &'a RunState,
    /// What ends with the host's limit, if it has one.
    limited: Option<Scope>,
    index: usize,
    seat: Seat,
    /// Whether the session was open already.
    kept: bool,
    output: HostOutput,
    timings: Timings,
    stage: Stage,
    /// What the host was asked to run, if it came to that.
    bytes: Option<Arc<[u8]>>,
    /// What became of a command that did not end by itself.
    ending: Option<Ending>,
    /// Whether the session is of use after that.
    usable: bool,
    /// Whether the command has had a part of its input only.
    input_cut: bool,
    /// Whether the program said that the host failed.
    failed: bool,
}

/// How far a flight is, for a panic's phase.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Connect,
    Open,
    Run,
}

/// Why a host did not get to the end of its command.
pub(super) enum Fault {
    Failed(Box<Error>),
    /// No session was opened, so that nothing can have been started (P7).
    NotConnected(Box<Error>),
    /// This machine had no room; the host waits (P6).
    LocalLimit,
    /// The kept session was dead, or the process that had it died, and the command was not asked
    /// for on it (P7).
    KeptDied,
}

impl<'a> Flight<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        run: &'a RunState,
        (index, seat): (usize, Seat),
        kept: bool,
    ) -> Self {
        Self {
            engine,
            run,
            limited: None,
            index,
            seat,
            kept,
            output: run.output(),
            timings: Timings::default(),
            stage: Stage::Connect,
            bytes: None,
            ending: None,
            usable: false,
            input_cut: false,
            failed: false,
        }
    }

    /// Delivers the outcome, and keeps, closes or gives up the session.
    pub(super) fn land(
        self: Box<Self>,
        session: Option<Arc<dyn Connected>>,
        (end, stopped_by): (End, Option<StopCause>),
        visit: Visit,
    ) {
        let Self {
            engine,
            run,
            index,
            seat,
            output,
            timings,
            bytes,
            ending,
            usable,
            failed,
            ..
        } = *self;
        let orderly =
            usable || matches!(end, End::Exited(_) | End::Signaled { .. } | End::NoStatus);
        // After a timeout, an error or a panic a session is in no state to be used by others.
        let vacate = |session, orderly| match orderly {
            true => {
                let closing = engine.leave(seat, session);
                (closing.is_some(), closing)
            }
            false => (engine.retire(seat, session), None),
        };
        // Before the outcome is out: the caller's next command is to find the session idle. Where
        // a channel is opened ahead, it finds it shared, and takes that channel.
        let mut session = session;
        let ahead = orderly && engine.settings.open_ahead && engine.bounds.keep_open;
        let vacated = (!ahead).then(|| vacate(session.take(), orderly));
        let who = (index, &engine.hosts);
        let outcome = Outcome::new(who, (end, stopped_by), output, timings, visit);
        let failures = run.failures.as_ref();
        let stop = failures.and_then(|failures| failures.count(outcome.end(), failed));
        run.deliver(outcome.of_command(bytes).after(ending));
        engine.ended(run.id, index);
        if let Some(flights) = stop {
            engine.failed(run, flights);
        }
        let (last, closing) = vacated.unwrap_or_else(|| {
            let usable = session.as_deref().is_some_and(open_ahead);
            vacate(session.take(), usable)
        });
        if !last {
            return;
        }
        if let Some(session) = closing {
            close(&*session);
        }
        engine.release();
    }

    // Neither this nor its parts are inlined: what one of them needs would lie in the stack under
    // the others' deepest calls, and take memory of each session that waits.
    #[inline(never)]
    pub(super) fn go(
        &mut self,
        session: &mut Option<Arc<dyn Connected>>,
        buf: &mut Vec<u8>,
    ) -> Result<Exit, Fault> {
        let begun = Instant::now();
        let limit = self.engine.settings.host_timeout;
        self.limited = limit.map(|limit| self.scope().child(Some(limit)));
        let opening = self.within().child(self.connect_timeout());
        if session.is_none() {
            *session = Some(self.connect(&opening)?);
        }
        let session = session.as_deref().expect("it was kept or is connected");
        match &self.run.job {
            Job::Command {
                bytes,
                launch,
                input,
            } => {
                let bytes = Arc::clone(bytes.of(self.index));
                let live = self.run.live.as_ref();
                let request = Request {
                    bytes: &bytes,
                    launch,
                    stdin: match (input, live) {
                        (None, None) => StdinEnd::AtOnce,
                        (None, Some(live)) => live.begin_input(self.index),
                        // Whoever reads the run gives no other input then.
                        (Some(_), live) => {
                            live.map(|live| live.begin_input(self.index));
                            StdinEnd::Later
                        }
                    },
                };
                self.bytes = Some(Arc::clone(&bytes));
                self.command(session, &request, &opening, buf)
            }
            Job::Program(program) => {
                let own = session.session();
                if self.kept && own.is_some_and(|session| !session.is_open()) {
                    return Err(Fault::KeptDied);
                }
                if self.scope().status() == Status::Cancelled {
                    // The program is not begun, and the session is as it was.
                    self.usable = true;
                    let phase = Phase::Local;
                    return Err(Fault::Failed(Box::new(Error::Cancelled { phase })));
                }
                self.stage = Stage::Run;
                let began = Instant::now();
                let host = &self.engine.hosts[self.index];
                self.run.traced.enter((self.index, host), Phase::Run);
                let scope = self.within().child(None);
                let reached = Reached::new((self.index, host), session, &scope);
                let reached = reached.after(begun.elapsed());
                program(&reached);
                self.failed = reached.is_failed();
                self.timings.add(Phase::Run, began.elapsed());
                Ok(Exit::Status(0))
            }
        }
    }

    #[inline(never)]
    fn connect(&mut self, opening: &Scope) -> Result<Arc<dyn Connected>, Fault> {
        let (engine, index) = (self.engine, self.index);
        let to = (&engine.hosts[index], &**engine.configs.of(index));
        let run = self.run;
        run.traced.enter((index, to.0), Phase::Connect);
        let mut reached = |phase| run.reached(index, phase);
        let (connector, timings) = (&engine.connector, &mut self.timings);
        let session = connector.connect(to, opening, timings, &mut reached);
        let session = session.map_err(|error| self.not_connected(error))?;
        engine.opened((self.run.id, index), self.seat, &session);
        Ok(session)
    }

    #[inline(never)]
    fn not_connected(&self, error: Error) -> Fault {
        if limits::is_local_limit(&error) {
            return Fault::LocalLimit;
        }
        if is_to_begin_again(&error) {
            return Fault::KeptDied;
        }
        Fault::NotConnected(Box::new(with_limit(error, self.connect_timeout())))
    }

    /// Returns the limit until the command is accepted: the pool's, or else the host's own.
    fn connect_timeout(&self) -> Option<Duration> {
        let own = || self.engine.configs.of(self.index).connect_timeout();
        self.engine.settings.connect_timeout.unwrap_or_else(own)
    }

    #[inline(never)]
    fn command(
        &mut self,
        session: &dyn Connected,
        request: &Request<'_>,
        opening: &Scope,
        buf: &mut Vec<u8>,
    ) -> Result<Exit, Fault> {
        self.stage = Stage::Open;
        let host = &self.engine.hosts[self.index];
        self.run.traced.enter((self.index, host), Phase::Open);
        let began = Instant::now();
        let started = session.start(request, opening);
        self.timings.add(Phase::Open, began.elapsed());
        let running = match started {
            Ok(running) => running,
            Err(NotStarted {
                error,
                asked: false,
            }) if is_to_begin_again(&error) || self.kept && is_dead(&error) => {
                return Err(Fault::KeptDied);
            }
            Err(NotStarted {
                error,
                asked: false,
            }) if limits::is_local_limit(&error) => {
                return Err(Fault::LocalLimit);
            }
            Err(NotStarted { error, .. }) => {
                let error = with_limit(error, self.connect_timeout());
                return Err(Fault::Failed(Box::new(error)));
            }
        };
        self.stage = Stage::Run;
        let accepted = Instant::now();
        self.run.accepted(self.index);
        let limit = self.engine.settings.command_timeout;
        let scope = self.within().child(limit);
        if let Some(live) = &self.run.live {
            live.accepted(self.index, &running, &scope);
        }
        let result = self.fed(&running, &scope, buf);
        self.timings.add(Phase::Run, accepted.elapsed());
        if let Err(error) = &result {
            self.end_command(&*running, error);
        }
        result.map_err(|error| Fault::Failed(Box::new(with_limit(error, limit))))
    }

    /// Follows a command, and feeds it meanwhile if it is to be.
    fn fed(
        &mut self,
        running: &Arc<dyn Running>,
        scope: &Scope,
        buf: &mut Vec<u8>,
    ) -> Result<Exit, Error> {
        let Some(input) = self.run.job.input() else {
            return self.follow(&**running, scope, buf);
        };
        let feeding = Feeding::begin(input, self.index, running, scope)?;
        let result = self.follow(&**running, &feeding.within, buf);
        self.input_cut = feeding.is_cut();
        result.map_err(|error| feeding.blame(error, scope))
    }

    /// Reads what a command prints until it has ended.
    fn follow(
        &mut self,
        running: &dyn Running,
        scope: &Scope,
        buf: &mut Vec<u8>,
    ) -> Result<Exit, Error> {
        let mut silence = self.silence(scope);
        buf.resize(buf.len().max(CHUNK_MIN), 0);
        loop {
            let Some((stream, len)) = Self::read(running, &mut silence, buf, scope)? else {
                return running.wait(scope);
            };
            self.take_in(stream, &buf[..len], scope)?;
            silence.iter_mut().for_each(Silence::taken);
            // Most commands print a line: the large buffer is for those that fill the small one.
            if len == buf.len() && len < CHUNK_MAX {
                buf.resize(CHUNK_MAX, 0);
            }
        }
    }

    fn take_in(&mut self, stream: OutputStream, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        let phase = Phase::Run;
        if self.run.collect == Collect::Yes {
            let mut rest = bytes;
            while let Err(held) = self.collect(stream, &mut rest, scope) {
                match held {
                    Held::Stopped(stop) => return Err(stopped_in_run(stop)),
                    Held::File(source) if !limits::is_descriptor_limit(&source) => {
                        return Err(Error::Local { phase, source });
                    }
                    Held::File(_) => {}
                }
                // Waits for a descriptor to spill to (P6), within the command's time.
                sshoal_reactor::sleep(DESCRIPTOR_WAIT);
                scope.check().map_err(stopped_in_run)?;
            }
        }
        if self.run.detail == Detail::Output {
            self.run
                .pass_on(self.index, (stream, bytes), scope)
                .map_err(stopped_in_run)?;
        }
        Ok(())
    }

    /// Puts bytes where the run wants them; what was taken is cut off `bytes`, whatever the result.
    fn collect(
        &mut self,
        stream: OutputStream,
        bytes: &mut &[u8],
        scope: &Scope,
    ) -> Result<(), Held> {
        match &self.run.live {
            Some(live) => live.put(self.index, stream, bytes, scope),
            None => self.output.append(stream, bytes).map_err(Held::File),
        }
    }

    /// Returns the scope within which the host is worked on.
    fn scope(&self) -> &'a Scope {
        let run: &'a RunState = self.run;
        let live = run.live.as_ref().map(|live| live.scope(self.index));
        let program = || run.ends.as_ref().map(|ends| ends.scope(self.index));
        live.or_else(program).unwrap_or(&run.scope)
    }

    /// Returns the flight's place in the pool.
    pub(super) fn seat(&self) -> Seat {
        self.seat
    }

    /// Returns how long the phases took that were reached.
    pub(super) fn timings(&self) -> Timings {
        self.timings
    }

    /// Returns the phase in which a panic came.
    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Connect => {
                let phases = [
                    Phase::Resolve,
                    Phase::Connect,
                    Phase::Banner,
                    Phase::Kex,
                    Phase::HostKey,
                    Phase::Auth,
                ];
                let current = phases
                    .into_iter()
                    .find(|phase| self.timings.get(*phase).is_none());
                current.unwrap_or(Phase::Open)
            }
            Stage::Open => Phase::Open,
            Stage::Run => Phase::Run,
        }
    }
}

/// Opens the channel of the session's next command; returns whether the session is of use after.
#[inline(never)]
fn open_ahead(session: &dyn Connected) -> bool {
    let Some(session) = session.session() else {
        return true;
    };
    // A host that allows no more is no failure: the next command opens its own, or learns why not.
    let scope = Scope::root().child(Some(OPEN_AHEAD_MAX));
    // The outcome is out: a panic costs the session alone.
    let opened = catch_unwind(AssertUnwindSafe(|| session.open_ahead(&scope)));
    opened.is_ok() && session.is_open()
}

/// Whether the host may be begun once more, because the process that worked for it died.
fn is_to_begin_again(error: &Error) -> bool {
    let again = BeginAgain::Yes;
    matches!(error, Error::WorkerCrashed { again: said, .. } if *said == again)
}

/// A session that dies while it is idle shows at the next thing asked of it, and in no other way
/// than by the connection's end.
fn is_dead(error: &Error) -> bool {
    if let Error::Told(told) = error {
        return told.remedy == Remedy::Reconnect;
    }
    matches!(
        error,
        Error::Disconnected { .. }
            | Error::Stalled { .. }
            | Error::ApiMisuse(ApiMisuse::SessionClosed)
    )
}

/// How long the host may take to open a channel ahead.
const OPEN_AHEAD_MAX: Duration = Duration::from_secs(10);
/// What is read at once from a host that prints little.
const CHUNK_MIN: usize = 2 * 1024;
/// What is read at once from a host that prints much, and passed on as one event.
pub(crate) const CHUNK_MAX: usize = 32 * 1024;
/// How long a host that cannot make its temporary file waits before it tries again.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(50);
