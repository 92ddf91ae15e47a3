//! A private key inside the crypto library, made of the numbers that key files carry.
//!
//! Whatever the file said, the public key is computed from what the library holds, and a key
//! whose parts do not belong together is refused here rather than at each host.

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcGroupRef, EcKey, EcPoint, PointConversionForm};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Rsa, RsaRef};
use openssl::sign::{Signer, Verifier};

use super::Fault;
use super::wire::{put_mpint, put_string};

const RSA_BITS_MIN: i32 = 2048;
const RSA_BITS_MAX: i32 = 16_384;

/// The key types that can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa,
}

impl KeyType {
    pub(super) const ALL: [Self; 5] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
        }
    }

    /// The curve of an ECDSA type: OpenSSL's number and RFC 5656's name.
    fn curve(self) -> Option<(Nid, &'static str)> {
        match self {
            Self::EcdsaP256 => Some((Nid::X9_62_PRIME256V1, "nistp256")),
            Self::EcdsaP384 => Some((Nid::SECP384R1, "nistp384")),
            Self::EcdsaP521 => Some((Nid::SECP521R1, "nistp521")),
            Self::Ed25519 | Self::Rsa => None,
        }
    }
}

/// A checked private key and the public key that belongs to it.
pub(super) struct PrivateKey {
    pub(super) key_type: KeyType,
    pub(super) pkey: PKey<Private>,
    pub(super) public_blob: Vec<u8>,
}

/// The numbers of an RSA key in OpenSSH's format, big-endian.
pub(super) struct RsaParts<'a> {
    pub(super) n: &'a [u8],
    pub(super) e: &'a [u8],
    pub(super) d: &'a [u8],
    pub(super) iqmp: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
}

impl PrivateKey {
    pub(super) fn ed25519(seed: &[u8]) -> Result<Self, Fault> {
        Self::new(PKey::private_key_from_raw_bytes(seed, Id::ED25519)?)
    }

    /// The point is taken in uncompressed form only, as RFC 5656 §3.1 has it.
    pub(super) fn ecdsa(key_type: KeyType, point: &[u8], scalar: &[u8]) -> Result<Self, Fault> {
        let (nid, _) = key_type.curve().ok_or(Fault::Malformed)?;
        if point.first() != Some(&4) {
            return Err(Fault::Malformed);
        }
        let group = EcGroup::from_curve_name(nid)?;
        let mut context = BigNumContext::new()?;
        let point = EcPoint::from_bytes(&group, point, &mut context)?;
        let scalar = Erased(BigNum::from_slice(scalar)?);
        if scalar.0.num_bits() > group.degree().cast_signed() {
            return Err(Fault::Malformed);
        }
        let key = EcKey::from_private_components(&group, &scalar.0, &point)?;
        Self::new(PKey::from_ec_key(key)?)
    }

    pub(super) fn rsa(parts: &RsaParts<'_>) -> Result<Self, Fault> {
        let number = |bytes: &[u8]| BigNum::from_slice(bytes).map(Erased);
        let (n, e) = (BigNum::from_slice(parts.n)?, BigNum::from_slice(parts.e)?);
        let (d, iqmp) = (number(parts.d)?, number(parts.iqmp)?);
        let (p, q) = (number(parts.p)?, number(parts.q)?);
        check_rsa_size(&n)?;
        if [&d, &iqmp, &p, &q]
            .iter()
            .any(|part| part.0.num_bits() > n.num_bits())
        {
            return Err(Fault::Malformed);
        }
        let mut context = BigNumContext::new()?;
        let (dmp1, dmq1) = (
            exponent(&d, &p, &mut context)?,
            exponent(&d, &q, &mut context)?,
        );
        let rsa = Rsa::from_private_components(
            n,
            e,
            d.0.to_owned()?,
            p.0.to_owned()?,
            q.0.to_owned()?,
            dmp1.0.to_owned()?,
            dmq1.0.to_owned()?,
            iqmp.0.to_owned()?,
        )?;
        Self::new(PKey::from_rsa(rsa)?)
    }

    /// Takes a key of any origin, if it is of a type that can sign and its parts fit together.
    pub(super) fn new(pkey: PKey<Private>) -> Result<Self, Fault> {
        let mut public_blob = Vec::new();
        let key_type = match pkey.id() {
            Id::ED25519 => {
                put_string(&mut public_blob, KeyType::Ed25519.name().as_bytes());
                put_string(&mut public_blob, &pkey.raw_public_key()?);
                KeyType::Ed25519
            }
            Id::EC => put_ecdsa(&mut public_blob, &pkey)?,
            Id::RSA => {
                let rsa = pkey.rsa()?;
                check_rsa(&rsa, &pkey)?;
                put_string(&mut public_blob, KeyType::Rsa.name().as_bytes());
                put_mpint(&mut public_blob, &rsa.e().to_vec());
                put_mpint(&mut public_blob, &rsa.n().to_vec());
                KeyType::Rsa
            }
            Id::DSA => return Err(Fault::Unsupported("key type ssh-dss (DSA)".to_owned())),
            other => {
                let name = Nid::from_raw(other.as_raw())
                    .long_name()
                    .unwrap_or("unknown");
                return Err(Fault::Unsupported(format!("key type {name}")));
            }
        };
        Ok(Self {
            key_type,
            pkey,
            public_blob,
        })
    }
}

fn put_ecdsa(blob: &mut Vec<u8>, pkey: &PKey<Private>) -> Result<KeyType, Fault> {
    let key = pkey.ec_key()?;
    let group: &EcGroupRef = key.group();
    let (key_type, curve) = group
        .curve_name()
        .and_then(|nid| {
            KeyType::ALL
                .iter()
                .find_map(|key_type| match key_type.curve() {
                    Some((found, curve)) if found == nid => Some((*key_type, curve)),
                    _ => None,
                })
        })
        .ok_or_else(|| {
            let name = group.curve_name().and_then(|nid| nid.long_name().ok());
            Fault::Unsupported(format!(
                "elliptic curve {}",
                name.unwrap_or("without a name")
            ))
        })?;
    key.check_key()?;
    let mut context = BigNumContext::new()?;
    let point =
        key.public_key()
            .to_bytes(group, PointConversionForm::UNCOMPRESSED, &mut context)?;
    put_string(blob, key_type.name().as_bytes());
    put_string(blob, curve.as_bytes());
    put_string(blob, &point);
    Ok(key_type)
}

fn check_rsa_size(n: &BigNumRef) -> Result<(), Fault> {
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&n.num_bits()) {
        return Err(Fault::Unsupported(format!(
            "an RSA key of {} bits",
            n.num_bits()
        )));
    }
    Ok(())
}

/// Bounds every number before the library computes with it, then signs and verifies once.
///
/// Without the bounds a file of a megabyte could hold an exponent that takes seconds to use.
fn check_rsa(rsa: &RsaRef<Private>, pkey: &PKey<Private>) -> Result<(), Fault> {
    check_rsa_size(rsa.n())?;
    let private = [rsa.p(), rsa.q(), rsa.dmp1(), rsa.dmq1(), rsa.iqmp()];
    let bits_max = rsa.n().num_bits();
    let fits = rsa.n().is_odd()
        && rsa.e().is_odd()
        && (2..=64).contains(&rsa.e().num_bits())
        && rsa.d().num_bits() <= bits_max
        && private
            .iter()
            .flatten()
            .all(|part| part.num_bits() <= bits_max);
    if !fits {
        return Err(Fault::Malformed);
    }
    let public = Rsa::from_public_components(rsa.n().to_owned()?, rsa.e().to_owned()?)?;
    let public = PKey::from_rsa(public)?;
    let probe = b"the parts of this key belong together";
    let mut signer = Signer::new(MessageDigest::sha256(), pkey)?;
    signer.update(probe)?;
    let signature = signer.sign_to_vec()?;
    let mut verifier = Verifier::new(MessageDigest::sha256(), &public)?;
    verifier.update(probe)?;
    if verifier.verify(&signature)? {
        Ok(())
    } else {
        Err(Fault::Malformed)
    }
}

/// `d mod (prime - 1)`, the exponent that OpenSSH's format leaves out.
fn exponent(d: &Erased, prime: &Erased, context: &mut BigNumContext) -> Result<Erased, Fault> {
    let mut less_one = Erased(prime.0.to_owned()?);
    less_one.0.sub_word(1)?;
    let mut exponent = Erased(BigNum::new()?);
    exponent.0.checked_rem(&d.0, &less_one.0, context)?;
    Ok(exponent)
}

/// A number that is erased when dropped; the library only frees it.
struct Erased(BigNum);

impl Drop for Erased {
    fn drop(&mut self) {
        self.0.clear();
    }
}
