//! Green threads start, end, panic and are joined (laws G2, G3, G6, G7).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sshoal_reactor::sync::{Event, Group, Queue};
use sshoal_reactor::{Interest, Scope, WaitList, is_green, offload, spawn, yield_now};
use support::watchdog;

#[test]
fn g6_a_panic_is_the_error_of_the_join() {
    let _guard = watchdog();
    let text = spawn(|| panic!("number {}", 7)).unwrap().join();
    assert_eq!(text.unwrap_err().message(), "number 7");
    let literal = spawn(|| panic!("plain")).unwrap();
    // From a green thread as from a plain one.
    let seen = spawn(move || literal.join().unwrap_err().to_string()).unwrap();
    assert_eq!(seen.join().unwrap(), "panicked: plain");
    let other = spawn(|| std::panic::panic_any(5_u8)).unwrap().join();
    assert_eq!(other.unwrap_err().message(), "panic without a message");
}

/// The payload of the first panic panics when it is dropped; the join must still end.
#[test]
fn g6_a_panic_whose_payload_panics_is_still_joined() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let _guard = watchdog();
    let joined = spawn(|| std::panic::panic_any(Bomb)).unwrap().join();
    assert_eq!(joined.unwrap_err().message(), "panic without a message");
}

/// A green thread whose last act is a wait is woken while it is still on its way into its park,
/// over and over; then every worker must still run something.
#[test]
fn a_green_thread_that_ends_right_after_a_wait_leaves_its_worker_free() {
    let guard = watchdog();
    for round in 0..3000 {
        let event = Arc::new(Event::new());
        for _ in 0..8 {
            let event = event.clone();
            drop(spawn(move || event.wait(&Scope::root())).unwrap());
        }
        drop(spawn(|| offload(|| ())).unwrap());
        for _ in 0..round % 400 {
            std::hint::spin_loop();
        }
        event.set();
        let arrived = Arc::new(Queue::bounded(8));
        for _ in 0..4 {
            let arrived = arrived.clone();
            drop(spawn(move || arrived.push((), &Scope::root())).unwrap());
        }
        for _ in 0..4 {
            arrived.pop(&guard).expect("a worker is stuck");
        }
    }
}

#[test]
fn g3_a_fixed_pool_works_off_any_number_of_items() {
    let guard = watchdog();
    let queue = Arc::new(Queue::bounded(16));
    let group = Group::new(8);
    for _ in 0..8 {
        let (queue, scope) = (queue.clone(), guard.clone());
        let work = move || {
            let mut sum = 0;
            while let Some(item) = queue.pop(&scope).unwrap() {
                sum += item;
            }
            sum
        };
        group.spawn(&guard, work).unwrap();
    }
    for item in 0..10_000_u64 {
        queue.push(item, &guard).unwrap();
    }
    queue.close();
    let sum: u64 = group.join_all().into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, 9_999 * 10_000 / 2);
}

/// Tokens left over from one wait, and unparks that mean nothing, must not end the next wait.
#[test]
fn g7_a_token_left_over_does_not_end_a_wait() {
    let guard = watchdog();
    let (list, woken) = (Arc::new(WaitList::default()), Arc::new(AtomicUsize::new(0)));
    let (waits, count, scope) = (list.clone(), woken.clone(), guard.clone());
    let plain = std::thread::spawn(move || {
        for round in 1..=1000 {
            // A token that nobody asked for.
            std::thread::current().unpark();
            let ticket = waits.register(waits.sequence(), Interest::BOTH).unwrap();
            ticket.wait(&scope).unwrap();
            assert_eq!(count.load(Ordering::SeqCst), round);
        }
    });
    for _ in 0..1000 {
        while !format!("{list:?}").contains("waiting: 1") {
            yield_now();
        }
        woken.fetch_add(1, Ordering::SeqCst);
        list.wake(Interest::BOTH);
    }
    plain.join().unwrap();
}

#[test]
fn green_threads_know_what_they_are() {
    let _guard = watchdog();
    assert!(!is_green());
    let green = spawn(|| is_green() && !offload(is_green).unwrap()).unwrap();
    assert!(green.join().unwrap());
}
