//! What known_hosts lines say about a host certificate and about whose certificates count.

use std::path::PathBuf;

use super::parse::Marker;
use super::{KnownHosts, LookupName};
use crate::certificate::Certificate;

/// What the known hosts say about the CA of a host's certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    /// An `@cert-authority` line for the host has it.
    Trusted,
    Unknown,
    /// It, or the key that it certifies, is marked `@revoked` for the host.
    Revoked {
        file: PathBuf,
        line: usize,
    },
}

impl KnownHosts {
    /// Judges who signed a certificate; not the signature, nor what the certificate says.
    ///
    /// For a port other than 22 the plain name counts too. A mark under either name is final,
    /// where ssh would go on to look for the plain key alone.
    pub(crate) fn authority(&self, name: &LookupName, certificate: &Certificate) -> Authority {
        let authority = self.authority_of(name.as_str(), certificate);
        match name.fallback() {
            Some(bare) if authority == Authority::Unknown => self.authority_of(bare, certificate),
            _ => authority,
        }
    }

    /// Returns whether certificates can count for a host: an `@cert-authority` line names it. For a
    /// port other than 22 a line with the plain name counts too.
    pub(crate) fn has_authority(&self, name: &LookupName) -> bool {
        let bare = name.fallback();
        self.names_authority(name.as_str()) || bare.is_some_and(|bare| self.names_authority(bare))
    }

    /// Returns whether plain keys say more of a host than its CA: they are known for its port, the
    /// CA is known for the name without a port only.
    pub(crate) fn keys_precede_authority(&self, name: &LookupName) -> bool {
        !self.names_authority(name.as_str()) && !self.algorithms_of(name.as_str()).is_empty()
    }

    fn names_authority(&self, lookup: &str) -> bool {
        let mut entries = self.index.authorities().iter();
        entries.any(|at| self.entries[*at].names.matches(lookup))
    }

    fn authority_of(&self, lookup: &str, certificate: &Certificate) -> Authority {
        let [key, ca] = [certificate.key.blob(), certificate.ca.blob()];
        let speaks = |at: &usize| self.entries[*at].names.matches(lookup);
        let marked = |at: &usize| {
            let entry = &self.entries[*at];
            entry.marker == Marker::Revoked && [key, ca].contains(&entry.key.blob())
        };
        let candidates = [key, ca].map(|blob| self.index.candidates(lookup, blob));
        let revoked = candidates.into_iter().flatten();
        if let Some(at) = revoked.filter(|at| marked(at) && speaks(at)).min() {
            let (file, line) = self.place(&self.entries[at]);
            return Authority::Revoked { file, line };
        }
        let mut trusted = self.index.authorities().iter();
        if trusted.any(|at| self.entries[*at].key.blob() == ca && speaks(at)) {
            Authority::Trusted
        } else {
            Authority::Unknown
        }
    }
}
