//! Commands of a fleet that do not end well: ended by a limit, killed, without a status, cut off with their connection.

mod support;

use std::time::{Duration, Instant};

use sshoal::{
    Detail, End, EndedBy, Ending, Error, Event, Fleet, Kind, Left, OnTimeout, Outcome, RunSpec,
};
use support::{
    fleet::EmbeddedFleet,
    sessions::one_of_five,
    sleepers::{clean_up, mark, sleeping},
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

/// How long the commands here may take.
const LIMIT: Duration = Duration::from_secs(2);
const TERM: Ending = Ending::Ended { by: EndedBy::Term };

fn is_timeout(outcome: &Outcome) -> bool {
    matches!(outcome.end(), End::Failed(Error::TimedOut { limit, .. }) if *limit == LIMIT)
}

#[track_caller]
fn quiet(lines: &[&str], addresses: u32) -> Option<Sshd> {
    let mut sshd = Sshd::builder().log_level("INFO").addresses(addresses);
    for line in lines {
        sshd = sshd.config(line);
    }
    sshd.start()
}

#[track_caller]
fn builder(sshd: &Sshd) -> sshoal::FleetBuilder {
    let config = sshd.config().build().expect("a whole configuration");
    Fleet::builder(sshd.targets(), std::sync::Arc::new(config))
}

/// A timed-out `sleep 1000` with children, on several hosts: it is gone afterwards, the outcome says so and has the
/// output until then, and the sessions are used on.
#[test]
fn a_timed_out_command_is_gone_and_its_session_is_used_on() {
    let Some(sshd) = quiet(&[], 4) else { return };
    let fleet = builder(&sshd).command_timeout(Some(LIMIT));
    let fleet = fleet.build().expect("a fleet");
    let mark = mark();
    let command = format!("sleep {mark} & sh -c 'sleep {mark}' & echo until then; sleep {mark}");
    let report = fleet.run(command.as_str()).expect("runs").report();
    for outcome in report.outcomes() {
        assert!(is_timeout(outcome), "{:?}", outcome.end());
        assert_eq!(outcome.ending(), Some(&TERM));
        assert_eq!(outcome.stdout().text().expect("reads"), "until then\n");
    }
    assert_eq!(sleeping(&mark), 0);
    let connections = || sshd.log().matches("Accepted publickey").count();
    let before = connections();
    let again = fleet.run("echo again").expect("runs").report();
    assert!(again.outcomes().iter().all(Outcome::is_success));
    assert_eq!((before, connections()), (4, 4));
}

/// One that may be left, and one that cannot be ended for want of a second channel.
#[test]
fn a_command_that_is_not_ended_is_told() {
    let Some(sshd) = quiet(&["MaxSessions 1"], 1) else {
        return;
    };
    let mark = mark();
    let command = format!("echo until then; sleep {mark}; :");
    for on_timeout in [OnTimeout::End, OnTimeout::Leave] {
        let fleet = builder(&sshd).command_timeout(Some(LIMIT));
        let fleet = fleet
            .end_grace(Duration::from_millis(200))
            .on_timeout(on_timeout);
        let fleet = fleet.build().expect("a fleet");
        let report = fleet.run(command.as_str()).expect("runs").report();
        let left = Left::Channel;
        let expected = match on_timeout {
            OnTimeout::Leave => None,
            // sshd passes signals on for others than root.
            _ if rustix::process::geteuid().is_root() => Some(Ending::NotEnded { left }),
            _ => Some(Ending::Closed { by: EndedBy::Term }),
        };
        assert!(is_timeout(&report[0]));
        assert_eq!(report[0].ending(), expected.as_ref());
        assert_eq!(report[0].stdout().text().expect("reads"), "until then\n");
        drop(fleet);
        clean_up(&mark);
    }
}

/// A command that prints in time is not silent, however long it takes; one that stops is ended.
#[test]
fn a_silent_command_is_ended() {
    let Some(sshd) = quiet(&[], 1) else { return };
    let limit = Duration::from_secs(1);
    let fleet = builder(&sshd).silence_timeout(Some(limit));
    let fleet = fleet.build().expect("a fleet");
    let talks = "for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.2; done";
    // On a machine that stands still it looks silent; one that counted from the begin would end it each time.
    let round = || {
        let report = fleet.run(talks).expect("runs").report();
        (report[0].is_success(), format!("{:?}", report[0].end()))
    };
    one_of_five(round, |(is_success, _)| *is_success);
    let mark = mark();
    let stops = format!("echo once; sleep {mark}");
    let report = fleet.run(stops.as_str()).expect("runs").report();
    assert!(
        matches!(report[0].end(), End::Failed(Error::Silent { limit: told }) if *told == limit)
    );
    assert_eq!(report[0].ending(), Some(&TERM));
    assert_eq!(sleeping(&mark), 0);
}

#[test]
fn commands_of_a_cancelled_run_are_ended_on_request() {
    let Some(sshd) = quiet(&[], 3) else { return };
    let fleet = builder(&sshd).build().expect("a fleet");
    let mark = mark();
    let command = format!("trap '' TERM; echo ready; sleep {mark} & wait; sleep {mark}");
    let spec = RunSpec::new(command).detail(Detail::Output);
    let mut events = fleet.run(spec).expect("runs").events();
    let ready = events
        .by_ref()
        .filter(|event| matches!(event, Event::Output { .. }));
    assert_eq!(ready.take(3).count(), 3);
    let began = Instant::now();
    events.handle().cancel_and_end(Duration::from_secs(10));
    let finished = events.filter_map(|event| match event {
        Event::Finished(outcome) => Some(outcome),
        _ => None,
    });
    for outcome in finished {
        assert!(matches!(outcome.end(), End::Cancelled { .. }));
        assert_eq!(outcome.ending(), Some(&Ending::Ended { by: EndedBy::Kill }));
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(sleeping(&mark), 0);
}

/// A killed command, a channel that closes without a status and a connection that is lost in the middle: three ends,
/// each with the output until then, and none of them is a command that we ended.
#[test]
fn killed_without_status_and_cut_off_are_three_ends() {
    let faults = ["--fault", "no-status=1", "--fault", "reset=2"];
    let servers = EmbeddedFleet::with_args(3, &faults);
    let fleet = Fleet::builder(servers.targets(), servers.config());
    let fleet = fleet.build().expect("a fleet");
    let report = fleet.run("nostatus").expect("runs").report();
    assert!(matches!(report[1].end(), End::NoStatus));
    let End::Failed(error) = report[2].end() else {
        panic!("{:?}", report[2].end())
    };
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    assert!(matches!(error.kind(), Kind::Reset | Kind::Closed));
    let text = report[2].stdout().text().expect("reads");
    assert!(text.starts_with("y\ny\n"), "{} bytes", text.len());
    assert!(
        report
            .outcomes()
            .iter()
            .all(|outcome| outcome.ending().is_none())
    );

    let Some(sshd) = quiet(&[], 1) else { return };
    let fleet = builder(&sshd).build().expect("a fleet");
    let killed = "echo until then; echo and here >&2; kill -KILL $$";
    let report = fleet.run(killed).expect("runs").report();
    assert!(matches!(report[0].end(), End::Signaled { name, .. } if name == "KILL"));
    assert_eq!(report[0].stdout().text().expect("reads"), "until then\n");
    assert_eq!(report[0].stderr().text().expect("reads"), "and here\n");
    // Its connection goes with the process of sshd that has it.
    let lost = "echo until then; kill -KILL $PPID; exec sleep 5";
    let report = fleet.run(lost).expect("runs").report();
    let End::Failed(error) = report[0].end() else {
        panic!("{:?}", report[0].end())
    };
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    assert_eq!(report[0].ending(), None);
}
