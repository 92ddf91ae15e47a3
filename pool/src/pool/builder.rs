//! How a pool is made: hosts, bounds, limits, and what becomes of sessions.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sshoal_session::{Config, Host};

use super::Pool;
use crate::configs::Configs;
use crate::connector::Connector;
use crate::engine::{Engine, Settings};
use crate::error::PoolError;
use crate::limits::LocalLimits;
use crate::retry::RetryOn;
use crate::schedule::Bounds;
use crate::ssh::Ssh;

/// Whether sessions stay open for the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum KeepOpen {
    /// They do. An idle session counts against the pool size and gives way, the oldest first,
    /// when a host without one has its turn.
    ///
    /// Runs at once share a host's session. One that is cut short in the middle of a request, or of
    /// its input, takes the session with it: commands of the others on that host are then lost, as
    /// [`Error::Disconnected`](sshoal_session::Error::Disconnected).
    Yes,
    /// Each is closed after its command.
    #[default]
    No,
}

/// Whether a kept session's next channel is opened ahead, while the session is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum OpenAhead {
    /// It is, after each command that ended in order: the next one then takes one round trip in
    /// place of two, and the idle session holds one of the channels that its host allows
    /// (`MaxSessions`).
    Yes,
    /// Each command opens its own.
    #[default]
    No,
}

/// What becomes of a command whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum OnTimeout {
    /// It is ended on its host: `SIGTERM`, and `SIGKILL` to what is left of it after the grace, see
    /// [`Child::end`](sshoal_session::Child::end). [`Outcome::ending`](crate::Outcome::ending) says
    /// whether that worked.
    #[default]
    End,
    /// Its channel is closed, and it is left to its host, where it often runs on.
    Leave,
}

/// Makes a [`Pool`]; [`PoolBuilder::build`] checks everything at once.
#[derive(Debug)]
#[must_use]
pub struct PoolBuilder {
    hosts: Vec<Host>,
    configs: Configs,
    size: Option<NonZeroUsize>,
    pace: Pace,
    settings: Settings,
    /// What opens sessions, where that is not this process.
    connector: Option<Connecting>,
}

/// A connector, whatever it is.
struct Connecting(Arc<dyn Connector>);

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connecting")
    }
}

/// How fast sessions are opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    handshakes: Option<NonZeroUsize>,
    destination_handshakes: Option<NonZeroUsize>,
    rate: Option<NonZeroU32>,
    destination_rate: Option<NonZeroU32>,
    keep_open: bool,
    idle_timeout: Option<Duration>,
}

impl PoolBuilder {
    pub(super) fn new(hosts: Vec<Host>, config: Arc<Config>) -> Self {
        let settings = Settings {
            connect_timeout: None,
            retries: 0,
            retry_on: RetryOn::default(),
            command_timeout: None,
            host_timeout: None,
            silence_timeout: None,
            end_on_timeout: true,
            end_grace: END_GRACE,
            deadline: None,
            open_ahead: false,
            output_bytes_max: None,
            memory_bytes_max: MEMORY_BYTES_MAX,
            event_bytes_max: EVENT_BYTES_MAX,
            spill_folder: None,
        };
        let asked = (None, Pace::default());
        Self::of((hosts, Configs::One(config)), asked, settings)
    }

    pub(super) fn of(
        (hosts, configs): (Vec<Host>, Configs),
        (size, pace): (Option<NonZeroUsize>, Pace),
        settings: Settings,
    ) -> Self {
        Self {
            hosts,
            configs,
            size,
            pace,
            settings,
            connector: None,
        }
    }

    /// Sets what opens the sessions. Default: this process does, over SSH.
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connector = Some(Connecting(connector));
        self
    }

    /// Sets how many sessions may be live at once. Default: as many as there are hosts, at most
    /// 512. Never more than [`LocalLimits`] allow.
    pub fn size(mut self, size: NonZeroUsize) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets how many sessions may be in the making at once. Default: 1,024 for each core.
    ///
    /// A handshake costs about half a millisecond of one core, so these are done in half a second,
    /// far within any connect timeout; yet they are enough to keep a core busy over a network with
    /// round trips of 60 ms, of which a handshake takes about eight.
    pub fn handshakes(mut self, handshakes: NonZeroUsize) -> Self {
        self.pace.handshakes = Some(handshakes);
        self
    }

    /// Sets how many sessions to one destination, which is a name or address and a port, may be in
    /// the making at once. Default: 8.
    ///
    /// An OpenSSH server drops connections at random from ten that are not yet authenticated
    /// (`MaxStartups 10:30:100`); two are left to others, and to those of ours that the server has
    /// not yet counted as authenticated. Hosts of other destinations are not held up.
    pub fn destination_handshakes(mut self, handshakes: NonZeroUsize) -> Self {
        self.pace.destination_handshakes = Some(handshakes);
        self
    }

    /// Sets how many connections a second are begun at most, retries included, evenly spread;
    /// `None` is no limit, which is the default.
    ///
    /// For fleets whose hosts share something that cannot take all of them at once: one server
    /// under many names, a firewall that counts, a directory that every login asks.
    pub fn rate(mut self, per_second: Option<NonZeroU32>) -> Self {
        self.pace.rate = per_second;
        self
    }

    /// Sets how many connections a second are begun at most to one destination, which is a name or
    /// address and a port; `None` is no limit, which is the default.
    pub fn destination_rate(mut self, per_second: Option<NonZeroU32>) -> Self {
        self.pace.destination_rate = per_second;
        self
    }

    /// Sets a configuration for each host, in the order of the hosts, in place of the one for all;
    /// every option may differ. Hosts with the same options should share one `Arc`: each host then
    /// costs a pointer.
    ///
    /// What is set on this builder goes before what a configuration says.
    pub fn configs(mut self, configs: impl Into<Vec<Arc<Config>>>) -> Self {
        self.configs = Configs::Each(configs.into());
        self
    }

    /// Sets how often a host is tried again that could not be connected to. Default: 0.
    ///
    /// Between two attempts the host waits for a random time of at most half a second, which
    /// doubles with each attempt up to 30 seconds; it has no session and no place in the pool
    /// meanwhile. Each attempt has the connect timeout for itself, all of them together the run's
    /// deadline. [`PoolBuilder::retry_on`] says which failures count; a refused authentication, a
    /// host key that is not accepted and whatever comes after are never tried again.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Sets in which phases a failure may be tried again. Default: all those before the host key is
    /// checked, see [`RetryOn`].
    pub fn retry_on(mut self, phases: RetryOn) -> Self {
        self.settings.retry_on = phases;
        self
    }

    /// Sets the limit for everything until the command is accepted, from resolve to open; `None`
    /// is no limit. Default: each host's configuration's, which is 10 s unless set
    /// (`ConnectTimeout`).
    pub fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.connect_timeout = Some(timeout);
        self
    }

    /// Sets the limit for the command itself, from its acceptance; `None` is no limit, which is
    /// the default. A host whose output is not taken in time runs out of it too.
    pub fn command_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.command_timeout = timeout;
        self
    }

    /// Sets the limit for a host as a whole, from its begin to its end, of each attempt: getting
    /// there and the command, or the program, together; `None` is no limit, which is the default.
    /// The other limits hold within it, and the error names the limit that ran out.
    pub fn host_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.host_timeout = timeout;
        self
    }

    /// Sets for how long a command may print nothing, from its acceptance and from each piece of
    /// output on; `None` is no limit, which is the default. A host whose output is not taken is not
    /// held to it. The outcome's error is [`Error::Silent`](sshoal_session::Error::Silent).
    pub fn silence_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.silence_timeout = timeout;
        self
    }

    /// Sets what becomes of a command when the command timeout, the silence timeout or the deadline
    /// of its run is over. Default: [`OnTimeout::End`]; the outcome then takes about the grace and
    /// five seconds longer at most, and a moment where the command heeds `SIGTERM`.
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.settings.end_on_timeout = on_timeout == OnTimeout::End;
        self
    }

    /// Sets how long a command that is ended has between `SIGTERM` and `SIGKILL`. Default: 2 s;
    /// zero: it is killed at once.
    pub fn end_grace(mut self, grace: Duration) -> Self {
        self.settings.end_grace = grace;
        self
    }

    /// Sets the limit for each run as a whole; `None` is no limit, which is the default. Hosts in
    /// flight then end as timed out in their phase, hosts not begun as
    /// [`End::Cancelled`](crate::End::Cancelled) in [`Phase::Local`](sshoal_session::Phase).
    pub fn deadline(mut self, deadline: Option<Duration>) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Sets whether sessions stay open for the next command. Default: [`KeepOpen::No`].
    pub fn keep_open(mut self, keep_open: KeepOpen) -> Self {
        self.pace.keep_open = keep_open == KeepOpen::Yes;
        self
    }

    /// Sets whether a kept session's next channel is opened ahead; default [`OpenAhead::No`]. It
    /// does nothing where sessions are not kept open.
    pub fn open_ahead(mut self, open_ahead: OpenAhead) -> Self {
        self.settings.open_ahead = open_ahead == OpenAhead::Yes;
        self
    }

    /// Sets how long a session that stays open may be idle before it is closed; `None` is for as
    /// long as the pool lasts, which is the default.
    pub fn idle_close(mut self, after: Option<Duration>) -> Self {
        self.pace.idle_timeout = after;
        self
    }

    /// Sets how many bytes are collected of each stream of each host, before the rest is thrown
    /// away and the stream is marked as truncated; `None` is all, which is the default.
    pub fn output_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.settings.output_bytes_max = bytes;
        self
    }

    /// Sets how much memory the collected output of one run may take; what is beyond it is in a
    /// temporary file, as is what is beyond 1 MiB of a host. Default: 256 MiB.
    pub fn memory_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.memory_bytes_max = bytes;
        self
    }

    /// Sets how many bytes of output of one run wait as events to be taken, before hosts are made
    /// to wait; at least one piece of 32 KiB. Default: 4 MiB.
    pub fn event_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.event_bytes_max = bytes;
        self
    }

    /// Sets the folder for the temporary file. Default: the system's (`TMPDIR`).
    pub fn spill_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.spill_folder = Some(folder.into());
        self
    }

    /// Makes the pool. Nothing is connected to.
    ///
    /// # Errors
    /// The host list is empty, there is not one configuration for each host, a limit is zero, or
    /// the folder for the temporary file is none.
    pub fn build(mut self) -> Result<Pool, PoolError> {
        let connector = self.connector.take().map(|connecting| connecting.0);
        self.build_on(connector.unwrap_or_else(|| Arc::new(Ssh)))
    }

    /// Makes the pool over whatever opens its sessions.
    pub(crate) fn build_on(self, connector: Arc<dyn Connector>) -> Result<Pool, PoolError> {
        self.check()?;
        let Self {
            hosts,
            configs,
            size,
            pace,
            settings,
            connector: _,
        } = self;
        let asked = size.map_or(SIZE_DEFAULT, NonZeroUsize::get);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let destination_handshakes = pace.destination_handshakes;
        let bounds = Bounds {
            size: asked
                .min(hosts.len())
                .min(LocalLimits::find().sessions_max()),
            handshakes: pace
                .handshakes
                .map_or(cores * HANDSHAKES_PER_CORE, NonZeroUsize::get),
            destination_handshakes: destination_handshakes
                .map_or(HANDSHAKES_PER_DESTINATION, NonZeroUsize::get),
            rate: pace.rate,
            destination_rate: pace.destination_rate,
            keep_open: pace.keep_open,
            idle_timeout: pace.idle_timeout,
        };
        let engine = Engine::new((hosts.into(), configs), connector, settings, bounds);
        Ok(Pool {
            engine: Arc::new(engine),
            asked: (size, pace),
        })
    }

    fn check(&self) -> Result<(), PoolError> {
        let (hosts, settings) = (self.hosts.len(), &self.settings);
        if hosts == 0 {
            return Err(PoolError::NoHosts);
        }
        if let Some(configs) = self.configs.count().filter(|count| *count != hosts) {
            return Err(PoolError::ConfigCount { configs, hosts });
        }
        let zero = Some(Duration::ZERO);
        let connect_timeout_is_zero = match settings.connect_timeout {
            Some(limit) => limit == zero,
            None => (self.configs.iter()).any(|config| config.connect_timeout() == zero),
        };
        let limits = [
            ("connect_timeout", connect_timeout_is_zero),
            ("command_timeout", settings.command_timeout == zero),
            ("host_timeout", settings.host_timeout == zero),
            ("silence_timeout", settings.silence_timeout == zero),
            ("deadline", settings.deadline == zero),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(PoolError::ZeroTimeout { name });
        }
        let folder = settings.spill_folder.as_deref();
        match folder.filter(|folder| !folder.is_dir()) {
            Some(folder) => Err(PoolError::SpillFolder {
                path: folder.display().to_string(),
            }),
            None => Ok(()),
        }
    }
}

/// The default pool size, if there are as many hosts.
const SIZE_DEFAULT: usize = 512;
/// The default of handshakes in flight, for each core.
const HANDSHAKES_PER_CORE: usize = 1024;
/// The default of handshakes in flight at one destination: below sshd's ten, with room for others.
const HANDSHAKES_PER_DESTINATION: usize = 8;
/// The default time between `SIGTERM` and `SIGKILL`.
const END_GRACE: Duration = Duration::from_secs(2);
/// The default bound of memory for the collected output of a run.
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The default bound of output that waits as events.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
