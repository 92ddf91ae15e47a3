//! Buffers that pass from session to session: one that has fallen empty is the next one's, on the
//! same thread.
//!
//! A session's queues are empty while it waits, and thousands wait; a buffer of their own for each
//! would be memory, one from the allocator for each packet a good part of what the packet costs.

use std::cell::Cell;

/// Bytes of a fresh buffer: as many as are read from the socket at once.
const FRESH_BYTES: usize = 32 * 1024;
/// A larger one goes back to the allocator.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// As many as one call fills: what came, and what goes.
type Place = [Vec<u8>; 2];

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Returns an empty buffer.
// Not inlined, as below: the address of a thread-local must not be kept across a switch (law G5).
#[inline(never)]
pub(super) fn take() -> Vec<u8> {
    let taken = PLACE.try_with(|place| {
        let mut both = place.take();
        let which = usize::from(both[0].capacity() == 0);
        let taken = std::mem::take(&mut both[which]);
        place.set(both);
        taken
    });
    match taken {
        Ok(taken) if taken.capacity() > 0 => taken,
        _ => Vec::with_capacity(FRESH_BYTES),
    }
}

/// Takes back a buffer whose bytes are no longer of use; leaves one without memory.
#[inline(never)]
pub(super) fn give_back(buffer: &mut Vec<u8>) {
    let mut buffer = std::mem::take(buffer);
    if !(FRESH_BYTES..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    // A thread at its end has no place any more.
    let _ = PLACE.try_with(|place| {
        let mut both = place.take();
        if let Some(free) = both.iter_mut().find(|kept| kept.capacity() == 0) {
            *free = buffer;
        }
        place.set(both);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_given_again_empty_and_a_large_one_is_not() {
        let mut first = take();
        first.extend(b"left over");
        let at = first.as_ptr();
        give_back(&mut first);
        assert_eq!(first.capacity(), 0);
        let again = take();
        assert_eq!((again.as_ptr(), again.len()), (at, 0));
        let mut large = Vec::with_capacity(KEPT_BYTES_MAX + 1);
        large.push(1);
        give_back(&mut large);
        assert!(take().capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn a_third_one_goes_to_the_allocator() {
        let mut all = [take(), take(), take()];
        all.iter_mut().for_each(give_back);
        let two = [take(), take()];
        assert!(two.iter().all(|buffer| buffer.capacity() >= FRESH_BYTES));
    }
}
