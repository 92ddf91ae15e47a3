//! Retries and limits on connections, before real OpenSSH servers that drop what is too much for them.

mod support;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sshoal::{Config, Fleet, FleetBuilder, Host, HostKeyPolicy, KeepOpen, Kind, Phase, Report};
use support::{
    client,
    faults::Refused,
    keys::generate_key,
    proxy::Proxy,
    sessions::{config_knowing, host_keys},
    sshd::{Sshd, known_hosts_line},
};

/// Hosts of each fleet, all of them one server.
const HOSTS: u32 = 300;
/// Time for one attempt where other work takes most of both cores.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Hundreds of handshakes want the whole machine: the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

/// One server behind a network of 30 ms, on every loopback address. It counts its unauthenticated connections together.
struct Crowded {
    sshd: Sshd,
    network: Proxy,
}

impl Crowded {
    fn start(max_startups: &str) -> Option<Self> {
        let builder = Sshd::builder()
            .config(&format!("MaxStartups {max_startups}"))
            .log_level("VERBOSE");
        let sshd = builder.low_priority().start()?;
        // Without it the handshakes are over sooner than one daemon takes the next connection.
        let network = Proxy::to(sshd.socket()).round_trip(Duration::from_millis(30));
        let network = network.listen_on(Ipv4Addr::UNSPECIFIED.into()).start();
        Some(Self { sshd, network })
    }

    /// So many hosts, with what lets in to them, that share so many addresses.
    fn fleet(&self, addresses: u32) -> FleetBuilder {
        let first = u32::from(Ipv4Addr::new(127, 5, 0, 1));
        let port = self.network.address().port();
        let address = |n: u32| IpAddr::from(Ipv4Addr::from(first + n));
        let key = &self.sshd.host_keys()[0];
        let known: String = (0..addresses)
            .map(|n| known_hosts_line(address(n), port, key))
            .collect();
        let hosts: Vec<Host> = (0..HOSTS)
            .map(|n| client::host(SocketAddr::new(address(n % addresses), port)))
            .collect();
        let config = config_knowing(&self.sshd, &known).build();
        let config = config.expect("a whole configuration");
        Fleet::builder(hosts, config.into()).connect_timeout(Some(CONNECT_TIMEOUT))
    }

    /// Whether the server has dropped connections.
    fn has_dropped(&self) -> bool {
        self.sshd.log().contains("MaxStartups")
    }
}

/// Runs a command on all hosts; nobody else's output comes back.
fn run(fleet: FleetBuilder) -> Report {
    let fleet = fleet.keep_open(KeepOpen::No).build();
    let report = fleet
        .expect("makes a fleet")
        .run("echo here")
        .expect("runs")
        .report();
    for outcome in &report {
        let expected = if outcome.is_success() { "here\n" } else { "" };
        assert_eq!(outcome.stdout().text().expect("is text"), expected);
    }
    report
}

/// How many hosts ended how, and after how many attempts.
fn told(report: &Report) -> String {
    let mut attempts: BTreeMap<u32, usize> = BTreeMap::new();
    for outcome in report {
        *attempts.entry(outcome.attempts()).or_default() += 1;
    }
    let counts = report.counts();
    format!(
        "{} answer, {} fail; hosts by attempts: {attempts:?}",
        counts.succeeded, counts.failed
    )
}

#[track_caller]
fn assert_all_answer(report: &Report) {
    let failed = report
        .outcomes()
        .iter()
        .find(|outcome| !outcome.is_success());
    assert!(report.is_success(), "{failed:?}");
}

/// Three hundred addresses of one server that takes ten at once. Without help, hosts fail as the server drops their
/// connections before its banner; by retries alone all answer, and by retries and a rate all answer too.
#[test]
fn a_server_that_drops_connections_is_tried_again_until_all_answer() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // From 10 on it drops some, from 60 on all.
    let Some(server) = Crowded::start("10:30:60") else {
        return;
    };
    let report = run(server.fleet(HOSTS));
    println!("no retries: {}", told(&report));
    let failures: Vec<_> = report
        .outcomes()
        .iter()
        .filter(|o| !o.is_success())
        .collect();
    assert!(!failures.is_empty(), "the server dropped nothing");
    for outcome in failures {
        assert_eq!(outcome.attempts(), 1);
        let end = (outcome.end().phase(), outcome.end().kind());
        let dropped = matches!(
            end,
            (
                Some(Phase::Banner | Phase::Kex),
                Some(Kind::Closed | Kind::Reset)
            )
        );
        assert!(dropped, "{}", outcome.end());
    }
    assert!(server.has_dropped());

    let report = run(server.fleet(HOSTS).retries(30));
    println!("retries: {}", told(&report));
    assert_all_answer(&report);
    assert!(report.outcomes().iter().any(|o| o.attempts() > 1));

    let rate = NonZeroU32::new(40);
    let report = run(server.fleet(HOSTS).retries(30).rate(rate));
    println!("retries and rate: {}", told(&report));
    assert_all_answer(&report);
}

/// The same address three hundred times: the limit of handshakes at one destination is enough, and nothing is dropped;
/// without it, something is.
#[test]
fn many_hosts_at_one_address_are_not_dropped() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Where the machine is busy, it takes note late that a user is in: of more than the 8 on their way at once.
    let Some(server) = Crowded::start("40") else {
        return;
    };
    let report = run(server.fleet(1));
    println!("one address: {}", told(&report));
    assert_all_answer(&report);
    assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
    assert!(!server.has_dropped(), "{}", server.sshd.log());
    // As few as two, for a daemon that hardly gets to run takes them one after the other, and drops none of forty.
    let Some(server) = Crowded::start("2") else {
        return;
    };
    let unbounded = NonZeroUsize::new(HOSTS as usize).unwrap();
    let fleet = server
        .fleet(1)
        .pool(|pool| pool.destination_handshakes(unbounded));
    let report = run(fleet);
    println!("one address without its limit: {}", told(&report));
    assert!(!report.is_success() && server.has_dropped());
}

/// Runs on one server with retries enough and returns how often it was connected to and asked for authentication by
/// this method.
fn asked(sshd: &Sshd, config: Config, method: &str) -> (usize, usize) {
    let fleet = Fleet::builder(vec![client::host(sshd.socket()); 3], config.into());
    let fleet = fleet.connect_timeout(Some(CONNECT_TIMEOUT)).retries(20);
    let fleet = fleet.build().expect("makes a fleet");
    let report = fleet.run("true").expect("runs").report();
    for outcome in &report {
        assert_eq!(
            outcome.end().phase(),
            Some(Phase::Auth),
            "{}",
            outcome.end()
        );
        assert_eq!(outcome.attempts(), 1);
    }
    sshd.wait_for_ends(3, CONNECT_TIMEOUT);
    let log = sshd.log();
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    (
        count("Connection from "),
        count(&format!("ssh-connection method {method}")),
    )
}

/// Three hosts with a wrong password, at a server that takes passwords, and at one that hangs up at the first failure,
/// which looks like a connection that was lost: each is connected to once, and each password is tried once.
#[test]
fn a_wrong_password_is_tried_once_whatever_the_retries() {
    for line in ["MaxAuthTries 6", "MaxAuthTries 1"] {
        let builder = Sshd::builder()
            .config("PasswordAuthentication yes")
            .config(line);
        let Some(sshd) = builder.start() else { return };
        let known = sshd.known_hosts();
        let config = Config::builder(host_keys(HostKeyPolicy::Strict, &known));
        let config = config
            .user(sshd.user())
            .password("not this one".to_owned().into());
        let (connections, passwords) = asked(&sshd, config.build().unwrap(), "password");
        assert_eq!((connections, passwords), (3, 3), "{line}");
    }
}

#[test]
fn a_wrong_key_is_tried_once_whatever_the_retries() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.scratch().join("wrong");
    generate_key(&key, "ed25519");
    let config = client::config(&sshd.known_hosts(), &key).user(sshd.user());
    let (connections, keys) = asked(&sshd, config.build().unwrap(), "publickey");
    assert_eq!((connections, keys), (3, 3));
}

/// A host whose port refuses at first is there a second later; its neighbour stays away and ends as refused.
#[test]
fn a_host_that_comes_up_late_answers() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(sshd) = Sshd::start() else { return };
    let ip = |last| IpAddr::from(Ipv4Addr::new(127, 6, 0, last));
    let (late, never) = (Refused::on(ip(1)), Refused::on(ip(2)));
    let address = late.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let hosts = [&late, &never].map(|host| client::host(host.address()));
    let config = config_knowing(&sshd, &known).build().unwrap();
    let fleet = Fleet::builder(hosts, config.into()).connect_timeout(Some(CONNECT_TIMEOUT));
    let run = fleet
        .retries(4)
        .build()
        .unwrap()
        .run("echo here")
        .expect("runs");
    let handle = run.handle();
    // Between two attempts, so that the first one was refused.
    while handle.progress().waiting < 2 {
        sshoal::sleep(Duration::from_millis(1));
    }
    drop(late);
    let _proxy = Proxy::to(sshd.socket()).listen_at(address).start();
    let report = run.report();
    assert!(report[0].is_success(), "{}", report[0].end());
    assert!(report[0].attempts() >= 2);
    assert_eq!(report[1].end().kind(), Some(Kind::Refused));
    assert_eq!(report[1].attempts(), 5);
}

/// Forty hosts at twenty a second take two seconds; each connects once.
#[test]
fn the_server_sees_connections_at_the_rate() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(sshd) = Sshd::builder().addresses(40).log_level("VERBOSE").start() else {
        return;
    };
    let config = Arc::new(sshd.config().build().unwrap());
    let fleet = Fleet::builder(sshd.targets(), config).connect_timeout(Some(CONNECT_TIMEOUT));
    let fleet = fleet.rate(NonZeroU32::new(20)).build().unwrap();
    let begun = Instant::now();
    let report = fleet.run("true").expect("runs").report();
    let took = begun.elapsed();
    println!("40 hosts at 20 a second in {took:?}");
    assert_all_answer(&report);
    // 39 intervals of 50 ms, less the 10 ms that late wake-ups may make up for.
    assert!(took >= Duration::from_millis(1_940), "{took:?}");
    let connections = sshd.log().matches("Connection from ").count();
    assert_eq!(connections, 40);
}
