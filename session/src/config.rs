//! How sessions are made: users, identities, host keys, limits.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Reach;
use crate::agent::Agent;
use crate::algorithms::{AlgorithmList, Lists, Offer};
use crate::auth::{Answerer, Method};
use crate::environment::Environment;
use crate::error::ApiMisuse;
use crate::host::Host;
use crate::host_key::HostKeys;
use crate::identity::{Identity, UserCertificate};
use crate::jump::Jump;
use crate::known_hosts::LookupName;
use crate::route::Route;
use crate::secret::Secret;

mod builder;

pub use self::builder::ConfigBuilder;

/// The port of SSH.
const PORT: u16 = 22;
/// How long everything may take until the first command is accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest interval between signs of life.
const KEEPALIVE_MIN: Duration = Duration::from_secs(1);
/// Intervals of silence after which a host counts as lost.
const KEEPALIVE_MAX: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");

/// Which of an agent's keys are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AgentKeys {
    /// All of them, after the identities (`IdentitiesOnly no`).
    #[default]
    All,
    /// Only those that are also identities (`IdentitiesOnly yes`).
    IdentitiesOnly,
}

/// Whether bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Compression {
    /// They are, where the host does it too (zlib, after authentication).
    Yes,
    /// They are not.
    #[default]
    No,
}

/// Whether the system probes connections on which nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum TcpKeepalive {
    /// It does.
    #[default]
    Yes,
    /// It does not.
    No,
}

/// How sessions are made; shared by all sessions of a fleet.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) user: String,
    pub(crate) port: u16,
    pub(crate) identities: Vec<Arc<Identity>>,
    pub(crate) agent: Option<Arc<Agent>>,
    pub(crate) agent_keys: AgentKeys,
    pub(crate) password: Option<Arc<Secret>>,
    pub(crate) certificates: Vec<Arc<UserCertificate>>,
    pub(crate) answers: Option<Answerer>,
    pub(crate) methods: Vec<Method>,
    pub(crate) public_key_algorithms: Option<String>,
    pub(crate) host_keys: Arc<HostKeys>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) required_rsa_bits: u32,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) lists: Lists,
    /// What `lists` says, once they were read.
    pub(crate) offer: Offer,
    /// Whether weak algorithms are offered too, behind all others.
    pub(crate) legacy: bool,
    pub(crate) compression: Compression,
    pub(crate) environment: Arc<Environment>,
    pub(crate) host_name: Option<String>,
    pub(crate) reach: Reach,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) route: Route,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) forward_agent: Option<PathBuf>,
    pub(crate) keepalive_max: NonZeroU32,
    pub(crate) short_io: Option<u64>,
}

/// Why a configuration cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No user was set, and neither the password file nor the environment names one.
    #[error("no user name: set one, or the environment variable USER")]
    NoUser,
    /// A user name with a NUL byte, or an empty one.
    #[error("user name {user:?} cannot be used")]
    BadUser {
        /// The name.
        user: String,
    },
    /// Port 0 was asked for.
    #[error("port 0 cannot be connected to")]
    PortZero,
    /// An algorithm that cannot be offered.
    #[error("{list} {name} cannot be offered: {why}")]
    Algorithm {
        /// The list it was asked for in.
        list: AlgorithmList,
        /// The name, or pattern, as it was given.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// A list that leaves nothing to be offered.
    #[error("no {list} is left to be offered")]
    NoAlgorithm {
        /// The list.
        list: AlgorithmList,
    },
    /// An environment variable that cannot be.
    #[error("environment variable {name:?}: {why}")]
    Variable {
        /// Its name.
        name: String,
        /// Why not.
        why: ApiMisuse,
    },
    /// Signs of life are asked for more than once in a second.
    #[error("a keepalive interval of less than a second")]
    KeepaliveTooShort,
    /// An authentication method that is not there, such as `gssapi-with-mic` or `hostbased`.
    #[error("authentication method {method:?} is not supported")]
    UnsupportedMethod {
        /// The name that was asked for.
        method: String,
    },
    /// No authentication method at all.
    #[error("no authentication method is allowed")]
    NoMethod,
    /// A password together with host keys that are not checked.
    #[error("a password must not go to hosts whose keys are not checked")]
    PasswordToAnyHost,
}

impl Config {
    /// Begins a configuration; host keys are checked as `host_keys` says.
    pub fn builder(host_keys: Arc<HostKeys>) -> ConfigBuilder {
        let config = Self {
            user: String::new(),
            port: PORT,
            identities: Vec::new(),
            agent: None,
            agent_keys: AgentKeys::All,
            password: None,
            certificates: Vec::new(),
            answers: None,
            methods: Method::DEFAULT_ORDER.to_vec(),
            public_key_algorithms: None,
            host_keys,
            host_key_alias: None,
            required_rsa_bits: 0,
            connect_timeout: Some(CONNECT_TIMEOUT),
            lists: Lists::default(),
            offer: Offer::default(),
            legacy: false,
            compression: Compression::No,
            environment: Arc::default(),
            host_name: None,
            reach: Reach::default(),
            keepalive: Some(Duration::from_secs(30)),
            route: Route::Direct,
            unix_socket: None,
            forward_agent: None,
            keepalive_max: KEEPALIVE_MAX,
            short_io: None,
        };
        ConfigBuilder::of(config)
    }

    /// Returns the limit on everything until the first command is accepted.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// Returns the user for hosts that name none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns whether there is anything to log in with: an identity, an agent, a password, or
    /// somebody who answers.
    pub fn has_credentials(&self) -> bool {
        !self.identities.is_empty()
            || self.agent.is_some()
            || self.password.is_some()
            || self.answers.is_some()
    }

    /// Returns the name by which a host is reached.
    pub(crate) fn name_of<'a>(&'a self, host: &'a Host) -> &'a str {
        self.host_name.as_deref().unwrap_or(host.name())
    }

    /// Returns the jump host on the way, the last one if there are several, which its own
    /// configuration goes on from.
    pub fn jump_host(&self) -> Option<&Arc<Jump>> {
        match &self.route {
            Route::Jump(jump) => Some(jump),
            _ => None,
        }
    }

    /// Returns the port for hosts that name none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the host key check.
    pub fn host_keys(&self) -> &Arc<HostKeys> {
        &self.host_keys
    }

    /// Returns the names under which a host's key is looked up and stored.
    pub(crate) fn lookup_name(&self, name: &str, port: u16) -> LookupName {
        let alias = self.host_key_alias.as_deref();
        alias.map_or_else(|| LookupName::new(name, port), LookupName::alias)
    }
}
