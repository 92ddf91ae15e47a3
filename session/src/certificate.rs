//! OpenSSH certificates (PROTOCOL.certkeys): what they say, and whether their CA signed them.
//!
//! Whether the CA is one to trust, and whether the certificate is good for a host, is
//! [`host_key`](crate::host_key)'s part. The principal type is [`Certificate`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::identity::wire::{Reader, put_string};
use crate::known_hosts::key::Key;

mod signature;

/// A certificate taken apart: a public key, what its CA says of it, and the CA's signature.
///
/// Nothing of it is proven before [`verify_signature`](Self::verify_signature).
#[derive(Debug, Clone)]
#[allow(
    dead_code,
    reason = "certificates of hosts and of users each need a part of it"
)]
pub(crate) struct Certificate {
    blob: Box<[u8]>,
    /// The type's name, such as `ssh-ed25519-cert-v01@openssh.com`.
    pub(crate) algorithm: &'static str,
    /// The key that is certified, as a plain key.
    pub(crate) key: Key,
    pub(crate) serial: u64,
    pub(crate) kind: CertificateKind,
    /// Free text of the CA's.
    pub(crate) key_id: Vec<u8>,
    /// Host or user names; none at all means any.
    pub(crate) principals: Vec<Vec<u8>>,
    /// In seconds since 1970; the first second in which it is valid.
    pub(crate) valid_after: u64,
    /// In seconds since 1970; the first second in which it is not valid any more.
    pub(crate) valid_before: u64,
    /// Names and data; who does not know one has to refuse the certificate.
    pub(crate) critical_options: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names and data; who does not know one leaves it.
    pub(crate) extensions: Vec<(Vec<u8>, Vec<u8>)>,
    /// The key that signed.
    pub(crate) ca: Key,
    /// How much of the blob is signed.
    signed_bytes: usize,
    signature: Box<[u8]>,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateKind {
    User,
    Host,
}

/// Why a blob is no certificate, or its signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is of no known type, or damaged.
    #[error("damaged certificate")]
    Malformed,
    /// The CA's signature is not that of the CA's key over this certificate.
    #[error("the CA's signature is wrong")]
    Signature,
    /// The CA signed with an algorithm that proves too little (`ssh-rsa`, which is SHA-1), or that
    /// `CASignatureAlgorithms` does not have.
    #[error("signed with disallowed algorithm {algorithm}")]
    #[non_exhaustive]
    Algorithm {
        /// The signature's algorithm.
        algorithm: String,
    },
    /// It is a user's.
    #[error("not a host certificate")]
    NotHost,
    /// Its time has not come, by this machine's clock.
    #[error("not yet valid")]
    NotYetValid,
    /// Its time is over, by this machine's clock.
    #[error("expired")]
    Expired,
    /// It is for other names.
    #[error("name is not a listed principal")]
    Principal,
    /// It holds a condition, and for hosts there are none.
    #[error("unsupported critical option {name}")]
    #[non_exhaustive]
    CriticalOption {
        /// The option's name, without anything that is not printable ASCII.
        name: String,
    },
}

impl Certificate {
    /// Reads the type and base64 of a certificate, which must agree with each other; its signature
    /// must be right.
    pub(crate) fn from_fields(algorithm: &[u8], base64: &[u8]) -> Option<Self> {
        let certificate = Self::parse(&STANDARD.decode(base64).ok()?).ok()?;
        // ssh reads a signature algorithm of RSA as the key type here too.
        let named = match algorithm {
            b"rsa-sha2-256-cert-v01@openssh.com" | b"rsa-sha2-512-cert-v01@openssh.com" => {
                b"ssh-rsa-cert-v01@openssh.com"
            }
            other => other,
        };
        let is_named = certificate.algorithm.as_bytes() == named;
        // A weak one still says whose key it is, and here nobody is trusted for it.
        let is_signed = certificate.verify_signature() != Err(CertificateError::Signature);
        (is_named && is_signed).then_some(certificate)
    }

    /// Returns the wire form.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Takes a certificate's wire form apart. All types that OpenSSH has are known.
    pub(crate) fn parse(blob: &[u8]) -> Result<Self, CertificateError> {
        Self::read(blob).ok_or(CertificateError::Malformed)
    }

    fn read(blob: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(blob);
        let name = reader.string()?;
        let form = FORMS.iter().find(|form| form.name.as_bytes() == name)?;
        let _nonce = reader.string()?;
        let mut key = Vec::new();
        put_string(&mut key, form.plain.as_bytes());
        for _ in 0..form.fields {
            put_string(&mut key, reader.string()?);
        }
        let key = Key::from_blob(&key)?;
        let serial = u64_of(&mut reader)?;
        let kind = match reader.u32()? {
            1 => CertificateKind::User,
            2 => CertificateKind::Host,
            _ => return None,
        };
        let key_id = c_string(reader.string()?)?;
        let principals = principals(reader.string()?)?;
        let valid_after = u64_of(&mut reader)?;
        let valid_before = u64_of(&mut reader)?;
        let critical_options = options(reader.string()?)?;
        let extensions = options(reader.string()?)?;
        let _reserved = reader.string()?;
        // A certificate is no CA.
        let ca = Key::from_blob(reader.string()?)?;
        let signed_bytes = blob.len() - reader.rest().len();
        let signature = reader.string()?.into();
        reader.is_empty().then(|| Self {
            blob: blob.into(),
            algorithm: form.name,
            key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            ca,
            signed_bytes,
            signature,
        })
    }

    /// Checks that the CA's key signed this certificate. Takes up to a millisecond of CPU time.
    ///
    /// # Errors
    /// Fails if it did not, or with an algorithm that proves too little.
    pub(crate) fn verify_signature(&self) -> Result<(), CertificateError> {
        let signed = &self.blob[..self.signed_bytes];
        signature::verify(self.ca.blob(), &self.signature, signed)
    }

    /// Returns the name of the algorithm that the CA signed with; empty if it is none.
    pub(crate) fn signature_algorithm(&self) -> &str {
        Reader::new(&self.signature).text().unwrap_or_default()
    }

    /// Checks that the certificate is one for a host of this name at this moment, in seconds since
    /// 1970. Names are compared whole, as OpenSSH up to 9.9 does it, and none listed means any.
    ///
    /// # Errors
    /// Fails with what is against it.
    pub(crate) fn check_host(&self, name: &str, now: u64) -> Result<(), CertificateError> {
        if self.kind != CertificateKind::Host {
            return Err(CertificateError::NotHost);
        }
        if now < self.valid_after {
            return Err(CertificateError::NotYetValid);
        }
        if now >= self.valid_before {
            return Err(CertificateError::Expired);
        }
        let is_listed = || {
            self.principals
                .iter()
                .any(|listed| listed == name.as_bytes())
        };
        if !self.principals.is_empty() && !is_listed() {
            return Err(CertificateError::Principal);
        }
        match self.critical_options.first() {
            None => Ok(()),
            Some((name, _)) => {
                let printable = name.iter().filter(|byte| byte.is_ascii_graphic());
                let name = printable.map(|byte| char::from(*byte)).collect();
                Err(CertificateError::CriticalOption { name })
            }
        }
    }

    /// Returns whether a key blob names a certificate type, so that it must be one.
    pub(crate) fn is_named_by(blob: &[u8]) -> bool {
        let name = Reader::new(blob).string().unwrap_or_default();
        FORMS.iter().any(|form| form.name.as_bytes() == name)
    }
}

/// How a type of certificate holds its key.
struct Form {
    name: &'static str,
    /// The certified key's type.
    plain: &'static str,
    /// How many strings or numbers make the key.
    fields: usize,
}

const FORMS: [Form; 8] = [
    Form::new("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1),
    Form::new(
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256",
        2,
    ),
    Form::new(
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384",
        2,
    ),
    Form::new(
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521",
        2,
    ),
    Form::new("ssh-rsa-cert-v01@openssh.com", "ssh-rsa", 2),
    Form::new("ssh-dss-cert-v01@openssh.com", "ssh-dss", 4),
    Form::new(
        "sk-ssh-ed25519-cert-v01@openssh.com",
        "sk-ssh-ed25519@openssh.com",
        2,
    ),
    Form::new(
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        3,
    ),
];

impl Form {
    const fn new(name: &'static str, plain: &'static str, fields: usize) -> Self {
        Self {
            name,
            plain,
            fields,
        }
    }
}

fn u64_of(reader: &mut Reader<'_>) -> Option<u64> {
    Some(u64::from_be_bytes(reader.bytes(8)?.try_into().ok()?))
}

/// Reads text that ssh keeps as a C string: one NUL at its end is cut off, another one is damage.
fn c_string(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    (!bytes.contains(&0)).then(|| bytes.to_vec())
}

fn principals(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while !reader.is_empty() {
        if found.len() == PRINCIPALS_MAX {
            return None;
        }
        found.push(c_string(reader.string()?)?);
    }
    Some(found)
}

fn options(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while !reader.is_empty() {
        found.push((reader.string()?.to_vec(), reader.string()?.to_vec()));
    }
    Some(found)
}

/// ssh takes no more.
const PRINCIPALS_MAX: usize = 256;

#[cfg(test)]
mod tests;
