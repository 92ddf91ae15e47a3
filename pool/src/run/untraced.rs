//! What stands for the spans of hosts without the feature `tracing`: nothing.

use std::time::Duration;

use sshoal_session::{Error, Host, Phase};

use crate::outcome::Outcome;

/// No spans.
pub(crate) struct Traced;

impl Traced {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn enter(&self, _host: (usize, &Host), _phase: Phase) {}

    pub(crate) fn reached(&self, _index: usize, _phase: Phase) {}

    pub(crate) fn retry(&self, _index: usize, _attempt: u32, _pause: Duration, _error: &Error) {}

    pub(crate) fn ended(&self, _outcome: &Outcome) {}
}
