//! What a host of a fleet costs from its connect to its outcome, by the number of hosts.
//!
//! The hosts are an embedded fleet in a process of its own. Beside criterion's wall time, which
//! holds the servers' work too, each load prints this process's CPU time alone.
//! `SSHOAL_BENCH=full` adds 10,000 hosts, and pools of 1 to 10,000.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot run ends with a panic, and its result is printed"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use sshoal::{Fleet, KeepOpen, raise_descriptor_limit};
use support::{
    fleet::{EmbeddedFleet, become_fleet_if_asked},
    usage::processor_time,
};

/// How many hosts, over how many sessions at once.
const LOADS: [(usize, usize); 5] = [(1, 1), (10, 10), (100, 100), (1000, 100), (1000, 512)];
/// And where time is no matter.
const LARGE_LOADS: [(usize, usize); 6] = [
    (100, 1),
    (1000, 10),
    (1000, 1000),
    (10_000, 100),
    (10_000, 1000),
    (10_000, 10_000),
];
/// Output that is gathered: hosts, and bytes of each.
const OUTPUTS: [(usize, usize); 3] = [(1000, 256), (100, 64 * KIB), (8, 16 * MIB)];
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Connecting and commands apart: enough hosts to fill both cores, few enough for many rounds.
const PART: usize = 100;
/// Commands one after another on one kept session, in one measurement.
const IN_A_ROW: usize = 50;

fn main() {
    become_fleet_if_asked();
    raise_descriptor_limit().unwrap();
    let mut loads = LOADS.to_vec();
    if std::env::var_os("SSHOAL_BENCH").is_some_and(|size| size == "full") {
        loads.extend(LARGE_LOADS);
    }
    let most = loads.iter().map(|(hosts, _)| *hosts).max().unwrap();
    let servers = EmbeddedFleet::start(most);
    let mut criterion = Criterion::default().configure_from_args();
    for (hosts, pool_size) in loads {
        let fleet = fleet(&servers, hosts, pool_size, KeepOpen::No);
        let name = format!("hosts_{hosts}_echo_pool_{pool_size}");
        measure(
            &mut criterion,
            ("fan_out", &name),
            Moved::each(hosts),
            || {
                assert!(fleet.run("echo hi").unwrap().report().is_success());
            },
        );
    }
    parts(&mut criterion, &servers);
    outputs(&mut criterion, &servers);
    criterion.final_summary();
}

/// Output gathered over sessions that are open, by its bytes: much of few hosts, little of many.
fn outputs(criterion: &mut Criterion, servers: &EmbeddedFleet) {
    for (hosts, bytes) in OUTPUTS {
        let fleet = fleet(servers, hosts, hosts, KeepOpen::Yes);
        let name = match bytes {
            MIB.. => format!("hosts_{hosts}_mib_{}", bytes / MIB),
            KIB.. => format!("hosts_{hosts}_kib_{}", bytes / KIB),
            _ => format!("hosts_{hosts}_bytes_{bytes}"),
        };
        let command = format!("head -c {bytes}");
        let moved = Moved {
            throughput: Throughput::Bytes((hosts * bytes) as u64),
            count: hosts,
        };
        measure(criterion, ("outputs", &name), moved, || {
            let report = fleet.run(command.as_str()).unwrap().report();
            assert!(report.is_success());
            let gathered: u64 = report
                .outcomes()
                .iter()
                .map(|outcome| outcome.stdout().len())
                .sum();
            assert_eq!(gathered, (hosts * bytes) as u64);
        });
        fleet.close();
    }
}

/// The two halves of a fan-out: a session from connect to close without a command, and a command on a kept session.
fn parts(criterion: &mut Criterion, servers: &EmbeddedFleet) {
    let connecting = fleet(servers, PART, PART, KeepOpen::No);
    let name = format!("hosts_{PART}_connect_close");
    measure(criterion, ("parts", &name), Moved::each(PART), || {
        let reached = connecting.each(|_| ()).filter_map(|v| v.into_result().ok());
        assert_eq!(reached.count(), PART);
    });
    let kept = fleet(servers, PART, PART, KeepOpen::Yes);
    let name = format!("hosts_{PART}_echo_kept");
    measure(criterion, ("parts", &name), Moved::each(PART), || {
        assert!(kept.run("echo hi").unwrap().report().is_success());
    });
    let one = fleet(servers, 1, 1, KeepOpen::Yes);
    let name = format!("commands_{IN_A_ROW}_echo_one_session");
    measure(criterion, ("parts", &name), Moved::each(IN_A_ROW), || {
        let program = |host: &sshoal::Reached<'_>| {
            (0..IN_A_ROW).try_for_each(|_| {
                let output = host.command("echo hi").no_stdin().output();
                output.map(|_| ())
            })
        };
        one.each(program)
            .for_each(|visited| visited.into_result().unwrap().unwrap());
    });
}

/// The first hosts of the servers as a fleet.
fn fleet(servers: &EmbeddedFleet, hosts: usize, pool_size: usize, keep_open: KeepOpen) -> Fleet {
    let hosts: Vec<_> = servers.targets().into_iter().take(hosts).collect();
    Fleet::builder(hosts, servers.config())
        .pool_size(NonZeroUsize::new(pool_size).unwrap())
        .connect_timeout(Some(Duration::from_secs(60)))
        .keep_open(keep_open)
        .build()
        .unwrap()
}

/// What a load does once: its throughput for criterion, and how many hosts or commands share the CPU time.
struct Moved {
    throughput: Throughput,
    count: usize,
}

impl Moved {
    /// So many hosts or commands.
    fn each(count: usize) -> Self {
        Self {
            throughput: Throughput::Elements(count as u64),
            count,
        }
    }
}

/// Measures a load by criterion, and prints its CPU time for each of its hosts or commands.
fn measure(
    criterion: &mut Criterion,
    (group, load): (&str, &str),
    moved: Moved,
    mut run: impl FnMut(),
) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(moved.throughput);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    let (mut runs, mut spent) = (0, Duration::ZERO);
    group.bench_function(load, |bencher| {
        bencher.iter_custom(|iterations| {
            let (start, before) = (Instant::now(), processor_time());
            for _ in 0..iterations {
                run();
            }
            let took = start.elapsed();
            runs += iterations;
            spent += processor_time().saturating_sub(before);
            took
        });
    });
    group.finish();
    if runs > 0 {
        let each = spent.as_secs_f64() * 1e3 / (runs as f64 * moved.count as f64);
        println!("{load}: {each:.3} ms CPU of the client for each");
    }
}
