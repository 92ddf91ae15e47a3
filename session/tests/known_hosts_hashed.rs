//! A whole fleet against a file with as many hashed lines: every name has to be tried against every line, once.

#[path = "known_hosts/keys.rs"]
#[expect(dead_code, reason = "other tests need the other key types")]
mod keys;

use std::path::Path;
use std::time::Duration;

use keys::{blob, fields};
use rustix::time::{ClockId, clock_gettime};
use sshoal_session::known_hosts::LookupName;
use sshoal_session::known_hosts::{KnownHosts, Verdict};
use sshoal_session::{HostKeyPolicy, HostKeys};

/// The CPU time of this process, all threads together.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::from_secs(time.tv_sec.unsigned_abs())
        + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// A key of its own for every host.
fn key(number: usize) -> Vec<u8> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    blob(&[b"ssh-ed25519", &bytes])
}

fn name(number: usize) -> String {
    format!("host{number}.example.org")
}

/// A known_hosts file with every host's key, its names hidden by `ssh-keygen -H`.
fn hashed_file(path: &Path, hosts: usize) {
    let line = |number| format!("{} {}\n", name(number), fields(&key(number)));
    std::fs::write(path, (0..hosts).map(line).collect::<String>()).expect("writes the file");
    let output = std::process::Command::new("ssh-keygen")
        .arg("-Hf")
        .arg(path)
        .output();
    let output = output.expect("ssh-keygen runs (Debian: openssh-client)");
    assert!(output.status.success(), "{output:?}");
}

/// Method: what a session does for each host, in its order: the types known for the name, which is tried against all
/// lines, then the verdict; twice, as a second run over the same hosts must find the answers kept.
#[test]
fn a_fleet_against_as_many_hashed_lines_takes_seconds_once() {
    let hosts = std::env::var("SSHOAL_HASHED_HOSTS").map_or(500, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    hashed_file(&path, hosts);
    let begun = cpu_time();
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!(known.len(), hosts);
    let keys = HostKeys::new(HostKeyPolicy::Strict, known);
    let loaded = cpu_time();
    let mut rounds = [Duration::ZERO; 2];
    for round in &mut rounds {
        let begun = cpu_time();
        for number in 0..hosts {
            let name = LookupName::new(&name(number), 22);
            let offer = keys.algorithms_to_offer(&name, None);
            assert!(offer.starts_with("ssh-ed25519,"), "{offer}");
            let _ = keys.verify_name(&name, &key(number)).unwrap();
        }
        *round = cpu_time() - begun;
    }
    let other = keys.known_hosts().check(&name(0), 22, &key(1));
    assert!(
        matches!(other, Verdict::Changed { line: 1, .. }),
        "{other:?}"
    );
    let pairs = u32::try_from(hosts * hosts).unwrap_or(u32::MAX);
    println!(
        "{hosts} hosts against {hosts} hashed lines: load {:?}, first round {:?} ({:?} a pair), second {:?} of CPU time",
        loaded - begun,
        rounds[0],
        rounds[0] / pairs,
        rounds[1],
    );
    assert!(
        rounds[1] < rounds[0] / 4,
        "the answers were kept: {rounds:?}"
    );
    if !cfg!(debug_assertions) {
        let limit = Duration::from_secs(15) * pairs / 100_000_000;
        assert!(
            rounds[0] < limit.max(Duration::from_millis(500)),
            "{rounds:?}"
        );
    }
}
