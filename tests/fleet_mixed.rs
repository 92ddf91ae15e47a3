//! A fleet of real OpenSSH servers, alone and with hosts among them that fail in every early phase.

mod support;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sshoal::{Fleet, Host, Kind, Outcome, Phase};
use support::{
    client,
    faults::{FullBacklog, Refused, Silent},
    sshd::{Sshd, known_hosts_line},
};

/// Real hosts; each connection costs an sshd about 18 ms of a core.
const HEALTHY: u32 = 200;
/// Time for the slowest healthy host where other work takes most of both cores.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What a run may take beyond the connect timeout of its slowest host, on a machine that stands still for a while; of two
/// such hosts, one after the other, the second would take it all once more.
const GRACE: Duration = Duration::from_secs(15);
/// Each host prints which of its addresses it was reached at.
const COMMAND: &str = "set -- $SSH_CONNECTION; echo host $3; exit 0";

/// Two hundred handshakes want the whole machine: the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

/// What a host has to end as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Exit status 0 and the host's own line.
    Line,
    Failure(Phase, Kind),
}

fn healthy() -> Option<Sshd> {
    let builder = Sshd::builder().addresses(HEALTHY).log_level("INFO");
    builder.low_priority().start()
}

#[track_caller]
fn check(outcome: &Outcome, expected: Expected) {
    let (host, end) = (outcome.host(), outcome.end());
    let seen = (end.phase(), end.kind());
    match expected {
        Expected::Line => {
            assert!(outcome.is_success(), "{host}: {end}, {outcome:?}");
            let stdout = outcome.stdout().text().expect("reads the output");
            assert_eq!(stdout, format!("host {}\n", host.name()), "{host}");
            assert!(
                outcome.stderr().is_empty(),
                "{host}: {:?}",
                outcome.stderr().text()
            );
        }
        Expected::Failure(phase, kind) => {
            assert_eq!(seen, (Some(phase), Some(kind)), "{host}: {end}");
            assert!(outcome.stdout().is_empty(), "{host}");
        }
    }
    assert_eq!(outcome.attempts(), 1, "{host}");
    let took = outcome.duration();
    assert!(took <= CONNECT_TIMEOUT + GRACE, "{host} took {took:?}");
    if matches!(expected, Expected::Failure(_, Kind::Timeout)) {
        assert!(took >= CONNECT_TIMEOUT, "{host} gave up after {took:?}");
    }
}

#[test]
fn two_hundred_real_hosts_give_their_own_results() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(sshd) = healthy() else { return };
    let config = sshd.config().connect_timeout(Some(CONNECT_TIMEOUT)).build();
    let fleet = Fleet::builder(sshd.targets(), config.unwrap().into());
    let begin = Instant::now();
    let report = fleet.build().unwrap().run(COMMAND).unwrap().report();
    println!("{HEALTHY} real hosts in {:?}", begin.elapsed());
    assert_eq!(report.outcomes().len(), HEALTHY as usize);
    for (index, outcome) in report.outcomes().iter().enumerate() {
        assert_eq!(outcome.index(), index);
        check(outcome, Expected::Line);
    }
    assert!(report.is_success());
}

/// Puts 30 hosts that fail, in four ways, among the 200 and runs all at once, so that the connect timeout of one is
/// that of the run. The hosts with the wrong key tell that nobody asked them for authentication.
#[test]
fn hosts_that_fail_leave_two_hundred_right_results() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(sshd) = healthy() else { return };
    let imposters = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 9, 1));
    let Some(imposters) = imposters.addresses(10).low_priority().start() else {
        return;
    };
    let address = |last| IpAddr::from(Ipv4Addr::new(127, 3, 9, last));
    let refused: Vec<_> = (1..=10).map(|n| Refused::on(address(n))).collect();
    let full: Vec<_> = (11..=15).map(|n| FullBacklog::on(address(n))).collect();
    let silent: Vec<_> = (16..=20).map(|n| Silent::on(address(n))).collect();

    let mut targets: Vec<(Host, Expected)> = Vec::new();
    let mut add = |sockets: Vec<SocketAddr>, expected| {
        targets.extend(
            sockets
                .into_iter()
                .map(|socket| (client::host(socket), expected)),
        );
    };
    let failure = Expected::Failure;
    add(sshd.sockets(), Expected::Line);
    add(
        refused.iter().map(Refused::address).collect(),
        failure(Phase::Connect, Kind::Refused),
    );
    add(
        full.iter().map(FullBacklog::address).collect(),
        failure(Phase::Connect, Kind::Timeout),
    );
    add(
        silent.iter().map(Silent::address).collect(),
        failure(Phase::Banner, Kind::Timeout),
    );
    add(
        imposters.sockets(),
        failure(Phase::HostKey, Kind::HostKeyChanged),
    );
    shuffle(&mut targets, 0x5eed);

    let mut known = sshd.known_hosts();
    for socket in imposters.sockets() {
        // The key that the host had before.
        let line = known_hosts_line(socket.ip(), socket.port(), &sshd.host_keys()[0]);
        known.push_str(&line);
    }
    let config = client::config(&known, &sshd.key_path()).user(sshd.user());
    let config = config.connect_timeout(Some(CONNECT_TIMEOUT)).build();
    let hosts: Vec<Host> = targets.iter().map(|(host, _)| host.clone()).collect();
    let fleet = Fleet::builder(hosts, config.unwrap().into())
        .build()
        .unwrap();
    assert_eq!(fleet.pool().size(), targets.len());

    let begin = Instant::now();
    let report = fleet.run(COMMAND).unwrap().report();
    let took = begin.elapsed();
    println!("{} hosts in {took:?}", targets.len());
    assert_eq!(report.outcomes().len(), 230);
    for (outcome, (host, expected)) in report.outcomes().iter().zip(&targets) {
        assert_eq!(outcome.host(), host);
        check(outcome, *expected);
    }
    let counts = report.counts();
    assert_eq!((counts.succeeded, counts.failed), (200, 30));
    assert!(took <= CONNECT_TIMEOUT + GRACE, "the run took {took:?}");

    imposters.wait_for_ends(10, Duration::from_secs(30));
    // An SSH_MSG_USERAUTH_REQUEST; even the service request (type 5) did not leave.
    assert!(!imposters.log().contains("receive packet: type 50"));
    // A silent host saw our version and key exchange proposal, and no more.
    assert!(silent.iter().all(|host| host.received().len() == 1));
}

/// Puts the hosts into an order that only the seed decides (Fisher and Yates).
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        // Knuth's linear congruential generator; its upper bits are good enough here.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let other = (seed >> 33) as usize % (last + 1);
        items.swap(last, other);
    }
}
