//! The agent's messages as bytes, without any input or output.

use std::borrow::Cow;
use std::fmt;
use std::io;

use zeroize::Zeroizing;

use crate::identity::certificate::plain_algorithm;
use crate::identity::wire::{Reader, put_string};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

const FLAG_RSA_SHA2_256: u32 = 2;
const FLAG_RSA_SHA2_512: u32 = 4;

/// OpenSSH's agent has the same bound, in both directions.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// More keys than a server's `MaxAuthTries` could ever let anyone try.
const IDENTITIES_MAX: u32 = 1024;

/// Why an agent's answer, or a request to it, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent said no: it is locked, lacks the key, or its user did not confirm.
    #[error("the agent refused")]
    Refused,
    /// The reply is longer than 256 KiB.
    #[error("the agent's reply is too long ({bytes} bytes)")]
    ReplyTooLong {
        /// The length that the agent announced.
        bytes: usize,
    },
    /// The request would be longer than an agent takes, 256 KiB.
    #[error("the request is too long for the agent ({bytes} bytes)")]
    RequestTooLong {
        /// The length that it would have.
        bytes: usize,
    },
    /// The agent has more keys than can be listed.
    #[error("the agent lists too many keys ({count})")]
    TooManyKeys {
        /// The number that the agent announced.
        count: u32,
    },
    /// The reply is of another type than the request asks for.
    #[error("the agent's reply is of the wrong type ({message})")]
    UnexpectedReply {
        /// The reply's message number.
        message: u8,
    },
    /// The reply is cut short, too long, or otherwise no message.
    #[error("the agent's reply is malformed")]
    Malformed,
    /// The algorithm is too weak to be asked for: `ssh-rsa` signs with SHA-1.
    #[error("signature algorithm {algorithm} refused")]
    AlgorithmRefused {
        /// The algorithm.
        algorithm: String,
    },
    /// The agent signed with another algorithm than it was asked for.
    #[error("the agent signed with {got}, not with {wanted}")]
    AlgorithmMismatch {
        /// What the agent was asked for.
        wanted: String,
        /// What it used; its own word, with all but plain characters taken out.
        got: String,
    },
    /// A former exchange failed half-way, so that replies no longer belong to requests.
    #[error("the connection to the agent is out of step")]
    OutOfStep,
}

impl From<AgentError> for io::Error {
    fn from(error: AgentError) -> Self {
        let kind = match error {
            AgentError::Refused => io::ErrorKind::PermissionDenied,
            AgentError::RequestTooLong { .. } | AgentError::AlgorithmRefused { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// A key that an agent holds.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentKey {
    blob: Vec<u8>,
    comment: Vec<u8>,
}

impl AgentKey {
    /// Returns the public key, or certificate, in the form of RFC 4253 §6.6.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the key's type, for example `ssh-ed25519`, if the blob starts with one.
    pub fn algorithm(&self) -> Option<&str> {
        Reader::new(&self.blob)
            .text()
            .filter(|name| name.bytes().all(|b| b.is_ascii_graphic()))
    }

    /// Returns the comment: foreign bytes, neither text nor safe for a terminal.
    pub fn comment(&self) -> &[u8] {
        &self.comment
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentKey")
            .field("algorithm", &self.algorithm())
            .field("comment", &self.comment.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// Returns the flags that make an agent sign with an algorithm.
///
/// Only RSA keys need any: without them the agent signs with SHA-1.
///
/// # Errors
///
/// [`AgentError::AlgorithmRefused`] for `ssh-rsa`.
pub fn signature_flags(algorithm: &str) -> Result<u32, AgentError> {
    match &*plain(algorithm) {
        "rsa-sha2-256" => Ok(FLAG_RSA_SHA2_256),
        "rsa-sha2-512" => Ok(FLAG_RSA_SHA2_512),
        "ssh-rsa" => Err(AgentError::AlgorithmRefused {
            algorithm: algorithm.to_owned(),
        }),
        _ => Ok(0),
    }
}

/// Returns the part of an agent's signature that libssh2's sign callback returns (law S9).
///
/// libssh2 writes the algorithm's name itself, so it is checked against the one asked for and
/// taken off. For security keys (`sk-…`) what follows is string, flags and counter; for all
/// others the one string is taken out.
///
/// # Errors
///
/// [`AgentError::AlgorithmMismatch`], or [`AgentError::Malformed`] if it is no signature.
pub fn inner_signature(algorithm: &str, signature: &[u8]) -> Result<Vec<u8>, AgentError> {
    let wanted = plain(algorithm);
    let mut reader = Reader::new(signature);
    let got = reader.string().ok_or(AgentError::Malformed)?;
    if got != wanted.as_bytes() {
        let got = got.iter().filter(|byte| byte.is_ascii_graphic()).take(64);
        return Err(AgentError::AlgorithmMismatch {
            wanted: wanted.into_owned(),
            got: got.map(|byte| char::from(*byte)).collect(),
        });
    }
    let inner = reader.rest();
    let string = reader
        .string()
        .filter(|s| !s.is_empty())
        .ok_or(AgentError::Malformed)?;
    if wanted.starts_with("sk-") {
        // One byte of flags and a counter of four (PROTOCOL.u2f in OpenSSH's sources).
        return if reader.rest().len() == 5 {
            Ok(inner.to_vec())
        } else {
            Err(AgentError::Malformed)
        };
    }
    if reader.is_empty() {
        Ok(string.to_vec())
    } else {
        Err(AgentError::Malformed)
    }
}

/// The algorithm that signs for a certificate's; any other as it is.
fn plain(algorithm: &str) -> Cow<'_, str> {
    plain_algorithm(algorithm).map_or(Cow::Borrowed(algorithm), Cow::Owned)
}

pub(super) fn request_identities() -> Vec<u8> {
    vec![0, 0, 0, 1, REQUEST_IDENTITIES]
}

pub(super) fn sign_request(
    blob: &[u8],
    data: &[u8],
    flags: u32,
) -> Result<Zeroizing<Vec<u8>>, AgentError> {
    let bytes = (1 + 4 + 4 + 4_usize)
        .saturating_add(blob.len())
        .saturating_add(data.len());
    let announced = u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MESSAGE_BYTES_MAX)
        .ok_or(AgentError::RequestTooLong { bytes })?;
    // As long as it gets, because growing would leave a copy behind.
    let mut request = Zeroizing::new(Vec::with_capacity(4 + bytes));
    request.extend_from_slice(&announced.to_be_bytes());
    request.push(SIGN_REQUEST);
    put_string(&mut request, blob);
    put_string(&mut request, data);
    request.extend_from_slice(&flags.to_be_bytes());
    Ok(request)
}

/// Returns how many bytes follow a reply's head.
pub(super) fn reply_bytes(head: [u8; 4]) -> Result<usize, AgentError> {
    let bytes = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    match bytes {
        0 => Err(AgentError::Malformed),
        1..=MESSAGE_BYTES_MAX => Ok(bytes),
        _ => Err(AgentError::ReplyTooLong { bytes }),
    }
}

pub(super) fn read_identities(reply: &[u8]) -> Result<Vec<AgentKey>, AgentError> {
    let mut reader = expect(reply, IDENTITIES_ANSWER)?;
    let count = reader.u32().ok_or(AgentError::Malformed)?;
    if count > IDENTITIES_MAX {
        return Err(AgentError::TooManyKeys { count });
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = reader.string().ok_or(AgentError::Malformed)?.to_vec();
        let comment = reader.string().ok_or(AgentError::Malformed)?.to_vec();
        keys.push(AgentKey { blob, comment });
    }
    if reader.is_empty() {
        Ok(keys)
    } else {
        Err(AgentError::Malformed)
    }
}

pub(super) fn read_signature(reply: &[u8]) -> Result<Vec<u8>, AgentError> {
    let mut reader = expect(reply, SIGN_RESPONSE)?;
    let signature = reader.string().ok_or(AgentError::Malformed)?;
    if reader.is_empty() {
        Ok(signature.to_vec())
    } else {
        Err(AgentError::Malformed)
    }
}

fn expect(reply: &[u8], wanted: u8) -> Result<Reader<'_>, AgentError> {
    let mut reader = Reader::new(reply);
    match reader.byte() {
        Some(message) if message == wanted => Ok(reader),
        Some(FAILURE) => Err(AgentError::Refused),
        Some(message) => Err(AgentError::UnexpectedReply { message }),
        None => Err(AgentError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signature(parts: &[&[u8]], tail: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in parts {
            put_string(&mut out, part);
        }
        out.extend_from_slice(tail);
        out
    }

    #[test]
    fn takes_the_outer_string_off_a_signature() {
        let plain = signature(&[b"ssh-ed25519", b"sig"], b"");
        assert_eq!(inner_signature("ssh-ed25519", &plain).unwrap(), b"sig");
        let cert = "ssh-ed25519-cert-v01@openssh.com";
        assert_eq!(inner_signature(cert, &plain).unwrap(), b"sig");
        let rsa = signature(&[b"rsa-sha2-512", b"sig"], b"");
        let cert = "rsa-sha2-512-cert-v01@openssh.com";
        assert_eq!(inner_signature(cert, &rsa).unwrap(), b"sig");
    }

    #[test]
    fn keeps_flags_and_counter_of_a_security_key() {
        let name = "sk-ssh-ed25519@openssh.com";
        let whole = signature(&[name.as_bytes(), b"sig"], &[1, 0, 0, 0, 9]);
        let want = [&[0, 0, 0, 3][..], b"sig", &[1, 0, 0, 0, 9]].concat();
        assert_eq!(inner_signature(name, &whole).unwrap(), want);
        assert_eq!(
            inner_signature("sk-ssh-ed25519-cert-v01@openssh.com", &whole).unwrap(),
            want
        );
        let short = signature(&[name.as_bytes(), b"sig"], &[1, 0, 0, 0]);
        assert_eq!(inner_signature(name, &short), Err(AgentError::Malformed));
    }

    #[test]
    fn refuses_a_signature_of_another_algorithm() {
        let sha1 = signature(&[b"ssh-rsa\x1b[2J", b"sig"], b"");
        let Err(AgentError::AlgorithmMismatch { wanted, got }) =
            inner_signature("rsa-sha2-512", &sha1)
        else {
            panic!("not refused");
        };
        assert_eq!(
            (wanted.as_str(), got.as_str()),
            ("rsa-sha2-512", "ssh-rsa[2J")
        );
        for bad in [&[][..], &[0, 0, 0, 9], &signature(&[b"ssh-ed25519"], b"")] {
            assert!(inner_signature("ssh-ed25519", bad).is_err());
        }
        let long = signature(&[b"ssh-ed25519", b"sig"], b"x");
        assert_eq!(
            inner_signature("ssh-ed25519", &long),
            Err(AgentError::Malformed)
        );
    }

    #[test]
    fn chooses_flags_by_algorithm_and_refuses_sha1() {
        assert_eq!(signature_flags("rsa-sha2-256"), Ok(2));
        assert_eq!(signature_flags("rsa-sha2-512"), Ok(4));
        assert_eq!(signature_flags("rsa-sha2-512-cert-v01@openssh.com"), Ok(4));
        assert_eq!(signature_flags("ecdsa-sha2-nistp256"), Ok(0));
        for weak in ["ssh-rsa", "ssh-rsa-cert-v01@openssh.com"] {
            assert!(
                signature_flags(weak)
                    .unwrap_err()
                    .to_string()
                    .contains("ssh-rsa")
            );
        }
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_identities(&bytes);
            let _ = read_signature(&bytes);
            let _ = inner_signature("ssh-ed25519", &bytes);
        }
    }
}
