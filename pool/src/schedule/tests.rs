//! The scheduler under made-up time: single rules; `tests/pace.rs` has those of destinations, rates
//! and retries, `tests/random.rs` random operations against all of them,
//! `tests/simulation.rs` whole worlds.

use super::*;

mod pace;
mod random;
mod simulation;

/// Bounds of the whole pool alone.
fn bounds(size: usize, handshakes: usize) -> Bounds {
    Bounds {
        size,
        handshakes,
        destination_handshakes: usize::MAX,
        rate: None,
        destination_rate: None,
        keep_open: false,
        idle_timeout: None,
    }
}

/// As [`schedule`], with sessions that stay open.
fn keeping(size: usize, handshakes: usize) -> Schedule {
    let keep_open = true;
    let bounds = Bounds {
        keep_open,
        ..bounds(size, handshakes)
    };
    Schedule::new(bounds, (0..20).collect())
}

/// Returns the seat that was made last for a host.
fn seat(schedule: &Schedule, host: usize) -> Seat {
    schedule.seats.newest(host).expect("the host has a seat")
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
    s.opened(run, 0, seat(&s, 0));
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
    s.opened(run, 1, seat(&s, 1));
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
fn ever_more_runs_do_not_keep_an_earlier_one_from_its_turn() {
    let (mut s, now) = (schedule(1, 1), Instant::now());
    let first = s.submit(2, None);
    let mut served = Vec::new();
    for _ in 0..10 {
        s.submit(1, None);
        let start = s.next(now).expect("a place is free");
        served.push(start.run);
        s.ended(start.run, start.host);
        s.release();
    }
    assert_eq!(served[0], first);
    assert_eq!(served[2], first, "one other run between its two hosts");
}

#[test]
fn a_local_limit_holds_lowers_the_ceiling_and_heals() {
    let (mut s, t0) = (schedule(4, 4), Instant::now());
    let run = s.submit(6, None);
    assert_eq!(starts(&mut s, t0), [0, 1, 2, 3]);
    let until = s.local_limit((run, 3), seat(&s, 3), t0);
    assert_eq!(until, t0 + HOLD_MIN);
    assert_eq!(
        starts(&mut s, until),
        [],
        "three fit, so the fourth place stays empty"
    );
    s.opened(run, 0, seat(&s, 0));
    s.ended(run, 0);
    s.release();
    assert_eq!(starts(&mut s, t0), [4], "a place given back ends the hold");
    s.opened(run, 1, seat(&s, 1));
    s.opened(run, 2, seat(&s, 2));
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
        let until = s.local_limit((run, 0), seat(&s, 0), now);
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
    let until = s.local_limit((run, 1), seat(&s, 1), now);
    assert_eq!(starts(&mut s, until), []);
    assert_eq!(s.overdue(now), Some(run));
    assert_eq!(s.stop(run), (vec![1], false));
    assert!(s.ended(run, 0));
}

#[test]
fn kept_sessions_come_first_and_the_oldest_gives_way() {
    let (mut s, now) = (keeping(2, 2), Instant::now());
    let run = s.submit(2, None);
    for host in starts(&mut s, now) {
        s.opened(run, host, seat(&s, host));
        s.ended(run, host);
        assert_eq!(s.leave(seat(&s, host), now), Left::Kept);
    }
    let run = s.submit(4, None);
    let seats = [seat(&s, 0), seat(&s, 1)];
    for (host, seat) in seats.into_iter().enumerate() {
        let session = Origin::Kept;
        let expected = Start {
            run,
            host,
            seat,
            session,
        };
        assert_eq!(s.next(now), Some(expected));
    }
    assert_eq!(s.next(now), None, "kept sessions count against the size");
    s.ended(run, 1);
    assert_eq!(s.leave(seats[1], now), Left::Kept);
    let start = s.next(now).expect("the idle session gives way");
    let evicted = Some(seats[1]);
    assert_eq!((start.host, start.session), (2, Origin::Fresh { evicted }));
}

#[test]
fn a_host_whose_kept_session_died_begins_with_a_fresh_one() {
    let (mut s, now) = (keeping(1, 1), Instant::now());
    let run = s.submit(1, None);
    assert_eq!(starts(&mut s, now), [0]);
    s.opened(run, 0, seat(&s, 0));
    s.ended(run, 0);
    assert_eq!(s.leave(seat(&s, 0), now), Left::Kept);
    let run = s.submit(1, None);
    let start = s.next(now).expect("it begins");
    assert_eq!(start.session, Origin::Kept);
    s.kept_died(run, 0, start.seat);
    let start = s.next(now).expect("it begins again");
    assert_eq!(start.session, Origin::Fresh { evicted: None });
}

#[test]
fn two_runs_share_one_session_and_open_one_connection() {
    let (mut s, now) = (keeping(4, 4), Instant::now());
    let (a, b) = (s.submit(1, None), s.submit(1, None));
    assert_eq!(starts(&mut s, now), [0], "the second waits for the first");
    let first = seat(&s, 0);
    assert_eq!(s.wake_at(now), None, "only the first one's end helps");
    s.opened(a, 0, first);
    let start = s.next(now).expect("it goes beside the first");
    assert_eq!(
        (start.run, start.seat, start.session),
        (b, first, Origin::Kept)
    );
    assert_eq!(s.live, 1);
    assert!(s.ended(a, 0));
    assert_eq!(s.leave(first, now), Left::Used);
    assert!(s.ended(b, 0));
    assert_eq!(s.leave(first, now), Left::Kept);
}

#[test]
fn who_waits_for_a_connection_that_fails_makes_its_own() {
    let (mut s, now) = (keeping(4, 4), Instant::now());
    let (a, b) = (s.submit(1, None), s.submit(1, None));
    assert_eq!(starts(&mut s, now), [0]);
    let first = seat(&s, 0);
    assert!(s.ended(a, 0));
    assert_eq!(s.retire(first), Left::Last);
    s.release();
    let start = s.next(now).expect("it begins");
    assert_eq!(
        (start.run, start.session),
        (b, Origin::Fresh { evicted: None })
    );
    assert_ne!(start.seat, first);
}

#[test]
fn a_session_has_a_bound_of_users_and_a_retired_one_gets_no_other() {
    let (mut s, now) = (keeping(4, 4), Instant::now());
    let runs: Vec<RunId> = (0..12).map(|_| s.submit(1, None)).collect();
    assert_eq!(starts(&mut s, now), [0]);
    let first = seat(&s, 0);
    s.opened(runs[0], 0, first);
    assert_eq!(starts(&mut s, now).len(), seats::USERS_MAX - 1);
    assert_eq!(s.seats.users(first), seats::USERS_MAX);
    s.ended(runs[0], 0);
    assert_eq!(s.leave(first, now), Left::Used);
    assert_eq!(starts(&mut s, now), [0], "one left, one joins");
    s.ended(runs[1], 0);
    assert_eq!(s.retire(first), Left::Used);
    let start = s.next(now).expect("a fresh session beside the retired one");
    assert_eq!(start.session, Origin::Fresh { evicted: None });
    assert_eq!((s.live, starts(&mut s, now)), (2, vec![]));
}

#[test]
fn idle_sessions_are_closed_after_a_time_the_oldest_first() {
    let (mut s, t0) = (keeping(4, 4), Instant::now());
    let limit = Duration::from_secs(60);
    s.bounds.idle_timeout = Some(limit);
    let run = s.submit(2, None);
    for host in starts(&mut s, t0) {
        let at = t0 + Duration::from_secs(host as u64);
        s.opened(run, host, seat(&s, host));
        s.ended(run, host);
        assert_eq!(s.leave(seat(&s, host), at), Left::Kept);
    }
    assert_eq!(s.wake_at(t0), Some(t0 + limit));
    assert_eq!(s.expired(t0 + limit - Duration::from_nanos(1)), None);
    let seats = [seat(&s, 0), seat(&s, 1)];
    assert_eq!(s.expired(t0 + limit), Some(seats[0]));
    assert_eq!(s.expired(t0 + limit), None);
    s.release();
    assert_eq!(s.wake_at(t0), Some(t0 + limit + Duration::from_secs(1)));
    assert_eq!(s.live, 1);
}
