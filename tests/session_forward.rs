//! Port forwarding in both directions, and the agent's, against sshd.

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::Arc,
};

use sshoal::{
    Destination, Error, Exit, Kind, Listener, LocalDestination, Phase, Scope, Session,
    forward_local, forward_remote, spawn,
};
use support::{
    sessions::{config_for, host, limit, random_bytes},
    sshd::Sshd,
};

fn session(sshd: &Sshd) -> Arc<Session> {
    let config = config_for(sshd).build().expect("builds");
    Arc::new(Session::connect(&host(sshd.socket()), &config).expect("connects"))
}

/// A server that sends back what it gets, once it has got it all, to this many connections.
fn echo(connections: usize) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let address = listener.local_addr().expect("is bound");
    let serving = std::thread::spawn(move || {
        let taken: Vec<_> = (0..connections)
            .map(|_| {
                let (mut stream, _) = listener.accept().expect("accepts");
                std::thread::spawn(move || {
                    let mut all = Vec::new();
                    stream.read_to_end(&mut all).expect("reads");
                    stream.write_all(&all).expect("writes");
                })
            })
            .collect();
        for one in taken {
            one.join().expect("no panic");
        }
    });
    (address, serving)
}

/// Sends bytes to an echo server by this way, and checks what comes back.
fn ask(way: SocketAddr, seed: u64) {
    let mut stream = TcpStream::connect(way).expect("connects");
    let bytes = random_bytes(300_000, seed);
    let (mut writer, to_send) = (stream.try_clone().expect("clones"), bytes.clone());
    let sending = std::thread::spawn(move || {
        writer.write_all(&to_send).expect("writes");
        writer.shutdown(Shutdown::Write).expect("ends");
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("reads");
    sending.join().expect("no panic");
    assert!(back == bytes, "{} bytes came back", back.len());
}

#[test]
fn local_connections_are_made_by_the_host() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let (target, serving) = echo(8);
    let session = session(&sshd);
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
    let way = listener.address().expect("is TCP");
    let (scope, within) = (Scope::root(), session.clone());
    let inner = scope.clone();
    let forwarding = spawn(move || {
        let destination = Destination::Tcp("127.0.0.1".into(), target.port());
        forward_local(&within, &listener, &destination, &inner)
    });
    let forwarding = forwarding.expect("spawns");
    let asking: Vec<_> = (0..8)
        .map(|seed| std::thread::spawn(move || ask(way, seed)))
        .collect();
    for one in asking {
        one.join().expect("no panic");
    }
    serving.join().expect("no panic");
    scope.cancel();
    forwarding
        .join()
        .expect("no panic")
        .expect_err("is cancelled");
    assert!(session.is_open());
}

/// What the host cannot reach costs that connection and nothing else.
#[test]
fn a_refused_connection_is_closed_and_the_next_one_taken() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let session = session(&sshd);
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
    let way = listener.address().expect("is TCP");
    let refused = support::faults::Refused::on(Ipv4Addr::LOCALHOST);
    let port = refused.address().port();
    let (scope, within) = (Scope::root(), session.clone());
    let inner = scope.clone();
    let forwarding = spawn(move || {
        forward_local(
            &within,
            &listener,
            &Destination::Tcp("127.0.0.1".into(), port),
            &inner,
        )
    });
    let forwarding = forwarding.expect("spawns");
    for _ in 0..2 {
        let mut stream = TcpStream::connect(way).expect("connects");
        assert_eq!(stream.read(&mut [0]).expect("ends"), 0);
    }
    scope.cancel();
    let _ = forwarding.join().expect("no panic");
}

#[test]
fn connections_to_the_hosts_port_come_here() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let (target, serving) = echo(8);
    let session = session(&sshd);
    let listener = session.listen("127.0.0.1", 0, &limit()).expect("listens");
    let way = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.port()));
    assert_ne!(way.port(), 0);
    let scope = Scope::root();
    let inner = scope.clone();
    let forwarding =
        spawn(move || forward_remote(&listener, &LocalDestination::Tcp(target), &inner));
    let forwarding = forwarding.expect("spawns");
    let asking: Vec<_> = (0..8)
        .map(|seed| std::thread::spawn(move || ask(way, seed)))
        .collect();
    for one in asking {
        one.join().expect("no panic");
    }
    serving.join().expect("no panic");
    scope.cancel();
    forwarding
        .join()
        .expect("no panic")
        .expect_err("is cancelled");
    // The listener went with its thread: the host listens no more, once it has heard of it.
    let gone = std::time::Instant::now();
    while TcpStream::connect(way).is_ok() {
        assert!(
            gone.elapsed() < support::sessions::LIMIT,
            "it still listens"
        );
    }
    assert!(session.is_open());
}

#[test]
fn a_host_that_forbids_listening_is_told() {
    let Some(sshd) = Sshd::builder().config("AllowTcpForwarding no").start() else {
        return;
    };
    let error = session(&sshd).listen("127.0.0.1", 0, &limit());
    let error = error.expect_err("is refused");
    assert_eq!((error.phase(), error.kind()), (Phase::Open, Kind::Denied));
}

/// The end of the session ends those that wait for its connections.
#[test]
fn the_end_of_the_session_ends_its_listeners() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let session = session(&sshd);
    let listener = session.listen("127.0.0.1", 0, &limit()).expect("listens");
    let waiting = spawn(move || listener.accept(&Scope::root()).map(drop)).expect("spawns");
    drop(session);
    waiting.join().expect("no panic").expect_err("has ended");
}

/// An agent of one's own, with one key in it.
struct Agent {
    child: std::process::Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn with_key_of(sshd: &Sshd) -> Self {
        let socket = sshd.scratch().join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts ssh-agent");
        let begun = std::time::Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < support::sessions::LIMIT, "no agent");
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(sshd.key_path())
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.expect("runs ssh-add").success());
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_host_may_use_the_agent_only_where_it_was_asked_for() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let agent = Agent::with_key_of(&sshd);
    let list = |config: sshoal::ConfigBuilder| {
        let config = config.build().expect("builds");
        let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
        let output = session.command("ssh-add -L; ssh-add -L").output();
        output.expect("runs")
    };
    let output = list(config_for(&sshd).forward_agent(&agent.socket));
    let text = String::from_utf8(output.stdout).expect("is text");
    let key = sshd.public_key();
    let key = key.split_whitespace().nth(1).expect("has a blob");
    assert_eq!(text.matches(key).count(), 2, "{text}");
    assert_eq!(output.exit, Exit::Status(0));

    let output = list(config_for(&sshd));
    assert_eq!(output.exit, Exit::Status(2), "no agent there");
}

/// As with ssh, a host that forbids it runs the command all the same.
#[test]
fn a_host_that_forbids_the_agent_runs_the_command() {
    let Some(sshd) = Sshd::builder().config("AllowAgentForwarding no").start() else {
        return;
    };
    let agent = Agent::with_key_of(&sshd);
    let config = config_for(&sshd).forward_agent(&agent.socket);
    let config = config.build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let output = session
        .command("echo ran; test -z \"$SSH_AUTH_SOCK\"")
        .output();
    let output = output.expect("runs");
    assert_eq!(output.stdout, b"ran\n");
    assert_eq!(output.exit, Exit::Status(0));
}

/// The types say what is wrong with a name that no packet can carry.
#[test]
fn a_destination_with_a_nul_byte_is_refused() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let destination = Destination::Unix("a\0b".into());
    let error = session(&sshd).tunnel(&destination, &limit());
    assert!(matches!(error, Err(Error::ApiMisuse(_))));
}

/// The answers to signs of life that were asked for before are not taken for the answer to a request to listen.
#[test]
fn a_host_listens_after_it_was_asked_for_signs_of_life() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let interval = std::time::Duration::from_secs(1);
    let config = config_for(&sshd).keepalive(Some(interval)).build();
    let config = config.expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let output = session.command("sleep 2.5").output().expect("runs");
    assert_eq!(output.exit, Exit::Status(0));
    assert!(sshd.log().contains("keepalive@"));
    let listener = session.listen("127.0.0.1", 0, &limit()).expect("listens");
    assert_ne!(listener.port(), 0);
}

/// Whoever waits for a session's end hears of it at once and of the reason, with a forwarding under way, be the
/// session of use for commands or not (sshd's `MaxSessions 0`).
#[test]
fn the_end_of_a_session_is_told_with_its_reason() {
    for sessions in ["MaxSessions 10", "MaxSessions 0"] {
        let Some(sshd) = Sshd::builder().config(sessions).start() else {
            return;
        };
        let (target, serving) = echo(1);
        let session = session(&sshd);
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
        let way = listener.address().expect("is TCP");
        let scope = Scope::root();
        let destination = Destination::Tcp("127.0.0.1".into(), target.port());
        let forwarding = sshoal::spawn_forward_local(&session, listener, destination, &scope);
        let forwarding = forwarding.expect("spawns");
        let waited = session.clone();
        let waiting = spawn(move || waited.wait_for_end(&limit())).expect("spawns");
        ask(way, 1);
        serving.join().expect("no panic");
        for daemon in sshd.daemons() {
            daemon.signal_tree(rustix::process::Signal::KILL);
        }
        let error = waiting.join().expect("no panic");
        assert_eq!(error.phase(), Phase::Run);
        assert!(
            matches!(error.kind(), Kind::Closed | Kind::Reset),
            "{sessions}: {error:?}"
        );
        // The next connection finds the session gone.
        let mut stream = TcpStream::connect(way).expect("connects");
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        let ended = forwarding.join().expect("no panic").expect_err("has ended");
        assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionAborted);
    }
}

#[test]
fn who_waits_for_a_sessions_end_may_stop() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let session = session(&sshd);
    let short = Scope::root().child(Some(std::time::Duration::from_millis(200)));
    let error = session.wait_for_end(&short);
    assert_eq!((error.phase(), error.kind()), (Phase::Run, Kind::Timeout));
    let output = session.command("echo on").output().expect("runs");
    assert_eq!(output.stdout, b"on\n");
}
