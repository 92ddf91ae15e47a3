//! Keys and certificates that the options name.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;

use super::{Made, ResolverError, Settings, in_home};
use crate::agent::{Agent, AgentKey};
use crate::identity::{Identity, IdentityError, UserCertificate};
use crate::secret::Secret;
use crate::ssh_config::{Options, Origin, SshConfig};

/// Knows the passphrases of encrypted private keys.
///
/// It is called where it may block, once for each key and try. It must not use the [`Resolver`] that
/// asks, which is locked meanwhile.
///
/// [`Resolver`]: super::Resolver
pub trait Passphrases: Send + Sync {
    /// Returns a key's passphrase, or `None` to do without the key. `tries` is how many have been
    /// wrong.
    fn passphrase(&self, key: &Path, tries: u32) -> Option<Secret>;
}

/// How often a passphrase may be wrong, where `NumberOfPasswordPrompts` does not say.
const TRIES: u32 = 3;
/// How long an agent may take to list its keys.
const AGENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The names that ssh tries by itself, where nothing is said.
const DEFAULTS: [&str; 5] = [
    "id_rsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
];

/// What a key file was found to be, the first time that it was named.
pub(super) enum KeyFile {
    /// A key that can be used.
    Ready(Arc<Identity>),
    /// A key that is encrypted.
    Encrypted {
        /// Its public half, where that is known.
        public: Option<Arc<Identity>>,
        /// What came of asking for its passphrase, which is done once.
        asked: Option<Result<Arc<Identity>, Problem>>,
    },
    /// No key.
    Bad(Problem),
}

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

/// What is to be known about one host to decide about its encrypted keys.
struct Asking<'a> {
    settings: &'a Settings,
    agent: Option<&'a Agent>,
    /// How often a passphrase is asked for; 0 where nobody may be asked (`BatchMode`).
    tries: u32,
}

/// Loads what the options name, and ssh's default names where they name nothing.
pub(super) fn load(
    ssh_config: &SshConfig,
    settings: &Settings,
    made: &mut Made,
    options: &Options,
    agent: Option<&Agent>,
) -> Result<Found, ResolverError> {
    let batch = options.batch_mode.as_ref().is_some_and(|yes| *yes.value());
    let prompts = options.number_of_password_prompts.as_ref();
    let asking = Asking {
        settings,
        agent,
        tries: match prompts.map_or(TRIES, |prompts| *prompts.value()) {
            _ if batch => 0,
            tries => tries,
        },
    };
    let mut found = Found::default();
    match &options.identity_files {
        Some(files) => {
            for file in files {
                let path = file.value().path();
                asking.add(made, &mut found, path, file.origin())?;
            }
        }
        None => {
            for path in DEFAULTS.iter().filter_map(|name| in_home(ssh_config, name)) {
                asking.add(made, &mut found, &path, &Origin::Default)?;
            }
        }
    }
    for file in &options.certificate_files {
        match certificate(made, file.value().path()) {
            Ok(certificate) => found.certificates.push(certificate),
            Err(problem) => {
                let named = ("CertificateFile", file.origin());
                left_out(made, named, file.value().path(), problem)?;
            }
        }
    }
    Ok(found)
}

impl Asking<'_> {
    /// Adds a file's key to what was found.
    fn add(
        &self,
        made: &mut Made,
        found: &mut Found,
        path: &Path,
        origin: &Origin,
    ) -> Result<(), ResolverError> {
        let file = made
            .identities
            .entry(path.to_owned())
            .or_insert_with(|| read(path));
        let problem = match file {
            KeyFile::Ready(identity) => {
                found.identities.push(identity.clone());
                return Ok(());
            }
            KeyFile::Bad(problem) => problem.clone(),
            KeyFile::Encrypted { public, asked } => {
                let held = self.held_by_agent();
                let public = public.clone();
                let has = |public: &Arc<Identity>| {
                    held.iter().any(|key| key.blob() == public.public_blob())
                };
                if let Some(public) = public.clone().filter(has) {
                    found.identities.push(public);
                    return Ok(());
                }
                // As ssh does, the agent's keys go before a question that nobody named a key for.
                let unnamed = *origin == Origin::Default && !held.is_empty();
                if !unnamed {
                    let asked = asked.get_or_insert_with(|| self.ask(path));
                    if let Ok(identity) = asked {
                        found.identities.push(identity.clone());
                        return Ok(());
                    }
                }
                // The agent may be given the key at any time.
                let public = public.filter(|_| self.agent.is_some());
                found.identities.extend(public);
                match asked {
                    Some(Err(problem)) if !unnamed => problem.clone(),
                    _ => return Ok(()),
                }
            }
        };
        left_out(made, ("IdentityFile", origin), path, problem)
    }

    /// Returns what the agent holds; nothing if it cannot be asked.
    fn held_by_agent(&self) -> Arc<[AgentKey]> {
        let scope = Scope::root().child(Some(AGENT_TIMEOUT));
        let held = self.agent.and_then(|agent| agent.identities(&scope).ok());
        held.unwrap_or_else(|| Arc::new([]))
    }

    /// Asks for a passphrase and decrypts the key with it.
    fn ask(&self, path: &Path) -> Result<Arc<Identity>, Problem> {
        let mut error = IdentityError::Encrypted {
            path: path.to_owned(),
        };
        let asked = self.settings.passphrases.as_ref();
        for tries in 0..self.tries {
            let Some(passphrase) = asked.and_then(|asked| asked.passphrase(path, tries)) else {
                break;
            };
            match Identity::load(path, Some(&passphrase)) {
                Ok(identity) => return Ok(Arc::new(identity)),
                Err(wrong) => error = wrong,
            }
            if !matches!(error, IdentityError::WrongPassphrase { .. }) {
                break;
            }
        }
        Err(Problem::of(path, &error))
    }
}

/// Reads a key file.
fn read(path: &Path) -> KeyFile {
    match Identity::load(path, None) {
        Ok(identity) => KeyFile::Ready(Arc::new(identity)),
        Err(IdentityError::Encrypted { .. }) => KeyFile::Encrypted {
            public: Identity::load_public(path).ok().map(Arc::new),
            asked: None,
        },
        // A path may name the public key of one that the agent has, or that key's file may be gone.
        Err(error) => match Identity::load_public(path) {
            Ok(identity) => KeyFile::Ready(Arc::new(identity)),
            Err(_) => KeyFile::Bad(Problem::of(path, &error)),
        },
    }
}

/// Reads a certificate, the first time that it is named.
fn certificate(made: &mut Made, path: &Path) -> Result<Arc<UserCertificate>, Problem> {
    let loaded = made.certificates.entry(path.to_owned());
    let load = || {
        let loaded = UserCertificate::load(path).map(Arc::new);
        loaded.map_err(|error| Problem::of(path, &error))
    };
    loaded.or_insert_with(load).clone()
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
    (option, origin): (&'static str, &Origin),
    path: &Path,
    problem: Problem,
) -> Result<(), ResolverError> {
    let named = origin.is_of_this_run();
    let what = match problem {
        Problem::Missing if !named => return Ok(()),
        Problem::Missing => {
            let path = path.display();
            format!("could not read identity {path}: No such file or directory")
        }
        Problem::Bad(what) => what,
    };
    if named {
        let origin = origin.clone();
        return Err(ResolverError::Identity {
            origin,
            option,
            what,
        });
    }
    made.note(format!("{what}; it is left out"));
    Ok(())
}
