//! Many green threads on one tree: what they take their work from, and what bounds it.

use parking_lot::Mutex;
use sshoal_reactor::sync::{Permit, Semaphore};
use sshoal_reactor::{Interest, Scope, Stop, WaitList, join};
use sshoal_session::Error as SessionError;

use super::report::{TreeReport, WhySkipped};
use crate::error::{Error, stopped};

/// Calls `worker` so many times side by side. Parks until all have returned.
pub(crate) fn side_by_side(count: usize, worker: &(dyn Fn() + Sync)) {
    match count {
        0 => {}
        1 => worker(),
        _ => {
            let half = count / 2;
            join((
                || side_by_side(half, worker),
                || side_by_side(count - half, worker),
            ));
        }
    }
}

/// Work that leads to more work; the last that was put in comes out first.
#[derive(Debug)]
pub(crate) struct Jobs<J> {
    state: Mutex<State<J>>,
    changed: WaitList,
}

#[derive(Debug)]
struct State<J> {
    waiting: Vec<J>,
    /// Taken and not done: more may come of them.
    under_way: usize,
}

impl<J> Jobs<J> {
    pub(crate) fn new(first: Vec<J>) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: first,
                under_way: 0,
            }),
            changed: WaitList::default(),
        }
    }

    /// Does jobs, one after the other, until all are done, those that others have too. Parks.
    pub(crate) fn do_all(&self, scope: &Scope, mut work: impl FnMut(J)) -> Result<(), Stop> {
        while let Some(job) = self.take(scope)? {
            // Also one that panics is done: others wait for what may come of it.
            let _doing = Doing(self);
            work(job);
        }
        Ok(())
    }

    /// Takes a job; `None` when all are done. Parks.
    fn take(&self, scope: &Scope) -> Result<Option<J>, Stop> {
        loop {
            let sequence = self.changed.sequence();
            scope.check()?;
            {
                let mut state = self.state.lock();
                if let Some(job) = state.waiting.pop() {
                    state.under_way += 1;
                    return Ok(Some(job));
                }
                if state.under_way == 0 {
                    return Ok(None);
                }
            }
            if let Some(ticket) = self.changed.register(sequence, Interest::READ) {
                ticket.wait(scope)?;
            }
        }
    }

    pub(crate) fn put(&self, jobs: impl IntoIterator<Item = J>) {
        self.state.lock().waiting.extend(jobs);
        self.changed.wake(Interest::BOTH);
    }

    /// Takes all that nobody did, when nobody does any more.
    pub(crate) fn left(&self) -> Vec<J> {
        std::mem::take(&mut self.state.lock().waiting)
    }

    /// One that was taken is done.
    fn done(&self) {
        let mut state = self.state.lock();
        state.under_way -= 1;
        if state.under_way == 0 && state.waiting.is_empty() {
            drop(state);
            self.changed.wake(Interest::BOTH);
        }
    }
}

/// A job that was taken; dropped, it is done.
struct Doing<'a, J>(&'a Jobs<J>);

impl<J> Drop for Doing<'_, J> {
    fn drop(&mut self) {
        self.0.done();
    }
}

/// A bound on the bytes that are under way over all files of a tree.
#[derive(Debug)]
pub(crate) struct Budget {
    permits: Semaphore,
    /// One at a time gathers its permits, so that no two wait for each other's.
    turn: Semaphore,
    permit_bytes: u64,
}

impl Budget {
    pub(crate) fn new(permit_bytes: u64) -> Self {
        Self {
            permits: Semaphore::new(PERMITS),
            turn: Semaphore::new(1),
            permit_bytes,
        }
    }

    /// Takes what a file of this size has under way at most. Parks.
    pub(crate) fn take(&self, size: u64, scope: &Scope) -> Result<Vec<Permit>, Stop> {
        let count = (size / self.permit_bytes).saturating_add(1);
        let count = usize::try_from(count).map_or(PERMITS, |count| count.min(PERMITS));
        let _turn = self.turn.acquire(scope)?;
        (0..count).map(|_| self.permits.acquire(scope)).collect()
    }
}

/// The report in the making, and the end of all when something ends it.
#[derive(Debug)]
pub(crate) struct Course {
    report: Mutex<TreeReport>,
    scope: Scope,
    /// The caller's, whose timeout is told as one.
    outer: Scope,
}

impl Course {
    /// The course of a copy within a scope, which it does not end.
    pub(crate) fn new(scope: &Scope) -> Self {
        Self {
            report: Mutex::default(),
            scope: scope.child(None),
            outer: scope.clone(),
        }
    }

    /// Where the work waits.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn note<T>(&self, note: impl FnOnce(&mut TreeReport) -> T) -> T {
        note(&mut self.report.lock())
    }

    /// Reports what failed of one entry; a failure that all share ends the whole.
    pub(crate) fn fail(&self, path: &[u8], error: Error) {
        match error {
            Error::Session(_)
            | Error::Sftp(_)
            | Error::TooManyEntries { .. }
            | Error::TreeTooLarge { .. } => self.end(error),
            error => self.note(|report| report.fail(path.to_vec(), error)),
        }
    }

    /// Ends the whole; the first cause counts.
    pub(crate) fn end(&self, cause: Error) {
        let cause = match cause {
            // What is within a scope whose time is over is cancelled.
            Error::Session(SessionError::Cancelled { .. }) => self.stopped(),
            cause => cause,
        };
        self.note(|report| {
            report.ended_early.get_or_insert(cause);
        });
        self.scope.cancel();
    }

    /// The end of the scope, as a failure that all share.
    pub(crate) fn stopped(&self) -> Error {
        let stop = self.outer.check().err().unwrap_or(Stop::Cancelled);
        Error::Session(stopped(stop, &self.outer))
    }

    pub(crate) fn skip(&self, path: &[u8], why: WhySkipped) {
        self.note(|report| report.skip(path.to_vec(), why));
    }

    pub(crate) fn into_report(self) -> TreeReport {
        self.report.into_inner()
    }
}

/// Permits of a budget: as many small files as are under way by default.
pub(crate) const PERMITS: usize = 64;

#[cfg(test)]
mod tests {
    use sshoal_session::Phase;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_job_is_taken_once_and_jobs_of_jobs_too() {
        let jobs = Jobs::new(vec![5_u32]);
        let seen = AtomicUsize::new(0);
        side_by_side(9, &|| {
            let all = jobs.do_all(&Scope::root(), |job| {
                seen.fetch_add(1, Ordering::Relaxed);
                sshoal_reactor::yield_now();
                // A tree of two to the fifth.
                jobs.put([job; 2].into_iter().filter(|n| *n > 0).map(|n| n - 1));
            });
            all.expect("nothing ends it");
        });
        assert_eq!(seen.load(Ordering::Relaxed), 63);
    }

    /// What the caller is told by may panic; nobody waits then for what is not done any more.
    #[test]
    fn a_job_that_panics_holds_up_no_other() {
        let jobs = Jobs::new((0..9).collect());
        let (seen, limit) = (AtomicUsize::new(0), std::time::Duration::from_secs(60));
        let scope = Scope::root().child(Some(limit));
        let worker = || {
            let all = jobs.do_all(&scope, |job| {
                seen.fetch_add(1, Ordering::Relaxed);
                assert_ne!(job, 4, "made-up");
            });
            all.expect("nobody waits");
        };
        let told = catch_unwind(AssertUnwindSafe(|| side_by_side(3, &worker)));
        let message = told.expect_err("the panic is the caller's");
        let message = message.downcast_ref::<String>().expect("is text");
        assert!(message.contains("made-up"), "{message}");
        assert_eq!(seen.into_inner(), 9);
    }

    #[test]
    fn a_timeout_of_the_caller_is_told_as_one() {
        let scope = Scope::root().child(Some(std::time::Duration::from_millis(1)));
        let course = Course::new(&scope);
        course.scope().ended();
        course.end(course.stopped());
        let told = course.into_report().ended_early;
        let expected = SessionError::TimedOut {
            phase: Phase::Transfer,
            limit: std::time::Duration::from_millis(1),
        };
        assert_eq!(
            format!("{told:?}"),
            format!("{:?}", Some(Error::Session(expected)))
        );
    }

    #[test]
    fn no_more_bytes_are_under_way_than_the_budget_has() {
        let budget = Budget::new(10);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let turn = AtomicUsize::new(0);
        side_by_side(20, &|| {
            let size = [0, 95, 300, 10_000][turn.fetch_add(1, Ordering::Relaxed) % 4];
            let permits = budget.take(size, &Scope::root()).expect("nothing ends it");
            let held = now.fetch_add(permits.len(), Ordering::SeqCst) + permits.len();
            most.fetch_max(held, Ordering::SeqCst);
            sshoal_reactor::yield_now();
            now.fetch_sub(permits.len(), Ordering::SeqCst);
        });
        assert_eq!(most.into_inner(), PERMITS, "a large file takes all");
    }
}
