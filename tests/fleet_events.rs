//! What a run tells while it goes on, on real hosts and on many: events, the log of hosts, and the numbers at the end.

mod support;

use std::{collections::BTreeMap, net::IpAddr, net::Ipv4Addr, sync::Arc, time::Duration};

use sshoal::{Collect, Detail, Event, Exit, Fleet, HostLogger, Kind, Phase, RunSpec};
use support::{client, faults::Refused, fleet::EmbeddedFleet, sshd::Sshd};

support::fleet::embedded_fleet!();

/// The word of an event, with what is to be told of it.
fn word(event: &Event) -> String {
    match event {
        Event::Started { .. } => "started".into(),
        Event::Retry { attempt, .. } => format!("retry {attempt}"),
        Event::Connected { .. } => "connected".into(),
        Event::Authenticated { .. } => "authenticated".into(),
        Event::Accepted { .. } => "accepted".into(),
        Event::Output { stream, .. } => format!("{stream:?}"),
        Event::Exit { exit, .. } => exit.to_string(),
        Event::Failed { failure, .. } => format!("{} {}", failure.phase, failure.kind),
        Event::Finished(_) => "finished".into(),
        other => panic!("another event: {other:?}"),
    }
}

/// Real servers: one that is well, one whose user is refused, one that is not there. Each tells how far it came, in
/// order, with times that do not go back.
#[test]
fn real_hosts_tell_how_far_they_come() {
    // At the tests' own level of logging, sshd prints to the command's standard error.
    let Some(well) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let other = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 31, 1));
    let Some(strict) = other.config("PubkeyAuthentication no").start() else {
        return;
    };
    let gone = Refused::on(IpAddr::from(Ipv4Addr::new(127, 3, 31, 1)));
    let known = well.known_hosts() + &strict.known_hosts();
    let config = client::config(&known, &well.key_path()).user(well.user());
    let sockets = [well.socket(), strict.socket(), gone.address()];
    let hosts: Vec<_> = sockets.into_iter().map(client::host).collect();
    let fleet = Fleet::builder(hosts, Arc::new(config.build().unwrap()));
    let fleet = fleet.retries(1).build().unwrap();
    let spec = RunSpec::new("echo out; kill -KILL $$").detail(Detail::Output);
    let mut told: [Vec<String>; 3] = Default::default();
    let report = fleet.run(spec).unwrap().for_each_event(|event| {
        told[event.index()].push(word(event));
    });
    assert_eq!(report.outcomes().len(), 3);
    let all = "started connected authenticated accepted Stdout";
    assert_eq!(told[0].join(" "), format!("{all} signal KILL finished"));
    let until = ["started", "connected", "auth denied", "finished"];
    assert_eq!(told[1], until);
    let twice = ["started", "retry 1", "connect refused", "finished"];
    assert_eq!(told[2], twice);
    let stats = report.stats();
    let failures: Vec<_> = stats.failures().collect();
    let expected = [
        (Phase::Connect, Kind::Refused, 1),
        (Phase::Auth, Kind::Denied, 1),
    ];
    assert_eq!(failures, expected);
    assert_eq!((stats.retries(), stats.stdout_bytes()), (1, 4));
    assert_eq!(stats.phase(Phase::Auth).unwrap().count, 2);
    assert_eq!(stats.phase(Phase::Run).unwrap().count, 1);
}

/// Many hosts at once, as a progress bar sees them: every one tells every step once, in order, and the numbers of the
/// report are those of the events.
#[test]
fn many_hosts_tell_every_step_once() {
    const HOSTS: usize = 200;
    let servers = EmbeddedFleet::start(HOSTS);
    let fleet = Fleet::builder(servers.targets(), servers.config());
    let fleet = fleet.build().unwrap();
    let spec = RunSpec::new("exit 3").detail(Detail::Progress);
    let (mut steps, mut last) = (vec![Vec::new(); HOSTS], vec![Duration::ZERO; HOSTS]);
    let report = fleet.run(spec).unwrap().for_each_event(|event| {
        let index = event.index();
        steps[index].push(word(event));
        let at = match event {
            Event::Started { at, .. }
            | Event::Connected { at, .. }
            | Event::Authenticated { at, .. }
            | Event::Accepted { at, .. }
            | Event::Exit { at, .. } => *at,
            _ => last[index],
        };
        assert!(at >= last[index], "{event:?}");
        last[index] = at;
        if let Event::Exit { exit, .. } = event {
            assert_eq!(*exit, Exit::Status(3));
        }
    });
    let all = [
        "started",
        "connected",
        "authenticated",
        "accepted",
        "exit 3",
        "finished",
    ];
    assert!(steps.iter().all(|steps| *steps == all), "{steps:?}");
    let stats = report.stats();
    assert_eq!((stats.hosts(), stats.counts().exited), (200, HOSTS));
    let phases = stats.phases().map(|(phase, spread)| (phase, spread.count));
    let reached = [
        Phase::Connect,
        Phase::Banner,
        Phase::Kex,
        Phase::HostKey,
        Phase::Auth,
        Phase::Open,
        Phase::Run,
    ];
    let phases: BTreeMap<_, _> = phases
        .filter(|(phase, _)| *phase != Phase::Resolve)
        .collect();
    assert_eq!(phases, reached.map(|phase| (phase, 200)).into());
    let whole = stats.whole().unwrap();
    let mut exact: Vec<_> = report.outcomes().iter().map(|o| o.duration()).collect();
    exact.sort();
    assert_eq!(
        (whole.p50, whole.p99, whole.max),
        (exact[99], exact[197], exact[199])
    );
}

/// The log in parallel-ssh's format, of real hosts that print lines of every sort to both streams, some of them in
/// pieces that come apart: nothing is left out of it, and each line is whole.
#[test]
fn what_real_hosts_print_is_logged_line_by_line() {
    let Some(sshd) = Sshd::builder().addresses(3).log_level("INFO").start() else {
        return;
    };
    let config = Arc::new(sshd.config().build().unwrap());
    let fleet = Fleet::builder(sshd.targets(), config).build().unwrap();
    let command = r"printf 'first\r\nsec'; sleep 0.1; printf 'ond\n\xff\n\nlast'";
    let spec = RunSpec::new(command)
        .detail(Detail::Output)
        .collect(Collect::No);
    let mut log = Vec::new();
    let mut logger = HostLogger::new(&mut log);
    let report = fleet.run(spec).unwrap().for_each_event(|event| {
        logger.event(fleet.hosts(), event).unwrap();
    });
    assert!(report.is_success());
    drop(logger);
    for host in fleet.hosts() {
        let mark = format!("[{}]\t", host.name());
        let lines = log.split(|byte| *byte == b'\n');
        let lines: Vec<_> = lines
            .filter_map(|line| line.strip_prefix(mark.as_bytes()))
            .collect();
        let expected: [&[u8]; 5] = [b"first", b"second", b"\xff", b"", b"last"];
        assert_eq!(lines, expected, "{host}");
    }
    let lines = log.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, 3 * 5, "{}", String::from_utf8_lossy(&log));
}

/// The logger fed by hand, with what a session of its own gives: standard error is marked.
#[test]
fn a_session_of_its_own_is_logged_too() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let host = client::host(sshd.socket());
    let session = sshoal::Session::connect(&host, &sshd.config().build().unwrap()).unwrap();
    let scope = sshoal::Scope::root();
    let command = "echo out; printf err >&2; printf or >&2";
    let child = session.command(command).no_stdin().spawn().unwrap();
    let (mut log, mut buffer) = (Vec::new(), [0; 5]);
    let mut logger = HostLogger::new(&mut log);
    while let Some((stream, bytes)) = child.read(&mut buffer, &scope).unwrap() {
        logger.output(&host, stream, &buffer[..bytes]).unwrap();
    }
    logger.end(&host).unwrap();
    drop(logger);
    let log = String::from_utf8(log).unwrap();
    let name = host.name();
    let mut lines: Vec<_> = log.lines().collect();
    // Between the two streams there is no order.
    lines.sort_by_key(|line| line.contains("[err]"));
    assert_eq!(
        lines,
        [format!("[{name}]\tout"), format!("[{name}]\t[err]\terror")]
    );
}
