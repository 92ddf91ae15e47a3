//! The options of one host, typed, each with where it comes from.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::algorithms::AlgorithmList;
use super::error::Origin;
use crate::host::Host;

/// A value, and where it comes from; equal if the values are, wherever they come from.
#[derive(Debug, Clone, Default)]
pub struct Given<T> {
    value: T,
    origin: Origin,
}

impl<T> Given<T> {
    pub(super) fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Returns the value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns where it comes from, to name it in an error.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Takes the value out.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T: PartialEq> PartialEq for Given<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Given<T> {}

impl<T: Hash> Hash for Given<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// A file's path: as it was given, and with `~`, tokens and environment variables replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigPath {
    given: String,
    path: PathBuf,
}

impl ConfigPath {
    pub(super) fn new(given: &str, path: String) -> Self {
        let given = given.to_owned();
        let path = path.into();
        Self { given, path }
    }

    /// Returns the path to use.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns it as it stands in the configuration.
    pub fn given(&self) -> &str {
        &self.given
    }
}

/// A command for this machine's shell, with its tokens replaced by values that are safe there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShellCommand {
    given: String,
    command: String,
}

impl ShellCommand {
    pub(super) fn new(given: &str, command: String) -> Self {
        let given = given.to_owned();
        Self { given, command }
    }

    /// Returns the command to run.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns it as it stands in the configuration.
    pub fn given(&self) -> &str {
        &self.given
    }
}

/// How the host is reached (`ProxyJump`, `ProxyCommand`); of the two the first one said counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proxy {
    /// `none`: directly.
    Direct,
    /// Through these hosts, the first one first.
    Jump(Vec<Host>),
    /// Over the standard input and output of a command.
    Command(ShellCommand),
}

/// The socket of an agent (`IdentityAgent`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentSocket {
    /// `none`, or a variable that is not set: no agent is asked.
    None,
    /// `SSH_AUTH_SOCK`: as that environment variable says.
    FromEnvironment,
    /// This one.
    Path(PathBuf),
}

/// Whether commands on the host may use the agent (`ForwardAgent`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardAgent {
    /// No.
    No,
    /// The agent that authenticates.
    Yes,
    /// The agent at this socket; `None` if it is given by a variable that is not set.
    Socket(Option<PathBuf>),
}

/// `AddressFamily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressFamily {
    /// `any`.
    Any,
    /// `inet`: IPv4 only.
    Inet,
    /// `inet6`: IPv6 only.
    Inet6,
}

/// `StrictHostKeyChecking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StrictHostKeyChecking {
    /// `yes`: known keys only.
    Yes,
    /// `accept-new`: known keys, and those of hosts that have none yet.
    AcceptNew,
    /// `ask`, which is ssh's default.
    Ask,
    /// `no` or `off`.
    No,
}

/// `PubkeyAuthentication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PubkeyAuthentication {
    /// `yes`.
    Yes,
    /// `no`.
    No,
    /// `unbound`: without OpenSSH's extension that binds a signature to a host.
    Unbound,
    /// `host-bound`: with it, and without the one for restricted agents.
    HostBound,
}

/// An option that is `yes`, `no` or `ask`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum YesNoAsk {
    /// `yes`.
    Yes,
    /// `no`.
    No,
    /// `ask`.
    Ask,
}

/// `LogLevel`, in the order of how much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// `QUIET`.
    Quiet,
    /// `FATAL`.
    Fatal,
    /// `ERROR`.
    Error,
    /// `INFO`, which is ssh's default.
    Info,
    /// `VERBOSE`.
    Verbose,
    /// `DEBUG` or `DEBUG1`.
    Debug1,
    /// `DEBUG2`.
    Debug2,
    /// `DEBUG3`.
    Debug3,
}

/// What ssh_config says for one host.
///
/// `None`, or an empty list, means that nobody said anything and the caller's default holds; each
/// field says what ssh's is. All paths and commands have their tokens replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Options {
    /// `HostName`: the name or address to connect to, in lowercase; the host's own by default.
    pub host_name: Given<String>,
    /// `Port`; 22 by default.
    pub port: Given<u16>,
    /// `User`; who runs this process by default.
    pub user: Given<String>,
    /// `AddressFamily`; ssh: any.
    pub address_family: Option<Given<AddressFamily>>,
    /// `BatchMode`; ssh: no.
    pub batch_mode: Option<Given<bool>>,
    /// `BindAddress`.
    pub bind_address: Option<Given<String>>,
    /// `BindInterface`.
    pub bind_interface: Option<Given<String>>,
    /// `CASignatureAlgorithms`.
    pub ca_signature_algorithms: Option<Given<AlgorithmList>>,
    /// `CertificateFile`, each one said.
    pub certificate_files: Vec<Given<ConfigPath>>,
    /// `CheckHostIP`; ssh: no.
    pub check_host_ip: Option<Given<bool>>,
    /// `Ciphers`.
    pub ciphers: Option<Given<AlgorithmList>>,
    /// `Compression`; ssh: no.
    pub compression: Option<Given<bool>>,
    /// `ConnectTimeout`: `None` within is `none` or 0, no limit. ssh: the system's.
    pub connect_timeout: Option<Given<Option<Duration>>>,
    /// `ConnectionAttempts`, at least 1; ssh: 1.
    pub connection_attempts: Option<Given<u32>>,
    /// `ForwardAgent`; ssh: no.
    pub forward_agent: Option<Given<ForwardAgent>>,
    /// `GlobalKnownHostsFile`: empty within is `none`. ssh: `/etc/ssh/ssh_known_hosts` and the
    /// same with a 2.
    pub global_known_hosts_files: Option<Given<Vec<ConfigPath>>>,
    /// `HashKnownHosts`; ssh: no.
    pub hash_known_hosts: Option<Given<bool>>,
    /// `HostKeyAlgorithms`.
    pub host_key_algorithms: Option<Given<AlgorithmList>>,
    /// `HostKeyAlias`, in lowercase.
    pub host_key_alias: Option<Given<String>>,
    /// `IdentitiesOnly`; ssh: no.
    pub identities_only: Option<Given<bool>>,
    /// `IdentityAgent`; ssh: as `SSH_AUTH_SOCK` says.
    pub identity_agent: Option<Given<AgentSocket>>,
    /// `IdentityFile`: `None` is ssh's default names; what is empty within came from `none`.
    pub identity_files: Option<Vec<Given<ConfigPath>>>,
    /// `KbdInteractiveAuthentication` and its older names; ssh: yes.
    pub kbd_interactive_authentication: Option<Given<bool>>,
    /// `KexAlgorithms`.
    pub kex_algorithms: Option<Given<AlgorithmList>>,
    /// `LogLevel`; ssh: INFO.
    pub log_level: Option<Given<LogLevel>>,
    /// `MACs`.
    pub macs: Option<Given<AlgorithmList>>,
    /// `NoHostAuthenticationForLocalhost`; ssh: no.
    pub no_host_authentication_for_localhost: Option<Given<bool>>,
    /// `NumberOfPasswordPrompts`; ssh: 3.
    pub number_of_password_prompts: Option<Given<u32>>,
    /// `PasswordAuthentication`; ssh: yes.
    pub password_authentication: Option<Given<bool>>,
    /// `PreferredAuthentications`: the methods in their order, as given.
    pub preferred_authentications: Option<Given<Vec<String>>>,
    /// `ProxyJump` or `ProxyCommand`; ssh: directly.
    pub proxy: Option<Given<Proxy>>,
    /// `PubkeyAcceptedAlgorithms`.
    pub pubkey_accepted_algorithms: Option<Given<AlgorithmList>>,
    /// `PubkeyAuthentication`; ssh: yes.
    pub pubkey_authentication: Option<Given<PubkeyAuthentication>>,
    /// `RequiredRSASize` in bits; ssh: 1024.
    pub required_rsa_size: Option<Given<u32>>,
    /// `RevokedHostKeys`: `None` within is `none`.
    pub revoked_host_keys: Option<Given<Option<ConfigPath>>>,
    /// `SendEnv`: names and patterns, those taken back left out.
    pub send_env: Vec<Given<String>>,
    /// `ServerAliveCountMax`; ssh: 3.
    pub server_alive_count_max: Option<Given<u32>>,
    /// `ServerAliveInterval`: `None` within is `none` or 0, never. ssh: never.
    pub server_alive_interval: Option<Given<Option<Duration>>>,
    /// `SetEnv`: names and values.
    pub set_env: Vec<Given<(String, String)>>,
    /// `StrictHostKeyChecking`; ssh: ask.
    pub strict_host_key_checking: Option<Given<StrictHostKeyChecking>>,
    /// `Tag`.
    pub tag: Option<Given<String>>,
    /// `TCPKeepAlive`; ssh: yes.
    pub tcp_keep_alive: Option<Given<bool>>,
    /// `UpdateHostKeys`; ssh: yes, unless known_hosts files or DNS say otherwise.
    pub update_host_keys: Option<Given<YesNoAsk>>,
    /// `UserKnownHostsFile`: empty within is `none`. ssh: `~/.ssh/known_hosts` and the same with
    /// a 2.
    pub user_known_hosts_files: Option<Given<Vec<ConfigPath>>>,
    /// `VerifyHostKeyDNS`; ssh: no.
    pub verify_host_key_dns: Option<Given<YesNoAsk>>,
}
