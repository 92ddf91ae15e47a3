//! Random operations on the scheduler, held against what their caller knows by itself.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// Hosts of the pool.
const HOSTS: usize = 11;

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
    EndInOrder(usize),
    Expire,
    Adopt(usize),
    LocalLimit(usize),
    KeptDied(usize),
    Retry {
        which: usize,
        pause_ms: u16,
    },
    Stop(usize),
    Close,
    Pass {
        ms: u16,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (1..=HOSTS, proptest::option::of(0..3000_u16))
            .prop_map(|(hosts, deadline_ms)| Op::Submit { hosts, deadline_ms }),
        8 => Just(Op::Next),
        4 => any::<usize>().prop_map(Op::Open),
        4 => any::<usize>().prop_map(Op::End),
        3 => any::<usize>().prop_map(Op::Release),
        5 => any::<usize>().prop_map(Op::EndInOrder),
        1 => Just(Op::Expire),
        1 => (0..HOSTS).prop_map(Op::Adopt),
        2 => any::<usize>().prop_map(Op::LocalLimit),
        1 => any::<usize>().prop_map(Op::KeptDied),
        3 => (any::<usize>(), 0..2000_u16)
            .prop_map(|(which, pause_ms)| Op::Retry { which, pause_ms }),
        1 => any::<usize>().prop_map(Op::Stop),
        1 => Just(Op::Close),
        4 => (0..2000_u16).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// A host in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Flying {
    run: RunId,
    host: usize,
    seat: Seat,
    connecting: bool,
    /// Whether its session was open when it began.
    kept: bool,
}

/// What the caller knows by itself, against which the schedule is held.
struct Model {
    schedule: Schedule,
    bounds: Bounds,
    now: Instant,
    flying: Vec<Flying>,
    /// Sessions that are to be closed and hold their place.
    closing: Vec<Seat>,
    idle: Vec<Seat>,
    /// Sessions that somebody retired.
    retired: Vec<Seat>,
    runs: Vec<RunId>,
    /// Outcomes per run and host.
    outcomes: HashMap<RunId, Vec<u32>>,
    over: HashMap<RunId, u32>,
    /// Hosts that wait for another try: (run, host, not before).
    paused: Vec<(RunId, usize, Instant)>,
    /// The destination of each host.
    of: Vec<u32>,
    /// When connections began, and where to.
    begins: Vec<(Instant, u32)>,
}

fn pick<T>(from: &mut Vec<T>, n: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(n % from.len()))
}

impl Model {
    fn new(bounds: Bounds, of: Vec<u32>) -> Self {
        Self {
            schedule: Schedule::new(bounds, of.as_slice().into()),
            paused: Vec::new(),
            of,
            begins: Vec::new(),
            bounds,
            now: Instant::now(),
            flying: Vec::new(),
            closing: Vec::new(),
            idle: Vec::new(),
            retired: Vec::new(),
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
            Origin::Kept => None,
            Origin::Fresh { evicted } => evicted,
        };
        if let Some(gone) = gone {
            let at = self.idle.iter().position(|seat| *seat == gone);
            self.idle.swap_remove(at.expect("was idle"));
        }
        self.idle.retain(|seat| *seat != start.seat);
        let same = |f: &&Flying| (f.run, f.host) == (start.run, start.host);
        assert_eq!(self.flying.iter().find(same), None);
        let beside = || self.flying.iter().filter(|f| f.host == start.host);
        if self.bounds.keep_open {
            let others = beside().any(|f| !self.retired.contains(&f.seat));
            assert!(kept || !others, "a second connection to a host");
            assert!(!self.retired.contains(&start.seat), "on a retired session");
            assert!(
                beside()
                    .filter(|f| f.seat == start.seat)
                    .all(|f| !f.connecting)
            );
        } else {
            assert!(!kept);
        }
        assert_eq!(
            self.outcomes[&start.run][start.host], 0,
            "begun after its outcome"
        );
        let paused = |p: &(RunId, usize, Instant)| (p.0, p.1) == (start.run, start.host);
        if let Some(at) = self.paused.iter().position(paused) {
            let (.., not_before) = self.paused.swap_remove(at);
            assert!(not_before <= self.now, "tried again before its time");
        }
        if !kept {
            self.begins.push((self.now, self.of[start.host]));
        }
        self.flying.push(Flying {
            run: start.run,
            host: start.host,
            seat: start.seat,
            connecting: !kept,
            kept,
        });
        true
    }

    /// A connection failed: its host pauses, without a place.
    fn retry(&mut self, which: usize, pause_ms: u16) {
        let (mut connecting, others): (Vec<_>, Vec<_>) =
            self.flying.drain(..).partition(|flight| flight.connecting);
        if let Some(Flying {
            run, host, seat, ..
        }) = pick(&mut connecting, which)
        {
            let at = self.now + Duration::from_millis(pause_ms.into());
            self.schedule.retry((run, host), seat, at);
            self.paused.push((run, host, at));
        }
        self.flying.extend(connecting.into_iter().chain(others));
    }

    fn stop(&mut self, run: RunId) {
        self.paused.retain(|paused| paused.0 != run);
        let (hosts, over) = self.schedule.stop(run);
        self.count(run, &hosts, over);
    }

    /// A host ends, its session in order or not.
    fn end(&mut self, n: usize, orderly: bool) {
        let Some(Flying {
            run,
            host,
            seat,
            connecting,
            ..
        }) = pick(&mut self.flying, n)
        else {
            return;
        };
        let left = if orderly && !connecting {
            self.schedule.leave(seat, self.now)
        } else {
            self.retired.push(seat);
            self.schedule.retire(seat)
        };
        let others = self.flying.iter().any(|f| f.seat == seat);
        assert_eq!(left == Left::Used, others);
        match left {
            Left::Used => {}
            Left::Kept => self.idle.push(seat),
            Left::Last => self.closing.push(seat),
        }
        let over = self.schedule.ended(run, host);
        self.count(run, &[host], over);
    }

    fn kept_died(&mut self, n: usize) {
        let (mut on_kept, others): (Vec<_>, Vec<_>) =
            self.flying.drain(..).partition(|flight| flight.kept);
        if let Some(Flying {
            run, host, seat, ..
        }) = pick(&mut on_kept, n)
        {
            self.schedule.kept_died(run, host, seat);
            self.retired.push(seat);
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
                let count = self.flying.iter().filter(|f| f.connecting).count();
                if count > 0 {
                    let mut connecting = self.flying.iter_mut().filter(|f| f.connecting);
                    let flight = connecting.nth(n % count).unwrap();
                    flight.connecting = false;
                    self.schedule.opened(flight.run, flight.host, flight.seat);
                }
            }
            Op::End(n) => self.end(n, false),
            Op::EndInOrder(n) => self.end(n, true),
            Op::Release(n) => {
                if pick(&mut self.closing, n).is_some() {
                    self.schedule.release();
                }
            }
            Op::Expire => {
                if let Some(seat) = self.schedule.expired(self.now) {
                    self.idle.retain(|other| *other != seat);
                    self.closing.push(seat);
                }
            }
            Op::Adopt(host) => {
                if let Some(seat) = self.schedule.adopt(host, self.now) {
                    assert!(
                        self.flying
                            .iter()
                            .all(|f| f.host != host || self.retired.contains(&f.seat))
                    );
                    self.idle.push(seat);
                }
            }
            Op::LocalLimit(n) => {
                if let Some(Flying {
                    run, host, seat, ..
                }) = pick(&mut self.flying, n)
                {
                    let until = self.schedule.local_limit((run, host), seat, self.now);
                    self.retired.push(seat);
                    assert!(until > self.now);
                }
            }
            Op::KeptDied(n) => self.kept_died(n),
            Op::Retry { which, pause_ms } => self.retry(which, pause_ms),
            Op::Stop(n) => {
                if !self.runs.is_empty() {
                    self.stop(self.runs[n % self.runs.len()]);
                }
            }
            Op::Close => {
                for (seat, _) in self.schedule.close() {
                    let at = self.idle.iter().position(|other| *other == seat);
                    self.idle.swap_remove(at.expect("was idle"));
                    self.closing.push(seat);
                }
            }
            Op::Pass { ms } => self.now += Duration::from_millis(ms.into()),
        }
        self.check();
    }

    fn check(&self) {
        let used: HashSet<Seat> = self.flying.iter().map(|flight| flight.seat).collect();
        let live = used.len() + self.closing.len() + self.idle.len();
        assert!(live <= self.bounds.size, "P1: {live} live sessions");
        assert_eq!(live, self.schedule.live);
        let connecting = self
            .flying
            .iter()
            .filter(|flight| flight.connecting)
            .count();
        assert!(
            connecting <= self.bounds.handshakes,
            "P1: {connecting} handshakes"
        );
        assert_eq!(connecting, self.schedule.connecting);
        let mut handshakes = [0; HOSTS];
        for flight in self.flying.iter().filter(|flight| flight.connecting) {
            handshakes[self.of[flight.host] as usize] += 1;
        }
        for (host, to) in self.of.iter().enumerate() {
            let here = handshakes[*to as usize];
            assert!(here <= self.bounds.destination_handshakes);
            assert_eq!(here, self.schedule.destinations.handshakes(host));
        }
        assert_eq!(self.idle.len(), self.schedule.seats.idle());
        for seat in used {
            let users = self.flying.iter().filter(|f| f.seat == seat).count();
            assert_eq!(users, self.schedule.seats.users(seat));
            assert!(users <= seats::USERS_MAX);
        }
        assert!((1..=self.bounds.size).contains(&self.schedule.ceiling));
    }

    /// In any span of time no more connections begin than the rates allow.
    fn check_rates(&self) {
        let check = |rate: Option<NonZeroU32>, begins: Vec<Instant>| {
            let Some(rate) = rate.map(|rate| f64::from(rate.get())) else {
                return;
            };
            for (n, from) in begins.iter().enumerate() {
                for (m, to) in begins.iter().enumerate().skip(n) {
                    let span = (*to - *from + bucket::CATCH_UP).as_secs_f64();
                    // What a begin takes is rounded down to nanoseconds.
                    let most = 1.0 + span * rate + 1e-3;
                    assert!((m - n + 1) as f64 <= most, "{} in {span} s", m - n + 1);
                }
            }
        };
        check(
            self.bounds.rate,
            self.begins.iter().map(|begin| begin.0).collect(),
        );
        for to in self
            .of
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
        {
            let here = self.begins.iter().filter(|begin| begin.1 == to);
            check(
                self.bounds.destination_rate,
                here.map(|begin| begin.0).collect(),
            );
        }
    }

    /// Lets everything in flight end, and time pass only as far as the schedule asks for: all hosts
    /// must have ended then.
    fn finish(mut self) {
        for _ in 0..20_000 {
            if self.schedule.is_idle() {
                break;
            }
            while let Some(run) = self.schedule.overdue(self.now) {
                self.stop(run);
            }
            self.apply(Op::Expire);
            while self.next() {}
            if self.flying.is_empty() && self.closing.is_empty() && !self.schedule.is_idle() {
                let at = self.schedule.wake_at(self.now);
                let at = at.expect("hosts wait, and neither an event nor time would go on");
                assert!(at > self.now, "asked to be asked again at once");
                self.now = at;
            }
            self.end(0, true);
            if pick(&mut self.closing, 0).is_some() {
                self.schedule.release();
            }
            self.check();
        }
        assert!(self.schedule.is_idle() && self.flying.is_empty());
        assert_eq!(
            self.schedule.destinations.held() + self.schedule.seats.held(),
            0
        );
        assert!(
            self.outcomes.values().flatten().all(|n| *n == 1),
            "P2: {:?}",
            self.outcomes
        );
        assert!(
            self.runs.iter().all(|run| self.over[run] == 1),
            "each run is over once"
        );
        self.check_rates();
    }
}

fn per_second() -> impl Strategy<Value = Option<NonZeroU32>> {
    proptest::option::of((1..300_u32).prop_map(|n| NonZeroU32::new(n).unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// P1, P2, P5, P6: whatever the caller reports in whatever order, the bounds hold, no host is
    /// tried again before its time, and once the caller lets hosts end, and asks again when it is
    /// told to, every host has ended exactly once.
    #[test]
    fn every_host_ends_once_within_the_bounds(
        (size, handshakes, destination_handshakes) in (1..10_usize, 1..10_usize, 1..5_usize),
        (rate, destination_rate) in (per_second(), per_second()),
        destinations in 1..=HOSTS as u32,
        (keep_open, idle_ms) in (any::<bool>(), proptest::option::of(0..3000_u64)),
        ops in proptest::collection::vec(op(), 0..150),
    ) {
        let idle_timeout = idle_ms.map(Duration::from_millis);
        let bounds = Bounds {
            size, handshakes, destination_handshakes, rate, destination_rate, keep_open, idle_timeout,
        };
        let of = (0..HOSTS as u32).map(|host| host % destinations).collect();
        let mut model = Model::new(bounds, of);
        for op in ops {
            model.apply(op);
        }
        model.finish();
    }
}
