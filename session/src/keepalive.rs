//! Signs of life from hosts that have gone quiet (law S12).
//!
//! One green thread looks after all sessions, by one list of deadlines: a session's own timer
//! would be set and taken back with every read. It looks at a session now and then, reads nothing
//! that others wait for, and asks only where somebody waits and nothing comes: a session that
//! nobody waits for costs a glance at two counters, and the system's own probes keep its
//! connection open. libssh2 sends the question and never looks for the answer, so any byte counts.

use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{Deadlines, Interest, Scope, WaitList, spawn, yield_now};

use crate::engine::Engine;
use crate::wire::Broken;

mod silence;

use silence::{Silence, Verdict};

/// Looks are put off to multiples of this, so that many sessions share a wake-up; also of an
/// eighth of the interval, if that is less.
const GRAIN: Duration = Duration::from_millis(250);
/// Looks between two offers to let other green threads run.
const LOOKS_MAX: usize = 64;

struct Watched {
    engine: Weak<Engine>,
    silence: Silence,
}

struct State {
    looks: Deadlines<Watched>,
    /// When the green thread looks next; `None` while there is none.
    wakes_at: Option<Instant>,
}

struct Watch {
    state: Mutex<State>,
    /// Woken when a look was added that comes before all others.
    changed: WaitList,
    begun: Instant,
}

static WATCH: LazyLock<Watch> = LazyLock::new(|| Watch {
    state: Mutex::new(State {
        looks: Deadlines::default(),
        wakes_at: None,
    }),
    changed: WaitList::default(),
    begun: Instant::now(),
});

/// Looks after a session until it ends: its host is asked for a sign of life after each `interval`
/// of silence, and counts as lost after `max` of them.
pub(crate) fn watch(engine: &Arc<Engine>, interval: Duration, max: u32) {
    let silence = Silence::new(interval, max, Instant::now());
    let at = WATCH.round_up(silence.first_look(), interval);
    let engine = Arc::downgrade(engine);
    let mut state = WATCH.state.lock();
    state.looks.insert(at, Watched { engine, silence });
    match state.wakes_at {
        // Without memory for a green thread there is no keepalive, and nothing else is lost.
        None => state.wakes_at = spawn(run).is_ok().then_some(at),
        Some(wakes_at) if at < wakes_at => WATCH.changed.wake(Interest::BOTH),
        Some(_) => {}
    }
}

fn run() {
    loop {
        let sequence = WATCH.changed.sequence();
        let mut due = Vec::new();
        {
            let now = Instant::now();
            let looks = &mut WATCH.state.lock().looks;
            while let Some(watched) = looks.pop_due(now) {
                due.push(watched);
            }
        }
        let mut again = Vec::with_capacity(due.len());
        for (looked, mut watched) in due.into_iter().enumerate() {
            if let Some(at) = watched.look() {
                let at = WATCH.round_up(at, watched.silence.interval());
                again.push((at, watched));
            }
            if looked % LOOKS_MAX == LOOKS_MAX - 1 {
                yield_now();
            }
        }
        let next = {
            let mut state = WATCH.state.lock();
            for (at, watched) in again {
                state.looks.insert(at, watched);
            }
            state.wakes_at = state.looks.next_at();
            state.wakes_at
        };
        let Some(next) = next else { return };
        if let Some(ticket) = WATCH.changed.register(sequence, Interest::BOTH) {
            let left = next.saturating_duration_since(Instant::now());
            // Woken or timed out, there is something to look at.
            let _ = ticket.wait(&Scope::root().child(Some(left)));
        }
    }
}

impl Watch {
    fn round_up(&self, at: Instant, interval: Duration) -> Instant {
        let grain = GRAIN.min(interval / 8).as_nanos().max(1);
        let since = at.saturating_duration_since(self.begun).as_nanos();
        let late = u64::try_from((grain - since % grain) % grain).unwrap_or(0);
        at + Duration::from_nanos(late)
    }
}

impl Watched {
    /// Looks at the session, and asks or ends it if it is time; returns when to look again.
    fn look(&mut self) -> Option<Instant> {
        let engine = self.engine.upgrade()?;
        let wire = engine.wire();
        if wire.is_broken() {
            return None;
        }
        wire.flush();
        let awaited = wire.waiters().is_waited_on();
        // What came and was not read yet counts as well.
        let heard = awaited.then(|| wire.heard());
        let now = Instant::now();
        let (verdict, again) = self.silence.look(now, heard);
        for _ in 0..verdict.answers() {
            // They were waited for, though nobody reads them.
            wire.replied();
        }
        match verdict {
            Verdict::Fine { .. } => {}
            // One that fails is noticed by whoever uses the session.
            Verdict::Ask { .. } => drop(engine.with(crate::ffi::Library::keepalive)),
            Verdict::Lost { silence } => {
                wire.break_off(Broken::Stalled(silence));
                return None;
            }
        }
        Some(again)
    }
}
