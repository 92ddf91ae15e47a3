//! One command of a worker: a green thread reads what it prints and sends it on, another one writes
//! its input.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sshoal::sync::{Event, Queue};
use sshoal::{ApiMisuse, Child, Error, Launch, OutputStream, Phase, Scope, Session, Stop};

use super::lock;
use crate::workers::failure;
use crate::workers::outbox::Outbox;
use crate::workers::wire::{CHUNK_MAX, Order, Report, WINDOW, WireError, WireStream, cost};

/// What is to be started.
pub(super) struct Start {
    pub(super) number: u64,
    /// What the host gets, all that the launch puts around it included.
    pub(super) bytes: Vec<u8>,
    pub(super) has_input: bool,
    pub(super) within: Option<Duration>,
}

/// A command, from when it is to be started on.
pub(super) struct Followed {
    number: u64,
    outbox: Arc<Outbox>,
    /// Ends what starts it.
    starting: Scope,
    /// Ends what reads its output, so that something else can be done with it.
    reading: Scope,
    /// Ends all that is done for it.
    life: Scope,
    child: Mutex<Option<Arc<Child>>>,
    credit: Credit,
    /// What is done once it is not read any more.
    after: Queue<End>,
    input: Queue<Input>,
    /// Whether the run was told how following it ended.
    is_told: AtomicBool,
    /// Set once it was ended for a run that is gone.
    is_ended: Event,
}

/// How a command is to be ended.
struct End {
    grace: Duration,
    within: Duration,
}

enum Input {
    Piece(Vec<u8>),
    End,
}

/// What may be sent before the run has taken some of it.
struct Credit {
    left: AtomicUsize,
    more: Event,
}

impl Credit {
    /// Takes so much; parks until there is so much.
    fn take(&self, cost: usize, scope: &Scope) -> Result<(), Stop> {
        loop {
            // Before the look, so that what comes after it is seen.
            self.more.clear();
            let take = |left: usize| left.checked_sub(cost);
            let taken = self
                .left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
            if taken.is_ok() {
                return Ok(());
            }
            self.more.wait(scope)?;
        }
    }

    fn grant(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
        self.more.set();
    }
}

impl Followed {
    /// Begins to start a command on a session; `None` if that cannot be, which is told.
    pub(super) fn begin(
        start: Start,
        session: Option<Arc<Session>>,
        launch: Launch,
        outbox: Arc<Outbox>,
    ) -> Option<Arc<Self>> {
        let command = start.number;
        let not_started = |error| Report::NotStarted {
            command,
            error,
            asked: false,
        };
        let Some(session) = session else {
            let error = Error::from(ApiMisuse::SessionClosed);
            outbox.push(&not_started(WireError::of(&error)), b"");
            return None;
        };
        let life = Scope::root().child(None);
        let followed = Arc::new(Self {
            number: command,
            outbox: Arc::clone(&outbox),
            starting: life.child(start.within),
            reading: life.child(None),
            life,
            child: Mutex::default(),
            credit: Credit {
                left: AtomicUsize::new(WINDOW),
                more: Event::new(),
            },
            after: Queue::unbounded(),
            input: Queue::unbounded(),
            is_told: AtomicBool::new(false),
            is_ended: Event::new(),
        });
        let own = Arc::clone(&followed);
        match sshoal::spawn(move || own.live(&start, &session, &launch)) {
            Ok(_) => Some(followed),
            Err(error) => {
                outbox.push(&not_started(failure::local(Phase::Local, error)), b"");
                None
            }
        }
    }

    /// Does what the run says of it. Does not wait.
    pub(super) fn obey(&self, order: Order, payload: Vec<u8>) {
        match order {
            Order::StopStart { .. } => self.starting.cancel(),
            Order::Grant { bytes, .. } => self.credit.grant(bytes),
            Order::Input { .. } => drop(self.input.try_push(Input::Piece(payload))),
            Order::InputEnd { .. } => drop(self.input.try_push(Input::End)),
            Order::End { grace, within, .. } => {
                let _ = self.after.try_push(End { grace, within });
                self.reading.cancel();
            }
            Order::Signal { name, .. } => self.signal(name),
            _ => {}
        }
    }

    /// Nothing more is wanted of it.
    pub(super) fn forget(&self) {
        self.after.close();
        self.input.close();
        self.life.cancel();
    }

    /// Has it ended for a run that is gone; what is returned is set then. `None` if it was not
    /// begun.
    pub(super) fn end_for(&self, within: Duration) -> Option<&Event> {
        self.starting.cancel();
        lock(&self.child).is_some().then(|| {
            let grace = within / 4;
            let _ = self.after.try_push(End { grace, within });
            self.reading.cancel();
            &self.is_ended
        })
    }

    fn signal(&self, name: String) {
        let Some(child) = lock(&self.child).clone() else {
            return;
        };
        let life = self.life.clone();
        // Nobody waits for it.
        let _ = sshoal::spawn(move || child.signal(&name, &life));
    }

    /// Starts the command and follows it to its end. Parks.
    fn live(self: &Arc<Self>, start: &Start, session: &Session, launch: &Launch) {
        let command = self.number;
        let request = session.command(start.bytes.as_slice()).launched(launch);
        let request = match start.has_input {
            true => request,
            false => request.no_stdin(),
        };
        let mut asked = false;
        let child = match request.scope(&self.starting).spawn_noting(&mut asked) {
            Ok(child) => Arc::new(child),
            Err(error) => {
                let error = WireError::of(&error);
                return self.report(&Report::NotStarted {
                    command,
                    error,
                    asked,
                });
            }
        };
        *lock(&self.child) = Some(Arc::clone(&child));
        self.report(&Report::Started { command });
        if start.has_input {
            self.feed(&child);
        }
        let held = self.follow(&child);
        self.end(&child, held);
        lock(&self.child).take();
    }

    /// Sends on what the command prints; returns what was read last and not sent.
    fn follow(&self, child: &Child) -> Option<(OutputStream, Vec<u8>)> {
        let command = self.number;
        let mut buf = vec![0; CHUNK_MIN];
        loop {
            let lost = match child.read(&mut buf, &self.reading) {
                Ok(Some((stream, len))) => {
                    if self.credit.take(cost(len), &self.reading).is_err() {
                        buf.truncate(len);
                        return Some((stream, buf));
                    }
                    self.send(stream, &buf[..len]);
                    // Most commands print a line: the large buffer is for the others.
                    if len == buf.len() && len < CHUNK_MAX {
                        buf.resize(CHUNK_MAX, 0);
                    }
                    continue;
                }
                Ok(None) => match child.wait(&self.reading) {
                    Ok(exit) => {
                        let exit = exit.into();
                        self.tell_end(&Report::Exited { command, exit });
                        return None;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.reading.check().is_ok() {
                let error = WireError::of(&lost);
                self.tell_end(&Report::Lost { command, error });
            }
            return None;
        }
    }

    /// Ends the command as often as that is wanted, until it is forgotten.
    fn end(&self, child: &Child, mut held: Option<(OutputStream, Vec<u8>)>) {
        let command = self.number;
        while let Ok(Some(end)) = self.after.pop(&self.life) {
            let scope = self.life.child(Some(end.within));
            let mut take = |stream: OutputStream, bytes: &[u8]| {
                for piece in bytes.chunks(CHUNK_MAX) {
                    let taking = scope.child(Some(TAKE_MAX));
                    if self.credit.take(cost(piece.len()), &taking).is_err() {
                        return ControlFlow::Break(());
                    }
                    self.send(stream, piece);
                }
                ControlFlow::Continue(())
            };
            if let Some((stream, bytes)) = held.take() {
                let _ = take(stream, &bytes);
            }
            let ending = child.end(end.grace, &scope, &mut take);
            if let Ok(exit) = child.wait(&scope.child(Some(AT_ONCE))) {
                let exit = exit.into();
                self.tell_end(&Report::Exited { command, exit });
            }
            let ending = ending.into();
            self.report(&Report::Ended { command, ending });
            self.is_ended.set();
        }
    }

    /// Begins to write the command's input as it comes.
    fn feed(self: &Arc<Self>, child: &Arc<Child>) {
        let (own, child) = (Arc::clone(self), Arc::clone(child));
        let feed = move || {
            while let Ok(Some(input)) = own.input.pop(&own.life) {
                let written = match input {
                    Input::Piece(bytes) => child.write_stdin(&bytes, &own.life),
                    Input::End => child.close_stdin(&own.life),
                };
                let error = written.err().map(|error| WireError::of(&error));
                let command = own.number;
                own.report(&Report::Wrote { command, error });
            }
        };
        if let Err(error) = sshoal::spawn(feed) {
            let command = self.number;
            let error = failure::local(Phase::Run, error);
            self.tell_end(&Report::Lost { command, error });
            self.reading.cancel();
        }
    }

    fn send(&self, stream: OutputStream, bytes: &[u8]) {
        let command = self.number;
        let stream = match stream {
            OutputStream::Stdout => WireStream::Stdout,
            OutputStream::Stderr => WireStream::Stderr,
        };
        self.outbox.push(&Report::Output { command, stream }, bytes);
    }

    /// Says how following it ended, unless that was said.
    fn tell_end(&self, report: &Report) {
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.report(report);
        }
    }

    fn report(&self, report: &Report) {
        self.outbox.push(report, b"");
    }
}

/// What is read at once from a command that prints little.
const CHUNK_MIN: usize = 2 << 10;
/// How long the run has to take a piece of output of a command that is being ended.
const TAKE_MAX: Duration = Duration::from_millis(100);
/// For what is known already, or is not.
const AT_ONCE: Duration = Duration::from_nanos(1);
