//! Finding the lines that speak of a key or of a host without reading all of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::hash::{HashedName, Lookup};
use super::parse::{Entry, Marker};
use super::pattern::Names;

/// The ways to the entries, which are meant by their place in the list.
#[derive(Default)]
pub(super) struct Index {
    /// Key blob to entries whose names cannot be looked up: patterns and hashes. Plain names are
    /// left out, because a whole fleet may share one key.
    by_key: HashMap<Box<[u8]>, Vec<usize>>,
    /// Plain name to entries.
    by_name: HashMap<Box<[u8]>, Vec<usize>>,
    /// Entries whose patterns must be tried one by one.
    patterns: Vec<usize>,
    /// Entries of certificate authorities, whatever their names: there are few.
    authorities: Vec<usize>,
    /// Hashes that must be tried one by one, with their entries; side by side, because all of
    /// them are read for one lookup.
    hashed: Vec<(HashedName, usize)>,
    /// Which hashed entries match a name: one HMAC each, so worth keeping. Held only to look up
    /// and to insert, never while hashing.
    hashed_matches: Mutex<HashMap<Box<str>, Arc<[usize]>>>,
}

impl Index {
    pub(super) fn add(&mut self, at: usize, entry: &Entry) {
        if !matches!(entry.names, Names::Plain(_)) {
            let with_key = self.by_key.entry(entry.key.blob().into()).or_default();
            with_key.push(at);
        }
        if entry.marker == Marker::CertAuthority {
            self.authorities.push(at);
        }
        match &entry.names {
            Names::Plain(names) => {
                for name in names {
                    let entries = self.by_name.entry(name.clone()).or_default();
                    // A name may stand twice in a line.
                    if entries.last() != Some(&at) {
                        entries.push(at);
                    }
                }
            }
            Names::Patterns(_) => self.patterns.push(at),
            Names::Hashed(hashed) => {
                self.hashed.push((**hashed, at));
                self.hashed_matches.get_mut().clear();
            }
        }
    }

    pub(super) fn has_hashed(&self) -> bool {
        !self.hashed.is_empty()
    }

    /// Returns the entries that hold a key and may be for a name: those with that plain name, of
    /// any key, and those of that key with patterns or hashes, which are still to be tried.
    pub(super) fn candidates(&self, lookup: &str, blob: &[u8]) -> impl Iterator<Item = usize> {
        let plain = self.by_name.get(lookup.as_bytes()).into_iter().flatten();
        let others = self.by_key.get(blob).into_iter().flatten();
        plain.chain(others).copied()
    }

    /// Returns the entries of certificate authorities, in order.
    pub(super) fn authorities(&self) -> &[usize] {
        &self.authorities
    }

    /// Returns the entries whose names match, in order; `lookup` is lowercase.
    pub(super) fn matching(&self, lookup: &str, entries: &[Entry]) -> Vec<usize> {
        let mut found = self
            .by_name
            .get(lookup.as_bytes())
            .cloned()
            .unwrap_or_default();
        let of_patterns = self
            .patterns
            .iter()
            .filter(|at| entries[**at].names.matches(lookup));
        found.extend(of_patterns);
        if self.has_hashed() {
            found.extend_from_slice(&self.matching_hashed(lookup));
        }
        found.sort_unstable();
        found
    }

    fn matching_hashed(&self, lookup: &str) -> Arc<[usize]> {
        if let Some(found) = self.hashed_matches.lock().get(lookup) {
            return Arc::clone(found);
        }
        let ready = Lookup::new(lookup);
        let matching = self
            .hashed
            .iter()
            .filter(|(hashed, _)| hashed.matches(&ready));
        let found: Arc<[usize]> = matching.map(|(_, at)| *at).collect();
        let mut kept = self.hashed_matches.lock();
        if kept.len() < KEPT_NAMES_MAX {
            kept.insert(lookup.into(), Arc::clone(&found));
        }
        found
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("keys", &self.by_key.len())
            .field("names", &self.by_name.len())
            .field("patterns", &self.patterns.len())
            .field("hashed", &self.hashed.len())
            .finish_non_exhaustive()
    }
}

/// Several fleets of the largest size in view; past it names are hashed anew each time.
const KEPT_NAMES_MAX: usize = 100_000;
