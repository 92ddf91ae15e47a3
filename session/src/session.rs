//! One authenticated connection to one host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::Scope;

use crate::auth::authenticate;
use crate::command::Command;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Phase};
use crate::ffi::Library;
use crate::handshake::{shake_hands, verify};
use crate::host::Host;
use crate::timings::Timings;
use crate::wire::Wire;
use crate::{address, keepalive};

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
        let shaken = shake_hands(&engine, host.name(), port, config, scope, timings);
        let verified = shaken.and_then(|()| {
            timed(timings, Phase::HostKey, || {
                verify(&engine, host.name(), port, config)
            })
        });
        let user = host.user().unwrap_or(&config.user);
        let authenticated = verified.and_then(|verified| {
            timed(timings, Phase::Auth, || {
                authenticate(&engine, (user, host), config, &verified, scope)
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

/// The error of a panic on another thread.
pub(crate) fn internal(phase: Phase) -> impl Fn(sshoal_reactor::Panic) -> Error {
    move |panic| Error::Internal {
        phase,
        message: panic.message().to_owned(),
    }
}
