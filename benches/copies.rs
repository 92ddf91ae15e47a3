//! What a copy costs: one file and a tree, to and from one host and several, by the bytes or files moved.
//!
//! The hosts are a real sshd on loopback, as a copy's other half is the host's SFTP server. Beside criterion's wall
//! time, which holds that server's work too, each load prints this process's CPU time alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot run ends with a panic, and its result is printed"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use sshoal::{
    Fleet,
    transfer::{CopyOptions, LocalTree, Source, TreeOptions},
};
use support::{
    sessions::{config_for, host, random_bytes},
    sshd::Sshd,
    usage::processor_time,
};

/// Bytes of the file for one host, and of the one for each of several.
const LARGE: usize = 64 * MIB;
const SHARED: usize = 8 * MIB;
/// Hosts that get one file at once.
const HOSTS: u32 = 8;
/// Files of the tree, 2 KiB each.
const FILES: usize = 500;
const MIB: usize = 1024 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let builder = Sshd::builder().log_level("INFO").addresses(HOSTS);
    let Some(sshd) = builder.start() else {
        println!("skipped: SSHOAL_TEST_SSHD=off");
        return;
    };
    let (one, all) = (fleet(&sshd, 1), fleet(&sshd, HOSTS as usize));
    let scratch = sshd.scratch();
    files(&mut criterion, (&one, &all), &scratch);
    trees(&mut criterion, &one, &scratch);
    criterion.final_summary();
}

/// One file, to a host and back, and to several hosts at once.
fn files(criterion: &mut Criterion, (one, all): (&Fleet, &Fleet), scratch: &Path) {
    let options = CopyOptions::new();
    let [large, shared, there, here] =
        ["large", "shared", "there", "here"].map(|name| scratch.join(name));
    fs::write(&large, random_bytes(LARGE, 1)).unwrap();
    fs::write(&shared, random_bytes(SHARED, 2)).unwrap();
    let remote = |path: &Path| path.to_str().unwrap().to_owned();
    let moved = |bytes: usize| (Throughput::Bytes(bytes as u64), bytes / MIB, "MiB");
    measure(criterion, "put_64_mib_to_1_host", moved(LARGE), || {
        let source = Source::file(&large).unwrap();
        for visited in one.put(&source, remote(&there), &options) {
            visited.into_result().unwrap().unwrap();
        }
    });
    let back = here.clone();
    measure(criterion, "get_64_mib_from_1_host", moved(LARGE), || {
        let back = back.clone();
        for visited in one.get(remote(&large), move |_, _| back.clone(), &options) {
            visited.into_result().unwrap().unwrap();
        }
    });
    let bytes = SHARED * HOSTS as usize;
    measure(criterion, "put_8_mib_to_8_hosts", moved(bytes), || {
        let source = Source::file(&shared).unwrap();
        for visited in all.put(&source, remote(&there), &options) {
            visited.into_result().unwrap().unwrap();
        }
    });
}

/// Many small files, to a host and back, each time to a directory that is not there.
fn trees(criterion: &mut Criterion, fleet: &Fleet, scratch: &Path) {
    let [from, there, here] = ["tree", "tree-there", "tree-here"].map(|name| scratch.join(name));
    fs::create_dir(&from).unwrap();
    for number in 0..FILES {
        fs::write(from.join(format!("file-{number}")), [7; 2048]).unwrap();
    }
    let options = TreeOptions::new();
    let files = || (Throughput::Elements(FILES as u64), FILES, "file");
    measure(criterion, "put_500_files_to_1_host", files(), || {
        let _ = fs::remove_dir_all(&there);
        let tree = LocalTree::walk(&from, &options).unwrap();
        for visited in fleet.put_tree(&tree, there.to_str().unwrap(), &options) {
            assert!(visited.into_result().unwrap().is_success());
        }
    });
    measure(criterion, "get_500_files_from_1_host", files(), || {
        let _ = fs::remove_dir_all(&here);
        let to = here.clone();
        let copies = fleet.get_tree(from.to_str().unwrap(), move |_, _| to.clone(), &options);
        for visited in copies {
            assert!(visited.into_result().unwrap().is_success());
        }
    });
}

/// The first addresses of the server as a fleet, its sessions open.
fn fleet(sshd: &Sshd, hosts: usize) -> Fleet {
    let hosts: Vec<_> = sshd.sockets().into_iter().take(hosts).map(host).collect();
    let config = config_for(sshd).build().unwrap();
    let fleet = Fleet::builder(hosts, Arc::new(config)).build().unwrap();
    for visited in fleet.connect() {
        visited.into_result().unwrap();
    }
    fleet
}

/// Measures a load by criterion, and prints its CPU time for each of what it moves.
fn measure(
    criterion: &mut Criterion,
    load: &str,
    (throughput, moved, unit): (Throughput, usize, &str),
    mut run: impl FnMut(),
) {
    let mut group = criterion.benchmark_group("copies");
    group.throughput(throughput);
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
        let each = spent.as_secs_f64() * 1e3 / (runs as f64 * moved as f64);
        println!("{load}: {each:.3} ms CPU of the client for each {unit}");
    }
}
