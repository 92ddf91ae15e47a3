//! Fleets behind jump hosts: connections shared, processor time, and black holes among the hosts.
//!
//! `SSHOAL_JUMP_HOSTS` sets the hosts behind one jump host (default 200, in full 1,000; a fifth of them behind two).

mod support;

use std::{
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Config, Fleet, Host, Jump, KeepOpen, Kind, Phase, Report, Session};
use support::{
    faults::FullBacklog,
    fleet::EmbeddedFleet,
    sessions::{LIMIT, config_for_fleet, host, one_of_five, random_bytes},
    sshd::Sshd,
    usage::processor_time,
};

support::fleet::embedded_fleet!();

fn count() -> usize {
    let count = std::env::var("SSHOAL_JUMP_HOSTS").ok();
    count.map_or(200, |count| {
        count.parse().expect("SSHOAL_JUMP_HOSTS is a number")
    })
}

fn jump_host() -> Option<Sshd> {
    Sshd::builder()
        .log_level("VERBOSE")
        .config("MaxSessions 1000")
        .start()
}

fn jump(sshd: &Sshd, config: Config) -> Arc<Jump> {
    Arc::new(Jump::new(host(sshd.socket()), Arc::new(config)))
}

/// Runs a command on all hosts, and returns what came of it with the processor time it took here.
fn run(hosts: Vec<Host>, config: Config, command: &str) -> (Report, Duration) {
    let fleet = Fleet::builder(hosts, Arc::new(config))
        .pool_size(NonZeroUsize::new(100).expect("is not 0"))
        .keep_open(KeepOpen::No)
        .connect_timeout(Some(Duration::from_secs(60)));
    let fleet = fleet.build().expect("builds");
    let before = processor_time();
    let report = fleet.run(command).expect("runs").report();
    (report, processor_time() - before)
}

#[track_caller]
fn assert_all_answered(report: &Report) {
    for outcome in report.outcomes() {
        let expected = format!("host-{:04}\n", outcome.index());
        assert!(
            outcome.is_success(),
            "{}: {}",
            outcome.host(),
            outcome.end()
        );
        assert_eq!(outcome.stdout().text().expect("reads"), expected);
    }
}

fn connections(sshd: &Sshd) -> usize {
    sshd.log().matches("Connection from ").count()
}

/// What the jump host's sshd says it has sent and received on these sessions, behind so many others.
fn transferred(sshd: &Sshd, others: usize, sessions: usize) -> usize {
    let begun = Instant::now();
    loop {
        let log = sshd.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("Transferred: sent "));
        let numbers: Vec<usize> = lines
            .flat_map(|line| line.split([' ', ',']).filter_map(|word| word.parse().ok()))
            .filter(|number| *number > 1000)
            .collect();
        if numbers.len() >= 2 * (others + sessions) {
            return numbers[2 * others..].iter().sum();
        }
        assert!(begun.elapsed() < LIMIT, "{log}");
        std::thread::yield_now();
    }
}

/// Processor time is compared with that of the same run without a jump host and, in one session, of as many bytes as
/// went through it: its bound is 1.3 times both together, and is told, not judged, on a machine that does other things.
#[test]
fn hosts_behind_one_jump_host_share_its_sessions() {
    let Some(sshd) = jump_host() else {
        return;
    };
    let servers = EmbeddedFleet::start(count());
    let direct = config_for_fleet(&servers);
    // The first run pays for what every process pays once.
    let config = direct.clone().build().expect("builds");
    let (report, _) = run(servers.targets(), config, "hostname");
    assert_all_answered(&report);
    let (report, alone) = run(
        servers.targets(),
        direct.clone().build().expect("builds"),
        "hostname",
    );
    assert_all_answered(&report);

    // A jump host that seems not to answer, as one on a busy machine may, gets more sessions than four.
    let (mut before, mut through) = (0, Duration::ZERO);
    let round = || {
        let via = jump(&sshd, sshd.config().build().expect("builds"));
        let behind = direct.clone().jump(via).build().expect("builds");
        before = connections(&sshd);
        let (report, took) = run(servers.targets(), behind, "hostname");
        assert_all_answered(&report);
        through = took;
        connections(&sshd) - before
    };
    one_of_five(round, |taken| (1..=4).contains(taken));
    let taken = connections(&sshd) - before;

    let bytes = transferred(&sshd, before, taken);
    let session = Session::connect(
        &host(sshd.socket()),
        &sshd.config().build().expect("builds"),
    );
    let session = session.expect("connects");
    let before = processor_time();
    let load = random_bytes(bytes / 2, 1);
    let output = session.command("cat").stdin(load).output().expect("runs");
    let once_more = processor_time() - before;
    assert_eq!(output.stdout.len(), bytes / 2);
    let ratio = through.as_secs_f64() / (alone + once_more).as_secs_f64();
    println!(
        "{} hosts: direct {alone:?}, through one jump host {through:?} on {taken} connections, {bytes} bytes once \
         more {once_more:?}: ratio {ratio:.2}",
        servers.targets().len()
    );
}

#[test]
fn hosts_behind_two_jump_hosts_all_answer() {
    let (Some(first), Some(second)) = (jump_host(), jump_host()) else {
        return;
    };
    let servers = EmbeddedFleet::start(count() / 5);
    let near = jump(&first, first.config().build().expect("builds"));
    let far = second.config().jump(near).build().expect("builds");
    let config = config_for_fleet(&servers).jump(jump(&second, far));
    let (report, _) = run(
        servers.targets(),
        config.build().expect("builds"),
        "hostname",
    );
    assert_all_answered(&report);
    for (name, sshd) in [("first", &first), ("second", &second)] {
        let taken = connections(sshd);
        // Four, and the spare ones of a jump host that seems not to answer, as one on a busy machine may.
        assert!(
            (1..=32).contains(&taken),
            "{taken} connections to the {name}"
        );
    }
}

/// Ten hosts that never answer the jump host, spread among two hundred: each keeps one of its sessions from opening
/// further tunnels, and no healthy host may wait for them, which would take until their limit.
#[test]
fn black_holes_among_the_hosts_delay_nobody() {
    let Some(sshd) = jump_host() else {
        return;
    };
    let servers = EmbeddedFleet::start(190);
    let holes: Vec<_> = (0..10)
        .map(|_| FullBacklog::on(Ipv4Addr::LOCALHOST))
        .collect();
    let config = || {
        let via = jump(&sshd, sshd.config().build().expect("builds"));
        config_for_fleet(&servers).jump(via)
    };
    let last_healthy = |hosts: Vec<Host>, limit: Duration| {
        let fleet = Fleet::builder(hosts, Arc::new(config().build().expect("builds")))
            .pool_size(NonZeroUsize::new(200).expect("is not 0"))
            .connect_timeout(Some(limit));
        let fleet = fleet.build().expect("builds");
        let (begun, mut last, mut failed) = (Instant::now(), Duration::ZERO, 0);
        for outcome in fleet.run("hostname").unwrap() {
            if outcome.is_success() {
                last = begun.elapsed();
                continue;
            }
            let end = outcome.end();
            assert_eq!(end.phase(), Some(Phase::Connect), "{end}");
            assert_eq!(end.kind(), Some(Kind::Timeout), "{end}");
            failed += 1;
        }
        (last, failed)
    };
    let (undisturbed, failed) = last_healthy(servers.targets(), LIMIT);
    assert_eq!(failed, 0);
    let limit = Duration::from_secs(12).max(4 * undisturbed);
    let mut hosts = servers.targets();
    for (number, hole) in holes.iter().enumerate() {
        hosts.insert(number * 20, host(hole.address()));
    }
    let (disturbed, failed) = last_healthy(hosts, limit);
    assert_eq!(failed, 10);
    println!("the last healthy host after {undisturbed:?}, among black holes {disturbed:?}");
    assert!(disturbed < limit, "{disturbed:?} and {undisturbed:?}");
}
