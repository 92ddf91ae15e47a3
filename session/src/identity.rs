//! Private keys: parsed and decrypted once for a fleet, then shared by every session that signs.
//!
//! Law S9: libssh2 never sees the private key. It is given [`Identity::public_blob`] and asks for
//! signatures through a callback, which [`Identity::signature_algorithm`] and [`Identity::sign`]
//! answer. The principal type is [`Identity`]. Keys that an agent holds are `agent`'s matter.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use openssl::sha::sha256;

use crate::secret::Secret;
use key::PrivateKey;

mod key;
mod load;
mod openssh;
mod pkcs8;
mod sign;
pub(crate) mod wire;

/// A private key, ready to sign for any number of sessions at once.
///
/// It is `Send + Sync`: load it once, share it by `Arc`. The key material lives in the crypto
/// library that libssh2 is linked with, which erases it when the identity is dropped.
pub struct Identity {
    name: String,
    key: PrivateKey,
    /// What the server is offered (RFC 4253 §6.6); a certificate can stand here instead.
    public_blob: Vec<u8>,
    comment: String,
}

/// Why an identity could not be loaded or could not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file could not be read.
    #[error("could not read identity {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file belongs to this user and others may read or write it, as `ssh` refuses too.
    #[error(
        "permissions {mode:04o} for identity {} are too open: others must have no access",
        path.display()
    )]
    TooPermissive {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any private key (1 MiB).
    #[error("identity {} is too large for a private key", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("identity {} is encrypted and no passphrase was given", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not decrypt the key, or the encrypted part is damaged.
    #[error("wrong passphrase for identity {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a type, or the file of a format, that cannot be used.
    #[error("identity {}: {what} is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The type or format, by name.
        what: String,
    },
    /// The file is no private key, or a damaged one.
    #[error("identity {} is not a private key, or is damaged", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Decrypting the key would take more work than any honest key file asks for.
    #[error("identity {} asks for {rounds} key derivation rounds, too many", path.display())]
    TooManyRounds {
        /// The file.
        path: PathBuf,
        /// What its header asks for.
        rounds: u64,
    },
    /// The signature algorithm is too weak, or not one of this key's.
    ///
    /// `ssh-rsa` (SHA-1) is what libssh2 asks for when the server does not say that it takes
    /// better ones.
    #[error("signature algorithm {algorithm} refused for a key of type {key_type}")]
    AlgorithmRefused {
        /// The algorithm asked for.
        algorithm: String,
        /// The key's type.
        key_type: &'static str,
    },
    /// The crypto library failed.
    #[error("identity {name} could not sign")]
    Sign {
        /// The identity's name.
        name: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Identity {
    /// Loads a private key file (`IdentityFile`), decrypting it with the passphrase if need be.
    ///
    /// Reads OpenSSH's own format, PEM (PKCS#1, SEC1) and PKCS#8, encrypted or not, with keys of
    /// type Ed25519, ECDSA (P-256, P-384, P-521) and RSA (2,048 to 16,384 bits). A passphrase
    /// given for a key that is not encrypted is left unused. Decrypting takes tens of milliseconds
    /// or more of CPU time and the file is read in blocking manner, so it belongs on a thread of
    /// its own.
    ///
    /// # Errors
    ///
    /// Every [`IdentityError`] but the two about signing.
    pub fn load(path: &Path, passphrase: Option<&Secret>) -> Result<Self, IdentityError> {
        let bytes = load::read_file(path)?;
        Self::parse(&bytes, path, passphrase)
    }

    /// Reads a private key out of bytes, as [`Identity::load`] does out of a file.
    ///
    /// The name stands for the path in messages. Erasing `bytes` is the caller's matter.
    ///
    /// # Errors
    ///
    /// As [`Identity::load`], but for those about the file itself.
    pub fn from_bytes(
        bytes: &[u8],
        name: &str,
        passphrase: Option<&Secret>,
    ) -> Result<Self, IdentityError> {
        Self::parse(bytes, Path::new(name), passphrase)
    }

    /// Returns the algorithm name out of the data that a server wants signed (RFC 4252 §7).
    ///
    /// This is the data that libssh2 hands to its sign callback: session id, then the request
    /// of type `publickey`. Returns `None` if it is anything else, so that nothing but an
    /// authentication request is ever signed.
    pub fn signature_algorithm(data: &[u8]) -> Option<&str> {
        sign::requested_algorithm(data)
    }

    /// Signs data and returns the inner signature, the form libssh2's sign callback returns.
    ///
    /// libssh2 itself puts the algorithm's name and a length before it. So this is 64 bytes for
    /// `ssh-ed25519` (RFC 8709 §6), the PKCS#1 v1.5 signature for `rsa-sha2-256` and
    /// `rsa-sha2-512` (RFC 8332 §3), and `mpint r`, `mpint s` for ECDSA (RFC 5656 §3.1.2).
    /// It costs CPU time (RSA most: a millisecond), so offload it.
    ///
    /// # Errors
    ///
    /// [`IdentityError::AlgorithmRefused`] for `ssh-rsa` and for algorithms of other key types;
    /// [`IdentityError::Sign`] if the crypto library fails.
    pub fn sign(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        sign::sign(&self.key, &self.name, algorithm, data)
    }

    /// Returns the path or the name that the identity was loaded by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key's type, for example `ssh-ed25519`; for RSA it is `ssh-rsa`.
    pub fn algorithm(&self) -> &str {
        self.key.key_type.name()
    }

    /// Returns the public key in the form of RFC 4253 §6.6.
    pub fn public_blob(&self) -> &[u8] {
        &self.public_blob
    }

    /// Returns the comment that the file carries; only OpenSSH's format has one.
    ///
    /// It is text from a file, not cleaned for a terminal.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Returns the fingerprint as `ssh-keygen -l` prints it, `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!(
            "SHA256:{}",
            STANDARD_NO_PAD.encode(sha256(&self.public_blob))
        )
    }

    fn parse(
        bytes: &[u8],
        path: &Path,
        passphrase: Option<&Secret>,
    ) -> Result<Self, IdentityError> {
        let loaded = load::parse(bytes, passphrase).map_err(|fault| fault.at(path))?;
        Ok(Self {
            name: path.display().to_string(),
            public_blob: loaded.key.public_blob.clone(),
            key: loaded.key,
            comment: loaded.comment,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm())
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a key's bytes, before the path is known.
#[derive(Debug)]
enum Fault {
    TooLarge,
    Encrypted,
    WrongPassphrase,
    Unsupported(String),
    Malformed,
    TooManyRounds(u64),
}

impl Fault {
    fn at(self, path: &Path) -> IdentityError {
        let path = path.to_path_buf();
        match self {
            Self::TooLarge => IdentityError::TooLarge { path },
            Self::Encrypted => IdentityError::Encrypted { path },
            Self::WrongPassphrase => IdentityError::WrongPassphrase { path },
            Self::Unsupported(what) => IdentityError::Unsupported { path, what },
            Self::Malformed => IdentityError::Malformed { path },
            Self::TooManyRounds(rounds) => IdentityError::TooManyRounds { path, rounds },
        }
    }
}

impl From<openssl::error::ErrorStack> for Fault {
    /// The library's words about bad key bytes ("header too long") tell a user nothing.
    fn from(_: openssl::error::ErrorStack) -> Self {
        Self::Malformed
    }
}
