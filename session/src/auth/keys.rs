//! Which public keys are offered, in which order, and who signs for each.
//!
//! The order is `ssh`'s but for one thing: identities with a certificate, then the identities in
//! their order, whoever holds their private keys, and at last the agent's other keys. `ssh` offers
//! the agent's other keys before identities that only files have, which spends a server's
//! `MaxAuthTries` on keys that nobody named. The agent is asked when its answer is needed, not
//! before.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use sshoal_reactor::Scope;

use super::AuthError;
use crate::agent::{Agent, AgentKey};
use crate::config::{AgentKeys, Config};
use crate::engine::stopped;
use crate::error::{Error, Phase};
use crate::identity::certificate::plain_algorithm;
use crate::identity::wire::{Reader, rsa_bits};
use crate::identity::{Identity, UserCertificate};

/// A public key to offer.
pub(super) struct Candidate {
    /// The key or certificate as it is offered.
    pub(super) blob: Vec<u8>,
    pub(super) signer: Signer,
    /// For RSA: the signature algorithms that may be asked for, best first.
    pub(super) rsa_algorithms: Option<String>,
}

/// Who makes a signature.
pub(super) enum Signer {
    Identity(Arc<Identity>),
    Agent {
        agent: Arc<Agent>,
        /// The key by which the agent knows it.
        blob: Vec<u8>,
    },
}

/// The candidates that are left.
pub(super) struct Keys<'a> {
    config: &'a Config,
    stage: Stage,
    queue: VecDeque<Candidate>,
    offered: HashSet<Vec<u8>>,
    /// What the agent holds, once it was asked; nothing if it could not be.
    agent_keys: Option<Arc<[AgentKey]>>,
    failure: Option<AuthError>,
}

enum Stage {
    Identities,
    AgentsOther,
    Done,
}

impl<'a> Keys<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self {
            config,
            stage: Stage::Identities,
            queue: VecDeque::new(),
            offered: HashSet::new(),
            agent_keys: None,
            failure: None,
        }
    }

    /// Returns the next key to offer. Parks while the agent lists its keys.
    pub(super) fn next(&mut self, scope: &Scope) -> Result<Option<Candidate>, Error> {
        loop {
            if let Some(candidate) = self.queue.pop_front() {
                return Ok(Some(candidate));
            }
            match self.stage {
                Stage::Identities => {
                    self.stage = Stage::AgentsOther;
                    self.queue_identities(scope)?;
                }
                Stage::AgentsOther => {
                    self.stage = Stage::Done;
                    self.queue_agents_other(scope)?;
                }
                Stage::Done => return Ok(None),
            }
        }
    }

    /// Keeps the first thing that went wrong on this side.
    pub(super) fn note_failure(&mut self, failure: AuthError) {
        tracing::debug!(%failure, "a key could not be used");
        self.failure.get_or_insert(failure);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn take_failure(&mut self) -> Option<AuthError> {
        self.failure.take()
    }

    fn queue_identities(&mut self, scope: &Scope) -> Result<(), Error> {
        let config = self.config;
        let certificates = config.identities.iter().flat_map(|identity| {
            let own = identity.certificates().iter();
            own.map(move |certificate| (certificate, Some(identity)))
        });
        let listed = config.certificates.iter().map(|certificate| {
            let mut identities = config.identities.iter();
            let holder = identities.find(|identity| {
                identity.has_private_key() && identity.public_blob() == certificate.key_blob()
            });
            (certificate, holder)
        });
        let certificates: Vec<_> = listed.chain(certificates).collect();
        for (certificate, holder) in certificates {
            self.queue_certificate(certificate, holder, scope)?;
        }
        for identity in &config.identities {
            let blob = identity.public_blob();
            if identity.has_private_key() {
                self.queue(blob, Signer::Identity(identity.clone()));
            } else if let Some(agent) = self.agent_with(blob, scope)? {
                let signed_by = blob.to_vec();
                self.queue(
                    blob,
                    Signer::Agent {
                        agent,
                        blob: signed_by,
                    },
                );
            }
        }
        Ok(())
    }

    fn queue_certificate(
        &mut self,
        certificate: &UserCertificate,
        holder: Option<&Arc<Identity>>,
        scope: &Scope,
    ) -> Result<(), Error> {
        if let Some(identity) = holder.filter(|identity| identity.has_private_key()) {
            self.queue(certificate.blob(), Signer::Identity(identity.clone()));
            return Ok(());
        }
        // The agent knows the key by itself, or by its certificate only.
        for blob in [certificate.key_blob(), certificate.blob()] {
            if let Some(agent) = self.agent_with(blob, scope)? {
                let blob = blob.to_vec();
                self.queue(certificate.blob(), Signer::Agent { agent, blob });
                return Ok(());
            }
        }
        Ok(())
    }

    fn queue_agents_other(&mut self, scope: &Scope) -> Result<(), Error> {
        let Some(agent) = self.config.agent.clone() else {
            return Ok(());
        };
        let all = self.config.agent_keys == AgentKeys::All;
        // Without identities there is nothing that the agent's keys could be certificates of.
        if !all && self.config.identities.is_empty() {
            return Ok(());
        }
        let keys = self.agent_keys(&agent, scope)?;
        for key in keys.iter() {
            if all || self.is_certificate_of_identity(key) {
                let (agent, blob) = (agent.clone(), key.blob().to_vec());
                self.queue(key.blob(), Signer::Agent { agent, blob });
            }
        }
        Ok(())
    }

    fn is_certificate_of_identity(&self, key: &AgentKey) -> bool {
        let certificate = UserCertificate::from_blob(key.blob().to_vec());
        certificate.is_ok_and(|certificate| {
            let mut identities = self.config.identities.iter();
            identities.any(|identity| identity.public_blob() == certificate.key_blob())
        })
    }

    /// Returns the agent if it holds the key of this blob.
    fn agent_with(&mut self, blob: &[u8], scope: &Scope) -> Result<Option<Arc<Agent>>, Error> {
        let Some(agent) = self.config.agent.clone() else {
            return Ok(None);
        };
        let keys = self.agent_keys(&agent, scope)?;
        Ok(keys.iter().any(|key| key.blob() == blob).then_some(agent))
    }

    /// Asks the agent once; one that cannot be asked has no keys.
    fn agent_keys(&mut self, agent: &Agent, scope: &Scope) -> Result<Arc<[AgentKey]>, Error> {
        if let Some(keys) = &self.agent_keys {
            return Ok(keys.clone());
        }
        let keys = match agent.identities(scope) {
            Ok(keys) => keys,
            Err(source) => {
                scope
                    .check()
                    .map_err(|stop| stopped(stop, Phase::Auth, scope))?;
                let lacks = is_exhaustion(&source);
                let failure = AuthError::Agent {
                    path: agent.path().display().to_string(),
                    source,
                };
                if lacks {
                    return Err(failure.into());
                }
                self.note_failure(failure);
                Arc::new([])
            }
        };
        Ok(self.agent_keys.insert(keys).clone())
    }

    /// Queues a key that was not offered before and whose algorithm is wanted.
    fn queue(&mut self, blob: &[u8], signer: Signer) {
        let Some(key_type) = Reader::new(blob).text() else {
            return;
        };
        let wanted = self.config.public_key_algorithms.as_deref();
        let Some(rsa_algorithms) = algorithms(key_type, wanted) else {
            return;
        };
        if let Some(bits) = rsa_bits(blob).filter(|bits| *bits < self.config.required_rsa_bits) {
            let identity = match &signer {
                Signer::Identity(identity) => identity.name().to_owned(),
                Signer::Agent { blob, .. } => crate::identity::certificate::fingerprint(blob),
            };
            let required = self.config.required_rsa_bits;
            return self.note_failure(AuthError::RsaTooSmall {
                identity,
                bits,
                required,
            });
        }
        if self.offered.insert(blob.to_vec()) {
            self.queue.push_back(Candidate {
                blob: blob.to_vec(),
                signer,
                rsa_algorithms,
            });
        }
    }
}

/// Whether this machine, and not the agent, could not: the host is then tried again, and must not be
/// told that its user was denied.
pub(super) fn is_exhaustion(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let limits = [
        Errno::AGAIN,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| limits.contains(&errno))
}

/// Whether a key of this type may be offered, and for RSA with which signature algorithms. `wanted`
/// are names with `*` and `?`, separated by commas (`PubkeyAcceptedAlgorithms`).
fn algorithms(key_type: &str, wanted: Option<&str>) -> Option<Option<String>> {
    let is_wanted = |name: &str| {
        wanted.is_none_or(|wanted| {
            let mut patterns = wanted.split(',');
            patterns.any(|pattern| is_match(pattern.trim().as_bytes(), name.as_bytes()))
        })
    };
    let plain = plain_algorithm(key_type);
    if plain.as_deref().unwrap_or(key_type) != "ssh-rsa" {
        return is_wanted(key_type).then_some(None);
    }
    // The key's own name stands for SHA-1, which is never signed with.
    let suffix = &key_type["ssh-rsa".len()..];
    let names = ["rsa-sha2-512", "rsa-sha2-256"];
    let names: Vec<_> = names
        .into_iter()
        .filter(|name| is_wanted(&format!("{name}{suffix}")))
        .collect();
    (!names.is_empty()).then(|| Some(names.join(",")))
}

/// Matches a name with a pattern of `*` and `?`.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            is_match(rest, name) || (!name.is_empty() && is_match(pattern, &name[1..]))
        }
        (Some((b'?', pattern)), Some((_, name))) => is_match(pattern, name),
        (Some((p, pattern)), Some((n, name))) if p == n => is_match(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key_type: &str, wanted: Option<&str>, want: Option<Option<&str>>) {
        let got = algorithms(key_type, wanted);
        assert_eq!(got.as_ref().map(Option::as_deref), want);
    }

    #[test]
    fn a_full_backlog_of_the_agent_is_a_limit_of_this_machine() {
        let error = |errno: rustix::io::Errno| std::io::Error::from(errno);
        assert!(is_exhaustion(&error(rustix::io::Errno::AGAIN)));
        assert!(!is_exhaustion(&error(rustix::io::Errno::CONNREFUSED)));
        assert!(!is_exhaustion(&std::io::ErrorKind::WouldBlock.into()));
    }

    #[test]
    fn algorithms_are_those_of_the_key_that_are_wanted() {
        let cert = "ssh-rsa-cert-v01@openssh.com";
        check("ssh-ed25519", None, Some(None));
        check(
            "ssh-ed25519",
            Some("ssh-ed25519-cert-v01@openssh.com"),
            None,
        );
        check("ssh-ed25519", Some("rsa-*,ssh-ed2551?"), Some(None));
        check("ssh-rsa", None, Some(Some("rsa-sha2-512,rsa-sha2-256")));
        check("ssh-rsa", Some("rsa-sha2-256"), Some(Some("rsa-sha2-256")));
        check("ssh-rsa", Some("ssh-rsa"), None);
        check(cert, Some("rsa-sha2-512"), None);
        check(
            cert,
            Some("rsa-sha2-512-cert-v01@openssh.com"),
            Some(Some("rsa-sha2-512")),
        );
    }
}
