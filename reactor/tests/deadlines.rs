//! Deadlines are the reactor's own (law G1).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::sync::{Event, Queue};
use sshoal_reactor::{Config, Scope, Status, Stop, configure, sleep, spawn, yield_now};
use support::{alone, watchdog};

const SOON: Duration = Duration::from_millis(2);

/// With one worker, all green code runs on one thread, also right after a deadline has come.
#[test]
fn g1_a_green_thread_goes_on_with_a_worker_after_its_deadline() {
    alone(
        "g1_a_green_thread_goes_on_with_a_worker_after_its_deadline",
        || {
            assert!(configure(Config::default().workers(NonZeroUsize::MIN)));
            let waits: Vec<_> = (0..200)
                .map(|_| {
                    spawn(|| {
                        let before = std::thread::current().id();
                        let stop = Event::new().wait(&Scope::root().child(Some(SOON)));
                        assert_eq!(stop, Err(Stop::TimedOut));
                        [before, std::thread::current().id()]
                    })
                    .unwrap()
                })
                .collect();
            let threads: HashSet<_> = waits.into_iter().flat_map(|w| w.join().unwrap()).collect();
            assert_eq!(threads.len(), 1);
            assert!(
                !configure(Config::default()),
                "settings are fixed at the first use"
            );
        },
    );
}

/// One green thread goes on after its deadline and never waits again; the others still time out.
#[test]
fn g1_a_deadline_that_came_does_not_hold_up_the_others() {
    let guard = watchdog();
    let done = Arc::new(Event::new());
    let busy = done.clone();
    let first = spawn(move || {
        sleep(SOON);
        while !busy.is_set() {
            yield_now();
        }
    })
    .unwrap();
    for _ in 0..20 {
        let second = spawn(|| sleep(SOON)).unwrap();
        sleep(SOON);
        second.join().unwrap();
    }
    done.set();
    first.join().unwrap();
    guard.check().unwrap();
}

#[test]
fn g1_deadlines_come_in_their_order_and_never_early() {
    let guard = watchdog();
    let order = Arc::new(Queue::bounded(64));
    let start = Instant::now();
    // Set from the latest to the earliest, so that each moves the timer forward.
    for step in (1..=8_u64).rev() {
        let (order, after) = (order.clone(), Duration::from_millis(step * 40));
        let scope = Scope::root().child(Some(after));
        let wait = move || {
            assert_eq!(scope.ended(), Stop::TimedOut);
            assert!(start.elapsed() >= after);
            order.push(step, &Scope::root()).unwrap();
        };
        drop(spawn(wait).unwrap());
    }
    let came: Vec<_> = (0..8)
        .map(|_| order.pop(&guard).unwrap().unwrap())
        .collect();
    assert_eq!(came, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Ten thousand waits within one scope: its one entry times all of them, and none is left behind.
#[test]
fn g1_a_scope_has_one_deadline_for_all_its_waits() {
    let guard = watchdog();
    let scope = guard.child(Some(Duration::from_secs(50)));
    let (ping, pong) = (Arc::new(Queue::bounded(1)), Arc::new(Queue::bounded(1)));
    let (to, from, inner) = (ping.clone(), pong.clone(), scope.clone());
    let echo = spawn(move || {
        while let Some(item) = to.pop(&inner).unwrap() {
            from.push(item, &inner).unwrap();
        }
    })
    .unwrap();
    for item in 0..10_000 {
        ping.push(item, &scope).unwrap();
        assert_eq!(pong.pop(&scope), Ok(Some(item)));
    }
    ping.close();
    echo.join().unwrap();
    assert_eq!(scope.status(), Status::Live);
}

#[test]
fn a_deadline_taken_back_does_not_hide_the_next_one() {
    let guard = watchdog();
    for _ in 0..200 {
        let early = guard.child(Some(Duration::from_millis(1)));
        let late = guard.child(Some(SOON));
        drop(early);
        assert_eq!(late.ended(), Stop::TimedOut);
    }
}

#[test]
fn a_timeout_beyond_the_clock_never_runs_out() {
    let scope = watchdog().child(Some(Duration::MAX));
    assert_eq!(scope.remaining(), None);
    assert_eq!(scope.status(), Status::Live);
    let forever = spawn(|| sleep(Duration::MAX)).unwrap();
    for _ in 0..20 {
        sleep(Duration::from_millis(1));
        assert!(!forever.is_finished());
    }
}

/// Fired, unfired and cancelled scopes are made and dropped by many at once.
#[test]
fn deadlines_are_set_and_taken_back_from_everywhere() {
    let guard = watchdog();
    let tasks: Vec<_> = (0..64)
        .map(|seed| {
            let guard = guard.clone();
            let work = move || {
                let mut numbers = support::Numbers::from(seed);
                for _ in 0..100 {
                    let micros = u64::try_from(numbers.below(2000)).unwrap();
                    let scope = guard.child(Some(Duration::from_micros(micros)));
                    match numbers.below(3) {
                        0 => drop(scope),
                        1 => scope.cancel(),
                        _ => assert_eq!(scope.ended(), Stop::TimedOut),
                    }
                }
            };
            spawn(work).unwrap()
        })
        .collect();
    for task in tasks {
        task.join().unwrap();
    }
    guard.check().unwrap();
}
