//! The verdict on the key or certificate that a host showed.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{HostKeyError, HostKeyPolicy, HostKeys, Trust, VerifiedHost};
use crate::certificate::{Certificate, CertificateError};
use crate::host::{HostError, check_name};
use crate::known_hosts::key::Key;
use crate::known_hosts::{Authority, LookupName, Verdict};

/// What is known of a host's key, before any policy.
#[derive(Debug)]
pub(super) enum Standing {
    Known,
    /// Not known, with what was wrong with the certificate it came with, if there was one to trust.
    Unknown(Key, Option<HostKeyError>),
    /// Another one is known for the host.
    Changed(HostKeyError),
}

impl HostKeys {
    /// Checks the key or certificate that a host presented in the key exchange, in its wire form.
    /// The names are those of [`LookupName::new`].
    ///
    /// Blocks on the disk where [`needs_blocking_store`](Self::needs_blocking_store) says so, and
    /// may take milliseconds of CPU time for certificates and where
    /// [`KnownHosts::has_hashed`](crate::known_hosts::KnownHosts::has_hashed) says so.
    ///
    /// # Errors
    /// Fails if the policy refuses the key, if the key is no host key, if a certificate is damaged
    /// or its signature wrong, if the name cannot stand in a known_hosts file, or if an accepted
    /// key cannot be stored.
    pub fn verify(
        &self,
        name: &str,
        port: u16,
        key_blob: &[u8],
    ) -> Result<VerifiedHost, HostKeyError> {
        check_name(name).map_err(|source| bad_name(name, source))?;
        self.verify_name(&LookupName::new(name, port), key_blob)
    }

    /// As [`verify`](Self::verify), for names made before, such as an alias.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_name(
        &self,
        name: &LookupName,
        key_blob: &[u8],
    ) -> Result<VerifiedHost, HostKeyError> {
        let trusted = |trust| Ok(VerifiedHost { trust });
        match (self.examine(name, key_blob)?, self.policy) {
            (Standing::Known, _) => trusted(Trust::Known),
            (_, HostKeyPolicy::DangerousAcceptAny) => {
                self.dangerous_count.fetch_add(1, Ordering::Relaxed);
                trusted(Trust::Dangerous)
            }
            (Standing::Changed(error), _) => Err(error),
            (Standing::Unknown(key, _), HostKeyPolicy::AcceptNew) => {
                self.take(name, key)?;
                trusted(Trust::Accepted)
            }
            (Standing::Unknown(key, error), HostKeyPolicy::Ask) => {
                if self.was_accepted(name, &key)? {
                    return trusted(Trust::Accepted);
                }
                Err(error.unwrap_or_else(|| HostKeyError::unknown(name, &key)))
            }
            (Standing::Unknown(key, error), HostKeyPolicy::Strict) => {
                Err(error.unwrap_or_else(|| HostKeyError::unknown(name, &key)))
            }
        }
    }

    /// Finds out what is known of a key or certificate, by the rules of ssh: a certificate of a
    /// known CA counts if it is good for the host, and any other certificate is its plain key.
    ///
    /// # Errors
    /// Fails where no policy takes the key: it is revoked, or no key, or a certificate whose
    /// signature is wrong.
    pub(super) fn examine(&self, name: &LookupName, blob: &[u8]) -> Result<Standing, HostKeyError> {
        check_as_field(name.as_str())?;
        if Certificate::is_named_by(blob) {
            return self.examine_certificate(name, blob);
        }
        let key = Key::from_blob(blob).ok_or_else(|| HostKeyError::Malformed {
            name: name.to_string(),
        })?;
        self.examine_plain(name, key, None)
    }

    // Not inlined, for the sake of the stack under plain keys, which are nearly all.
    #[inline(never)]
    fn examine_certificate(
        &self,
        name: &LookupName,
        blob: &[u8],
    ) -> Result<Standing, HostKeyError> {
        let certificate = Certificate::parse(blob).map_err(|_| HostKeyError::Malformed {
            name: name.to_string(),
        })?;
        let fault = |source| HostKeyError::certificate(name, &certificate, source);
        let signed = match certificate.verify_signature() {
            // Damage ends the matter, where a good certificate that does not count leaves its key.
            Err(CertificateError::Signature) => return Err(fault(CertificateError::Signature)),
            result => result,
        };
        if let Some((file, line)) = self.revoked.line_of(certificate.ca.blob()) {
            return Err(HostKeyError::revoked(name, &certificate.ca, file, line));
        }
        let error = match self.known.authority(name, &certificate) {
            Authority::Revoked { file, line } => {
                return Err(HostKeyError::revoked(name, &certificate.key, file, line));
            }
            Authority::Unknown => None,
            Authority::Trusted => {
                let signed = signed.and_then(|()| self.check_ca_algorithm(&certificate));
                match signed.and_then(|()| certificate.check_host(name.host(), seconds_now())) {
                    Ok(()) if self.revoked.line_of(certificate.key.blob()).is_none() => {
                        return Ok(Standing::Known);
                    }
                    // Told below, as that of a plain key.
                    Ok(()) => None,
                    Err(source) => Some(fault(source)),
                }
            }
        };
        self.examine_plain(name, certificate.key.clone(), error)
    }

    fn check_ca_algorithm(&self, certificate: &Certificate) -> Result<(), CertificateError> {
        let algorithm = certificate.signature_algorithm();
        let is_allowed = |names: &Vec<String>| names.iter().any(|name| name == algorithm);
        match self.ca_algorithms.as_ref().is_none_or(is_allowed) {
            true => Ok(()),
            false => Err(CertificateError::Algorithm {
                algorithm: algorithm.to_owned(),
            }),
        }
    }

    fn examine_plain(
        &self,
        name: &LookupName,
        key: Key,
        error: Option<HostKeyError>,
    ) -> Result<Standing, HostKeyError> {
        if let Some((file, line)) = self.revoked.line_of(key.blob()) {
            return Err(HostKeyError::revoked(name, &key, file, line));
        }
        match self.known.check_name(name, key.blob()) {
            Verdict::Match => Ok(Standing::Known),
            Verdict::Unknown => Ok(Standing::Unknown(key, error)),
            Verdict::Changed { file, line } => Ok(Standing::Changed(HostKeyError::changed(
                name, &key, file, line,
            ))),
            Verdict::Revoked { file, line } => Err(HostKeyError::revoked(name, &key, file, line)),
        }
    }
}

/// Refuses what could not be written to a known_hosts file, or would speak of other hosts there. An
/// alias may hold more than a host's name.
fn check_as_field(name: &str) -> Result<(), HostKeyError> {
    let is_bad = |c: &char| !c.is_ascii_graphic() && !c.is_alphanumeric() || "*?!,#@|".contains(*c);
    if let Some(character) = name.chars().find(is_bad) {
        let text = name.to_owned();
        return Err(bad_name(
            name,
            HostError::BadNameCharacter { text, character },
        ));
    }
    match name {
        "" => Err(bad_name(name, HostError::EmptyName)),
        _ => Ok(()),
    }
}

fn bad_name(name: &str, source: HostError) -> HostKeyError {
    let name = name.to_owned();
    HostKeyError::Name { name, source }
}

/// The clock; a time before 1970 counts as 1970, where no certificate is valid yet that says when.
fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
