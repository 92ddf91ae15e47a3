//! The deadlines that are set, by time: pure, the clock is the caller's.
//!
//! A tree ordered by time and number stands in for a heap, because most deadlines are removed
//! before they come due, and a heap cannot remove from its middle.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names one entry of [`Deadlines`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadlineKey {
    at: Instant,
    number: u64,
}

/// Entries by the time they come due, those of equal time in the order they were set.
#[derive(Debug)]
pub struct Deadlines<T> {
    entries: BTreeMap<DeadlineKey, T>,
    /// Never reused, so that a key of a removed entry names nothing.
    next_number: u64,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            next_number: 0,
        }
    }
}

impl<T> Deadlines<T> {
    /// Adds an entry that comes due at `at`.
    pub fn insert(&mut self, at: Instant, value: T) -> DeadlineKey {
        let key = DeadlineKey {
            at,
            number: self.next_number,
        };
        self.next_number += 1;
        self.entries.insert(key, value);
        key
    }

    /// Removes an entry; `None` if it was removed or came due before.
    pub fn remove(&mut self, key: DeadlineKey) -> Option<T> {
        self.entries.remove(&key)
    }

    /// Returns when the next entry comes due.
    pub fn next_at(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(key, _)| key.at)
    }

    /// Removes and returns the earliest entry if it is due at `now`.
    #[must_use]
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.entries.first_entry()?;
        (entry.key().at <= now).then(|| entry.remove())
    }

    /// Returns how many entries are set.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no entry is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[derive(Debug, Clone)]
    enum Operation {
        Insert(u64),
        Remove(usize),
        Expire(u64),
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let one = prop_oneof![
            (0u64..100).prop_map(Operation::Insert),
            (0usize..64).prop_map(Operation::Remove),
            (0u64..100).prop_map(Operation::Expire),
        ];
        prop::collection::vec(one, 0..200)
    }

    proptest! {
        /// Against a plain list: what comes due, in which order, and what stays, are the same.
        #[test]
        fn deadlines_agree_with_a_sorted_list(operations in operations()) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let mut deadlines = Deadlines::default();
            let mut model: Vec<(u64, usize, DeadlineKey)> = Vec::new();
            let mut keys = Vec::new();
            for operation in operations {
                match operation {
                    Operation::Insert(ms) => {
                        let key = deadlines.insert(at(ms), keys.len());
                        model.push((ms, keys.len(), key));
                        keys.push(key);
                    }
                    Operation::Remove(index) => {
                        let Some(key) = keys.get(index) else { continue };
                        let expected = model.iter().position(|entry| entry.2 == *key);
                        let removed = deadlines.remove(*key);
                        prop_assert_eq!(removed, expected.map(|at| model.remove(at).1));
                    }
                    Operation::Expire(ms) => {
                        model.sort_by_key(|entry| (entry.0, entry.1));
                        while let Some(value) = deadlines.pop_due(at(ms)) {
                            let first = model.remove(0);
                            prop_assert!(first.0 <= ms);
                            prop_assert_eq!(first.1, value);
                        }
                        prop_assert!(model.first().is_none_or(|entry| entry.0 > ms));
                    }
                }
                prop_assert_eq!(deadlines.len(), model.len());
                prop_assert_eq!(deadlines.is_empty(), model.is_empty());
                prop_assert_eq!(deadlines.next_at(), model.iter().map(|e| at(e.0)).min());
            }
        }
    }
}
