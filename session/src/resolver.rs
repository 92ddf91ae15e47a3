//! From ssh_config to how each host is got into: [`Config`]s, made of [`Options`].
//!
//! The principal type is [`Resolver`]. Key files, known_hosts files and jump hosts that several
//! hosts name are read and made once and shared; equal configurations are one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::agent::Agent;
use crate::auth::{Answers, Method};
use crate::config::{Config, ConfigBuilder};
use crate::host::{Host, HostOption};
use crate::host_key::{HostKeyPolicy, HostKeys};
use crate::identity::UserCertificate;
use crate::jump::Jump;
use crate::known_hosts::KnownHosts;
use crate::secret::Secret;
use crate::ssh_config::{Options, Origin, Proxy, SshConfig};

mod algorithms;
mod connection;
mod error;
mod host_keys;
mod identities;
mod methods;

pub use self::error::ResolverError;
pub use self::identities::Passphrases;

use self::identities::{Found, KeyFile, Problem};

/// Jump hosts one behind the other, beyond which a configuration is taken to go in circles.
const HOPS_MAX: usize = 16;

/// Makes hosts' configurations out of ssh_config.
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
/// use sshoal_session::ssh_config::{Local, SshConfig};
/// use sshoal_session::{Host, Resolver, Session};
///
/// let ssh_config = SshConfig::builder(Local::of_this_process()).load()?;
/// let resolver = Resolver::builder(ssh_config).build();
/// let host: Host = "web1".parse()?;
/// let config = resolver.config(&host)?;
/// let session = Session::connect(&host, &config)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Resolver {
    ssh_config: SshConfig,
    settings: Settings,
    /// Held while files are read, so that each is read once.
    made: Mutex<Made>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// What ssh_config does not say.
struct Settings {
    unsaid_policy: HostKeyPolicy,
    ask_policy: HostKeyPolicy,
    /// Names in lowercase.
    legacy: HashSet<String>,
    dangerous_accept_any_host_key: bool,
    password: Option<Arc<Secret>>,
    answers: Option<Arc<dyn Answers>>,
    passphrases: Option<Arc<dyn Passphrases>>,
    connect_timeout: Option<Option<Duration>>,
    /// Where ssh_config says nothing.
    unsaid_connect_timeout: Option<Option<Duration>>,
}

/// What was read and made so far.
#[derive(Default)]
struct Made {
    identities: HashMap<PathBuf, KeyFile>,
    certificates: HashMap<PathBuf, Result<Arc<UserCertificate>, Problem>>,
    /// By the files that were read.
    known_hosts: HashMap<Vec<PathBuf>, Arc<KnownHosts>>,
    host_keys: HashMap<String, Arc<HostKeys>>,
    agents: HashMap<PathBuf, Arc<Agent>>,
    jumps: HashMap<String, Arc<Jump>>,
    configs: HashMap<Arc<Asked>, Arc<Config>>,
    /// The one found last, which is most hosts': to compare costs less than to hash.
    last: Option<(Arc<Asked>, Arc<Config>)>,
    notices: Vec<String>,
}

/// All that a configuration is made of.
#[derive(PartialEq, Eq, Hash)]
struct Asked {
    options: Options,
    /// The jump host on the way, by where it is.
    way: usize,
    /// Whether keys were named for this run: they have to be usable then.
    named_keys: bool,
    legacy: bool,
}

impl Made {
    fn note(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}

/// Makes a [`Resolver`].
#[must_use]
pub struct ResolverBuilder {
    ssh_config: SshConfig,
    settings: Settings,
}

impl std::fmt::Debug for ResolverBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolverBuilder").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Begins a resolver of this configuration.
    pub fn builder(ssh_config: SshConfig) -> ResolverBuilder {
        ResolverBuilder {
            ssh_config,
            settings: Settings {
                unsaid_policy: HostKeyPolicy::Strict,
                ask_policy: HostKeyPolicy::Strict,
                legacy: HashSet::new(),
                dangerous_accept_any_host_key: false,
                password: None,
                answers: None,
                passphrases: None,
                connect_timeout: None,
                unsaid_connect_timeout: None,
            },
        }
    }

    /// Returns how a host is got into. Reads the files that are named for it, the first time they
    /// are; may ask for passphrases and agents for their keys, and run commands where `Match exec`
    /// is allowed. It blocks meanwhile, and others who ask: call it from a plain thread, or through
    /// [`sshoal_reactor::blocking`].
    ///
    /// # Errors
    ///
    /// The option that cannot be, with its file and line; a file that cannot be used.
    pub fn config(&self, host: &Host) -> Result<Arc<Config>, ResolverError> {
        self.config_with(host, &[])
    }

    /// As [`Resolver::config`], with options for this host alone, as a line of a hosts file has them
    /// ([`HostLine`](crate::HostLine)). They come before all others; those that say no override too.
    ///
    /// # Errors
    ///
    /// As [`Resolver::config`].
    pub fn config_with(
        &self,
        host: &Host,
        options: &[HostOption],
    ) -> Result<Arc<Config>, ResolverError> {
        let options = self.ssh_config.lookup_with(host, options)?;
        let mut made = self.made.lock();
        let jump = self.way(&mut made, &options, &mut vec![host.to_string()])?;
        self.shared(&mut made, host, options, jump)
    }

    /// Returns what ssh_config says for a host.
    ///
    /// # Errors
    ///
    /// The option that cannot be, with its file and line.
    pub fn options(&self, host: &Host) -> Result<Options, ResolverError> {
        self.options_with(host, &[])
    }

    /// As [`Resolver::options`], with options for this host alone.
    ///
    /// # Errors
    ///
    /// As [`Resolver::options`].
    pub fn options_with(
        &self,
        host: &Host,
        options: &[HostOption],
    ) -> Result<Options, ResolverError> {
        Ok(self.ssh_config.lookup_with(host, options)?)
    }

    /// Returns what is to be told about files that were left out, and the like; each thing once.
    pub fn notices(&self) -> Vec<String> {
        self.made.lock().notices.clone()
    }

    /// Returns the host key checks that were made, one for each set of files and policy.
    pub fn host_keys(&self) -> Vec<Arc<HostKeys>> {
        self.made.lock().host_keys.values().cloned().collect()
    }

    /// Returns the last jump host on the way, made with all those before it. `seen` has the hosts
    /// that led here.
    fn way(
        &self,
        made: &mut Made,
        options: &Options,
        seen: &mut Vec<String>,
    ) -> Result<Option<Arc<Jump>>, ResolverError> {
        let Some(proxy) = &options.proxy else {
            return Ok(None);
        };
        let Proxy::Jump(hops) = proxy.value() else {
            return Ok(None);
        };
        let mut key = String::new();
        let mut before: Option<Arc<Jump>> = None;
        for (number, hop) in hops.iter().enumerate() {
            key = format!("{key},{hop}");
            if let Some(jump) = made.jumps.get(&key) {
                before = Some(jump.clone());
                continue;
            }
            if seen.contains(&hop.to_string()) || seen.len() > HOPS_MAX {
                return Err(ResolverError::Circle {
                    origin: proxy.origin().clone(),
                    hosts: seen.join(", "),
                });
            }
            let mut own = self.ssh_config.lookup_jump(hop)?;
            seen.push(hop.to_string());
            // The first one may lie behind others of its own; the way to the rest is given.
            if number == 0 {
                before = self.way(made, &own, seen)?;
            } else {
                own.proxy = None;
            }
            let config = self.shared(made, hop, own, before.take())?;
            seen.pop();
            let jump = Arc::new(Jump::new(hop.clone(), config));
            made.jumps.insert(key.clone(), jump.clone());
            before = Some(jump);
        }
        Ok(before)
    }

    /// Makes a configuration, or finds the one that is equal.
    fn shared(
        &self,
        made: &mut Made,
        host: &Host,
        mut options: Options,
        jump: Option<Arc<Jump>>,
    ) -> Result<Arc<Config>, ResolverError> {
        // What is the host's own leaves most hosts of a fleet with equal options.
        if options.host_name.value() == &host.name().to_lowercase() {
            options.host_name = Default::default();
        }
        let named = |origin: &Origin| origin.is_of_this_run();
        let mut keys = options.identity_files.iter().flatten();
        let asked = Asked {
            way: jump.as_ref().map_or(0, |jump| Arc::as_ptr(jump) as usize),
            named_keys: keys.any(|file| named(file.origin()))
                || options
                    .certificate_files
                    .iter()
                    .any(|file| named(file.origin())),
            legacy: self.settings.legacy.contains(&host.name().to_lowercase()),
            options,
        };
        if let Some((_, config)) = made.last.as_ref().filter(|(last, _)| **last == asked) {
            return Ok(config.clone());
        }
        let found = made.configs.get_key_value(&asked);
        let (asked, config) = match found {
            Some((asked, config)) => (asked.clone(), config.clone()),
            None => {
                let config = Arc::new(self.make(made, &asked, jump)?);
                let asked = Arc::new(asked);
                made.configs.insert(asked.clone(), config.clone());
                (asked, config)
            }
        };
        made.last = Some((asked, config.clone()));
        Ok(config)
    }

    fn make(
        &self,
        made: &mut Made,
        asked: &Asked,
        jump: Option<Arc<Jump>>,
    ) -> Result<Config, ResolverError> {
        let options = &asked.options;
        let host_keys = host_keys::make(&self.ssh_config, &self.settings, made, options)?;
        let mut builder = Config::builder(host_keys)
            .user(options.user.value())
            .port(*options.port.value());
        if !options.host_name.value().is_empty() {
            builder = builder.host_name(options.host_name.value());
        }
        if let Some(alias) = &options.host_key_alias {
            builder = builder.host_key_alias(alias.value());
        }
        builder = self.authentication(made, builder, options)?;
        builder = connection::set(builder, options, &self.ssh_config)?;
        builder = algorithms::set(builder, options)?;
        if asked.legacy {
            builder = builder.legacy_algorithms();
        }
        let unsaid = self.settings.unsaid_connect_timeout;
        let unsaid = unsaid.filter(|_| options.connect_timeout.is_none());
        if let Some(limit) = self.settings.connect_timeout.or(unsaid) {
            builder = builder.connect_timeout(limit);
        }
        if let Some(jump) = jump {
            builder = builder.jump(jump);
        }
        builder
            .build()
            .map_err(|error| algorithms::named(error, options))
    }

    fn authentication(
        &self,
        made: &mut Made,
        mut builder: ConfigBuilder,
        options: &Options,
    ) -> Result<ConfigBuilder, ResolverError> {
        let agent = methods::agent_socket(&self.ssh_config, options).map(|path| {
            let agent = made.agents.entry(path.clone());
            agent.or_insert_with(|| Arc::new(Agent::new(path))).clone()
        });
        let (files, settings) = (&self.ssh_config, &self.settings);
        let methods = methods::allowed(options)?;
        // Nobody is asked for the passphrase of a key that is not offered.
        let found = match methods.contains(&Method::PublicKey) {
            true => identities::load(files, settings, made, options, agent.as_deref())?,
            false => Found::default(),
        };
        for identity in found.identities {
            builder = builder.identity(identity);
        }
        for certificate in found.certificates {
            builder = builder.certificate(certificate);
        }
        if let Some(agent) = agent {
            builder = builder.shared_agent(agent);
        }
        if options
            .identities_only
            .as_ref()
            .is_some_and(|only| *only.value())
        {
            builder = builder.agent_keys(crate::config::AgentKeys::IdentitiesOnly);
        }
        if let Some(password) = &self.settings.password {
            builder = builder.shared_password(password.clone());
        }
        let batch = options.batch_mode.as_ref().is_some_and(|yes| *yes.value());
        if let Some(answers) = self.settings.answers.as_ref().filter(|_| !batch) {
            builder = builder.answers(answers.clone());
        }
        if let Some(bits) = &options.required_rsa_size {
            builder = builder.required_rsa_bits(*bits.value());
        }
        if let Some(path) = methods::forwarded(&self.ssh_config, options) {
            builder = builder.forward_agent(path);
        }
        Ok(builder.methods(methods))
    }
}

impl ResolverBuilder {
    /// Sets what happens to unknown host keys where ssh_config says nothing; default
    /// [`HostKeyPolicy::Strict`], since a fleet has nobody to ask per host.
    pub fn unsaid_policy(mut self, policy: HostKeyPolicy) -> Self {
        self.settings.unsaid_policy = policy;
        self
    }

    /// Sets what happens to unknown host keys where ssh_config says `ask`, and not that nobody is
    /// there (`BatchMode`); default [`HostKeyPolicy::Strict`]. With [`HostKeyPolicy::Ask`] the caller
    /// asks before the run, once for all hosts ([`host_key::probe`](crate::host_key::probe())).
    pub fn ask_policy(mut self, policy: HostKeyPolicy) -> Self {
        self.settings.ask_policy = policy;
        self
    }

    /// Offers weak algorithms to hosts of these names, behind all others
    /// ([`ConfigBuilder::legacy_algorithms`]); default: to none. Names are held against those that
    /// hosts are called by, in any case.
    pub fn legacy<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_lowercase());
        self.settings.legacy.extend(names);
        self
    }

    /// Accepts any host key of any host, whatever ssh_config says; default: off. Passwords are
    /// then refused.
    pub fn dangerous_accept_any_host_key(mut self) -> Self {
        self.settings.dangerous_accept_any_host_key = true;
        self
    }

    /// Sets the password of all hosts; default: none.
    pub fn password(mut self, password: Secret) -> Self {
        self.settings.password = Some(Arc::new(password));
        self
    }

    /// Sets who answers what hosts ask and the password does not; default: nobody. Nobody is asked
    /// where ssh_config says `BatchMode yes`.
    pub fn answers(mut self, answers: Arc<dyn Answers>) -> Self {
        self.settings.answers = Some(answers);
        self
    }

    /// Sets who knows the passphrases of encrypted keys; default: nobody.
    pub fn passphrases(mut self, passphrases: Arc<dyn Passphrases>) -> Self {
        self.settings.passphrases = Some(passphrases);
        self
    }

    /// Sets the limit on connecting of all hosts, over `ConnectTimeout`; default: that, and 10 s
    /// where it says nothing.
    pub fn connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.settings.connect_timeout = Some(limit);
        self
    }

    /// Sets the limit on connecting where ssh_config says nothing; default 10 s. `None` leaves it to
    /// the system, as in ssh.
    pub fn unsaid_connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.settings.unsaid_connect_timeout = Some(limit);
        self
    }

    /// Makes the resolver; reads nothing yet.
    #[must_use]
    pub fn build(self) -> Resolver {
        Resolver {
            ssh_config: self.ssh_config,
            settings: self.settings,
            made: Mutex::default(),
        }
    }
}

/// The user's file of this name in `.ssh`, if there is a home.
fn in_home(ssh_config: &SshConfig, name: &str) -> Option<PathBuf> {
    let home = ssh_config.local().home();
    (!home.is_empty()).then(|| Path::new(home).join(".ssh").join(name))
}
