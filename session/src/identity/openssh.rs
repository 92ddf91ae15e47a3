//! OpenSSH's own key format, `openssh-key-v1` (PROTOCOL.key in OpenSSH's sources).
//!
//! The container is read here, because its head must be judged before any work is done and the
//! private part should have one copy only; `ssh-key` derives the key and decrypts.

use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

use super::Fault;
use super::key::{KeyType, PrivateKey, RsaParts};
use super::load::{Loaded, erase_left_stack};
use super::wire::Reader;
use crate::secret::Secret;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// A round takes about 10 ms; `ssh-keygen` writes 16 or 24, and libssh2 obeys up to 2^20.
/// A fuzzer has no time for so many.
const ROUNDS_MAX: u32 = if cfg!(fuzzing) { 4 } else { 1024 };

/// What stands before the private part, and the private part as it is in the file.
struct Container<'a> {
    cipher: &'a str,
    kdf: &'a str,
    kdf_options: &'a [u8],
    public_blob: &'a [u8],
    private: &'a [u8],
    /// The authentication tag of the ciphers that have one.
    tag: &'a [u8],
}

/// Parses a whole file, decoded from base64.
pub(super) fn parse(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Loaded, Fault> {
    let container = Container::read(bytes).ok_or(Fault::Malformed)??;
    let key_type = key_type(container.public_blob)?;
    if container.cipher == "none" {
        if container.kdf != "none" || !container.kdf_options.is_empty() {
            return Err(Fault::Malformed);
        }
        return private_part(container.private, key_type, container.public_blob)
            .ok_or(Fault::Malformed)?;
    }
    let decrypted = container.decrypt(passphrase)?;
    let mut checks = Reader::new(&decrypted);
    if checks.u32().ok_or(Fault::Malformed)? != checks.u32().ok_or(Fault::Malformed)? {
        return Err(Fault::WrongPassphrase);
    }
    private_part(&decrypted, key_type, container.public_blob).ok_or(Fault::Malformed)?
}

/// Returns the public key, which nothing proves.
pub(super) fn public_part(bytes: &[u8]) -> Option<Vec<u8>> {
    let container = Container::read(bytes)?.ok()?;
    key_type(container.public_blob).ok()?;
    Some(container.public_blob.to_vec())
}

impl<'a> Container<'a> {
    fn read(bytes: &'a [u8]) -> Option<Result<Self, Fault>> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC)?);
        let cipher = reader.text()?;
        let kdf = reader.text()?;
        let kdf_options = reader.string()?;
        if reader.u32()? != 1 {
            return Some(Err(Fault::Unsupported("a file of several keys".to_owned())));
        }
        let public_blob = reader.string()?;
        let private = reader.string()?;
        let tag = reader.rest();
        Some(Ok(Self {
            cipher,
            kdf,
            kdf_options,
            public_blob,
            private,
            tag,
        }))
    }

    fn decrypt(&self, passphrase: Option<&Secret>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let cipher = match self.cipher.parse() {
            // `ssh-key` knows this one's name only.
            Ok(Cipher::TDesCbc) | Err(_) => return Err(unsupported("cipher", self.cipher)),
            Ok(cipher) => cipher,
        };
        if self.kdf != "bcrypt" {
            return Err(unsupported("key derivation", self.kdf));
        }
        let mut options = Reader::new(self.kdf_options);
        let salt = options.string().ok_or(Fault::Malformed)?;
        let rounds = options.u32().ok_or(Fault::Malformed)?;
        if rounds > ROUNDS_MAX {
            return Err(Fault::TooManyRounds(rounds.into()));
        }
        let whole_blocks =
            !self.private.is_empty() && self.private.len().is_multiple_of(cipher.block_size());
        let tag = match (cipher.has_tag(), self.tag) {
            (true, tag) => Some(tag.try_into().map_err(|_| Fault::Malformed)?),
            (false, []) => None,
            _ => return Err(Fault::Malformed),
        };
        if rounds == 0 || salt.is_empty() || !options.is_empty() || !whole_blocks {
            return Err(Fault::Malformed);
        }
        let passphrase = passphrase.ok_or(Fault::Encrypted)?;
        let kdf = Kdf::Bcrypt {
            salt: salt.to_vec(),
            rounds,
        };
        super::count_derivation();
        // With these parameters the derivation can only object to an empty passphrase.
        let derived = kdf.derive_key_and_iv(cipher, passphrase.expose());
        erase_left_stack();
        let (key, iv) = derived.map_err(|_| Fault::WrongPassphrase)?;
        let mut private = Zeroizing::new(self.private.to_vec());
        cipher
            .decrypt(&key, &iv, &mut private, tag)
            .map_err(|_| Fault::WrongPassphrase)?;
        Ok(private)
    }
}

fn unsupported(sort: &str, name: &str) -> Fault {
    let name: String = name
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    Fault::Unsupported(format!("{sort} {name}"))
}

/// The key's type, which stands in clear text in encrypted files too.
fn key_type(public_blob: &[u8]) -> Result<KeyType, Fault> {
    let name = Reader::new(public_blob).text().ok_or(Fault::Malformed)?;
    if let Some(known) = KeyType::ALL.into_iter().find(|known| known.name() == name) {
        return Ok(known);
    }
    if name.starts_with("sk-") {
        return Err(unsupported("security key (FIDO) type", name));
    }
    Err(unsupported("key type", name))
}

/// Reads the decrypted private part; the outer `None` is a part cut short.
fn private_part(
    bytes: &[u8],
    key_type: KeyType,
    public_blob: &[u8],
) -> Option<Result<Loaded, Fault>> {
    let mut reader = Reader::new(bytes);
    let same_checks = reader.u32()? == reader.u32()?;
    let same_type = reader.string()? == key_type.name().as_bytes();
    let key = match key_type {
        KeyType::Ed25519 => {
            let _public = reader.string()?;
            let seed_and_public: &[u8; 64] = reader.string()?.try_into().ok()?;
            PrivateKey::ed25519(&seed_and_public[..32])
        }
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::EcdsaP521 => {
            let _curve = reader.string()?;
            let point = reader.string()?;
            PrivateKey::ecdsa(key_type, point, reader.magnitude()?)
        }
        KeyType::Rsa => {
            let (n, e, d) = (
                reader.magnitude()?,
                reader.magnitude()?,
                reader.magnitude()?,
            );
            let (iqmp, p, q) = (
                reader.magnitude()?,
                reader.magnitude()?,
                reader.magnitude()?,
            );
            PrivateKey::rsa(&RsaParts {
                n,
                e,
                d,
                iqmp,
                p,
                q,
            })
        }
    };
    let comment = String::from_utf8_lossy(reader.string()?).into_owned();
    let padded = reader
        .rest()
        .iter()
        .zip(1u8..)
        .all(|(byte, want)| *byte == want);
    Some(key.and_then(|key| {
        // The public key of the head is what a user sees and installs; it must be this one's.
        if same_checks && same_type && padded && key.public_blob == public_blob {
            Ok(Loaded { key, comment })
        } else {
            Err(Fault::Malformed)
        }
    }))
}
