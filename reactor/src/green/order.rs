//! Numbered things that come in any order, given out by number.

use std::collections::VecDeque;

/// Holds what came before its turn. Numbers begin at 0, and each is put once.
#[derive(Debug)]
pub(super) struct Order<T> {
    /// The things from number `next` on, as far as they are there.
    waiting: VecDeque<Option<T>>,
    next: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            next: 0,
        }
    }
}

impl<T> Order<T> {
    /// Takes what has this number.
    pub(super) fn put(&mut self, number: usize, thing: T) {
        let place = number
            .checked_sub(self.next)
            .expect("a number is put once, before its turn");
        while self.waiting.len() <= place {
            self.waiting.push_back(None);
        }
        self.waiting[place] = Some(thing);
    }

    /// Gives what is next by number, if it is there.
    pub(super) fn take(&mut self) -> Option<T> {
        let thing = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.next += 1;
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers come in any order, and are taken out at any time between: they go out in order, each
    /// as soon as all before it are there.
    fn check(arrivals: &[usize], take_after: &[bool]) -> Result<(), TestCaseError> {
        let (mut order, mut given) = (Order::default(), Vec::new());
        for (come, number) in arrivals.iter().enumerate() {
            order.put(*number, *number);
            if take_after[come] {
                given.extend(std::iter::from_fn(|| order.take()));
                let there = &arrivals[..=come];
                let ready = (0..).take_while(|n| there.contains(n)).count();
                prop_assert_eq!(given.len(), ready);
            }
        }
        given.extend(std::iter::from_fn(|| order.take()));
        prop_assert_eq!(given, (0..arrivals.len()).collect::<Vec<_>>());
        Ok(())
    }

    proptest! {
        #[test]
        fn numbers_go_out_in_order_whatever_order_they_come_in(
            arrivals in (0usize..40).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
            take_after in prop::collection::vec(any::<bool>(), 40),
        ) {
            check(&arrivals, &take_after)?;
        }
    }
}
