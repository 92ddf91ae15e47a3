//! Cancellation: a value that a wait returns, never an unwinding (law G6).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sshoal_reactor::sync::{Event, Queue, Semaphore};
use sshoal_reactor::{Scope, Status, Stop, offload, sleep, spawn};
use support::{Numbers, pair, watchdog};

/// Counts itself out in its drop, and whether that was by a panic.
struct Held(Arc<[AtomicUsize; 2]>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0[usize::from(std::thread::panicking())].fetch_add(1, Ordering::SeqCst);
    }
}

/// A thousand tasks are cancelled at any point of any kind of wait: each returns `Cancelled` or
/// its result, drops what it holds once, and none unwinds.
#[test]
fn g6_a_thousand_tasks_are_cancelled_at_random_moments() {
    let guard = watchdog();
    let drops = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (queue, permits) = (Arc::new(Queue::<u8>::bounded(1)), Semaphore::new(1));
    let mut numbers = Numbers::from(6);
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let (scope, held) = (guard.child(None), Held(drops.clone()));
            let (inner, queue, permits) = (scope.clone(), queue.clone(), permits.clone());
            let task = move || {
                let _held = held;
                let (here, _there) = pair();
                loop {
                    match number % 5 {
                        0 => drop(queue.pop(&inner)?),
                        1 => drop(queue.push(1, &inner)),
                        2 => drop(permits.acquire(&inner)?),
                        3 => drop(here.read(&mut [0; 8], &inner)),
                        _ => Event::new().wait(&inner)?,
                    }
                    inner.check()?;
                    offload(|| ()).unwrap();
                }
            };
            (
                scope,
                spawn(move || -> Result<(), Stop> { task() }).unwrap(),
            )
        })
        .collect();
    let (scopes, tasks): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
    let mut left: Vec<_> = scopes.iter().collect();
    while !left.is_empty() {
        left.swap_remove(numbers.below(left.len())).cancel();
        if left.len().is_multiple_of(50) {
            sleep(Duration::from_millis(1));
        }
    }
    for task in tasks {
        assert_eq!(task.join().unwrap(), Err(Stop::Cancelled));
    }
    assert_eq!(drops[0].load(Ordering::SeqCst), 1000);
    assert_eq!(drops[1].load(Ordering::SeqCst), 0);
    assert!(
        permits.try_acquire().is_some(),
        "a cancelled wait took a permit along"
    );
}

#[test]
fn the_end_of_a_scope_reaches_all_within_it() {
    let guard = watchdog();
    let outer = guard.child(None);
    let waits: Vec<_> = (0..50)
        .map(|depth| {
            let scope = (0..depth).fold(outer.child(None), |scope, _| scope.child(None));
            spawn(move || scope.ended()).unwrap()
        })
        .collect();
    outer.cancel();
    for wait in waits {
        assert_eq!(wait.join().unwrap(), Stop::Cancelled);
    }
    assert_eq!(outer.child(None).status(), Status::Cancelled);
    assert_eq!(guard.status(), Status::Live);
}

/// A chain of scopes as deep as that ends and drops on a green thread's 64 KiB stack.
#[test]
fn a_deep_chain_of_scopes_ends_and_drops_on_a_small_stack() {
    let _guard = watchdog();
    let green = spawn(|| {
        let outer = Scope::root();
        let inner = (0..20_000).fold(outer.clone(), |scope, _| scope.child(None));
        outer.cancel();
        drop(outer);
        inner.status()
    });
    assert_eq!(green.unwrap().join().unwrap(), Status::Cancelled);
}

#[test]
fn a_parents_timeout_is_a_cancellation_for_its_children() {
    let guard = watchdog();
    let parent = guard.child(Some(Duration::from_millis(1)));
    let child = parent.child(Some(Duration::from_secs(50)));
    assert_eq!(child.ended(), Stop::Cancelled);
    assert_eq!(parent.status(), Status::TimedOut);
    parent.cancel();
    assert_eq!(parent.status(), Status::TimedOut, "a scope ends once");
}

/// Children are made while their parent ends: none may miss it.
#[test]
fn a_child_made_while_its_parent_ends_ends_too() {
    let guard = watchdog();
    for _ in 0..300 {
        let parent = guard.child(None);
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let parent = parent.clone();
                spawn(move || (0..20).map(|_| parent.child(None)).collect::<Vec<_>>()).unwrap()
            })
            .collect();
        parent.cancel();
        for maker in makers {
            let children = maker.join().unwrap();
            assert!(
                children
                    .iter()
                    .all(|child| child.ended() == Stop::Cancelled)
            );
        }
    }
}

/// Ten thousand waits share one scope; entering and leaving it must not cost more for that.
#[test]
fn thousands_wait_in_one_scope() {
    let guard = watchdog();
    let scope = guard.child(None);
    let event = Arc::new(Event::new());
    let waits: Vec<_> = (0..10_000)
        .map(|number| {
            let (scope, event) = (scope.clone(), event.clone());
            let wait = move || {
                if number % 2 == 0 {
                    event.wait(&scope)
                } else {
                    Err(scope.ended())
                }
            };
            spawn(wait).unwrap()
        })
        .collect();
    event.set();
    scope.cancel();
    for wait in waits {
        let ended = wait.join().unwrap();
        assert!(matches!(ended, Ok(()) | Err(Stop::Cancelled)));
    }
}
