//! How a configuration is made, option by option.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{AgentKeys, Compression, Config, ConfigError, KEEPALIVE_MIN, TcpKeepalive};
use crate::address::AddressFamily;
use crate::agent::Agent;
use crate::algorithms::Offer;
use crate::auth::{Answerer, Answers, Method};
use crate::host_key::HostKeyPolicy;
use crate::identity::{Identity, UserCertificate};
use crate::jump::Jump;
use crate::proxy_command::ProxyCommand;
use crate::route::Route;
use crate::secret::Secret;

/// Makes a [`Config`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ConfigBuilder {
    user: Option<String>,
    config: Config,
}

impl ConfigBuilder {
    pub(super) fn of(config: Config) -> Self {
        Self { user: None, config }
    }

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

    /// Sets the least size of RSA keys, the user's and the host's, in bits (`RequiredRSASize`);
    /// default 0. Private keys of less than 2048 bits, and host keys of less than 1024, are never
    /// taken.
    ///
    /// A host with a smaller key is refused under every policy; the user's smaller keys are not
    /// offered.
    pub fn required_rsa_bits(mut self, bits: u32) -> Self {
        self.config.required_rsa_bits = bits;
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
