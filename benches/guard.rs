//! The work that scripts/guard.sh counts instructions and system calls of, under valgrind.
//!
//! `guard pure` does each pure case once, in a function of its own that valgrind is told by name.
//! `guard fleet DIR N` is a fleet of servers until its standard input ends. `guard hosts DIR N POOL
//! WORKERS` runs `echo hi` on the fleet's first N hosts, everything that could be negotiated fixed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot run ends with a panic, and its result is printed"
)]

#[path = "guard/cases.rs"]
mod cases;

use std::{num::NonZeroUsize, path::Path, process::ExitCode, sync::Arc, time::Duration};

use sshoal::{Config, Fleet, HostKeyPolicy, HostKeys, Identity, KeepOpen, parse_hosts_file};
use sshoal_session::known_hosts::KnownHosts;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["pure"] => cases::all(),
        ["fleet", dir, hosts] => {
            let arguments = ["--dir", dir, "--hosts", hosts, "--kex", "curve"];
            return sshoal_loopback::main(arguments.map(Into::into));
        }
        ["hosts", dir, hosts, pool, workers] => {
            let [hosts, pool, workers] = [hosts, pool, workers].map(number);
            run(Path::new(dir), hosts.get(), pool, workers);
        }
        // As `cargo bench` starts it.
        _ => println!("guard: nothing to measure by the clock; scripts/guard.sh counts"),
    }
    ExitCode::SUCCESS
}

fn number(text: &str) -> NonZeroUsize {
    text.parse().unwrap()
}

/// Runs one command on the first hosts of the fleet whose files are in `dir`.
fn run(dir: &Path, hosts: usize, pool: NonZeroUsize, workers: NonZeroUsize) {
    assert!(sshoal_reactor::configure(
        sshoal_reactor::Config::default().workers(workers)
    ));
    sshoal::raise_descriptor_limit().unwrap();
    let mut targets = parse_hosts_file(std::fs::read(dir.join("hosts")).unwrap(), "hosts").unwrap();
    targets.truncate(hosts);
    assert_eq!(targets.len(), hosts);
    let mut known = KnownHosts::new();
    known.add_text(&std::fs::read(dir.join("known_hosts")).unwrap(), "known");
    let keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
    let identity = Identity::load(&dir.join("user_ed25519"), None).unwrap();
    let config = Config::builder(keys)
        .user("tester")
        .identity(Arc::new(identity))
        .kex("curve25519-sha256")
        .ciphers("aes256-gcm@openssh.com")
        .build()
        .unwrap();
    let fleet = Fleet::builder(targets, Arc::new(config))
        .pool_size(pool)
        .connect_timeout(Some(Duration::from_secs(60)))
        .keep_open(KeepOpen::No)
        .build()
        .unwrap();
    assert!(fleet.run("echo hi").unwrap().report().is_success());
}
