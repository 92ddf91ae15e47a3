//! Runs that are cancelled, dropped or past their deadline.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sshoal_session::{Error, Kind, Phase};

use super::fake::*;
use crate::{End, Report, StopCause};

fn running(ms: u64) -> Script {
    Script {
        run: Step::Takes(Duration::from_millis(ms)),
        ..Script::printing(b"partial")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// P2: whenever the run is cancelled, each host has one outcome; those that had ended keep
    /// theirs, all others are cancelled.
    #[test]
    fn a_run_cancelled_at_any_moment_has_one_outcome_per_host(
        hosts in 1..200_usize,
        size in 1..40_usize,
        after in 0..200_usize,
        connect_ms in 0..4_u64,
        end_in_flight in any::<bool>(),
    ) {
        let script = Script {
            connect: Step::Takes(Duration::from_millis(connect_ms)),
            ..running(1)
        };
        let fake = Fake::new(script);
        let mut run = fake.pool_of(builder(hosts).size(count(size))).run("x").unwrap();
        let mut outcomes: Vec<_> = run.by_ref().take(after).collect();
        let handle = run.handle();
        match end_in_flight {
            true => handle.cancel(),
            false => handle.stop_starting(),
        }
        outcomes.extend(run.by_ref());
        let indexes: BTreeSet<usize> = outcomes.iter().map(|o| o.index()).collect();
        prop_assert_eq!((indexes.len(), outcomes.len()), (hosts, hosts));
        for outcome in &outcomes {
            match outcome.end() {
                End::Exited(0) => prop_assert_eq!(outcome.stdout().len(), 7),
                End::Cancelled { phase, cause: StopCause::Caller } => {
                    prop_assert_eq!(*phase == Phase::Local, outcome.attempts() == 0);
                    prop_assert!(end_in_flight || *phase == Phase::Local);
                }
                end => prop_assert!(false, "{:?}", end),
            }
        }
        prop_assert_eq!(handle.progress().ended, hosts);
        fake.gauges.live.wait_for(0);
    }
}

/// Dropped with all hosts stalled, a run gives up everything, and the drop waits for nothing.
#[test]
fn a_dropped_run_is_cancelled_without_a_wait() {
    let fake = Fake::new(Script {
        run: Step::Stalls,
        ..Script::default()
    });
    let pool = fake.pool_of(builder(1000).size(count(100)));
    let run = pool.run("x").unwrap();
    fake.gauges.live.wait_for(100);
    let began = Instant::now();
    drop(run);
    assert!(began.elapsed() < Duration::from_secs(30));
    fake.gauges.live.wait_for(0);
}

/// The deadline ends hosts in flight in their phase, with their output, and the rest as not run. A longer one is for a
/// machine that had no time to come that far.
#[test]
fn the_deadline_ends_every_host_that_has_not_ended() {
    let [short, long] = [200, 20_000].map(Duration::from_millis);
    let (fake, report) = stalled_until(short);
    let is_far = report[0].is_success() && report[2].end().phase() == Some(Phase::Run);
    match is_far {
        true => check_stalled(short, &fake, &report),
        false => {
            let (fake, report) = stalled_until(long);
            check_stalled(long, &fake, &report);
        }
    }
}

/// Ten hosts at four places, of which one ends by itself.
fn stalled_until(limit: Duration) -> (Fake, Report) {
    let connecting = Script {
        connect: Step::Stalls,
        ..Script::default()
    };
    let fake = Fake::new(Script {
        run: Step::Stalls,
        ..Script::printing(b"partial")
    })
    .with(0, Script::default())
    .with(1, connecting);
    let pool = fake.pool_of(builder(10).size(count(4)).deadline(Some(limit)));
    let report = pool.run("x").unwrap().report();
    (fake, report)
}

#[track_caller]
fn check_stalled(limit: Duration, fake: &Fake, report: &Report) {
    assert!(report[0].is_success());
    let timed_out = |index: usize, expected: Phase| match report[index].end() {
        End::Failed(Error::TimedOut { phase, limit: l }) => {
            assert_eq!((*phase, *l), (expected, limit));
            assert_eq!(report[index].stopped_by(), Some(StopCause::Deadline));
        }
        end => panic!("{end:?}"),
    };
    timed_out(1, Phase::Connect);
    timed_out(2, Phase::Run);
    assert_eq!(report[2].stdout().text().unwrap(), "partial");
    let not_run = |o: &crate::Outcome| {
        let word = (o.end().kind(), o.attempts(), o.started());
        assert_eq!(word, (Some(Kind::NotRun), 0, None));
        matches!(
            o.end(),
            End::Cancelled {
                phase: Phase::Local,
                cause: StopCause::Deadline
            }
        )
    };
    assert!(report.outcomes()[5..].iter().all(not_run));
    assert_eq!(report.stopped_by(), Some(StopCause::Deadline));
    fake.gauges.live.wait_for(0);
}

/// A run's deadline ends its hosts even where another run holds all places.
#[test]
fn the_deadline_needs_no_place_in_the_pool() {
    let fake = Fake::new(Script {
        run: Step::Stalls,
        ..Script::default()
    });
    let limit = Duration::from_millis(100);
    let pool = fake.pool_of(builder(5).size(count(2)).deadline(Some(limit)));
    let runs = [
        pool.run("x").unwrap(),
        pool.run("x").unwrap(),
        pool.run("x").unwrap(),
    ];
    for run in runs {
        let report = run.report();
        assert_eq!(report.counts().cancelled + report.counts().failed, 5);
    }
}
