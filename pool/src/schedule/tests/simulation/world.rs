//! What comes of a plan: events in their order, and a caller that does what the engine does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use super::super::super::*;
use super::laws::{self, Laws};
use super::plan::{InFlight, Ms, Plan, RunPlan, Temper};

/// Whether what happens is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Not,
    Kept,
    Aloud,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A caller begins its next wave.
    Submit {
        caller: usize,
        wave: usize,
    },
    /// A connection came to what it comes to.
    Connected(u64),
    Failed {
        flight: u64,
        passing: bool,
    },
    LocalLimit(u64),
    KeptDied(u64),
    /// A command ended by itself, or the session with it.
    Done {
        flight: u64,
        orderly: bool,
    },
    /// A flight noticed that its run was cancelled.
    Cancelled(u64),
    /// A session was closed: its place is to be given back.
    Closed,
    Stop {
        caller: usize,
        wave: usize,
    },
    Deadline {
        caller: usize,
        wave: usize,
    },
    Alarm(Ms),
    Close,
}

/// A host in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) run: RunId,
    pub(super) host: usize,
    pub(super) seat: Seat,
    pub(super) connecting: bool,
    /// Whether it noticed, or is about to, that its run was cancelled.
    cancelled: bool,
}

/// A run under way, as its caller sees it.
#[derive(Debug, Clone)]
pub(super) struct RunState {
    pub(super) caller: usize,
    wave: usize,
    /// When its last host must have ended.
    pub(super) over_by: Option<Ms>,
    deadline: Option<Ms>,
    failures: usize,
    /// Attempts of each host.
    retries: Vec<u32>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) schedule: Schedule,
    start: Instant,
    pub(super) now: Ms,
    events: BinaryHeap<Reverse<(Ms, u64, Event)>>,
    /// Counts events and flights.
    count: u64,
    pub(super) flights: BTreeMap<u64, Flight>,
    /// Sessions that are being closed and hold their place.
    pub(super) closing: usize,
    pub(super) runs: BTreeMap<RunId, RunState>,
    waves: HashMap<(usize, usize), RunId>,
    /// As the engine's.
    alarm: Option<Ms>,
    laws: Laws,
    told: Told,
    story: Vec<String>,
}

impl World {
    pub(super) fn new(plan: Plan, told: Told) -> Self {
        let schedule = Schedule::new(plan.bounds, plan.of.as_slice().into());
        let mut world = Self {
            schedule,
            start: Instant::now(),
            now: 0,
            events: BinaryHeap::new(),
            count: 0,
            flights: BTreeMap::new(),
            closing: 0,
            runs: BTreeMap::new(),
            waves: HashMap::new(),
            alarm: None,
            laws: Laws::default(),
            told,
            story: Vec::new(),
            plan,
        };
        for (caller, run) in world.plan.runs.clone().into_iter().enumerate() {
            world.at(run.at, Event::Submit { caller, wave: 0 });
        }
        if let Some(at) = world.plan.close_at {
            world.at(at, Event::Close);
        }
        world
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn at(&mut self, at: Ms, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    fn after(&mut self, ms: Ms, event: Event) {
        self.at(self.now + ms, event);
    }

    /// Lets everything happen, to the last event.
    pub(super) fn live(&mut self) {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            self.laws.step(&self.plan);
            match self.told {
                Told::Not => {}
                Told::Kept => self.story.push(format!("{at} {event:?}")),
                Told::Aloud => println!("{at} {event:?}"),
            }
            self.happen(event);
            self.laws.check(self);
        }
        self.laws.ended(self);
    }

    pub(super) fn story(&self) -> &[String] {
        &self.story
    }

    pub(super) fn seen(&self) -> [u64; 8] {
        self.laws.seen
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Submit { caller, wave } => self.submit(caller, wave),
            Event::Connected(id) => self.connected(id),
            Event::Failed { flight, passing } => self.failed(flight, passing),
            Event::LocalLimit(id) => {
                if let Some(flight) = self.flights.remove(&id) {
                    let now = self.instant();
                    let place = (flight.run, flight.host);
                    let until = self.schedule.local_limit(place, flight.seat, now);
                    assert!(
                        until > now && until <= now + HOLD_MAX,
                        "P6: holds within bounds"
                    );
                    self.laws.seen[3] += 1;
                    self.hand_out();
                }
            }
            Event::KeptDied(id) => {
                if let Some(flight) = self.flights.remove(&id) {
                    self.schedule
                        .kept_died(flight.run, flight.host, flight.seat);
                    self.laws.seen[4] += 1;
                    self.hand_out();
                }
            }
            Event::Done { flight, orderly } => self.end(flight, orderly, !orderly),
            Event::Cancelled(id) => self.end(id, false, false),
            Event::Closed => {
                self.closing -= 1;
                self.schedule.release();
                self.hand_out();
            }
            Event::Stop { caller, wave } => self.stop_wave(caller, wave),
            Event::Deadline { caller, wave } => {
                if let Some(run) = self.waves.get(&(caller, wave)).copied()
                    && self.runs.contains_key(&run)
                {
                    self.laws.seen[5] += 1;
                    self.stop(run, InFlight::End);
                }
            }
            Event::Alarm(at) => {
                if self.alarm.take_if(|alarm| *alarm == at).is_some() {
                    self.laws.seen[7] += 1;
                    self.hand_out();
                }
            }
            Event::Close => {
                for _ in self.schedule.close() {
                    self.closing += 1;
                    self.after(2, Event::Closed);
                }
            }
        }
    }

    fn submit(&mut self, caller: usize, wave: usize) {
        let RunPlan {
            waves,
            deadline,
            stop,
            ..
        } = self.plan.runs[caller].clone();
        let hosts = waves[wave];
        let deadline = deadline.map(|ms| self.now + ms);
        let by = deadline.map(|at| self.start + Duration::from_millis(at));
        let run = self.schedule.submit(hosts, by);
        let state = RunState {
            caller,
            wave,
            over_by: deadline.map(|at| at + SLACK),
            deadline,
            failures: 0,
            retries: vec![0; hosts],
        };
        self.runs.insert(run, state);
        self.waves.insert((caller, wave), run);
        self.laws.submitted(run, hosts);
        if let Some(at) = deadline {
            self.at(at, Event::Deadline { caller, wave });
        }
        if let Some((ms, _)) = stop {
            self.after(ms, Event::Stop { caller, wave });
        }
        self.hand_out();
    }

    fn stop_wave(&mut self, caller: usize, wave: usize) {
        let run = self.waves.get(&(caller, wave)).copied();
        if let (Some(run), Some((_, flights))) = (run, self.plan.runs[caller].stop)
            && self.runs.contains_key(&run)
        {
            self.stop(run, flights);
        }
    }

    /// As the engine's: nobody is asked what can begin, because nothing came free.
    fn stop(&mut self, run: RunId, flights: InFlight) {
        self.laws.seen[6] += 1;
        let longest = self.plan.connect_limit + self.plan.command_limit;
        let by = match flights {
            InFlight::End => self.now + SLACK,
            InFlight::Finish => self.now + longest + SLACK,
        };
        let state = self.runs.get_mut(&run).expect("it is under way");
        state.over_by = Some(state.over_by.map_or(by, |before| before.min(by)));
        if flights == InFlight::End {
            let in_flight = self
                .flights
                .iter_mut()
                .filter(|(_, f)| f.run == run && !f.cancelled);
            let cancelled: Vec<u64> = in_flight
                .map(|(id, f)| {
                    f.cancelled = true;
                    *id
                })
                .collect();
            for id in cancelled {
                let ms = self.plan.random.between(0, SLACK / 2);
                self.after(ms, Event::Cancelled(id));
            }
        }
        let (hosts, over) = self.schedule.stop(run);
        for host in hosts {
            self.laws.outcome(run, host);
        }
        if over {
            self.over(run);
        }
    }

    /// A run has ended: its caller goes on with the next wave.
    fn over(&mut self, run: RunId) {
        let state = self.runs.remove(&run).expect("a run is over once");
        self.laws.over(run);
        let (caller, wave) = (state.caller, state.wave + 1);
        if wave < self.plan.runs[caller].waves.len() {
            self.after(1, Event::Submit { caller, wave });
        }
        if self.schedule.is_idle() {
            self.alarm = None;
        }
    }

    fn connected(&mut self, id: u64) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.connecting = false;
        let flight = *flight;
        self.schedule.opened(flight.run, flight.host, flight.seat);
        self.command(id, flight.host);
        self.hand_out();
    }

    fn command(&mut self, flight: u64, host: usize) {
        let limit = self.plan.command_limit;
        let takes = self.plan.random.between(0, 400).min(limit);
        let (ms, orderly) = match self.plan.tempers[host] {
            Temper::Stalling => (limit, false),
            Temper::Dying => (takes, false),
            _ => (takes, true),
        };
        self.after(ms, Event::Done { flight, orderly });
    }

    fn failed(&mut self, id: u64, passing: bool) {
        let Some(flight) = self.flights.get(&id).copied() else {
            return;
        };
        let most = self.plan.retries;
        let tried = self.runs[&flight.run].retries[flight.host];
        let pause = self.plan.random.between(0, 500 << tried);
        let deadline = self.runs[&flight.run].deadline;
        // What the deadline would find waiting is not tried again.
        let in_time = deadline.is_none_or(|at| self.now + pause < at);
        if !(passing && tried < most && in_time) {
            self.end(id, false, true);
            return;
        }
        self.flights.remove(&id);
        let state = self
            .runs
            .get_mut(&flight.run)
            .expect("it has a host in flight");
        state.retries[flight.host] += 1;
        let at = self.instant() + Duration::from_millis(pause);
        self.schedule
            .retry((flight.run, flight.host), flight.seat, at);
        self.laws.paused(flight.run, flight.host, self.now + pause);
        self.hand_out();
    }

    /// A host ends, as a flight lands.
    fn end(&mut self, id: u64, orderly: bool, failed: bool) {
        let Some(Flight {
            run, host, seat, ..
        }) = self.flights.remove(&id)
        else {
            return;
        };
        let now = self.instant();
        let left = match orderly {
            true => self.schedule.leave(seat, now),
            false => self.schedule.retire(seat),
        };
        self.laws.outcome(run, host);
        if self.schedule.ended(run, host) {
            self.over(run);
        } else if failed && let Some(flights) = self.too_many_failed(run) {
            self.stop(run, flights);
        }
        if left == Left::Last && orderly {
            self.closing += 1;
            let ms = self.plan.random.between(0, 30);
            self.after(ms, Event::Closed);
        } else if left == Left::Last {
            self.schedule.release();
        }
        self.hand_out();
    }

    fn too_many_failed(&mut self, run: RunId) -> Option<InFlight> {
        let state = self.runs.get_mut(&run)?;
        state.failures += 1;
        let (most, flights) = self.plan.runs[state.caller].failures?;
        (state.failures == most).then_some(flights)
    }

    /// As the engine's: begins all that can be begun, and sets the alarm that is asked for.
    fn hand_out(&mut self) {
        let now = self.instant();
        while let Some(run) = self.schedule.overdue(now) {
            self.stop(run, InFlight::Finish);
        }
        while self.schedule.expired(now).is_some() {
            self.closing += 1;
            self.after(3, Event::Closed);
        }
        loop {
            let waits = laws::could_begin(self);
            let Some(start) = self.schedule.next(now) else {
                break;
            };
            let mut laws = std::mem::take(&mut self.laws);
            laws.begins(self, &start, &waits);
            self.laws = laws;
            self.begin(&start);
        }
        laws::nobody_left(self);
        let Some(at) = self.schedule.wake_at(now) else {
            return;
        };
        assert!(at > now, "P5: asked to be asked again at once");
        // Time has milliseconds here: a moment within one is seen at its end.
        let at = (at - self.start).as_nanos().div_ceil(1_000_000) as Ms;
        if self.alarm.is_none_or(|set| set > at) {
            self.alarm = Some(at);
            self.at(at, Event::Alarm(at));
        }
    }

    fn begin(&mut self, start: &Start) {
        self.count += 1;
        let id = self.count;
        let kept = start.session == Origin::Kept;
        let flight = Flight {
            run: start.run,
            host: start.host,
            seat: start.seat,
            connecting: !kept,
            cancelled: false,
        };
        self.flights.insert(id, flight);
        if kept {
            // Before it is used, as a session that died is found.
            match self.plan.random.chance(10) {
                true => self.after(0, Event::KeptDied(id)),
                false => self.command(id, start.host),
            }
            return;
        }
        if self.plan.is_out(self.now) || self.laws.live(self) > self.plan.room {
            self.after(1, Event::LocalLimit(id));
            return;
        }
        let limit = self.plan.connect_limit;
        let takes = self.plan.random.between(0, 200).min(limit);
        let fails = |passing| Event::Failed {
            flight: id,
            passing,
        };
        let (ms, event) = match self.plan.tempers[start.host] {
            Temper::Flaky if self.plan.random.chance(50) => (takes, fails(true)),
            Temper::Refusing => (takes.min(3), fails(true)),
            Temper::Hanging => (limit, fails(true)),
            Temper::Denying => (takes, fails(false)),
            _ => (takes, Event::Connected(id)),
        };
        self.after(ms, event);
    }
}

/// How long a flight takes to notice that its run was cancelled, and to end.
const SLACK: Ms = 10;
