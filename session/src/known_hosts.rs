//! Which keys are known for which hosts: OpenSSH's known_hosts files (sshd(8), "SSH_KNOWN_HOSTS
//! FILE FORMAT"), read once and looked up for a whole fleet.
//!
//! Nothing is decided here about keys that are not known, and nothing is written; that is
//! [`host_key`](crate::host_key)'s part. The principal type is [`KnownHosts`].
//!
//! Verdicts are those of `ssh -o StrictHostKeyChecking=yes`. One difference is wanted: a marker
//! that a tab ends is honoured, where ssh skips the line and would take the revoked key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::index::Index;
use self::parse::{Entry, Marker, Parsed};
use crate::certificate::Certificate;

pub(crate) mod append;
mod authority;
mod current;
mod hash;
mod index;
pub(crate) mod key;
mod name;
mod parse;
mod pattern;

pub(crate) use self::authority::Authority;
pub use self::name::LookupName;
pub use self::parse::BadLineReason;
pub(crate) use self::pattern::glob;

/// The known host keys of any number of files, immutable once shared.
///
/// A lookup goes to the presented key first: a host whose key is known costs the name check of
/// the lines that hold this key, however many others there are. Only an unknown key, and the
/// question which types are known, take one HMAC per hashed line; the answer is kept.
///
/// # Examples
/// ```
/// use sshoal_session::known_hosts::{KnownHosts, Verdict};
///
/// let mut known = KnownHosts::new();
/// known.add_text(b"# nobody yet\n", "memory");
/// assert_eq!(known.check("web1", 22, b"\0\0\0\x0bssh-ed25519"), Verdict::Unknown);
/// ```
#[derive(Default)]
pub struct KnownHosts {
    /// The files' names; entries refer to them by place.
    origins: Vec<Arc<Path>>,
    /// Every good line, in the order of files and lines, which is the order of precedence.
    entries: Vec<Entry>,
    bad_lines: Vec<BadLine>,
    index: Index,
}

/// What the known hosts say about a key that a host presented.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Verdict {
    /// The key is known for the host.
    Match,
    /// No key is known for the host.
    Unknown,
    /// Only other keys are known for the host, of whatever type.
    Changed {
        /// The file that holds the last of them.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// The key is marked `@revoked` for the host.
    Revoked {
        /// The file that holds the mark.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
}

/// A line that was skipped because it cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    file: Arc<Path>,
    line: usize,
    reason: BadLineReason,
}

/// A known_hosts file that is there and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("known hosts file {}", path.display())]
#[non_exhaustive]
pub struct KnownHostsError {
    /// The file.
    pub path: PathBuf,
    /// What the system said; [`io::ErrorKind::FileTooLarge`] for one past the bound of 64 MiB.
    pub source: io::Error,
}

impl KnownHosts {
    /// Returns known hosts that know nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads files in order of precedence; one that does not exist counts as empty.
    ///
    /// # Errors
    /// Fails if a file exists and cannot be read, or is larger than 64 MiB.
    pub fn load<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, KnownHostsError> {
        let mut known = Self::new();
        for path in paths {
            let path = path.as_ref();
            let text = read_file(path).map_err(|source| KnownHostsError {
                path: path.to_owned(),
                source,
            })?;
            known.add_text(&text, path);
        }
        Ok(known)
    }

    /// Adds the lines of one more file, after all others; `origin` names it in verdicts.
    ///
    /// A line that cannot be understood is skipped and kept in [`bad_lines`](Self::bad_lines).
    pub fn add_text(&mut self, text: &[u8], origin: impl AsRef<Path>) {
        let origin_at = self.origins.len();
        let file: Arc<Path> = Arc::from(origin.as_ref());
        self.origins.push(Arc::clone(&file));
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            match parse::line(line) {
                Parsed::Nothing => {}
                Parsed::Entry { marker, names, key } => {
                    let entry = Entry {
                        marker,
                        names,
                        key,
                        origin: origin_at,
                        line: at + 1,
                    };
                    self.index.add(self.entries.len(), &entry);
                    self.entries.push(entry);
                }
                Parsed::Bad(reason) => {
                    self.bad_lines.push(BadLine {
                        file: Arc::clone(&file),
                        line: at + 1,
                        reason,
                    });
                }
            }
        }
    }

    /// Judges the key that a host presented; `key_blob` is its wire form (RFC 4253 §6.6).
    ///
    /// The names are those of [`LookupName::new`].
    pub fn check(&self, name: &str, port: u16, key_blob: &[u8]) -> Verdict {
        self.check_name(&LookupName::new(name, port), key_blob)
    }

    /// As [`check`](Self::check), for names made before, such as an alias.
    pub fn check_name(&self, name: &LookupName, key_blob: &[u8]) -> Verdict {
        let verdict = self.check_lookup(name.as_str(), key_blob);
        let Some(bare) = name.fallback().filter(|_| verdict == Verdict::Unknown) else {
            return verdict;
        };
        match self.check_lookup(bare, key_blob) {
            // Another key under the plain name may belong to another daemon of the machine.
            Verdict::Changed { .. } => Verdict::Unknown,
            verdict => verdict,
        }
    }

    /// Returns the types of the keys known for a host (`ssh-ed25519`, `ssh-rsa`), in file order.
    ///
    /// Keys marked `@revoked` and certificate authorities are left out. For a port other than 22
    /// the plain name counts if nothing is known under `[name]:port`.
    pub fn known_algorithms(&self, name: &str, port: u16) -> Vec<&str> {
        self.algorithms_known_for(&LookupName::new(name, port))
    }

    /// As [`known_algorithms`](Self::known_algorithms), for names made before.
    pub(crate) fn algorithms_known_for(&self, name: &LookupName) -> Vec<&str> {
        let found = self.algorithms_of(name.as_str());
        match name.fallback() {
            Some(bare) if found.is_empty() => self.algorithms_of(bare),
            _ => found,
        }
    }

    /// Returns whether any name is hashed, so that a lookup may cost a millisecond or more.
    pub fn has_hashed(&self) -> bool {
        self.index.has_hashed()
    }

    /// Returns the lines that were skipped, for a warning.
    pub fn bad_lines(&self) -> &[BadLine] {
        &self.bad_lines
    }

    /// Returns the number of lines that hold a key.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no line holds a key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Judges a key under one name as it stands in the files.
    pub(crate) fn check_lookup(&self, lookup: &str, key_blob: &[u8]) -> Verdict {
        let mut known = false;
        let mut revoked = None;
        for at in self.index.candidates(lookup, key_blob) {
            let entry = &self.entries[at];
            let speaks = entry.key.blob() == key_blob && entry.names.matches(lookup);
            match entry.marker {
                Marker::Revoked if speaks => revoked = revoked.into_iter().chain([at]).min(),
                Marker::None if speaks => known = true,
                _ => {}
            }
        }
        if let Some(at) = revoked {
            let (file, line) = self.place(&self.entries[at]);
            return Verdict::Revoked { file, line };
        }
        if known {
            return Verdict::Match;
        }
        // As in ssh, a known key of any type makes every other key a changed one.
        let matching = self.index.matching(lookup, &self.entries);
        let other = matching
            .iter()
            .rev()
            .find(|at| self.entries[**at].marker == Marker::None);
        match other {
            Some(&at) => {
                let (file, line) = self.place(&self.entries[at]);
                Verdict::Changed { file, line }
            }
            None => Verdict::Unknown,
        }
    }

    fn algorithms_of(&self, lookup: &str) -> Vec<&str> {
        let matching = self.index.matching(lookup, &self.entries);
        let of = |marker| {
            matching
                .iter()
                .map(|at| &self.entries[*at])
                .filter(move |e| e.marker == marker)
        };
        let mut found = Vec::new();
        for entry in of(Marker::None) {
            let revoked = of(Marker::Revoked).any(|e| e.key.blob() == entry.key.blob());
            let algorithm = entry.key.algorithm();
            let is_certificate = Certificate::is_named_by(entry.key.blob());
            if !revoked && !is_certificate && !found.contains(&algorithm) {
                found.push(algorithm);
            }
        }
        found
    }

    fn place(&self, entry: &Entry) -> (PathBuf, usize) {
        (self.origins[entry.origin].to_path_buf(), entry.line)
    }
}

impl fmt::Debug for KnownHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHosts")
            .field("origins", &self.origins)
            .field("entries", &self.entries.len())
            .field("bad_lines", &self.bad_lines.len())
            .finish_non_exhaustive()
    }
}

impl BadLine {
    /// Returns the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the line's number, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns what is wrong with it.
    pub fn reason(&self) -> BadLineReason {
        self.reason
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.reason)
    }
}

/// Reads a whole file up to the bound; a missing one is empty.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match File::open(path) {
        Ok(file) => read_bounded(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Reads a file from where it stands up to the bound.
pub(crate) fn read_bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 64 MiB",
        ));
    }
    Ok(text)
}

/// A million lines; more is no known_hosts file.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests;
