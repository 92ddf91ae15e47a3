//! The hosts whose sessions are open and idle, by age.

use std::collections::{BTreeMap, HashMap};

/// At most one idle session per host, the oldest found first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    by_age: BTreeMap<u64, usize>,
    ages: HashMap<usize, u64>,
    /// Counts sessions put here; larger is younger.
    age: u64,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.ages.len()
    }

    pub(super) fn contains(&self, host: usize) -> bool {
        self.ages.contains_key(&host)
    }

    /// Adds a host's session; the host must have none here.
    pub(super) fn put(&mut self, host: usize) {
        self.age += 1;
        self.by_age.insert(self.age, host);
        let before = self.ages.insert(host, self.age);
        debug_assert!(before.is_none(), "one kept session per host");
    }

    pub(super) fn take(&mut self, host: usize) {
        if let Some(age) = self.ages.remove(&host) {
            self.by_age.remove(&age);
        }
    }

    pub(super) fn take_oldest(&mut self) -> Option<usize> {
        let (_, host) = self.by_age.pop_first()?;
        self.ages.remove(&host);
        Some(host)
    }
}
