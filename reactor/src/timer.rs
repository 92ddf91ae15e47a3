//! The reactor's own timer: deadlines of scopes, kept beside the poller (law G1).
//!
//! One timer descriptor, watched like any socket, is set to the earliest deadline. It is moved
//! only to an earlier time: a removed deadline costs at most one idle wake-up, and a host that
//! finishes in time costs no system call.

use std::sync::Weak;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::deadline::{DeadlineKey, Deadlines};
use crate::runtime::runtime;
use crate::scope::Inner;
use crate::source::{Ready, Source};
use crate::waiter::Interest;

#[derive(Default)]
struct State {
    deadlines: Deadlines<Weak<Inner>>,
    /// When the descriptor will fire; `None` while it is not set.
    armed: Option<Instant>,
}

/// All deadlines of the process.
pub(crate) struct Timer {
    state: Mutex<State>,
    descriptor: std::os::fd::OwnedFd,
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

/// Sets a deadline for a scope.
pub(crate) fn set(at: Instant, scope: Weak<Inner>) -> DeadlineKey {
    let timer = &runtime().timer;
    let mut state = timer.state.lock();
    let key = state.deadlines.insert(at, scope);
    if state.armed.is_none_or(|armed| at < armed) {
        timer.arm(&mut state, Some(at));
    }
    key
}

/// Takes a deadline back.
pub(crate) fn unset(key: DeadlineKey) {
    // The entry is dropped after the lock: it may be the last trace of its scope.
    let _entry = { runtime().timer.state.lock().deadlines.remove(key) };
}

impl Timer {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            state: Mutex::default(),
            descriptor,
        })
    }

    /// Registers the descriptor with the reactor; the source lives as long as the process.
    pub(crate) fn watch(&self, shard: &crate::poll::Shard) -> std::io::Result<Source> {
        Source::register_in(
            shard,
            self.descriptor.try_clone()?,
            std::sync::Arc::new(Fire),
        )
    }

    fn arm(&self, state: &mut State, at: Option<Instant>) {
        state.armed = at;
        let Some(at) = at else { return };
        // Zero would unset the descriptor.
        let wait = at
            .saturating_duration_since(Instant::now())
            .as_nanos()
            .max(1);
        let value = Timespec {
            tv_sec: i64::try_from(wait / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(wait % 1_000_000_000).unwrap_or(0),
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        let set = timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once);
        debug_assert!(set.is_ok(), "a relative time in range is always taken");
    }

    /// Ends every scope whose deadline has come.
    fn fire(&self) {
        loop {
            let due = {
                let mut state = self.state.lock();
                let due = state.deadlines.pop_due(Instant::now());
                if due.is_none() {
                    let next = state.deadlines.next_at();
                    self.arm(&mut state, next);
                }
                due
            };
            let Some(scope) = due else { return };
            if let Some(scope) = scope.upgrade() {
                scope.time_out();
            }
        }
    }
}

/// What the reactor calls when the timer descriptor fires. Its count is never read: in edge mode
/// each expiry is an event of its own.
struct Fire;

impl Ready for Fire {
    fn ready(&self, _readiness: Interest) {
        runtime().timer.fire();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::scope::Scope;
    use crate::spawn;
    use crate::sync::{Event, Queue};

    /// Ten thousand waits are under way in one scope: the timer has not one entry for each.
    #[test]
    fn g1_a_scope_has_one_entry_for_all_its_waits() {
        const WAITS: usize = 10_000;
        let scope = Scope::root().child(Some(Duration::from_secs(60)));
        let (event, begun) = (Arc::new(Event::new()), Arc::new(Queue::bounded(WAITS)));
        let waits: Vec<_> = (0..WAITS)
            .map(|_| {
                let (scope, event, begun) = (scope.clone(), event.clone(), begun.clone());
                let wait = move || {
                    begun.push((), &scope).unwrap();
                    event.wait(&scope)
                };
                spawn(wait).unwrap()
            })
            .collect();
        for _ in 0..WAITS {
            begun.pop(&scope).unwrap();
        }
        // Other tests have some of their own.
        assert!(runtime().timer.state.lock().deadlines.len() < WAITS / 2);
        event.set();
        for wait in waits {
            wait.join().unwrap().unwrap();
        }
    }
}
