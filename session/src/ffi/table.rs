//! Pointers by numbers that are never used twice, so that a stale number names nothing.

/// Entries in the order of their numbers, looked up by halving: a jump host's session has hundreds.
#[derive(Debug)]
pub(super) struct Table<T> {
    next: u64,
    entries: Vec<(u64, T)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            next: 0,
            entries: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    pub(super) fn insert(&mut self, value: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.entries.push((number, value));
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        self.place(number).map(|place| &self.entries[place].1)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let place = self.place(number)?;
        Some(self.entries.remove(place).1)
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.entries
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_number_names_nothing_ever_after() {
        let mut table = Table::default();
        let first = table.insert('a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b');
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&'b'));
        assert_eq!(table.remove(second), Some('b'));
    }
}
