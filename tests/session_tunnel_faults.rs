//! Tunnels and jump hosts under faults: against sshd that is killed or stopped, with every sort of framing to the jump
//! host, and with peers that leave in the middle.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sshoal::{ConfigBuilder, Destination, Jump, Kind, Session, Tunnel};
use support::{
    sessions::{LATE, LIMIT, config_for, host, limit, one_of_five, random_bytes},
    sshd::Sshd,
};

fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

fn jump_by(sshd: &Sshd, config: ConfigBuilder) -> Arc<Jump> {
    let config = config.build().expect("builds");
    Arc::new(Jump::new(host(sshd.socket()), Arc::new(config)))
}

/// The processes under one, and those under them.
fn descendants(parent: Pid) -> Vec<Pid> {
    let number = parent.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{number}/task/{number}/children"));
    let text = text.unwrap_or_default();
    let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    let children = numbers.filter_map(Pid::from_raw);
    children
        .flat_map(|child| [vec![child], descendants(child)].concat())
        .collect()
}

/// Signals all that serve connections of an sshd.
fn signal(sshd: &Sshd, signal: Signal) {
    for daemon in sshd.daemons() {
        for serving in descendants(daemon.pid()) {
            let _ = kill_process(serving, signal);
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("reads the directory")
        .count()
}

/// Waits until a condition holds; fails if it never does.
#[track_caller]
fn await_that(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn tunnel_to(session: &Session, listener: &TcpListener) -> Tunnel {
    let port = listener.local_addr().expect("is bound").port();
    let destination = Destination::Tcp("127.0.0.1".into(), port);
    session.tunnel(&destination, &limit()).expect("opens")
}

/// Ciphers whose lengths can be read and ciphers that hide them, whole and in pieces: every byte arrives both ways.
#[test]
fn every_byte_arrives_under_each_framing_of_the_jump_host() {
    let rekeying = || {
        Sshd::builder()
            .log_level("INFO")
            .config("RekeyLimit 1M")
            .start()
    };
    let (Some(jump), Some(target)) = (rekeying(), rekeying()) else {
        return;
    };
    let bytes = random_bytes(1_500_000, 3);
    for cipher in [
        "aes128-gcm@openssh.com",
        "aes256-ctr",
        "chacha20-poly1305@openssh.com",
    ] {
        for seed in [None, Some(1), Some(2)] {
            let mut via = config_for(&jump).ciphers(cipher).macs("hmac-sha2-256");
            if let Some(seed) = seed {
                via = via.inject_short_io(seed);
            }
            let config = config_for(&target).jump(jump_by(&jump, via));
            let config = config.build().expect("builds");
            let session = Session::connect(&host(target.socket()), &config).expect("connects");
            let output = session
                .command("cat")
                .stdin(bytes.clone())
                .scope(&limit())
                .output();
            let output = output.unwrap_or_else(|error| panic!("{cipher} {seed:?}: {error:?}"));
            assert!(output.stdout == bytes, "{cipher} {seed:?}");
        }
    }
}

/// An idle jump session takes no processor time, whatever its cipher.
#[test]
fn an_idle_tunnel_does_not_spin() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    for cipher in ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let via = config_for(&jump).ciphers(cipher);
        let config = config_for(&target).jump(jump_by(&jump, via));
        let session = Session::connect(&host(target.socket()), &config.build().expect("builds"));
        let session = session.expect("connects");
        // A second of it each time, where it spins; what else this process does has an end.
        let round = || {
            let before = support::usage::processor_time();
            let output = session
                .command("sleep 1; echo done")
                .scope(&limit())
                .output();
            assert_eq!(output.expect("runs").stdout, b"done\n");
            support::usage::processor_time() - before
        };
        one_of_five(round, |took| *took < Duration::from_millis(500));
    }
}

/// Targets come and go behind one jump host: with the last one its sessions go too, and every descriptor.
#[test]
fn two_hundred_targets_leave_no_descriptor_behind() {
    let (Some(jump), Some(target)) = (
        quiet(),
        Sshd::builder()
            .log_level("INFO")
            .config("MaxStartups 300")
            .start(),
    ) else {
        return;
    };
    let rounds = |count: usize| {
        let config = config_for(&target).jump(jump_by(&jump, config_for(&jump)));
        let config = Arc::new(config.build().expect("builds"));
        let hosts = (0..count).map(|_| {
            let (config, host) = (config.clone(), host(target.socket()));
            sshoal::spawn(move || Session::connect(&host, &config).map(drop)).expect("spawns")
        });
        for connected in hosts.collect::<Vec<_>>() {
            connected.join().expect("no panic").expect("connects");
        }
    };
    // What lives for the whole process is there after this.
    rounds(1);
    await_that("the first sessions end", || descendants_of(&jump) == 0);
    let before = descriptors();
    for _ in 0..8 {
        rounds(25);
    }
    await_that("the sessions end", || descendants_of(&jump) == 0);
    // Other tests of this process have descriptors of their own, but not two hundred.
    let after = descriptors();
    assert!(
        after < before + 60,
        "{before} descriptors before, {after} after"
    );
}

fn descendants_of(sshd: &Sshd) -> usize {
    let daemons = sshd.daemons().iter();
    daemons.map(|daemon| descendants(daemon.pid()).len()).sum()
}

/// A jump host that stops in the middle costs its targets their own limit and no more; continued, it goes on.
#[test]
fn a_stopped_jump_host_is_waited_for_within_the_limit() {
    let (Some(jump), Some(target)) = (quiet(), quiet()) else {
        return;
    };
    let via = jump_by(&jump, config_for(&jump).keepalive(None));
    let config = config_for(&target).jump(via).keepalive(None);
    let impatient = config.clone().connect_timeout(Some(Duration::from_secs(2)));
    let impatient = impatient.build().expect("builds");
    let config = config.connect_timeout(Some(LIMIT)).build();
    let config = config.expect("builds");
    let session = Session::connect(&host(target.socket()), &config).expect("connects");
    let child = session.command("cat").spawn().expect("starts");
    signal(&jump, Signal::STOP);
    let begun = Instant::now();
    let error = Session::connect(&host(target.socket()), &impatient).expect_err("is stopped");
    assert_eq!(error.kind(), Kind::Timeout, "{error:?}");
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    child.write_stdin(b"over", &limit()).expect("is queued");
    child.close_stdin(&limit()).expect("is queued");
    signal(&jump, Signal::CONT);
    let mut buffer = [0; 10];
    assert_eq!(
        child.read_stdout(&mut buffer, &limit()).expect("goes on"),
        4
    );
    assert!(child.wait(&limit()).expect("ends").is_success());
    assert!(Session::connect(&host(target.socket()), &config).is_ok());
}

/// A killed jump host ends every tunnel at once, whether it is read, written or idle.
#[test]
fn a_killed_host_ends_readers_and_writers() {
    for seed in 0..5 {
        let Some(sshd) = quiet() else { return };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let session = Session::connect(
            &host(sshd.socket()),
            &config_for(&sshd).build().expect("builds"),
        );
        let session = session.expect("connects");
        let reading = tunnel_to(&session, &listener);
        let writing = tunnel_to(&session, &listener);
        let peers: Vec<_> = (0..2)
            .map(|_| listener.accept().expect("accepts"))
            .collect();
        let reader = sshoal::spawn(move || reading.read(&mut [0], &limit())).expect("spawns");
        let writer = sshoal::spawn(move || {
            let bytes = random_bytes(100_000, seed);
            // The peer does not read: windows and buffers fill.
            while writing.write_all(&bytes, &limit()).is_ok() {}
        });
        let writer = writer.expect("spawns");
        thread::park_timeout(Duration::from_millis(40 * seed));
        let begun = Instant::now();
        signal(&sshd, Signal::KILL);
        reader
            .join()
            .expect("no panic")
            .expect_err("the session was lost");
        writer.join().expect("no panic");
        assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
        drop(peers);
    }
}

/// The peer ends its direction with all its data in flight while ours goes on: nothing is lost either way.
#[test]
fn a_half_closed_peer_loses_nothing() {
    let Some(sshd) = quiet() else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let config = config_for(&sshd).build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    for seed in 0..10 {
        let (down, up) = (
            random_bytes(700_000, seed),
            random_bytes(700_000, seed + 100),
        );
        let tunnel = tunnel_to(&session, &listener);
        let (mut peer, _) = listener.accept().expect("accepts");
        let sent = down.clone();
        let peer = thread::spawn(move || {
            peer.write_all(&sent).expect("writes");
            peer.shutdown(std::net::Shutdown::Write).expect("ends");
            let mut all = Vec::new();
            peer.read_to_end(&mut all).expect("reads");
            all
        });
        // Nothing is read until the peer's end is here, or the windows are full.
        tunnel.write_all(&up[..350_000], &limit()).expect("writes");
        let (mut all, mut buffer) = (Vec::new(), vec![0; 9000]);
        while let read @ 1.. = tunnel.read(&mut buffer, &limit()).expect("reads") {
            all.extend_from_slice(&buffer[..read]);
        }
        assert!(all == down, "{seed}: {} bytes down", all.len());
        tunnel.write_all(&up[350_000..], &limit()).expect("writes");
        drop(tunnel);
        assert!(peer.join().expect("no panic") == up, "{seed}: bytes up");
    }
}

/// A peer that resets its connection ends that tunnel and no other.
#[test]
fn a_reset_ends_its_tunnel_alone() {
    let Some(sshd) = quiet() else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    let config = config_for(&sshd).build().expect("builds");
    let session = Session::connect(&host(sshd.socket()), &config).expect("connects");
    let steady = tunnel_to(&session, &listener);
    let (mut peer, _) = listener.accept().expect("accepts");
    for _ in 0..20 {
        let tunnel = tunnel_to(&session, &listener);
        let (reset, _) = listener.accept().expect("accepts");
        tunnel.write_all(&[1; 50_000], &limit()).expect("writes");
        // Closed with bytes unread, it is reset.
        let mut first = [0];
        (&reset).read_exact(&mut first).expect("reads");
        drop(reset);
        assert_eq!(tunnel.read(&mut first, &limit()).unwrap_or(0), 0);
    }
    steady.write_all(b"well", &limit()).expect("writes");
    let mut word = [0; 4];
    peer.read_exact(&mut word).expect("reads");
    assert_eq!(&word, b"well");
}
