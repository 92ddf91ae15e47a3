//! Compressed sessions: every byte arrives both ways, under rekeying, and fewer go over the wire.

mod support;

use std::fs;

use sshoal::{Compression, Config, Session};
use support::{
    proxy::{Direction, Proxy},
    sessions::{config_for, config_knowing, connect_with, host, random_bytes},
    sshd::{Sshd, known_hosts_line},
};

/// So much goes each way.
const BYTES: usize = 5_000_000;

/// Text that compresses well, and now and then a stretch that does not.
fn mixed_bytes() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES + 100);
    let noise = random_bytes(BYTES / 20, 7);
    for (number, noise) in noise.chunks(500).cycle().enumerate() {
        for line in 0..20 {
            let line = format!("host {number} line {line}: the same again, with nothing to add\n");
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes.extend_from_slice(noise);
        if bytes.len() >= BYTES {
            break;
        }
    }
    bytes.truncate(BYTES);
    bytes
}

/// Sends the bytes through `cat` and back, in and out at the same time, through a proxy that counts.
#[track_caller]
fn check(ciphers: &str, short_io: Option<u64>) {
    let builder = Sshd::builder().log_level("DEBUG1").config("RekeyLimit 1M");
    let Some(sshd) = builder.start() else { return };
    let proxy = Proxy::to(sshd.socket()).start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).ciphers(ciphers);
    let mut config = config.compression(Compression::Yes);
    if let Some(seed) = short_io {
        config = config.inject_short_io(seed);
    }
    let config: Config = config.build().expect("a whole configuration");
    let session = Session::connect(&host(address), &config).expect("connects");
    let agreed = session.algorithms().expect("is open");
    assert_eq!(agreed.compression_in, "zlib@openssh.com");
    assert_eq!(agreed.compression_out, "zlib@openssh.com");
    let bytes = mixed_bytes();
    let output = session.command("cat").stdin(bytes.clone()).output();
    assert!(output.expect("runs").stdout == bytes);
    let there = sshd.scratch().join("there");
    let copy = format!("cat > {}", there.display());
    session
        .command(copy)
        .stdin(bytes.clone())
        .output()
        .expect("runs");
    assert!(fs::read(&there).expect("reads what was written") == bytes);
    let out = proxy.passed(Direction::ToServer) as usize;
    let back = proxy.passed(Direction::ToClient) as usize;
    // libssh2 compresses by Huffman codes alone.
    assert!(out < BYTES * 2 * 7 / 8, "{out} bytes out");
    assert!(back < BYTES * 3 / 4, "{back} bytes back");
    let rekeyed = sshd.log().matches("SSH2_MSG_NEWKEYS received").count();
    assert!(rekeyed > 3, "{rekeyed} key exchanges");
}

#[test]
fn every_byte_arrives_compressed_with_aes_gcm() {
    check("aes128-gcm@openssh.com", None);
}

#[test]
fn every_byte_arrives_compressed_with_aes_ctr_over_short_reads() {
    check("aes256-ctr", Some(3));
}

/// Off by default; and where the server has none, the session is as without.
#[test]
fn nothing_is_compressed_unless_both_sides_want_it() {
    let Some(sshd) = Sshd::start() else { return };
    let agreed = |session: &Session| session.algorithms().expect("is open").compression_in;
    assert_eq!(agreed(&connect_with(&sshd, config_for(&sshd))), "none");
    let builder = Sshd::builder().config("Compression no");
    let Some(sshd) = builder.start() else { return };
    let session = connect_with(&sshd, config_for(&sshd).compression(Compression::Yes));
    assert_eq!(agreed(&session), "none");
    let output = session.command("echo well").output().expect("runs");
    assert_eq!(output.stdout, b"well\n");
}

/// A command whose output is a thousand times what goes over the wire is still read within its window.
#[test]
fn output_that_compresses_a_thousandfold_is_read_within_the_window() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect_with(&sshd, config_for(&sshd).compression(Compression::Yes));
    let output = session
        .command("head -c 50000000 /dev/zero")
        .output()
        .expect("runs");
    assert_eq!(output.stdout.len(), 50_000_000);
    assert!(output.stdout.iter().all(|byte| *byte == 0));
}
