//! Signatures of CAs (RFC 4253 §6.6, RFC 5656 §3.1.2, RFC 8332, RFC 8709, PROTOCOL.u2f).

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Verifier;

use super::CertificateError;
use crate::identity::wire::Reader;

/// Checks a signature blob over `signed` against a key blob.
pub(super) fn verify(key: &[u8], blob: &[u8], signed: &[u8]) -> Result<(), CertificateError> {
    match check(key, blob, signed) {
        Some(Answer::Right) => Ok(()),
        Some(Answer::Weak(algorithm)) => Err(CertificateError::Algorithm { algorithm }),
        Some(Answer::Wrong) | None => Err(CertificateError::Signature),
    }
}

enum Answer {
    Right,
    Wrong,
    /// Not tried: the algorithm proves too little.
    Weak(String),
}

/// `None` where anything is damaged or the library refuses it.
fn check(key: &[u8], blob: &[u8], signed: &[u8]) -> Option<Answer> {
    let mut key = Reader::new(key);
    let mut blob = Reader::new(blob);
    let key_type = key.text()?;
    let algorithm = blob.text()?;
    let signature = blob.string()?;
    let is_right = match (key_type, algorithm) {
        ("ssh-ed25519", "ssh-ed25519") => ed25519(&mut key, signature, signed)?,
        ("ssh-rsa", "rsa-sha2-256") => rsa(&mut key, signature, signed, MessageDigest::sha256())?,
        ("ssh-rsa", "rsa-sha2-512") => rsa(&mut key, signature, signed, MessageDigest::sha512())?,
        ("ssh-rsa", "ssh-rsa") | ("ssh-dss", "ssh-dss") => {
            return Some(Answer::Weak(algorithm.to_owned()));
        }
        (SK_ED25519, SK_ED25519) => {
            let public = key.string()?;
            let signed = sk_message(key.string()?, &mut blob, signed)?;
            let mut public_only = Vec::new();
            crate::identity::wire::put_string(&mut public_only, public);
            ed25519(&mut Reader::new(&public_only), signature, &signed)?
        }
        (SK_ECDSA, SK_ECDSA) => {
            let public = ec_key(&mut key, "ecdsa-sha2-nistp256")?;
            let signed = sk_message(key.string()?, &mut blob, signed)?;
            ecdsa(public, signature, &signed, MessageDigest::sha256())?
        }
        (key_type, algorithm) if key_type == algorithm => {
            let digest = curve_of(key_type)?.1;
            ecdsa(ec_key(&mut key, key_type)?, signature, signed, digest)?
        }
        _ => false,
    };
    // What is behind a signature would not be signed.
    let is_right = is_right && blob.is_empty() && key.is_empty();
    Some(if is_right {
        Answer::Right
    } else {
        Answer::Wrong
    })
}

fn ed25519(key: &mut Reader<'_>, signature: &[u8], signed: &[u8]) -> Option<bool> {
    let key = PKey::public_key_from_raw_bytes(key.string()?, Id::ED25519).ok()?;
    let mut verifier = Verifier::new_without_digest(&key).ok()?;
    verifier.verify_oneshot(signature, signed).ok()
}

fn rsa(
    key: &mut Reader<'_>,
    signature: &[u8],
    signed: &[u8],
    digest: MessageDigest,
) -> Option<bool> {
    let e = BigNum::from_slice(key.magnitude()?).ok()?;
    let n = BigNum::from_slice(key.magnitude()?).ok()?;
    let key = PKey::from_rsa(Rsa::from_public_components(n, e).ok()?).ok()?;
    // Some signers leave leading zeros out, and ssh puts them back.
    let missing = key.size().checked_sub(signature.len())?;
    let signature = [&vec![0; missing][..], signature].concat();
    let mut verifier = Verifier::new(digest, &key).ok()?;
    verifier.update(signed).ok()?;
    verifier.verify(&signature).ok()
}

fn curve_of(key_type: &str) -> Option<(Nid, MessageDigest, &'static str)> {
    match key_type {
        "ecdsa-sha2-nistp256" => Some((Nid::X9_62_PRIME256V1, MessageDigest::sha256(), "nistp256")),
        "ecdsa-sha2-nistp384" => Some((Nid::SECP384R1, MessageDigest::sha384(), "nistp384")),
        "ecdsa-sha2-nistp521" => Some((Nid::SECP521R1, MessageDigest::sha512(), "nistp521")),
        _ => None,
    }
}

fn ec_key(key: &mut Reader<'_>, key_type: &str) -> Option<PKey<Public>> {
    let (nid, _, name) = curve_of(key_type)?;
    if key.text()? != name {
        return None;
    }
    let group = EcGroup::from_curve_name(nid).ok()?;
    let mut context = openssl::bn::BigNumContext::new().ok()?;
    let point = EcPoint::from_bytes(&group, key.string()?, &mut context).ok()?;
    let key = EcKey::from_public_key(&group, &point).ok()?;
    key.check_key().ok()?;
    PKey::from_ec_key(key).ok()
}

fn ecdsa(
    key: PKey<Public>,
    signature: &[u8],
    signed: &[u8],
    digest: MessageDigest,
) -> Option<bool> {
    let mut numbers = Reader::new(signature);
    let r = BigNum::from_slice(numbers.magnitude()?).ok()?;
    let s = BigNum::from_slice(numbers.magnitude()?).ok()?;
    if !numbers.is_empty() {
        return None;
    }
    let der = EcdsaSig::from_private_components(r, s)
        .ok()?
        .to_der()
        .ok()?;
    let mut verifier = Verifier::new(digest, &key).ok()?;
    verifier.update(signed).ok()?;
    verifier.verify(&der).ok()
}

/// What a security key signs: hashes of its application and of the message, around the flags and
/// the counter that stand behind the signature.
fn sk_message(application: &[u8], blob: &mut Reader<'_>, signed: &[u8]) -> Option<Vec<u8>> {
    let flags_and_counter = blob.bytes(5)?;
    Some([&sha256(application)[..], flags_and_counter, &sha256(signed)].concat())
}

const SK_ED25519: &str = "sk-ssh-ed25519@openssh.com";
const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
