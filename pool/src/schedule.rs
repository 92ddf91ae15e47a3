//! Which host is next: the pool's bookkeeping as a pure state machine that is told the time.
//!
//! It knows hosts by number only and does nothing itself: [`Schedule::next`] says what to begin,
//! [`Schedule::wake_at`] when to ask again, and the caller reports what became of it. The laws it
//! keeps, whatever the order of calls: live sessions never exceed the pool size and handshakes
//! their own bounds (P1), and every host of a run ends exactly once (P2). A host that meets a
//! limit of this machine goes back to the end of its queue, and fewer sessions are begun from then
//! on (P6). A host that waits, for its next try or for its destination, has no place in the pool
//! and holds up no other host.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod bucket;
mod destinations;
mod hosts;
mod seats;

use bucket::{Bucket, Rate};
use destinations::Destinations;
use hosts::{RunHosts, State};
pub(crate) use seats::{Left, Seat};
use seats::{Seats, Vacancy};

/// The bounds of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Live sessions at once, kept ones included.
    pub(crate) size: usize,
    /// Handshakes in flight at once.
    pub(crate) handshakes: usize,
    /// Handshakes in flight at once at one destination.
    pub(crate) destination_handshakes: usize,
    /// Connections begun a second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Connections begun a second at one destination.
    pub(crate) destination_rate: Option<NonZeroU32>,
    /// Whether sessions stay open for the next command, and are shared meanwhile.
    pub(crate) keep_open: bool,
    /// How long an idle session stays open.
    pub(crate) idle_timeout: Option<Duration>,
}

impl Bounds {
    /// Returns how many hosts may be in flight at once, over all runs.
    pub(crate) fn users_max(&self) -> usize {
        if self.keep_open {
            self.size.saturating_mul(seats::USERS_MAX)
        } else {
            self.size
        }
    }
}

/// One run's number, never used twice in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunId(u64);

/// What the caller is to begin; it holds one place in the pool until [`Schedule::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Start {
    pub(crate) run: RunId,
    pub(crate) host: usize,
    pub(crate) seat: Seat,
    pub(crate) session: Origin,
}

/// Where the session for a start comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The host's open session, idle or in use; no handshake.
    Kept,
    /// A fresh one; in the place of the idle one of `evicted`, which is to be closed before.
    Fresh { evicted: Option<Seat> },
}

/// How many hosts of a run are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) waiting: usize,
    pub(crate) connecting: usize,
    pub(crate) running: usize,
    pub(crate) ended: usize,
}

/// A pool's hosts, places and handshakes.
#[derive(Debug)]
pub(crate) struct Schedule {
    bounds: Bounds,
    /// Sessions at once as local limits allow, 1 to `bounds.size`: falls to what was live when a
    /// limit was met, and rises by one with as many sessions opened since.
    ceiling: usize,
    /// Sessions opened since the ceiling last moved.
    opened: usize,
    /// No fresh session before this moment, unless a place is given back.
    hold: Option<Instant>,
    /// Local limits met in a row; the hold doubles with each.
    strikes: u32,
    /// Places taken: hosts in flight, sessions being closed, and kept sessions.
    live: usize,
    connecting: usize,
    /// What the pool's rate leaves.
    bucket: Bucket,
    destinations: Destinations,
    seats: Seats,
    runs: BTreeMap<RunId, RunHosts>,
    /// All runs, that one first whose turn it is: a run that came later is behind all others, so
    /// that ever more runs do not keep an earlier one from its turn.
    turns: VecDeque<RunId>,
    /// The number of the run submitted last.
    submitted: u64,
    /// Set by `close`: sessions are not kept any longer.
    closed: bool,
}

impl Schedule {
    /// A pool of as many hosts as there are destinations given, which are counted from 0.
    pub(crate) fn new(bounds: Bounds, destinations: Arc<[u32]>) -> Self {
        let lowest = bounds.size.min(bounds.handshakes);
        assert!(
            lowest.min(bounds.destination_handshakes) > 0,
            "a bound of 0 would never end"
        );
        let rate = bounds.destination_rate.map(Rate::new);
        let destinations = Destinations::new(destinations, bounds.destination_handshakes, rate);
        Self {
            bounds,
            ceiling: bounds.size,
            opened: 0,
            hold: None,
            strikes: 0,
            live: 0,
            connecting: 0,
            bucket: Bucket::default(),
            destinations,
            seats: Seats::new(bounds.keep_open),
            runs: BTreeMap::new(),
            turns: VecDeque::new(),
            submitted: 0,
            closed: false,
        }
    }

    /// Adds a run over hosts `0..hosts`; those with a kept session come first, since a session
    /// that is used cannot be evicted.
    pub(crate) fn submit(&mut self, hosts: usize, deadline: Option<Instant>) -> RunId {
        self.submitted += 1;
        let id = RunId(self.submitted);
        let (kept, fresh): (Vec<usize>, Vec<usize>) =
            (0..hosts).partition(|host| self.seats.is_open(*host));
        let waiting = kept.into_iter().chain(fresh).collect();
        let run = RunHosts::new(waiting, deadline);
        self.runs.insert(id, run);
        self.turns.push_back(id);
        id
    }

    /// Returns what can be begun at `now`, if anything; runs take turns.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Start> {
        loop {
            self.bring_back(now);
            let fresh = self.fresh_allowed(now);
            for turn in 0..self.turns.len() {
                let run = self.turns[turn];
                if let Some((host, seat)) = self.candidate(run, fresh, now) {
                    self.turns.remove(turn);
                    self.turns.push_back(run);
                    return Some(self.begin(run, (host, seat), now));
                }
            }
            // A host that came back for room, and waits for its seat, has left that to another.
            if !self.destinations.has_changed() {
                return None;
            }
        }
    }

    /// Returns the moment to call [`Schedule::next`] again, if time alone can change its answer;
    /// to be asked when that has nothing to begin.
    pub(crate) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let runs = self.runs.values().filter(|run| !run.is_over(now));
        let (mut waits, mut at) = (false, self.destinations.wake_at());
        for run in runs {
            waits |= !(run.ready.is_empty() && run.waiting.is_empty());
            at = earlier(at, run.resumes_at());
        }
        if let (Some(since), Some(limit)) = (self.seats.idle_since(), self.bounds.idle_timeout) {
            at = earlier(at, since.checked_add(limit));
        }
        if waits && self.has_room() {
            let opens = self.hold.max(self.bucket.opens());
            at = earlier(at, opens.filter(|at| *at > now));
        }
        at
    }

    /// Notes that a host's session is open: its handshake is over.
    pub(crate) fn opened(&mut self, run: RunId, host: usize, seat: Seat) {
        self.leave_handshake(run, host);
        let released = self.seats.opened(seat);
        self.make_ready(released);
        self.strikes = 0;
        self.opened += 1;
        if self.opened >= self.ceiling && self.ceiling < self.bounds.size {
            self.ceiling += 1;
            self.opened = 0;
        }
    }

    /// Notes a host's one outcome; returns whether it was the run's last. The place is still
    /// taken.
    pub(crate) fn ended(&mut self, run: RunId, host: usize) -> bool {
        if self.state(run, host) == Some(State::Connecting) {
            self.leave_handshake(run, host);
        }
        self.hosts(run).enter(host, State::Ended);
        self.forget_if_over(run)
    }

    /// Gives back the place of a host that ended, its session being closed.
    pub(crate) fn release(&mut self) {
        debug_assert!(self.live > self.seats.idle(), "a place is given back once");
        self.live -= 1;
        self.hold = None;
    }

    /// Notes that a host is done with its session, which is in order; says what remains of it.
    pub(crate) fn leave(&mut self, seat: Seat, now: Instant) -> Left {
        let keep = !self.closed && self.live <= self.ceiling;
        let (left, released) = self.seats.leave(seat, keep, now);
        self.make_ready(released);
        left
    }

    /// As [`Schedule::leave`], for a session that nobody else is to use.
    pub(crate) fn retire(&mut self, seat: Seat) -> Left {
        let (left, released) = self.seats.retire(seat);
        self.make_ready(released);
        left
    }

    /// Takes a session that is open already as a host's idle one; `None` if there is no room.
    pub(crate) fn adopt(&mut self, host: usize, now: Instant) -> Option<Seat> {
        if self.closed || self.live >= self.bounds.size.min(self.ceiling) {
            return None;
        }
        let seat = self.seats.adopt(host, now)?;
        self.live += 1;
        Some(seat)
    }

    /// Returns an idle session that is to be closed for its age. Its place is taken until it is
    /// released.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Seat> {
        let (since, limit) = (self.seats.idle_since()?, self.bounds.idle_timeout?);
        let over = now.saturating_duration_since(since) >= limit;
        over.then(|| self.seats.take_oldest())
            .flatten()
            .map(|(seat, _)| seat)
    }

    /// Puts a host that met a limit of this machine back to the end of its queue and gives its
    /// place back; returns the moment to call [`Schedule::next`] again at the latest.
    pub(crate) fn local_limit(
        &mut self,
        (run, host): (RunId, usize),
        seat: Seat,
        now: Instant,
    ) -> Instant {
        self.put_back(run, host);
        self.give_up(seat);
        self.ceiling = self.live.clamp(1, self.ceiling);
        self.opened = 0;
        let until = now + HOLD_MIN.saturating_mul(1 << self.strikes).min(HOLD_MAX);
        self.strikes = (self.strikes + 1).min(STRIKES_MAX);
        self.hold = self.hold.max(Some(until));
        until
    }

    /// Puts a host whose kept session had died back, to begin with a fresh one; its place is
    /// given back.
    pub(crate) fn kept_died(&mut self, run: RunId, host: usize, seat: Seat) {
        self.put_back(run, host);
        self.give_up(seat);
    }

    /// Puts a host whose connection failed back, to be tried again at that time; its place is
    /// given back.
    pub(crate) fn retry(&mut self, (run, host): (RunId, usize), seat: Seat, at: Instant) {
        self.leave_handshake(run, host);
        self.hosts(run).pause(host, at);
        self.give_up(seat);
        self.hold = None;
    }

    /// Ends all hosts of a run that wait; returns them, and whether these were its last.
    pub(crate) fn stop(&mut self, run: RunId) -> (Vec<usize>, bool) {
        let Some(hosts) = self.runs.get_mut(&run) else {
            return (Vec::new(), false);
        };
        let stopped = hosts.stop();
        self.destinations.forget(run);
        self.seats.forget(run);
        // An empty list means that the run is ended by a host in flight, not here.
        let over = !stopped.is_empty() && self.forget_if_over(run);
        (stopped, over)
    }

    /// Returns a run that is stopped or past its deadline while hosts of it wait;
    /// [`Schedule::stop`] is what to do with it.
    pub(crate) fn overdue(&self, now: Instant) -> Option<RunId> {
        let found = self
            .runs
            .iter()
            .find(|(_, run)| run.is_over(now) && run.counts.waiting > 0);
        found.map(|(id, _)| *id)
    }

    /// Keeps no session from here on; returns the idle ones with their hosts, which are to be
    /// closed. Their places are taken until each is released.
    pub(crate) fn close(&mut self) -> Vec<(Seat, usize)> {
        self.closed = true;
        std::iter::from_fn(|| self.seats.take_oldest()).collect()
    }

    pub(crate) fn counts(&self, run: RunId) -> Option<Counts> {
        self.runs.get(&run).map(|run| run.counts)
    }

    /// Returns whether a seat has users or is idle.
    pub(crate) fn has_seat(&self, seat: Seat) -> bool {
        self.seats.has(seat)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }

    /// Makes hosts candidates again whose pause is over or whose destination has room.
    fn bring_back(&mut self, now: Instant) {
        for run in self.runs.values_mut() {
            run.resume(now);
        }
        while let Some((run, host)) = self.destinations.released(now) {
            self.hosts(run).ready.push_back(host);
        }
    }

    /// Takes a run's next host out of its queues, and its seat if it has one; hosts that wait for
    /// their seat or whose destination has no room step aside.
    fn candidate(&mut self, id: RunId, fresh: bool, now: Instant) -> Option<(usize, Option<Seat>)> {
        let run = self.runs.get_mut(&id).filter(|run| !run.is_over(now))?;
        for (queue, again) in [(&mut run.ready, true), (&mut run.waiting, false)] {
            while let Some(host) = queue.front().copied() {
                let vacancy = self.seats.vacancy(host);
                if vacancy == Vacancy::None && !fresh {
                    break;
                }
                queue.pop_front();
                match vacancy {
                    Vacancy::Open(seat) => return Some((host, Some(seat))),
                    Vacancy::Busy => {
                        self.destinations.pass(host);
                        self.seats.hold((id, host));
                    }
                    Vacancy::None if self.destinations.admits(host, now) => {
                        return Some((host, None));
                    }
                    Vacancy::None => self.destinations.hold((id, host), again),
                }
            }
        }
        None
    }

    fn begin(&mut self, run: RunId, (host, seat): (usize, Option<Seat>), now: Instant) -> Start {
        let (seat, session, state) = match seat {
            Some(seat) => {
                self.seats.join(seat);
                self.destinations.pass(host);
                (seat, Origin::Kept, State::Running)
            }
            None => {
                self.connecting += 1;
                self.destinations.enter(host, now);
                if let Some(rate) = self.bounds.rate {
                    self.bucket.take(Rate::new(rate), now);
                }
                // With all places taken, the one that has been idle for longest gives way.
                let evicted = if self.live < self.bounds.size.min(self.ceiling) {
                    self.live += 1;
                    None
                } else {
                    self.seats.take_oldest().map(|(seat, _)| seat)
                };
                let seat = self.seats.make(host);
                (seat, Origin::Fresh { evicted }, State::Connecting)
            }
        };
        self.hosts(run).enter(host, state);
        Start {
            run,
            host,
            seat,
            session,
        }
    }

    /// Makes hosts candidates again that waited for a seat.
    fn make_ready(&mut self, places: Vec<(RunId, usize)>) {
        for (run, host) in places {
            self.hosts(run).ready.push_back(host);
        }
    }

    /// Takes a user off a session that is of no use; the last one's place is given back.
    fn give_up(&mut self, seat: Seat) {
        if self.retire(seat) == Left::Last {
            self.live -= 1;
        }
    }

    fn fresh_allowed(&self, now: Instant) -> bool {
        self.has_room() && self.hold.is_none_or(|until| until <= now) && self.bucket.is_open(now)
    }

    /// Returns whether a handshake has room, whatever the time.
    fn has_room(&self) -> bool {
        self.connecting < self.bounds.handshakes
            && (self.live < self.bounds.size.min(self.ceiling) || self.seats.idle() > 0)
    }

    fn hosts(&mut self, run: RunId) -> &mut RunHosts {
        self.runs
            .get_mut(&run)
            .expect("a run lasts until its last host has ended")
    }

    fn state(&self, run: RunId, host: usize) -> Option<State> {
        self.runs.get(&run).map(|run| run.states[host])
    }

    fn leave_handshake(&mut self, run: RunId, host: usize) {
        let run = self.hosts(run);
        assert_eq!(run.states[host], State::Connecting, "a handshake ends once");
        run.enter(host, State::Running);
        self.connecting -= 1;
        self.destinations.leave(host);
    }

    /// Puts a host back to the end of its queue.
    fn put_back(&mut self, run: RunId, host: usize) {
        if self.state(run, host) == Some(State::Connecting) {
            self.leave_handshake(run, host);
        }
        let run = self.hosts(run);
        run.enter(host, State::Waiting);
        run.waiting.push_back(host);
    }

    fn forget_if_over(&mut self, run: RunId) -> bool {
        let over = self
            .runs
            .get(&run)
            .is_some_and(|run| run.counts.ended == run.states.len());
        if over {
            self.runs.remove(&run);
            self.turns.retain(|other| *other != run);
        }
        over
    }
}

impl Counts {
    fn of(&mut self, state: State) -> &mut usize {
        match state {
            State::Waiting => &mut self.waiting,
            State::Connecting => &mut self.connecting,
            State::Running => &mut self.running,
            State::Ended => &mut self.ended,
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}

/// The first wait after a local limit; short, since one of our own sessions often ends soon.
const HOLD_MIN: Duration = Duration::from_millis(20);
/// The longest wait; a port in TIME_WAIT comes back within a minute, so asking is cheap enough.
const HOLD_MAX: Duration = Duration::from_secs(1);
/// Doublings of the hold, enough to reach `HOLD_MAX`.
const STRIKES_MAX: u32 = 6;

#[cfg(test)]
mod tests;
