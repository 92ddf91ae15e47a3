//! Sessions that stay open for the next command.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sshoal_reactor::sync::Event;
use sshoal_session::{Host, Kind};

use super::fake::*;
use crate::{End, KeepOpen};

#[test]
fn kept_sessions_serve_round_after_round() {
    let fake = Fake::new(Script::printing(b"."));
    let pool = fake.pool_of(builder(100).keep_open(KeepOpen::Yes));
    for _ in 0..10 {
        assert!(pool.run("x").unwrap().report().is_success());
    }
    assert_eq!(
        fake.gauges.connects.load(Ordering::Relaxed),
        100,
        "no new connection"
    );
    fake.gauges.live.wait_for(100);
    pool.close();
    fake.gauges.live.wait_for(0);
    assert_eq!(
        fake.gauges.closes.load(Ordering::Relaxed),
        100,
        "all in order"
    );
}

#[test]
fn without_keeping_every_session_is_closed_in_order() {
    let fake = Fake::new(Script::default());
    let pool = fake.pool_of(builder(30).size(count(4)));
    assert!(pool.run("x").unwrap().report().is_success());
    fake.gauges.live.wait_for(0);
    assert_eq!(fake.gauges.closes.load(Ordering::Relaxed), 30);
}

#[test]
fn a_kept_session_that_died_is_replaced_once() {
    let fake = Fake::new(Script::printing(b"."));
    let pool = fake.pool_of(builder(20).size(count(20)).keep_open(KeepOpen::Yes));
    assert!(pool.run("x").unwrap().report().is_success());
    fake.gauges.live.wait_for(20);
    fake.dead.lock().extend(["h3".to_owned(), "h9".to_owned()]);
    let report = pool.run("x").unwrap().report();
    assert!(report.is_success());
    for outcome in &report {
        let attempts = if [3, 9].contains(&outcome.index()) {
            2
        } else {
            1
        };
        assert_eq!(outcome.attempts(), attempts);
    }
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 22);
}

/// P7: a fresh session that breaks before its command was accepted is not tried again, nor is a
/// kept one that breaks when the command may have been asked for.
#[test]
fn nothing_is_tried_again_once_the_command_may_have_started() {
    fn lost() -> sshoal_session::Error {
        let source = std::io::ErrorKind::ConnectionReset.into();
        sshoal_session::Error::Disconnected {
            phase: sshoal_session::Phase::Open,
            source,
        }
    }
    let fake = Fake::new(Script {
        start: Step::Fails(lost),
        ..Script::default()
    });
    let pool = fake.pool_of(builder(1).keep_open(KeepOpen::Yes));
    let report = pool.run("x").unwrap().report();
    assert_eq!(
        (report[0].end().kind(), report[0].attempts()),
        (Some(Kind::Reset), 1)
    );
    // The program leaves the session kept, and the command then finds it to break.
    assert!(
        pool.each(|_| ())
            .in_order()
            .pop()
            .unwrap()
            .into_result()
            .is_ok()
    );
    fake.gauges.live.wait_for(1);
    let report = pool.run("x").unwrap().report();
    assert_eq!(
        (report[0].end().kind(), report[0].attempts()),
        (Some(Kind::Reset), 1)
    );
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 2);
}

/// Kept sessions count against the size: with room for four, ten hosts take turns at it.
#[test]
fn kept_sessions_give_way_within_the_pool_size() {
    let fake = Fake::new(Script::default());
    let pool = fake.pool_of(builder(10).size(count(4)).keep_open(KeepOpen::Yes));
    for _ in 0..5 {
        assert!(pool.run("x").unwrap().report().is_success());
    }
    assert!(
        fake.gauges.live.highest() <= 4,
        "P1: {}",
        fake.gauges.live.highest()
    );
    let connects = fake.gauges.connects.load(Ordering::Relaxed);
    assert!(connects < 50, "some rounds found sessions open: {connects}");
    drop(pool);
    fake.gauges.live.wait_for(0);
}

#[test]
fn a_host_that_failed_is_not_kept() {
    let stalls = Script {
        run: Step::Stalls,
        ..Script::default()
    };
    let fake = Fake::new(Script::default()).with(1, stalls);
    let limit = Some(Duration::from_millis(30));
    let pool = fake.pool_of(builder(2).keep_open(KeepOpen::Yes).command_timeout(limit));
    for _ in 0..2 {
        let report = pool.run("x").unwrap().report();
        assert!(matches!(report[1].end(), End::Failed(_)));
    }
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 3);
}

/// Two first commands on the same hosts at once, from two threads, and a third beside them: each
/// host is connected to once, and no command waits for another's end.
#[test]
fn runs_at_once_share_one_connection_per_host() {
    let (begun, gate) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let fake = Fake::new(Script {
        connect: Step::Waits(begun.clone()),
        run: Step::Waits(gate.clone()),
        ..Script::printing(b".")
    });
    let pool = fake.pool_of(builder(20).keep_open(KeepOpen::Yes));
    let runs: Vec<_> = (0..3).map(|_| pool.run("x").unwrap()).collect();
    begun.set();
    for run in &runs {
        let handle = run.handle();
        while handle.progress().running < 20 {
            std::thread::yield_now();
        }
    }
    gate.set();
    for run in runs {
        assert!(run.report().is_success());
    }
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 20);
    assert_eq!(fake.gauges.live.highest(), 20);
}

#[test]
fn hosts_connected_ahead_are_not_connected_again() {
    let fake = Fake::new(Script::printing(b"."));
    let pool = fake.pool_of(builder(30).keep_open(KeepOpen::Yes));
    let reached = pool.connect().in_order();
    assert!(reached.iter().all(|visited| visited.value().is_some()));
    assert!(pool.run("x").unwrap().report().is_success());
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 30);
}

/// Sessions go to hosts that stay, wherever they are in the list, and the others' are closed.
#[test]
fn hosts_that_stay_keep_their_sessions() {
    let fake = Fake::new(Script::printing(b"."));
    let mut pool = fake.pool_of(builder(10).keep_open(KeepOpen::Yes));
    assert!(pool.run("x").unwrap().report().is_success());
    let before = pool.hosts().to_vec();
    let mut hosts: Vec<Host> = before[3..].iter().rev().cloned().collect();
    hosts.extend(["other1".parse().unwrap(), "other2".parse().unwrap()]);
    pool.replace_hosts(hosts.clone()).expect("replaces");
    assert_eq!(pool.hosts(), hosts);
    assert_eq!(fake.gauges.closes.load(Ordering::Relaxed), 3, "in order");
    let report = pool.run("x").unwrap().report();
    assert!(report.is_success());
    assert_eq!(report.outcomes().len(), 9);
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 12);
    assert!(pool.replace_hosts(Vec::new()).is_err());
    assert_eq!(pool.hosts(), hosts, "as it was");
}

/// A run that is under way when the hosts are replaced ends on the hosts it began with.
#[test]
fn a_run_under_way_outlasts_its_hosts() {
    let gate = Arc::new(Event::new());
    let fake = Fake::new(Script {
        run: Step::Waits(gate.clone()),
        ..Script::printing(b".")
    });
    let mut pool = fake.pool_of(builder(5).keep_open(KeepOpen::Yes));
    let run = pool.run("x").unwrap();
    fake.gauges.live.wait_for(5);
    let others: Vec<Host> = vec!["other".parse().unwrap()];
    pool.replace_hosts(others).expect("replaces");
    gate.set();
    let report = run.report();
    assert!(report.is_success());
    assert_eq!(report.outcomes().len(), 5);
    assert!(pool.run("x").unwrap().report().is_success());
    // The old hosts' sessions are not kept by anyone.
    fake.gauges.live.wait_for(1);
}

#[test]
fn idle_sessions_are_closed_in_order_after_their_time() {
    let fake = Fake::new(Script::printing(b"."));
    let after = Some(Duration::from_millis(30));
    let pool = fake.pool_of(builder(12).keep_open(KeepOpen::Yes).idle_close(after));
    for round in 1..=2 {
        assert!(pool.run("x").unwrap().report().is_success());
        fake.gauges.live.wait_for(0);
        assert_eq!(fake.gauges.closes.load(Ordering::Relaxed), 12 * round);
    }
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 24);
}

/// A session dies under a second run while the first one's command, on the same session, still
/// comes to its end: the place is given back by the last of the two, or the second waits for ever.
#[test]
fn a_shared_session_that_died_gives_its_place_back() {
    let go = Arc::new(Event::new());
    let fake = Fake::new(Script {
        run: Step::Waits(go.clone()),
        ..Script::default()
    });
    let pool = fake.pool_of(builder(1).size(count(1)).keep_open(KeepOpen::Yes));
    let first = pool.start("first").unwrap();
    assert!(first.accepted(None).is_complete());
    fake.dead.lock().push("h0".to_owned());
    let second = pool.start("second").unwrap();
    while !fake.dead.lock().is_empty() {
        sshoal_reactor::yield_now();
    }
    go.set();
    assert!(first.wait(None).is_complete());
    let limit = Some(Duration::from_secs(30));
    assert!(second.wait(limit).is_complete(), "a place is left for it");
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 2);
}

/// Sessions that come from the hosts before are as idle as others.
#[test]
fn sessions_of_hosts_that_stay_are_closed_after_their_time_too() {
    let fake = Fake::new(Script::default());
    let idle = Some(Duration::from_millis(100));
    let builder = builder(2).keep_open(KeepOpen::Yes).idle_close(idle);
    let mut pool = fake.pool_of(builder);
    assert!(pool.run("x").unwrap().report().is_success());
    pool.replace_hosts(pool.hosts()[..1].to_vec()).unwrap();
    fake.gauges.live.wait_for(0);
    assert_eq!(fake.gauges.closes.load(Ordering::Relaxed), 2);
}
