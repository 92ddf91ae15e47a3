//! What OpenSSH's client gets from the hosts' commands.

mod support;

use std::net::Ipv4Addr;

use support::{ChildFleet, counter, noise};

/// Goal: each command's output and end reach a real client. Method: one call of ssh for each.
#[test]
fn commands_give_their_output_and_exit_status() {
    let fleet = ChildFleet::start(&["--hosts", "300"]);
    #[track_caller]
    fn check(fleet: &ChildFleet, host: usize, line: &str, wanted: (&str, &str, i32)) {
        let out = fleet.ssh(host, line, b"");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seen = (
            text(&out.stdout),
            text(&out.stderr),
            out.status.code().unwrap(),
        );
        assert_eq!((seen.0.as_str(), seen.1.as_str(), seen.2), wanted, "{line}");
    }
    check(&fleet, 0, "echo hello  world", ("hello world\n", "", 0));
    check(&fleet, 299, "hostname", ("host-0299\n", "", 0));
    check(&fleet, 1, "true", ("", "", 0));
    check(&fleet, 1, "false", ("", "", 1));
    check(&fleet, 1, "exit 42", ("", "", 42));
    check(&fleet, 1, "sleep 0.05", ("", "", 0));
    check(&fleet, 1, "stderr oh no", ("", "oh no\n", 0));
    check(
        &fleet,
        1,
        "reboot",
        ("", "sh: reboot: command not found\n", 127),
    );
    check(&fleet, 1, "yes 5", ("y\ny\ny", "", 0));
    check(
        &fleet,
        1,
        "uname -a",
        ("Linux sshoal-loopback 6.1.0 x86_64 GNU/Linux\n", "", 0),
    );
    // OpenSSH's exit code for "no status" and for an exit signal.
    check(&fleet, 1, "nostatus", ("", "", 255));
    let killed = fleet.ssh(1, "signal TERM", b"");
    assert_eq!(killed.status.code(), Some(255));
    let (status, line) = fleet.end();
    assert!(status.success());
    assert_eq!(counter(&line, "execs"), 12, "{line}");
    assert_eq!(counter(&line, "auth_publickey"), 12, "{line}");
}

#[test]
fn cat_returns_5_mb_byte_for_byte() {
    let fleet = ChildFleet::start(&["--hosts", "2"]);
    let input = noise(5_000_000);
    let out = fleet.ssh(1, "cat", &input);
    assert!(out.status.success());
    assert!(out.stdout == input, "{} bytes came back", out.stdout.len());
}

#[test]
fn hash_counts_what_it_reads() {
    let fleet = ChildFleet::start(&["--hosts", "1"]);
    let out = fleet.ssh(0, "hash", b"foobar");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "6 85944171f73967e8\n");
}

#[test]
fn long_outputs_have_exactly_the_bytes_asked_for() {
    let fleet = ChildFleet::start(&["--hosts", "1"]);
    let out = fleet.ssh(0, "yes 10000001", b"");
    assert!(out.status.success());
    assert_eq!(out.stdout.len(), 10_000_001);
    let right = |(i, byte): (usize, &u8)| *byte == if i % 2 == 0 { b'y' } else { b'\n' };
    assert!(out.stdout.iter().enumerate().all(right));
    assert_eq!(
        fleet.ssh(0, "head -c 3000000 /dev/zero", b"").stdout.len(),
        3_000_000
    );
}

/// Goal: output waits for the client's window and not in the fleet's memory. Method: ask for 1 GB,
/// read a little, and look at the fleet's memory when the count of sent bytes stands still.
#[test]
fn unread_output_does_not_pile_up_in_memory() {
    let mut fleet = ChildFleet::start(&["--hosts", "1"]);
    let mut command = fleet.client("ssh");
    command
        .arg("-i")
        .arg(fleet.file("user_ed25519"))
        .arg("x@127.1.0.1")
        .arg("yes 1000000000");
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    let mut client = command.spawn().unwrap();
    let mut first = [0; 4096];
    std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut first).unwrap();
    let mut report = || {
        rustix::process::kill_process(fleet.pid(), rustix::process::Signal::USR1).unwrap();
        fleet.next_line()
    };
    let (mut line, mut same) = (report(), 0);
    while same < 20 {
        let next = report();
        let still = counter(&next, "output_bytes") == counter(&line, "output_bytes");
        same = if still { same + 1 } else { 0 };
        line = next;
    }
    assert!(counter(&line, "output_bytes") < 100_000_000, "{line}");
    assert!(counter(&line, "rss_peak_kib") < 64 * 1024, "{line}");
    client.kill().unwrap();
    client.wait().unwrap();
}

#[test]
fn a_key_that_is_not_the_fleets_is_refused() {
    let fleet = ChildFleet::start(&["--hosts", "1"]);
    let other = ChildFleet::start(&["--hosts", "1"]);
    let mut command = fleet.client("ssh");
    command
        .arg("-i")
        .arg(other.file("user_ed25519"))
        .arg("x@127.1.0.1")
        .arg("true");
    let out = support::feed(command, b"");
    assert_eq!(out.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&out.stderr).contains("Permission denied"));
    let (_, line) = fleet.end();
    assert_eq!(
        (
            counter(&line, "auth_offered"),
            counter(&line, "auth_publickey")
        ),
        (1, 0),
        "{line}"
    );
}

#[test]
fn the_password_is_offered_only_when_set() {
    for (args, wanted) in [
        (&["--hosts", "1"][..], "(publickey)"),
        (
            &["--hosts", "1", "--password", "secret"],
            "(publickey,password)",
        ),
    ] {
        let fleet = ChildFleet::start(args);
        let out = fleet.ssh_as(0, "true", b"", &["-o", "PubkeyAuthentication=no"]);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(stderr.contains(wanted), "{stderr}");
    }
}

#[test]
fn delay_adds_a_round_trip_without_changing_bytes() {
    let fleet = ChildFleet::start(&["--hosts", "1", "--delay-ms", "40"]);
    let input = noise(3_000_000);
    let start = std::time::Instant::now();
    let out = fleet.ssh(0, "cat", &input);
    // Version, key exchange, two authentications, open and exec: at least five round trips.
    assert!(start.elapsed() >= std::time::Duration::from_millis(5 * 40));
    assert!(out.status.success() && out.stdout == input);
}

#[test]
fn hosts_beyond_the_fleet_are_not_served() {
    let fleet = ChildFleet::start(&["--hosts", "2"]);
    for address in [sshoal_loopback::address(2), Ipv4Addr::LOCALHOST] {
        let stream = std::net::TcpStream::connect((address, fleet.ready.port()));
        let mut read = Vec::new();
        let bytes = stream.and_then(|mut s| std::io::Read::read_to_end(&mut s, &mut read));
        assert!(matches!(bytes, Ok(0) | Err(_)), "{address}: {bytes:?}");
    }
}
