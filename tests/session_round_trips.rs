//! What a command on a session that is open costs: two round trips, or one where its channel was opened ahead, and no
//! connection.

mod support;

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Child, Fleet, KeepOpen, OpenAhead, Session, spawn};
use support::{
    fleet::EmbeddedFleet,
    proxy::Proxy,
    sessions::{LIMIT, config_knowing, connect, host, limit, one_of_five},
    sshd::{Sshd, known_hosts_line},
};

support::fleet::embedded_fleet!();

// RFC 4250 §4.1.2.
const FAREWELL: &str = "1";
const OPEN: &str = "90";
const EOF: &str = "96";
const CLOSE: &str = "97";
const REQUEST: &str = "98";

/// Runs a command, with its channel opened ahead or not, and checks which packets the server has had from us since,
/// by their types. The session's close carries the command's.
#[track_caller]
fn check(ahead: bool, expected: &[&str]) {
    // At this level it names every packet that it gets.
    let Some(sshd) = Sshd::builder().log_level("DEBUG3").start() else {
        return;
    };
    let session = connect(&sshd);
    session.command("echo first").output().expect("runs");
    if ahead {
        session.open_ahead(&limit()).expect("opens");
    }
    let output = session.command("echo hi").output().expect("runs");
    assert_eq!(output.stdout, b"hi\n");
    session.close().expect("closes");
    sshd.wait_for_ends(1, LIMIT);
    let log = sshd.log();
    // From the first command on: what comes before opens the session.
    let packets = log.lines().filter_map(|line| {
        let (_, kind) = line.split_once("receive packet: type ")?;
        Some(kind.trim())
    });
    let packets: Vec<_> = packets.skip_while(|kind| *kind != OPEN).collect();
    let first: &[&str] = &[OPEN, REQUEST, EOF];
    let opened: &[&str] = if ahead { &[CLOSE, OPEN] } else { &[] };
    assert_eq!(packets, [first, opened, expected, &[FAREWELL]].concat());
}

/// Nothing is sent that the command does not need. The first close is that of the command before, which waited for
/// company.
#[test]
fn a_command_is_an_open_a_request_an_eof_and_a_close() {
    check(false, &[CLOSE, OPEN, REQUEST, EOF, CLOSE]);
}

#[test]
fn a_command_on_a_channel_opened_ahead_is_a_request_an_eof_and_a_close() {
    check(true, &[REQUEST, EOF, CLOSE]);
}

/// Counts how often the client speaks after the server has, through a proxy whose delay keeps what belongs together
/// together: twice for a command, the open and the request with its end of input; once where the channel was there.
#[test]
fn a_command_takes_two_round_trips_and_one_where_its_channel_is_there() {
    let Some((session, proxy, _sshd)) = far_away(20) else {
        return;
    };
    let run = || {
        let before = proxy.turns();
        let output = session.command("echo hi").output().expect("runs");
        assert_eq!(output.stdout, b"hi\n");
        proxy.turns() - before
    };
    run();
    assert_eq!([run(), run()], [2, 2]);
    session.open_ahead(&limit()).expect("opens");
    session.open_ahead(&limit()).expect("opens");
    assert_eq!([run(), run(), run()], [1, 1, 2]);
}

/// One command's open goes beside another's request: eight that are started at once take about nine round trips, where
/// one after the other they take sixteen.
#[test]
fn commands_started_side_by_side_share_round_trips() {
    let Some((session, _proxy, _sshd)) = far_away(50) else {
        return;
    };
    let session = Arc::new(session);
    let start = |session: &Session| {
        let child = session.command("cat").scope(&limit()).spawn();
        child.expect("starts")
    };
    let end = |children: Vec<Child>| {
        for child in children {
            child.close_stdin(&limit()).expect("closes");
            child.wait(&limit()).expect("ends");
        }
    };
    let round = || {
        let begun = Instant::now();
        let one_by_one: Vec<_> = (0..8).map(|_| start(&session)).collect();
        let slow = begun.elapsed();
        end(one_by_one);
        let begun = Instant::now();
        let at_once: Vec<_> = (0..8)
            .map(|_| {
                let session = session.clone();
                spawn(move || start(&session)).expect("starts")
            })
            .collect();
        let at_once = at_once.into_iter();
        let children = at_once.map(|child| child.join().expect("starts")).collect();
        let quick = begun.elapsed();
        end(children);
        (quick, slow)
    };
    one_of_five(round, |(quick, slow)| *quick * 4 < *slow * 3);
}

/// Goal: a fleet's next command finds its channel there. Method: rounds over a kept session through a slow proxy; where
/// channels are opened ahead, each round is begun once the server has opened one more than it has run commands.
#[test]
fn rounds_of_a_fleet_take_less_time_where_channels_are_opened_ahead() {
    let Some(sshd) = Sshd::builder().log_level("DEBUG1").start() else {
        return;
    };
    let proxy = Proxy::to(sshd.socket())
        .round_trip(Duration::from_millis(300))
        .start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).build();
    let config = Arc::new(config.expect("a whole configuration"));
    let opened = |log: &str| {
        log.matches("server_input_channel_open: ctype session")
            .count()
    };
    let rounds = |ahead: OpenAhead| {
        let fleet = Fleet::builder(vec![host(address)], config.clone()).open_ahead(ahead);
        let fleet = fleet.build().expect("is sound");
        let (mark, mut time) = (sshd.log_mark(), Duration::ZERO);
        for round in 0..5 {
            let (begun, extra) = (Instant::now(), usize::from(ahead == OpenAhead::Yes));
            let report = fleet.run("echo hi").expect("runs").report();
            assert!(report.is_success(), "{report:?}");
            // The first one connects.
            if round > 0 {
                time += begun.elapsed();
            }
            let done = Instant::now();
            while opened(&sshd.log()[mark..]) < round + 1 + extra {
                assert!(done.elapsed() < LIMIT, "no channel ahead: {}", sshd.log());
                std::thread::yield_now();
            }
            assert_eq!(opened(&sshd.log()[mark..]), round + 1 + extra);
        }
        time
    };
    let both = || (rounds(OpenAhead::No), rounds(OpenAhead::Yes));
    // What the server has opened is here half a round trip later.
    one_of_five(both, |(two, one)| *one * 10 < *two * 9);
}

/// A session through a proxy with so many milliseconds of round trip.
fn far_away(milliseconds: u64) -> Option<(Session, Proxy, Sshd)> {
    let sshd = Sshd::builder().log_level("INFO").start()?;
    let delay = Duration::from_millis(milliseconds);
    let proxy = Proxy::to(sshd.socket()).round_trip(delay).start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).build();
    let config = config.expect("a whole configuration");
    let session = Session::connect(&host(address), &config).expect("connects");
    Some((session, proxy, sshd))
}

/// Ten rounds over a hundred kept sessions: a thousand commands, and a hundred connections.
#[test]
fn rounds_over_kept_sessions_connect_once() {
    let servers = EmbeddedFleet::start(100);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(100).expect("not zero"))
        .keep_open(KeepOpen::Yes);
    let fleet = fleet.build().expect("the fleet is sound");
    for round in 1..=10 {
        let report = fleet.run(format!("echo {round}")).expect("runs").report();
        assert!(report.is_success(), "{report:?}");
        assert_eq!(servers.count("accepted"), 100, "round {round}");
        assert_eq!(servers.count("execs"), 100 * round, "round {round}");
    }
}
