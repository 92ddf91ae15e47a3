//! The fleet as a process: how it starts, says so, and ends.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};
use support::{ChildFleet, counter};

#[test]
fn ends_with_its_counters_when_stdin_closes() {
    let (status, line) = ChildFleet::start(&["--hosts", "1"]).end();
    assert!(status.success());
    assert!(line.starts_with("counters accepted=0 "), "{line}");
}

#[test]
fn ends_on_terminate_and_interrupt_and_reports_on_usr1() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut fleet = ChildFleet::start(&["--hosts", "1", "--stay"]);
        assert!(fleet.ssh(0, "true", b"").status.success());
        kill_process(fleet.pid(), Signal::USR1).unwrap();
        assert_eq!(counter(&fleet.next_line(), "execs"), 1);
        kill_process(fleet.pid(), signal).unwrap();
        let (status, line) = fleet.wait();
        assert!(status.success());
        assert_eq!(line.matches("counters").count(), 1, "{line}");
    }
}

#[test]
fn writes_its_files_for_the_owner_only() {
    let fleet = ChildFleet::start(&["--hosts", "3"]);
    let port = fleet.ready.port();
    let hosts = std::fs::read_to_string(fleet.file("hosts")).unwrap();
    assert_eq!(
        hosts,
        format!("127.1.0.1:{port}\n127.1.0.2:{port}\n127.1.0.3:{port}\n")
    );
    let known_hosts = std::fs::read_to_string(fleet.file("known_hosts")).unwrap();
    assert!(
        known_hosts.starts_with(&format!("[127.*]:{port} ssh-ed25519 ")),
        "{known_hosts}"
    );
    for name in ["hosts", "known_hosts", "user_ed25519", "user_ed25519.pub"] {
        let mode = std::fs::metadata(fleet.file(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn per_host_listeners_share_one_port() {
    let fleet = ChildFleet::start(&["--hosts", "5", "--per-host-listeners", "--kex", "curve"]);
    assert_eq!(fleet.ready.listeners(), 5);
    for host in 0..5 {
        assert!(fleet.ssh(host, "true", b"").status.success());
    }
}

#[test]
fn mistakes_end_it_with_a_message_and_exit_code() {
    #[track_caller]
    fn check(args: &[&str], code: i32, message: &str) {
        let out = Command::new(env!("CARGO_BIN_EXE_sshoal-loopback"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(code));
        assert_eq!(
            String::from_utf8_lossy(&out.stderr),
            format!("sshoal-loopback: {message}\n")
        );
        assert!(out.stdout.is_empty());
    }
    check(&["--nothing"], 2, "unknown option \"--nothing\"");
    check(
        &["--hosts", "9999999"],
        1,
        "9999999 hosts are too many; at most 1000000",
    );
    let outside = "fault deny=2-5 is outside of hosts 0 to 4";
    check(&["--hosts=5", "--fault=deny=2-5"], 1, outside);
    check(
        &["--hosts=5", "--fault=deny=1-3", "--fault=close=3"],
        1,
        "host 3 has two faults",
    );
    let missing = "cannot write to /nowhere/at/all: No such file or directory (os error 2)";
    check(&["--dir", "/nowhere/at/all"], 1, missing);
}
