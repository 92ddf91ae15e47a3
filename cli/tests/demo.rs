//! `sshoal demo` end to end.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![cfg(feature = "demo")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use support::{Fleet, output, sshoal, stderr, stdout};

#[test]
fn a_command_over_fifty_embedded_hosts() {
    let home = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = sshoal(home.path());
    demo.env("TMPDIR", temporary.path())
        .args(["demo", "--count", "50", "echo", "hello"]);
    let output = output(&mut demo);
    let out = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{}", stderr(&output));
    assert!(out.contains("50 hosts (127.1.0.1:"), "{out}");
    assert!(out.contains("): ok\n  hello\n"), "{out}");
    assert!(
        out.contains("50 hosts in ") && out.contains(" hosts/s): 50 ok"),
        "{out}"
    );
    assert!(out.contains("kex  p50") && out.contains("p99"), "{out}");
    assert!(
        out.contains("ms CPU per host") && out.contains("MiB of memory"),
        "{out}"
    );
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the fleet's files are left behind");
}

#[test]
fn different_outputs_stay_few_lines_and_failures_have_their_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let demo = output(sshoal(home.path()).args(["demo", "--count", "50", "hostname"]));
    let out = stdout(&demo);
    assert_eq!(demo.status.code(), Some(0), "{}", stderr(&demo));
    assert!(out.contains(": ok\n  host-0000\n"), "{out}");
    assert!(out.contains("other outputs, of 46 hosts"), "{out}");
    let demo = output(sshoal(home.path()).args(["demo", "--count", "3", "exit", "7"]));
    assert_eq!(demo.status.code(), Some(5), "{}", stderr(&demo));
}

#[test]
fn up_keeps_the_fleet_until_a_signal_and_removes_its_files() {
    let mut fleet = Fleet::start(3);
    assert_eq!(fleet.hosts.len(), 3);
    assert!(fleet.key.exists() && fleet.known_hosts.exists());
    let pid = Pid::from_raw(i32::try_from(fleet.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(fleet.wait().code(), Some(0));
    assert!(!fleet.hosts_file.exists());
}

#[test]
fn refuses_a_fleet_of_none() {
    let home = tempfile::tempdir().unwrap();
    let output = output(sshoal(home.path()).args(["demo", "--count", "0"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--count"), "{}", stderr(&output));
}
