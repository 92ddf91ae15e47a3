//! Commands whose time is over: which are ended, what is said of it, and what becomes of sessions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sshoal_session::{EndedBy, Ending, Error, Kind, Left, OutputStream, Phase, Unclear};

use super::fake::*;
use crate::{End, KeepOpen, OnTimeout, Outcome, PoolBuilder, StopCause};

const LIMIT: Duration = Duration::from_millis(50);
const TERM: Ending = Ending::Ended { by: EndedBy::Term };

fn stalling() -> Script {
    Script {
        run: Step::Stalls,
        ending: TERM,
        ..Script::printing(b"partial")
    }
}

/// Runs one host; returns its outcome and how often it was ended.
fn run(set: impl FnOnce(PoolBuilder) -> PoolBuilder, script: Script) -> (Outcome, usize) {
    let fake = Fake::new(script);
    let pool = fake.pool_of(set(builder(1)));
    let outcome = pool.run("x").unwrap().next().unwrap();
    (outcome, fake.gauges.ends.load(Ordering::Relaxed))
}

#[test]
fn a_command_whose_time_is_over_is_ended_unless_it_is_to_be_left() {
    let timeout = |pool: PoolBuilder| pool.command_timeout(Some(LIMIT));
    let (outcome, ends) = run(timeout, stalling());
    assert_eq!((outcome.ending(), ends), (Some(&TERM), 1));
    assert_eq!(outcome.stdout().text().unwrap(), "partial");
    assert_eq!(outcome.stderr().text().unwrap(), "last words");
    let timed_out = |outcome: &Outcome| match outcome.end() {
        End::Failed(Error::TimedOut { phase, limit }) => (*phase, *limit),
        end => panic!("{end:?}"),
    };
    assert_eq!(timed_out(&outcome), (Phase::Run, LIMIT));
    let left = |pool: PoolBuilder| timeout(pool).on_timeout(OnTimeout::Leave);
    let (outcome, ends) = run(left, stalling());
    assert_eq!((outcome.ending(), ends), (None, 0));
    assert_eq!(timed_out(&outcome), (Phase::Run, LIMIT));
}

#[test]
fn the_deadline_ends_commands_too() {
    let deadline = |pool: PoolBuilder| pool.deadline(Some(LIMIT));
    let (outcome, ends) = run(deadline, stalling());
    assert_eq!((outcome.ending(), ends), (Some(&TERM), 1));
    assert_eq!(outcome.stopped_by(), Some(StopCause::Deadline));
    assert_eq!(outcome.end().kind(), Some(Kind::Timeout));
}

#[test]
fn a_silent_command_is_told_from_one_that_takes_too_long() {
    let both = |pool: PoolBuilder| {
        let pool = pool.silence_timeout(Some(LIMIT));
        pool.command_timeout(Some(Duration::from_secs(60)))
    };
    let (outcome, _) = run(both, stalling());
    assert!(matches!(outcome.end(), End::Failed(Error::Silent { limit }) if *limit == LIMIT));
    assert_eq!(outcome.end().kind(), Some(Kind::Timeout));
    assert_eq!(outcome.ending(), Some(&TERM));
}

#[test]
fn commands_of_a_cancelled_run_are_ended_only_on_request() {
    for request in [true, false] {
        let fake = Fake::new(stalling());
        let mut run = fake.pool(3).run("x").unwrap();
        let handle = run.handle();
        // Behind its output, each command is running.
        while fake.gauges.printed.load(Ordering::Relaxed) < 3 * b"partial".len() {
            std::thread::yield_now();
        }
        match request {
            true => handle.cancel_and_end(Duration::from_secs(60)),
            false => handle.cancel(),
        }
        for outcome in run.by_ref() {
            assert!(matches!(outcome.end(), End::Cancelled { .. }));
            assert_eq!(outcome.ending(), request.then_some(&TERM));
        }
        let ends = fake.gauges.ends.load(Ordering::Relaxed);
        assert_eq!(ends, if request { 3 } else { 0 });
    }
}

/// A host that failed by itself is not asked to end anything.
#[test]
fn a_command_that_has_ended_is_not_ended() {
    let timeout = |pool: PoolBuilder| pool.command_timeout(Some(Duration::from_secs(60)));
    let lost = Script {
        run: Step::Fails(refused),
        ..Script::printing(b"partial")
    };
    let (outcome, ends) = run(timeout, lost);
    assert_eq!((outcome.ending(), ends), (None, 0));
    let (outcome, ends) = run(timeout, Script::default());
    assert_eq!((outcome.ending(), ends), (None, 0));
    assert!(outcome.is_success());
}

/// The session of a command that was really ended is kept for the next, any other is given up.
#[test]
fn the_session_of_an_ended_command_is_kept() {
    let left = Left::Channel;
    let why = Unclear::Lost;
    for (ending, connects) in [
        (TERM, 1),
        (Ending::Closed { by: EndedBy::Kill }, 1),
        (Ending::NotEnded { left }, 2),
        (Ending::Unknown { why }, 2),
    ] {
        let fake = Fake::new(Script {
            ending,
            ..stalling()
        });
        let set = builder(1).keep_open(KeepOpen::Yes);
        let pool = fake.pool_of(set.command_timeout(Some(LIMIT)));
        for _ in 0..2 {
            let outcome = pool.run("x").unwrap().next().unwrap();
            assert_eq!(outcome.ending(), Some(&ending));
        }
        assert_eq!(
            fake.gauges.connects.load(Ordering::Relaxed),
            connects,
            "{ending}"
        );
    }
}

/// With nobody to take the output, the command's last words are dropped and it is ended all the
/// same.
#[test]
fn output_that_nobody_takes_does_not_keep_a_command_alive() {
    let endless = Script {
        endless: true,
        ending: TERM,
        prints: vec![(OutputStream::Stdout, vec![b'x'; 100_000])],
        ..Script::default()
    };
    let fake = Fake::new(endless);
    let set = builder(1).command_timeout(Some(LIMIT)).event_bytes_max(1);
    let pool = fake.pool_of(set);
    let spec = crate::RunSpec::new("x").detail(crate::Detail::Output);
    let run = pool.run(spec.collect(crate::Collect::No)).unwrap();
    fake.gauges.live.wait_for(1);
    fake.gauges.live.wait_for(0);
    let outcome = run.into_iter().next().unwrap();
    assert_eq!(outcome.ending(), Some(&TERM));
}
