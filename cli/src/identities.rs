//! Private keys, loaded and decrypted once for the whole fleet.
//!
//! A key that was named has to be usable, or nothing runs; of the default ones those count that
//! are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use sshoal::{Identity, IdentityError, Secret};

use crate::plan::Identities;

/// Who can be asked for a passphrase.
pub(crate) trait Asker {
    /// Returns whether there is anyone.
    fn is_there(&self) -> bool;
    /// Asks, without showing the answer.
    fn ask(&mut self, prompt: &str) -> io::Result<Secret>;
}

/// The keys, and what has to be said about those that were left out.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) identities: Vec<Arc<Identity>>,
    pub(crate) notices: Vec<String>,
}

/// Loads the keys; `has_agent` says whether encrypted default ones may well be in the agent.
///
/// # Errors
/// Fails if a key that was named is missing, unreadable, no key, or encrypted with nobody to ask.
pub(crate) fn load(which: &Identities, has_agent: bool, asker: &mut dyn Asker) -> Result<Loaded> {
    match which {
        Identities::Named(paths) => {
            let load = |path: &PathBuf| named(path, asker).map(Arc::new);
            let identities: Result<Vec<_>> = paths.iter().map(load).collect();
            Ok(Loaded {
                identities: identities?,
                notices: Vec::new(),
            })
        }
        Identities::Defaults(paths) => {
            let mut loaded = Loaded::default();
            for path in paths {
                default(path, has_agent, asker, &mut loaded)?;
            }
            Ok(loaded)
        }
    }
}

fn named(path: &Path, asker: &mut dyn Asker) -> Result<Identity> {
    match Identity::load(path, None) {
        Err(IdentityError::Encrypted { .. }) if asker.is_there() => decrypt(path, asker),
        Err(error) => {
            let remedy = remedy(&error);
            Err(anyhow!("{}{remedy}", in_one(error)))
        }
        Ok(identity) => Ok(identity),
    }
}

fn default(path: &Path, has_agent: bool, asker: &mut dyn Asker, loaded: &mut Loaded) -> Result<()> {
    match Identity::load(path, None) {
        Ok(identity) => loaded.identities.push(Arc::new(identity)),
        Err(IdentityError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound => {}
        // The agent is asked for it; ssh as well asks for no passphrase then.
        Err(IdentityError::Encrypted { .. }) if has_agent => {}
        Err(IdentityError::Encrypted { .. }) if asker.is_there() => {
            loaded.identities.push(Arc::new(decrypt(path, asker)?));
        }
        Err(error) => {
            let remedy = remedy(&error);
            loaded
                .notices
                .push(format!("{}{remedy}; it is left out", in_one(error)));
        }
    }
    Ok(())
}

fn decrypt(path: &Path, asker: &mut dyn Asker) -> Result<Identity> {
    for _ in 0..TRIES {
        let passphrase = asker
            .ask(&format!("Enter passphrase for key '{}': ", path.display()))
            .map_err(|e| anyhow!("cannot ask for the passphrase of {}: {e}", path.display()))?;
        match Identity::load(path, Some(&passphrase)) {
            Err(IdentityError::WrongPassphrase { .. }) => {}
            Err(error) => bail!("{}", in_one(error)),
            Ok(identity) => return Ok(identity),
        }
    }
    bail!(
        "wrong passphrase for identity {}, {TRIES} times",
        path.display()
    )
}

fn remedy(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Encrypted { .. } => {
            "; run on a terminal to be asked for it, or add the key to ssh-agent with ssh-add \
             and do not name it"
        }
        IdentityError::TooPermissive { .. } => "; chmod 600 makes it private",
        IdentityError::Unreadable { .. } => "; check --identity and -O IdentityFile",
        _ => "",
    }
}

/// Puts an error and its causes into one line.
fn in_one(error: IdentityError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

/// How often a passphrase may be typed, as in ssh (NumberOfPasswordPrompts).
const TRIES: usize = 3;
