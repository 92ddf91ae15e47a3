//! A green thread that overflows its stack ends the process (law G4).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, getrlimit, setrlimit};
use sshoal_reactor::sync::Event;
use sshoal_reactor::{Scope, spawn};
use support::{alone, child_of, text};

/// Says that a thread went on where a lock was never given back.
static HELD: AtomicBool = AtomicBool::new(false);

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[63]
}

fn overflow() {
    setrlimit(
        Resource::Core,
        rustix::process::Rlimit {
            current: Some(0),
            maximum: getrlimit(Resource::Core).maximum,
        },
    )
    .unwrap();
    let green = spawn(|| {
        HELD.store(true, Ordering::SeqCst);
        let sum = recurse(0);
        HELD.store(false, Ordering::SeqCst);
        sum
    });
    let joined = green.unwrap().join();
    // Reached only if the overflow was "recovered" from, with what it held still held.
    panic!("went on, held: {HELD:?}, joined: {joined:?}");
}

#[test]
fn g4_an_overflow_ends_the_process() {
    let test = "g4_an_overflow_ends_the_process";
    let Some(output) = child_of(test, overflow) else {
        return;
    };
    let signal = output.status.signal();
    let said = text(&output);
    assert!(
        matches!(signal, Some(libc::SIGSEGV | libc::SIGBUS)),
        "{said}"
    );
    assert!(said.contains("stack overflow of a green thread"), "{said}");
    assert!(!said.contains("went on"), "{said}");
}

/// Green threads are started until the system gives no more stacks: that is an error, and those
/// that run go on.
#[test]
fn g4_a_spawn_without_memory_for_a_stack_is_an_error() {
    alone("g4_a_spawn_without_memory_for_a_stack_is_an_error", || {
        spawn(|| ()).unwrap().join().unwrap();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
        let mut limit = getrlimit(Resource::As);
        limit.current = Some(pages * 4096 + (64 << 20));
        setrlimit(Resource::As, limit).unwrap();
        let event = std::sync::Arc::new(Event::new());
        let mut started = Vec::with_capacity(4096);
        let error = loop {
            let waits = event.clone();
            match spawn(move || waits.wait(&Scope::root())) {
                Ok(handle) => started.push(handle),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
        assert!(started.len() > 100, "only {}", started.len());
        event.set();
        for handle in started {
            handle.join().unwrap().unwrap();
        }
        spawn(|| ()).unwrap().join().unwrap();
    });
}
