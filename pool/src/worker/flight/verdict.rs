//! What a limit that ran out, or any other error, means for the host.

use std::time::Duration;

use sshoal_reactor::{Scope, Status, Stop};
use sshoal_session::{Error, Phase};

use super::Flight;
use crate::outcome::{End, StopCause, Visit};
use crate::retry;

impl Flight<'_> {
    /// Returns the scope that all of the host's waits are in.
    pub(super) fn within(&self) -> &Scope {
        self.limited.as_ref().unwrap_or_else(|| self.scope())
    }

    /// Says what an error means for the host: a run that was stopped is not the host's failure.
    pub(in crate::worker) fn judge(&self, error: Error) -> (End, Option<StopCause>) {
        let Error::Cancelled { phase } = error else {
            return (End::Failed(error), None);
        };
        let run = self.run;
        // To what is within it, a limit that has run out looks like a run that was stopped.
        let limited = self.limited.as_ref().map(Scope::status);
        if let (Some(Status::TimedOut), Some(limit)) = (limited, self.engine.settings.host_timeout)
        {
            return (End::Failed(Error::TimedOut { phase, limit }), None);
        }
        match (run.scope.status(), self.engine.settings.deadline) {
            (Status::TimedOut, Some(limit)) => {
                run.stopped.get_or_init(|| StopCause::Deadline);
                (
                    End::Failed(Error::TimedOut { phase, limit }),
                    Some(StopCause::Deadline),
                )
            }
            (Status::Live, _) if self.scope().status() == Status::Live => {
                (End::Failed(error), None)
            }
            // The host alone was closed.
            (Status::Live, _) => {
                let cause = StopCause::Caller;
                (End::Cancelled { phase, cause }, None)
            }
            _ => {
                let cause = run.stopped.get().copied().unwrap_or(StopCause::Caller);
                (End::Cancelled { phase, cause }, Some(cause))
            }
        }
    }

    /// Returns how long the host is to wait before it is connected to again; `None` if the error
    /// is its end.
    pub(in crate::worker) fn pause(&self, error: &Error, visit: Visit) -> Option<Duration> {
        let settings = &self.engine.settings;
        if visit.retries >= settings.retries || !settings.retry_on.covers(error) {
            return None;
        }
        let pause = retry::backoff(visit.retries, retry::random());
        // A host that the deadline would find waiting ends as what it is: not reached.
        let left = self.run.scope.remaining();
        left.is_none_or(|left| pause < left).then_some(pause)
    }
}

/// Names the pool's limit in a timeout that came from a scope of the pool.
pub(super) fn with_limit(error: Error, limit: Option<Duration>) -> Error {
    match (error, limit) {
        (Error::TimedOut { phase, .. }, Some(limit)) => Error::TimedOut { phase, limit },
        (error, _) => error,
    }
}

/// The limit is filled in by [`with_limit`].
pub(super) fn stopped_in_run(stop: Stop) -> Error {
    match stop {
        Stop::TimedOut => Error::TimedOut {
            phase: Phase::Run,
            limit: Duration::ZERO,
        },
        Stop::Cancelled => Error::Cancelled { phase: Phase::Run },
    }
}
