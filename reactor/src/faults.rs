//! Made-up panics at waits, for tests of who is harmed by one; not built without the feature
//! `faults`.
//!
//! Each green thread, or plain one, counts its own waits.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

may::coroutine_local!(static WAITS_LEFT: Cell<u32> = Cell::new(0));

/// How many waits each host has before it panics; 0 is never.
static PLAN: OnceLock<fn(usize) -> u32> = OnceLock::new();
static FIRED: AtomicUsize = AtomicUsize::new(0);

/// Has each host of a pool panic at the wait that `plan` names, counted from 1; 0 is at none. The
/// first plan of a process counts.
pub fn plan(plan: fn(host: usize) -> u32) {
    let _ = PLAN.set(plan);
}

/// Begins to count the waits of the calling thread, which works on a host from here on.
pub fn enter(host: usize) {
    let waits = PLAN.get().map_or(0, |plan| plan(host));
    WAITS_LEFT.with(|left| left.set(waits));
}

/// Ends the count.
pub fn leave() {
    WAITS_LEFT.with(|left| left.set(0));
}

/// Returns how many panics there were.
pub fn fired() -> usize {
    FIRED.load(Ordering::Relaxed)
}

/// Counts a wait that is about to begin.
///
/// # Panics
///
/// It is the one.
pub(crate) fn wait_begins() {
    let last = WAITS_LEFT.with(|left| {
        let waits = left.get();
        left.set(waits.saturating_sub(1));
        waits == 1
    });
    if last && !std::thread::panicking() {
        FIRED.fetch_add(1, Ordering::Relaxed);
        panic!("made-up panic at a wait");
    }
}
