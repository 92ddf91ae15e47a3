//! Destinations, rates and retries, under made-up time.

use std::collections::VecDeque;

use super::*;

fn per_second(n: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(n)
}

/// A pool with room for all, whose hosts lead to these destinations.
fn schedule_to(of: &[u32], set: impl FnOnce(&mut Bounds)) -> Schedule {
    let mut bounds = bounds(100, 100);
    set(&mut bounds);
    Schedule::new(bounds, of.into())
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_busy_destination_holds_up_no_other() {
    let mut s = schedule_to(&[0, 0, 0, 0, 1, 0, 2], |b| b.destination_handshakes = 2);
    let now = Instant::now();
    let run = s.submit(7, None);
    assert_eq!(starts(&mut s, now), [0, 1, 4, 6]);
    assert_eq!(s.wake_at(now), None, "only the end of a handshake helps");
    s.opened(run, 1, seat(&s, 1));
    assert_eq!(starts(&mut s, now), [2]);
    s.ended(run, 0);
    assert_eq!(starts(&mut s, now), [3], "in the order of the input");
    s.opened(run, 4, seat(&s, 4));
    assert_eq!(starts(&mut s, now), []);
    s.opened(run, 2, seat(&s, 2));
    assert_eq!(starts(&mut s, now), [5]);
}

#[test]
fn connections_begin_at_the_rate_and_the_schedule_says_when() {
    let mut s = schedule_to(&[0, 1, 2, 3, 4], |b| b.rate = per_second(10));
    let t0 = Instant::now();
    s.submit(5, None);
    let (mut now, mut begins) = (t0, Vec::new());
    loop {
        begins.extend(starts(&mut s, now).iter().map(|_| (now - t0).as_millis()));
        let Some(at) = s.wake_at(now) else { break };
        now = at;
    }
    assert_eq!(begins, [0, 90, 190, 290, 390]);
}

#[test]
fn the_rate_of_one_destination_leaves_others_alone() {
    let mut s = schedule_to(&[0, 0, 0, 1, 2], |b| b.destination_rate = per_second(10));
    let t0 = Instant::now();
    s.submit(5, None);
    assert_eq!(starts(&mut s, t0), [0, 3, 4]);
    let at = s.wake_at(t0).unwrap();
    assert_eq!(at - t0, ms(90));
    assert_eq!(starts(&mut s, at - ms(1)), []);
    assert_eq!(starts(&mut s, at), [1]);
    assert_eq!(s.wake_at(at), Some(t0 + ms(190)));
    assert_eq!(starts(&mut s, t0 + ms(500)), [2]);
    assert_eq!(s.wake_at(t0 + ms(500)), None);
}

#[test]
fn a_host_that_waits_for_its_retry_has_no_place() {
    let (mut s, t0) = (schedule(1, 1), Instant::now());
    let run = s.submit(3, None);
    assert_eq!(starts(&mut s, t0), [0]);
    s.retry((run, 0), seat(&s, 0), t0 + ms(300));
    assert_eq!(starts(&mut s, t0), [1], "the place went to the next");
    assert_eq!(s.counts(run).unwrap().waiting, 2);
    s.retry((run, 1), seat(&s, 1), t0 + ms(200));
    assert_eq!(s.wake_at(t0), Some(t0 + ms(200)));
    assert_eq!(starts(&mut s, t0 + ms(200)), [1], "before hosts not begun");
    s.ended(run, 1);
    s.release();
    assert_eq!(starts(&mut s, t0 + ms(200)), [2]);
    s.ended(run, 2);
    s.release();
    assert_eq!(starts(&mut s, t0 + ms(299)), []);
    assert_eq!(starts(&mut s, t0 + ms(300)), [0]);
    assert!(s.ended(run, 0));
}

#[test]
fn a_run_that_stops_ends_its_hosts_wherever_they_wait() {
    let mut s = schedule_to(&[0, 0, 0, 1, 1], |b| b.destination_handshakes = 1);
    let now = Instant::now();
    let (a, b) = (s.submit(5, None), s.submit(2, None));
    assert_eq!(starts(&mut s, now), [0, 3]);
    s.retry((a, 3), seat(&s, 3), now + ms(100));
    // Host 0 of the first run connects, 1 and 2 step aside, 3 pauses; of the second both do.
    assert_eq!(starts(&mut s, now), [4]);
    assert_eq!(s.stop(a), (vec![1, 2, 3], false));
    s.ended(a, 0);
    assert!(s.ended(a, 4));
    let start = s.next(now).expect("room for the other run");
    assert_eq!((start.run, start.host), (b, 0));
}

/// A host that its destination has room for cannot begin yet, and then ends with its run: the next
/// one, of another run, takes the room.
#[test]
fn room_given_to_a_host_of_a_run_that_stops_goes_on() {
    let mut s = schedule_to(&[0, 0, 1], |b| b.destination_handshakes = 1);
    let now = Instant::now();
    let (a, b) = (s.submit(2, None), s.submit(3, None));
    assert_eq!(starts(&mut s, now), [0, 2]);
    s.opened(a, 0, seat(&s, 0));
    s.local_limit((b, 2), seat(&s, 2), now);
    assert_eq!(s.next(now), None, "this machine has no room");
    assert_eq!(s.stop(a), (vec![1], false));
    assert!(s.ended(a, 0));
    s.release();
    let start = s.next(now).expect("there is room");
    assert_eq!((start.run, start.host), (b, 0));
}

/// A host waits for its destination, and meanwhile another run leaves its session kept: it takes
/// that, and the next host takes the room.
#[test]
fn room_given_to_a_host_with_a_kept_session_goes_on() {
    let mut s = schedule_to(&[0, 0], |b| {
        (b.destination_rate, b.keep_open) = (per_second(1), true);
    });
    let t0 = Instant::now();
    let (a, _) = (s.submit(1, None), s.submit(2, None));
    assert_eq!(starts(&mut s, t0), [0]);
    s.opened(a, 0, seat(&s, 0));
    assert_eq!(s.leave(seat(&s, 0), t0), Left::Kept);
    assert!(s.ended(a, 0));
    let at = s.wake_at(t0).expect("the rate gives room");
    assert_eq!(starts(&mut s, at), [0, 1]);
}

/// Ten thousand hosts of one destination among others: each is set aside once, and what is begun
/// per call does not grow with those that wait.
#[test]
fn hosts_set_aside_are_not_looked_at_again_and_again() {
    const HOSTS: u32 = 10_000;
    let of: Vec<u32> = (0..HOSTS).map(|host| host % 2 * (host / 2 + 1)).collect();
    let mut s = schedule_to(&of, |b| {
        (b.destination_handshakes, b.size, b.handshakes) = (8, 500, 500);
    });
    let now = Instant::now();
    let run = s.submit(HOSTS as usize, None);
    let (mut flying, mut begun, mut first_shared) = (VecDeque::new(), 0, Vec::new());
    while begun < HOSTS {
        for host in starts(&mut s, now) {
            begun += 1;
            if of[host] == 0 {
                first_shared.push(host);
            }
            flying.push_back(host);
        }
        let host: usize = flying.pop_front().unwrap();
        s.opened(run, host, seat(&s, host));
        s.ended(run, host);
        assert_eq!(s.leave(seat(&s, host), now), Left::Last);
        s.release();
    }
    assert!(first_shared.is_sorted(), "in the order of the input");
    assert_eq!(first_shared.len(), HOSTS as usize / 2);
}
