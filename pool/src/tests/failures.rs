//! Runs that stop when hosts fail, and reports that are errors.

use std::error::Error as _;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use sshoal_reactor::sync::Event;
use sshoal_session::{Error, Exit, Kind, Phase};

use super::fake::*;
use crate::{End, Failing, InFlight, Report, RunSpec, StopAfter, StopCause};

fn exits(status: u32) -> Script {
    Script {
        exit: Exit::Status(status),
        ..Script::printing(b"said")
    }
}

fn refuses() -> Script {
    Script {
        connect: Step::Fails(refused),
        ..Script::default()
    }
}

/// One host after the other.
fn in_turn(fake: &Fake, hosts: usize, stop_after: Option<StopAfter>) -> Report {
    let pool = fake.pool_of(builder(hosts).size(count(1)));
    let spec = RunSpec::new("x");
    let spec = match stop_after {
        Some(stop_after) => spec.stop_after(stop_after),
        None => spec,
    };
    pool.run(spec).unwrap().report()
}

fn words(report: &Report) -> Vec<&'static str> {
    let word = |outcome: &crate::Outcome| match outcome.end() {
        End::Exited(0) => "ok",
        End::Cancelled {
            phase: Phase::Local,
            cause: StopCause::Failures,
        } => "not run",
        end => end.as_str(),
    };
    report.outcomes().iter().map(word).collect()
}

#[test]
fn hosts_after_the_first_failure_are_not_begun() {
    let fake = Fake::new(Script::default()).with(2, exits(1));
    let report = in_turn(&fake, 5, Some(StopAfter::first()));
    assert_eq!(words(&report), ["ok", "ok", "exited", "not run", "not run"]);
    assert_eq!(report.stopped_by(), Some(StopCause::Failures));
    let kinds = report.outcomes()[3..].iter().map(|o| o.end().kind());
    assert!(kinds.eq([Some(Kind::NotRun); 2]));
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 3);
    let last = report.in_completion_order().map(crate::Outcome::index);
    assert!(last.eq(0..5));
}

/// Hosts are worked on in turn, and the second's program says that it failed: with a limit of two the
/// refused third host is the second failure. What the programs return is not looked at.
#[test]
fn programs_say_themselves_which_hosts_count_as_failed() {
    for (limit, expected) in [(1, 2), (2, 3), (3, 5)] {
        let fake = Fake::new(Script::default()).with(2, refuses());
        let pool = fake.pool_of(builder(5).size(count(1)));
        let each = pool.each_until(StopAfter::failures(count(limit)), |host| {
            if host.index() == 1 {
                host.count_as_failed();
            }
        });
        let visited = each.in_order();
        let begun = visited.iter().filter(|host| host.outcome().attempts() > 0);
        assert_eq!(begun.count(), expected, "{limit}");
        assert!(visited[1].value().is_some(), "its outcome stays");
        let stopped = visited[4].outcome().stopped_by();
        assert_eq!(stopped.is_some(), limit < 3);
        assert!(stopped.is_none_or(|cause| cause == StopCause::Failures));
    }
}

#[test]
fn a_run_stops_at_as_many_failures_as_were_set_and_else_never() {
    let fake = Fake::new(Script::default());
    let fake = [1, 3, 5].into_iter().fold(fake, |fake, host| match host {
        3 => fake.with(host, refuses()),
        _ => fake.with(host, exits(255)),
    });
    let ended = |stop_after| {
        let report = in_turn(&fake, 8, stop_after);
        let not_run = words(&report)
            .iter()
            .filter(|word| **word == "not run")
            .count();
        assert_eq!(report.stopped_by().is_some(), not_run > 0);
        8 - not_run
    };
    let failures = |n| Some(StopAfter::failures(NonZeroUsize::new(n).unwrap()));
    let percent = |n| Some(StopAfter::percent(NonZeroU8::new(n).unwrap()));
    assert_eq!([1, 2, 3, 4].map(failures).map(ended), [2, 4, 6, 8]);
    assert_eq!(
        [12, 13, 25, 26, 101].map(percent).map(ended),
        [2, 4, 4, 6, 8]
    );
    assert_eq!(ended(None), 8);
}

/// Exit statuses, 255 among them, and commands that are lost do not count where only hosts do
/// that could not be started on.
#[test]
fn only_hosts_that_were_not_reached_count_where_that_is_asked_for() {
    let lost = || Error::Disconnected {
        phase: Phase::Run,
        source: std::io::ErrorKind::UnexpectedEof.into(),
    };
    let loses = Script {
        run: Step::Fails(lost),
        ..Script::default()
    };
    let fake = Fake::new(Script::default());
    let fake = fake.with(0, exits(255)).with(1, loses).with(2, refuses());
    let unreached = StopAfter::first().counting(Failing::NotStarted);
    let report = in_turn(&fake, 4, Some(unreached));
    assert_eq!(words(&report), ["exited", "failed", "failed", "not run"]);
    assert!(!report[0].end().is_not_started() && !report[1].end().is_not_started());
    assert!(report[2].end().is_not_started());
}

/// Host 0 fails when all others are under way.
#[test]
fn hosts_in_flight_are_left_to_end_or_ended_by_choice() {
    for in_flight in [InFlight::Finish, InFlight::End] {
        let (fail, rest) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let waits = |event: &Arc<Event>, status| Script {
            run: Step::Waits(Arc::clone(event)),
            ..exits(status)
        };
        let fake = Fake::new(waits(&rest, 0)).with(0, waits(&fail, 1));
        let pool = fake.pool_of(builder(6).size(count(4)));
        let stop_after = StopAfter::first().in_flight(in_flight);
        let mut run = pool.run(RunSpec::new("x").stop_after(stop_after)).unwrap();
        let handle = run.handle();
        fake.gauges.live.wait_for(4);
        fail.set();
        let mut outcomes: Vec<_> = run.by_ref().take(3).collect();
        assert_eq!(outcomes[0].index(), 0);
        if in_flight == InFlight::Finish {
            // Those that were not begun; the others are held.
            assert_eq!([outcomes[1].index(), outcomes[2].index()], [4, 5]);
            assert_eq!(handle.progress().ended, 3);
            rest.set();
        }
        outcomes.extend(run);
        let report = Report::new(outcomes, None);
        let expected = match in_flight {
            InFlight::Finish => ["exited", "ok", "ok", "ok", "not run", "not run"],
            InFlight::End => [
                "exited",
                "cancelled",
                "cancelled",
                "cancelled",
                "not run",
                "not run",
            ],
        };
        assert_eq!(words(&report), expected);
        fake.gauges.live.wait_for(0);
    }
}

/// A run that fails only when nothing is left to stop was not stopped.
#[test]
fn a_failure_at_the_end_stops_nothing() {
    let fake = Fake::new(Script::default()).with(3, exits(1));
    for in_flight in [InFlight::Finish, InFlight::End] {
        let report = in_turn(&fake, 4, Some(StopAfter::first().in_flight(in_flight)));
        assert_eq!(words(&report), ["ok", "ok", "ok", "exited"]);
        assert_eq!(report.stopped_by(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// P2: however many hosts fail at once, each has one outcome, and none that was not begun was
    /// connected to. One after the other, no more fail than were asked for.
    #[test]
    fn a_run_that_stops_by_itself_has_one_outcome_per_host(
        fails in prop::collection::vec(any::<bool>(), 1..150),
        size in 1..30_usize,
        limit in 1..20_usize,
        end in any::<bool>(),
    ) {
        let failing = fails.iter().enumerate().filter(|(_, fails)| **fails);
        let fake = failing.fold(Fake::new(Script::default()), |fake, (host, _)| {
            fake.with(host, if host % 2 == 0 { exits(3) } else { refuses() })
        });
        let in_flight = if end { InFlight::End } else { InFlight::Finish };
        let stop_after = StopAfter::failures(count(limit)).in_flight(in_flight);
        let pool = fake.pool_of(builder(fails.len()).size(count(size)));
        let report = pool.run(RunSpec::new("x").stop_after(stop_after)).unwrap().report();
        prop_assert_eq!(report.outcomes().len(), fails.len());
        let counts = report.counts();
        let failed = counts.exited + counts.failed;
        prop_assert!(size > 1 || failed <= limit, "{:?}", counts);
        match report.stopped_by() {
            Some(cause) => prop_assert_eq!((cause, failed >= limit), (StopCause::Failures, true)),
            None => prop_assert_eq!(counts.cancelled, 0),
        }
        let begun = report.outcomes().iter().filter(|o| o.attempts() > 0).count();
        prop_assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), begun);
        fake.gauges.live.wait_for(0);
    }
}

#[test]
fn a_report_is_an_error_for_those_who_want_one() {
    let fake = Fake::new(Script::printing(b"said"))
        .with(1, exits(7))
        .with(3, refuses());
    let report = in_turn(&fake, 4, None);
    let failed: Vec<usize> = report.failures().map(crate::Outcome::index).collect();
    assert_eq!(failed, [1, 3]);
    let (outcome, error) = report.first_error().unwrap();
    assert_eq!((outcome.index(), error.kind()), (3, Kind::Refused));
    assert!(report.get(3).is_some() && report.get(4).is_none());

    let failed = report.require_success().unwrap_err();
    assert_eq!(failed.to_string(), "2 of 4 hosts failed; h1: exit 7");
    assert!(failed.source().is_none());
    assert_eq!(failed.first().index(), 1);
    assert_eq!(failed.outcomes().len(), 2);
    assert_eq!(failed.report()[0].stdout().text().unwrap(), "said");

    let failed = failed.into_report().require_started().unwrap_err();
    assert_eq!(
        failed.to_string(),
        "1 of 4 hosts failed; h3: connect failed"
    );
    assert!(
        failed
            .source()
            .unwrap()
            .to_string()
            .starts_with("connect to ")
    );
    assert_eq!(failed.first().index(), 3);

    let report = in_turn(&Fake::new(exits(255)), 2, None);
    assert!(report.require_started().is_ok());
    let report = in_turn(&Fake::default(), 2, None);
    assert!(report.require_success().is_ok());
}
