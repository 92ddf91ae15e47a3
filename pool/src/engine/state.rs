//! What an engine keeps under its lock: the schedule, the kept sessions, and who is to work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sshoal_reactor::Scope;
use sshoal_reactor::sync::Queue;

use super::Task;
use crate::connector::Connected;
use crate::run::RunState;
use crate::schedule::{Left, Origin, RunId, Schedule, Seat};

pub(super) struct State {
    pub(super) schedule: Schedule,
    /// Sessions that stay open, idle or in use; the schedule knows their seats.
    pub(super) sessions: HashMap<Seat, Arc<dyn Connected>>,
    pub(super) runs: HashMap<RunId, Arc<RunState>>,
    /// What workers are to begin; closed and replaced when the last run is over.
    pub(super) tasks: Arc<Queue<Task>>,
    /// Tasks in the queue.
    pub(super) queued: usize,
    /// Workers that wait at the queue, or are about to.
    pub(super) parked: usize,
    /// Workers of this queue; they last as long as it.
    pub(super) workers: usize,
    /// What the queue has to hold at most.
    pub(super) size: usize,
    /// When the schedule is asked again, whatever happens until then.
    pub(super) alarm: Option<Instant>,
    /// Since when there is no worker at all, and none to be had.
    pub(super) lacking: Option<Instant>,
}

impl State {
    /// Takes out a session whose seat is gone, to be dropped without the lock; while it has other
    /// users, the last of them gives it back, and the place with it.
    pub(super) fn forget_session(&mut self, seat: Seat) -> Option<Arc<dyn Connected>> {
        match self.schedule.has_seat(seat) {
            true => None,
            false => self.sessions.remove(&seat),
        }
    }

    /// Takes the session of a seat that has no user left, its last one's own or the pool's.
    pub(super) fn last(
        &mut self,
        seat: Seat,
        left: Left,
        own: Option<Arc<dyn Connected>>,
    ) -> Option<Arc<dyn Connected>> {
        let held = (left == Left::Last).then(|| self.sessions.remove(&seat));
        own.or(held.flatten())
    }

    pub(super) fn next(&mut self, now: Instant) -> Option<Task> {
        let start = self.schedule.next(now)?;
        let run = Arc::clone(
            self.runs
                .get(&start.run)
                .expect("a run lasts until it is over"),
        );
        let (kept, evicted) = match start.session {
            Origin::Kept => (self.sessions.get(&start.seat).cloned(), None),
            Origin::Fresh { evicted } => (None, evicted.and_then(|s| self.sessions.remove(&s))),
        };
        Some(Task {
            run,
            host: start.host,
            seat: start.seat,
            kept,
            evicted,
        })
    }

    /// Returns the time of an alarm that is to be set, and counts it as set.
    pub(super) fn alarm(&mut self, now: Instant) -> Option<Instant> {
        let at = self.schedule.wake_at(now)?;
        if self.alarm.is_some_and(|set| set <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(at)
    }

    pub(super) fn put(&mut self, task: Task) {
        // As many places as the pool has, and each task holds one: there is always room.
        if self.tasks.push(task, &Scope::root()).is_err() {
            unreachable!("the queue is closed only once no run is left");
        }
        self.queued += 1;
    }

    pub(super) fn forget(&mut self, run: RunId) {
        self.runs.remove(&run);
        if self.schedule.is_idle() {
            self.tasks.close();
            self.tasks = Arc::new(Queue::bounded(self.size));
            (self.queued, self.parked, self.workers) = (0, 0, 0);
            (self.alarm, self.lacking) = (None, None);
        }
    }
}
