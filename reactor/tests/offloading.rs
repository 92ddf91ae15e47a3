//! CPU work and blocking calls leave the scheduler's workers free (laws R5, G7).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::available_parallelism;
use std::time::Duration;

use sshoal_reactor::sync::Event;
use sshoal_reactor::{Stop, blocking, blocking_within, offload, spawn};
use support::{alone, watchdog};

#[test]
fn r5_work_is_offloaded_from_green_and_plain_threads() {
    let _guard = watchdog();
    let name = || {
        std::thread::current()
            .name()
            .unwrap_or_default()
            .to_string()
    };
    assert!(offload(name).unwrap().starts_with("sshoal-cpu-"));
    let green = spawn(move || offload(name).unwrap()).unwrap();
    assert!(green.join().unwrap().starts_with("sshoal-cpu-"));
}

#[test]
fn r5_a_panic_of_the_work_is_an_error() {
    let _guard = watchdog();
    assert_eq!(offload(|| panic!("no")).unwrap_err().message(), "no");
    assert_eq!(blocking(|| panic!("nor")).unwrap_err().message(), "nor");
    // The threads go on.
    assert_eq!(offload(|| 1).unwrap() + blocking(|| 2).unwrap(), 3);
}

/// Each work offloads again, to a depth above the number of threads, from more green threads than
/// there are threads.
#[test]
fn r5_nested_offloads_do_not_wait_for_each_other() {
    fn nest(depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        offload(move || nest(depth - 1)).unwrap() + 1
    }
    let _guard = watchdog();
    let tasks: Vec<_> = (0..64).map(|_| spawn(|| nest(20)).unwrap()).collect();
    tasks
        .into_iter()
        .for_each(|task| assert_eq!(task.join().unwrap(), 20));
}

#[test]
fn r5_thousands_of_offloads_take_as_many_threads_as_cores() {
    let _guard = watchdog();
    let tasks: Vec<_> = (0..3000_u64)
        .map(|n| spawn(move || offload(move || (n, std::thread::current().id()))).unwrap())
        .collect();
    let mut threads = HashSet::new();
    for (n, task) in (0_u64..).zip(tasks) {
        let (result, thread) = task.join().unwrap().unwrap();
        assert_eq!(result, n);
        threads.insert(thread);
    }
    assert!(threads.len() <= available_parallelism().unwrap().get());
}

/// Far more calls than threads, all blocked until the last that can run has begun.
#[test]
fn g7_blocking_calls_are_bounded_and_all_are_made() {
    alone("g7_blocking_calls_are_bounded_and_all_are_made", || {
        let _guard = watchdog();
        let gate = Arc::new((Mutex::new((0_usize, false)), Condvar::new()));
        let most = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..100_usize)
            .map(|n| {
                let (gate, most) = (gate.clone(), most.clone());
                let call = move || {
                    let mut state = gate.0.lock().unwrap();
                    state.0 += 1;
                    most.fetch_max(state.0, Ordering::SeqCst);
                    // The bound's last thread opens the gate.
                    state.1 |= state.0 == 32;
                    gate.1.notify_all();
                    let mut state = gate.1.wait_while(state, |state| !state.1).unwrap();
                    state.0 -= 1;
                    n
                };
                spawn(move || blocking(call).unwrap()).unwrap()
            })
            .collect();
        let sum: usize = calls.into_iter().map(|call| call.join().unwrap()).sum();
        assert_eq!(sum, 99 * 100 / 2);
        assert_eq!(most.load(Ordering::SeqCst), 32);
    });
}

/// All threads are taken by calls that do not return: those behind them are given up in time, and
/// a call that was given up before it began is never made.
#[test]
fn g7_a_blocking_call_is_given_up_when_its_scope_ends() {
    alone("g7_a_blocking_call_is_given_up_when_its_scope_ends", || {
        let guard = watchdog();
        let (open, made) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let begun = Arc::new(AtomicUsize::new(0));
        let stuck: Vec<_> = (0..32)
            .map(|_| {
                let (open, begun, guard) = (open.clone(), begun.clone(), guard.clone());
                let call = move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    open.wait(&guard)
                };
                spawn(move || blocking(call).unwrap()).unwrap()
            })
            .collect();
        while begun.load(Ordering::SeqCst) < 32 {
            sshoal_reactor::yield_now();
        }
        for _ in 0..50 {
            let made = made.clone();
            let scope = guard.child(Some(Duration::from_millis(1)));
            let call = move || made.fetch_add(1, Ordering::SeqCst);
            assert_eq!(blocking_within(&scope, call), Err(Stop::TimedOut));
        }
        open.set();
        stuck
            .into_iter()
            .for_each(|call| call.join().unwrap().unwrap());
        blocking(|| ()).unwrap();
        assert_eq!(made.load(Ordering::SeqCst), 0);
        let ended = guard.child(None);
        ended.cancel();
        assert_eq!(blocking_within(&ended, || ()), Err(Stop::Cancelled));
    });
}

/// Results that nobody takes, and that panic when dropped, cost no thread.
#[test]
fn g7_a_result_that_panics_costs_no_thread() {
    struct Bomb(Arc<Event>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.set();
            panic!("dropped");
        }
    }
    alone("g7_a_result_that_panics_costs_no_thread", || {
        let guard = watchdog();
        for _ in 0..40 {
            let (open, dropped) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let (waits, bomb) = (open.clone(), dropped.clone());
            let scope = guard.child(Some(Duration::from_millis(1)));
            let inner = guard.clone();
            let call = move || {
                let _ = waits.wait(&inner);
                Bomb(bomb)
            };
            match blocking_within(&scope, call) {
                Err(Stop::TimedOut) => open.set(),
                _ => panic!("it cannot have returned"),
            }
            let _ = dropped.wait(&guard.child(Some(Duration::from_millis(500))));
        }
        blocking(|| ()).unwrap();
    });
}
