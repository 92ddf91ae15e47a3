//! The pool's inside: the schedule under its lock, the kept sessions, and the workers.
//!
//! Workers are green threads that loop over a queue (G3): as many as there are hosts in flight.
//! Whoever changes the schedule also hands out what can be begun then; nobody polls.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::sync::Queue;
use sshoal_session::{Host, Phase, Timings};

use crate::configs::Configs;
use crate::connector::{Connected, Connector};
use crate::outcome::{End, Outcome, StopCause};
use crate::retry::RetryOn;
use crate::run::{Earlier, Flights, RunState};
use crate::schedule::{Bounds, Counts, Left, RunId, Schedule, Seat};
use crate::{destinations, worker};

mod alarm;
mod state;

use state::State;

/// What a pool and all of its runs and workers share.
pub(crate) struct Engine {
    pub(crate) hosts: Arc<[Host]>,
    pub(crate) configs: Configs,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) settings: Settings,
    pub(crate) bounds: Bounds,
    /// Never held across a wait. Taken before a queue's lock, after no other.
    state: Mutex<State>,
    /// How many workers are not to be had.
    #[cfg(test)]
    pub(crate) refused: AtomicUsize,
}

/// Without a worker for so long, hosts fail: a run has to end.
const LACK_MAX: Duration = Duration::from_secs(30);

/// What the builder set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// In place of each configuration's own.
    pub(crate) connect_timeout: Option<Option<Duration>>,
    pub(crate) retries: u32,
    pub(crate) retry_on: RetryOn,
    pub(crate) command_timeout: Option<Duration>,
    /// Of all that is done with a host in one attempt.
    pub(crate) host_timeout: Option<Duration>,
    pub(crate) silence_timeout: Option<Duration>,
    /// Otherwise commands whose time is over are left to their hosts.
    pub(crate) end_on_timeout: bool,
    pub(crate) end_grace: Duration,
    pub(crate) deadline: Option<Duration>,
    /// Whether a kept session that falls idle gets its next channel.
    pub(crate) open_ahead: bool,
    pub(crate) output_bytes_max: Option<u64>,
    pub(crate) memory_bytes_max: usize,
    pub(crate) event_bytes_max: usize,
    pub(crate) spill_folder: Option<std::path::PathBuf>,
}

/// One host to begin, with the sessions that the schedule gave it.
pub(crate) struct Task {
    pub(crate) run: Arc<RunState>,
    pub(crate) host: usize,
    pub(crate) seat: Seat,
    /// The host's own session, open already.
    pub(crate) kept: Option<Arc<dyn Connected>>,
    /// Another host's, to be closed before a session is opened in its place.
    pub(crate) evicted: Option<Arc<dyn Connected>>,
}

impl Engine {
    pub(crate) fn new(
        (hosts, configs): (Arc<[Host]>, Configs),
        connector: Arc<dyn Connector>,
        settings: Settings,
        bounds: Bounds,
    ) -> Self {
        let destinations = destinations::number(&hosts, &configs);
        let state = State {
            schedule: Schedule::new(bounds, destinations),
            sessions: HashMap::new(),
            runs: HashMap::new(),
            tasks: Arc::new(Queue::bounded(bounds.users_max())),
            queued: 0,
            parked: 0,
            workers: 0,
            size: bounds.users_max(),
            alarm: None,
            lacking: None,
        };
        Self {
            hosts,
            configs,
            connector,
            settings,
            bounds,
            state: Mutex::new(state),
            #[cfg(test)]
            refused: AtomicUsize::new(0),
        }
    }

    /// Adds a run and begins what can be begun.
    pub(crate) fn submit(self: &Arc<Self>, make: impl FnOnce(RunId) -> RunState) -> Arc<RunState> {
        let deadline = self
            .settings
            .deadline
            .and_then(|limit| Instant::now().checked_add(limit));
        let run = {
            let mut state = self.state.lock();
            let id = state.schedule.submit(self.hosts.len(), deadline);
            let run = Arc::new(make(id));
            state.runs.insert(id, Arc::clone(&run));
            run
        };
        if deadline.is_some() {
            self.watch(&run);
        }
        self.hand_out();
        run
    }

    /// Notes that a host's session is open, for all who are to share it.
    pub(crate) fn opened(
        self: &Arc<Self>,
        (run, host): (RunId, usize),
        seat: Seat,
        session: &Arc<dyn Connected>,
    ) {
        let mut state = self.state.lock();
        if self.bounds.keep_open {
            state.sessions.insert(seat, Arc::clone(session));
        }
        state.schedule.opened(run, host, seat);
        drop(state);
        self.hand_out();
    }

    /// Notes that a host's outcome was delivered.
    pub(crate) fn ended(&self, run: RunId, host: usize) {
        let mut state = self.state.lock();
        if state.schedule.ended(run, host) {
            state.forget(run);
        }
    }

    /// Notes that a host is done with its session, which is in order: returns it if it is to be
    /// closed, and its place released then.
    pub(crate) fn leave(
        &self,
        seat: Seat,
        session: Option<Arc<dyn Connected>>,
    ) -> Option<Arc<dyn Connected>> {
        let own = self.not_held(session);
        let mut state = self.state.lock();
        let left = state.schedule.leave(seat, Instant::now());
        state.last(seat, left, own)
    }

    /// Notes that a host is done with its session, which nobody else is to use; returns whether its
    /// place is to be released.
    pub(crate) fn retire(&self, seat: Seat, session: Option<Arc<dyn Connected>>) -> bool {
        let own = self.not_held(session);
        let last = {
            let mut state = self.state.lock();
            let left = state.schedule.retire(seat);
            (left == Left::Last, state.last(seat, left, own))
        };
        // Given up without a farewell, before its place is.
        drop(last.1);
        last.0
    }

    /// Lets go of a session that the pool holds as well: from when it is idle on, its end must be
    /// whose turn it is (P1).
    fn not_held(&self, session: Option<Arc<dyn Connected>>) -> Option<Arc<dyn Connected>> {
        session.filter(|_| !self.bounds.keep_open)
    }

    /// Takes a session that is open already as a host's idle one; gives it back if there is no
    /// room.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        host: usize,
        session: Arc<dyn Connected>,
    ) -> Option<Arc<dyn Connected>> {
        let mut state = self.state.lock();
        let Some(seat) = state.schedule.adopt(host, Instant::now()) else {
            return Some(session);
        };
        state.sessions.insert(seat, session);
        None
    }

    /// Gives back a place whose session is gone.
    pub(crate) fn release(&self) {
        self.state.lock().schedule.release();
    }

    /// Puts a host back that met a limit of this machine.
    pub(crate) fn local_limit(&self, place: (RunId, usize), seat: Seat) {
        let gone = {
            let (mut state, now) = (self.state.lock(), Instant::now());
            state.schedule.local_limit(place, seat, now);
            state.forget_session(seat)
        };
        drop(gone);
    }

    /// Puts a host back that could not be connected to, to be tried again after a pause.
    pub(crate) fn retry(&self, place: (RunId, usize), seat: Seat, pause: Duration) {
        let at = Instant::now() + pause;
        self.state.lock().schedule.retry(place, seat, at);
    }

    /// Puts a host back whose kept session was dead.
    pub(crate) fn kept_died(&self, run: RunId, host: usize, seat: Seat) {
        let gone = {
            let mut state = self.state.lock();
            state.schedule.kept_died(run, host, seat);
            state.forget_session(seat)
        };
        drop(gone);
    }

    /// Ends the hosts of a run that wait, and with [`Flights::End`] those in flight too.
    pub(crate) fn stop(&self, run: &RunState, cause: StopCause, flights: Flights) {
        let cause = *run.stopped.get_or_init(|| cause);
        if matches!(flights, Flights::End) {
            run.scope.cancel();
        }
        let hosts = {
            let mut state = self.state.lock();
            let (hosts, over) = state.schedule.stop(run.id);
            if over {
                state.forget(run.id);
            }
            hosts
        };
        for host in hosts {
            // It may have been begun before, and put back.
            let Earlier { visit, failed, .. } = run.so_far(host);
            let (end, timings) = match failed {
                Some((error, timings)) => (End::Failed(error), timings),
                None => {
                    let phase = Phase::Local;
                    (End::Cancelled { phase, cause }, Timings::default())
                }
            };
            let (who, end) = ((host, &self.hosts), (end, Some(cause)));
            run.deliver(Outcome::new(who, end, run.output(), timings, visit));
        }
    }

    /// Stops a run of which enough hosts have failed, if there is anything left to stop.
    pub(crate) fn failed(&self, run: &RunState, flights: Flights) {
        let left = self.counts(run.id).is_some_and(|counts| match flights {
            Flights::Leave => counts.waiting > 0,
            Flights::End => counts.waiting + counts.connecting + counts.running > 0,
        });
        if left {
            self.stop(run, StopCause::Failures, flights);
        }
    }

    pub(crate) fn counts(&self, run: RunId) -> Option<Counts> {
        self.state.lock().schedule.counts(run)
    }

    /// Takes the idle sessions by host, and keeps none from here on.
    pub(crate) fn close(&self) -> Vec<(usize, Arc<dyn Connected>)> {
        let mut state = self.state.lock();
        let seats = state.schedule.close().into_iter();
        let take = |(seat, host)| Some((host, state.sessions.remove(&seat)?));
        seats.filter_map(take).collect()
    }

    /// Begins all that can be begun, and sees to it that what only waits for its time is begun
    /// then.
    pub(crate) fn hand_out(self: &Arc<Self>) {
        if let Some(at) = self.begin_all() {
            alarm::set(self, at);
        }
    }

    /// Begins all that can be begun, on waiting workers first; returns when to ask again, if no
    /// alarm is set for then.
    fn begin_all(self: &Arc<Self>) -> Option<Instant> {
        self.end_overdue();
        self.close_expired();
        let now = Instant::now();
        let (tasks, missing, mut workers, alarm) = {
            let mut state = self.state.lock();
            while let Some(task) = state.next(now) {
                state.put(task);
            }
            let missing = state.queued.saturating_sub(state.parked);
            state.parked += missing;
            state.workers += missing;
            let workers = state.workers - missing;
            if workers > 0 {
                state.lacking = None;
            }
            (Arc::clone(&state.tasks), missing, workers, state.alarm(now))
        };
        for n in 0..missing {
            if let Err(error) = self.spawn_worker(&tasks, workers == 0) {
                return self.lacks_workers(&tasks, missing - n, &error).or(alarm);
            }
            workers += 1;
        }
        alarm
    }

    /// Closes sessions that were idle for too long, each on a green thread of its own.
    fn close_expired(self: &Arc<Self>) {
        loop {
            let session = {
                let mut state = self.state.lock();
                let Some(seat) = state.schedule.expired(Instant::now()) else {
                    return;
                };
                state.sessions.remove(&seat)
            };
            let engine = Arc::clone(self);
            let close = move || {
                if let Some(session) = session {
                    worker::close(&*session);
                }
                engine.release();
                engine.hand_out();
            };
            if sshoal_reactor::spawn(close).is_err() {
                // Dropped with the closure, the session is given up without a farewell.
                self.release();
            }
        }
    }

    /// Notes that an alarm rang; returns whether it was still wanted.
    fn rang(&self, at: Instant) -> bool {
        self.state
            .lock()
            .alarm
            .take_if(|alarm| *alarm == at)
            .is_some()
    }

    /// Takes back workers that could not be started: others come for their tasks when they are
    /// free. If there are none at all, the hosts wait as for any limit of this machine (P6), and
    /// fail in the end; returns when to ask again, as [`Engine::begin_all`].
    fn lacks_workers(
        &self,
        tasks: &Arc<Queue<Task>>,
        missing: usize,
        error: &io::Error,
    ) -> Option<Instant> {
        let now = Instant::now();
        let waits = {
            let mut state = self.state.lock();
            // A queue that was replaced had all of its tasks taken.
            if !Arc::ptr_eq(&state.tasks, tasks) {
                return None;
            }
            state.parked = state.parked.saturating_sub(missing);
            state.workers -= missing;
            if state.workers > 0 {
                state.lacking = None;
                return None;
            }
            now.saturating_duration_since(*state.lacking.get_or_insert(now)) < LACK_MAX
        };
        while let Some(task) = tasks.try_pop() {
            self.state.lock().queued -= 1;
            if waits {
                self.local_limit((task.run.id, task.host), task.seat);
            } else {
                worker::refuse(self, task, error);
            }
        }
        self.state.lock().alarm(now)
    }

    /// Takes a task for a worker that is free; others that can be begun go to other workers.
    /// `None`: the worker is to wait at the queue.
    pub(crate) fn take(self: &Arc<Self>, tasks: &Arc<Queue<Task>>) -> Option<Task> {
        let task = {
            let mut state = self.state.lock();
            let task = state.next(Instant::now());
            if task.is_none() && Arc::ptr_eq(&state.tasks, tasks) {
                state.parked += 1;
            }
            task
        };
        self.hand_out();
        task
    }

    /// Notes that a worker left the queue with a task.
    pub(crate) fn popped(&self, tasks: &Arc<Queue<Task>>) {
        let mut state = self.state.lock();
        if Arc::ptr_eq(&state.tasks, tasks) {
            state.parked -= 1;
            state.queued -= 1;
        }
    }

    fn end_overdue(&self) {
        loop {
            let run = {
                let state = self.state.lock();
                let overdue = state.schedule.overdue(Instant::now());
                overdue.and_then(|id| state.runs.get(&id).cloned())
            };
            let Some(run) = run else { return };
            self.stop(&run, StopCause::Deadline, Flights::Leave);
        }
    }

    /// Starts a worker: a green thread, or, where there is neither a stack for one nor another
    /// worker, a plain thread, so that a run always ends.
    fn spawn_worker(self: &Arc<Self>, tasks: &Arc<Queue<Task>>, only: bool) -> io::Result<()> {
        #[cfg(test)]
        if self.refuses() {
            return Err(rustix::io::Errno::AGAIN.into());
        }
        let (engine, queue) = (Arc::clone(self), Arc::clone(tasks));
        match sshoal_reactor::spawn(move || worker::work(&engine, &queue)) {
            Ok(_) => Ok(()),
            Err(_) if only => {
                let (engine, queue) = (Arc::clone(self), Arc::clone(tasks));
                let thread = std::thread::Builder::new().name("sshoal-worker".into());
                thread
                    .spawn(move || worker::work(&engine, &queue))
                    .map(drop)
            }
            Err(e) => Err(e),
        }
    }

    /// Counts a worker that is not to be had.
    #[cfg(test)]
    fn refuses(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let (one, other) = (Ordering::SeqCst, Ordering::SeqCst);
        self.refused.fetch_update(one, other, less).is_ok()
    }

    /// Ends the run's waiting hosts at its deadline; those in flight see their scope end.
    fn watch(self: &Arc<Self>, run: &Arc<RunState>) {
        let (engine, run) = (Arc::clone(self), Arc::clone(run));
        // Without a green thread for it, the next worker that is free sees the deadline.
        let _ = sshoal_reactor::spawn(move || {
            if run.over.wait(&run.scope).is_err() && run.stopped.get().is_none() {
                engine.stop(&run, StopCause::Deadline, Flights::End);
            }
        });
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("hosts", &self.hosts.len())
            .field("settings", &self.settings)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}
