//! The scheduler under made-up time: single rules; `tests/pace.rs` has those of destinations, rates
//! and retries, `tests/random.rs` random operations against all of them.

use super::*;

mod pace;
mod random;

/// Bounds of the whole pool alone.
fn bounds(size: usize, handshakes: usize) -> Bounds {
    Bounds {
        size,
        handshakes,
        destination_handshakes: usize::MAX,
        rate: None,
        destination_rate: None,
    }
}

/// Up to twenty hosts, each a destination of its own.
fn schedule(size: usize, handshakes: usize) -> Schedule {
    Schedule::new(bounds(size, handshakes), (0..20).collect())
}

/// Begins all that can be begun, and returns the hosts.
fn starts(schedule: &mut Schedule, now: Instant) -> Vec<usize> {
    std::iter::from_fn(|| schedule.next(now))
        .map(|start| start.host)
        .collect()
}

#[test]
fn begins_hosts_in_input_order_up_to_the_pool_size() {
    let (mut s, now) = (schedule(2, 8), Instant::now());
    let run = s.submit(4, None);
    assert_eq!(starts(&mut s, now), [0, 1]);
    s.opened(run, 0);
    assert!(!s.ended(run, 0));
    assert_eq!(
        starts(&mut s, now),
        [],
        "the place is taken until it is released"
    );
    s.release();
    assert_eq!(starts(&mut s, now), [2]);
}

#[test]
fn bounds_handshakes_apart_from_the_pool_size() {
    let (mut s, now) = (schedule(8, 2), Instant::now());
    let run = s.submit(8, None);
    assert_eq!(starts(&mut s, now), [0, 1]);
    s.opened(run, 1);
    assert_eq!(starts(&mut s, now), [2]);
    assert_eq!(
        s.counts(run),
        Some(Counts {
            waiting: 5,
            connecting: 2,
            running: 1,
            ended: 0
        })
    );
}

#[test]
fn lets_runs_take_turns() {
    let (mut s, now) = (schedule(4, 4), Instant::now());
    let (a, b) = (s.submit(9, None), s.submit(9, None));
    let runs: Vec<RunId> = std::iter::from_fn(|| s.next(now))
        .map(|start| start.run)
        .collect();
    assert_eq!(runs, [a, b, a, b]);
}

#[test]
fn a_local_limit_holds_lowers_the_ceiling_and_heals() {
    let (mut s, t0) = (schedule(4, 4), Instant::now());
    let run = s.submit(6, None);
    assert_eq!(starts(&mut s, t0), [0, 1, 2, 3]);
    let until = s.local_limit(run, 3, t0);
    assert_eq!(until, t0 + HOLD_MIN);
    assert_eq!(
        starts(&mut s, until),
        [],
        "three fit, so the fourth place stays empty"
    );
    s.opened(run, 0);
    s.ended(run, 0);
    s.release();
    assert_eq!(starts(&mut s, t0), [4], "a place given back ends the hold");
    s.opened(run, 1);
    s.opened(run, 2);
    assert_eq!(
        starts(&mut s, until),
        [5],
        "three sessions opened raise the ceiling by one"
    );
}

#[test]
fn a_local_limit_with_nothing_in_flight_is_tried_again_later() {
    let (mut s, mut now) = (schedule(4, 4), Instant::now());
    let run = s.submit(1, None);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(starts(&mut s, now), [0]);
        let until = s.local_limit(run, 0, now);
        assert_eq!(starts(&mut s, until - Duration::from_nanos(1)), []);
        waits.push(until - now);
        now = until;
    }
    assert!(
        waits.is_sorted() && waits[0] == HOLD_MIN && waits[8] == HOLD_MAX,
        "{waits:?}"
    );
}

#[test]
fn nothing_begins_after_the_deadline() {
    let (mut s, t0) = (schedule(1, 1), Instant::now());
    let deadline = t0 + Duration::from_secs(5);
    let run = s.submit(3, Some(deadline));
    assert_eq!(starts(&mut s, t0), [0]);
    assert_eq!(s.overdue(t0), None);
    assert_eq!(s.overdue(deadline), Some(run));
    assert_eq!(s.stop(run), (vec![1, 2], false));
    assert!(s.ended(run, 0), "the host in flight is the last");
    assert!(s.is_idle());
}

#[test]
fn a_host_put_back_into_a_stopped_run_does_not_begin() {
    let (mut s, now) = (schedule(2, 2), Instant::now());
    let run = s.submit(2, None);
    assert_eq!(starts(&mut s, now), [0, 1]);
    assert_eq!(s.stop(run), (vec![], false));
    let until = s.local_limit(run, 1, now);
    assert_eq!(starts(&mut s, until), []);
    assert_eq!(s.overdue(now), Some(run));
    assert_eq!(s.stop(run), (vec![1], false));
    assert!(s.ended(run, 0));
}

#[test]
fn kept_sessions_come_first_and_the_oldest_gives_way() {
    let (mut s, now) = (schedule(2, 2), Instant::now());
    let run = s.submit(2, None);
    for host in starts(&mut s, now) {
        s.opened(run, host);
        s.ended(run, host);
        assert!(s.keep(host));
    }
    let run = s.submit(4, None);
    let kept = |host| {
        Some(Start {
            run,
            host,
            session: Origin::Kept,
        })
    };
    assert_eq!(s.next(now), kept(0));
    assert_eq!(s.next(now), kept(1));
    assert_eq!(s.next(now), None, "kept sessions count against the size");
    s.ended(run, 1);
    assert!(s.keep(1));
    let session = Origin::Fresh { evicted: Some(1) };
    assert_eq!(
        s.next(now),
        Some(Start {
            run,
            host: 2,
            session
        })
    );
}

#[test]
fn a_host_whose_kept_session_died_begins_with_a_fresh_one() {
    let (mut s, now) = (schedule(1, 1), Instant::now());
    let run = s.submit(1, None);
    assert_eq!(starts(&mut s, now), [0]);
    s.opened(run, 0);
    s.ended(run, 0);
    assert!(s.keep(0));
    let run = s.submit(1, None);
    assert_eq!(
        s.next(now),
        Some(Start {
            run,
            host: 0,
            session: Origin::Kept
        })
    );
    s.kept_died(run, 0);
    let session = Origin::Fresh { evicted: None };
    assert_eq!(
        s.next(now),
        Some(Start {
            run,
            host: 0,
            session
        })
    );
}
