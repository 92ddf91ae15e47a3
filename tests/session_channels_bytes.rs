//! Several channels of one session at once, each moving much both ways: nothing hangs, no byte is lost.
//!
//! `SSHOAL_CHANNELS_RUNS` and `SSHOAL_CHANNELS_BYTES` set the runs and the bytes of each channel and way (default 10
//! and 1 MB, in full 200 and 10 MB, in a release build).

mod support;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Exit, Scope, Session, spawn};
use support::{
    sessions::{config_for, connect_with, random_bytes},
    sshd::Sshd,
};

/// Channels of the session at once.
const CHANNELS: usize = 8;
/// Without a byte for so long, a channel counts as stalled, on a busy machine too.
const STALL: Duration = Duration::from_secs(30);
/// One cipher of each framing, with its MAC where it has one.
const FRAMINGS: [(&str, Option<&str>); 3] = [
    ("aes128-gcm@openssh.com", None),
    ("aes256-ctr", Some("hmac-sha2-256-etm@openssh.com")),
    ("chacha20-poly1305@openssh.com", None),
];

/// Has eight green threads each send and receive as many bytes through a `cat` on a channel of its own, while the
/// server changes keys at every megabyte; each compares what comes back with what it sent, byte by byte, and fails when
/// nothing moves. The framings take turns, and so do a plain transport and one that reads and writes 1 to 200 bytes at
/// a time and often not at all.
#[test]
fn every_byte_arrives_on_eight_channels_under_rekeying() {
    let builder = Sshd::builder().log_level("DEBUG1").config("RekeyLimit 1M");
    let Some(sshd) = builder.config("LoginGraceTime 0").start() else {
        return;
    };
    let (runs, bytes) = (
        number("SSHOAL_CHANNELS_RUNS", 10),
        number("SSHOAL_CHANNELS_BYTES", 1_000_000),
    );
    let bytes = Arc::new(random_bytes(bytes as usize, 4));
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    for run in 0..runs {
        let (cipher, mac) = FRAMINGS[run as usize % FRAMINGS.len()];
        let short = run / FRAMINGS.len() as u64 % 2 == 1;
        let config = config_for(&sshd).ciphers(cipher);
        let config = if short {
            config.inject_short_io(run)
        } else {
            config
        };
        let session = Arc::new(connect_with(&sshd, config));
        let agreed = session.algorithms().expect("is open");
        assert_eq!(agreed.cipher_in, cipher);
        assert_eq!(agreed.mac_in.as_deref(), mac);
        let began = Instant::now();
        let moving: Vec<_> = (0..CHANNELS)
            .map(|channel| {
                let (session, bytes) = (session.clone(), bytes.clone());
                spawn(move || move_both_ways(&session, &bytes, channel)).expect("starts")
            })
            .collect();
        for moved in moving {
            moved
                .join()
                .unwrap_or_else(|panic| panic!("run {run}, {cipher}, short {short}: {panic}"));
        }
        seen.insert((cipher, short));
        println!("run {run}: {cipher}, short {short}, {:?}", began.elapsed());
    }
    let rekeyed = sshd.log().matches("SSH2_MSG_NEWKEYS received").count() as u64;
    let all = runs * (CHANNELS * bytes.len()) as u64;
    println!(
        "{runs} runs in {:?}, {rekeyed} key exchanges",
        begun.elapsed()
    );
    assert!(rekeyed > all / 1_000_000, "{rekeyed} key exchanges");
    assert_eq!(seen.len() as u64, runs.min(6), "framings and transports");
}

/// Sends all bytes through a `cat` and checks that they come back; each channel begins at another place of them.
fn move_both_ways(session: &Arc<Session>, bytes: &Arc<Vec<u8>>, channel: usize) {
    let child = Arc::new(session.command("cat").spawn().expect("starts"));
    let from = bytes.len() / CHANNELS * channel;
    let feeding = {
        let (child, bytes) = (child.clone(), bytes.clone());
        spawn(move || {
            let parts = [&bytes[from..], &bytes[..from]];
            for chunk in parts.iter().flat_map(|part| part.chunks(100_000 + channel)) {
                child.write_stdin(chunk, &stall()).expect("moves on");
            }
            child.close_stdin(&stall()).expect("moves on");
        })
    };
    let feeding = feeding.expect("starts");
    let (mut at, mut count, mut buffer) = (from, 0, vec![0; 32 * 1024]);
    while let read @ 1.. = child.read_stdout(&mut buffer, &stall()).expect("moves on") {
        for piece in buffer[..read].chunks(bytes.len() - at) {
            assert!(
                bytes[at..].starts_with(piece),
                "channel {channel} at byte {count}"
            );
            at = (at + piece.len()) % bytes.len();
            count += piece.len();
        }
    }
    assert_eq!(count, bytes.len(), "channel {channel}");
    feeding.join().expect("all was sent");
    assert_eq!(child.wait(&stall()).expect("moves on"), Exit::Status(0));
}

fn stall() -> Scope {
    Scope::root().child(Some(STALL))
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Reads in two sizes, the larger within a scope that has ended, so that many a read is given up while keys change and
/// taken up in the other size. The grants of the window must be counted as they were sent, or the host comes to wait
/// for more while we wait for it.
#[test]
fn reads_given_up_while_keys_change_lose_no_window() {
    let builder = Sshd::builder().log_level("INFO").config("RekeyLimit 200K");
    let Some(sshd) = builder.start() else { return };
    for (cipher, _) in FRAMINGS {
        let session = connect_with(&sshd, config_for(&sshd).ciphers(cipher));
        let child = session.command("head -c 10000000 /dev/zero").no_stdin();
        let child = child.spawn().expect("starts");
        let (mut small, mut large) = (vec![1; 16 * 1024], vec![1; 256 * 1024]);
        let over = Scope::root();
        over.cancel();
        let mut count = 0;
        loop {
            let read = child.read_stdout(&mut large, &over);
            let read = read.or_else(|_| child.read_stdout(&mut small, &stall()));
            match read.unwrap_or_else(|error| panic!("{cipher} at byte {count}: {error}")) {
                0 => break,
                read => count += read,
            }
        }
        assert_eq!(count, 10_000_000, "{cipher}");
        assert_eq!(child.wait(&stall()).expect("moves on"), Exit::Status(0));
    }
}

/// Eight channels print and seven are read: the eighth's output stays within its window, and keeps the others from
/// nothing. Read late, it is whole.
#[test]
fn a_channel_that_nobody_reads_holds_up_no_other() {
    let builder = Sshd::builder().log_level("INFO").config("RekeyLimit 1M");
    let Some(sshd) = builder.start() else { return };
    for (run, (cipher, _)) in FRAMINGS.into_iter().enumerate() {
        for short in [false, true] {
            let config = config_for(&sshd).ciphers(cipher);
            let config = if short {
                config.inject_short_io(run as u64)
            } else {
                config
            };
            let session = Arc::new(connect_with(&sshd, config));
            // In small packets, of which libssh2 keeps one by one what nobody reads.
            let late = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i + 1)); done; seq 3000 99999";
            let late = session.command(late).no_stdin().spawn().expect("starts");
            let bytes = Arc::new(random_bytes(1_500_000, 9));
            let moving: Vec<_> = (1..CHANNELS)
                .map(|channel| {
                    let (session, bytes) = (session.clone(), bytes.clone());
                    spawn(move || move_both_ways(&session, &bytes, channel)).expect("starts")
                })
                .collect();
            for moved in moving {
                let moved = moved.join();
                moved.unwrap_or_else(|panic| panic!("{cipher}, short {short}: {panic}"));
            }
            let (mut text, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
            while let read @ 1.. = late.read_stdout(&mut buffer, &stall()).expect("moves on") {
                text.extend_from_slice(&buffer[..read]);
            }
            let numbers: String = (0..100_000).map(|number| format!("{number}\n")).collect();
            assert!(text == numbers.as_bytes(), "{cipher}, short {short}");
            assert_eq!(late.wait(&stall()).expect("moves on"), Exit::Status(0));
        }
    }
}
