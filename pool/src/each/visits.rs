//! A program on all hosts with a handle for each of them.
//!
//! The principal types are [`Visits`] and [`HostVisit`].

use std::fmt;
use std::iter::FusedIterator;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope};
use sshoal_session::{Error, Host};

use super::{Each, Ends, Values, Visited};
use crate::event::Event;
use crate::live::Waited;
use crate::outcome::{End, Outcome, StopCause};
use crate::run::{Run, RunHandle, RunState};

mod join;

pub use join::FirstError;

/// A program that was started on all hosts of a pool, with a handle for each;
/// [`Each::visits`] makes it.
///
/// Dropping it cancels the hosts that have not ended, without a wait; their handles, and what their
/// programs returned, stay.
///
/// # Examples
///
/// ```no_run
/// # fn f(pool: &sshoal_pool::Pool) {
/// use std::time::Duration;
///
/// let visits = pool.each(|host| host.run("sync")).visits();
/// for waited in visits.every(Duration::from_secs(1)) {
///     println!("{} of {}", waited.finished.len(), visits.hosts().len());
/// }
/// for host in visits.hosts() {
///     println!("{}: {:?}", host.host(), host.value());
/// }
/// # }
/// ```
#[must_use = "a program that is dropped is cancelled"]
pub struct Visits<T> {
    run: Run,
    hosts: Vec<HostVisit<T>>,
}

/// A host of a program that was started; clones are handles of the same.
///
/// Each can be asked and waited for on its own, from any thread, also when the pool is gone.
pub struct HostVisit<T> {
    shared: Arc<Shared<T>>,
    index: usize,
}

/// What all handles of a program share.
struct Shared<T> {
    hosts: Arc<[Host]>,
    state: Arc<RunState>,
    ends: Arc<Ends>,
    values: Values<T>,
    visited: Box<[OnceLock<Visited<T>>]>,
    /// Who has it files the outcomes that wait. Nothing waits under it.
    filing: Mutex<()>,
}

/// Hosts as they end, from the first; [`Visits::ended`] makes it.
#[derive(Debug)]
pub struct VisitsEnded<T> {
    shared: Arc<Shared<T>>,
    given: usize,
}

/// How far a program is, again and again; [`Visits::every`] makes it.
#[derive(Debug)]
pub struct Every<'a, T> {
    visits: &'a Visits<T>,
    interval: Duration,
    next: Option<Instant>,
    over: bool,
}

impl<T> Visits<T> {
    pub(super) fn new(each: Each<T>) -> Self {
        let Each { mut run, values } = each;
        run.leave_open();
        let state = run.state();
        let ends = state.ends.clone().expect("a program has them");
        let hosts = run.hosts();
        let shared = Arc::new(Shared {
            visited: hosts.iter().map(|_| OnceLock::new()).collect(),
            hosts: Arc::clone(&hosts),
            state: Arc::clone(state),
            ends,
            values,
            filing: Mutex::default(),
        });
        let host = |index| HostVisit {
            shared: Arc::clone(&shared),
            index,
        };
        Self {
            hosts: (0..hosts.len()).map(host).collect(),
            run,
        }
    }

    /// Returns the hosts in input order; one that is listed twice is there twice.
    pub fn hosts(&self) -> &[HostVisit<T>] {
        &self.hosts
    }

    /// Returns a host by its index.
    ///
    /// # Panics
    /// There is no host with this index.
    pub fn host(&self, index: usize) -> &HostVisit<T> {
        &self.hosts[index]
    }

    /// Returns the hosts of a name, all of them where it is listed more than once.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HostVisit<T>> {
        let hosts = self.hosts.iter();
        hosts.filter(move |host| host.host().name() == name)
    }

    /// Returns an iterator of hosts in the order in which they end; those that have ended come
    /// first.
    pub fn ended(&self) -> VisitsEnded<T> {
        VisitsEnded {
            shared: Arc::clone(&self.hosts[0].shared),
            given: 0,
        }
    }

    /// Returns an iterator that tells which hosts have ended, once in each interval and a last time
    /// when all have: a loop that shows progress needs no other.
    pub fn every(&self, interval: Duration) -> Every<'_, T> {
        Every {
            visits: self,
            interval,
            next: None,
            over: false,
        }
    }

    /// Waits until every host has ended, at most for `limit` if there is one: that is the time for
    /// all hosts together, whatever the pool size. Parks. May be called again.
    pub fn wait(&self, limit: Option<Duration>) -> Waited {
        // At the end of the limit, whoever has ended counts.
        let _ = self.run.state().over.wait(&Scope::root().child(limit));
        self.waited()
    }

    /// Returns whether every host has ended. Does not wait.
    pub fn is_finished(&self) -> bool {
        self.hosts.iter().all(HostVisit::is_finished)
    }

    /// Returns a handle to stop the run, or to ask after it, from another thread.
    pub fn handle(&self) -> RunHandle {
        self.run.handle()
    }

    /// Stops the run, as [`RunHandle::cancel`] does.
    pub fn cancel(&self) {
        self.run.cancel();
    }

    /// Returns what stopped the run early, if anything did.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.run.stopped_by()
    }

    fn waited(&self) -> Waited {
        let (finished, unfinished) =
            (0..self.hosts.len()).partition(|host| self.hosts[*host].is_finished());
        Waited {
            finished,
            unfinished,
        }
    }
}

impl<T> HostVisit<T> {
    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.shared.hosts[self.index]
    }

    /// Returns whether the host has ended, in whatever way. Does not wait.
    pub fn is_finished(&self) -> bool {
        self.shared.ends.cells[self.index].ended.is_set()
    }

    /// Waits until the host has ended, at most for `limit` if there is one, and returns what became
    /// of it then. Parks. May be called again.
    pub fn wait(&self, limit: Option<Duration>) -> Option<&Visited<T>> {
        let ended = &self.shared.ends.cells[self.index].ended;
        // At the end of the limit, whatever is known counts.
        let _ = ended.wait(&Scope::root().child(limit));
        self.visited()
    }

    /// Returns what became of the host; `None` until it has ended. Does not wait.
    pub fn visited(&self) -> Option<&Visited<T>> {
        if !self.is_finished() {
            return None;
        }
        let visited = &self.shared.visited[self.index];
        if visited.get().is_none() {
            self.shared.file();
        }
        visited.get()
    }

    /// Returns everything that is known of the host's end but what its program returned. Does not
    /// wait.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.visited().map(Visited::outcome)
    }

    /// Returns what the program returned; `None` until it has, and for ever where the host was not
    /// reached or was cancelled before. Does not wait.
    pub fn value(&self) -> Option<&T> {
        self.visited()?.value()
    }

    /// Returns why the host was not reached, or how its program panicked. Does not wait.
    pub fn error(&self) -> Option<&Error> {
        match self.outcome()?.end() {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Gives this host up where it is, and no other: its scope ends, which waits of the program that
    /// are within it see. One that is not begun ends as [`End::Cancelled`] when its turn comes. Does
    /// not wait.
    pub fn cancel(&self) {
        self.shared.ends.scope(self.index).cancel();
    }
}

impl<T> Shared<T> {
    /// Puts the outcomes that wait in the run's queue into their places.
    fn file(&self) {
        let _filing = self.filing.lock();
        while let Some(event) = self.state.take() {
            if let Event::Finished(outcome) = event {
                let index = outcome.index();
                let value = self.values.lock().remove(&index);
                // A host has one outcome.
                let _ = self.visited[index].set(Visited { outcome, value });
            }
        }
    }
}

impl<T> Iterator for VisitsEnded<T> {
    type Item = HostVisit<T>;

    /// Parks until another host has ended; `None` when all have.
    fn next(&mut self) -> Option<HostVisit<T>> {
        let ends = &self.shared.ends;
        if self.given == ends.cells.len() {
            return None;
        }
        loop {
            let sequence = ends.more.sequence();
            let next = ends.order.lock().get(self.given).copied();
            if let Some(index) = next {
                self.given += 1;
                // It is noted in this order: listed, and then to be asked.
                let _ = ends.cells[index].ended.wait(&Scope::root());
                let shared = Arc::clone(&self.shared);
                return Some(HostVisit { shared, index });
            }
            if let Some(ticket) = ends.more.register(sequence, Interest::BOTH) {
                // Without a limit it ends by being woken.
                let _ = ticket.wait(&Scope::root());
            }
        }
    }
}

impl<T> FusedIterator for VisitsEnded<T> {}

impl<T> Iterator for Every<'_, T> {
    type Item = Waited;

    /// Parks until the interval is over, or all hosts have ended.
    fn next(&mut self) -> Option<Waited> {
        if self.over {
            return None;
        }
        // From one to the next, whatever the caller does in between; an interval beyond the clock's
        // range has no end.
        let now = Instant::now();
        let next = self.next.unwrap_or(now).checked_add(self.interval);
        self.next = next.map(|next| next.max(now));
        let waited = (self.visits).wait(next.map(|next| next.saturating_duration_since(now)));
        self.over = waited.is_complete();
        Some(waited)
    }
}

impl<T> FusedIterator for Every<'_, T> {}

impl<T> Clone for HostVisit<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            index: self.index,
        }
    }
}

impl<T> fmt::Debug for Visits<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visits")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for HostVisit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostVisit")
            .field("index", &self.index)
            .field("host", self.host())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("hosts", &self.hosts.len())
            .finish_non_exhaustive()
    }
}
