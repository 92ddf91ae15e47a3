//! Which algorithms are offered, and in which order (laws S3, S10, S12).
//!
//! Strong and cheap first. AES-GCM comes before everything, and encrypt-then-MAC before
//! encrypt-and-MAC, because their packet lengths can be read, and libssh2 is then given whole
//! packets only. Left alone, libssh2 and OpenSSH settle on chacha20-poly1305, whose lengths
//! cannot.
//!
//! It is not offered at all unless asked for by `ConfigBuilder::ciphers`: a host that spoke nothing
//! else could make libssh2 0.3.4 fault by what it sends after a key exchange of its own, and for
//! hidden lengths of this sort the transport cannot prevent that. Every OpenSSH since 6.2 has
//! AES-GCM. Names that the linked libssh2 lacks are left out by it; SHA-1, DSA and 3DES are
//! compiled out of it.

/// Key exchanges; the post-quantum one is there only over OpenSSL 3.5 and later.
pub(crate) const KEX: &str = "mlkem768x25519-sha256,curve25519-sha256,\
curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256,\
diffie-hellman-group16-sha512,diffie-hellman-group18-sha512";

/// Host key types, certificates first, in the order of ssh; without `ssh-rsa`, which signs with
/// SHA-1. libssh2 does not check who signed a certificate: `HostKeys` does, and leaves them out
/// where no CA is known for the host.
pub(crate) const HOST_KEYS: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Ciphers in both directions.
pub(crate) const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
aes128-ctr,aes192-ctr,aes256-ctr";

/// MACs in both directions.
pub(crate) const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
hmac-sha2-256,hmac-sha2-512";
