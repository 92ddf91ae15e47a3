//! Sessions that do what a script says, and count what the pool does with them.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use sshoal_reactor::Scope;
use sshoal_reactor::sync::Event;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{
    Config, ConfigBuilder, Ending, Error, Exit, Host, HostKeyPolicy, HostKeys, OutputStream, Phase,
    Session, Timings, Unclear,
};

use crate::connector::{Connected, Connector, NotStarted, Request, Running, Taker};
use crate::{Pool, PoolBuilder};

/// What one host does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) connect: Step,
    /// What happens between the host's key and the open session.
    pub(super) auth: Step,
    pub(super) start: Step,
    /// What it prints, in order; the last piece again and again if `endless`.
    pub(super) prints: Vec<(OutputStream, Vec<u8>)>,
    pub(super) endless: bool,
    /// What happens after the last piece.
    pub(super) run: Step,
    pub(super) exit: Exit,
    /// What becomes of it when it is ended.
    pub(super) ending: Ending,
}

/// One thing that may go wrong.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Done,
    Takes(Duration),
    Waits(Arc<Event>),
    Stalls,
    Panics,
    Fails(fn() -> Error),
    /// Fails so often, over all sessions of a host.
    FailsFirst(usize, fn() -> Error),
    /// Stalls so often, over all sessions of a host.
    StallsFirst(usize),
}

impl Step {
    fn go(&self, scope: &Scope, phase: Phase) -> Result<(), Error> {
        let scope_ended = |e: &Event| {
            e.wait(scope).map_err(|stop| match stop {
                sshoal_reactor::Stop::TimedOut => Error::TimedOut {
                    phase,
                    limit: Duration::from_nanos(1),
                },
                sshoal_reactor::Stop::Cancelled => Error::Cancelled { phase },
            })
        };
        match self {
            Self::Done => Ok(()),
            Self::Takes(time) => {
                let _ = Event::new().wait(&scope.child(Some(*time)));
                match scope.check() {
                    Ok(()) => Ok(()),
                    Err(_) => scope_ended(&Event::new()),
                }
            }
            Self::Waits(event) => scope_ended(event),
            Self::Stalls => scope_ended(&Event::new()),
            Self::Panics => panic!("made-up panic in {phase}"),
            Self::Fails(error) => Err(error()),
            Self::FailsFirst(..) | Self::StallsFirst(_) => unreachable!("replaced by the fleet"),
        }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            connect: Step::Done,
            auth: Step::Done,
            start: Step::Done,
            prints: Vec::new(),
            endless: false,
            run: Step::Done,
            exit: Exit::Status(0),
            ending: Ending::Unknown { why: Unclear::Lost },
        }
    }
}

impl Script {
    pub(super) fn printing(bytes: &[u8]) -> Self {
        Self {
            prints: vec![(OutputStream::Stdout, bytes.to_vec())],
            ..Self::default()
        }
    }
}

/// What happened over all sessions.
#[derive(Default)]
pub(super) struct Gauges {
    pub(super) connects: AtomicUsize,
    pub(super) closes: AtomicUsize,
    /// Commands that were ended.
    pub(super) ends: AtomicUsize,
    pub(super) live: Gauge,
    pub(super) connecting: Gauge,
    /// Bytes printed.
    pub(super) printed: AtomicUsize,
}

/// A count with its highest value, that can be waited for.
#[derive(Default)]
pub(super) struct Gauge {
    value: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Gauge {
    fn up(&self) -> usize {
        let mut value = self.value.lock();
        value.0 += 1;
        value.1 = value.1.max(value.0);
        self.changed.notify_all();
        value.0
    }

    fn down(&self) {
        self.value.lock().0 -= 1;
        self.changed.notify_all();
    }

    pub(super) fn highest(&self) -> usize {
        self.value.lock().1
    }

    /// Blocks the calling plain thread until the count has a value.
    #[track_caller]
    pub(super) fn wait_for(&self, wanted: usize) {
        let mut value = self.value.lock();
        while value.0 != wanted {
            let waited = self.changed.wait_for(&mut value, Duration::from_secs(30));
            assert!(!waited.timed_out(), "{} instead of {wanted}", value.0);
        }
    }
}

/// A made-up fleet: scripts by host name, and one for all others.
#[derive(Clone, Default)]
pub(super) struct Fake {
    scripts: HashMap<String, Script>,
    other: Script,
    /// Live sessions beyond which connecting meets a limit of this machine.
    room: Option<usize>,
    pub(super) gauges: Arc<Gauges>,
    /// How often each host was connected to.
    tries: Arc<Mutex<HashMap<String, usize>>>,
    /// Names of hosts whose idle sessions are dead.
    pub(super) dead: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) fn new(other: Script) -> Self {
        Self {
            other,
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, host: usize, script: Script) -> Self {
        self.scripts.insert(format!("h{host}"), script);
        self
    }

    pub(super) fn room(mut self, room: usize) -> Self {
        self.room = Some(room);
        self
    }

    /// Returns how often a host was connected to before.
    fn count_try(&self, host: &Host) -> usize {
        let mut tries = self.tries.lock();
        let tries = tries.entry(host.name().to_owned()).or_default();
        *tries += 1;
        *tries - 1
    }

    /// A pool over hosts `h0`, `h1`, … of this fleet.
    pub(super) fn pool(&self, hosts: usize) -> Pool {
        self.pool_of(builder(hosts))
    }

    pub(super) fn pool_of(&self, builder: PoolBuilder) -> Pool {
        builder.build_on(Arc::new(self.clone())).unwrap()
    }
}

/// A builder over hosts `h0`, `h1`, … that has a size for all of them.
pub(super) fn builder(hosts: usize) -> PoolBuilder {
    let hosts: Vec<Host> = (0..hosts)
        .map(|n| Host::new(format!("h{n}")).unwrap())
        .collect();
    builder_of(hosts)
}

/// A configuration that no made-up session looks at.
pub(super) fn config() -> ConfigBuilder {
    let keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::new());
    Config::builder(Arc::new(keys)).user("tester")
}

pub(super) fn builder_of(hosts: Vec<Host>) -> PoolBuilder {
    let config = config().build().unwrap();
    let size = NonZeroUsize::new(hosts.len().max(1)).unwrap();
    Pool::builder(hosts, Arc::new(config)).size(size)
}

pub(super) fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

pub(super) fn refused() -> Error {
    let address = "127.0.0.1:22".parse().unwrap();
    Error::Connect {
        address,
        source: io::ErrorKind::ConnectionRefused.into(),
    }
}

/// The number in a host's name.
pub(super) fn number(host: &Host) -> usize {
    host.name()[1..].parse().unwrap()
}

impl Connector for Fake {
    fn connect(
        &self,
        (host, _): (&Host, &Config),
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error> {
        struct Down<'a>(&'a Gauge);
        impl Drop for Down<'_> {
            fn drop(&mut self) {
                self.0.down();
            }
        }
        self.gauges.connects.fetch_add(1, Ordering::Relaxed);
        self.gauges.connecting.up();
        let _connecting = Down(&self.gauges.connecting);
        let live = self.gauges.live.up();
        let session = FakeSession {
            script: self.scripts.get(host.name()).unwrap_or(&self.other).clone(),
            name: host.name().to_owned(),
            gauges: Arc::clone(&self.gauges),
            dead: Arc::clone(&self.dead),
        };
        timings.add(Phase::Resolve, Duration::ZERO);
        if self.room.is_some_and(|room| live > room) {
            let source = rustix::io::Errno::MFILE.into();
            return Err(Error::Local {
                phase: Phase::Connect,
                source,
            });
        }
        let before = self.count_try(host);
        let step = match session.script.connect.clone() {
            Step::FailsFirst(times, error) if before < times => Step::Fails(error),
            Step::StallsFirst(times) if before < times => Step::Stalls,
            Step::FailsFirst(..) | Step::StallsFirst(_) => Step::Done,
            other => other,
        };
        step.go(scope, Phase::Connect)?;
        timings.add(Phase::Connect, Duration::ZERO);
        for phase in [Phase::Connect, Phase::Kex, Phase::HostKey] {
            reached(phase);
        }
        session.script.auth.go(scope, Phase::Auth)?;
        reached(Phase::Auth);
        Ok(Arc::new(session))
    }
}

struct FakeSession {
    script: Script,
    name: String,
    gauges: Arc<Gauges>,
    dead: Arc<Mutex<Vec<String>>>,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.gauges.live.down();
    }
}

impl Connected for FakeSession {
    fn start(&self, _request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted> {
        let mut dead = self.dead.lock();
        if let Some(at) = dead.iter().position(|name| *name == self.name) {
            dead.swap_remove(at);
            let source = io::ErrorKind::UnexpectedEof.into();
            let error = Error::Disconnected {
                phase: Phase::Open,
                source,
            };
            return Err(NotStarted {
                error,
                asked: false,
            });
        }
        drop(dead);
        let started = self.script.start.go(scope, Phase::Open);
        started.map_err(|error| NotStarted { error, asked: true })?;
        Ok(Arc::new(FakeCommand {
            script: self.script.clone(),
            gauges: self.gauges.clone(),
            at: Mutex::new((0, 0)),
        }))
    }

    fn close(&self) {
        self.gauges.closes.fetch_add(1, Ordering::Relaxed);
    }

    fn session(&self) -> Option<&Session> {
        None
    }
}

struct FakeCommand {
    script: Script,
    gauges: Arc<Gauges>,
    /// The piece and the byte in it that come next.
    at: Mutex<(usize, usize)>,
}

impl Running for FakeCommand {
    fn end(&self, _grace: Duration, scope: &Scope, output: &mut Taker<'_>) -> Ending {
        self.gauges.ends.fetch_add(1, Ordering::Relaxed);
        let _ = output(OutputStream::Stderr, b"last words");
        match scope.check() {
            Ok(()) => self.script.ending,
            Err(_) => Ending::Unknown {
                why: Unclear::Stopped,
            },
        }
    }

    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error> {
        scope.check().map_err(|stop| match stop {
            sshoal_reactor::Stop::TimedOut => Error::TimedOut {
                phase: Phase::Run,
                limit: Duration::from_nanos(1),
            },
            sshoal_reactor::Stop::Cancelled => Error::Cancelled { phase: Phase::Run },
        })?;
        let script = &self.script;
        let mut at = self.at.lock();
        while let Some((stream, bytes)) = script.prints.get(at.0) {
            let rest = &bytes[at.1..];
            if rest.is_empty() {
                let last = at.0 + 1 == script.prints.len();
                *at = if script.endless && last {
                    (at.0, 0)
                } else {
                    (at.0 + 1, 0)
                };
                continue;
            }
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            at.1 += len;
            self.gauges.printed.fetch_add(len, Ordering::Relaxed);
            return Ok(Some((*stream, len)));
        }
        drop(at);
        script.run.go(scope, Phase::Run)?;
        Ok(None)
    }

    fn wait(&self, _scope: &Scope) -> Result<Exit, Error> {
        Ok(self.script.exit.clone())
    }

    fn write_stdin(&self, _bytes: &[u8], _scope: &Scope) -> Result<(), Error> {
        Ok(())
    }

    fn close_stdin(&self, _scope: &Scope) -> Result<(), Error> {
        Ok(())
    }

    fn signal(&self, _name: &str, _scope: &Scope) -> Result<(), Error> {
        Ok(())
    }
}
