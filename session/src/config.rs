//! How sessions are made: users, identities, host keys, limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::auth::{Answerer, Answers, Method};
use crate::host_key::{HostKeyPolicy, HostKeys};
use crate::identity::{Identity, UserCertificate};
use crate::secret::Secret;

/// The port of SSH.
const PORT: u16 = 22;
/// How long everything may take until the first command is accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) ciphers: Option<String>,
    pub(crate) keepalive: Option<Duration>,
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

/// Makes a [`Config`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ConfigBuilder {
    user: Option<String>,
    config: Config,
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
            connect_timeout: Some(CONNECT_TIMEOUT),
            ciphers: None,
            keepalive: Some(Duration::from_secs(30)),
            short_io: None,
        };
        ConfigBuilder { user: None, config }
    }

    /// Returns the limit on everything until the first command is accepted.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// Returns the user for hosts that name none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the port for hosts that name none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the host key check.
    pub fn host_keys(&self) -> &Arc<HostKeys> {
        &self.host_keys
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

    /// Sets which of the agent's keys are offered (`IdentitiesOnly`); default: all.
    pub fn agent_keys(mut self, keys: AgentKeys) -> Self {
        self.config.agent_keys = keys;
        self
    }

    /// Sets a password, given away once and never again after a refusal; default: none. It is also
    /// the answer to keyboard-interactive's one hidden prompt, where [`ConfigBuilder::answers`] sets
    /// nobody to give it.
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

    /// Sets who answers keyboard-interactive challenges, for example for one-time codes; default:
    /// none, and then the method is used for the password only.
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

    /// Sets which ciphers are offered, best first, by their SSH names separated by commas
    /// (`Ciphers`); default: AES-GCM, then AES-CTR. ChaCha20-Poly1305 is there when asked for, with
    /// hosts that are trusted not to attack libssh2.
    pub fn ciphers(mut self, names: impl Into<String>) -> Self {
        self.config.ciphers = Some(names.into());
        self
    }

    /// Sets how long a host may be silent before it is asked for a sign of life
    /// (`ServerAliveInterval`); after three without an answer the connection counts as lost.
    /// Default 30 s, `None` for never.
    pub fn keepalive(mut self, interval: Option<Duration>) -> Self {
        self.config.keepalive = interval;
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
