//! What a seed makes up: the pool's bounds, the machine, the hosts, and what is asked of them when.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::super::Bounds;

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from `from` to `to`, both included.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    pub(super) fn count(&mut self, from: usize, to: usize) -> usize {
        self.between(from as u64, to as u64) as usize
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn maybe<T>(&mut self, percent: u64, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(percent).then(|| make(self))
    }
}

/// What a host does when it is connected to or runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temper {
    Healthy,
    /// Every other connection fails in a way that may pass.
    Flaky,
    /// All of them do.
    Refusing,
    /// Nothing ever comes: the limit of the connection ends it.
    Hanging,
    /// The failure is for good.
    Denying,
    /// The command does not end: its limit does.
    Stalling,
    /// The session is lost while the command runs.
    Dying,
}

/// Milliseconds since the world began.
pub(super) type Ms = u64;

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) bounds: Bounds,
    /// The destination of each host.
    pub(super) of: Vec<u32>,
    pub(super) tempers: Vec<Temper>,
    /// Sessions that the machine has room for.
    pub(super) room: usize,
    /// When the machine has room for none.
    pub(super) outages: Vec<(Ms, Ms)>,
    pub(super) retries: u32,
    pub(super) connect_limit: Ms,
    pub(super) command_limit: Ms,
    pub(super) runs: Vec<RunPlan>,
    /// When the pool is closed: from then on no session is kept.
    pub(super) close_at: Option<Ms>,
    /// For what happens on the way.
    pub(super) random: Random,
}

/// A caller that runs one wave after the other.
#[derive(Debug, Clone)]
pub(super) struct RunPlan {
    pub(super) at: Ms,
    /// How many hosts each wave has.
    pub(super) waves: Vec<usize>,
    pub(super) deadline: Option<Ms>,
    pub(super) stop: Option<(Ms, InFlight)>,
    /// After how many failures the run stops.
    pub(super) failures: Option<(usize, InFlight)>,
}

/// What a stop does with hosts in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InFlight {
    Finish,
    End,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut r = Random::new(seed);
        let hosts = match r.between(0, 9) {
            0 => r.count(1, 3),
            1..=7 => r.count(4, 30),
            _ => r.count(31, 80),
        };
        let destinations = match r.between(0, 2) {
            0 => hosts,
            _ => r.count(1, hosts),
        };
        let bounds = bounds(&mut r);
        let faults = r.between(0, 80);
        let until = r.between(10, 5_000);
        Self {
            bounds,
            of: (0..hosts)
                .map(|host| (host % destinations) as u32)
                .collect(),
            tempers: (0..hosts).map(|_| temper(&mut r, faults)).collect(),
            room: match r.chance(40) {
                true => r.count(1, bounds.size),
                false => usize::MAX,
            },
            outages: (0..r.between(0, 2)).map(|_| outage(&mut r)).collect(),
            retries: r.between(0, 3) as u32,
            connect_limit: r.between(1, 3_000),
            command_limit: r.between(1, 3_000),
            runs: (0..r.between(1, 4))
                .map(|_| run(&mut r, hosts, until))
                .collect(),
            close_at: r.maybe(10, |r| r.between(0, 2 * until)),
            random: r,
        }
    }

    pub(super) fn is_out(&self, now: Ms) -> bool {
        self.outages
            .iter()
            .any(|(from, to)| (*from..*to).contains(&now))
    }
}

fn bounds(r: &mut Random) -> Bounds {
    let rate = |r: &mut Random| NonZeroU32::new(r.between(1, 200) as u32).expect("at least 1");
    Bounds {
        size: r.count(1, 16),
        handshakes: r.count(1, 8),
        destination_handshakes: r.count(1, 4),
        rate: r.maybe(25, rate),
        destination_rate: r.maybe(25, rate),
        keep_open: r.chance(50),
        idle_timeout: r.maybe(50, |r| Duration::from_millis(r.between(0, 2_000))),
    }
}

fn temper(r: &mut Random, faults: u64) -> Temper {
    if !r.chance(faults) {
        return Temper::Healthy;
    }
    match r.between(0, 5) {
        0 => Temper::Flaky,
        1 => Temper::Refusing,
        2 => Temper::Hanging,
        3 => Temper::Denying,
        4 => Temper::Stalling,
        _ => Temper::Dying,
    }
}

fn outage(r: &mut Random) -> (Ms, Ms) {
    let from = r.between(0, 5_000);
    (from, from + r.between(1, 4_000))
}

fn run(r: &mut Random, hosts: usize, until: Ms) -> RunPlan {
    let flights = |r: &mut Random| match r.chance(50) {
        true => InFlight::Finish,
        false => InFlight::End,
    };
    RunPlan {
        at: r.between(0, until),
        waves: (0..r.between(1, 3)).map(|_| r.count(1, hosts)).collect(),
        deadline: r.maybe(30, |r| r.between(0, 6_000)),
        stop: r.maybe(30, |r| (r.between(0, 4_000), flights(r))),
        failures: r.maybe(20, |r| (r.count(1, 5), flights(r))),
    }
}
