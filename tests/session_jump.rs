//! Sessions through jump hosts: law S2, against sshd.

mod support;

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Config, Destination, Error, Exit, Jump, Kind, Phase, Session};
use support::{
    faults::{FullBacklog, Refused},
    sessions::{config_for, config_knowing, host, limit, one_of_five, random_bytes},
    sshd::Sshd,
};

/// A jump host's sshd, and how it is reached.
fn jump_to(sshd: &Sshd) -> Arc<Jump> {
    jump_with(sshd, config_for(sshd).build().expect("builds"))
}

fn jump_with(sshd: &Sshd, config: Config) -> Arc<Jump> {
    Arc::new(Jump::new(host(sshd.socket()), Arc::new(config)))
}

/// How many connections an sshd has taken.
fn connections(sshd: &Sshd) -> usize {
    sshd.log().matches("Connection from ").count()
}

fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("VERBOSE").start()
}

#[test]
fn a_command_runs_through_a_jump_host() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let config = config_for(&target).jump(jump_to(&jump)).build();
    let config = config.expect("builds");
    let session = Session::connect(&host(target.socket()), &config).expect("connects");
    let output = session.command("echo through; exit 3").output();
    let output = output.expect("runs");
    assert_eq!(output.stdout, b"through\n");
    assert_eq!(output.exit, Exit::Status(3));
    assert_eq!(connections(&jump), 1);
    session.close().expect("closes");
}

/// The jump host's channel is a socket like any other to the session above it: with rekeying on
/// both, with windows smaller than the load, nothing is lost in either direction.
#[test]
fn every_byte_arrives_through_two_hops() {
    let rekeying = || {
        Sshd::builder()
            .log_level("VERBOSE")
            .config("RekeyLimit 1M")
            .start()
    };
    let (Some(first), Some(second), Some(target)) = (rekeying(), rekeying(), rekeying()) else {
        return;
    };
    let beyond = config_for(&second).jump(jump_to(&first));
    let jump = jump_with(&second, beyond.build().expect("builds"));
    let config = config_for(&target).jump(jump).build().expect("builds");
    let session = Session::connect(&host(target.socket()), &config).expect("connects");
    let bytes = random_bytes(8_000_000, 7);
    let output = session.command("cat").stdin(bytes.clone()).output();
    let output = output.expect("runs");
    assert!(output.stdout == bytes, "bytes differ");
    assert_eq!((connections(&first), connections(&second)), (1, 1));
}

/// All targets behind one jump host share at most four sessions to it; more are made where it seems not to answer, as one
/// on a machine that stands still does in one round, but not in each.
#[test]
fn many_targets_share_four_sessions() {
    one_of_five(connections_of_many, |taken| {
        taken.is_none_or(|taken| taken <= 4)
    });
}

/// How many sessions sixty targets made; `None` where there is no sshd.
fn connections_of_many() -> Option<usize> {
    let jump = quiet()?;
    let target = Sshd::builder()
        .addresses(60)
        .log_level("INFO")
        .config("MaxStartups 200")
        .start()?;
    let config = config_for(&target).jump(jump_to(&jump));
    let config = config
        .connect_timeout(Some(support::sessions::LIMIT))
        .build();
    let config = Arc::new(config.expect("builds"));
    let sockets = target.sockets();
    let sessions: Vec<_> = sockets
        .iter()
        .map(|socket| {
            let (config, host) = (config.clone(), host(*socket));
            sshoal::spawn(move || Session::connect(&host, &config)).expect("spawns")
        })
        .collect();
    let sessions: Vec<_> = sessions
        .into_iter()
        .map(|session| session.join().expect("no panic").expect("connects"))
        .collect();
    for (socket, session) in sockets.iter().zip(&sessions) {
        let output = session.command("echo $SSH_CONNECTION").output();
        let output = output.expect("runs").stdout;
        let text = String::from_utf8(output).expect("is text");
        let expected = format!(" {} {}\n", socket.ip(), socket.port());
        assert!(text.ends_with(&expected), "{text:?}, {expected:?}");
    }
    let taken = connections(&jump);
    // The spare ones have a bound, too.
    assert!((1..=32).contains(&taken), "{taken} connections");
    Some(taken)
}

#[test]
fn what_the_jump_host_cannot_reach_fails_alone() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let via = jump_to(&jump);
    let config = config_for(&target).jump(via).build().expect("builds");
    let refused = Refused::on(Ipv4Addr::LOCALHOST);
    let error = Session::connect(&host(refused.address()), &config).expect_err("is refused");
    assert!(matches!(&error, Error::Tunnel { .. }), "{error:?}");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Unreachable)
    );
    let session = Session::connect(&host(target.socket()), &config).expect("connects");
    assert_eq!(
        session.command("true").output().expect("runs").exit,
        Exit::Status(0)
    );
    assert_eq!(connections(&jump), 1);
}

#[test]
fn a_jump_host_that_forbids_tunnels_is_told() {
    let (Some(jump), Some(target)) = (
        Sshd::builder().config("AllowTcpForwarding no").start(),
        quiet(),
    ) else {
        return;
    };
    let config = config_for(&target).jump(jump_to(&jump)).build();
    let error = Session::connect(&host(target.socket()), &config.expect("builds"));
    let error = error.expect_err("is refused");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Denied)
    );
}

/// The jump host's own key and user are checked like any host's, and a refusal is not repeated
/// for each host behind it.
#[test]
fn a_jump_host_that_refuses_us_is_asked_once() {
    let (Some(jump), Some(other), Some(target)) = (quiet(), quiet(), quiet()) else {
        return;
    };
    // Another server's key is not this one's.
    let builder = config_for(&jump).user("nobody-of-that-name");
    let refusing = jump_with(&jump, builder.build().expect("builds"));
    let config = config_for(&target).jump(refusing).build().expect("builds");
    for _ in 0..3 {
        let error = Session::connect(&host(target.socket()), &config).expect_err("fails");
        assert!(matches!(&error, Error::Jump { .. }), "{error:?}");
        assert_eq!(
            (error.phase(), error.kind()),
            (Phase::Connect, Kind::Denied)
        );
    }
    assert_eq!(connections(&jump), 1);

    let line = other.known_hosts().replace(
        &format!("[{}]:{}", other.address(), other.socket().port()),
        &format!("[{}]:{}", jump.address(), jump.socket().port()),
    );
    let config = config_knowing(&jump, &line).build().expect("builds");
    let config = config_for(&target).jump(jump_with(&jump, config)).build();
    let error = Session::connect(&host(target.socket()), &config.expect("builds"));
    let error = error.expect_err("fails");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::HostKeyChanged)
    );
}

/// A jump host that let one session in and refuses all others is not asked again for each host
/// behind it; the one session carries them all.
#[test]
fn a_jump_host_that_refuses_further_sessions_is_left_alone() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let config = config_for(&target).jump(jump_to(&jump)).build();
    let config = Arc::new(config.expect("builds"));
    let first = Session::connect(&host(target.socket()), &config).expect("connects");
    jump.authorize("");
    let behind: Vec<_> = (0..24)
        .map(|_| {
            let (config, host) = (config.clone(), host(target.socket()));
            sshoal::spawn(move || Session::connect(&host, &config).map(drop)).expect("spawns")
        })
        .collect();
    for one in behind {
        one.join().expect("no panic").expect("connects");
    }
    assert!(first.is_open());
    let taken = connections(&jump);
    // Four at once are refused beside it, at most; each of the others would make one more.
    assert!((1..=5).contains(&taken), "{taken} connections");
}

/// The jump host's sessions end with the last who need them, and leave no descriptor behind.
#[test]
fn jump_sessions_end_with_what_needs_them() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let config = config_for(&target).jump(jump_to(&jump)).build();
    let session = Session::connect(&host(target.socket()), &config.expect("builds"));
    let session = session.expect("connects");
    let output = session.command("true").output().expect("runs");
    assert_eq!(output.exit, Exit::Status(0));
    // Only the target's session holds the jump host's by then.
    let peers = || {
        let text = std::fs::read_to_string("/proc/self/net/tcp").expect("reads the sockets");
        let port = format!(":{:04X}", jump.socket().port());
        let ours = |line: &&str| {
            line.split_whitespace()
                .nth(2)
                .is_some_and(|to| to.ends_with(&port))
        };
        let inodes: Vec<_> = text
            .lines()
            .filter(ours)
            .filter_map(|line| {
                line.split_whitespace()
                    .nth(9)
                    .map(|inode| format!("socket:[{inode}]"))
            })
            .collect();
        let entries = std::fs::read_dir("/proc/self/fd").expect("reads our descriptors");
        let held = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        held.filter(|to| inodes.iter().any(|inode| to.as_os_str() == inode.as_str()))
            .count()
    };
    assert_eq!(peers(), 1);
    drop(session);
    let begun = Instant::now();
    while peers() > 0 {
        assert!(
            begun.elapsed() < support::sessions::LIMIT,
            "a socket to the jump host is left"
        );
        std::thread::yield_now();
    }
    jump.wait_for_ends(1, support::sessions::LIMIT);
}

/// A target's key is checked against the target's own name, whatever lies between.
#[test]
fn the_targets_key_is_checked_behind_a_jump_host() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let line = jump.known_hosts().replace(
        &format!("[{}]:{}", jump.address(), jump.socket().port()),
        &format!("[{}]:{}", target.address(), target.socket().port()),
    );
    let config = config_knowing(&target, &line).jump(jump_to(&jump)).build();
    let error = Session::connect(&host(target.socket()), &config.expect("builds"));
    let error = error.expect_err("is refused");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::HostKey, Kind::HostKeyChanged)
    );
}

/// Hosts behind a full backlog never answer the jump host; each keeps a session from opening
/// tunnels, and all sessions are kept so at first. The healthy host must not wait for them.
#[test]
fn targets_that_never_answer_do_not_hold_up_others() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let hole = FullBacklog::on(Ipv4Addr::LOCALHOST);
    let builder = config_for(&target).jump(jump_to(&jump));
    let config = builder.connect_timeout(Some(Duration::from_secs(12)));
    let config = Arc::new(config.build().expect("builds"));
    // The first one shows how long an undisturbed connect takes.
    let undisturbed = Instant::now();
    drop(Session::connect(&host(target.socket()), &config).expect("connects"));
    let undisturbed = undisturbed.elapsed();
    let begun = Instant::now();
    let stuck: Vec<_> = (0..10)
        .map(|_| {
            let (config, host) = (config.clone(), host(hole.address()));
            sshoal::spawn(move || Session::connect(&host, &config)).expect("spawns")
        })
        .collect();
    // Until all sessions are stuck, the healthy one would just slip by.
    let behind: Vec<_> = (0..5)
        .map(|_| {
            let (config, host) = (config.clone(), host(target.socket()));
            sshoal::spawn(move || Session::connect(&host, &config).map(|_| begun.elapsed()))
                .expect("spawns")
        })
        .collect();
    for healthy in behind {
        let took = healthy.join().expect("no panic").expect("connects");
        // One that waits for those that are stuck waits for their limit.
        let most = Duration::from_secs(6) + 4 * undisturbed;
        assert!(took < most, "{took:?}, undisturbed {undisturbed:?}");
    }
    for stuck in stuck {
        let error = stuck.join().expect("no panic").expect_err("never answers");
        assert_eq!(
            (error.phase(), error.kind()),
            (Phase::Connect, Kind::Timeout)
        );
    }
}

/// Where the jump host itself does not answer, its targets fail by their own limit, and name it.
#[test]
fn a_dead_jump_host_fails_only_its_own_targets() {
    let Some(target) = quiet() else {
        return;
    };
    let hole = FullBacklog::on(Ipv4Addr::LOCALHOST);
    let config = config_for(&target);
    let impatient = config.clone().connect_timeout(Some(Duration::from_secs(2)));
    let dead = Jump::new(
        host(hole.address()),
        Arc::new(impatient.clone().build().expect("builds")),
    );
    let behind = impatient.jump(Arc::new(dead)).build().expect("builds");
    let error = Session::connect(&host(target.socket()), &behind).expect_err("is not reached");
    assert!(
        matches!(&error, Error::Jump { jump, .. } if jump.contains("127.0.0.1")),
        "{error:?}"
    );
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Timeout)
    );
    let config = config.build().expect("builds");
    assert!(Session::connect(&host(target.socket()), &config).is_ok());
}

/// A jump session that ends in the middle takes its targets with it; the next target gets another.
#[test]
fn a_lost_jump_session_is_replaced() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let config = config_for(&target).jump(jump_to(&jump)).build();
    let config = config.expect("builds");
    let session = Session::connect(&host(target.socket()), &config).expect("connects");
    let child = session.command("sleep 1000").spawn().expect("starts");
    for daemon in jump.daemons() {
        for serving in children(daemon.pid()) {
            rustix::process::kill_process(serving, rustix::process::Signal::KILL).expect("kills");
        }
    }
    let error = child.wait(&limit()).expect_err("is lost");
    assert_eq!(error.phase(), Phase::Run, "{error:?}");
    assert!(Session::connect(&host(target.socket()), &config).is_ok());
    assert_eq!(connections(&jump), 2);
}

/// Bytes through a tunnel of one's own, its two directions ended apart.
#[test]
fn a_tunnel_carries_bytes_and_ends_by_direction() {
    let Some(sshd) = quiet() else {
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let peer = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("accepts");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("reads");
        stream.write_all(&all).expect("writes");
    });
    let config = config_for(&sshd).build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let destination = Destination::Tcp("127.0.0.1".into(), port);
    let tunnel = session.tunnel(&destination, &limit()).expect("opens");
    let bytes = random_bytes(3_000_000, 1);
    tunnel.write_all(&bytes, &limit()).expect("writes");
    tunnel.finish();
    let (mut back, mut buffer) = (Vec::new(), vec![0; 10_000]);
    while let read @ 1.. = tunnel.read(&mut buffer, &limit()).expect("reads") {
        back.extend_from_slice(&buffer[..read]);
    }
    assert!(back == bytes, "bytes differ");
    peer.join().expect("no panic");
}

/// What was written before the tunnel was dropped still arrives.
#[test]
fn a_dropped_tunnel_sends_what_was_written() {
    let Some(sshd) = quiet() else {
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let config = config_for(&sshd).build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let destination = Destination::Tcp("localhost".into(), port);
    let tunnel = session.tunnel(&destination, &limit()).expect("opens");
    let bytes = random_bytes(100_000, 2);
    tunnel.write_all(&bytes, &limit()).expect("writes");
    drop(tunnel);
    let (mut stream, _) = listener.accept().expect("accepts");
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut all).expect("reads");
    assert!(all == bytes, "{} bytes", all.len());
}

/// A Unix socket behind a jump host, and one on this machine, lead to sshd as well.
#[test]
fn a_unix_socket_is_a_way_to_a_host() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let path = target.scratch().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("binds");
    let upstream = target.socket();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = std::net::TcpStream::connect(upstream).expect("connects");
            let pair = (
                near.try_clone().expect("clones"),
                far.try_clone().expect("clones"),
            );
            std::thread::spawn(move || pass(near, far));
            std::thread::spawn(move || pass(pair.1, pair.0));
        }
    });
    for config in [
        config_for(&target).unix_socket(&path),
        config_for(&target).unix_socket(&path).jump(jump_to(&jump)),
    ] {
        let config = config.build().expect("builds");
        let session = Session::connect(&host(target.socket()), &config).expect("connects");
        let output = session.command("echo by socket").output().expect("runs");
        assert_eq!(output.stdout, b"by socket\n");
    }
}

fn pass(mut from: impl std::io::Read, mut to: impl std::io::Write) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// The processes that a process has started.
fn children(parent: rustix::process::Pid) -> Vec<rustix::process::Pid> {
    let parent = parent.as_raw_nonzero();
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let text = text.expect("reads the process's children");
    let numbers = text
        .split_whitespace()
        .map(|number| number.parse().expect("is a number"));
    numbers.filter_map(rustix::process::Pid::from_raw).collect()
}
