//! What users of parallel-ssh rely on, and what they suffer from, where no other test shows it; the
//! table is `tests/parallel-ssh.md`.

mod support;

#[path = "parallel_ssh/files.rs"]
mod files;
#[path = "parallel_ssh/logins.rs"]
mod logins;
#[path = "parallel_ssh/output.rs"]
mod output;
#[path = "parallel_ssh/process.rs"]
mod process;
#[path = "parallel_ssh/runs.rs"]
mod runs;

use std::{io::Read, sync::Arc, time::Duration};

use sshoal::{Fleet, Host, HostRun};
use support::sshd::Sshd;

support::fleet::embedded_fleet!();

/// Only what hangs takes it.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

/// A server of several hosts that keeps its own debug lines out of the commands' standard error.
#[track_caller]
fn server(hosts: u32) -> Option<Sshd> {
    Sshd::builder().addresses(hosts).log_level("INFO").start()
}

/// A fleet of these hosts, all of which this server lets in to.
#[track_caller]
fn fleet_of(sshd: &Sshd, hosts: Vec<Host>) -> Fleet {
    let config = sshd.config().build().expect("a whole configuration");
    let fleet = Fleet::builder(hosts, Arc::new(config)).connect_timeout(LONG);
    fleet.build().expect("the fleet is sound")
}

/// All that is left of a host's standard output.
#[track_caller]
fn read(host: &HostRun) -> Vec<u8> {
    let mut bytes = Vec::new();
    host.stdout().read_to_end(&mut bytes).expect("reads");
    bytes
}
