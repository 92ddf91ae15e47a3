//! A timeout around a piece of code.

use std::fmt;
use std::time::Duration;

use crate::scope::{Scope, Status};

/// Why code under a [`timeout`] has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an error came in time or after it")]
pub enum TimeoutError<E> {
    /// It failed after this timeout, and no other, had run out.
    TimedOut {
        /// The timeout.
        limit: Duration,
        /// What the code returned.
        error: E,
    },
    /// It failed for another reason, the end of an outer scope among them.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for TimeoutError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { limit, .. } => write!(f, "timed out after {limit:?}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for TimeoutError<E> {}

/// Runs `f` on the calling thread with a scope that ends after `limit`.
///
/// The timeout ends the waits of `f` in that scope, not `f` itself: code that does not wait in it
/// goes on. A value counts, however late. Timeouts nest, and each error says whose it was.
///
/// # Errors
///
/// What `f` returned, marked if this timeout had run out.
pub fn timeout<T, E>(
    scope: &Scope,
    limit: Duration,
    f: impl FnOnce(&Scope) -> Result<T, E>,
) -> Result<T, TimeoutError<E>> {
    let within = scope.child(Some(limit));
    f(&within).map_err(|error| {
        if within.status() == Status::TimedOut {
            TimeoutError::TimedOut { limit, error }
        } else {
            TimeoutError::Failed(error)
        }
    })
}
