//! Whether a host is who it should be: the policy over the known hosts, and the proof that it
//! was applied.
//!
//! Authentication takes a [`VerifiedHost`] as an argument, and only [`HostKeys::verify_name`]
//! makes one, so that no secret can leave for a host that was not checked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::known_hosts::append::{Line, Store};
use crate::known_hosts::key::Key;
use crate::known_hosts::{KnownHosts, LookupName};

mod accept;
mod check;
mod error;
mod offer;
mod probe;
mod revoked;

pub use self::error::HostKeyError;
pub use self::probe::{SeenKey, probe};
pub use self::revoked::{RevokedKeys, RevokedKeysError};

/// What happens to a host whose key is not known.
///
/// A changed key is refused by all but the last, a revoked one by all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HostKeyPolicy {
    /// It is refused (`StrictHostKeyChecking=yes`).
    #[default]
    Strict,
    /// Its key is taken and stored (`StrictHostKeyChecking=accept-new`).
    AcceptNew,
    /// It is refused unless it was accepted before the run, by [`HostKeys::accept`]
    /// (`StrictHostKeyChecking=ask`, with one question for the whole fleet).
    Ask,
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
    known: Arc<KnownHosts>,
    /// How CAs may have signed; `None` for every way that is not weak.
    ca_algorithms: Option<Vec<String>>,
    /// What must not be taken whoever shows it, beside the lines marked `@revoked`.
    revoked: RevokedKeys,
    store: Option<Store>,
    /// Keys taken in this run by name as looked up. Held to look up and insert, never while
    /// writing.
    accepted: Mutex<HashMap<LookupName, Accepted>>,
    dangerous_count: AtomicUsize,
}

/// A key taken under [`HostKeyPolicy::AcceptNew`] or by [`HostKeys::accept`].
#[derive(Debug)]
struct Accepted {
    key: Key,
    /// Its line on the way to the store, if there is one; failed lines are queued again.
    line: Option<Line>,
}

impl HostKeys {
    /// Makes the check from a policy and the known hosts, which several checks may share; accepted
    /// keys are kept in memory only.
    pub fn new(policy: HostKeyPolicy, known: impl Into<Arc<KnownHosts>>) -> Self {
        Self {
            policy,
            known: known.into(),
            ca_algorithms: None,
            revoked: RevokedKeys::default(),
            store: None,
            accepted: Mutex::default(),
            dangerous_count: AtomicUsize::new(0),
        }
    }

    /// Sets the file that accepted keys are appended to (the first `UserKnownHostsFile`); none by
    /// default.
    ///
    /// It is read again before each append: where another program stored another key for the host
    /// meanwhile, the key is refused, and where it stored the same one, nothing is added.
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(Store::new(path.into()));
        self
    }

    /// Has the names of accepted keys stored as hashes (`HashKnownHosts yes`); to be called after
    /// [`store`](Self::store). By default they are readable.
    pub fn hash_stored_names(mut self) -> Self {
        if let Some(store) = &mut self.store {
            store.hide_names();
        }
        self
    }

    /// Sets keys that are refused whoever shows them (`RevokedHostKeys`); none by default.
    pub fn revoked(mut self, keys: RevokedKeys) -> Self {
        self.revoked = keys;
        self
    }

    /// Sets how the CAs of host certificates may have signed, by the names of signature algorithms
    /// (`CASignatureAlgorithms`); default: every way but SHA-1, which never counts. A certificate
    /// that was signed otherwise is no more than its plain key.
    pub fn ca_signature_algorithms(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.ca_algorithms = Some(names.into_iter().collect());
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
        // Under the others accepted keys are stored by `accept`.
        self.policy == HostKeyPolicy::AcceptNew && self.store.is_some()
    }

    /// Returns how many keys [`HostKeyPolicy::DangerousAcceptAny`] took that were not known.
    pub fn dangerous_count(&self) -> usize {
        self.dangerous_count.load(Ordering::Relaxed)
    }
}

/// The proof that a host's key was checked: authentication asks for it.
///
/// Only [`HostKeys::verify_name`] makes one, for one connection:
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
