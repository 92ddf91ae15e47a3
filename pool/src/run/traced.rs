//! A span for each host and each of its phases.
//!
//! No span is entered here: a span that is entered belongs to a thread, and a green thread waits
//! and goes on upon another (G5). Parents are given by hand instead. Spans and events are made, and
//! spans are dropped, outside of the lock: what a subscriber does then is not ours.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_session::{Error, Host, Phase};
use tracing::{Span, debug, debug_span, info_span, warn};

use crate::event::Failure;
use crate::outcome::{End, Outcome};
use crate::sanitise::one_line;

/// The spans of a run's hosts in flight.
pub(crate) struct Traced {
    /// What was current where the run was started.
    parent: Span,
    /// A leaf lock.
    hosts: Mutex<HashMap<usize, HostSpans>>,
}

struct HostSpans {
    host: Span,
    phase: Span,
}

impl Traced {
    /// Takes the calling thread's current span as the parent of all.
    pub(crate) fn new() -> Self {
        Self {
            parent: Span::current(),
            hosts: Mutex::default(),
        }
    }

    /// Begins a phase of a host, and the host if it was not begun before.
    pub(crate) fn enter(&self, (index, host): (usize, &Host), phase: Phase) {
        if self.span(index).is_none() {
            let span = info_span!(target: "sshoal", parent: &self.parent, "host", %host, index);
            let spans = HostSpans {
                host: span,
                phase: Span::none(),
            };
            let before = { self.hosts.lock().insert(index, spans) };
            drop(before);
        }
        self.set(index, Some(phase));
    }

    /// Ends a phase of a host and begins the next one, if it follows at once.
    pub(crate) fn reached(&self, index: usize, phase: Phase) {
        self.set(index, following(phase));
    }

    /// Ends the phase of a host that is tried again after a pause.
    pub(crate) fn retry(&self, index: usize, attempt: u32, pause: Duration, error: &Error) {
        self.set(index, None);
        let Some(span) = self.span(index) else { return };
        let Failure {
            phase,
            kind,
            message,
        } = Failure::of(error);
        let (error, pause) = (one_line(&message), millis(pause));
        debug!(
            target: "sshoal", parent: &span,
            attempt, pause_ms = pause, %phase, %kind, %error, "tried again after a pause"
        );
    }

    /// Ends a host.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.set(outcome.index(), None);
        let spans = { self.hosts.lock().remove(&outcome.index()) };
        // One that was never begun has no span of its own.
        let (host, index) = (outcome.host(), outcome.index());
        let span = spans.map_or_else(
            || info_span!(target: "sshoal", parent: &self.parent, "host", %host, index),
            |spans| spans.host,
        );
        if let End::Failed(error) = outcome.end() {
            let Failure {
                phase,
                kind,
                message,
            } = Failure::of(error);
            let error = one_line(&message);
            warn!(target: "sshoal", parent: &span, %phase, %kind, %error, "failed");
        }
        let timings = outcome.timings();
        let took = |phase| timings.get(phase).map(millis);
        debug!(
            target: "sshoal", parent: &span,
            end = outcome.end().as_str(),
            attempts = outcome.attempts(),
            resolve_ms = took(Phase::Resolve),
            connect_ms = took(Phase::Connect),
            banner_ms = took(Phase::Banner),
            kex_ms = took(Phase::Kex),
            host_key_ms = took(Phase::HostKey),
            auth_ms = took(Phase::Auth),
            open_ms = took(Phase::Open),
            run_ms = took(Phase::Run),
            whole_ms = millis(outcome.duration()),
            "ended"
        );
    }

    /// Puts another phase's span in the place of a host's last one, which ends.
    fn set(&self, index: usize, phase: Option<Phase>) {
        let Some(host) = self.span(index) else { return };
        let span = phase.map_or_else(Span::none, |phase| span_of(&host, phase));
        let last = {
            let mut hosts = self.hosts.lock();
            hosts
                .get_mut(&index)
                .map(|spans| std::mem::replace(&mut spans.phase, span))
        };
        drop(last);
    }

    fn span(&self, index: usize) -> Option<Span> {
        let hosts = self.hosts.lock();
        hosts.get(&index).map(|spans| spans.host.clone())
    }
}

/// The phase that begins where this one is done; a command's opening is begun by itself, as it may
/// be on a session that was open before.
fn following(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::Connect => Some(Phase::Kex),
        Phase::Kex => Some(Phase::HostKey),
        Phase::HostKey => Some(Phase::Auth),
        Phase::Open => Some(Phase::Run),
        _ => None,
    }
}

/// Makes a phase's span; resolving is part of connecting, and the banner of the key exchange.
fn span_of(host: &Span, phase: Phase) -> Span {
    match phase {
        Phase::Connect => debug_span!(target: "sshoal", parent: host, "connect"),
        Phase::Kex => debug_span!(target: "sshoal", parent: host, "kex"),
        Phase::HostKey => debug_span!(target: "sshoal", parent: host, "host_key"),
        Phase::Auth => debug_span!(target: "sshoal", parent: host, "auth"),
        Phase::Open => debug_span!(target: "sshoal", parent: host, "open"),
        Phase::Run => debug_span!(target: "sshoal", parent: host, "run"),
        _ => Span::none(),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
