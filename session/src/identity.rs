//! Private keys: parsed and decrypted once for a fleet, then shared by every session that signs.
//!
//! Law S9: libssh2 never sees the private key. It is given [`Identity::public_blob`] and asks for
//! signatures through a callback, which [`Identity::signature_algorithm`] and [`Identity::sign`]
//! answer. The principal type is [`Identity`]. Keys that an agent holds are `agent`'s matter.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sshoal_reactor::offload;
use zeroize::Zeroizing;

use crate::secret::Secret;
pub use certificate::UserCertificate;
use key::PrivateKey;

pub(crate) mod certificate;
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
    /// `None` where an agent holds the private key.
    key: Option<PrivateKey>,
    /// The public key (RFC 4253 §6.6).
    public_blob: Vec<u8>,
    /// Offered before the key itself.
    certificates: Vec<Arc<UserCertificate>>,
    comment: String,
}

/// Decryptions that derived a key from a passphrase.
static DERIVATIONS: AtomicU64 = AtomicU64::new(0);

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
    /// The certificate certifies another key.
    #[error("the certificate is not for identity {name}")]
    OtherCertificate {
        /// The identity's name.
        name: String,
    },
    /// The identity is a public key; only an agent can sign for it.
    #[error("identity {name} has no private key here")]
    PublicOnly {
        /// The identity's name.
        name: String,
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
    /// given for a key that is not encrypted is left unused. A user certificate beside the file,
    /// named as it with `-cert.pub` behind, is taken along; one that is damaged or of another key
    /// is left out. The file is read in blocking manner; decrypting, which takes tens of
    /// milliseconds or more of CPU time, is done on the pool for that. Parks.
    ///
    /// # Errors
    ///
    /// Every [`IdentityError`] but those about signing and certificates.
    pub fn load(path: &Path, passphrase: Option<&Secret>) -> Result<Self, IdentityError> {
        let bytes = load::read_file(path)?;
        let mut identity = Self::decrypt(bytes, path, passphrase)?;
        identity.take_certificate_beside(path);
        Ok(identity)
    }

    /// Loads a public key file (`id_ed25519.pub`) whose private key an agent holds.
    ///
    /// A path without `.pub` is understood as that of the private key, and the public key is read
    /// from the file beside it, or else from the private key's, where OpenSSH's own format has it
    /// in the clear. A certificate beside is taken along as [`Identity::load`] does.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: unreadable, too large, or no public key.
    pub fn load_public(path: &Path) -> Result<Self, IdentityError> {
        let (private, public) = match path.extension() {
            Some(extension) if extension == "pub" => (path.with_extension(""), path.to_owned()),
            _ => {
                let mut public = path.as_os_str().to_owned();
                public.push(".pub");
                (path.to_owned(), PathBuf::from(public))
            }
        };
        let mut identity = match certificate::read_small(&public) {
            Ok(text) => Self::public(&text, &public.display().to_string())?,
            Err(error) => Self::public_part_of(&private).ok_or(error)?,
        };
        identity.take_certificate_beside(&private);
        Ok(identity)
    }

    fn public_part_of(private: &Path) -> Option<Self> {
        let public_blob = load::public_part(&load::read_file(private).ok()?)?;
        Some(Self {
            name: private.display().to_string(),
            key: None,
            public_blob,
            certificates: Vec::new(),
            comment: String::new(),
        })
    }

    /// Reads a public key out of the line that its file has, as [`Identity::load_public`] does.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Malformed`] if it is none.
    pub fn public(text: &[u8], name: &str) -> Result<Self, IdentityError> {
        let malformed = || Fault::Malformed.at(Path::new(name));
        let (blob, comment) = certificate::public_line(text).ok_or_else(malformed)?;
        let (public_blob, certificates) = match UserCertificate::from_blob(blob.clone()) {
            Ok(certificate) => (certificate.key_blob().to_vec(), vec![Arc::new(certificate)]),
            Err(_) => (blob, Vec::new()),
        };
        Ok(Self {
            name: name.to_owned(),
            key: None,
            public_blob,
            certificates,
            comment,
        })
    }

    /// Reads a private key out of bytes, as [`Identity::load`] does out of a file. Parks.
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
        Self::decrypt(Zeroizing::new(bytes.to_vec()), Path::new(name), passphrase)
    }

    /// As [`Identity::from_bytes`], for a key that never was in a file.
    ///
    /// # Errors
    ///
    /// As [`Identity::from_bytes`].
    pub fn parse(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Self, IdentityError> {
        Self::from_bytes(bytes, "(memory)", passphrase)
    }

    /// Adds a certificate of this key (`CertificateFile`), offered before the key itself.
    ///
    /// # Errors
    ///
    /// [`IdentityError::OtherCertificate`] if it certifies another key.
    pub fn with_certificate(mut self, certificate: UserCertificate) -> Result<Self, IdentityError> {
        if certificate.key_blob() != self.public_blob {
            return Err(IdentityError::OtherCertificate { name: self.name });
        }
        self.certificates.push(Arc::new(certificate));
        Ok(self)
    }

    /// Returns the certificates that are offered before the key itself.
    pub fn certificates(&self) -> &[Arc<UserCertificate>] {
        &self.certificates
    }

    /// Returns whether it can sign by itself; otherwise an agent has to.
    pub fn has_private_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns how many keys this process has derived from passphrases: for tests.
    #[doc(hidden)]
    pub fn derivations() -> u64 {
        DERIVATIONS.load(Ordering::Relaxed)
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
    /// For a certificate's algorithm it is that of the key. It costs CPU time (RSA most: a
    /// millisecond), so offload it.
    ///
    /// # Errors
    ///
    /// [`IdentityError::AlgorithmRefused`] for `ssh-rsa` and for algorithms of other key types;
    /// [`IdentityError::PublicOnly`] without a private key; [`IdentityError::Sign`] if the crypto
    /// library fails.
    pub fn sign(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let plain = certificate::plain_algorithm(algorithm);
        match &self.key {
            Some(key) => sign::sign(key, &self.name, plain.as_deref().unwrap_or(algorithm), data),
            None => Err(IdentityError::PublicOnly {
                name: self.name.clone(),
            }),
        }
    }

    /// Returns the path or the name that the identity was loaded by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key's type, for example `ssh-ed25519`; for RSA it is `ssh-rsa`.
    pub fn algorithm(&self) -> &str {
        wire::Reader::new(&self.public_blob).text().unwrap_or("")
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
        certificate::fingerprint(&self.public_blob)
    }

    fn decrypt(
        bytes: Zeroizing<Vec<u8>>,
        path: &Path,
        passphrase: Option<&Secret>,
    ) -> Result<Self, IdentityError> {
        let loaded = match passphrase {
            None => load::parse(&bytes, None),
            Some(passphrase) => {
                let passphrase = Secret::from(passphrase.expose().to_vec());
                offload(move || load::parse(&bytes, Some(&passphrase)))
                    .unwrap_or(Err(Fault::Malformed))
            }
        };
        let loaded = loaded.map_err(|fault| fault.at(path))?;
        Ok(Self {
            name: path.display().to_string(),
            public_blob: loaded.key.public_blob.clone(),
            key: Some(loaded.key),
            certificates: Vec::new(),
            comment: loaded.comment,
        })
    }

    fn take_certificate_beside(&mut self, path: &Path) {
        match UserCertificate::load(&certificate::beside(path)) {
            Ok(certificate) if certificate.key_blob() == self.public_blob => {
                self.certificates.push(Arc::new(certificate));
            }
            Ok(_) => tracing::debug!(identity = self.name, "the certificate is of another key"),
            Err(IdentityError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::debug!(identity = self.name, %error, "no certificate"),
        }
    }
}

/// Takes note of a derivation.
fn count_derivation() {
    DERIVATIONS.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm())
            .field("fingerprint", &self.fingerprint())
            .field("certificates", &self.certificates.len())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a key's bytes, before the path is known.
#[derive(Debug)]
pub(crate) enum Fault {
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
