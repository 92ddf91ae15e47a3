//! What a worker does: one host after the other, each from its session to its outcome.
//!
//! Nothing that happens with one host leaves its [`Flight`]: an error ends it, a panic is caught
//! around it, and its place is given back whatever the end.

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sshoal_reactor::Scope;
use sshoal_reactor::sync::Queue;
use sshoal_session::{Error, Exit, Phase, Timings};

use crate::connector::Connected;
use crate::engine::{Engine, Task};
use crate::outcome::{End, Outcome, Visit};
use crate::run::{Earlier, RunState};

mod flight;

pub(crate) use flight::CHUNK_MAX;
use flight::{Fault, Flight};

/// Takes hosts from the queue until it is closed.
pub(crate) fn work(engine: &Arc<Engine>, tasks: &Arc<Queue<Task>>) {
    let forever = Scope::root();
    let mut buf = Vec::new();
    let mut next = None;
    loop {
        let task = match next.take() {
            Some(task) => task,
            None => match tasks.pop(&forever) {
                Ok(Some(task)) => {
                    engine.popped(tasks);
                    task
                }
                Ok(None) | Err(_) => return,
            },
        };
        // What a run was given goes with its last host, and may panic then: its host has ended, and
        // the place that is free is to be handed on.
        let _ = caught(|| fly(engine, task, &mut buf));
        next = engine.take(tasks);
    }
}

/// Fails a host for which this machine has no thread of any sort.
pub(crate) fn refuse(engine: &Engine, task: Task, error: &io::Error) {
    let run = &task.run;
    let source = io::Error::new(error.kind(), error.to_string());
    let end = End::Failed(Error::Local {
        phase: Phase::Local,
        source,
    });
    let (visit, timings) = (run.so_far(task.host).visit, Timings::default());
    let who = (task.host, &engine.hosts);
    run.deliver(Outcome::new(who, (end, None), run.output(), timings, visit));
    engine.ended(run.id, task.host);
    if engine.retire(task.seat, task.kept) {
        engine.release();
    }
}

/// Takes one host to its outcome, or back to the queue.
#[inline(never)]
fn fly(engine: &Arc<Engine>, task: Task, buf: &mut Vec<u8>) {
    let Task {
        run,
        host: index,
        seat,
        kept,
        evicted,
    } = task;
    if let Some(evicted) = evicted {
        close(&*evicted);
    }
    let (visit, began) = run.begin(index);
    // On the heap: what is deep in the stack below would else take a page more for each session.
    let mut flight = Box::new(Flight::new(engine, &run, (index, seat), kept.is_some()));
    // Outside of what a panic unwinds, so that it is dropped after.
    let mut session = kept;
    #[cfg(feature = "faults")]
    sshoal_reactor::faults::enter(index);
    let flown = caught(|| flight.go(&mut session, buf));
    #[cfg(feature = "faults")]
    sshoal_reactor::faults::leave();
    settle(
        engine,
        (&run, index),
        flight,
        session,
        flown,
        (visit, began),
    );
}

/// Books how a host's flight ended. Not inlined: its values would lie in the stack under each
/// session that waits.
#[inline(never)]
fn settle(
    engine: &Arc<Engine>,
    (run, index): (&Arc<RunState>, usize),
    flight: Box<Flight<'_>>,
    session: Option<Arc<dyn Connected>>,
    flown: Result<Result<Exit, Fault>, String>,
    (mut visit, began): (Visit, Instant),
) {
    let (end, stopped_by) = match flown {
        Ok(Ok(exit)) => (exit.into(), None),
        Ok(Err(Fault::Failed(error))) => flight.judge(*error),
        Ok(Err(Fault::NotConnected(error))) => match flight.pause(&error, visit) {
            Some(pause) => {
                visit.attempts += 1;
                visit.retries += 1;
                run.retry(index, visit.attempts, pause, &error);
                let earlier = Earlier::failed((visit, began), (*error, flight.timings()));
                run.put_back(index, earlier);
                engine.retry((run.id, index), flight.seat(), pause);
                return;
            }
            None => flight.judge(*error),
        },
        Ok(Err(Fault::LocalLimit)) => {
            drop(session);
            run.put_back(index, Earlier::new(visit, began));
            engine.local_limit((run.id, index), flight.seat());
            return;
        }
        Ok(Err(Fault::KeptDied)) => {
            drop(session);
            visit.attempts += 1;
            run.put_back(index, Earlier::new(visit, began));
            engine.kept_died(run.id, index, flight.seat());
            return;
        }
        Err(message) => {
            let phase = flight.phase();
            (End::Failed(Error::Internal { phase, message }), None)
        }
    };
    visit.attempts += 1;
    visit.duration = began.elapsed();
    flight.land(session, (end, stopped_by), visit);
}

/// Closes a session; a panic in it ends there.
pub(crate) fn close(session: &dyn Connected) {
    let _ = caught(|| session.close());
}

/// Runs what is not ours; a panic in it is its message.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let message = panic_message(&*panic);
        // What a panic carries may panic when it is dropped: what it then leaves is given up.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            mem::forget(second);
        }
        message
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}
