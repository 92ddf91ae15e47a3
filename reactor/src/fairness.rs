//! Turns for the reactor's loops and for other green threads, where one would take all (law G1).
//!
//! A scheduler worker looks at its selector, and at what other threads gave it to run, only when
//! its own queue is empty. Green threads that wake each other without end, or that only yield,
//! would keep sockets, deadlines and newly spawned green threads from ever being served; so would
//! one whose socket always has more. Each worker counts, and gives way.

use std::cell::Cell as Count;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

use crate::runtime;
use crate::waiter::Cell;

/// Switches of one worker between two turns of a reactor's loop: above what one poll wakes.
const SWITCHES_MAX: u32 = 2048;
/// Reads and writes in a row that did not have to wait.
const CALLS_MAX: u32 = 64;

thread_local! {
    static SWITCHES: Count<u32> = const { Count::new(0) };
    static CALLS: Count<u32> = const { Count::new(0) };
}

/// Adds one, and starts again at `max`; returns whether it was reached.
fn reaches(count: &Count<u32>, max: u32) -> bool {
    let next = count.get() + 1;
    let reached = next >= max;
    count.set(if reached { 0 } else { next });
    reached
}

/// Notes that a green thread is about to give up its worker; now and then it leaves it at once,
/// and comes back behind what waits for the worker from outside.
pub(crate) fn switching() {
    if switches_reached() {
        runtime::nudge();
        leave();
    }
}

#[inline(never)]
fn switches_reached() -> bool {
    CALLS.set(0);
    SWITCHES.with(|count| reaches(count, SWITCHES_MAX))
}

/// Parks the calling green thread until a plain thread has woken it: only then does it go where
/// the others from outside wait, and lets the worker's own queue become empty.
fn leave() {
    static WAKER: OnceLock<Option<Sender<Arc<Cell>>>> = OnceLock::new();
    let waker = WAKER.get_or_init(|| {
        let (sender, receiver) = channel::<Arc<Cell>>();
        let wake_all = move || {
            for cell in receiver {
                cell.wake();
            }
        };
        let thread = std::thread::Builder::new().name("sshoal-turns".into());
        thread.spawn(wake_all).ok().map(|_| sender)
    });
    let Some(waker) = waker else { return };
    let cell = Cell::of_current();
    if waker.send(cell.clone()).is_ok() {
        cell.park();
    }
}

/// Notes that a reactor's loop polls on this worker.
#[inline(never)]
pub(crate) fn polled() {
    SWITCHES.set(0);
}

/// Notes a call that did not have to wait; returns whether others should have a turn.
#[inline(never)]
pub(crate) fn called() -> bool {
    CALLS.with(|count| reaches(count, CALLS_MAX))
}
