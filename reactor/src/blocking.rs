//! Calls that block for a while and cannot be made otherwise: name look-up, disk sync (law G7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::coroutine::{Panic, caught};
use crate::scope::{Scope, Stop};
use crate::waiter::{Interest, WaitList};

/// Threads that blocking calls may take at once; more calls wait their turn.
const THREADS_MAX: usize = 32;
/// An idle thread ends after this long.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

struct State {
    /// Calls that wait for a thread, by number: the lowest came first.
    jobs: BTreeMap<u64, Job>,
    next_number: u64,
    /// Threads that were started and have not ended.
    threads: usize,
    /// Threads that wait for work; one that was notified counts until it has the lock again.
    idle: usize,
}

static STATE: Mutex<State> = Mutex::new(State {
    jobs: BTreeMap::new(),
    next_number: 0,
    threads: 0,
    idle: 0,
});
static WORK: Condvar = Condvar::new();

/// Runs a blocking call on a thread of its own. Parks the calling thread until it is done.
///
/// # Errors
///
/// The call's panic.
pub fn blocking<T, F>(call: F) -> Result<T, Panic>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match blocking_within(&Scope::root(), call) {
        Ok(result) => result,
        Err(_) => unreachable!("a scope that nobody else has cannot end"),
    }
}

/// As [`blocking`], but given up when the scope ends: the call then runs on, unheeded, or is never
/// made if it still waited for a thread.
///
/// # Errors
///
/// Why the scope ended; within, the call's panic.
pub fn blocking_within<T, F>(scope: &Scope, call: F) -> Result<Result<T, Panic>, Stop>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    scope.check()?;
    let shared = Arc::new((Mutex::new(None), WaitList::default()));
    let place = shared.clone();
    let number = submit(Box::new(move || {
        let result = caught(call);
        *place.0.lock() = Some(result);
        place.1.wake(Interest::BOTH);
    }));
    loop {
        let sequence = shared.1.sequence();
        if let Some(result) = shared.0.lock().take() {
            return Ok(result);
        }
        if let Some(ticket) = shared.1.register(sequence, Interest::BOTH)
            && let Err(stop) = ticket.wait(scope)
        {
            withdraw(number);
            return Err(stop);
        }
    }
}

/// Queues a call and sees to it that a thread takes it; returns its number.
fn submit(job: Job) -> u64 {
    let mut state = STATE.lock();
    let number = state.next_number;
    state.next_number += 1;
    state.jobs.insert(number, job);
    if state.idle >= state.jobs.len() || state.threads >= THREADS_MAX {
        WORK.notify_one();
        return number;
    }
    let spawned = std::thread::Builder::new()
        .name("sshoal-blocking".into())
        .spawn(run);
    if spawned.is_ok() {
        state.threads += 1;
    } else if state.threads == 0 {
        // No thread at all: better in place than never.
        let job = state.jobs.remove(&number);
        drop(state);
        if let Some(job) = job {
            let _ = caught(job);
        }
    }
    number
}

/// Takes a call that nobody waits for any more out of the queue, if no thread took it yet.
fn withdraw(number: u64) {
    // What the call holds is dropped outside the lock.
    let _job = { STATE.lock().jobs.remove(&number) };
}

fn run() {
    let mut state = STATE.lock();
    loop {
        while let Some((_, job)) = state.jobs.pop_first() {
            // A result that nobody takes is dropped here, and may panic; the thread goes on.
            let _ = parking_lot::MutexGuard::unlocked(&mut state, || caught(job));
        }
        state.idle += 1;
        let timed_out = WORK.wait_for(&mut state, IDLE).timed_out();
        state.idle -= 1;
        if timed_out && state.jobs.is_empty() {
            state.threads -= 1;
            return;
        }
    }
}
