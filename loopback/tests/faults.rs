//! What a client meets on hosts with a fault.

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sshoal_loopback::address;
use support::{ChildFleet, counter};

fn connect(fleet: &ChildFleet, host: usize) -> TcpStream {
    TcpStream::connect((address(host), fleet.ready.port())).expect("the fleet is ready")
}

#[test]
fn silent_sends_nothing_and_close_ends_at_once() {
    let fleet = ChildFleet::start(&[
        "--hosts",
        "3",
        "--fault",
        "silent=0",
        "--fault",
        "close=1-1",
    ]);
    let mut silent = connect(&fleet, 0);
    silent.write_all(b"SSH-2.0-test\r\n").unwrap();
    silent
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let error = silent.read(&mut [0; 64]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    assert_eq!(connect(&fleet, 1).read(&mut [0; 64]).unwrap(), 0);
    assert!(fleet.ssh(2, "true", b"").status.success());
}

#[test]
fn banner_flood_has_no_end_and_stall_kex_stops_after_its_version() {
    let fleet = ChildFleet::start(&[
        "--hosts",
        "2",
        "--fault",
        "banner-flood=0",
        "--fault",
        "stall-kex=1",
    ]);
    let mut flood = vec![0; 8 << 20];
    connect(&fleet, 0).read_exact(&mut flood).unwrap();
    assert!(!flood.windows(4).any(|four| four == b"SSH-"));
    let mut stalled = connect(&fleet, 1);
    stalled
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut seen = Vec::new();
    stalled.read_to_end(&mut seen).unwrap_err();
    assert_eq!(seen, b"SSH-2.0-sshoal-loopback\r\n");
}

#[test]
fn wrong_host_keys_refusals_and_lost_statuses_look_right_to_ssh() {
    let fleet = ChildFleet::start(&[
        "--hosts=3",
        "--fault=other-key=0",
        "--fault=deny=1",
        "--fault=no-status=2",
    ]);
    let changed = fleet.ssh(0, "true", b"");
    assert_eq!(changed.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&changed.stderr).contains("Host key verification failed"));
    let denied = fleet.ssh(1, "true", b"");
    assert!(String::from_utf8_lossy(&denied.stderr).contains("Permission denied"));
    assert_eq!(fleet.ssh(2, "echo lost", b"").status.code(), Some(255));
    let (_, line) = fleet.end();
    // The client of the host with the other key has to leave before it asks for anything.
    assert_eq!(counter(&line, "auth_none"), 2, "{line}");
}

#[test]
fn reset_breaks_the_connection_in_the_middle_of_the_output() {
    for args in [
        &["--hosts=1", "--fault=reset=0"][..],
        &["--hosts=1", "--fault=reset=0", "--delay-ms=4"],
    ] {
        let fleet = ChildFleet::start(args);
        let out = fleet.ssh(0, "echo whole", b"");
        assert_eq!(out.status.code(), Some(255));
        // At most the one whole packet arrives; the next is cut off.
        assert!(out.stdout.len() <= 32 * 1024, "{}", out.stdout.len());
    }
}

/// Goal: the stalls keep a client waiting where they say. Method: a client with its log on is
/// killed as soon as the log shows the step before the stall, and the counters tell the rest.
#[test]
fn stalls_leave_the_client_waiting_at_their_step() {
    let fleet = ChildFleet::start(&[
        "--hosts=3",
        "--fault=stall-auth=0",
        "--fault=stall-open=1",
        "--fault=stall-exec=2",
    ]);
    let reaches = |host: usize, step: &str, never: &str| {
        let mut command = fleet.client("ssh");
        command
            .arg("-vv")
            .arg("-o")
            .arg("LogLevel=DEBUG2")
            .arg("-i")
            .arg(fleet.file("user_ed25519"));
        command.arg(format!("x@{}", address(host))).arg("true");
        command
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        let mut client = command.spawn().unwrap();
        let mut log = std::io::BufReader::new(client.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains(step) {
            let read = std::io::BufRead::read_line(&mut log, &mut seen).unwrap();
            assert!(read > 0 && !seen.contains(never), "{seen}");
        }
        assert!(client.try_wait().unwrap().is_none());
        client.kill().unwrap();
        client.wait().unwrap();
    };
    reaches(0, "Offering public key", "Server accepts key");
    reaches(1, "Authenticated to", "channel 0: open confirm");
    reaches(2, "Sending command: true", "exit-status");
}
