//! `sshoal demo` end to end, and what limits of this machine do to a run on its fleet.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![cfg(feature = "demo")]

mod support;

use std::process::Command;

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

/// How many hosts there are on a machine without room; `SSHOAL_LIMITED_HOSTS` sets another number.
fn limited_hosts() -> usize {
    let set = std::env::var("SSHOAL_LIMITED_HOSTS").ok();
    set.map_or(200, |count| count.parse().expect("is a number"))
}

/// The same command behind a script, which ends in `exec "$0" "$@"`.
fn behind(script: &str, command: &Command) -> Command {
    let mut behind = Command::new("sh");
    behind.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]);
    behind.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => behind.env(name, value),
            None => behind.env_remove(name),
        };
    }
    behind
}

/// H14, P6: of all hosts at once, some thirty have a descriptor. The limit is named with what raises
/// it, the others wait, and all end well.
#[test]
fn hosts_without_a_descriptor_wait_and_all_end_well() {
    let count = limited_hosts();
    let fleet = Fleet::start(count);
    let mut run = fleet.run();
    run.args(["--par", "1000", "-h"]).arg(&fleet.hosts_file);
    run.args(["echo", "ok"]);
    let limited = output(&mut behind("ulimit -n 64", &run));
    let said = stderr(&limited);
    assert_eq!(limited.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{count} ok")), "{said}");
    let named = format!(" at once, not {count}; ");
    assert!(
        said.contains(&named) && said.contains("`ulimit -n`"),
        "{said}"
    );
    assert_eq!(said.matches(&named).count(), 1, "{said}");
    // With room for all nothing is said.
    let free = output(&mut behind("ulimit -n 4096", &run));
    assert!(!stderr(&free).contains(" at once"), "{}", stderr(&free));
}

/// H14, P6: fifty ports for three times as many sessions to one address, in a network of our own:
/// those without one wait until one is free, and all end well.
#[test]
fn hosts_without_a_port_wait_and_all_end_well() {
    const TEST: &str = "hosts_without_a_port_wait_and_all_end_well";
    const ROLE: &str = "SSHOAL_TEST_PORTS";
    const NETWORK: &str = "ip link set lo up && \
        echo 40000 40049 >/proc/sys/net/ipv4/ip_local_port_range || exit 77";
    if std::env::var_os(ROLE).is_some() {
        return in_fifty_ports();
    }
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", TEST, "--nocapture"]).env(ROLE, "1");
    let script = behind(NETWORK, &own);
    let mut network = Command::new("unshare");
    network.arg("--net").arg(script.get_program());
    network.args(script.get_args()).env(ROLE, "1");
    let Ok(tried) = network.output() else {
        return println!("skipped: there is no unshare");
    };
    let said = format!("{}{}", stdout(&tried), stderr(&tried));
    if tried.status.code() == Some(77) || said.contains("unshare failed") {
        return println!("skipped: a network of our own takes root: {said}");
    }
    assert!(tried.status.success(), "{said}");
}

fn in_fifty_ports() {
    let fleet = Fleet::start(1);
    let users: Vec<String> = (0..150)
        .map(|n| format!("u{n}@{}", fleet.hosts[0]))
        .collect();
    let mut run = fleet.run();
    run.args(["--par", "150", "-H", &users.join(" "), "sleep", "1"]);
    let limited = output(&mut run);
    let said = stderr(&limited);
    assert_eq!(limited.status.code(), Some(0), "{said}");
    assert!(said.contains("150 ok"), "{said}");
}
