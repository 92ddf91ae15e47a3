//! Signs of life from hosts that have gone quiet (law S12).
//!
//! One green thread looks after all sessions, by one list of deadlines: a session's own timer
//! would be set and taken back with every read. It looks at a session now and then, reads nothing
//! that others wait for, and asks only where somebody waits and nothing comes: a session that
//! nobody waits for costs a glance at two counters, and the system's own probes keep its
//! connection open. Any byte that comes is a sign of life.
//!
//! The question is a channel of a kind that no host has: every host must refuse it (RFC 4254 §5.1),
//! and libssh2 takes the refusal in. Of the usual one, a global request, it never takes the answer:
//! it would keep each for ever, and take it for the answer to a later request to listen. That one
//! is for the times when another answer is awaited, since no second channel can be asked for then.

use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::sync::Permit;
use sshoal_reactor::{Deadlines, Interest, Scope, WaitList, spawn, yield_now};

use crate::engine::{Attempt, Engine};
use crate::ffi::Library;
use crate::wire::Broken;

mod silence;

use silence::{Silence, Verdict};

/// Looks are put off to multiples of this, so that many sessions share a wake-up; also of an
/// eighth of the interval, if that is less.
const GRAIN: Duration = Duration::from_millis(250);
/// Looks between two offers to let other green threads run.
const LOOKS_MAX: usize = 64;
/// How soon after a question its answer is looked for, and how late at most: until then no other
/// request of the session can go.
const ANSWER_MIN: Duration = Duration::from_millis(50);
const ANSWER_MAX: Duration = Duration::from_secs(1);

struct Watched {
    engine: Weak<Engine>,
    silence: Silence,
    question: Question,
}

/// How far a question has come.
enum Question {
    /// None was asked, or it was answered.
    None,
    /// Another answer is awaited; whether the host was asked by a global request.
    Beside { asked: bool, wait: Duration },
    /// The host was asked for a channel; the turn is kept until it answers.
    Asked { _turn: Permit, wait: Duration },
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

/// Looks after a session until it ends: its host is asked for a sign of life after an `interval`
/// of silence, and counts as lost after `max` of them.
pub(crate) fn watch(engine: &Arc<Engine>, interval: Duration, max: u32) {
    let silence = Silence::new(interval, max, Instant::now());
    let at = WATCH.round_up(silence.first_look(), interval);
    let watched = Watched {
        engine: Arc::downgrade(engine),
        silence,
        question: Question::None,
    };
    let mut state = WATCH.state.lock();
    state.looks.insert(at, watched);
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
        // A question that is under way is an end in itself: its turn is waited for.
        let asked = matches!(self.question, Question::Asked { .. });
        let awaited = asked || wire.waiters().is_waited_on();
        // What came and was not read yet counts as well.
        let heard = awaited.then(|| wire.heard());
        let now = Instant::now();
        let (verdict, again) = self.silence.look(now, heard);
        match verdict {
            Verdict::Lost { silence } => {
                wire.break_off(Broken::Stalled(silence));
                return None;
            }
            Verdict::Ask => {
                let (asked, wait) = (false, ANSWER_MIN);
                if matches!(self.question, Question::None) {
                    self.question = Question::Beside { asked, wait };
                }
            }
            Verdict::Fine if !self.silence.is_asked() && !asked => self.question = Question::None,
            Verdict::Fine => {}
        }
        let again = WATCH.round_up(again, self.silence.interval());
        let soon = self.question.go_on(&engine);
        Some(soon.map_or(again, |soon| again.min(now + soon)))
    }
}

impl Question {
    /// Goes on with a question; returns how soon to do so again, if it is not answered.
    fn go_on(&mut self, engine: &Engine) -> Option<Duration> {
        if let Self::Beside { asked, wait } = self {
            let wait = *wait;
            match engine.try_reply_turn() {
                Some(_turn) if !*asked => *self = Self::Asked { _turn, wait },
                Some(_) => {}
                None if !*asked => {
                    let before = engine.wire().sent_bytes();
                    // libssh2 sends none within two seconds of another. One that fails is noticed
                    // by whoever uses the session.
                    let _ = engine.with(Library::keepalive);
                    *asked = engine.wire().sent_bytes() > before;
                }
                None => {}
            }
        }
        let wait = match self {
            Self::None => return None,
            Self::Beside { asked: true, .. } => return None,
            Self::Beside { wait, .. } => wait,
            Self::Asked { wait, .. } => {
                match engine.attempt(true, &mut Library::ask) {
                    Attempt::Again { .. } | Attempt::Wait(_) => {}
                    Attempt::Done(channel) => {
                        engine.wire().replied();
                        // A host that has this kind of channel gets it back.
                        if let Some(channel) = channel {
                            engine.leave(channel);
                            engine.free_left();
                        }
                        *self = Self::None;
                        return None;
                    }
                    Attempt::Failed(_) => {
                        *self = Self::None;
                        return None;
                    }
                }
                wait
            }
        };
        let soon = *wait;
        *wait = (soon * 2).min(ANSWER_MAX);
        Some(soon)
    }
}
