//! A host key as bytes: its wire form, checked, with its algorithm's name and fingerprint.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ssh_key::PublicKey;

use crate::certificate::Certificate;

/// A plain host key (no certificate) in its wire form (RFC 4253 §6.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Whole and without trailing bytes; equal keys have equal blobs.
    blob: Box<[u8]>,
    algorithm: &'static str,
}

impl Key {
    /// Takes a key that is of a known type and well formed; nothing else.
    pub(crate) fn from_blob(blob: &[u8]) -> Option<Self> {
        let algorithm = inner_algorithm(blob)?;
        let key = PublicKey::from_bytes(blob).ok()?;
        if let Some(rsa) = key.key_data().rsa() {
            let modulus = rsa.n.as_positive_bytes()?;
            let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
            if bits < RSA_BITS_MIN {
                return None;
            }
        }
        Some(Self {
            blob: blob.into(),
            algorithm,
        })
    }

    /// Takes a plain key, or the key out of a certificate, whose signature is not checked.
    pub(crate) fn certified_or_plain(blob: &[u8]) -> Option<Self> {
        let certificate = Certificate::parse(blob).ok();
        certificate.map_or_else(
            || Self::from_blob(blob),
            |certificate| Some(certificate.key),
        )
    }

    /// Reads the two key fields of a known_hosts line, which must agree with each other.
    pub(crate) fn from_fields(algorithm: &[u8], base64: &[u8]) -> Option<Self> {
        let key = Self::from_blob(&STANDARD.decode(base64).ok()?)?;
        // ssh reads a signature algorithm of RSA as the key type here too.
        let named = match algorithm {
            b"rsa-sha2-256" | b"rsa-sha2-512" => b"ssh-rsa",
            other => other,
        };
        (key.algorithm.as_bytes() == named).then_some(key)
    }

    /// Stands for a certificate where a plain key should be: no plain key equals it.
    pub(super) fn of_certificate(certificate: &Certificate) -> Self {
        Self {
            blob: certificate.blob().into(),
            algorithm: certificate.algorithm,
        }
    }

    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the key type's wire name, for example `ssh-ed25519`.
    pub(crate) fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// Returns the fingerprint as ssh prints it: `SHA256:` and base64 without padding.
    pub(crate) fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            STANDARD_NO_PAD.encode(openssl::sha::sha256(&self.blob))
        )
    }

    /// Returns the two key fields of a known_hosts line.
    pub(crate) fn to_fields(&self) -> String {
        format!("{} {}", self.algorithm, STANDARD.encode(&self.blob))
    }
}

/// Reads the name that opens a key blob, if it is one of the key types that hosts have.
fn inner_algorithm(blob: &[u8]) -> Option<&'static str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let name = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    ALGORITHMS
        .into_iter()
        .find(|known| known.as_bytes() == name)
}

/// The key types of OpenSSH's plain host keys.
const ALGORITHMS: [&str; 8] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "ssh-dss",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// ssh takes a line with a shorter key for a bad one.
const RSA_BITS_MIN: usize = 1024;
