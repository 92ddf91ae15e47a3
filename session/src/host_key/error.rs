//! Why a host's key was not taken, in the words of ssh.

use std::io;
use std::path::PathBuf;

use crate::certificate::{Certificate, CertificateError};
use crate::error::Kind;
use crate::host::HostError;
use crate::known_hosts::LookupName;
use crate::known_hosts::key::Key;

/// Why a host's key was not taken; nothing of the user's was sent to the host.
///
/// `name` is the host's name as known_hosts files hold it, `[name]:port` off port 22; `algorithm`
/// is the key's type (`ssh-ed25519`); `fingerprint` is `SHA256:` and base64, as ssh prints it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// No key is known for the host, and the policy takes known ones only.
    #[error(
        "Host key verification failed. No {algorithm} host key is known for {name} and strict \
         checking was requested ({fingerprint})"
    )]
    #[non_exhaustive]
    Unknown {
        /// The host.
        name: String,
        /// The presented key's type.
        algorithm: String,
        /// The presented key's fingerprint.
        fingerprint: String,
    },
    /// Other keys are known for the host.
    #[error(
        "Host key verification failed. The {algorithm} host key for {name} has changed \
         ({fingerprint}); offending key in {}:{line}; somebody may be in between: only if the new \
         key is the host's own, remove the old one: ssh-keygen -f {:?} -R {name:?}",
        file.display(), file.display().to_string()
    )]
    #[non_exhaustive]
    Changed {
        /// The host.
        name: String,
        /// The presented key's type.
        algorithm: String,
        /// The presented key's fingerprint.
        fingerprint: String,
        /// The file that holds another key.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// Another key was accepted for the same name earlier in this run.
    #[error(
        "Host key verification failed. The {algorithm} host key for {name} differs from the one \
         accepted in this run ({fingerprint})"
    )]
    #[non_exhaustive]
    Conflict {
        /// The host.
        name: String,
        /// The presented key's type.
        algorithm: String,
        /// The presented key's fingerprint.
        fingerprint: String,
    },
    /// The key is marked `@revoked`.
    #[error(
        "Host key verification failed. The {algorithm} host key for {name} is marked as revoked \
         ({fingerprint}) in {}:{line}", file.display()
    )]
    #[non_exhaustive]
    Revoked {
        /// The host.
        name: String,
        /// The presented key's type.
        algorithm: String,
        /// The presented key's fingerprint.
        fingerprint: String,
        /// The file that holds the mark.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// An accepted key could not be stored, so that the next run would not know it.
    #[error("Host key verification failed. The host key could not be added to {}", path.display())]
    #[non_exhaustive]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The host presented what is no key of a known type.
    #[error("Host key verification failed. {name} sent no key of a known type")]
    #[non_exhaustive]
    Malformed {
        /// The host.
        name: String,
    },
    /// The host presented a certificate that does not count, and its plain key is not known.
    #[error(
        "Host key verification failed. The {algorithm} certificate of {name} is of no use: \
         {source} ({fingerprint})"
    )]
    #[non_exhaustive]
    Certificate {
        /// The host.
        name: String,
        /// The certificate's type.
        algorithm: String,
        /// The fingerprint of the key that it certifies.
        fingerprint: String,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// The host's RSA key is smaller than the configuration takes, whatever is known of it.
    #[error(
        "Host key verification failed. The RSA host key of {name} has {bits} bits, and \
         RequiredRSASize asks for {required}"
    )]
    #[non_exhaustive]
    TooSmall {
        /// The host.
        name: String,
        /// The size of its key.
        bits: u32,
        /// The least size that is taken.
        required: u32,
    },
    /// The host's name cannot stand in a known_hosts file.
    #[error("Host key verification failed. {name:?} cannot be looked up")]
    #[non_exhaustive]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: HostError,
    },
}

impl HostKeyError {
    pub(super) fn unknown(name: &LookupName, key: &Key) -> Self {
        let (algorithm, fingerprint) = describe(key);
        Self::Unknown {
            name: name.to_string(),
            algorithm,
            fingerprint,
        }
    }

    pub(super) fn changed(name: &LookupName, key: &Key, file: PathBuf, line: usize) -> Self {
        let (algorithm, fingerprint) = describe(key);
        Self::Changed {
            name: name.to_string(),
            algorithm,
            fingerprint,
            file,
            line,
        }
    }

    pub(super) fn conflict(name: &LookupName, key: &Key) -> Self {
        let (algorithm, fingerprint) = describe(key);
        Self::Conflict {
            name: name.to_string(),
            algorithm,
            fingerprint,
        }
    }

    pub(super) fn revoked(name: &LookupName, key: &Key, file: PathBuf, line: usize) -> Self {
        let (algorithm, fingerprint) = describe(key);
        Self::Revoked {
            name: name.to_string(),
            algorithm,
            fingerprint,
            file,
            line,
        }
    }

    pub(super) fn certificate(
        name: &LookupName,
        certificate: &Certificate,
        source: CertificateError,
    ) -> Self {
        Self::Certificate {
            name: name.to_string(),
            algorithm: certificate.algorithm.to_owned(),
            fingerprint: certificate.key.fingerprint(),
            source,
        }
    }

    /// Returns what went wrong, in one word.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Certificate {
                source: CertificateError::Malformed | CertificateError::Signature,
                ..
            }
            | Self::Malformed { .. } => Kind::Protocol,
            Self::Unknown { .. }
            | Self::Name { .. }
            | Self::Certificate { .. }
            | Self::TooSmall { .. } => Kind::HostKeyUnknown,
            Self::Changed { .. } | Self::Conflict { .. } => Kind::HostKeyChanged,
            Self::Revoked { .. } => Kind::HostKeyRevoked,
            Self::Store { .. } => Kind::Io,
        }
    }
}

fn describe(key: &Key) -> (String, String) {
    (key.algorithm().to_owned(), key.fingerprint())
}
