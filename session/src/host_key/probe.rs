//! A look at a host's key without naming a user: what to ask about before a run.

use sshoal_reactor::{Scope, offload};

use super::check::Standing;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Phase};
use crate::handshake::{host_key_blob, shake_hands};
use crate::host::Host;
use crate::known_hosts::LookupName;
use crate::known_hosts::key::Key;
use crate::session::internal;
use crate::timings::Timings;
use crate::wire::Wire;
use crate::{HostKeyError, route};

/// A key that a host showed, with what is known of it.
#[derive(Debug, Clone)]
pub struct SeenKey {
    host: Host,
    name: LookupName,
    key: Key,
    is_known: bool,
}

/// Connects to a host just far enough to see its key, and ends the connection: no user is named.
/// Parks.
///
/// A certificate that the configuration's host keys trust counts as known, and of any other one
/// the plain key is seen. Hosts whose key is new are for [`HostKeys::accept`].
///
/// # Errors
/// As [`Session::connect`](crate::Session::connect) up to the check of the host key, which fails
/// for changed, revoked and damaged keys under every policy.
///
/// # Examples
/// ```no_run
/// use sshoal_reactor::Scope;
/// use sshoal_session::{Config, host_key};
/// # fn ask(_: &str) -> bool { true }
/// # fn example(hosts: &[sshoal_session::Host], config: &Config) -> Result<(), sshoal_session::Error> {
/// let mut unknown = Vec::new();
/// for host in hosts {
///     let seen = host_key::probe(host, config, &Scope::root())?;
///     if !seen.is_known() {
///         println!("{} {} {}", seen.name(), seen.algorithm(), seen.fingerprint());
///         unknown.push(seen);
///     }
/// }
/// if ask("Are these the hosts?") {
///     config.host_keys().accept(&unknown);
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`HostKeys::accept`]: super::HostKeys::accept
pub fn probe(host: &Host, config: &Config, scope: &Scope) -> Result<SeenKey, Error> {
    let (port, reached) = (host.port().unwrap_or(config.port), config.name_of(host));
    let mut timings = Timings::default();
    let link = route::connect(host, config, scope, &mut timings)?;
    let phase = Phase::Banner;
    let engine = Engine::new(Wire::new(link, config.short_io))
        .map_err(|source| Error::Handshake { phase, source })?;
    let shaken = shake_hands(&engine, reached, port, config, scope, &mut timings);
    let blob = shaken.and_then(|()| Ok(host_key_blob(&engine, reached, config)?));
    engine.give_up();
    let (blob, keys) = (blob.map_err(|error| *error)?, config.host_keys.clone());
    let name = config.lookup_name(reached, port);
    let asked = name.clone();
    // Hashed names and certificates take milliseconds, and a probe is no matter of these.
    let standing = offload(move || {
        let key = Key::certified_or_plain(&blob);
        (keys.examine(&asked, &blob), key)
    });
    let (standing, key) = standing.map_err(internal(Phase::HostKey))?;
    let seen = |key, is_known| SeenKey {
        host: host.clone(),
        name: name.clone(),
        key,
        is_known,
    };
    match (standing?, key) {
        (Standing::Known, Some(key)) => Ok(seen(key, true)),
        (Standing::Unknown(key, _), _) => {
            let is_known = config.host_keys.was_accepted(&name, &key)?;
            Ok(seen(key, is_known))
        }
        (Standing::Changed(error), _) => Err(error.into()),
        (Standing::Known, None) => Err(HostKeyError::Malformed {
            name: name.to_string(),
        }
        .into()),
    }
}

impl SeenKey {
    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the host's name as a known_hosts line holds it: `[name]:port` off port 22, or its
    /// alias.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the key's type, for example `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        self.key.algorithm()
    }

    /// Returns the key's fingerprint as ssh prints it: `SHA256:` and base64 without padding.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint()
    }

    /// Returns the key as a known_hosts line holds it: type and base64.
    pub fn public_key(&self) -> String {
        self.key.to_fields()
    }

    /// Returns whether nothing is to be asked: the key is known, or was accepted in this run.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    pub(super) fn lookup_name(&self) -> &LookupName {
        &self.name
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}
