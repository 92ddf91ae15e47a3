//! Commands that do not end by themselves: how long they may be silent, and how they are ended.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sshoal_reactor::{Scope, Status};
use sshoal_session::{Ending, Error, OutputStream};

use super::Flight;
use super::verdict::stopped_in_run;
use crate::connector::Running;

/// How long a command has been silent.
pub(super) struct Silence {
    limit: Duration,
    /// When it printed something last, or was let print on.
    last: Instant,
    /// Ends when it may have been silent for too long: later, if it has printed since. One for
    /// each piece of output would be a timer for each.
    scope: Scope,
}

impl Silence {
    fn new(limit: Duration, scope: &Scope) -> Self {
        Self {
            limit,
            last: Instant::now(),
            scope: scope.child(Some(limit)),
        }
    }

    /// Notes that what it printed was taken, which may have held it up.
    pub(super) fn taken(&mut self) {
        self.last = Instant::now();
    }

    fn read(
        &mut self,
        running: &dyn Running,
        buf: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, Error> {
        loop {
            let read = running.read(buf, &self.scope);
            let Err(Error::TimedOut { .. } | Error::Cancelled { .. }) = read else {
                return read;
            };
            scope.check().map_err(stopped_in_run)?;
            let left = self.limit.saturating_sub(self.last.elapsed());
            if left.is_zero() {
                return Err(Error::Silent { limit: self.limit });
            }
            self.scope = scope.child(Some(left));
        }
    }
}

impl Flight<'_> {
    /// Begins to count how long a command is silent, if that has a limit.
    pub(super) fn silence(&self, scope: &Scope) -> Option<Silence> {
        let limit = self.engine.settings.silence_timeout?;
        Some(Silence::new(limit, scope))
    }

    /// Reads what comes next, within the time that a command may be silent.
    pub(super) fn read(
        running: &dyn Running,
        silence: &mut Option<Silence>,
        buf: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, Error> {
        match silence {
            None => running.read(buf, scope),
            Some(silence) => silence.read(running, buf, scope),
        }
    }

    /// Ends the command on its host, where that is wanted after such an error. Not inlined: most
    /// commands end by themselves.
    #[inline(never)]
    pub(super) fn end_command(&mut self, running: &dyn Running, error: &Error) {
        let Some((grace, within)) = self.end_limits(error) else {
            return;
        };
        // Of its own: the run's has ended.
        let scope = Scope::root().child(Some(within));
        let ending = running.end(grace, &scope, &mut |stream, bytes| {
            let taking = scope.child(Some(TAKE_MAX));
            match self.take_in(stream, bytes, &taking) {
                Ok(()) => ControlFlow::Continue(()),
                // The caller takes nothing: that must not keep the command alive.
                Err(_) => ControlFlow::Break(()),
            }
        });
        let over = matches!(ending, Ending::Ended { .. } | Ending::Closed { .. });
        self.usable = over && running.wait(&scope.child(Some(AT_ONCE))).is_ok();
        self.ending = Some(ending);
    }

    /// Returns the time until the kill, and the time for all of it; `None` if the command is to be
    /// left to its host, or has ended with its session.
    fn end_limits(&self, error: &Error) -> Option<(Duration, Duration)> {
        let settings = &self.engine.settings;
        if self.input_cut {
            // It must not take what it has got for the whole.
            return Some((Duration::ZERO, END_MAX));
        }
        let by_limit = match error {
            Error::TimedOut { .. } | Error::Silent { .. } => true,
            Error::Cancelled { .. } => self.run.scope.status() == Status::TimedOut,
            _ => return None,
        };
        if by_limit && settings.end_on_timeout {
            let within = settings.end_grace.saturating_add(END_MAX);
            return Some((settings.end_grace, within));
        }
        let within = *self.run.end_within.get().filter(|_| !by_limit)?;
        Some((within / 2, within))
    }
}

/// How long the end of a command may take, the grace aside.
const END_MAX: Duration = Duration::from_secs(5);
/// How long the caller has to take a piece of output of a command that is being ended.
const TAKE_MAX: Duration = Duration::from_millis(100);
/// For what is known already, or is not.
const AT_ONCE: Duration = Duration::from_nanos(1);
