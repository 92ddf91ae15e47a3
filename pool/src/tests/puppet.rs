//! Sessions whose commands do what a test says, step by step, and tell what they were given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sshoal_reactor::sync::Event;
use sshoal_reactor::{Interest, Scope, Stop, WaitList};
use sshoal_session::{Config, Error, Exit, Host, OutputStream, Phase, Session, Timings};

use super::fake::{builder, number};
use crate::connector::{Connected, Connector, NotStarted, Request, Running, StdinEnd};
use crate::{Pool, PoolBuilder};

/// The commands of a pool, one for each host `h0`, `h1`, …
#[derive(Clone)]
pub(super) struct Puppets(Arc<Vec<Arc<Puppet>>>);

/// One host's command.
#[derive(Default)]
pub(super) struct Puppet {
    acts: Mutex<VecDeque<Act>>,
    more: WaitList,
    /// The command is accepted once this is set, if it is there.
    gate: Option<Event>,
    /// Its input can be closed once this is set, if it is there.
    stdin_gate: Option<Event>,
    /// Prints its input, and ends with it.
    is_cat: bool,
    pub(super) began: Mutex<Option<StdinEnd>>,
    pub(super) stdin: Mutex<Vec<u8>>,
    pub(super) stdin_closes: AtomicUsize,
    pub(super) signals: Mutex<Vec<String>>,
    /// Bytes that were taken from it.
    pub(super) printed: AtomicUsize,
    sessions: Arc<()>,
}

enum Act {
    Print(OutputStream, Vec<u8>),
    /// These bytes, again and again.
    Endless(OutputStream, Vec<u8>),
    End(Exit),
    Fail(fn() -> Error),
}

impl Puppets {
    pub(super) fn new(hosts: usize) -> Self {
        Self::made(hosts, |_| Puppet::default())
    }

    fn made(hosts: usize, make: impl Fn(usize) -> Puppet) -> Self {
        Self(Arc::new((0..hosts).map(|n| Arc::new(make(n))).collect()))
    }

    /// Hosts of which one is accepted only when it is let to.
    pub(super) fn gated(hosts: usize, gated: usize) -> Self {
        Self::made(hosts, |n| Puppet {
            gate: (n == gated).then(Event::new),
            ..Puppet::default()
        })
    }

    pub(super) fn cats(hosts: usize) -> Self {
        Self::made(hosts, |_| Puppet {
            is_cat: true,
            ..Puppet::default()
        })
    }

    /// Hosts that print their input, whose end they take only when they are let to.
    pub(super) fn cats_that_take_no_end(hosts: usize) -> Self {
        Self::made(hosts, |_| Puppet {
            is_cat: true,
            stdin_gate: Some(Event::new()),
            ..Puppet::default()
        })
    }

    pub(super) fn pool(&self) -> Pool {
        self.pool_of(builder(self.0.len()))
    }

    pub(super) fn pool_of(&self, builder: PoolBuilder) -> Pool {
        builder.build_on(Arc::new(self.clone())).unwrap()
    }

    pub(super) fn host(&self, host: usize) -> &Puppet {
        &self.0[host]
    }

    /// Prints the same on all.
    pub(super) fn print(&self, stream: OutputStream, bytes: &[u8]) {
        for puppet in self.0.iter() {
            puppet.print(stream, bytes);
        }
    }

    /// Ends all with exit status 0.
    pub(super) fn end(&self) {
        for puppet in self.0.iter() {
            puppet.end(Exit::Status(0));
        }
    }
}

impl Puppet {
    pub(super) fn print(&self, stream: OutputStream, bytes: &[u8]) {
        self.act(Act::Print(stream, bytes.to_vec()));
    }

    pub(super) fn print_without_end(&self, stream: OutputStream, bytes: &[u8]) {
        self.act(Act::Endless(stream, bytes.to_vec()));
    }

    pub(super) fn end(&self, exit: Exit) {
        self.act(Act::End(exit));
    }

    pub(super) fn fail(&self, error: fn() -> Error) {
        self.act(Act::Fail(error));
    }

    pub(super) fn accept(&self) {
        self.gate.as_ref().expect("it is gated").set();
    }

    pub(super) fn take_end_of_input(&self) {
        self.stdin_gate.as_ref().expect("it is gated").set();
    }

    /// Returns how many sessions there are of the host.
    pub(super) fn sessions(&self) -> usize {
        Arc::strong_count(&self.sessions) - 1
    }

    fn act(&self, act: Act) {
        self.acts.lock().push_back(act);
        self.more.wake(Interest::BOTH);
    }

    fn next(&self, buf: &mut [u8]) -> Option<Result<Option<(OutputStream, usize)>, Error>> {
        let mut acts = self.acts.lock();
        let (stream, bytes, again) = match acts.front_mut()? {
            // It stays, for the wait.
            Act::End(_) => return Some(Ok(None)),
            Act::Fail(error) => return Some(Err(error())),
            Act::Print(stream, bytes) => (*stream, bytes, false),
            Act::Endless(stream, bytes) => (*stream, bytes, true),
        };
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        match again {
            true => bytes.rotate_left(len),
            false => drop(bytes.drain(..len)),
        }
        if bytes.is_empty() {
            acts.pop_front();
        }
        self.printed.fetch_add(len, Ordering::Relaxed);
        Some(Ok(Some((stream, len))))
    }
}

fn stopped(stop: Stop, phase: Phase) -> Error {
    match stop {
        Stop::TimedOut => Error::TimedOut {
            phase,
            limit: std::time::Duration::from_nanos(1),
        },
        Stop::Cancelled => Error::Cancelled { phase },
    }
}

impl Connector for Puppets {
    fn connect(
        &self,
        (host, _): (&Host, &Config),
        scope: &Scope,
        _: &mut Timings,
        _: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error> {
        scope
            .check()
            .map_err(|stop| stopped(stop, Phase::Connect))?;
        let puppet = Arc::clone(&self.0[number(host)]);
        let live = Arc::clone(&puppet.sessions);
        Ok(Arc::new(PuppetSession {
            puppet,
            _live: live,
        }))
    }
}

struct PuppetSession {
    puppet: Arc<Puppet>,
    _live: Arc<()>,
}

impl Connected for PuppetSession {
    fn start(&self, request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted> {
        if let Some(gate) = &self.puppet.gate {
            gate.wait(scope).map_err(|stop| NotStarted {
                error: stopped(stop, Phase::Open),
                asked: true,
            })?;
        }
        *self.puppet.began.lock() = Some(request.stdin);
        Ok(Arc::new(PuppetCommand(Arc::clone(&self.puppet))))
    }

    fn close(&self) {}

    fn session(&self) -> Option<&Session> {
        None
    }
}

struct PuppetCommand(Arc<Puppet>);

impl Running for PuppetCommand {
    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error> {
        loop {
            scope.check().map_err(|stop| stopped(stop, Phase::Run))?;
            let sequence = self.0.more.sequence();
            if let Some(read) = self.0.next(buf) {
                return read;
            }
            if let Some(ticket) = self.0.more.register(sequence, Interest::BOTH) {
                ticket
                    .wait(scope)
                    .map_err(|stop| stopped(stop, Phase::Run))?;
            }
        }
    }

    fn write_stdin(&self, bytes: &[u8], _: &Scope) -> Result<(), Error> {
        self.0.stdin.lock().extend_from_slice(bytes);
        if self.0.is_cat {
            self.0.print(OutputStream::Stdout, bytes);
        }
        Ok(())
    }

    fn close_stdin(&self, scope: &Scope) -> Result<(), Error> {
        if let Some(gate) = &self.0.stdin_gate {
            gate.wait(scope).map_err(|stop| stopped(stop, Phase::Run))?;
        }
        self.0.stdin_closes.fetch_add(1, Ordering::Relaxed);
        if self.0.is_cat {
            self.0.end(Exit::Status(0));
        }
        Ok(())
    }

    fn signal(&self, name: &str, _: &Scope) -> Result<(), Error> {
        self.0.signals.lock().push(name.to_owned());
        Ok(())
    }

    fn wait(&self, _: &Scope) -> Result<Exit, Error> {
        match self.0.acts.lock().front() {
            Some(Act::End(exit)) => Ok(exit.clone()),
            _ => unreachable!("it has come to its end"),
        }
    }
}
