//! Whether a host is who it should be: the policy over the known hosts, and the proof that it
//! was applied.
//!
//! Authentication takes a [`VerifiedHost`] as an argument, and only [`HostKeys::verify`] makes
//! one, so that no secret can leave for a host that was not checked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::host::check_name;
use crate::known_hosts::append::{Line, Store};
use crate::known_hosts::key::Key;
use crate::known_hosts::{KnownHosts, Verdict, lookup_name};

mod error;

pub use self::error::HostKeyError;

/// What happens to a host whose key is not known.
///
/// A changed or revoked key is refused by the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// It is refused (`StrictHostKeyChecking=yes`).
    #[default]
    Strict,
    /// Its key is taken and stored (`StrictHostKeyChecking=accept-new`).
    AcceptNew,
    /// Any key is taken, changed ones too, and nothing is stored; only a revoked key is refused.
    /// Whoever sits between can read and alter everything.
    DangerousAcceptAny,
}

/// The host key check of a whole fleet: a policy, the known hosts and where accepted keys go.
///
/// Shared by all sessions of a run, so that two hosts that show different keys for one name are
/// noticed.
///
/// # Examples
/// ```
/// use sshoal_session::known_hosts::KnownHosts;
/// use sshoal_session::{HostKeyPolicy, HostKeys};
///
/// let keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::new());
/// assert!(keys.verify("web1", 22, b"no key").is_err());
/// ```
#[derive(Debug)]
#[must_use]
pub struct HostKeys {
    policy: HostKeyPolicy,
    known: KnownHosts,
    store: Option<Store>,
    /// Keys taken in this run by name as looked up. Held to look up and insert, never while
    /// writing.
    accepted: Mutex<HashMap<String, Accepted>>,
    dangerous_count: AtomicUsize,
}

/// A key taken under [`HostKeyPolicy::AcceptNew`].
#[derive(Debug)]
struct Accepted {
    key: Key,
    /// Its line on the way to the store, if there is one; failed lines are queued again.
    line: Option<Line>,
}

impl HostKeys {
    /// Makes the check from a policy and the known hosts; accepted keys are kept in memory only.
    pub fn new(policy: HostKeyPolicy, known: KnownHosts) -> Self {
        Self {
            policy,
            known,
            store: None,
            accepted: Mutex::default(),
            dangerous_count: AtomicUsize::new(0),
        }
    }

    /// Sets the file that keys accepted under [`HostKeyPolicy::AcceptNew`] are appended to
    /// (the first `UserKnownHostsFile`); none by default.
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(Store::new(path.into()));
        self
    }

    /// Returns the policy.
    pub fn policy(&self) -> HostKeyPolicy {
        self.policy
    }

    /// Returns the known hosts.
    pub fn known_hosts(&self) -> &KnownHosts {
        &self.known
    }

    /// Returns the file that accepted keys go to, if there is one.
    pub fn store_path(&self) -> Option<&Path> {
        self.store.as_ref().map(Store::path)
    }

    /// Returns whether [`verify`](Self::verify) may write to the disk, and so must not be called
    /// on a scheduler thread.
    pub fn needs_blocking_store(&self) -> bool {
        self.policy == HostKeyPolicy::AcceptNew && self.store.is_some()
    }

    /// Returns how many keys [`HostKeyPolicy::DangerousAcceptAny`] took that were not known.
    pub fn dangerous_count(&self) -> usize {
        self.dangerous_count.load(Ordering::Relaxed)
    }

    /// Checks the key that a host presented in the key exchange, in its wire form.
    ///
    /// Blocks on the disk where [`needs_blocking_store`](Self::needs_blocking_store) says so, and
    /// may take milliseconds of CPU time where [`KnownHosts::has_hashed`] says so.
    ///
    /// # Errors
    /// Fails if the policy refuses the key, if the key is no plain host key, if the name cannot
    /// stand in a known_hosts file, or if an accepted key cannot be stored.
    pub fn verify(
        &self,
        name: &str,
        port: u16,
        key_blob: &[u8],
    ) -> Result<VerifiedHost, HostKeyError> {
        let host = lookup_name(name, port);
        if let Err(source) = check_name(name) {
            return Err(HostKeyError::Name {
                name: name.to_owned(),
                source,
            });
        }
        let Some(key) = Key::from_blob(key_blob) else {
            return Err(HostKeyError::Malformed { name: host });
        };
        match (self.known.check(name, port, key.blob()), self.policy) {
            (Verdict::Match, _) => Ok(VerifiedHost {
                trust: Trust::Known,
            }),
            (Verdict::Revoked { file, line }, _) => {
                Err(HostKeyError::revoked(host, &key, file, line))
            }
            (_, HostKeyPolicy::DangerousAcceptAny) => {
                self.dangerous_count.fetch_add(1, Ordering::Relaxed);
                Ok(VerifiedHost {
                    trust: Trust::Dangerous,
                })
            }
            (Verdict::Changed { file, line }, _) => {
                Err(HostKeyError::changed(host, &key, file, line))
            }
            (Verdict::Unknown, HostKeyPolicy::AcceptNew) => self.accept(host, key),
            (Verdict::Unknown, HostKeyPolicy::Strict) => Err(HostKeyError::unknown(host, &key)),
        }
    }

    /// Orders host key algorithms for a host's key exchange: those of the keys known for it
    /// first, otherwise as given.
    ///
    /// Certificate algorithms are left out: this check knows plain keys only.
    pub fn algorithm_order(&self, name: &str, port: u16, all: &[&str]) -> Vec<String> {
        let mut known = self.known.known_algorithms(name, port);
        if let Some(accepted) = self.accepted.lock().get(&lookup_name(name, port)) {
            known.push(accepted.key.algorithm());
        }
        // An RSA key signs by three algorithms (RFC 8332).
        let is_known = |algorithm: &str| match algorithm {
            "rsa-sha2-512" | "rsa-sha2-256" => known.contains(&"ssh-rsa"),
            other => known.contains(&other),
        };
        let plain = all
            .iter()
            .filter(|algorithm| !algorithm.contains("-cert-v"));
        let (first, rest): (Vec<&str>, Vec<&str>) = plain.copied().partition(|a| is_known(a));
        first.into_iter().chain(rest).map(str::to_owned).collect()
    }

    /// Takes a key that no file knows, unless this run has seen another one for the same name.
    fn accept(&self, host: String, key: Key) -> Result<VerifiedHost, HostKeyError> {
        let trusted = Ok(VerifiedHost {
            trust: Trust::Accepted,
        });
        let line = {
            let mut accepted = self.accepted.lock();
            let entry = accepted.entry(host.clone()).or_insert_with(|| Accepted {
                key: key.clone(),
                line: None,
            });
            if entry.key != key {
                return Err(HostKeyError::conflict(host, &key));
            }
            let Some(store) = &self.store else {
                return trusted;
            };
            if entry.line.as_ref().is_none_or(Line::has_failed) {
                entry.line = Some(store.queue(&format!("{host} {}", key.to_fields())));
            }
            entry.line.clone()
        };
        let Some((store, line)) = self.store.as_ref().zip(line) else {
            return trusted;
        };
        match store.flush(&line) {
            Ok(()) => trusted,
            Err(source) => Err(HostKeyError::Store {
                path: store.path().to_owned(),
                source,
            }),
        }
    }
}

/// The proof that a host's key was checked: authentication asks for it.
///
/// Only [`HostKeys::verify`] makes one, for one connection:
///
/// ```compile_fail,E0451
/// use sshoal_session::host_key::VerifiedHost;
///
/// let forged = VerifiedHost { trust: todo!() };
/// ```
///
/// and it cannot be copied to another:
///
/// ```compile_fail,E0599
/// fn twice(host: sshoal_session::host_key::VerifiedHost) {
///     let other = host.clone();
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedHost {
    /// Private, so that nothing outside this module can make a value.
    trust: Trust,
}

/// On what grounds a key was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Known,
    Accepted,
    Dangerous,
}

impl VerifiedHost {
    /// Returns whether the key was unknown before and is trusted from this run on.
    pub fn is_new(&self) -> bool {
        self.trust == Trust::Accepted
    }

    /// Returns whether the key was taken unchecked, so that no password may be sent.
    pub fn is_dangerous(&self) -> bool {
        self.trust == Trust::Dangerous
    }
}

#[cfg(test)]
mod tests;
