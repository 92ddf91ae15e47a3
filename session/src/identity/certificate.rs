//! OpenSSH user certificates: which key they certify, and from when until when.
//!
//! Only what a client needs to offer one is read; whether it lets in is for the server to judge
//! (PROTOCOL.certkeys in OpenSSH's sources).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use openssl::sha::sha256;

use super::wire::{Reader, put_string};
use super::{Fault, IdentityError};

const SUFFIX: &str = "-cert-v01@openssh.com";

/// The number of user certificates; 2 is a host's.
const TYPE_USER: u32 = 1;

/// OpenSSH's certificates are a few hundred bytes; those with many principals a few thousand.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// An OpenSSH user certificate (`CertificateFile`): a public key with an authority's signature.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCertificate {
    blob: Vec<u8>,
    algorithm: String,
    /// The key that is certified, in its plain form.
    key_blob: Vec<u8>,
    key_id: String,
    serial: u64,
    valid_after: u64,
    valid_before: u64,
}

impl UserCertificate {
    /// Loads a certificate file, as `ssh-keygen -s` writes it (`id_ed25519-cert.pub`).
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: unreadable, too large, or no user certificate.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let text = read_small(path)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a certificate out of the one line that its file has; the name stands for the path in
    /// messages.
    ///
    /// # Errors
    ///
    /// As [`UserCertificate::load`], but for those about the file itself.
    pub fn parse(text: &[u8], name: &str) -> Result<Self, IdentityError> {
        let (blob, _) = public_line(text).ok_or(Fault::Malformed.at(Path::new(name)))?;
        Self::from_blob(blob).map_err(|fault| fault.at(Path::new(name)))
    }

    /// Returns the certificate in the form that a server is offered.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Returns the certificate's type, for example `ssh-ed25519-cert-v01@openssh.com`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns the public key that is certified, in the form of RFC 4253 §6.6.
    pub fn key_blob(&self) -> &[u8] {
        &self.key_blob
    }

    /// Returns the name that the authority gave it; foreign text.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the number that the authority gave it.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns whether it is valid at a moment, by its own word.
    pub fn is_valid_at(&self, moment: SystemTime) -> bool {
        let since = moment.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.unwrap_or(Duration::ZERO).as_secs();
        (self.valid_after..self.valid_before).contains(&seconds)
    }

    pub(crate) fn from_blob(blob: Vec<u8>) -> Result<Self, Fault> {
        let read = Self::read(&blob).ok_or(Fault::Malformed)?;
        let mut read = read?;
        read.blob = blob;
        Ok(read)
    }

    fn read(blob: &[u8]) -> Option<Result<Self, Fault>> {
        let mut reader = Reader::new(blob);
        let algorithm = reader.text()?.to_owned();
        let Some(plain) = plain_algorithm(&algorithm) else {
            return Some(Err(Fault::Unsupported(
                "a key that is no certificate".into(),
            )));
        };
        let fields = match plain.as_str() {
            "ssh-ed25519" => 1,
            "ssh-rsa" | "sk-ssh-ed25519@openssh.com" => 2,
            "sk-ecdsa-sha2-nistp256@openssh.com" => 3,
            name if name.starts_with("ecdsa-sha2-nistp") => 2,
            _ => return Some(Err(Fault::Unsupported("its certificate type".into()))),
        };
        let _nonce = reader.string()?;
        let mut key_blob = Vec::new();
        put_string(&mut key_blob, plain.as_bytes());
        for _ in 0..fields {
            put_string(&mut key_blob, reader.string()?);
        }
        let serial = reader.u64()?;
        let sort = reader.u32()?;
        let key_id = String::from_utf8_lossy(reader.string()?).into_owned();
        let _principals = reader.string()?;
        let (valid_after, valid_before) = (reader.u64()?, reader.u64()?);
        for _options_and_signature in 0..5 {
            reader.string()?;
        }
        if !reader.is_empty() {
            return None;
        }
        if sort != TYPE_USER {
            return Some(Err(Fault::Unsupported("a host's certificate".into())));
        }
        Some(Ok(Self {
            blob: Vec::new(),
            algorithm,
            key_blob,
            key_id,
            serial,
            valid_after,
            valid_before,
        }))
    }
}

impl fmt::Debug for UserCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCertificate")
            .field("algorithm", &self.algorithm)
            .field("key", &fingerprint(&self.key_blob))
            .field("key_id", &self.key_id)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Returns the fingerprint of a public key as `ssh-keygen -l` prints it.
pub(crate) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(blob)))
}

/// Returns the name of the key or signature algorithm that a certificate's is made of, and `None`
/// for any other.
pub(crate) fn plain_algorithm(algorithm: &str) -> Option<String> {
    let plain = algorithm.strip_suffix(SUFFIX)?;
    Some(match plain.starts_with("sk-") {
        true => format!("{plain}@openssh.com"),
        false => plain.to_owned(),
    })
}

/// Reads the blob and the comment of a public key's line: type, base64, comment.
pub(super) fn public_line(text: &[u8]) -> Option<(Vec<u8>, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let (sort, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (encoded, comment) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let blob = STANDARD.decode(encoded).ok()?;
    // The word before must be the one within, as people go by it.
    let same = Reader::new(&blob).text() == Some(sort);
    same.then(|| (blob, comment.trim().to_owned()))
}

/// Reads a file of public matter.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, IdentityError> {
    use std::io::Read as _;
    let unreadable = |source| IdentityError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    match u64::try_from(text.len()) {
        Ok(0..=FILE_BYTES_MAX) => Ok(text),
        _ => Err(Fault::TooLarge.at(path)),
    }
}

/// Where `ssh-keygen -s` puts the certificate of an identity.
pub(super) fn beside(identity: &Path) -> PathBuf {
    let mut name = identity.as_os_str().to_owned();
    name.push("-cert.pub");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tells_a_certificates_algorithm_from_its_keys() {
        for (whole, plain) in [
            ("ssh-ed25519-cert-v01@openssh.com", Some("ssh-ed25519")),
            ("rsa-sha2-512-cert-v01@openssh.com", Some("rsa-sha2-512")),
            (
                "sk-ssh-ed25519-cert-v01@openssh.com",
                Some("sk-ssh-ed25519@openssh.com"),
            ),
            ("ssh-ed25519", None),
        ] {
            assert_eq!(plain_algorithm(whole).as_deref(), plain);
        }
    }

    #[test]
    fn a_line_whose_two_types_differ_is_none() {
        let mut blob = Vec::new();
        put_string(&mut blob, b"ssh-ed25519");
        let encoded = STANDARD.encode(&blob);
        let line = format!("# a comment\n\nssh-ed25519 {encoded} me@here\n");
        let (read, comment) = public_line(line.as_bytes()).unwrap();
        assert_eq!((read, comment.as_str()), (blob, "me@here"));
        assert_eq!(public_line(format!("ssh-rsa {encoded}").as_bytes()), None);
        assert_eq!(public_line(b"ssh-ed25519"), None);
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut blob = Vec::new();
            put_string(&mut blob, b"ssh-ed25519-cert-v01@openssh.com");
            blob.extend(bytes);
            let _ = UserCertificate::from_blob(blob);
        }
    }
}
