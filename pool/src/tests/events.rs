//! Typed events: which come of a host, in which order, and how many wait.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config as Proptest;

use super::fake::*;
use crate::{Collect, Detail, End, Event, KeepOpen, RunSpec};
use sshoal_session::{AuthError, Error, Exit, Kind, OutputStream, Phase};

fn denied() -> Error {
    let error = AuthError::Denied {
        methods: "publickey".into(),
    };
    error.into()
}

fn lost() -> Error {
    Error::Disconnected {
        phase: Phase::Run,
        source: std::io::ErrorKind::UnexpectedEof.into(),
    }
}

/// The word of an event that is told, output left out.
fn word(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Started { .. } => "started",
        Event::Retry { .. } => "retry",
        Event::Connected { .. } => "connected",
        Event::Authenticated { .. } => "authenticated",
        Event::Accepted { .. } => "accepted",
        Event::Output { .. } => return None,
        Event::Exit { .. } => "exit",
        Event::Failed { .. } => "failed",
        Event::Finished(_) => "finished",
    })
}

/// The words of a lone host's events.
#[track_caller]
fn words(script: Script, retries: u32) -> Vec<&'static str> {
    let fake = Fake::new(script);
    let pool = fake.pool_of(builder(1).retries(retries));
    let spec = RunSpec::new("x").detail(Detail::Progress);
    let mut words = Vec::new();
    let report = pool.run(spec).unwrap().for_each_event(|event| {
        words.extend(word(event));
    });
    assert_eq!(report.outcomes().len(), 1);
    words
}

#[test]
fn events_tell_how_far_a_host_came() {
    let script = Script::default;
    let fails = |error| Step::Fails(error);
    let begun = ["started", "connected", "authenticated", "accepted"];
    let all: Vec<_> = begun.into_iter().chain(["exit", "finished"]).collect();
    assert_eq!(words(script(), 0), all);
    let connect = fails(refused);
    let failed = Script {
        connect,
        ..script()
    };
    assert_eq!(words(failed, 0), ["started", "failed", "finished"]);
    let auth = fails(denied);
    let failed = Script { auth, ..script() };
    let until = ["started", "connected", "failed", "finished"];
    assert_eq!(words(failed, 3), until);
    let run = fails(lost);
    let failed = Script { run, ..script() };
    let until: Vec<_> = begun.into_iter().chain(["failed", "finished"]).collect();
    assert_eq!(words(failed, 3), until);
    let connect = Step::FailsFirst(2, refused);
    let twice = Script {
        connect,
        ..script()
    };
    let mut again = all;
    again.splice(1..1, ["retry", "retry"]);
    assert_eq!(words(twice, 2), again);
}

#[test]
fn events_say_what_happened() {
    let flaky = Script {
        connect: Step::FailsFirst(1, refused),
        exit: Exit::Signal {
            name: "KILL".into(),
            message: String::new(),
        },
        ..Script::default()
    };
    let barred = Script {
        auth: Step::Fails(denied),
        ..Script::default()
    };
    let fake = Fake::new(flaky).with(1, barred);
    let pool = fake.pool_of(builder(2).retries(1));
    let spec = RunSpec::new("x").detail(Detail::Progress);
    let (mut retries, mut exits, mut failures) = (0, 0, 0);
    let report = pool.run(spec).unwrap().for_each_event(|event| match event {
        Event::Retry {
            index,
            attempt,
            pause,
            failure,
            ..
        } => {
            retries += 1;
            assert_eq!((*index, *attempt), (0, 1));
            assert!(*pause <= Duration::from_millis(500), "{pause:?}");
            let (phase, kind) = (failure.phase, failure.kind);
            assert_eq!((phase, kind), (Phase::Connect, Kind::Refused));
            assert_eq!(
                failure.to_string(),
                "connect: connect to 127.0.0.1:22: connection refused"
            );
        }
        Event::Exit { index, exit, .. } => {
            exits += 1;
            assert!(matches!(exit, Exit::Signal { name, .. } if name == "KILL") && *index == 0);
        }
        Event::Failed { index, failure, .. } => {
            failures += 1;
            assert_eq!((*index, failure.phase), (1, Phase::Auth));
        }
        _ => {}
    });
    assert_eq!((retries, exits, failures), (1, 1, 1));
    assert_eq!(report.outcomes().len(), 2);
}

#[test]
fn a_kept_session_is_not_connected_again() {
    let pool = Fake::new(Script::default()).pool_of(builder(1).keep_open(KeepOpen::Yes));
    for expected in [6, 4] {
        let spec = RunSpec::new("x").detail(Detail::Progress);
        let told: Vec<_> = pool.run(spec).unwrap().events().collect();
        assert_eq!(told.len(), expected, "{told:?}");
    }
}

#[test]
fn a_level_has_those_below_it() {
    assert!(Detail::Outcomes < Detail::Progress && Detail::Progress < Detail::Output);
    let pool = Fake::new(Script::printing(b"x")).pool(3);
    for (detail, each) in [
        (Detail::Outcomes, 1),
        (Detail::Progress, 6),
        (Detail::Output, 7),
    ] {
        let run = pool.run(RunSpec::new("x").detail(detail)).unwrap();
        assert_eq!(run.events().count(), 3 * each, "{detail:?}");
    }
}

/// Nobody takes an event of hosts that fail to connect again and again: none of them waits for that, and no more
/// than a bounded number of retries is kept. All of them are counted by the outcomes.
#[test]
fn untaken_events_hold_no_host_up_and_stay_within_their_bound() {
    const HOSTS: usize = 700;
    const RETRIES: u32 = 2;
    let flaky = Script {
        connect: Step::FailsFirst(RETRIES as usize, refused),
        ..Script::default()
    };
    let fake = Fake::new(flaky);
    let pool = fake.pool_of(builder(HOSTS).retries(RETRIES));
    let spec = RunSpec::new("x").detail(Detail::Progress);
    let events = pool.run(spec).unwrap().events();
    let handle = events.handle();
    while handle.progress().ended < HOSTS {
        sshoal_reactor::sleep(Duration::from_millis(1));
    }
    let (mut retries, mut others) = (0, 0);
    for event in events {
        match event {
            Event::Retry { .. } => retries += 1,
            Event::Finished(outcome) => {
                assert_eq!(outcome.attempts(), RETRIES + 1);
                others += 1;
            }
            _ => others += 1,
        }
    }
    assert_eq!((retries, others), (1024, 6 * HOSTS));
}

/// What one host is seen to do, in order.
#[derive(Default, Debug)]
struct Seen {
    /// The last event's rank in the order of a host's life.
    rank: usize,
    at: Duration,
    retries: u32,
    bytes: Vec<u8>,
    exit: Option<Exit>,
    failed: Option<(Phase, Kind)>,
    finished: bool,
}

impl Seen {
    #[track_caller]
    fn take(&mut self, event: Event) {
        assert!(!self.finished, "after the end: {event:?}");
        let (rank, at) = match &event {
            Event::Started { at, .. } => (1, at),
            Event::Retry { at, .. } => (2, at),
            Event::Connected { at, .. } => (3, at),
            Event::Authenticated { at, .. } => (4, at),
            Event::Accepted { at, .. } => (5, at),
            Event::Output { at, .. } => (6, at),
            Event::Exit { at, .. } | Event::Failed { at, .. } => (7, at),
            Event::Finished(_) => (8, &self.at),
        };
        let repeats = matches!(event, Event::Retry { .. } | Event::Output { .. });
        assert!(
            rank > self.rank || repeats && rank == self.rank,
            "{event:?} after {self:?}"
        );
        assert!(*at >= self.at, "{event:?} after {self:?}");
        (self.rank, self.at) = (rank, *at);
        match event {
            Event::Retry { attempt, .. } => {
                self.retries += 1;
                assert_eq!(attempt, self.retries);
            }
            Event::Output { bytes, .. } => self.bytes.extend(bytes),
            Event::Exit { exit, .. } => self.exit = Some(exit),
            Event::Failed { failure, .. } => self.failed = Some((failure.phase, failure.kind)),
            Event::Finished(outcome) => self.finish(&outcome),
            _ => {}
        }
    }

    #[track_caller]
    fn finish(&mut self, outcome: &crate::Outcome) {
        self.finished = true;
        let stdout = outcome.stdout().bytes().unwrap();
        assert_eq!(stdout, self.bytes, "{outcome:?}");
        let (exit, failed) = (self.exit.take(), self.failed.take());
        match outcome.end() {
            End::Exited(status) => assert_eq!(exit, Some(Exit::Status(*status))),
            End::NoStatus => assert_eq!(exit, Some(Exit::None)),
            End::Signaled { .. } => assert!(matches!(exit, Some(Exit::Signal { .. }))),
            End::Failed(error) => assert_eq!(failed, Some((error.phase(), error.kind()))),
            End::Cancelled { .. } => assert!(exit.is_none() && failed.is_none()),
        }
        if outcome.stopped_by().is_none() {
            assert_eq!(outcome.attempts(), self.retries + 1);
        }
    }
}

fn script() -> impl Strategy<Value = Script> {
    // A retry takes half a second: few hosts have one.
    let connect = prop_oneof![
        40 => Just(Step::Done),
        1 => Just(Step::Fails(refused)),
        1 => Just(Step::FailsFirst(1, refused)),
        1 => Just(Step::FailsFirst(2, refused)),
        2 => Just(Step::Panics),
    ];
    let fault = |error: fn() -> Error| {
        prop_oneof![
            10 => Just(Step::Done),
            1 => Just(Step::Fails(error)),
            1 => Just(Step::Panics),
            1 => Just(Step::Takes(Duration::from_millis(2))),
        ]
    };
    let exit = prop_oneof![
        4 => (0..3_u32).prop_map(Exit::Status),
        1 => Just(Exit::None),
        1 => Just(Exit::Signal { name: "TERM".into(), message: String::new() }),
    ];
    let prints = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 0..4);
    let steps = (connect, fault(denied), fault(lost), fault(lost));
    (steps, prints, exit).prop_map(|((connect, auth, start, run), prints, exit)| Script {
        connect,
        auth,
        start,
        run,
        exit,
        prints: prints
            .into_iter()
            .map(|bytes| (OutputStream::Stdout, bytes))
            .collect(),
        endless: false,
        ..Script::default()
    })
}

proptest! {
    #![proptest_config(Proptest::with_cases(32))]

    /// Hosts that fail, panic and are tried again at random, in a pool that is smaller than they are many, some runs
    /// cancelled in the middle: each host's events come in order, once each, and agree with its outcome.
    #[test]
    fn a_hosts_events_are_in_order_and_complete_whatever_happens(
        scripts in prop::collection::vec(script(), 1..20),
        size in 1..8_usize,
        cancelled_after in prop::option::weighted(0.3, 0..60_usize),
    ) {
        let hosts = scripts.len();
        let mut fake = Fake::default();
        for (index, script) in scripts.into_iter().enumerate() {
            fake = fake.with(index, script);
        }
        let pool = fake.pool_of(builder(hosts).size(count(size)).retries(2));
        let spec = RunSpec::new("x").detail(Detail::Output).collect(Collect::Yes);
        let mut seen: Vec<Seen> = (0..hosts).map(|_| Seen::default()).collect();
        let events = pool.run(spec).unwrap().events();
        let handle = events.handle();
        for (number, event) in events.enumerate() {
            if cancelled_after == Some(number) {
                handle.cancel();
            }
            seen[event.index()].take(event);
        }
        prop_assert!(seen.iter().all(|host| host.finished));
    }
}

/// A callback that panics takes its run along, and nothing else.
#[test]
fn a_callback_that_panics_cancels_its_run() {
    let stalls = Script {
        run: Step::Stalls,
        ..Script::default()
    };
    let fake = Fake::new(stalls);
    let pool = Arc::new(fake.pool(5));
    let shared = Arc::clone(&pool);
    let panics = sshoal_reactor::spawn(move || {
        let spec = RunSpec::new("x").detail(Detail::Progress);
        let run = shared.run(spec).unwrap();
        drop(run.for_each_event(|event| assert!(word(event) != Some("accepted"), "made up")));
    });
    assert!(
        panics
            .unwrap()
            .join()
            .unwrap_err()
            .message()
            .contains("made up")
    );
    fake.gauges.live.wait_for(0);
}
