//! The test support itself, tried with the system's own `ssh` client and plain sockets.

mod support;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{
    faults::{FullBacklog, Refused, Silent},
    fleet::EmbeddedFleet,
    proxy::{Direction, Ending, Proxy},
    sshd::{Sshd, known_hosts_line},
};

/// Runs a command over the system's client.
fn ssh(sshd: &Sshd, socket: SocketAddr, known_hosts: &str, command: &str) -> Output {
    let client = client(sshd, socket, known_hosts, command).output();
    client.expect("ssh runs: it comes with the package `openssh-client`")
}

/// The system's client, told nothing but what the server's value says.
fn client(sshd: &Sshd, socket: SocketAddr, known_hosts: &str, command: &str) -> Command {
    let known = sshd.scratch().join(format!("known_hosts.{socket}"));
    fs::write(&known, known_hosts).expect("writes known_hosts");
    let mut client = Command::new("ssh");
    client
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()))
        .arg("-i")
        .arg(sshd.key_path())
        .args(["-p", &socket.port().to_string(), "-l", &sshd.user()])
        .arg(socket.ip().to_string())
        .arg(command)
        .stdin(Stdio::null());
    client
}

support::fleet::embedded_fleet!();

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn sshd_runs_a_command_and_logs_the_packets() {
    let Some(sshd) = Sshd::start() else { return };
    let output = ssh(&sshd, sshd.socket(), &sshd.known_hosts(), "echo hi; exit 3");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hi\n",
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(3));
    sshd.wait_for_ends(1, LIMIT);
    assert!(sshd.log().contains("receive packet: type 50"));
}

/// A client that knows another key for the host leaves before it asks for authentication, and the log shows it.
#[test]
fn sshd_log_shows_that_no_authentication_was_asked_for() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(other) = Sshd::start() else { return };
    let wrong = known_hosts_line(sshd.address(), sshd.port(), &other.host_keys()[0]);
    let output = ssh(&sshd, sshd.socket(), &wrong, "echo hi");
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    sshd.wait_for_ends(1, LIMIT);
    assert!(sshd.log().contains("receive packet: type 20"));
    assert!(
        !sshd.log().contains("receive packet: type 50"),
        "{}",
        sshd.log()
    );
}

#[test]
fn sshd_takes_lines_of_configuration_and_key_types() {
    let builder = Sshd::builder().host_keys(&["ecdsa", "ed25519"]);
    let Some(sshd) = builder
        .config("RekeyLimit 16K")
        .config("Ciphers aes128-gcm@openssh.com")
        .start()
    else {
        return;
    };
    assert_eq!(sshd.known_hosts().lines().count(), 2);
    let output = ssh(
        &sshd,
        sshd.socket(),
        &sshd.known_hosts(),
        "head -c 200000 /dev/zero",
    );
    assert_eq!(output.stdout.len(), 200_000, "{output:?}");
    sshd.wait_for_ends(1, LIMIT);
    let log = sshd.log();
    assert!(log.contains("cipher: aes128-gcm@openssh.com"));
    assert!(
        log.matches("SSH2_MSG_NEWKEYS received").count() > 2,
        "no rekeying:\n{log}"
    );
}

#[test]
fn sshd_listens_on_more_addresses_than_one_daemon_takes() {
    let Some(sshd) = Sshd::builder().addresses(40).log_level("INFO").start() else {
        return;
    };
    assert_eq!(sshd.daemons().len(), 3);
    for socket in sshd.sockets() {
        TcpStream::connect(socket).expect("every address takes connections");
    }
    let last = sshd.sockets()[39];
    let output = ssh(&sshd, last, &sshd.known_hosts(), "echo hi");
    assert_eq!(output.stdout, b"hi\n", "{output:?}");
}

/// Holds a session open, drops the server, and sees that the client and the remote command are ended by it.
#[test]
fn sshd_ends_its_children_when_dropped() {
    let Some(sshd) = Sshd::start() else { return };
    let fifo = sshd.scratch().join("fifo");
    let made = Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let command = format!("exec sleep 1000 > {}", fifo.display());
    // The client reads its own files before the remote command starts, so they may go with the server.
    let mut client = client(&sshd, sshd.socket(), &sshd.known_hosts(), &command)
        .spawn()
        .expect("ssh runs");
    sshd.wait_for_log("Starting session: command", LIMIT);
    // Opening returns when the remote command holds the other end, reading when that end is gone.
    let mut remote = fs::File::open(&fifo).expect("opens the fifo");
    drop(sshd);
    let mut rest = Vec::new();
    remote.read_to_end(&mut rest).expect("reads the fifo");
    assert_eq!(client.wait().expect("ssh ends").code(), Some(255));
}

#[test]
fn refused_port_refuses() {
    let refused = Refused::on(Ipv4Addr::new(127, 3, 0, 1));
    let error = TcpStream::connect(refused.address()).expect_err("refuses");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn full_backlog_leaves_connects_hanging() {
    let full = FullBacklog::on(Ipv4Addr::new(127, 3, 0, 2));
    let limit = Duration::from_millis(300);
    let error = TcpStream::connect_timeout(&full.address(), limit).expect_err("hangs");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn silent_server_says_what_it_was_told_and_keeps_what_it_heard() {
    let silent = Silent::after(Ipv4Addr::LOCALHOST, b"SSH-2.0-x\r\n");
    let mut client = TcpStream::connect(silent.address()).expect("connects");
    let mut said = [0; 11];
    client.read_exact(&mut said).expect("reads");
    assert_eq!(&said, b"SSH-2.0-x\r\n");
    client.write_all(b"hello").expect("writes");
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("sets the timeout");
    let error = client.read(&mut said).expect_err("silent");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    // It closes when it has read the client's EOF: by then it has kept all that came before.
    client
        .shutdown(Shutdown::Write)
        .expect("ends our direction");
    client.set_read_timeout(None).expect("sets the timeout");
    assert_eq!(client.read(&mut said).expect("reads"), 0);
    assert_eq!(silent.received(), [b"hello"]);
}

/// A server that sends back what it gets, on threads of its own.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = vec![0; 0x10000];
                while let Ok(count @ 1..) = (&client).read(&mut buffer) {
                    if (&client).write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Sends `bytes` through `proxy` from one thread while another reads, and returns what came back.
fn through(proxy: &Proxy, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let client = TcpStream::connect(proxy.address())?;
    let mut back = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = (&client).write_all(bytes);
            let _ = client.shutdown(Shutdown::Write);
        });
        (&client).read_to_end(&mut back).map(|_| ())
    })?;
    Ok(back)
}

/// 32 connections at once, each with one megabyte both ways: in order, later than the delay, and not slowed down.
#[test]
fn delay_proxy_delays_without_limiting_the_rate() {
    let proxy = Proxy::to(echo())
        .round_trip(Duration::from_millis(100))
        .start();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert!(through(&proxy, &sent).expect("passes") == sent));
        }
    });
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    // A round trip for each kilobyte would take 100 s.
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(proxy.accepted(), 32);
    assert_eq!(proxy.passed(Direction::ToClient), 32_000_000);
}

#[test]
fn dribble_proxy_keeps_every_byte() {
    let proxy = Proxy::to(echo())
        .dribble(1..=200)
        .small_buffers()
        .seed(7)
        .start();
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    assert!(through(&proxy, &sent).expect("passes") == sent);
}

#[test]
fn reset_proxy_resets_after_the_bytes() {
    let script = Proxy::to(echo()).end_after(Direction::ToServer, 1000, Ending::Reset);
    let error = through(&script.start(), &[1; 5000]).expect_err("is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn close_proxy_closes_after_exactly_the_bytes() {
    let script = Proxy::to(echo()).end_after(Direction::ToClient, 1000, Ending::Close);
    assert_eq!(
        through(&script.start(), &[1; 5000]).expect("ends in order"),
        [1; 1000]
    );
}

#[test]
fn stall_proxy_stalls_after_exactly_the_bytes() {
    let proxy = Proxy::to(echo())
        .end_after(Direction::ToClient, 1000, Ending::Stall)
        .start();
    let mut client = TcpStream::connect(proxy.address()).expect("connects");
    client.write_all(&[1; 5000]).expect("writes");
    client
        .read_exact(&mut [0; 1000])
        .expect("reads what passes");
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("sets the timeout");
    let error = client.read(&mut [0; 1]).expect_err("stalls");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn sshd_works_through_a_slow_dribbling_proxy() {
    let Some(sshd) = Sshd::start() else { return };
    let script = Proxy::to(sshd.socket()).round_trip(Duration::from_millis(20));
    let proxy = script.dribble(1..=200).start();
    let known = known_hosts_line(
        proxy.address().ip(),
        proxy.address().port(),
        &sshd.host_keys()[0],
    );
    let output = ssh(&sshd, proxy.address(), &known, "head -c 100000 /dev/zero");
    assert_eq!(output.stdout.len(), 100_000, "{output:?}");
}

/// Starts a fleet, runs a command on the last of its hosts with the system's client, and asks for its counts.
#[test]
fn embedded_fleet_runs_in_a_child_process() {
    let fleet = EmbeddedFleet::start(30);
    assert_eq!((fleet.hosts(), fleet.addresses().len()), (30, 30));
    let output = Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            fleet.known_hosts_path().display()
        ))
        .arg("-i")
        .arg(fleet.key_path())
        .args(["-p", &fleet.port().to_string(), "-l", "anyone"])
        .arg(fleet.address(29).to_string())
        .arg("echo hi")
        .stdin(Stdio::null())
        .output()
        .expect("ssh runs: it comes with the package `openssh-client`");
    assert_eq!(output.stdout, b"hi\n", "{output:?}");
    assert_eq!(
        (fleet.count("execs"), fleet.count("auth_publickey")),
        (1, 1)
    );
}
