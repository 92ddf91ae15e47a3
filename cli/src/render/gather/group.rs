//! Hosts that ended alike and wrote the same.

use std::borrow::Cow;
use std::io;

use super::super::fuzzy::{self, Place, Reading};
use super::super::kept::{Kept, Store};

/// Hosts that ended alike and wrote the same.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) verdict: String,
    /// Whether the first host wrote more than was collected.
    pub(super) is_cut: bool,
    /// What the first host wrote to standard output and standard error.
    pub(super) said: [Kept; 2],
    /// The first host's label and name.
    pub(super) first: (String, String),
    /// The readings of what the first host wrote.
    pub(super) owns: Vec<Own>,
    /// In the order in which they ended, until the end.
    pub(super) hosts: Vec<usize>,
    /// How often hosts of it were shown; its output is with the first of them.
    pub(super) pieces: usize,
}

/// A reading of what a group's first host wrote, and where other hosts wrote something else.
#[derive(Debug)]
pub(super) struct Own {
    digest: [u8; 32],
    said: [Reading; 2],
    /// By place, whether some host differs there.
    differs: [Vec<bool>; 2],
}

impl Own {
    pub(super) fn new(digest: [u8; 32], said: [Reading; 2]) -> Self {
        let differs = [0, 1].map(|stream| vec![false; said[stream].places.len()]);
        Self {
            digest,
            said,
            differs,
        }
    }
}

impl Group {
    /// Notes where a host that is read alike differs.
    pub(super) fn note(&mut self, digest: &[u8; 32], said: &[Reading; 2]) {
        let Some(own) = self.owns.iter_mut().find(|own| own.digest == *digest) else {
            return;
        };
        for (stream, other) in said.iter().enumerate() {
            let places = own.said[stream].places.iter().zip(&other.places);
            for (differs, (place, other)) in own.differs[stream].iter_mut().zip(places) {
                *differs |= place.differs(other);
            }
        }
    }

    /// Returns what its hosts wrote, with what differs between them masked.
    pub(super) fn text<'a>(&'a self, stream: usize, store: &Store) -> io::Result<Cow<'a, [u8]>> {
        let bytes = store.read(&self.said[stream])?;
        let mut places: Vec<&Place> = Vec::new();
        for own in &self.owns {
            let all = own.said[stream].places.iter().zip(&own.differs[stream]);
            places.extend(all.filter(|(_, differs)| **differs).map(|(place, _)| place));
        }
        if places.is_empty() {
            return Ok(bytes);
        }
        places.sort_by_key(|place| place.range.start);
        Ok(Cow::Owned(fuzzy::masked(&bytes, &places)))
    }

    /// Returns what is said of it besides its hosts' names.
    pub(super) fn remarks(&self, is_empty: bool) -> String {
        let verdict = (self.verdict != "ok").then_some(self.verdict.as_str());
        let empty = is_empty.then_some("no output");
        let cut = self.is_cut.then_some("output cut");
        let remarks: Vec<&str> = [verdict, empty, cut].into_iter().flatten().collect();
        match remarks.is_empty() {
            true => String::new(),
            false => format!(": {}", remarks.join(", ")),
        }
    }
}
