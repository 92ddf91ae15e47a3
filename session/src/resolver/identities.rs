//! Keys, certificates, agents and methods that the options name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Made, ResolverError, Settings, in_home};
use crate::auth::Method;
use crate::identity::{Identity, IdentityError, UserCertificate};
use crate::secret::Secret;
use crate::ssh_config::{
    AgentSocket, ForwardAgent, Given, Options, Origin, PubkeyAuthentication, SshConfig,
};

/// Knows the passphrases of encrypted private keys.
///
/// It is called where it may block, once for each key and try.
pub trait Passphrases: Send + Sync {
    /// Returns a key's passphrase, or `None` to do without the key. `tries` is how many have been
    /// wrong.
    fn passphrase(&self, key: &Path, tries: u32) -> Option<Secret>;
}

/// How often a passphrase may be wrong, as in ssh (`NumberOfPasswordPrompts`).
const TRIES: u32 = 3;
/// The names that ssh tries by itself, where nothing is said.
const DEFAULTS: [&str; 5] = [
    "id_rsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
];

/// What came of a file.
pub(super) type Loaded = Result<Arc<Identity>, Problem>;

/// Why a file gave no key.
#[derive(Debug, Clone)]
pub(super) enum Problem {
    /// There is no such file.
    Missing,
    /// It is no good, in words.
    Bad(String),
}

/// What a host may be shown.
#[derive(Default)]
pub(super) struct Found {
    pub(super) identities: Vec<Arc<Identity>>,
    pub(super) certificates: Vec<Arc<UserCertificate>>,
}

/// Loads what the options name, and ssh's default names where they name nothing.
pub(super) fn load(
    ssh_config: &SshConfig,
    settings: &Settings,
    made: &mut Made,
    options: &Options,
) -> Result<Found, ResolverError> {
    let mut found = Found::default();
    let has_agent = agent_socket(ssh_config, options).is_some();
    match &options.identity_files {
        Some(files) => {
            for file in files {
                match identity(settings, made, file.value().path(), want_named(has_agent)) {
                    Ok(identity) => found.identities.push(identity),
                    Err(problem) => left_out(made, file.origin(), file.value().path(), problem)?,
                }
            }
        }
        None => {
            let want = if has_agent { Want::Agent } else { Want::Ask };
            for path in DEFAULTS.iter().filter_map(|name| in_home(ssh_config, name)) {
                match identity(settings, made, &path, want) {
                    Ok(identity) => found.identities.push(identity),
                    Err(problem) => left_out(made, &Origin::Default, &path, problem)?,
                }
            }
        }
    }
    for file in &options.certificate_files {
        match UserCertificate::load(file.value().path()) {
            Ok(certificate) => found.certificates.push(Arc::new(certificate)),
            Err(error) => {
                let path = file.value().path();
                left_out(made, file.origin(), path, Problem::of(path, &error))?;
            }
        }
    }
    Ok(found)
}

/// What to do about a key that is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Ask for its passphrase.
    Ask,
    /// Ask, and where nobody answers leave it to the agent.
    AskOrAgent,
    /// Leave it to the agent; ssh too asks for no passphrase before it.
    Agent,
}

fn want_named(has_agent: bool) -> Want {
    if has_agent {
        Want::AskOrAgent
    } else {
        Want::Ask
    }
}

/// Loads a key, the first time that it is named.
fn identity(settings: &Settings, made: &mut Made, path: &Path, want: Want) -> Loaded {
    if let Some(loaded) = made.identities.get(path) {
        return loaded.clone();
    }
    let loaded = match Identity::load(path, None) {
        Err(IdentityError::Encrypted { .. }) => encrypted(settings, path, want),
        // A path may name the public key of one that the agent has.
        Err(error) if !is_missing(&error) => Identity::load_public(path).map_err(|_| error),
        other => other,
    };
    let loaded = loaded
        .map(Arc::new)
        .map_err(|error| Problem::of(path, &error));
    made.identities.insert(path.to_owned(), loaded.clone());
    loaded
}

fn encrypted(settings: &Settings, path: &Path, want: Want) -> Result<Identity, IdentityError> {
    let mut error = IdentityError::Encrypted {
        path: path.to_owned(),
    };
    let asked = settings
        .passphrases
        .as_ref()
        .filter(|_| want != Want::Agent);
    for tries in 0..TRIES {
        let Some(passphrase) = asked.and_then(|asked| asked.passphrase(path, tries)) else {
            break;
        };
        match Identity::load(path, Some(&passphrase)) {
            Err(wrong @ IdentityError::WrongPassphrase { .. }) => error = wrong,
            other => return other,
        }
    }
    if want == Want::Ask {
        return Err(error);
    }
    Identity::load_public(path).map_err(|_| error)
}

impl Problem {
    fn of(path: &Path, error: &IdentityError) -> Self {
        if is_missing(error) {
            return Self::Missing;
        }
        let mut text = error.to_string();
        if !text.contains(&path.display().to_string()) {
            text = format!("{}: {text}", path.display());
        }
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        Self::Bad(text + remedy(error))
    }
}

fn remedy(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Encrypted { .. } => {
            "; run on a terminal to be asked for it, or add the key to ssh-agent with ssh-add"
        }
        IdentityError::TooPermissive { .. } => "; chmod 600 makes it private",
        _ => "",
    }
}

fn is_missing(error: &IdentityError) -> bool {
    matches!(
        error,
        IdentityError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound
    )
}

/// A key that the command line names has to be usable, or nothing runs; one that a file names, or
/// nobody, is left out, and that is said unless it is just not there, as in ssh.
fn left_out(
    made: &mut Made,
    origin: &Origin,
    path: &Path,
    problem: Problem,
) -> Result<(), ResolverError> {
    let named = origin.is_of_this_run();
    let what = match problem {
        Problem::Missing if !named => return Ok(()),
        Problem::Missing => format!("could not read identity {}: No such file or directory", path.display()),
        Problem::Bad(what) => what,
    };
    if named {
        let origin = origin.clone();
        return Err(ResolverError::Identity { origin, what });
    }
    made.note(format!("{what}; it is left out"));
    Ok(())
}

/// The socket of the agent that is asked for keys.
pub(super) fn agent_socket(ssh_config: &SshConfig, options: &Options) -> Option<PathBuf> {
    match options.identity_agent.as_ref().map(Given::value) {
        Some(AgentSocket::None) => None,
        Some(AgentSocket::Path(path)) => Some(path.clone()),
        Some(AgentSocket::FromEnvironment) | None => from_environment(ssh_config),
    }
}

fn from_environment(ssh_config: &SshConfig) -> Option<PathBuf> {
    let path = ssh_config.local().variable("SSH_AUTH_SOCK")?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// The socket of the agent that the host may use.
pub(super) fn forwarded(ssh_config: &SshConfig, options: &Options) -> Option<PathBuf> {
    match options.forward_agent.as_ref().map(Given::value) {
        Some(ForwardAgent::Yes) => agent_socket(ssh_config, options),
        Some(ForwardAgent::Socket(path)) => path.clone(),
        Some(ForwardAgent::No) | None => None,
    }
}

/// The methods that are allowed, in their order.
pub(super) fn methods(options: &Options) -> Result<Vec<Method>, ResolverError> {
    let is_no = |given: &Option<Given<bool>>| given.as_ref().is_some_and(|yes| !*yes.value());
    let allowed = |method: &Method| match method {
        Method::PublicKey => {
            let said = options.pubkey_authentication.as_ref().map(Given::value);
            said != Some(&PubkeyAuthentication::No)
        }
        Method::Password => !is_no(&options.password_authentication),
        _ => !is_no(&options.kbd_interactive_authentication),
    };
    let Some(preferred) = &options.preferred_authentications else {
        return Ok(Method::DEFAULT_ORDER.into_iter().filter(allowed).collect());
    };
    let names = preferred.value();
    let known: Vec<Method> = names.iter().filter_map(|name| name.parse().ok()).collect();
    match names.iter().find(|name| name.parse::<Method>().is_err()) {
        // Distributions list ssh's others before these; alone they are what was asked for.
        Some(_) if !known.is_empty() => {}
        Some(name) => {
            return Err(ResolverError::Unsupported {
                origin: preferred.origin().clone(),
                option: "PreferredAuthentications",
                value: name.clone(),
                why: "libssh2 has publickey, keyboard-interactive and password",
            });
        }
        None => {}
    }
    Ok(known.into_iter().filter(allowed).collect())
}
