//! Runs over a fleet of which a third has a fault, again and again: nothing is left of any.

mod support;

use std::fs;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use sshoal::{Fleet, KeepOpen, Kind, Outcome};
use support::{fleet::EmbeddedFleet, sessions::resident_kib};

support::fleet::embedded_fleet!();

/// How long it takes; `SSHOAL_SOAK_SECONDS` sets another time.
fn seconds() -> u64 {
    let set = std::env::var("SSHOAL_SOAK_SECONDS").ok();
    set.map_or(5, |seconds| seconds.parse().expect("is a number"))
}

const HOSTS: usize = 40;
const HEALTHY: usize = 18;
/// Two hosts each, behind the healthy ones.
const FAULTS: [&str; 11] = [
    "silent",
    "close",
    "banner-flood",
    "stall-kex",
    "other-key",
    "deny",
    "stall-auth",
    "stall-open",
    "stall-exec",
    "reset",
    "no-status",
];
/// What stalls holds a round up for so long.
const LIMIT: Duration = Duration::from_millis(2_000);
/// What the allocator may keep of one time and not of another.
const NOISE_KIB: u64 = 6 * 1024;
const COMMANDS: [&str; 5] = [
    "hostname",
    "head -c 200000",
    "exit 3",
    "signal TERM",
    "stderr",
];

/// What a round has left behind.
#[derive(Debug, Clone, Copy)]
struct Left {
    descriptors: usize,
    resident_kib: u64,
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("is there").count()
}

/// Runs once over all hosts; the number says how, and whether it is stopped on the way. Returns how
/// many hosts ended as their command did.
fn round(servers: &EmbeddedFleet, number: usize) -> usize {
    let keep = match number % 2 {
        0 => KeepOpen::No,
        _ => KeepOpen::Yes,
    };
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(HOSTS).expect("has room"))
        .keep_open(keep)
        .connect_timeout(Some(LIMIT))
        .command_timeout(Some(LIMIT))
        .build()
        .expect("is complete");
    let run = fleet
        .run(COMMANDS[number % COMMANDS.len()])
        .expect("begins");
    let stopped = number % 3 == 1;
    if stopped {
        let handle = run.handle();
        sshoal::sleep(Duration::from_millis(number as u64 * 37 % 1_000));
        handle.cancel();
    }
    let report = run.report();
    assert_eq!(report.outcomes().len(), HOSTS);
    for outcome in report.outcomes() {
        check(outcome, stopped);
    }
    let ended = |outcome: &&Outcome| outcome.end().phase().is_none();
    report.outcomes().iter().filter(ended).count()
}

/// A host ends as what it is: a healthy one by its command, unless it was stopped or the machine has
/// other things to do, and one with a fault never well.
fn check(outcome: &Outcome, stopped: bool) {
    let (host, end) = (outcome.index(), outcome.end());
    let kind = end.kind();
    assert_ne!(kind, Some(Kind::Internal), "host {host}: {end}");
    if host >= HEALTHY {
        assert!(!outcome.is_success(), "host {host}: {end}");
    } else if !stopped {
        let by_its_command = outcome.end().phase().is_none();
        let late = kind == Some(Kind::Timeout);
        assert!(by_its_command || late, "host {host}: {end}");
    }
}

/// Waits until as many descriptors are open as each time for a while already.
fn settled() -> usize {
    let (mut last, mut looks) = (descriptors(), 0);
    while looks < 200 {
        sshoal::sleep(Duration::from_millis(10));
        let seen = descriptors();
        looks = if seen == last { looks + 1 } else { 0 };
        last = seen;
    }
    last
}

/// Waits until all sockets of a round are closed.
fn left(before: usize) -> Left {
    let until = Instant::now() + Duration::from_secs(30);
    while descriptors() > before && Instant::now() < until {
        sshoal::sleep(Duration::from_millis(10));
    }
    Left {
        descriptors: descriptors(),
        resident_kib: resident_kib(),
    }
}

/// H16: after a third of the time, which warms up, memory grows by no more than a MiB an hour and
/// what the allocator keeps, and each round leaves as many descriptors as the one before.
#[test]
fn runs_with_faults_leave_neither_memory_nor_descriptors() {
    let mut args = Vec::new();
    for (at, fault) in FAULTS.iter().enumerate() {
        let first = HEALTHY + 2 * at;
        args.extend([
            "--fault".to_owned(),
            format!("{fault}={first}-{}", first + 1),
        ]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let servers = EmbeddedFleet::with_args(HOSTS, &args);
    round(&servers, 0);
    let base = settled();
    let (begun, time) = (Instant::now(), Duration::from_secs(seconds()));
    let (mut samples, mut ended) = (Vec::new(), 0);
    while begun.elapsed() < time || samples.len() < 2 {
        ended += round(&servers, samples.len() + 1);
        let left = left(base);
        assert!(left.descriptors <= base, "{} of {base}", left.descriptors);
        samples.push(left);
    }
    let hours = begun.elapsed().as_secs_f64() / 3_600.0;
    let warm = &samples[samples.len() / 3..];
    let (first, last) = warm.split_at(warm.len() / 2);
    let highest = |samples: &[Left]| samples.iter().map(|left| left.resident_kib).max();
    let (first, last) = (highest(first).unwrap_or(0), highest(last).unwrap_or(0));
    println!(
        "{} rounds, {} outcomes, {ended} by their command, {base} descriptors, {first} KiB and then {last} KiB",
        samples.len(),
        samples.len() * HOSTS,
    );
    let most = first + NOISE_KIB + (hours * 1_024.0) as u64;
    assert!(last <= most, "{first} KiB grew to {last} KiB: {samples:?}");
    // A machine that has other things to do for so long would show nothing.
    assert!(ended > 0 || seconds() < 60, "no host came to its command");
}
