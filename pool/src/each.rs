//! A program per host: straight-line code over the host's open session.

use std::collections::HashMap;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_reactor::{Calls, Scope};
use sshoal_session::{CheckError, Command, Error, Host, Output, Session};

use crate::connector::Connected;
use crate::outcome::{End, Outcome, StopCause};
use crate::run::{Run, RunHandle};

mod ends;
mod told;
mod visits;

pub(crate) use ends::Ends;
pub use told::EachEvent;
pub use visits::{Every, FirstError, HostVisit, Visits, VisitsEnded};

/// A host whose session is open, as a program sees it.
pub struct Reached<'a> {
    index: usize,
    host: &'a Host,
    session: &'a dyn Connected,
    scope: &'a Scope,
    took: Duration,
    /// Whether the program said that the host failed.
    failed: AtomicBool,
}

impl<'a> Reached<'a> {
    pub(crate) fn new(
        (index, host): (usize, &'a Host),
        session: &'a dyn Connected,
        scope: &'a Scope,
    ) -> Self {
        Self {
            index,
            host,
            session,
            scope,
            took: Duration::ZERO,
            failed: AtomicBool::new(false),
        }
    }

    pub(crate) fn after(self, took: Duration) -> Self {
        Self { took, ..self }
    }

    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the host.
    pub fn host(&self) -> &'a Host {
        self.host
    }

    /// Returns the host's session.
    ///
    /// # Panics
    /// Never: programs run over open sessions only.
    pub fn session(&self) -> &'a Session {
        self.session
            .session()
            .expect("a pool's sessions are SSH sessions")
    }

    /// Notes that the host failed, for [`StopAfter`](crate::StopAfter) alone: see
    /// [`Pool::each_until`](crate::Pool::each_until). What the program returns is not looked at.
    pub fn count_as_failed(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns how long it took to reach the host, in this attempt; next to nothing where the
    /// session was open before.
    pub fn reached_after(&self) -> Duration {
        self.took
    }

    /// Returns the scope in which the program runs: it ends with the run's deadline, and when the
    /// run is cancelled. Waits of the program are within it only where it is given to them.
    pub fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// Returns a command on the host, within the program's scope.
    pub fn command(&self, command: impl Into<Vec<u8>>) -> Command<'a> {
        self.session().command(command).scope(self.scope)
    }

    /// Runs a command to its end and returns what it gave; an exit status that is not 0 is no
    /// error. Parks, within the program's scope.
    ///
    /// # Errors
    /// As [`Command::output`].
    pub fn run(&self, command: impl Into<Vec<u8>>) -> Result<Output, Error> {
        self.command(command).output()
    }

    /// As [`Reached::run`], with any end but exit status 0 as an error. Parks.
    ///
    /// # Errors
    /// As [`Command::output`], and [`CheckError::Failed`].
    pub fn check(&self, command: impl Into<Vec<u8>>) -> Result<Output, CheckError> {
        self.run(command)?.require_success()
    }

    /// Makes several calls at once, each on a channel of its own over the one session, and returns
    /// what they returned: `host.join((|| host.run("uptime"), || host.run("id")))`. Parks until all
    /// have. See [`sshoal_reactor::join`], which this is.
    ///
    /// # Panics
    /// With the message of the first call that panicked, after all have ended; it ends this host
    /// alone. With [`Reached::try_join`] each panic is a result.
    pub fn join<C: Calls>(&self, calls: C) -> C::Values {
        sshoal_reactor::join(calls)
    }

    /// As [`Reached::join`], with each panic as the result of its call alone. Parks.
    pub fn try_join<C: Calls>(&self, calls: C) -> C::Results {
        sshoal_reactor::try_join(calls)
    }
}

impl fmt::Debug for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reached")
            .field("index", &self.index)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A program under way on the hosts of a pool: an iterator of what it returned, in the order in
/// which hosts end. Dropping it cancels the run without waiting for it.
#[must_use = "a run that is dropped is cancelled"]
pub struct Each<T> {
    run: Run,
    values: Values<T>,
}

/// What programs returned, by host, until their outcome is taken. A leaf lock.
pub(crate) type Values<T> = Arc<Mutex<HashMap<usize, T>>>;

/// What a program returned for one host, or why it did not get there.
#[derive(Debug)]
pub struct Visited<T> {
    outcome: Outcome,
    value: Option<T>,
}

impl<T> Each<T> {
    pub(crate) fn new(run: Run, values: Values<T>) -> Self {
        Self { run, values }
    }

    /// Waits for all hosts that are left and returns them in input order. Parks.
    pub fn in_order(self) -> Vec<Visited<T>> {
        let mut all: Vec<Visited<T>> = self.collect();
        all.sort_unstable_by_key(Visited::index);
        all
    }

    /// Turns it into a handle for each host, each of which can be asked, waited for and cancelled on
    /// its own. What was taken by the iterator before is missing there.
    pub fn visits(self) -> Visits<T> {
        Visits::new(self)
    }

    /// Returns a handle to stop the run, or to ask after it, from another thread.
    pub fn handle(&self) -> RunHandle {
        self.run.handle()
    }

    /// Returns what stopped the run early, if anything did; programs that return when their scope
    /// ends leave that out of their outcome.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.run.stopped_by()
    }

    /// As the iterator's `next`, for the tasks of an executor; see [`Run::poll_next`].
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Visited<T>>> {
        let outcome = ready!(self.run.poll_next(context));
        Poll::Ready(outcome.map(|outcome| self.visited(outcome)))
    }

    fn visited(&self, outcome: Outcome) -> Visited<T> {
        let value = self.values.lock().remove(&outcome.index());
        Visited { outcome, value }
    }
}

impl<T> Iterator for Each<T> {
    type Item = Visited<T>;

    fn next(&mut self) -> Option<Visited<T>> {
        let outcome = self.run.next()?;
        Some(self.visited(outcome))
    }
}

impl<T> FusedIterator for Each<T> {}

impl<T> fmt::Debug for Each<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl<T> Visited<T> {
    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.outcome.index()
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        self.outcome.host()
    }

    /// Returns the host's timings, begin, duration and attempts. Its end is `Exited(0)` where the
    /// program returned.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Returns what the program returned.
    pub fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Returns what the program returned.
    ///
    /// # Errors
    /// Why it did not: the host was not reached, the run was stopped, or the program panicked.
    pub fn into_result(self) -> Result<T, Error> {
        if let Some(value) = self.value {
            return Ok(value);
        }
        match Arc::into_inner(self.outcome.into_end()) {
            Some(End::Failed(error)) => Err(error),
            Some(End::Cancelled { phase, .. }) => Err(Error::Cancelled { phase }),
            end => unreachable!("a program that returned left its value: {end:?}"),
        }
    }
}
