//! Programs with a handle for each host: asked, waited for and cancelled one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sshoal_reactor::sync::Event;
use sshoal_session::{Kind, Phase};

use super::fake::*;
use crate::{End, HostVisit, Visits};

const SHORT: Option<Duration> = Some(Duration::from_millis(20));
const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// A program that waits for its host's gate and returns its index, or why it did not.
fn gated(pool: &crate::Pool, gates: &[Arc<Event>]) -> Visits<Result<usize, &'static str>> {
    let gates = gates.to_vec();
    let program = move |host: &crate::Reached<'_>| match gates[host.index()].wait(host.scope()) {
        Ok(()) => Ok(host.index()),
        Err(_) => Err("stopped"),
    };
    pool.each(program).visits()
}

fn gates(count: usize) -> Vec<Arc<Event>> {
    (0..count).map(|_| Arc::default()).collect()
}

#[test]
fn each_host_is_asked_and_waited_for_on_its_own() {
    let (pool, gates) = (Fake::new(Script::default()).pool(3), gates(3));
    let visits = gated(&pool, &gates);
    let [first, second, _] = visits.hosts() else {
        panic!("three hosts have three handles");
    };
    assert!(!first.is_finished() && first.value().is_none() && first.outcome().is_none());
    assert!(first.wait(SHORT).is_none());
    gates[1].set();
    let visited = second.clone().wait(LONG).is_some();
    assert!(visited && second.is_finished() && !first.is_finished());
    assert_eq!(second.value(), Some(&Ok(1)));
    assert_eq!(second.outcome().map(|outcome| outcome.index()), Some(1));
    let waited = visits.wait(SHORT);
    assert_eq!((waited.finished, waited.unfinished), (vec![1], vec![0, 2]));
    gates[2].set();
    assert!(visits.host(2).wait(LONG).is_some());
    gates[0].set();
    assert!(visits.wait(LONG).is_complete() && visits.is_finished());
    let ended: Vec<usize> = visits.ended().map(|host| host.index()).collect();
    assert_eq!(ended, [1, 2, 0]);
    let kept: Vec<HostVisit<_>> = visits.hosts().to_vec();
    drop((visits, pool));
    assert_eq!(kept[0].value(), Some(&Ok(0)), "a handle outlasts the run");
}

/// One host is cancelled in its program and one before its turn: the second is never begun, and the others are as if
/// nothing had been.
#[test]
fn one_host_is_cancelled_and_no_other() {
    let (fake, gates) = (Fake::new(Script::default()), gates(4));
    let pool = fake.pool_of(builder(4).size(count(2)));
    let begun = Arc::new(AtomicUsize::new(0));
    let (counted, own) = (Arc::clone(&begun), gates.clone());
    let visits = pool
        .each(move |host| {
            counted.fetch_add(1, Ordering::SeqCst);
            own[host.index()].wait(host.scope()).is_ok()
        })
        .visits();
    // Both of those that have a turn are in their programs.
    while begun.load(Ordering::SeqCst) < 2 {
        thread::yield_now();
    }
    visits.host(3).cancel();
    visits.host(0).cancel();
    assert!(visits.host(0).wait(LONG).is_some());
    assert_eq!(visits.host(0).value(), Some(&false), "its scope ended");
    assert!(visits.host(1).wait(SHORT).is_none(), "it goes on");
    gates[1].set();
    gates[2].set();
    assert!(visits.wait(LONG).is_complete());
    assert_eq!(
        (visits.host(1).value(), visits.host(2).value()),
        (Some(&true), Some(&true))
    );
    let outcome = visits.host(3).outcome().expect("it has ended");
    assert!(
        matches!(outcome.end(), End::Cancelled { .. }),
        "{outcome:?}"
    );
    assert!(visits.host(3).value().is_none());
    assert_eq!(begun.load(Ordering::SeqCst), 3);
    assert!(visits.stopped_by().is_none(), "the run was not stopped");
}

#[test]
fn a_join_ends_with_the_first_that_failed_while_the_others_go_on() {
    let (pool, gates) = (Fake::new(Script::default()).pool(3), gates(3));
    let visits = gated(&pool, &gates);
    assert!(visits.first_error().is_none());
    let waited = visits
        .join_within(SHORT.unwrap())
        .expect("nobody failed yet");
    assert_eq!(waited.unfinished, [0, 1, 2]);
    gates[0].set();
    visits.host(1).cancel();
    let first = visits.join().expect_err("one was cancelled");
    assert_eq!(
        (first.visit().index(), first.error()),
        (1, Some(&"stopped"))
    );
    assert_eq!(first.to_string(), format!("{}: stopped", first.host()));
    assert!(!visits.host(2).is_finished());
    assert!(visits.first_error().is_some(), "again, and at once");
    gates[2].set();
    assert!(visits.wait(LONG).is_complete());
    assert_eq!(visits.host(2).value(), Some(&Ok(2)));
}

#[test]
fn a_host_that_is_not_reached_is_the_first_error_too() {
    let absent = Script {
        connect: Step::Fails(refused),
        ..Script::default()
    };
    let pool = Fake::new(Script::default()).with(1, absent).pool(2);
    let visits = pool.each(|host| Ok::<_, String>(host.index())).visits();
    let first = visits.join().expect_err("one is not there");
    let error = first.session_error().expect("it was not reached");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Refused)
    );
    assert!(first.error().is_none() && !first.is_cancelled());
    assert!(visits.wait(LONG).is_complete());
}

/// The loop that shows progress: it comes round in each interval, and once more when all have ended.
#[test]
fn how_far_all_are_is_told_until_they_have_ended() {
    let (pool, gates) = (Fake::new(Script::default()).pool(3), gates(3));
    let visits = gated(&pool, &gates);
    let mut seen = Vec::new();
    for waited in visits.every(Duration::from_millis(5)) {
        seen.push(waited.finished.len());
        if let Some(gate) = gates.get(seen.len() - 1) {
            gate.set();
        }
    }
    assert_eq!(seen[0], 0);
    assert_eq!(seen.last(), Some(&3));
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.iter().filter(|count| **count == 3).count(), 1);
}

#[test]
fn handles_that_are_dropped_cancel_what_has_not_ended() {
    let (fake, gates) = (Fake::new(Script::default()), gates(2));
    let visits = gated(&fake.pool(2), &gates);
    let handle = visits.host(0).clone();
    drop(visits);
    assert!(handle.wait(LONG).is_some());
    assert_ne!(handle.value(), Some(&Ok(0)));
}
