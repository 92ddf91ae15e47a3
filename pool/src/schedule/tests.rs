//! The scheduler under made-up time: single rules, then random operations against all of them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn schedule(size: usize, handshakes: usize) -> Schedule {
    Schedule::new(Bounds { size, handshakes })
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

/// What the caller does next; numbers pick one of the hosts that are in the right place for it.
#[derive(Debug, Clone)]
enum Op {
    Submit {
        hosts: usize,
        deadline_ms: Option<u16>,
    },
    Next,
    Open(usize),
    End(usize),
    Release(usize),
    Keep(usize),
    KeepThenEnd(usize),
    LocalLimit(usize),
    KeptDied(usize),
    Stop(usize),
    Close,
    Pass {
        ms: u16,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (1..12_usize, proptest::option::of(0..3000_u16))
            .prop_map(|(hosts, deadline_ms)| Op::Submit { hosts, deadline_ms }),
        8 => Just(Op::Next),
        4 => any::<usize>().prop_map(Op::Open),
        4 => any::<usize>().prop_map(Op::End),
        3 => any::<usize>().prop_map(Op::Release),
        2 => any::<usize>().prop_map(Op::Keep),
        3 => any::<usize>().prop_map(Op::KeepThenEnd),
        2 => any::<usize>().prop_map(Op::LocalLimit),
        1 => any::<usize>().prop_map(Op::KeptDied),
        1 => any::<usize>().prop_map(Op::Stop),
        1 => Just(Op::Close),
        4 => (0..2000_u16).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// What the caller knows by itself, against which the schedule is held.
struct Model {
    schedule: Schedule,
    bounds: Bounds,
    now: Instant,
    /// In flight: (run, host, connecting, on a kept session).
    flying: Vec<(RunId, usize, bool, bool)>,
    /// Hosts that ended and hold their place.
    closing: Vec<usize>,
    kept: Vec<usize>,
    runs: Vec<RunId>,
    /// Outcomes per run and host.
    outcomes: HashMap<RunId, Vec<u32>>,
    over: HashMap<RunId, u32>,
}

fn pick<T>(from: &mut Vec<T>, n: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(n % from.len()))
}

impl Model {
    fn new(bounds: Bounds) -> Self {
        Self {
            schedule: Schedule::new(bounds),
            bounds,
            now: Instant::now(),
            flying: Vec::new(),
            closing: Vec::new(),
            kept: Vec::new(),
            runs: Vec::new(),
            outcomes: HashMap::new(),
            over: HashMap::new(),
        }
    }

    fn count(&mut self, run: RunId, hosts: &[usize], over: bool) {
        for host in hosts {
            let outcomes = &mut self.outcomes.get_mut(&run).unwrap()[*host];
            *outcomes += 1;
            assert_eq!(*outcomes, 1, "P2: two outcomes");
        }
        *self.over.entry(run).or_default() += u32::from(over);
    }

    fn next(&mut self) -> bool {
        let Some(start) = self.schedule.next(self.now) else {
            return false;
        };
        let kept = start.session == Origin::Kept;
        let gone = match start.session {
            Origin::Kept => Some(start.host),
            Origin::Fresh { evicted } => evicted,
        };
        if let Some(gone) = gone {
            let at = self
                .kept
                .iter()
                .position(|host| *host == gone)
                .expect("was kept");
            self.kept.swap_remove(at);
        }
        assert!(
            !self
                .flying
                .iter()
                .any(|(r, h, ..)| (*r, *h) == (start.run, start.host))
        );
        assert_eq!(
            self.outcomes[&start.run][start.host], 0,
            "begun after its outcome"
        );
        self.flying.push((start.run, start.host, !kept, kept));
        true
    }

    fn stop(&mut self, run: RunId) {
        let (hosts, over) = self.schedule.stop(run);
        self.count(run, &hosts, over);
    }

    fn end(&mut self, n: usize) {
        if let Some((run, host, ..)) = pick(&mut self.flying, n) {
            let over = self.schedule.ended(run, host);
            self.count(run, &[host], over);
            self.closing.push(host);
        }
    }

    fn kept_died(&mut self, n: usize) {
        let (mut on_kept, others): (Vec<_>, Vec<_>) =
            self.flying.drain(..).partition(|flight| flight.3);
        if let Some((run, host, ..)) = pick(&mut on_kept, n) {
            self.schedule.kept_died(run, host);
        }
        self.flying.extend(on_kept.into_iter().chain(others));
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Submit { hosts, deadline_ms } => {
                let after = |ms: u16| self.now + Duration::from_millis(ms.into());
                let run = self.schedule.submit(hosts, deadline_ms.map(after));
                self.runs.push(run);
                self.outcomes.insert(run, vec![0; hosts]);
            }
            Op::Next => drop(self.next()),
            Op::Open(n) => {
                let count = self.flying.iter().filter(|flight| flight.2).count();
                if count > 0 {
                    let mut connecting = self.flying.iter_mut().filter(|flight| flight.2);
                    let flight = connecting.nth(n % count).unwrap();
                    flight.2 = false;
                    self.schedule.opened(flight.0, flight.1);
                }
            }
            Op::End(n) => self.end(n),
            Op::Release(n) => {
                if pick(&mut self.closing, n).is_some() {
                    self.schedule.release();
                }
            }
            Op::KeepThenEnd(n) => {
                let at = n % self.flying.len().max(1);
                let opened = self.flying.get(at).is_some_and(|flight| !flight.2);
                if opened && self.schedule.keep(self.flying[at].1) {
                    let (run, host, ..) = self.flying.swap_remove(at);
                    self.kept.push(host);
                    let over = self.schedule.ended(run, host);
                    self.count(run, &[host], over);
                }
            }
            Op::Keep(n) => {
                if let Some(host) = pick(&mut self.closing, n) {
                    if self.schedule.keep(host) {
                        self.kept.push(host);
                    } else {
                        self.schedule.release();
                    }
                }
            }
            Op::LocalLimit(n) => {
                if let Some((run, host, ..)) = pick(&mut self.flying, n) {
                    let until = self.schedule.local_limit(run, host, self.now);
                    assert!(until > self.now);
                }
            }
            Op::KeptDied(n) => self.kept_died(n),
            Op::Stop(n) => {
                if !self.runs.is_empty() {
                    self.stop(self.runs[n % self.runs.len()]);
                }
            }
            Op::Close => {
                for host in self.schedule.close() {
                    let at = self.kept.iter().position(|h| *h == host).expect("was kept");
                    self.kept.swap_remove(at);
                    self.closing.push(host);
                }
            }
            Op::Pass { ms } => self.now += Duration::from_millis(ms.into()),
        }
        self.check();
    }

    fn check(&self) {
        let live = self.flying.len() + self.closing.len() + self.kept.len();
        assert!(live <= self.bounds.size, "P1: {live} live sessions");
        assert_eq!(live, self.schedule.live);
        let connecting = self.flying.iter().filter(|flight| flight.2).count();
        assert!(
            connecting <= self.bounds.handshakes,
            "P1: {connecting} handshakes"
        );
        assert_eq!(connecting, self.schedule.connecting);
        assert_eq!(self.kept.len(), self.schedule.kept.len());
        assert!((1..=self.bounds.size).contains(&self.schedule.ceiling));
    }

    /// Lets everything in flight end, with time passing: all hosts must have ended then.
    fn finish(mut self) {
        for _ in 0..10_000 {
            if self.schedule.is_idle() {
                break;
            }
            while let Some(run) = self.schedule.overdue(self.now) {
                self.stop(run);
            }
            self.end(0);
            if pick(&mut self.closing, 0).is_some() {
                self.schedule.release();
            }
            self.now += Duration::from_millis(100);
            self.next();
            self.check();
        }
        assert!(self.schedule.is_idle() && self.flying.is_empty());
        assert!(
            self.outcomes.values().flatten().all(|n| *n == 1),
            "P2: {:?}",
            self.outcomes
        );
        assert!(
            self.runs.iter().all(|run| self.over[run] == 1),
            "each run is over once"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// P1, P2, P5, P6: whatever the caller reports in whatever order, the bounds hold, and once
    /// it lets hosts end every host has ended exactly once.
    #[test]
    fn every_host_ends_once_within_the_bounds(
        size in 1..10_usize,
        handshakes in 1..10_usize,
        ops in proptest::collection::vec(op(), 0..150),
    ) {
        let mut model = Model::new(Bounds { size, handshakes });
        for op in ops {
            model.apply(op);
        }
        model.finish();
    }
}
