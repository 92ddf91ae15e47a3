//! `sshoal forward` against OpenSSH's sshd: ports are up when it says so, bytes go both ways, and
//! every end is told apart.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::openssh::sshd::Sshd;
use support::{WHOLE_MAX, ends_within, output, sshoal, stderr, stdout};

/// Far above what anything here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

/// `sshoal forward` with all that it takes to get in, but for the host.
fn forward(sshd: &Sshd) -> Command {
    let scratch = sshd.scratch();
    let mut command = sshoal(&scratch);
    command.args(["forward", "-F", "none", "--identity"]);
    command
        .arg(sshd.key_path())
        .args(["-l", &sshd.user(), "-O"]);
    let known = sshd.known_hosts_path();
    command.arg(format!("UserKnownHostsFile={}", known.display()));
    command
}

fn hosts(sshd: &Sshd) -> String {
    let sockets = sshd.sockets();
    let sockets: Vec<_> = sockets.iter().map(ToString::to_string).collect();
    sockets.join(" ")
}

/// A forwarding process, ended when it is dropped.
struct Forwarding {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Forwarding {
    fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Reads one line, `host<tab>sort place -> destination`, as these four.
    #[track_caller]
    fn line(&mut self) -> [String; 4] {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            let mut stderr = self.child.stderr.take().unwrap();
            stderr.read_to_string(&mut said).unwrap();
            panic!("it ended: {said}");
        }
        let (host, rest) = line.trim_end().split_once('\t').unwrap();
        let (sort, rest) = rest.split_once(' ').unwrap();
        let (place, to) = rest.split_once(" -> ").unwrap();
        [host, sort, place, to].map(str::to_owned)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; exit code and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends back what it got to everybody, for as long as the test runs.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    });
    address
}

/// Sends bytes by this way and expects them back.
#[track_caller]
fn ask(way: &str) {
    let mut stream = TcpStream::connect(way).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    let (mut writer, to_send) = (stream.try_clone().unwrap(), bytes.clone());
    let sending = thread::spawn(move || {
        writer.write_all(&to_send).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    sending.join().unwrap();
    assert!(back == bytes, "{} bytes came back", back.len());
}

#[track_caller]
fn wait_until_refused(way: &str) {
    let begun = Instant::now();
    while TcpStream::connect(way).is_ok() {
        assert!(begun.elapsed() < LIMIT, "{way} is still listened on");
        thread::yield_now();
    }
}

#[test]
fn both_directions_carry_every_byte_through_one_host() {
    let Some(sshd) = Sshd::start() else { return };
    let target = echo();
    let spec = |port| format!("{port}:127.0.0.1:{}", target.port());
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L", &spec("0"), "-R", &spec("0")]);
    command.args(["-L", &spec("127.0.0.9:0")]);
    let mut forwarding = Forwarding::start(&mut command);
    let label = sshd.socket().to_string();
    let to = format!("127.0.0.1:{}", target.port());
    let begins = [
        ("local", "127.0.0.1:"),
        ("local", "127.0.0.9:"),
        ("remote", "localhost:"),
    ];
    let ways = begins.map(|(sort, begin)| {
        let line = forwarding.line();
        assert_eq!([&line[0], &line[1], &line[3]], [&label, sort, &to]);
        assert!(line[2].starts_with(begin), "{line:?}");
        line[2].replace("localhost", "127.0.0.1")
    });
    for way in ways.iter().chain(&ways) {
        ask(way);
    }
}

/// SIGTERM and Ctrl-C end it in time, with nothing said, and nothing is listened on any more, here
/// and on the host.
#[test]
fn signals_end_it_with_no_listener_left() {
    let end = |signal, code| {
        let Some(sshd) = Sshd::start() else {
            return Duration::ZERO;
        };
        let socket = sshd.scratch().join("socket");
        let at_socket = format!("{}:127.0.0.1:1", socket.display());
        let mut command = forward(&sshd);
        command.args(["-H", &hosts(&sshd), "-L", "0:127.0.0.1:1"]);
        command.args(["-L", &at_socket, "-R", "127.0.0.1:0:127.0.0.1:1"]);
        let mut forwarding = Forwarding::start(&mut command);
        let [local, _, remote] = [(), (), ()].map(|()| forwarding.line()[2].clone());
        assert!(socket.exists());
        let begun = Instant::now();
        forwarding.signal(signal);
        let (ended, said) = forwarding.end();
        let took = begun.elapsed();
        assert_eq!((ended, said.as_str()), (Some(code), ""));
        TcpStream::connect(&local).unwrap_err();
        assert!(!socket.exists() || took >= WHOLE_MAX);
        wait_until_refused(&remote);
        took
    };
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        ends_within(WHOLE_MAX, || end(signal, code));
    }
}

/// Each of three hosts gets a port of its own, and leads to its own side.
#[test]
fn port_0_is_a_port_for_each_host() {
    let builder = Sshd::builder().addresses(3);
    let Some(sshd) = builder.start() else { return };
    let spec = format!("0:127.0.0.1:{}", echo().port());
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L", &spec, "-q"]);
    let mut forwarding = Forwarding::start(&mut command);
    let mut lines = [(), (), ()].map(|()| forwarding.line());
    lines.sort();
    let labels: Vec<_> = lines.iter().map(|line| line[0].clone()).collect();
    let expected: Vec<_> = sshd.sockets().iter().map(ToString::to_string).collect();
    assert_eq!(labels, expected);
    let mut ways: Vec<_> = lines.iter().map(|line| line[2].clone()).collect();
    ways.iter().for_each(|way| ask(way));
    ways.sort();
    ways.dedup();
    assert_eq!(ways.len(), 3);
}

/// A host whose session is lost is told at once and closes its port; the other one goes on, and its
/// end with the signal does not hide the failure of the first.
#[test]
fn a_lost_host_is_told_and_the_others_go_on() {
    let Some(first) = Sshd::start() else { return };
    let second = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 0, 77));
    let Some(second) = second.start() else { return };
    let known = first.scratch().join("known_hosts");
    std::fs::write(&known, first.known_hosts() + &second.known_hosts()).unwrap();
    second.authorize(&first.public_key());
    let spec = format!("0:127.0.0.1:{}", echo().port());
    let mut command = forward(&first);
    command
        .arg("-O")
        .arg(format!("GlobalKnownHostsFile={}", known.display()));
    command.args(["-H", &hosts(&first), "-H", &hosts(&second), "-L", &spec]);
    let mut forwarding = Forwarding::start(&mut command);
    let mut lines = [(), ()].map(|()| forwarding.line());
    lines.sort_by_key(|line| line[0] != second.socket().to_string());
    let [lost, kept] = lines.map(|line| line[2].clone());
    ask(&lost);
    kill(&second);
    let mut stderr = BufReader::new(forwarding.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let start = format!("[1/2] {} failed: run: Connection ", second.socket());
    assert!(line.starts_with(&start), "{line:?}");
    wait_until_refused(&lost);
    ask(&kept);
    kill(&first);
    line.clear();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("[2/2] "), "{line:?}");
    assert_eq!(forwarding.child.wait().unwrap().code(), Some(4));
}

/// Kills a server with everything that serves its connections.
fn kill(sshd: &Sshd) {
    for daemon in sshd.daemons() {
        daemon.signal_tree(Signal::KILL);
    }
}

#[test]
fn what_a_host_refuses_is_that_hosts_failure() {
    let refusing = Sshd::builder().config("AllowTcpForwarding local");
    let Some(sshd) = refusing.start() else { return };
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L", "0:a:1", "-R", "8080:a:1"]);
    let said = failed(&mut command);
    let reason = "failed: open: -R 8080:a:1: the host refused to listen on localhost:8080";
    assert!(said.contains(reason), "{said}");
}

#[test]
fn a_port_that_is_taken_is_told_with_its_flag() {
    let Some(sshd) = Sshd::start() else { return };
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let spec = format!("{}:a:1", taken.local_addr().unwrap().port());
    let mut command = forward(&sshd);
    let said = failed(command.args(["-H", &hosts(&sshd), "-L", &spec]));
    let reason = format!("failed: local: -L {spec}: cannot listen: Address already in use");
    assert!(said.contains(&reason), "{said}");
}

#[test]
fn a_host_that_is_not_there_fails_as_in_run() {
    let Some(sshd) = Sshd::start() else { return };
    let unused = TcpListener::bind((Ipv4Addr::new(127, 2, 0, 88), 0)).unwrap();
    let address = unused.local_addr().unwrap().to_string();
    drop(unused);
    let mut command = forward(&sshd);
    let said = failed(command.args(["-H", &address, "-L", "0:a:1", "--retries", "1", "-v"]));
    assert!(
        said.contains("failed: connect: Connection refused"),
        "{said}"
    );
    assert!(said.contains("2 attempts"), "{said}");
}

/// Runs to the end with exit code 4 and no forwarding; standard error.
#[track_caller]
fn failed(command: &mut Command) -> String {
    let output: Output = output(command);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    stderr(&output)
}

/// Unix sockets stand on either side; ours is the user's alone and is removed in the end.
#[test]
fn unix_sockets_stand_on_either_side() {
    let Some(sshd) = Sshd::start() else { return };
    let ours = sshd.scratch().join("ours");
    let theirs = sshd.scratch().join("theirs");
    let listener = UnixListener::bind(&theirs).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"hello").unwrap();
        }
    });
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L"]);
    command.arg(format!("{}:{}", ours.display(), theirs.display()));
    command.args(["-L", &format!("0:{}", theirs.display())]);
    command.args(["-R", &format!("127.0.0.1:0:{}", theirs.display())]);
    let mut forwarding = Forwarding::start(&mut command);
    let lines = [(), (), ()].map(|()| forwarding.line());
    assert_eq!(
        lines[0][2..],
        [ours.display(), theirs.display()].map(|p| p.to_string())
    );
    let read = |stream: &mut dyn Read| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    };
    read(&mut UnixStream::connect(&ours).unwrap());
    for line in &lines[1..] {
        read(&mut TcpStream::connect(&line[2]).unwrap());
    }
    let mode = std::fs::metadata(&ours).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

/// A jump host by `-O`, and one by a file: the host hears of the jump host alone.
#[test]
fn forwardings_go_through_jump_hosts() {
    let Some(jump) = Sshd::start() else { return };
    let target = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 0, 99));
    let Some(target) = target.start() else { return };
    target.authorize(&jump.public_key());
    let known = jump.scratch().join("known_hosts");
    std::fs::write(&known, jump.known_hosts() + &target.known_hosts()).unwrap();
    let spec = format!("0:127.0.0.1:{}", echo().port());
    let whole = format!("{}@{}", jump.user(), jump.socket());
    let config = jump.scratch().join("config");
    let lines = [
        format!("UserKnownHostsFile {}", known.display()),
        format!("IdentityFile {}", jump.key_path().display()),
        format!("User {}\n", jump.user()),
    ];
    std::fs::write(&config, lines.join("\n")).unwrap();
    let with_jump = jump.scratch().join("config_jump");
    let lines = [
        format!("Host {}\nProxyJump {whole}", target.address()),
        format!("Host *\nInclude {}\n", config.display()),
    ];
    std::fs::write(&with_jump, lines.join("\n")).unwrap();
    let home = jump.scratch();
    let with = |config: &Path| {
        let mut command = sshoal(&home);
        command.args(["forward", "-F"]).arg(config);
        command
    };
    // As with ssh, options of the command line are the host's, and files count for both.
    let mut by_option = with(&config);
    by_option.args(["-O", &format!("ProxyJump={whole}")]);
    let by_file = with(&with_jump);
    for mut command in [by_option, by_file] {
        let mark = jump.log_mark();
        command.args(["-H", &hosts(&target), "-L", &spec]);
        let mut forwarding = Forwarding::start(&mut command);
        ask(&forwarding.line()[2]);
        assert!(
            jump.log()[mark..].contains("direct-tcpip"),
            "{}",
            jump.log()
        );
    }
}

/// A host that asks an idle client for signs of life gets them, and the session stays.
#[test]
fn an_idle_forwarding_answers_the_hosts_questions() {
    let asking = Sshd::builder()
        .config("ClientAliveInterval 1")
        .config("ClientAliveCountMax 2");
    let Some(sshd) = asking.start() else { return };
    let spec = format!("0:127.0.0.1:{}", echo().port());
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L", &spec]);
    let mut forwarding = Forwarding::start(&mut command);
    let way = forwarding.line()[2].clone();
    let begun = Instant::now();
    // Two that are not answered end the session, so a fifth is proof.
    while sshd.log().matches("client_alive").count() + sshd.log().matches("keepalive@").count() < 5
    {
        assert!(begun.elapsed() < LIMIT, "{}", sshd.log());
        assert_eq!(forwarding.child.try_wait().unwrap(), None);
        thread::park_timeout(Duration::from_millis(100));
    }
    ask(&way);
}

#[test]
fn the_deadline_ends_it() {
    let Some(sshd) = Sshd::start() else { return };
    let mut command = forward(&sshd);
    command.args(["-H", &hosts(&sshd), "-L", "0:a:1", "--deadline", "1"]);
    let output = output(&mut command);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
}

/// Wrong use is refused in one line that names the flag, before anything is connected to.
#[test]
fn wrong_specifications_are_refused_by_flag() {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["nothing to forward", "-L"]),
        (&["-L", "80"], &["-L \"80\"", "[bind:]port:host:hostport"]),
        (
            &["-L", "80:db"],
            &["-L \"80:db\"", "[bind:]port:host:hostport"],
        ),
        (&["-L", "a:80"], &["-L \"a:80\"", "where to connect to"]),
        (&["-L", "80:db:0"], &["-L \"80:db:0\"", "1 to 65535"]),
        (&["-L", "80:db:x"], &["-L \"80:db:x\"", "\"x\" is no port"]),
        (&["-L", "65536:db:1"], &["\"65536\" is no port"]),
        (&["-L", "+1:db:1"], &["\"+1\" is no port"]),
        (&["-L", "80::1"], &["host to connect to is missing"]),
        (&["-L", "80:[::1:22"], &["brackets are not closed"]),
        (&["-L", "1:2:3:4:5"], &["-L \"1:2:3:4:5\"", "hostport"]),
        (&["-L", ""], &["-L \"\"", "where to connect to"]),
        (
            &["-L", "192.0.2.300:1:a:1"],
            &["cannot listen on \"192.0.2.300\""],
        ),
        (&["-R", "1080"], &["-R \"1080\"", "SOCKS"]),
        (
            &["-R", "/run/a:db:1"],
            &["-R \"/run/a:db:1\"", "ports only"],
        ),
        (&["-R", "80:db:0"], &["-R \"80:db:0\"", "1 to 65535"]),
        (
            &["-H", "b", "-L", "80:db:1"],
            &["-L \"80:db:1\"", "2 hosts", "port 80", "port 0"],
        ),
        (&["-H", "b", "-L", "/s:db:1"], &["the socket /s"]),
        (
            &["-H", "b", "-L", "0:db:1", "-p", "1"],
            &["--par 1", "2 hosts"],
        ),
        (&["-L", "0:db:1", "-t", "5"], &["-t", "--deadline"]),
        (&["-L", "0:db:1", "uptime"], &["uptime"]),
    ];
    let home = tempfile::tempdir().unwrap();
    for (args, parts) in cases {
        let mut command = sshoal(home.path());
        let output = output(
            command
                .args(["forward", "-F", "none", "-H", "a"])
                .args(*args),
        );
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{args:?}: {message}");
        for part in *parts {
            assert!(
                message.contains(part),
                "{args:?}: {message:?} lacks {part:?}"
            );
        }
    }
}

#[test]
fn every_flag_has_a_variable() {
    let home = tempfile::tempdir().unwrap();
    let mut command = sshoal(home.path());
    command.args(["forward", "-F", "none", "-H", "a"]);
    command
        .env("SSHOAL_LOCAL_FORWARD", "local")
        .env("SSHOAL_TIMEOUT", "5");
    let output = output(&mut command);
    assert!(
        stderr(&output).contains("-L \"local\""),
        "{}",
        stderr(&output)
    );
}
