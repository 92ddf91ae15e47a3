//! One authenticated connection to one host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::{Scope, blocking, offload};

use crate::algorithms;
use crate::auth::authenticate;
use crate::command::Command;
use crate::config::Config;
use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Phase};
use crate::ffi::Library;
use crate::host::Host;
use crate::host_key::VerifiedHost;
use crate::timings::Timings;
use crate::wire::Wire;
use crate::{HostKeyError, address, keepalive};

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
        let port = host.port().unwrap_or(config.port);
        let stream = address::connect(host.name(), port, scope, timings)?;
        let phase = Phase::Banner;
        let engine = Engine::new(Wire::new(stream, config.short_io))
            .map_err(|source| Error::Handshake { phase, source })?;
        let shaken = Self::shake_hands(&engine, host.name(), port, config, scope, timings);
        let verified = shaken.and_then(|()| {
            timed(timings, Phase::HostKey, || {
                verify(&engine, host.name(), port, config)
            })
        });
        let user = host.user().unwrap_or(&config.user);
        let authenticated = verified.and_then(|verified| {
            timed(timings, Phase::Auth, || {
                authenticate(&engine, user, config, &verified, scope)
            })
        });
        if let Err(error) = authenticated {
            engine.give_up();
            return Err(error);
        }
        if let Some(interval) = config.keepalive {
            keepalive::watch(&engine, interval);
        }
        Ok(Self {
            engine,
            host: host.clone(),
        })
    }

    /// Exchanges versions and keys.
    fn shake_hands(
        engine: &Arc<Engine>,
        name: &str,
        port: u16,
        config: &Config,
        scope: &Scope,
        timings: &mut Timings,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let result =
            set_algorithms(engine, name, port, config).and_then(|()| exchange_keys(engine, scope));
        // The version line's arrival parts the two phases.
        let version_at = engine.wire().version_at();
        timings.add(
            Phase::Banner,
            version_at.map_or_else(|| begun.elapsed(), |at| at - begun),
        );
        if let Some(at) = version_at {
            timings.add(Phase::Kex, at.elapsed());
        }
        result
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Begins a command: bytes given to the user's shell on the host, unchanged.
    pub fn command(&self, command: impl Into<Vec<u8>>) -> Command<'_> {
        Command::new(self, command.into())
    }

    /// Returns whether the connection is, as far as is known, still of use.
    pub fn is_open(&self) -> bool {
        self.engine.wire().probe()
    }

    /// Returns the algorithms that were agreed on: key exchange, host key, cipher and MAC.
    ///
    /// # Errors
    ///
    /// The session was closed.
    pub fn algorithms(&self) -> Result<[String; 4], Error> {
        use ssh2::MethodType::{CryptCs, HostKey, Kex, MacCs};
        self.engine.with(|library| {
            [Kex, HostKey, CryptCs, MacCs]
                .map(|method| library.negotiated(method).unwrap_or_default())
        })
    }

    /// Says farewell and ends the connection. Parks, for at most a second.
    ///
    /// # Errors
    ///
    /// None at present: what the host does not take in time is dropped with the connection.
    pub fn close(self) -> Result<(), Error> {
        self.engine.free_left();
        // A host that is gone already needs no farewell.
        let _ = self.engine.with(Library::disconnect);
        let scope = Scope::root().child(Some(CLOSE_TIMEOUT));
        let _ = self.engine.wire().wait_until_sent(&scope);
        self.engine.give_up();
        Ok(())
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

/// Runs a phase and books its time.
fn timed<T>(timings: &mut Timings, phase: Phase, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    timings.add(phase, begun.elapsed());
    result
}

fn set_algorithms(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<(), Error> {
    use ssh2::MethodType::{CryptCs, CryptSc, HostKey, Kex, MacCs, MacSc};
    let (keys, asked) = (config.host_keys.clone(), name.to_owned());
    let order = move || {
        keys.algorithm_order(&asked, port, algorithms::HOST_KEYS)
            .join(",")
    };
    // Hashed names make this a matter of milliseconds.
    let hashed = config.host_keys.known_hosts().has_hashed();
    let order = if hashed {
        offload(order).map_err(internal(Phase::Kex))?
    } else {
        order()
    };
    let ciphers = config.ciphers.as_deref().unwrap_or(algorithms::CIPHERS);
    let set = engine.with(|library| {
        library.prefer(Kex, algorithms::KEX)?;
        library.prefer(HostKey, &order)?;
        library.prefer(CryptCs, ciphers)?;
        library.prefer(CryptSc, ciphers)?;
        library.prefer(MacCs, algorithms::MACS)?;
        library.prefer(MacSc, algorithms::MACS)
    })?;
    set.map_err(|code| {
        let source = engine.with(|library| library.error(code));
        source.map_or_else(
            |error| error,
            |source| Error::Handshake {
                phase: Phase::Kex,
                source,
            },
        )
    })
}

/// Runs libssh2's handshake. Its costly step, the answer to the server's half of the exchange,
/// goes to the offload pool where it is costly indeed (law R5): a finite-field group takes 3 to
/// 160 ms of CPU time, a curve 0.1 ms, less than it costs the machine to hand it over and back.
fn exchange_keys(engine: &Arc<Engine>, scope: &Scope) -> Result<(), Error> {
    let phase = || match engine.wire().awaits_version() {
        true => Phase::Banner,
        false => Phase::Kex,
    };
    let mut allow_costly = false;
    loop {
        match engine.attempt(allow_costly, &mut Library::handshake) {
            Attempt::Done(()) => return Ok(()),
            Attempt::Failed(error) => return Err(engine.error(phase(), error)),
            Attempt::Again { costly: true } => {
                let kex = engine.with(|library| library.negotiated(ssh2::MethodType::Kex))?;
                if kex.is_none_or(|kex| kex.starts_with("diffie-hellman")) {
                    let engine = engine.clone();
                    offload(move || engine.step(&mut Library::handshake))
                        .map_err(internal(Phase::Kex))?;
                } else {
                    allow_costly = true;
                }
            }
            Attempt::Again { costly: false } => {
                scope
                    .check()
                    .map_err(|stop| stopped(stop, phase(), scope))?;
                sshoal_reactor::yield_now();
            }
            Attempt::Wait(ticket) => {
                ticket
                    .wait(scope)
                    .map_err(|stop| stopped(stop, phase(), scope))?;
            }
        }
    }
}

/// Checks the host's key; nothing of the user's was sent yet.
fn verify(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<VerifiedHost, Error> {
    let blob = engine.with(|library| library.host_key())?;
    let blob = blob.ok_or_else(|| HostKeyError::Malformed {
        name: name.to_owned(),
    })?;
    let (keys, name) = (config.host_keys.clone(), name.to_owned());
    let on_disk = keys.needs_blocking_store();
    let hashed = keys.known_hosts().has_hashed();
    let check = move || keys.verify(&name, port, &blob);
    let verdict = match (on_disk, hashed) {
        (true, _) => blocking(check).map_err(internal(Phase::HostKey))?,
        (false, true) => offload(check).map_err(internal(Phase::HostKey))?,
        (false, false) => check(),
    };
    Ok(verdict?)
}

/// The error of a panic on another thread.
pub(crate) fn internal(phase: Phase) -> impl Fn(sshoal_reactor::Panic) -> Error {
    move |panic| Error::Internal {
        phase,
        message: panic.message().to_owned(),
    }
}
