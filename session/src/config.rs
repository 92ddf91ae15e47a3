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

impl ConfigBuilder {
    /// Sets the user for hosts that name none (`User`); default: who runs this
    /// process, by `/etc/passwd` or the environment's `USER`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the port for hosts that name none (`Port`); default 22.
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// Adds an identity; they are tried in the order they were added (`IdentityFile`).
    pub fn identity(mut self, identity: Arc<Identity>) -> Self {
        self.config.identities.push(identity);
        self
    }

    /// Sets the agent by its socket (`IdentityAgent`); default: none.
    pub fn agent(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.agent = Some(Arc::new(Agent::new(path)));
        self
    }

    /// Sets an agent that other configurations share.
    pub(crate) fn shared_agent(mut self, agent: Arc<Agent>) -> Self {
        self.config.agent = Some(agent);
        self
    }

    /// Sets a password that other configurations share.
    pub(crate) fn shared_password(mut self, password: Arc<Secret>) -> Self {
        self.config.password = Some(password);
        self
    }

    /// Sets which of the agent's keys are offered (`IdentitiesOnly`); default: all.
    pub fn agent_keys(mut self, keys: AgentKeys) -> Self {
        self.config.agent_keys = keys;
        self
    }

    /// Sets a password, given away once and never again after a refusal; default: none. It is also
    /// the answer to keyboard-interactive's one hidden prompt; where [`ConfigBuilder::answers`] sets
    /// somebody to answer, not if the prompt speaks of a code or a token.
    pub fn password(mut self, password: Secret) -> Self {
        self.config.password = Some(Arc::new(password));
        self
    }

    /// Adds a user certificate for a key that an identity or the agent holds (`CertificateFile`);
    /// certificates are offered first, those of the identities after these.
    pub fn certificate(mut self, certificate: Arc<UserCertificate>) -> Self {
        self.config.certificates.push(certificate);
        self
    }

    /// Sets who answers keyboard-interactive challenges that the password does not, for example for
    /// one-time codes; default: none, and then the method is used for the password only.
    pub fn answers(mut self, answers: Arc<dyn Answers>) -> Self {
        self.config.answers = Some(Answerer(answers));
        self
    }

    /// Sets the authentication methods that are allowed, in the order in which they are tried
    /// (`PreferredAuthentications`; `PubkeyAuthentication no` and the like leave one out). Default:
    /// [`Method::DEFAULT_ORDER`].
    pub fn methods(mut self, methods: impl Into<Vec<Method>>) -> Self {
        self.config.methods = methods.into();
        self
    }

    /// Sets which keys and signature algorithms may be used, by their names separated by commas,
    /// with `*` and `?` (`PubkeyAcceptedAlgorithms`). Default: all but SHA-1, which is never used.
    pub fn public_key_algorithms(mut self, names: impl Into<String>) -> Self {
        self.config.public_key_algorithms = Some(names.into());
        self
    }

    /// Sets the limit on everything until the first command is accepted, from the look-up of the
    /// name on (more than `ConnectTimeout`); default 10 s, `None` for none.
    pub fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Sets which ciphers are offered (`Ciphers`): names separated by commas, best first; with `+`
    /// before them they are added to the default, with `^` put before it, with `-` taken out of it,
    /// and `*` and `?` stand for what libssh2 has. Default: AES-GCM, then AES-CTR.
    ///
    /// ChaCha20-Poly1305 is there when asked for, with hosts that are trusted not to attack
    /// libssh2; AES-CBC, which is weak, when asked for. [`ConfigBuilder::build`] fails by a name
    /// that cannot be offered, and says why.
    pub fn ciphers(mut self, names: impl Into<String>) -> Self {
        self.config.lists.ciphers = Some(names.into());
        self
    }

    /// Offers the weak algorithms that libssh2 has, behind all others: AES-CBC, whose padding and
    /// chained blocks tell an attacker on the way things. For hosts that have nothing better;
    /// default: not offered. SHA-1, 3DES and DSA are not there at all.
    pub fn legacy_algorithms(mut self) -> Self {
        self.config.legacy = true;
        self
    }

    /// Sets which key exchange methods are offered (`KexAlgorithms`), written as for
    /// [`ConfigBuilder::ciphers`]. Default: ML-KEM with X25519 where the crypto library has it,
    /// X25519, the NIST curves, and finite fields of 2,048 bits and more.
    pub fn kex(mut self, names: impl Into<String>) -> Self {
        self.config.lists.kex = Some(names.into());
        self
    }

    /// Sets which types of host keys are taken (`HostKeyAlgorithms`), written as for
    /// [`ConfigBuilder::ciphers`]. Default: Ed25519, ECDSA, and RSA with SHA-2.
    ///
    /// Types of keys that are known for a host go first, unless the list begins with a name or
    /// with `^`.
    pub fn host_key_algorithms(mut self, names: impl Into<String>) -> Self {
        self.config.lists.host_keys = Some(names.into());
        self
    }

    /// Sets which MACs are offered (`MACs`), written as for [`ConfigBuilder::ciphers`]; ciphers
    /// like AES-GCM need none. Default: HMAC with SHA-2, encrypt-then-MAC first.
    pub fn macs(mut self, names: impl Into<String>) -> Self {
        self.config.lists.macs = Some(names.into());
        self
    }

    /// Sets whether bytes are compressed (`Compression`); default: no.
    ///
    /// It begins once the user is authenticated. A hostile host can then make libssh2 hold much
    /// more memory than it sends: leave it off for hosts that are not trusted so far.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = compression;
        self
    }

    /// Sets an environment variable of every command (`SetEnv`; what `SendEnv` would send is set
    /// with its local value); default: none. See [`Command::env`](crate::Command::env).
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.config.environment).set(name.into(), value.into());
        self
    }

    /// Sets the name or address that is looked up and connected to in place of the host's own
    /// (`HostName`); default: the host's own. Reports keep the host's name; its key is looked for
    /// under this one, as in ssh.
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.config.host_name = Some(name.into());
        self
    }

    /// Sets which sort of address is connected to (`AddressFamily`); default: either.
    pub fn address_family(mut self, family: AddressFamily) -> Self {
        self.config.reach.family = family;
        self
    }

    /// Sets the address of this machine that connections come from (`BindAddress`); default: the
    /// system chooses. Hosts without an address of the same family then fail to resolve.
    pub fn bind_address(mut self, address: IpAddr) -> Self {
        self.config.reach.from = Some(address);
        self
    }

    /// Sets how often all addresses of a host are tried, a second apart, within the connect
    /// timeout (`ConnectionAttempts`); default 1.
    pub fn connection_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.config.reach.attempts = attempts;
        self
    }

    /// Sets whether the system probes connections on which nothing passes (`TCPKeepAlive`);
    /// default: yes.
    ///
    /// With [`ConfigBuilder::keepalive`], a connection whose host is gone ends after the same
    /// time; without, the system's times hold, two hours at first on Linux.
    pub fn tcp_keepalive(mut self, probes: TcpKeepalive) -> Self {
        self.config.reach.probes = probes == TcpKeepalive::Yes;
        self
    }

    /// Sets how long a host may be silent, while somebody waits for it, before it is asked for a
    /// sign of life (`ServerAliveInterval`). Default 30 s, `None` for never; at least 1 s.
    ///
    /// Any byte from the host counts as one, and while bytes come nothing is asked. A session that
    /// nobody waits on is left to the system's own probes, which are set to the same times
    /// ([`ConfigBuilder::tcp_keepalive`]).
    pub fn keepalive(mut self, interval: Option<Duration>) -> Self {
        self.config.keepalive = interval;
        self
    }

    /// Reaches hosts through a jump host (`ProxyJump`), which resolves their names; default: none.
    /// Hosts whose configurations share the [`Jump`] share its sessions.
    pub fn jump(mut self, jump: Arc<Jump>) -> Self {
        self.config.route = Route::Jump(jump);
        self
    }

    /// Reaches hosts by the standard input and output of a command (`ProxyCommand`); default: none.
    pub fn proxy_command(mut self, command: ProxyCommand) -> Self {
        self.config.route = Route::Command(command);
        self
    }

    /// Reaches hosts straight, without a jump host or command, which is the default.
    pub fn no_proxy(mut self) -> Self {
        self.config.route = Route::Direct;
        self
    }

    /// Lets hosts use the agent at this socket while commands run (`ForwardAgent`); default: none.
    ///
    /// Whoever rules such a host can sign with the agent's keys meanwhile: for single hosts that are
    /// trusted, not for a fleet.
    pub fn forward_agent(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.forward_agent = Some(path.into());
        self
    }

    /// Connects to this Unix socket instead of the host's name and port, on this machine or, with
    /// a jump host, on that; default: none.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.unix_socket = Some(path.into());
        self
    }

    /// Sets after how many intervals of silence the connection counts as lost
    /// (`ServerAliveCountMax`); default 3.
    ///
    /// What waits for the host then fails by [`Error::Stalled`](crate::Error::Stalled). With the
    /// defaults the host is asked after 30 s of silence, once, and lost after 90 s; with 1 it is
    /// asked after half an interval.
    pub fn keepalive_max(mut self, intervals: NonZeroU32) -> Self {
        self.config.keepalive_max = intervals;
        self
    }

    /// Sets the name under which host keys are looked up and stored, and that host certificates
    /// must be for, instead of each host's own name and port (`HostKeyAlias`); default: none.
    pub fn host_key_alias(mut self, alias: impl Into<String>) -> Self {
        self.config.host_key_alias = Some(alias.into());
        self
    }

    /// Makes every read and write of the transport short, and refuses some, by this seed: for
    /// tests.
    #[doc(hidden)]
    pub fn inject_short_io(mut self, seed: u64) -> Self {
        self.config.short_io = Some(seed);
        self
    }

    /// Checks everything and makes the configuration.
    ///
    /// # Errors
    ///
    /// What cannot be, by name.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        config.user = self.user.or_else(local_user).ok_or(ConfigError::NoUser)?;
        if config.user.is_empty() || config.user.contains('\0') {
            return Err(ConfigError::BadUser { user: config.user });
        }
        if config.port == 0 {
            return Err(ConfigError::PortZero);
        }
        if let Err((name, why)) = config.environment.check() {
            let name = name.to_owned();
            return Err(ConfigError::Variable { name, why });
        }
        if config
            .keepalive
            .is_some_and(|interval| interval < KEEPALIVE_MIN)
        {
            return Err(ConfigError::KeepaliveTooShort);
        }
        let compression = config.compression == Compression::Yes;
        config.offer = Offer::read(&config.lists, compression)?;
        if config.legacy {
            config.offer.add_legacy();
        }
        if config.methods.is_empty() {
            return Err(ConfigError::NoMethod);
        }
        let unchecked = config.host_keys.policy() == HostKeyPolicy::DangerousAcceptAny;
        if unchecked && (config.password.is_some() || config.answers.is_some()) {
            return Err(ConfigError::PasswordToAnyHost);
        }
        Ok(config)
    }
}

/// The name of the user that runs this process.
fn local_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    // name:password:uid:… (passwd(5)).
    let by_id = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    let set = |name| {
        std::env::var(name)
            .ok()
            .filter(|user: &String| !user.is_empty())
    };
    by_id.or_else(|| set("USER")).or_else(|| set("LOGNAME"))
}
