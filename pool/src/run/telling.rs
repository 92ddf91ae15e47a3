//! What a run tells of its hosts besides their output: it puts the events, and never waits for it.

use std::time::Duration;

use sshoal_session::{Error, Exit, Phase};

use crate::event::{Detail, Event, Failure, Item};
use crate::outcome::{End, Outcome};
use crate::run::RunState;

impl RunState {
    /// Tells that a worker took a host for the first time.
    pub(super) fn started(&self, index: usize) {
        self.tell(|at| Event::Started { index, at });
    }

    /// Tells how far a host's session is; most phases are not told.
    pub(crate) fn reached(&self, index: usize, phase: Phase) {
        self.traced.reached(index, phase);
        match phase {
            Phase::HostKey => self.tell(|at| Event::Connected { index, at }),
            Phase::Auth => self.tell(|at| Event::Authenticated { index, at }),
            _ => {}
        }
    }

    /// Tells that a host's server accepted the command.
    pub(crate) fn accepted(&self, index: usize) {
        self.traced.reached(index, Phase::Open);
        self.tell(|at| Event::Accepted { index, at });
    }

    /// Tells that a host is connected to again after a pause; left out while too many of these
    /// wait to be taken.
    pub(crate) fn retry(&self, index: usize, attempt: u32, pause: Duration, error: &Error) {
        self.traced.retry(index, attempt, pause, error);
        if self.detail < Detail::Progress {
            return;
        }
        if let Some(room) = self.retries.try_acquire() {
            let event = Event::Retry {
                index,
                at: self.began.elapsed(),
                attempt,
                pause,
                failure: Failure::of(error),
            };
            let _room = Some(room);
            self.put(Item { event, _room });
        }
    }

    /// Tells how a host ended, where it came to that; its outcome follows.
    pub(super) fn ended(&self, outcome: &Outcome) {
        self.traced.ended(outcome);
        let index = outcome.index();
        match outcome.end() {
            End::Failed(error) => self.tell(|at| Event::Failed {
                index,
                at,
                failure: Failure::of(error),
            }),
            End::Cancelled { .. } => {}
            End::Exited(status) => self.exited(index, || Exit::Status(*status)),
            End::Signaled { name, message } => self.exited(index, || Exit::Signal {
                name: name.clone(),
                message: message.clone(),
            }),
            End::NoStatus => self.exited(index, || Exit::None),
        }
    }

    fn exited(&self, index: usize, exit: impl FnOnce() -> Exit) {
        self.tell(|at| Event::Exit {
            index,
            at,
            exit: exit(),
        });
    }

    fn tell(&self, event: impl FnOnce(Duration) -> Event) {
        if self.detail >= Detail::Progress {
            self.put(Item {
                event: event(self.began.elapsed()),
                _room: None,
            });
        }
    }
}

/// Events that a host has once at most: started, connected, authenticated, accepted, its end and
/// its outcome.
pub(super) const EVENTS_PER_HOST: usize = 6;
/// Retries that wait to be taken; beyond it they are left out.
pub(super) const RETRIES_HELD_MAX: usize = 1024;
