//! Every byte arrives, in order, once: under rekeying, short reads and writes, and hidden lengths.
//!
//! `SSHOAL_BYTES_RUNS` sets the runs per cipher (default 5, in full 67), each of which is both ways; limits of rekeying
//! take turns.

mod support;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Child, ConfigBuilder, Exit, Session};
use support::{
    sessions::{config_for, connect_with, limit, random_bytes},
    sshd::Sshd,
};

/// The server's limit of bytes under one key, and how much goes each way in one run.
const LIMITS: [(&str, usize); 4] = [
    ("1M", 20_000_000),
    ("16", 200_000),
    ("1K", 200_000),
    ("128K", 20_000_000),
];
/// Without a byte for so long, a transfer counts as stalled, on a busy machine too.
const STALL: Duration = Duration::from_secs(20);

#[test]
fn every_byte_arrives_under_rekeying_with_aes_gcm() {
    check("aes128-gcm@openssh.com", None);
}

#[test]
fn every_byte_arrives_under_rekeying_with_aes_ctr_and_etm() {
    check("aes256-ctr", Some("hmac-sha2-256-etm@openssh.com"));
}

#[test]
fn every_byte_arrives_under_rekeying_with_chacha20() {
    check("chacha20-poly1305@openssh.com", None);
}

/// Sends a file's worth of random bytes out of one command and into another, side by side on one session, over a
/// transport that reads and writes 1 to 200 bytes at a time and often not at all, against a server that changes keys
/// at every so many bytes. Compares what arrived byte by byte, and fails when nothing moves.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the record of a full run")]
fn check(cipher: &str, mac: Option<&str>) {
    let start = |(limit, _)| {
        let builder = Sshd::builder().log_level("DEBUG1");
        let builder = builder.config(&format!("RekeyLimit {limit}"));
        builder.config("LoginGraceTime 0").start()
    };
    let servers: Option<Vec<_>> = LIMITS.into_iter().map(start).collect();
    let Some(servers) = servers else { return };
    let begun = Instant::now();
    let mut rekeyed = 0;
    for run in 0..runs() {
        let limit = run as usize % LIMITS.len();
        let (sshd, count) = (&servers[limit], LIMITS[limit].1);
        let mark = sshd.log_mark();
        let config = config_for(sshd).ciphers(cipher).inject_short_io(run);
        there_and_back(sshd, config, (cipher, mac), &random_bytes(count, run + 1));
        // What its log says comes by a pipe, which a busy machine reads late.
        sshd.wait_for_ends(run as usize / LIMITS.len() + 1, STALL);
        let keys = sshd.log()[mark..]
            .matches("SSH2_MSG_NEWKEYS received")
            .count();
        assert!(keys > 5, "run {run}: {keys} key exchanges");
        rekeyed += keys;
    }
    println!(
        "{cipher}: {} runs in {:?}, {rekeyed} key exchanges",
        runs(),
        begun.elapsed()
    );
}

#[track_caller]
fn there_and_back(
    sshd: &Sshd,
    config: ConfigBuilder,
    (cipher, mac): (&str, Option<&str>),
    bytes: &[u8],
) {
    let (there, back) = (sshd.scratch().join("there"), sshd.scratch().join("back"));
    let session = Arc::new(connect_with(sshd, config));
    let agreed = session.algorithms().expect("is open");
    assert_eq!(agreed.cipher_in, cipher);
    assert_eq!(agreed.mac_in.as_deref(), mac);
    fs::write(&back, bytes).expect("writes the file to send back");
    let upload = {
        let (session, bytes, path) = (session.clone(), bytes.to_vec(), there.clone());
        sshoal::spawn(move || upload(&session, &bytes, &path)).expect("starts")
    };
    let received = download(&session, &back);
    upload.join().expect("the upload is whole");
    assert!(received == bytes, "out");
    let sent = fs::read(&there).expect("reads what the command wrote");
    assert!(sent == bytes, "in");
}

fn upload(session: &Session, bytes: &[u8], to: &Path) {
    let command = format!("cat > {}", to.display());
    let child = session.command(command).spawn().expect("starts");
    for chunk in bytes.chunks(100_000) {
        child.write_stdin(chunk, &stall()).expect("moves on");
    }
    child.close_stdin(&stall()).expect("moves on");
    end(&child);
}

fn download(session: &Session, from: &Path) -> Vec<u8> {
    let command = format!("cat {}", from.display());
    let child = session.command(command).no_stdin().spawn().expect("starts");
    let (mut received, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
    while let read @ 1.. = child.read_stdout(&mut buffer, &stall()).expect("moves on") {
        received.extend_from_slice(&buffer[..read]);
    }
    end(&child);
    received
}

#[track_caller]
fn end(child: &Child) {
    assert_eq!(child.wait(&stall()).expect("moves on"), Exit::Status(0));
}

fn stall() -> sshoal::Scope {
    sshoal::Scope::root().child(Some(STALL))
}

fn runs() -> u64 {
    let runs = std::env::var("SSHOAL_BYTES_RUNS").ok();
    runs.map_or(5, |runs| {
        runs.parse().expect("SSHOAL_BYTES_RUNS is a number")
    })
}

/// Where lengths are hidden, framing cannot be told from data that nobody asked for; a host that sends many small
/// packets, each of them read, must not be taken for one that floods.
#[test]
fn many_small_packets_with_hidden_lengths_are_no_flood() {
    let Some(sshd) = Sshd::builder()
        .log_level("INFO")
        .config("MACs hmac-sha2-512")
        .start()
    else {
        return;
    };
    let session = connect_with(&sshd, config_for(&sshd).ciphers("aes128-ctr"));
    let mac = session.algorithms().expect("is open").mac_in;
    assert_eq!(mac.as_deref(), Some("hmac-sha2-512"));
    let child = session.command("cat").spawn().expect("starts");
    // Each counts for 72 bytes where 1 is read, and the bound is 1.25 MiB.
    let scope = limit();
    for number in 0..25_000_u32 {
        let byte = [number as u8];
        child.write_stdin(&byte, &scope).expect("writes");
        let mut back = [0];
        assert_eq!(child.read_stdout(&mut back, &scope).expect("reads"), 1);
        assert_eq!(back, byte);
    }
    child.close_stdin(&scope).expect("closes");
    assert_eq!(child.wait(&scope).expect("ends"), Exit::Status(0));
}

/// Short reads end in the middle of packets whose length is hidden; libssh2 then asks for no more in the same call, and
/// a session that waited for an event would wait for ever: the rest is there already.
#[test]
fn half_a_packet_with_a_hidden_length_is_no_reason_to_wait() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    for seed in 0..40 {
        let config = config_for(&sshd).ciphers("chacha20-poly1305@openssh.com");
        let session = connect_with(&sshd, config.inject_short_io(seed));
        let output = session.command("head -c 20000 /dev/zero; exit 3").output();
        let output = output.expect("runs");
        assert_eq!(
            (output.stdout.len(), output.exit),
            (20_000, Exit::Status(3)),
            "seed {seed}"
        );
    }
}
