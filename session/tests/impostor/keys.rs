//! Keys of every type, what they sign, and certificates of whatever content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use sshoal_hostile::messages::{mpint, string};

/// The types of host keys.
pub(crate) const TYPES: [&str; 5] = ["ed25519", "nistp256", "nistp384", "nistp521", "rsa"];

/// A private key with its type.
#[derive(Clone)]
pub(crate) struct KeyPair {
    kind: &'static str,
    key: PKey<Private>,
}

impl KeyPair {
    pub(crate) fn new(kind: &'static str) -> Self {
        let curve = |nid| {
            let group = EcGroup::from_curve_name(nid).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let key = match kind {
            "ed25519" => PKey::generate_ed25519().unwrap(),
            "nistp256" => curve(Nid::X9_62_PRIME256V1),
            "nistp384" => curve(Nid::SECP384R1),
            "nistp521" => curve(Nid::SECP521R1),
            _ => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        };
        Self { kind, key }
    }

    /// The algorithm of its signatures.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.kind {
            "ed25519" => "ssh-ed25519",
            "nistp256" => "ecdsa-sha2-nistp256",
            "nistp384" => "ecdsa-sha2-nistp384",
            "nistp521" => "ecdsa-sha2-nistp521",
            _ => "rsa-sha2-512",
        }
    }

    /// The algorithm of its signatures with a certificate.
    pub(crate) fn certificate_algorithm(&self) -> &'static str {
        match self.kind {
            "ed25519" => "ssh-ed25519-cert-v01@openssh.com",
            "nistp256" => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            "nistp384" => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            "nistp521" => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            _ => "rsa-sha2-512-cert-v01@openssh.com",
        }
    }

    fn key_type(&self) -> &'static str {
        match self.kind {
            "rsa" => "ssh-rsa",
            _ => self.algorithm(),
        }
    }

    /// What stands behind the type's name in a key blob (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4).
    fn numbers(&self) -> Vec<u8> {
        if let Ok(rsa) = self.key.rsa() {
            return [mpint(&rsa.e().to_vec()), mpint(&rsa.n().to_vec())].concat();
        }
        let Ok(ec) = self.key.ec_key() else {
            return string(&self.key.raw_public_key().unwrap());
        };
        let mut context = BigNumContext::new().unwrap();
        let form = PointConversionForm::UNCOMPRESSED;
        let point = ec
            .public_key()
            .to_bytes(ec.group(), form, &mut context)
            .unwrap();
        [string(self.kind.as_bytes()), string(&point)].concat()
    }

    /// The public key in its wire form.
    pub(crate) fn blob(&self) -> Vec<u8> {
        [string(self.key_type().as_bytes()), self.numbers()].concat()
    }

    /// The public key in a known_hosts line.
    pub(crate) fn fields(&self) -> String {
        format!("{} {}", self.key_type(), STANDARD.encode(self.blob()))
    }

    /// A signature blob.
    pub(crate) fn sign(&self, data: &[u8]) -> Vec<u8> {
        let digest = match self.kind {
            "nistp256" => MessageDigest::sha256(),
            "nistp384" => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        self.sign_with(self.algorithm(), digest, data)
    }

    fn sign_with(&self, algorithm: &str, digest: MessageDigest, data: &[u8]) -> Vec<u8> {
        let signature = if self.kind == "ed25519" {
            let mut signer = Signer::new_without_digest(&self.key).unwrap();
            signer.sign_oneshot_to_vec(data).unwrap()
        } else {
            let mut signer = Signer::new(digest, &self.key).unwrap();
            signer.update(data).unwrap();
            let signature = signer.sign_to_vec().unwrap();
            match EcdsaSig::from_der(&signature) {
                Ok(ec) => [mpint(&ec.r().to_vec()), mpint(&ec.s().to_vec())].concat(),
                Err(_) => signature,
            }
        };
        [string(algorithm.as_bytes()), string(&signature)].concat()
    }
}

/// A certificate that is not signed yet (PROTOCOL.certkeys).
pub(crate) struct Draft<'a> {
    pub(crate) key: &'a KeyPair,
    /// 1: a user's, 2: a host's.
    pub(crate) kind: u32,
    pub(crate) principals: Vec<&'static str>,
    pub(crate) valid: (u64, u64),
    pub(crate) critical: Vec<&'static str>,
    /// Signed by `ssh-rsa`.
    pub(crate) weak: bool,
}

impl<'a> Draft<'a> {
    /// One that is good for the host `host`.
    pub(crate) fn new(key: &'a KeyPair) -> Self {
        Self {
            key,
            kind: 2,
            principals: vec!["host"],
            valid: (0, u64::MAX),
            critical: Vec::new(),
            weak: false,
        }
    }

    pub(crate) fn signed_by(&self, ca: &KeyPair) -> Vec<u8> {
        let name = match self.key.kind {
            "rsa" => "ssh-rsa-cert-v01@openssh.com",
            _ => self.key.certificate_algorithm(),
        };
        let principals: Vec<u8> = self
            .principals
            .iter()
            .flat_map(|p| string(p.as_bytes()))
            .collect();
        let critical = self
            .critical
            .iter()
            .flat_map(|name| [string(name.as_bytes()), string(b"")].concat());
        let mut blob = [
            string(name.as_bytes()),
            string(&[9; 32]),
            self.key.numbers(),
        ]
        .concat();
        blob.extend(7_u64.to_be_bytes());
        blob.extend(self.kind.to_be_bytes());
        blob.extend(string(b"id"));
        blob.extend(string(&principals));
        blob.extend(self.valid.0.to_be_bytes());
        blob.extend(self.valid.1.to_be_bytes());
        blob.extend(string(&critical.collect::<Vec<u8>>()));
        blob.extend([string(b""), string(b""), string(&ca.blob())].concat());
        let signature = match self.weak {
            true => ca.sign_with("ssh-rsa", MessageDigest::sha1(), &blob),
            false => ca.sign(&blob),
        };
        blob.extend(string(&signature));
        blob
    }
}
