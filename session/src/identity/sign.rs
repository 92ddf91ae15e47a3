//! Signatures in the form that libssh2's sign callback returns them (law S9).

use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::sign::Signer;

use super::IdentityError;
use super::key::{KeyType, PrivateKey};
use super::wire::{Reader, put_mpint};

/// SSH_MSG_USERAUTH_REQUEST (RFC 4252 §6).
const USERAUTH_REQUEST: u8 = 50;

pub(super) fn sign(
    key: &PrivateKey,
    name: &str,
    algorithm: &str,
    data: &[u8],
) -> Result<Vec<u8>, IdentityError> {
    let failed = |source: ErrorStack| IdentityError::Sign {
        name: name.to_owned(),
        source: Box::new(source),
    };
    match digest(key.key_type, algorithm)? {
        None => Signer::new_without_digest(&key.pkey).and_then(|mut s| s.sign_oneshot_to_vec(data)),
        Some(digest) => {
            let signature = Signer::new(digest, &key.pkey).and_then(|mut signer| {
                signer.update(data)?;
                signer.sign_to_vec()
            });
            match key.key_type {
                KeyType::Rsa | KeyType::Ed25519 => signature,
                KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
                    signature.and_then(|der| two_mpints(&der))
                }
            }
        }
    }
    .map_err(failed)
}

/// The digest that goes with an algorithm of the key's type; Ed25519 takes none.
fn digest(key_type: KeyType, algorithm: &str) -> Result<Option<MessageDigest>, IdentityError> {
    match (key_type, algorithm) {
        (KeyType::Ed25519, "ssh-ed25519") => Ok(None),
        (KeyType::EcdsaP256, "ecdsa-sha2-nistp256") | (KeyType::Rsa, "rsa-sha2-256") => {
            Ok(Some(MessageDigest::sha256()))
        }
        (KeyType::EcdsaP384, "ecdsa-sha2-nistp384") => Ok(Some(MessageDigest::sha384())),
        (KeyType::EcdsaP521, "ecdsa-sha2-nistp521") | (KeyType::Rsa, "rsa-sha2-512") => {
            Ok(Some(MessageDigest::sha512()))
        }
        _ => Err(IdentityError::AlgorithmRefused {
            algorithm: algorithm.to_owned(),
            key_type: key_type.name(),
        }),
    }
}

/// Turns OpenSSL's DER form of an ECDSA signature into RFC 5656's (§3.1.2).
fn two_mpints(der: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let signature = EcdsaSig::from_der(der)?;
    let mut out = Vec::with_capacity(der.len() + 4);
    put_mpint(&mut out, &signature.r().to_vec());
    put_mpint(&mut out, &signature.s().to_vec());
    Ok(out)
}

pub(super) fn requested_algorithm(data: &[u8]) -> Option<&str> {
    let mut data = Reader::new(data);
    let _session_id = data.string()?;
    let is_request = data.byte()? == USERAUTH_REQUEST;
    let _user = data.string()?;
    let _service = data.string()?;
    let by_public_key = data.string()? == b"publickey";
    let has_signature = data.byte()? != 0;
    let algorithm = data.text()?;
    let _blob = data.string()?;
    (is_request && by_public_key && has_signature && data.is_empty()).then_some(algorithm)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::put_string;
    use super::*;

    fn request(algorithm: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        put_string(&mut data, &[7; 32]);
        data.push(USERAUTH_REQUEST);
        put_string(&mut data, b"user");
        put_string(&mut data, b"ssh-connection");
        put_string(&mut data, b"publickey");
        data.push(1);
        put_string(&mut data, algorithm);
        put_string(&mut data, b"blob");
        data
    }

    #[test]
    fn finds_the_algorithm_asked_for() {
        assert_eq!(
            requested_algorithm(&request(b"rsa-sha2-512")),
            Some("rsa-sha2-512")
        );
    }

    #[test]
    fn takes_nothing_but_a_whole_request() {
        let whole = request(b"ssh-ed25519");
        for cut in 0..whole.len() {
            assert_eq!(requested_algorithm(&whole[..cut]), None, "cut at {cut}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(requested_algorithm(&longer), None);
        let mut other = whole;
        other[36] = 51;
        assert_eq!(requested_algorithm(&other), None);
        assert_eq!(
            requested_algorithm(&request(&[0xff, 0xfe])),
            None,
            "not text"
        );
    }

    #[test]
    fn writes_both_numbers_of_an_ecdsa_signature_as_mpints() {
        // SEQUENCE { INTEGER 0x80, INTEGER 1 }: one number needs a zero before it, one does not.
        let der = [0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x01];
        assert_eq!(
            two_mpints(&der).unwrap(),
            [0, 0, 0, 2, 0, 0x80, 0, 0, 0, 1, 1]
        );
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = requested_algorithm(&bytes);
        }
    }
}
