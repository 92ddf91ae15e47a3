//! The wait for all hosts that ends with the first that failed.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use sshoal_reactor::{Interest, Scope};
use sshoal_session::{Error, Host};

use super::{HostVisit, Visits};
use crate::live::Waited;
use crate::outcome::End;

/// The first host that failed; [`Visits::join`] returns it. The others go on.
pub struct FirstError<V, E>(HostVisit<Result<V, E>>);

impl<V, E> Visits<Result<V, E>> {
    /// Waits until every host has ended or one has failed. Parks. May be called again: where a host
    /// failed, it fails at once, and [`Visits::wait`] waits for the others.
    ///
    /// # Errors
    /// The first host, in the order in which they ended, that was not reached or cancelled, or whose
    /// program returned an error.
    pub fn join(&self) -> Result<(), FirstError<V, E>> {
        self.join_by(&Scope::root()).map(drop)
    }

    /// As [`Visits::join`], at most for `limit`; says who has ended by then. Parks.
    ///
    /// # Errors
    /// As [`Visits::join`].
    pub fn join_within(&self, limit: Duration) -> Result<Waited, FirstError<V, E>> {
        self.join_by(&Scope::root().child(Some(limit)))
    }

    /// Returns the first host, in the order in which they ended, that failed. Does not wait.
    pub fn first_error(&self) -> Option<FirstError<V, E>> {
        self.join_within(Duration::ZERO).err()
    }

    fn join_by(&self, scope: &Scope) -> Result<Waited, FirstError<V, E>> {
        let ends = &self.hosts[0].shared.ends;
        let mut seen = 0;
        loop {
            let sequence = ends.more.sequence();
            let next = ends.order.lock().get(seen).copied();
            if let Some(index) = next {
                seen += 1;
                let host = &self.hosts[index];
                host.wait(None);
                if host.has_failed() {
                    return Err(FirstError(host.clone()));
                }
                continue;
            }
            let waits = seen < self.hosts.len() && scope.check().is_ok();
            if !waits {
                return Ok(self.waited());
            }
            if let Some(ticket) = ends.more.register(sequence, Interest::BOTH) {
                // At the end of the limit, whoever has ended counts.
                let _ = ticket.wait(scope);
            }
        }
    }
}

impl<V, E> HostVisit<Result<V, E>> {
    fn has_failed(&self) -> bool {
        let visited = self.visited();
        visited.is_some_and(|visited| !matches!(visited.value(), Some(Ok(_))))
    }
}

impl<V, E> FirstError<V, E> {
    /// Returns the host's handle.
    pub fn visit(&self) -> &HostVisit<Result<V, E>> {
        &self.0
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        self.0.host()
    }

    /// Returns what its program returned as an error; `None` where it did not get to return.
    pub fn error(&self) -> Option<&E> {
        self.0.value()?.as_ref().err()
    }

    /// Returns why the host was not reached, or how its program panicked.
    pub fn session_error(&self) -> Option<&Error> {
        self.0.error()
    }

    /// Returns whether the host was cancelled before its program returned.
    pub fn is_cancelled(&self) -> bool {
        let end = self.0.outcome().map(|outcome| outcome.end());
        matches!(end, Some(End::Cancelled { .. }))
    }
}

impl<V, E: fmt::Display> fmt::Display for FirstError<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host();
        match (self.error(), self.0.outcome()) {
            (Some(error), _) => write!(f, "{host}: {error}"),
            (None, Some(outcome)) => write!(f, "{host}: {}", outcome.end()),
            (None, None) => write!(f, "{host}"),
        }
    }
}

impl<V, E> fmt::Debug for FirstError<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FirstError").field(&self.0).finish()
    }
}

impl<V, E: StdError + 'static> StdError for FirstError<V, E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match (self.error(), self.session_error()) {
            (Some(error), _) => error.source(),
            (None, Some(error)) => error.source(),
            (None, None) => None,
        }
    }
}
