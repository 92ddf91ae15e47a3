//! What has to hold in every world, counted apart from what the schedule counts.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::seats::{USERS_MAX, Vacancy};
use super::super::super::*;
use super::plan::{Ms, Plan};
use super::world::World;

#[derive(Debug, Default)]
pub(super) struct Laws {
    steps: u64,
    /// What `SEEN` names.
    pub(super) seen: [u64; 8],
    /// Outcomes of each host.
    outcomes: BTreeMap<RunId, Vec<u32>>,
    /// Runs that are over.
    over: BTreeSet<RunId>,
    /// When a host may be tried again.
    paused: BTreeMap<(RunId, usize), Ms>,
    /// Which run was passed over for which, since it last began a host or had none to begin.
    passed: BTreeSet<(RunId, RunId)>,
}

impl Laws {
    /// It ends in as many steps as there is something to do: a few for each time that a host is
    /// begun, which itself has a bound.
    pub(super) fn step(&mut self, plan: &Plan) {
        self.steps += 1;
        let [_, begins, retries, limits, died, ..] = self.seen;
        let hosts: u64 = self.outcomes.values().map(|run| run.len() as u64).sum();
        assert!(
            begins <= hosts + retries + limits + died,
            "begun for nothing"
        );
        // A limit of the machine is met once a second in an outage, and else after as many
        // sessions were opened as fit.
        let outages: u64 = plan
            .outages
            .iter()
            .map(|(from, to)| (to - from) / 1_000 + 10)
            .sum();
        let most = (outages + 10) * plan.bounds.size as u64 + begins.saturating_sub(limits);
        assert!(limits <= most, "P6: {limits} local limits, {begins} begins");
        let most = 100 + 20 * (hosts + begins);
        assert!(
            self.steps <= most,
            "P5: {} steps for {begins} begins",
            self.steps
        );
    }

    pub(super) fn submitted(&mut self, run: RunId, hosts: usize) {
        let before = self.outcomes.insert(run, vec![0; hosts]);
        assert_eq!(before, None, "a run's number is its own");
    }

    pub(super) fn outcome(&mut self, run: RunId, host: usize) {
        let count = &mut self.outcomes.get_mut(&run).expect("it was submitted")[host];
        *count += 1;
        assert_eq!(*count, 1, "P2: one outcome");
        self.seen[0] += 1;
        self.paused.remove(&(run, host));
    }

    pub(super) fn over(&mut self, run: RunId) {
        assert!(self.over.insert(run), "a run is over once");
        assert!(
            self.outcomes[&run].iter().all(|count| *count == 1),
            "P2: over too early"
        );
        self.passed.retain(|(other, _)| *other != run);
    }

    pub(super) fn paused(&mut self, run: RunId, host: usize, until: Ms) {
        self.seen[2] += 1;
        self.paused.insert((run, host), until);
    }

    /// Returns how many places are taken.
    pub(super) fn live(&self, world: &World) -> usize {
        let used: BTreeSet<Seat> = world.flights.values().map(|flight| flight.seat).collect();
        used.len() + world.closing + world.schedule.seats.idle()
    }

    pub(super) fn begins(&mut self, world: &World, start: &Start, waits: &[RunId]) {
        self.seen[1] += 1;
        let place = (start.run, start.host);
        assert_eq!(
            self.outcomes[&start.run][start.host], 0,
            "P2: begun after its outcome"
        );
        let twice = world.flights.values().any(|f| (f.run, f.host) == place);
        assert!(!twice, "P2: begun while in flight");
        if let Some(until) = self.paused.remove(&place) {
            assert!(until <= world.now, "tried again before its time");
        }
        let by = world.runs[&start.run].over_by;
        assert!(
            by.is_none_or(|by| world.now <= by),
            "P3: begun after its run's end"
        );
        // Runs take turns: each other one is served at most once before a run that could begin is.
        let (served, passed) = (start.run, &mut self.passed);
        passed.retain(|(run, _)| waits.contains(run) && *run != served);
        for run in waits.iter().filter(|run| **run != served) {
            assert!(passed.insert((*run, served)), "{run:?} starves");
        }
    }

    /// What holds between any two events.
    pub(super) fn check(&self, world: &World) {
        let (schedule, bounds) = (&world.schedule, &world.plan.bounds);
        let live = self.live(world);
        assert_eq!(live, schedule.live, "places are counted right");
        assert!(live <= bounds.size, "P1: {live} sessions");
        let connecting = world.flights.values().filter(|flight| flight.connecting);
        let mut to = BTreeMap::<u32, usize>::new();
        for flight in connecting.clone() {
            *to.entry(world.plan.of[flight.host]).or_default() += 1;
        }
        assert!(connecting.count() <= bounds.handshakes, "P1: handshakes");
        let most = bounds.destination_handshakes;
        assert!(
            to.values().all(|count| *count <= most),
            "P1: at a destination"
        );
        let mut users = BTreeMap::<Seat, usize>::new();
        for flight in world.flights.values() {
            *users.entry(flight.seat).or_default() += 1;
        }
        let most = if bounds.keep_open { USERS_MAX } else { 1 };
        assert!(
            users.values().all(|count| *count <= most),
            "P1: users of a session"
        );
        for (run, state) in &world.runs {
            let by = state.over_by;
            assert!(by.is_none_or(|by| world.now <= by), "P3: {run:?} is late");
        }
    }

    /// What holds when nothing happens any more.
    pub(super) fn ended(&self, world: &World) {
        let all = self.outcomes.values().flatten();
        assert!(
            all.clone().all(|count| *count == 1),
            "P2: a host was forgotten"
        );
        assert!(world.runs.is_empty() && world.flights.is_empty() && world.closing == 0);
        assert_eq!(self.over.len(), self.outcomes.len(), "every run is over");
        let waves: usize = world.plan.runs.iter().map(|run| run.waves.len()).sum();
        assert_eq!(self.over.len(), waves, "every wave came");
        let schedule = &world.schedule;
        assert!(schedule.is_idle());
        assert_eq!(schedule.destinations.held() + schedule.seats.held(), 0);
        assert_eq!(schedule.live, schedule.seats.idle());
    }
}

/// Returns the runs that have a host which nothing holds back.
pub(super) fn could_begin(world: &mut World) -> Vec<RunId> {
    let now = world.instant();
    let schedule = &mut world.schedule;
    schedule.bring_back(now);
    if !schedule.fresh_allowed(now) {
        return Vec::new();
    }
    let goes = |host: &usize| match schedule.seats.vacancy(*host) {
        Vacancy::Open(_) => true,
        Vacancy::None => schedule.destinations.admits(*host, now),
        Vacancy::Busy => false,
    };
    let runs = schedule
        .runs
        .iter()
        .filter(|(_, run)| !run.is_over(now) && run.ready.iter().chain(&run.waiting).any(goes));
    runs.map(|(id, _)| *id).collect()
}

/// With nothing more to begin, nobody waits whom nothing holds back.
pub(super) fn nobody_left(world: &mut World) {
    assert_eq!(could_begin(world), [], "P5: left waiting with room");
}
