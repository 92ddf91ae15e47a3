//! Runs that are started, waited for and asked while they go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sshoal_session::OutputStream::{Stderr, Stdout};
use sshoal_session::{ApiMisuse, Error, Exit, Host, Phase};

use super::fake::{builder, builder_of, count};
use super::puppet::Puppets;
use crate::connector::StdinEnd;
use crate::{End, HostRun, KeepOpen, RunError, RunSpec, StopCause};

/// Long enough for a mistake to show, short enough to wait for.
const SHORT: Duration = Duration::from_millis(40);
/// Only what hangs takes it.
const LONG: Option<Duration> = Some(Duration::from_secs(30));

/// Waits for what another thread does in its own time.
#[track_caller]
fn comes_true(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30));
        sshoal_reactor::yield_now();
    }
}

/// The handle is there at once, acceptance is waited for and tells who is missing.
#[test]
fn a_start_returns_at_once_and_acceptance_can_be_waited_for() {
    let puppets = Puppets::gated(3, 1);
    let run = puppets.pool().start("up").unwrap();
    let there = run.accepted(Some(SHORT));
    assert_eq!(
        (there.accepted, there.failed, there.waiting),
        (vec![0, 2], vec![], vec![1])
    );
    assert!(!run.host(1).is_accepted() && run.host(0).is_accepted());
    puppets.host(1).accept();
    assert!(run.accepted(None).is_complete());
    assert_eq!(run.host(1).command(), b"up");
    assert!(!run.is_finished() && run.host(0).exit().is_none());
    puppets.end();
    assert!(run.wait(None).is_complete() && run.is_finished());
    assert_eq!(run.host(0).outcome().unwrap().command(), Some(&b"up"[..]));
}

#[test]
fn nothing_runs_where_the_commands_do_not_fit_the_hosts() {
    let puppets = Puppets::new(3);
    let commands = crate::Commands::each(["a", "b"]);
    let refused = puppets.pool().start(commands).map(drop);
    assert!(matches!(
        refused,
        Err(RunError::CommandCount {
            commands: 2,
            hosts: 3
        })
    ));
    assert!((0..3).all(|host| puppets.host(host).began.lock().is_none()));
}

/// With one place for twenty hosts a wait of one limit takes that limit, not one for each, and tells
/// who has ended; a later wait goes on, and all output is there. The shortest of some waits counts.
#[test]
fn a_wait_has_one_limit_for_all_hosts_and_can_be_repeated() {
    let puppets = Puppets::new(20);
    let run = puppets
        .pool_of(builder(20).size(count(1)))
        .start("x")
        .unwrap();
    puppets.print(Stdout, b"begun\n");
    puppets.host(0).end(Exit::Status(7));
    assert_eq!(run.ended().next().unwrap().index(), 0);
    let took = (0..5).map(|_| {
        let began = Instant::now();
        let waited = run.wait(Some(SHORT));
        let unfinished: Vec<usize> = (1..20).collect();
        assert_eq!((waited.finished, waited.unfinished), (vec![0], unfinished));
        began.elapsed()
    });
    assert!(took.min().unwrap() < SHORT * 10);
    assert_eq!(run.host(0).exit(), Some(Exit::Status(7)));
    (1..20).for_each(|host| puppets.host(host).end(Exit::Status(0)));
    assert!(run.wait(LONG).is_complete() && run.wait(LONG).is_complete());
    let report = run.into_report().unwrap();
    assert!(
        report
            .outcomes()
            .iter()
            .all(|o| o.stdout().text().unwrap() == "begun\n")
    );
    assert_eq!((report.counts().succeeded, report.counts().exited), (19, 1));
}

#[test]
fn hosts_come_as_they_end_and_by_index_and_by_name() {
    let names = ["h0", "h1", "h0"].map(|name| Host::new(name).unwrap());
    let puppets = Puppets::new(2);
    let run = puppets
        .pool_of(builder_of(names.into()))
        .start("x")
        .unwrap();
    assert!(run.accepted(None).is_complete());
    let of_name: Vec<usize> = run.named("h0").map(HostRun::index).collect();
    assert_eq!(of_name, [0, 2]);
    assert_eq!(run.host(1).host().name(), "h1");
    puppets.host(1).end(Exit::Status(0));
    let mut ended = run.ended();
    assert_eq!(ended.next().unwrap().index(), 1);
    puppets.host(0).end(Exit::Status(0));
    let mut rest: Vec<usize> = ended.map(|host| host.index()).collect();
    rest.sort_unstable();
    assert_eq!(rest, [0, 2]);
    assert_eq!(run.ended().count(), 3, "each iterator has all");
}

/// Three ways to end that are easily confused, each with the output until then (must show 6).
#[test]
fn a_signal_no_status_and_a_lost_connection_are_three_outcomes() {
    let puppets = Puppets::new(3);
    let run = puppets.pool().start("x").unwrap();
    puppets.print(Stdout, b"so far");
    let (name, message) = ("KILL".to_owned(), String::new());
    puppets.host(0).end(Exit::Signal { name, message });
    puppets.host(1).end(Exit::None);
    puppets.host(2).fail(|| Error::Disconnected {
        phase: Phase::Run,
        source: std::io::ErrorKind::ConnectionReset.into(),
    });
    let _ = run.wait(LONG);
    let ends: Vec<&End> = run.hosts().iter().map(|host| host.end().unwrap()).collect();
    assert!(matches!(ends[0], End::Signaled { name, .. } if name == "KILL"));
    assert!(matches!(ends[1], End::NoStatus));
    assert!(matches!(ends[2], End::Failed(Error::Disconnected { .. })));
    assert_eq!(run.host(1).exit(), Some(Exit::None));
    assert!(run.host(2).exit().is_none() && run.host(2).error().is_some());
    let report = run.into_report().unwrap();
    assert!(
        report
            .outcomes()
            .iter()
            .all(|o| o.stdout().text().unwrap() == "so far")
    );
}

/// A closed host ends alone; its session is given up, and the others go on.
#[test]
fn a_command_that_never_ends_can_be_closed() {
    let puppets = Puppets::new(3);
    let pool = puppets.pool_of(builder(3).keep_open(KeepOpen::Yes));
    let run = pool.start("x").unwrap();
    puppets.host(1).print(Stdout, b"tick\n");
    let mut lines = run.host(1).stdout().lines();
    assert_eq!(lines.next().unwrap().unwrap().bytes(), b"tick");
    puppets.host(1).print(Stdout, b"tock");
    run.host(1).close();
    assert_eq!(run.host(1).wait(LONG).unwrap().index(), 1);
    let cause = StopCause::Caller;
    assert!(
        matches!(run.host(1).end(), Some(End::Cancelled { phase: Phase::Run, cause: c }) if *c == cause)
    );
    comes_true(|| puppets.host(1).sessions() == 0);
    assert_eq!(run.host(1).outcome().unwrap().stopped_by(), None);
    puppets.host(0).end(Exit::Status(0));
    puppets.host(2).end(Exit::Status(0));
    assert!(run.wait(LONG).is_complete());
    assert_eq!(run.host(0).exit(), Some(Exit::Status(0)));
    assert_eq!(run.stopped_by(), None, "the run was not stopped");
}

/// Dropped with all hosts at work, a run is given up, and the handles keep what came.
#[test]
fn output_stays_when_run_and_pool_are_gone() {
    let puppets = Puppets::new(2);
    let pool = puppets.pool();
    let run = pool.start("x").unwrap();
    puppets.print(Stdout, b"one\ntw");
    let hosts = run.hosts().to_vec();
    let mut first = hosts[0].stdout().lines();
    assert_eq!(first.next().unwrap().unwrap().bytes(), b"one");
    drop((run, pool));
    assert!(hosts[1].wait(LONG).is_some());
    assert!(matches!(
        hosts[0].wait(LONG).unwrap().end(),
        End::Cancelled { .. }
    ));
    assert_eq!(first.next().unwrap().unwrap().bytes(), b"tw");
    assert!(first.next().is_none());
    comes_true(|| puppets.host(0).sessions() == 0);
}

/// What parallel-ssh hangs on: input that nobody closes, then a wait.
#[test]
fn a_wait_closes_input_that_nobody_closed() {
    let puppets = Puppets::cats(20);
    let run = puppets.pool().start("cat").unwrap();
    for host in run.hosts() {
        host.write_stdin(b"to and fro\n").unwrap();
    }
    run.host(3).close_stdin().unwrap();
    let misused = run.host(3).write_stdin(b"more");
    assert!(matches!(
        misused,
        Err(Error::ApiMisuse(ApiMisuse::StdinClosed))
    ));
    assert!(run.wait(LONG).is_complete());
    assert!(run.host(0).write_stdin(b"late").is_err());
    let closes = |host: usize| puppets.host(host).stdin_closes.load(Ordering::Relaxed);
    assert!((0..20).all(|host| closes(host) == 1), "each once");
    let report = run.into_report().unwrap();
    assert!(
        report
            .outcomes()
            .iter()
            .all(|o| o.stdout().text().unwrap() == "to and fro\n")
    );
}

#[test]
fn input_ends_for_hosts_that_accept_during_a_wait_and_where_none_is_wanted() {
    let puppets = Puppets::gated(2, 1);
    let run = puppets.pool().start("x").unwrap();
    assert_eq!(run.accepted(Some(SHORT)).waiting, [1]);
    assert_eq!(run.wait(Some(SHORT)).unfinished, [0, 1]);
    puppets.host(1).accept();
    comes_true(|| (0..2).all(|n| puppets.host(n).stdin_closes.load(Ordering::Relaxed) == 1));
    puppets.end();
    assert!(run.wait(LONG).is_complete());

    let puppets = Puppets::new(1);
    let run = puppets.pool().start(RunSpec::new("x").stdin("")).unwrap();
    puppets.end();
    assert!(run.wait(LONG).is_complete());
    assert_eq!(*puppets.host(0).began.lock(), Some(StdinEnd::AtOnce));
    assert_eq!(
        puppets.host(0).stdin_closes.load(Ordering::Relaxed),
        0,
        "none to close"
    );
}

#[test]
fn one_host_is_waited_for_and_signalled_alone() {
    let puppets = Puppets::new(2);
    let run = puppets.pool().start("x").unwrap();
    run.host(0).signal("TERM").unwrap();
    assert_eq!(*puppets.host(0).signals.lock(), ["TERM"]);
    assert!(run.host(0).wait(Some(SHORT)).is_none());
    puppets.host(0).end(Exit::Status(143));
    let outcome = run.host(0).wait(LONG).unwrap();
    assert!(matches!(outcome.end(), End::Exited(143)));
    assert!(run.host(0).signal("KILL").is_err(), "it has ended");
    assert!(!run.host(1).is_finished());
    assert_eq!(puppets.host(1).stdin_closes.load(Ordering::Relaxed), 0);
}

/// A consuming wait gives lines as they end, whole; what is partial at its limit is kept.
#[test]
fn a_wait_can_consume_lines_and_keeps_a_partial_one() {
    let puppets = Puppets::new(2);
    let run = puppets.pool().start("x").unwrap();
    puppets.print(Stdout, b"a\r\nb\nhal");
    puppets.print(Stderr, b"warn\n");
    let mut seen = Vec::new();
    let mut note = |host: &HostRun, stream, line: &crate::Line| {
        seen.push((host.index(), stream, line.bytes().to_vec()));
    };
    let waited = run.wait_with_lines(Some(SHORT), &mut note).unwrap();
    assert_eq!(waited.unfinished, [0, 1]);
    puppets.print(Stdout, b"f\nlast");
    puppets.end();
    assert!(run.wait_with_lines(LONG, &mut note).unwrap().is_complete());
    for host in 0..2 {
        let of_host: Vec<_> = seen.iter().filter(|s| s.0 == host).collect();
        let lines = |of| {
            let lines = of_host.iter().filter(|s| s.1 == of);
            lines
                .map(|s| String::from_utf8_lossy(&s.2).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(Stdout), ["a", "b", "half", "last"]);
        assert_eq!(lines(Stderr), ["warn"]);
    }
}

/// A consuming wait takes everything once, however much it is, and holds nothing of it.
#[test]
fn a_wait_can_consume_more_than_any_bound() {
    const PIECE: usize = 3_000_000;
    let puppets = Puppets::new(5);
    let run = puppets
        .pool()
        .start(RunSpec::new("x").unread_bytes_max(20_000))
        .unwrap();
    let bytes: Vec<u8> = (0..PIECE)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect();
    puppets.print(Stdout, &bytes);
    puppets.end();
    let mut came = vec![0; 5];
    let waited = run.wait_with(LONG, |host, _, piece| {
        let at = &mut came[host.index()];
        assert!(piece == &bytes[*at..*at + piece.len()]);
        *at += piece.len();
    });
    assert!(waited.unwrap().is_complete());
    assert_eq!(came, [PIECE; 5]);
}

/// H23: a sink that panics again and again takes a piece along each time and nothing else: the
/// caller goes on, and all of all hosts has come.
#[test]
fn a_sink_that_panics_loses_nothing_of_what_comes_after() {
    let puppets = Puppets::new(20);
    let run = puppets.pool().start("x").unwrap();
    puppets.print(Stdout, &[b'x'; 300_000]);
    puppets.end();
    let (mut came, mut pieces, mut panics) = ([0; 20], 0, 0);
    loop {
        let mut sink = |host: &HostRun, _, piece: &[u8]| {
            came[host.index()] += piece.len();
            pieces += 1;
            assert!(pieces % 3 != 0, "made-up panic");
        };
        let wait = AssertUnwindSafe(|| run.wait_with(LONG, &mut sink));
        match catch_unwind(wait) {
            Ok(waited) => break assert!(waited.unwrap().is_complete()),
            Err(_) => panics += 1,
        }
    }
    assert_eq!(came, [300_000; 20]);
    assert!(panics > 5, "{panics} panics");
}

/// A wait runs out of its time while the host does not take the end of its input, as behind a
/// writer that is under way; it takes it later, and a later wait sees the end of the command.
#[test]
fn a_wait_that_is_given_up_still_closes_the_input() {
    let puppets = Puppets::cats_that_take_no_end(1);
    let run = puppets.pool().start("cat").unwrap();
    assert!(run.accepted(LONG).is_complete());
    assert!(run.host(0).wait(Some(SHORT)).is_none());
    puppets.host(0).take_end_of_input();
    assert!(run.host(0).wait(LONG).is_some());
}
