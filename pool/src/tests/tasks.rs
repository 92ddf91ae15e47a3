//! Runs polled by tasks, without an executor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::fake::*;
use crate::{Collect, Detail, Event, RunSpec};

/// A waker that wakes the thread it was made on, and counts.
struct Alarm(AtomicUsize, std::thread::Thread);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

fn alarm() -> (Arc<Alarm>, Waker) {
    let alarm = Arc::new(Alarm(AtomicUsize::new(0), std::thread::current()));
    (Arc::clone(&alarm), Waker::from(alarm))
}

/// Polls until something is there.
fn take<T>(waker: &Waker, mut poll: impl FnMut(&Context<'_>) -> Poll<T>) -> T {
    loop {
        if let Poll::Ready(value) = poll(&Context::from_waker(waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// Nothing is there, then one host is let go: the task is woken, once, and gets that host.
#[test]
fn a_task_is_woken_by_the_host_that_ends() {
    let gate = Arc::new(sshoal_reactor::sync::Event::new());
    let slow = Script {
        run: Step::Waits(Arc::clone(&gate)),
        ..Script::printing(b"slow")
    };
    let pool = Fake::new(slow).pool(1);
    let mut run = pool.run("x").unwrap();
    let (alarm, waker) = alarm();
    for _ in 0..3 {
        let polled = run.poll_next(&Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    assert_eq!(alarm.0.load(Ordering::SeqCst), 0);
    gate.set();
    let outcome = take(&waker, |context| run.poll_next(context)).unwrap();
    assert_eq!(outcome.stdout().text().unwrap(), "slow");
    assert!(take(&waker, |context| run.poll_next(context)).is_none());
    assert!(take(&waker, |context| run.poll_next(context)).is_none());
}

/// A run that prints without end, of which only outcomes are wanted: a poll passes over a bounded number of events
/// and lets others have their turn.
#[test]
fn a_poll_that_passes_over_output_comes_to_an_end() {
    let endless = Script {
        endless: true,
        ..Script::printing(&[7; 4096])
    };
    let fake = Fake::new(endless);
    let spec = RunSpec::new("x")
        .detail(Detail::Output)
        .collect(Collect::No);
    let mut run = fake.pool(3).run(spec).unwrap();
    let (alarm, waker) = alarm();
    while alarm.0.load(Ordering::SeqCst) < 100 {
        assert!(run.poll_next(&Context::from_waker(&waker)).is_pending());
    }
    drop(run);
    fake.gauges.live.wait_for(0);
    drop(waker);
    // Nothing of the dropped run has kept it.
    assert_eq!(Arc::strong_count(&alarm), 1);
}

/// A task that is dropped while it waits cancels the run, and its waker goes with it.
#[test]
fn a_run_that_a_task_drops_is_cancelled() {
    let stalls = Script {
        run: Step::Stalls,
        ..Script::default()
    };
    let fake = Fake::new(stalls);
    let pool = fake.pool(5);
    let spec = RunSpec::new("x").detail(Detail::Progress);
    let mut events = pool.run(spec).unwrap().events();
    let handle = events.handle();
    let (alarm, waker) = alarm();
    let mut accepted = 0;
    while accepted < 5 {
        let event = take(&waker, |context| events.poll_next(context));
        accepted += u32::from(matches!(event, Some(Event::Accepted { .. })));
    }
    let polled = events.poll_next(&Context::from_waker(&waker));
    assert!(polled.is_pending());
    let woken = alarm.0.load(Ordering::SeqCst);
    drop((events, waker));
    fake.gauges.live.wait_for(0);
    while handle.progress().ended < 5 {
        std::thread::yield_now();
    }
    let after = alarm.0.load(Ordering::SeqCst);
    assert_eq!((Arc::strong_count(&alarm), after), (1, woken));
}

/// Each program's value comes with its host's outcome, as with the iterator.
#[test]
fn programs_are_polled_with_their_values() {
    let pool = Fake::new(Script::default()).pool(10);
    let mut each = pool.each(|host| host.index() * 2);
    let (_alarm, waker) = alarm();
    let mut sum = 0;
    while let Some(visited) = take(&waker, |context| each.poll_next(context)) {
        assert_eq!(visited.value(), Some(&(visited.index() * 2)));
        sum += visited.into_result().unwrap();
    }
    assert_eq!(sum, 90);
}
