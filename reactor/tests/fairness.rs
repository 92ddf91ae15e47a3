//! Green threads that never rest keep neither deadlines nor sockets nor new ones waiting (law G1).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sshoal_reactor::sync::Queue;
use sshoal_reactor::{Config, JoinHandle, Scope, configure, sleep, spawn, yield_now};
use support::{alone, pair, watchdog};

/// On one worker, beside threads that keep it busy until told to stop: a deadline comes, bytes
/// arrive, and what a plain thread spawns runs.
#[track_caller]
fn check(test: &str, busy: impl FnOnce(Arc<AtomicBool>) -> Vec<JoinHandle<()>>) {
    alone(test, || {
        assert!(configure(Config::default().workers(NonZeroUsize::MIN)));
        let stop = Arc::new(AtomicBool::new(false));
        let busy = busy(stop.clone());
        let others = spawn(|| {
            let guard = watchdog();
            let (near, far) = pair();
            let echo = spawn(move || {
                let mut byte = [0];
                near.read(&mut byte, &watchdog()).unwrap();
                near.write_all(&byte, &watchdog()).unwrap();
            });
            sleep(Duration::from_millis(5));
            far.write_all(b"x", &guard).unwrap();
            assert_eq!(far.read(&mut [0; 8], &guard).unwrap(), 1);
            echo.unwrap().join().unwrap();
        });
        others.unwrap().join().unwrap();
        stop.store(true, Ordering::SeqCst);
        busy.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn g1_threads_that_only_yield_do_not_stop_the_reactor() {
    check(
        "g1_threads_that_only_yield_do_not_stop_the_reactor",
        |stop| {
            let yielder = |stop: Arc<AtomicBool>| {
                move || {
                    while !stop.load(Ordering::SeqCst) {
                        yield_now();
                    }
                }
            };
            (0..4)
                .map(|_| spawn(yielder(stop.clone())).unwrap())
                .collect()
        },
    );
}

#[test]
fn g1_threads_that_wake_each_other_do_not_stop_the_reactor() {
    check(
        "g1_threads_that_wake_each_other_do_not_stop_the_reactor",
        |stop| {
            let (ping, pong) = (Arc::new(Queue::bounded(1)), Arc::new(Queue::bounded(1)));
            let (to, from) = (ping.clone(), pong.clone());
            let asks = move || {
                while !stop.load(Ordering::SeqCst) {
                    ping.push((), &Scope::root()).unwrap();
                    pong.pop(&Scope::root()).unwrap();
                }
                ping.close();
            };
            let answers = move || {
                while to.pop(&Scope::root()).unwrap().is_some() {
                    from.push((), &Scope::root()).unwrap();
                }
            };
            vec![spawn(asks).unwrap(), spawn(answers).unwrap()]
        },
    );
}

/// A stream at its end can be read over and over, and never makes its reader wait.
#[test]
fn g1_a_socket_that_never_makes_wait_does_not_stop_the_reactor() {
    let test = "g1_a_socket_that_never_makes_wait_does_not_stop_the_reactor";
    check(test, |stop| {
        let (near, far) = pair();
        drop(far);
        let read = move || {
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(near.read(&mut [0; 16], &Scope::root()).unwrap(), 0);
            }
        };
        vec![spawn(read).unwrap()]
    });
}
