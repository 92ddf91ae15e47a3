//! Signs of life from hosts that have gone quiet (law S12).
//!
//! One green thread looks after all sessions: a session's own timer would be set and taken back
//! with every read.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{sleep, spawn};

use crate::engine::Engine;
use crate::wire::Broken;

/// How often the sessions are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Questions without an answer after which a connection counts as lost.
const QUESTIONS_MAX: u32 = 3;

struct Watched {
    engine: Weak<Engine>,
    interval: Duration,
    /// Questions asked since bytes last came.
    asked: u32,
    asked_at: Instant,
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
/// Whether the green thread runs; it ends when nothing is left to watch.
static RUNNING: Mutex<bool> = Mutex::new(false);

/// Looks after a session until it ends.
pub(crate) fn watch(engine: &Arc<Engine>, interval: Duration) {
    let engine = Arc::downgrade(engine);
    WATCHED.lock().push(Watched {
        engine,
        interval,
        asked: 0,
        asked_at: Instant::now(),
    });
    let mut running = RUNNING.lock();
    if !*running {
        // Without memory for a green thread there is no keepalive, and nothing else is lost.
        *running = spawn(run).is_ok();
    }
}

fn run() {
    loop {
        sleep(TICK);
        let mut due = Vec::new();
        {
            let mut running = RUNNING.lock();
            let mut watched = WATCHED.lock();
            watched.retain_mut(|one| {
                let Some(engine) = one.engine.upgrade().filter(|e| !e.wire().is_broken()) else {
                    return false;
                };
                engine.wire().flush();
                if one.is_due(&engine, Instant::now()) {
                    due.push((engine, one.asked));
                }
                true
            });
            if watched.is_empty() {
                watched.shrink_to_fit();
                *running = false;
                return;
            }
        }
        for (engine, asked) in due {
            if asked > QUESTIONS_MAX {
                engine.wire().break_off(Broken::Io(
                    std::io::ErrorKind::TimedOut,
                    "the host gave no sign of life".into(),
                ));
            } else {
                // One that fails is noticed by whoever uses the session.
                let _ = engine.with(crate::ffi::Library::keepalive);
            }
        }
    }
}

impl Watched {
    fn is_due(&mut self, engine: &Engine, now: Instant) -> bool {
        let heard = engine.wire().last_received();
        if heard > self.asked_at && self.asked > 0 {
            self.asked = 0;
            // The answer was waited for, though nobody reads it.
            engine.wire().replied();
        }
        let quiet_since = heard.max(self.asked_at);
        let due = now.saturating_duration_since(quiet_since) >= self.interval;
        if due {
            self.asked += 1;
            self.asked_at = now;
        }
        due
    }
}
