//! Keys that are refused whoever shows them (ssh_config(5), `RevokedHostKeys`): a list of public
//! keys, one a line.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::certificate::Certificate;
use crate::known_hosts::key::Key;
use crate::known_hosts::read_bounded;

/// Keys of hosts and CAs that are refused whoever shows them.
#[derive(Default)]
pub struct RevokedKeys {
    file: PathBuf,
    /// Key blob to line, from 1.
    lines: HashMap<Box<[u8]>, usize>,
}

/// Why a list of revoked keys cannot be used. Without it no host can be trusted.
#[derive(Debug, thiserror::Error)]
#[error("revoked host keys file {}", path.display())]
#[non_exhaustive]
pub struct RevokedKeysError {
    /// The file.
    pub path: PathBuf,
    /// What the system said; [`io::ErrorKind::InvalidData`] for a line that is no key,
    /// [`io::ErrorKind::Unsupported`] for a binary revocation list.
    pub source: io::Error,
}

impl RevokedKeys {
    /// Reads a file of public keys, one a line as in `id_ed25519.pub`; blank lines and comments
    /// are skipped. A certificate stands for the key in it.
    ///
    /// # Errors
    /// Fails if the file cannot be read or a line cannot be understood, as a key that is skipped
    /// would be trusted. A revocation list made by `ssh-keygen -k` is not understood.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RevokedKeysError> {
        let path = path.as_ref();
        let lines = File::open(path)
            .and_then(|file| read_bounded(&file))
            .and_then(|text| parse(&text));
        match lines {
            Ok(lines) => Ok(Self {
                file: path.to_owned(),
                lines,
            }),
            Err(source) => Err(RevokedKeysError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns where a key is listed, if it is.
    pub(super) fn line_of(&self, blob: &[u8]) -> Option<(PathBuf, usize)> {
        let line = self.lines.get(blob)?;
        Some((self.file.clone(), *line))
    }
}

impl fmt::Debug for RevokedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedKeys")
            .field("file", &self.file)
            .field("keys", &self.lines.len())
            .finish()
    }
}

fn parse(text: &[u8]) -> io::Result<HashMap<Box<[u8]>, usize>> {
    if text.starts_with(b"SSHKRL\n\0") {
        let message = "a binary revocation list (KRL) is not supported, a list of keys is";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let mut found = HashMap::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let key = key_of(line).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is no public key", at + 1),
            )
        })?;
        found.entry(key.blob().into()).or_insert(at + 1);
    }
    Ok(found)
}

fn key_of(line: &[u8]) -> Option<Key> {
    let mut fields = line
        .split(|byte| b" \t".contains(byte))
        .filter(|f| !f.is_empty());
    let (algorithm, base64) = (fields.next()?, fields.next()?);
    let certified = || Some(Certificate::from_fields(algorithm, base64)?.key);
    Key::from_fields(algorithm, base64).or_else(certified)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed25519(number: u8) -> Key {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend([number; 32]);
        Key::from_blob(&blob).unwrap()
    }

    #[test]
    fn finds_the_lines_of_listed_keys_only() {
        let one = ed25519(1);
        let text = format!("# revoked\n\n  {} comment\r\n", one.to_fields());
        let lines = parse(text.as_bytes()).unwrap();
        assert_eq!(lines.get(one.blob()), Some(&3));
        assert_eq!(lines.get(ed25519(2).blob()), None);
    }

    #[test]
    fn a_line_that_cannot_be_understood_is_an_error() {
        for text in ["nonsense", "ssh-ed25519 AAAA", "h ssh-ed25519 AAAA"] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
        }
        let error = parse(b"SSHKRL\n\0\0\0\0\x01").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(RevokedKeys::load("/nonexistent/file").is_err());
    }
}
