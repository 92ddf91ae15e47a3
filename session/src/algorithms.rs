//! Which algorithms are offered, and in which order, and what was agreed on (laws S3, S10, S12).
//!
//! Strong and cheap first. AES-GCM comes before everything, and encrypt-then-MAC before
//! encrypt-and-MAC, because their packet lengths can be read, and libssh2 is then given whole
//! packets only. Left alone, libssh2 and OpenSSH settle on chacha20-poly1305, whose lengths
//! cannot.
//!
//! It is not offered at all unless asked for by `ConfigBuilder::ciphers`: a host that spoke nothing
//! else could make libssh2 0.3.4 fault by what it sends after a key exchange of its own, and for
//! hidden lengths of this sort the transport cannot prevent that. Every OpenSSH since 6.2 has
//! AES-GCM. SHA-1, MD5, DSA and 3DES are compiled out of the linked libssh2; of the weak ones it
//! has AES-CBC alone, which is offered when asked for. The default lists may hold names that the
//! linked libssh2 lacks, and are offered without them.

use std::fmt;

use crate::config::ConfigError;

mod list;
mod negotiation;

pub(crate) use self::list::supported;

pub(crate) use negotiation::nothing_in_common;

/// Key exchanges; the post-quantum one is there only over OpenSSL 3.5 and later, those in finite
/// fields not over AWS-LC.
const KEX: &str = "mlkem768x25519-sha256,curve25519-sha256,\
curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256,\
diffie-hellman-group16-sha512,diffie-hellman-group18-sha512";

/// Host key types, certificates first, in the order of ssh; without `ssh-rsa`, which signs with
/// SHA-1. libssh2 does not check who signed a certificate: `HostKeys` does, and leaves them out
/// where no CA is known for the host.
pub(crate) const HOST_KEYS: &str = "ssh-ed25519-cert-v01@openssh.com,\
ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,\
ecdsa-sha2-nistp521-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,\
rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,\
ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

/// Ciphers in both directions.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
aes128-ctr,aes192-ctr,aes256-ctr";

/// Ciphers that are weak, for hosts that have nothing else.
const LEGACY_CIPHERS: [&str; 3] = ["aes256-cbc", "aes192-cbc", "aes128-cbc"];

/// MACs in both directions.
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
hmac-sha2-256,hmac-sha2-512";

/// Compression: never before the user is authenticated, when anybody may send.
const COMPRESSION: &str = "zlib@openssh.com,none";

/// What a list of algorithms is for (RFC 4253 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlgorithmList {
    /// Key exchange methods (`KexAlgorithms`).
    Kex,
    /// Types of the host's key (`HostKeyAlgorithms`).
    HostKey,
    /// Ciphers (`Ciphers`).
    Cipher,
    /// Message authentication codes (`MACs`).
    Mac,
    /// Compression methods (`Compression`).
    Compression,
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kex => "key exchange method",
            Self::HostKey => "host key type",
            Self::Cipher => "cipher",
            Self::Mac => "MAC",
            Self::Compression => "compression method",
        })
    }
}

/// The lists as the configuration gives them, in ssh's notation; `None` for the default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    pub(crate) kex: Option<String>,
    pub(crate) host_keys: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) macs: Option<String>,
}

/// What is offered to a host, best first, names separated by commas.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offer {
    pub(crate) kex: String,
    pub(crate) host_keys: String,
    /// Whether the types of the keys that are known for a host go first: as in ssh, not where the
    /// caller gave an order of his own.
    pub(crate) known_first: bool,
    pub(crate) ciphers: String,
    pub(crate) macs: String,
    pub(crate) compression: Option<&'static str>,
}

impl Offer {
    /// Reads the lists; fails by the first name that cannot be offered.
    pub(crate) fn read(lists: &Lists, compression: bool) -> Result<Self, ConfigError> {
        let asked = lists.host_keys.as_deref();
        Ok(Self {
            kex: list::read(AlgorithmList::Kex, KEX, lists.kex.as_deref())?,
            host_keys: list::read(AlgorithmList::HostKey, HOST_KEYS, asked)?,
            known_first: asked.is_none_or(|asked| asked.starts_with(['+', '-'])),
            ciphers: list::read(AlgorithmList::Cipher, CIPHERS, lists.ciphers.as_deref())?,
            macs: list::read(AlgorithmList::Mac, MACS, lists.macs.as_deref())?,
            compression: compression.then_some(COMPRESSION),
        })
    }
}

impl Offer {
    /// Adds the weak algorithms that the linked libssh2 has, behind all others.
    pub(crate) fn add_legacy(&mut self) {
        let have = supported(AlgorithmList::Cipher);
        for name in LEGACY_CIPHERS {
            if have.contains(&name) && !self.ciphers.split(',').any(|own| own == name) {
                self.ciphers = format!("{},{name}", self.ciphers);
            }
        }
    }
}

/// What a session and its host agreed on; names as in the registry of RFC 4250 §4.11 and OpenSSH's.
///
/// `in` is from the host to us, `out` from us to the host. Printed, it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Algorithms {
    /// The key exchange method.
    pub kex: String,
    /// How the host's key signed: its type, for RSA with the hash.
    pub host_key: String,
    /// The cipher of what the host sends.
    pub cipher_in: String,
    /// The cipher of what we send.
    pub cipher_out: String,
    /// The MAC of what the host sends; `None` where the cipher is one itself.
    pub mac_in: Option<String>,
    /// The MAC of what we send; `None` where the cipher is one itself.
    pub mac_out: Option<String>,
    /// The compression of what the host sends, `none` for none.
    pub compression_in: String,
    /// The compression of what we send, `none` for none.
    pub compression_out: String,
}

impl Algorithms {
    pub(crate) fn of(negotiated: impl Fn(ssh2::MethodType) -> Option<String>) -> Self {
        use ssh2::MethodType::{CompCs, CompSc, CryptCs, CryptSc, HostKey, Kex, MacCs, MacSc};
        let name = |method| negotiated(method).unwrap_or_default();
        // libssh2 makes a name up for the MAC of AES-GCM, and has one agreed on for ChaCha20 that it
        // does not use.
        let mac = |method, cipher: &str| {
            let own = cipher.contains("-gcm@") || cipher.starts_with("chacha20-poly1305");
            negotiated(method).filter(|mac| !own && !mac.is_empty())
        };
        let (cipher_in, cipher_out) = (name(CryptSc), name(CryptCs));
        Self {
            kex: name(Kex),
            host_key: name(HostKey),
            mac_in: mac(MacSc, &cipher_in),
            mac_out: mac(MacCs, &cipher_out),
            cipher_in,
            cipher_out,
            compression_in: name(CompSc),
            compression_out: name(CompCs),
        }
    }
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kex {}, host key {}", self.kex, self.host_key)?;
        let mac = |mac: &Option<String>| mac.clone().unwrap_or_else(|| "implicit".into());
        for (what, received, sent) in [
            ("cipher", self.cipher_in.clone(), self.cipher_out.clone()),
            ("mac", mac(&self.mac_in), mac(&self.mac_out)),
            (
                "compression",
                self.compression_in.clone(),
                self.compression_out.clone(),
            ),
        ] {
            if received == sent {
                write!(f, ", {what} {received}")?;
            } else {
                write!(f, ", {what} {received} in and {sent} out")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_on_is_one_line() {
        let mut agreed = Algorithms::of(|method| {
            use ssh2::MethodType::{CompCs, CompSc, CryptCs, CryptSc, HostKey, Kex};
            let name = match method {
                Kex => "curve25519-sha256",
                HostKey => "ssh-ed25519",
                CryptCs | CryptSc => "aes128-gcm@openssh.com",
                CompCs | CompSc => "none",
                _ => "INTEGRATED-AES-GCM",
            };
            Some(name.to_owned())
        });
        assert_eq!(
            agreed.to_string(),
            "kex curve25519-sha256, host key ssh-ed25519, cipher aes128-gcm@openssh.com, \
             mac implicit, compression none"
        );
        agreed.cipher_out = "aes256-ctr".into();
        agreed.mac_out = Some("hmac-sha2-256".into());
        assert!(
            agreed.to_string().contains(
                "cipher aes128-gcm@openssh.com in and aes256-ctr out, \
                 mac implicit in and hmac-sha2-256 out, "
            ),
            "{agreed}"
        );
    }
}
