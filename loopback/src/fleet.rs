//! A fleet in this process: its settings, its start and its end.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, kex};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::address::HOSTS_MAX;
use crate::counters::{Counters, Tally};
use crate::error::FleetError;
use crate::fault::{Fault, FaultRule};
use crate::listen;
use crate::material::{self, Keys};
use crate::ready::Ready;
use crate::store::{STORE_BYTES_MAX, Store};

/// A running fleet of SSH servers on loopback addresses.
///
/// It runs on threads of its own and ends when this is dropped; its directory stays.
#[derive(Debug)]
pub struct Fleet {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    ready: Ready,
}

impl Fleet {
    /// Starts to describe a fleet of so many hosts that puts its files into `dir`.
    pub fn builder(hosts: NonZeroUsize, dir: impl Into<PathBuf>) -> FleetBuilder {
        FleetBuilder {
            hosts: hosts.get(),
            dir: dir.into(),
            port: 0,
            password: None,
            faults: Vec::new(),
            round_trip: Duration::ZERO,
            key_exchange: KeyExchange::All,
            listeners: Listeners::Shared,
            workers: 2,
        }
    }

    /// Returns the port that all hosts share.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ready.port()
    }

    /// Returns the directory with `hosts`, `known_hosts` and `user_ed25519`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.ready.dir()
    }

    /// Returns where the fleet is, as its process prints it.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Returns what the fleet has counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.tally.snapshot()
    }

    /// Runs a future on the fleet's threads; signals need a runtime to be listened for.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime
            .as_ref()
            .expect("taken only by drop")
            .block_on(future)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Which key exchanges the hosts offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyExchange {
    /// Only curve25519-sha256: the same for every client, so that costs compare.
    Curve,
    /// All that the library has and holds safe.
    All,
}

/// How the fleet listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listeners {
    /// One socket for all hosts where the system allows it, else one per host.
    Shared,
    /// One socket per host.
    PerHost,
}

/// The description of a fleet; see [`Fleet::builder`].
#[derive(Clone)]
#[must_use]
pub struct FleetBuilder {
    hosts: usize,
    dir: PathBuf,
    port: u16,
    password: Option<String>,
    faults: Vec<FaultRule>,
    round_trip: Duration,
    key_exchange: KeyExchange,
    listeners: Listeners,
    workers: usize,
}

impl FleetBuilder {
    /// Listens on this port; default 0, any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Lets users in by this password too; default none, only the generated key.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Gives a fault to some hosts; default none. A host can have only one.
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Delays bytes by half of this in each direction; default zero. Connecting is not delayed.
    pub fn round_trip(mut self, round_trip: Duration) -> Self {
        self.round_trip = round_trip;
        self
    }

    /// Offers these key exchanges; default [`KeyExchange::All`].
    pub fn key_exchange(mut self, key_exchange: KeyExchange) -> Self {
        self.key_exchange = key_exchange;
        self
    }

    /// Listens in this way; default [`Listeners::Shared`].
    pub fn listeners(mut self, listeners: Listeners) -> Self {
        self.listeners = listeners;
        self
    }

    /// Runs on so many threads; default 2.
    pub fn workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers.get();
        self
    }

    /// Starts the fleet: when this returns, its hosts can be connected to.
    ///
    /// Raises this process's limit of open descriptors as far as it may.
    ///
    /// # Errors
    ///
    /// If the description makes no sense, the directory cannot be written or the port not bound.
    pub fn build(self) -> Result<Fleet, FleetError> {
        self.validate()?;
        let descriptors = listen::raise_descriptor_limit();
        if self.listeners == Listeners::PerHost && self.hosts + DESCRIPTORS_SPARED > descriptors {
            return Err(FleetError::TooManyListeners {
                hosts: self.hosts,
                descriptors,
            });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.workers)
            .thread_name("loopback")
            .enable_all()
            .build()
            .map_err(FleetError::Start)?;
        let keys = Keys::generate().map_err(FleetError::Start)?;
        let sockets = {
            let _context = runtime.enter();
            listen::bind(self.hosts, self.port, self.listeners).map_err(|source| {
                FleetError::Bind {
                    port: self.port,
                    source,
                }
            })?
        };
        let port = match sockets.first().map(TcpListener::local_addr) {
            Some(Ok(local)) => local.port(),
            _ => self.port,
        };
        let ready = Ready::new(port, self.hosts, sockets.len(), self.dir.clone());
        material::create_dir(&self.dir)
            .and_then(|()| material::write_files(&self.dir, &keys, self.hosts, port))
            .map_err(|source| FleetError::Files {
                dir: self.dir.clone(),
                source,
            })?;
        let shared = Arc::new(self.shared(&keys));
        let spared = sockets.len() + DESCRIPTORS_SPARED;
        let connections = descriptors
            .saturating_sub(spared)
            .clamp(1, Semaphore::MAX_PERMITS);
        let connections = Arc::new(Semaphore::new(connections));
        for socket in sockets {
            let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
            runtime.spawn(listen::accept_all(socket, shared, connections));
        }
        Ok(Fleet {
            runtime: Some(runtime),
            shared,
            ready,
        })
    }

    fn validate(&self) -> Result<(), FleetError> {
        if self.hosts > HOSTS_MAX {
            return Err(FleetError::TooManyHosts { hosts: self.hosts });
        }
        for (i, rule) in self.faults.iter().enumerate() {
            if *rule.hosts().end() >= self.hosts {
                return Err(FleetError::FaultOutside {
                    rule: rule.clone(),
                    hosts: self.hosts,
                });
            }
            if let Some(host) = self.faults[..i]
                .iter()
                .find_map(|other| rule.overlap(other))
            {
                return Err(FleetError::TwoFaults { host });
            }
        }
        Ok(())
    }

    fn shared(self, keys: &Keys) -> Shared {
        Shared {
            hosts: self.hosts,
            user_key: keys.user.public_key().clone(),
            config: self.server_config(&keys.host),
            other_key_config: self.server_config(&keys.other_host),
            password: self.password,
            faults: self.faults,
            one_way: self.round_trip / 2,
            tally: Tally::default(),
            store: Store::new(STORE_BYTES_MAX),
        }
    }

    fn server_config(&self, host_key: &PrivateKey) -> Arc<Config> {
        let mut methods = MethodSet::from(&[MethodKind::PublicKey][..]);
        if self.password.is_some() {
            methods.push(MethodKind::Password);
        }
        let mut preferred = Preferred::DEFAULT;
        if self.key_exchange == KeyExchange::Curve {
            preferred.kex = Cow::Borrowed(&[
                kex::CURVE25519,
                kex::CURVE25519_PRE_RFC_8731,
                kex::EXTENSION_SUPPORT_AS_SERVER,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
            ]);
        }
        Arc::new(Config {
            server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-sshoal-loopback")),
            methods,
            preferred,
            keys: vec![host_key.clone()],
            // Loopback peers only: nobody to slow down by late refusals.
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: Some(INACTIVITY_TIMEOUT),
            channel_buffer_size: CHANNEL_MESSAGES_MAX,
            event_buffer_size: OUTPUT_PACKETS_MAX,
            ..Config::default()
        })
    }
}

impl std::fmt::Debug for FleetBuilder {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("hosts", &self.hosts)
            .field("dir", &self.dir)
            .field("port", &self.port)
            .field("faults", &self.faults)
            .field("round_trip", &self.round_trip)
            .finish_non_exhaustive()
    }
}

/// What all connections of a fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hosts: usize,
    pub(crate) user_key: PublicKey,
    pub(crate) password: Option<String>,
    /// Half of the round trip that connections are delayed by.
    pub(crate) one_way: Duration,
    pub(crate) tally: Tally,
    pub(crate) store: Store,
    faults: Vec<FaultRule>,
    config: Arc<Config>,
    other_key_config: Arc<Config>,
}

impl Shared {
    pub(crate) fn fault(&self, host: usize) -> Option<Fault> {
        self.faults
            .iter()
            .find(|rule| rule.hosts().contains(&host))
            .map(FaultRule::fault)
    }

    pub(crate) fn config(&self, fault: Option<Fault>) -> &Arc<Config> {
        match fault {
            Some(Fault::OtherKey) => &self.other_key_config,
            _ => &self.config,
        }
    }
}

/// Descriptors that are left for everything but listeners and connections.
const DESCRIPTORS_SPARED: usize = 64;

/// How long a session may be without a byte in either direction.
const INACTIVITY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Messages that wait on one channel. So many that the bound on held bytes ends a channel first:
/// a session that waits for room here no longer sees its client open the window.
const CHANNEL_MESSAGES_MAX: usize = 1 << 17;

/// Output packets that wait in one session: at most 1 MiB, and one flush takes them all.
const OUTPUT_PACKETS_MAX: usize = 32;
