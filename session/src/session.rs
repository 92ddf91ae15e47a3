//! One authenticated connection to one host.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope};

use crate::algorithms::Algorithms;
use crate::auth::authenticate;
use crate::command::Command;
use crate::config::Config;
use crate::engine::{Engine, stopped};
use crate::environment::Environment;
use crate::error::{Error, Phase};
use crate::ffi::Library;
use crate::handshake::{shake_hands, verify};
use crate::host::Host;
use crate::link::Link;
use crate::proxy_command::ProxyCommandError;
use crate::timings::Timings;
use crate::tunnel::carrier::Carrier;
use crate::tunnel::{self, Destination, Ends, RemoteListener, Tunnel};
use crate::wire::Wire;
use crate::{keepalive, route};

/// How long an orderly close may take to send its farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One authenticated connection to one host.
///
/// Shared by reference or `Arc`: commands may run on it side by side, from green and plain threads
/// alike. Dropping it gives the connection up and never waits; [`Session::close`] is the orderly
/// end.
#[derive(Debug)]
pub struct Session {
    engine: Arc<Engine>,
    host: Host,
    /// Made with the first tunnel.
    carrier: Mutex<Option<Arc<Carrier>>>,
    /// The socket of our agent, where the host may use it.
    agent: Option<PathBuf>,
    environment: Arc<Environment>,
}

impl Session {
    /// Connects, checks the host key and authenticates. Parks.
    ///
    /// # Errors
    ///
    /// By phase; `TimedOut` names the phase in which the configuration's `connect_timeout` ran
    /// out.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use sshoal_session::known_hosts::KnownHosts;
    /// use sshoal_session::{Config, HostKeyPolicy, HostKeys, Identity, Session};
    ///
    /// let known = KnownHosts::load(&["/home/me/.ssh/known_hosts"])?;
    /// let host_keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
    /// let identity = Identity::load("/home/me/.ssh/id_ed25519".as_ref(), None)?;
    /// let config = Config::builder(host_keys).identity(Arc::new(identity)).build()?;
    /// let session = Session::connect(&"web1".parse()?, &config)?;
    /// let output = session.command("uptime").output()?;
    /// assert!(output.exit.is_success());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(host: &Host, config: &Config) -> Result<Self, Error> {
        let scope = Scope::root().child(config.connect_timeout);
        Self::connect_in(host, config, &scope, &mut Timings::default())
    }

    /// As [`Session::connect`], within a scope of the caller's instead of the configuration's
    /// limit, and with the time that each phase took. Parks.
    ///
    /// # Errors
    ///
    /// By phase.
    pub fn connect_in(
        host: &Host,
        config: &Config,
        scope: &Scope,
        timings: &mut Timings,
    ) -> Result<Self, Error> {
        let engine = engine_on(route::connect(host, config, scope, timings)?, config)?;
        match get_in(&engine, host, config, scope, timings) {
            Ok(()) => Self::of(engine, host, config),
            Err(error) => Err(with_command(*error, &engine)),
        }
    }

    #[inline(never)]
    fn of(engine: Arc<Engine>, host: &Host, config: &Config) -> Result<Self, Error> {
        if let Some(interval) = config.keepalive {
            keepalive::watch(&engine, interval, config.keepalive_max.get());
        }
        let session = Self {
            engine,
            host: host.clone(),
            carrier: Mutex::default(),
            agent: config.forward_agent.clone(),
            environment: config.environment.clone(),
        };
        if session.agent.is_some() {
            session.engine.with(Library::welcome_agents)?;
            session.carrier().map_err(|source| Error::Local {
                phase: Phase::Open,
                source,
            })?;
        }
        Ok(session)
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Begins a command: bytes given to the user's shell on the host, unchanged.
    pub fn command(&self, command: impl Into<Vec<u8>>) -> Command<'_> {
        Command::new(self, command.into())
    }

    /// Has the host make a connection, whose bytes then go through this session. Parks.
    ///
    /// The tunnel ends with the session. One tunnel is opened at a time; an open that is given up
    /// is still awaited behind the scenes, and keeps others of this session waiting until the host
    /// has answered.
    ///
    /// # Errors
    ///
    /// The host refused, in phase open; the connection was lost, or the scope ended.
    pub fn tunnel(&self, destination: &Destination, scope: &Scope) -> Result<Tunnel, Error> {
        self.open_tunnel(destination, scope, ()).map(Tunnel::new)
    }

    /// As [`Session::tunnel`]; `settled` is dropped once the host has answered.
    pub(crate) fn open_tunnel(
        &self,
        destination: &Destination,
        scope: &Scope,
        settled: impl Send + 'static,
    ) -> Result<Arc<Ends>, Error> {
        let carrier = self.carrier().map_err(|source| Error::Local {
            phase: Phase::Open,
            source,
        })?;
        tunnel::open::open(&carrier, destination, scope, settled)
    }

    /// Has the host listen on an address and port of its own, 0 for any, and hand us the
    /// connections that come there (`ssh -R`). Parks.
    ///
    /// An empty address is all that the host allows; `localhost` is its loopback (RFC 4254 §7.1).
    ///
    /// # Errors
    ///
    /// The host refused, in phase open; the connection was lost, or the scope ended: the session is
    /// then given up, because the reply may still come.
    pub fn listen(&self, address: &str, port: u16, scope: &Scope) -> Result<RemoteListener, Error> {
        let carrier = self.carrier().map_err(|source| Error::Local {
            phase: Phase::Open,
            source,
        })?;
        tunnel::listen::listen(&carrier, address, port, scope)
    }

    /// Waits until the session has ended, and returns why. Parks.
    ///
    /// It keeps a session alive that only waits: what the host sends of its own accord is answered
    /// meanwhile, such as its signs of life (sshd's `ClientAliveInterval`). To that end a channel is
    /// opened that is never used, which counts for sshd's `MaxSessions`; a host that refuses it is
    /// waited for without.
    ///
    /// # Errors
    ///
    /// This is one: what ended the session, in phase run, or why the scope ended.
    pub fn wait_for_end(&self, scope: &Scope) -> Error {
        let phase = Phase::Run;
        let stop = |scope: &Scope| scope.check().err().map(|stop| stopped(stop, phase, scope));
        let held = self
            .carrier()
            .map(|carrier| tunnel::open::hold(&carrier, scope).map(Tunnel::new));
        if let Ok(Ok(held)) = &held {
            // Nobody has cause to write to it.
            while matches!(held.read(&mut [0], scope), Ok(1..)) {}
        }
        let wire = self.engine.wire();
        loop {
            if let Some(error) = stop(scope) {
                return error;
            }
            let sequence = wire.waiters().sequence();
            if !wire.probe() {
                return self.engine.lost(phase);
            }
            if let Some(ticket) = wire.waiters().register(sequence, Interest::READ) {
                // Told or stopped, there is something to look at.
                let _ = ticket.wait(scope);
            }
        }
    }

    /// Returns what opens tunnels and outlives the borrow; it ends with the session.
    pub(crate) fn opener(&self) -> io::Result<Opener> {
        Ok(Opener {
            carrier: self.carrier()?,
            host: self.host.clone(),
        })
    }

    /// Returns whether commands are to offer our agent to the host.
    pub(crate) fn offers_agent(&self) -> bool {
        self.agent.is_some()
    }

    fn carrier(&self) -> io::Result<Arc<Carrier>> {
        let mut place = self.carrier.lock();
        if let Some(carrier) = &*place {
            return Ok(carrier.clone());
        }
        let carrier = Carrier::start(self.engine.clone(), self.agent.clone())?;
        Ok(place.insert(carrier).clone())
    }

    /// Returns how many tunnels there are.
    pub(crate) fn tunnels(&self) -> usize {
        self.carrier
            .lock()
            .as_ref()
            .map_or(0, |carrier| carrier.count())
    }

    /// Returns whether the session was not given up so far; asks nobody.
    pub(crate) fn is_alive(&self) -> bool {
        !self.engine.wire().is_broken()
    }

    /// Returns whether the connection is, as far as is known, still of use.
    pub fn is_open(&self) -> bool {
        self.engine.wire().probe()
    }

    /// Returns the algorithms that were agreed on.
    ///
    /// # Errors
    ///
    /// The session was closed.
    pub fn algorithms(&self) -> Result<Algorithms, Error> {
        self.engine
            .with(|library| Algorithms::of(|method| library.negotiated(method)))
    }

    /// Says farewell and ends the connection; commands and files on it fail from here on. Parks,
    /// for at most a second.
    ///
    /// # Errors
    ///
    /// None at present: what the host does not take in time is dropped with the connection.
    pub fn close(&self) -> Result<(), Error> {
        self.engine.free_left();
        // A host that is gone already needs no farewell.
        let _ = self.engine.with(Library::disconnect);
        let scope = Scope::root().child(Some(CLOSE_TIMEOUT));
        let _ = self.engine.wire().wait_until_sent(&scope);
        self.engine.give_up();
        Ok(())
    }

    /// Returns the variables that every command gets.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Session {
    /// Commands and files that outlive the session fail from here on.
    fn drop(&mut self) {
        self.engine.give_up();
    }
}

/// Opens tunnels through a session without a hold on it.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    carrier: Arc<Carrier>,
    host: Host,
}

impl Opener {
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Returns whether the session is, as far as is known, still there.
    pub(crate) fn is_open(&self) -> bool {
        self.carrier.engine().wire().probe()
    }

    /// Has the host make a connection. Parks.
    pub(crate) fn open(&self, destination: &Destination, scope: &Scope) -> Result<Tunnel, Error> {
        tunnel::open::open(&self.carrier, destination, scope, ()).map(Tunnel::new)
    }
}

/// Makes the engine. Not inlined, like the other parts of connecting: what is on the stack below
/// the deepest calls, those of the crypto library, takes memory of each session that waits.
#[inline(never)]
fn engine_on(link: Link, config: &Config) -> Result<Arc<Engine>, Error> {
    let phase = Phase::Banner;
    Engine::new(Wire::new(link, config.short_io))
        .map_err(|source| Error::Handshake { phase, source })
}

/// Exchanges keys, checks the host's and authenticates the user. Errors are boxed on the way, so
/// that they take no room in these frames.
#[inline(never)]
fn get_in(
    engine: &Arc<Engine>,
    host: &Host,
    config: &Config,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<(), Box<Error>> {
    let port = host.port().unwrap_or(config.port);
    let name = config.name_of(host);
    shake_hands(engine, name, port, config, scope, timings)?;
    let verified = timed(timings, Phase::HostKey, || {
        verify(engine, name, port, config)
    })?;
    let user = host.user().unwrap_or(&config.user);
    timed(timings, Phase::Auth, || {
        authenticate(engine, (user, host), config, &verified, scope)
    })
}

/// Gives a connection up, and adds to its early end what the command on the way had to say.
#[inline(never)]
fn with_command(error: Error, engine: &Engine) -> Error {
    engine.give_up();
    match (error, engine.wire().link().said()) {
        (
            Error::Disconnected {
                phase: Phase::Banner,
                ..
            },
            Some(said),
        ) => ProxyCommandError::Ended { said }.into(),
        (error, _) => error,
    }
}

/// Runs a phase and books its time.
fn timed<T>(timings: &mut Timings, phase: Phase, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    timings.add(phase, begun.elapsed());
    result
}

/// The error of a panic on another thread.
pub(crate) fn internal(phase: Phase) -> impl Fn(sshoal_reactor::Panic) -> Error {
    move |panic| Error::Internal {
        phase,
        message: panic.message().to_owned(),
    }
}
