//! Large files over a server that changes its keys at every megabyte, with reads and writes that come up short.
//!
//! `SSHOAL_REKEY_RUNS` sets how often 1 GiB goes each way (in full 20); without it 100 MB goes twice.

mod support;

use std::{
    env,
    fs::{self, File},
    io::{self, BufWriter, Read, Write as _},
    path::Path,
    time::Instant,
};

use sshoal::{
    HostFiles as _, Session,
    transfer::{self, CopyOptions},
};
use support::{
    files::bytes_of,
    sessions::{config_for, connect_with, random_bytes},
    sshd::Sshd,
};

/// A file in which no two blocks are the same.
fn write_file(path: &Path, size: u64) {
    let mut file = BufWriter::new(File::create(path).expect("makes"));
    let block = random_bytes(1 << 20, 3);
    let mut written = 0_u64;
    while written < size {
        let left = usize::try_from(size - written).expect("fits");
        file.write_all(&written.to_be_bytes()).expect("writes");
        file.write_all(&block[8..left.min(block.len())])
            .expect("writes");
        written += left.min(block.len()) as u64;
    }
    file.flush().expect("writes");
}

/// Whether two files hold the same; neither is held in memory.
fn same(one: &Path, other: &Path) -> bool {
    let compared = std::process::Command::new("cmp")
        .arg(one)
        .arg(other)
        .status();
    compared.expect("cmp runs").success()
}

fn key_exchanges(sshd: &Sshd) -> usize {
    sshd.log().matches("SSH2_MSG_NEWKEYS received").count()
}

/// A scope that only ends what hangs: a gibibyte in pieces takes its time.
fn long() -> sshoal::Scope {
    sshoal::Scope::root().child(Some(std::time::Duration::from_secs(1800)))
}

/// Method: every system call of ours on the connection moves 1 to 200 bytes or none at all, at random, while the server
/// changes keys at each megabyte; what arrived is compared whole.
#[test]
fn files_arrive_whole_while_keys_are_exchanged_again_and_again() {
    let full = env::var("SSHOAL_REKEY_RUNS").ok();
    let full: Option<u64> = full.map(|runs| runs.parse().expect("is a number"));
    let size = if full.is_some() { 1 << 30 } else { 100_000_000 };
    let builder = Sshd::builder().log_level("DEBUG1").config("RekeyLimit 1M");
    let Some(sshd) = builder.start() else { return };
    let scratch = sshd.scratch();
    let [local, remote, back] = ["local", "remote", "back"].map(|name| scratch.join(name));
    write_file(&local, size);
    for run in 0..full.unwrap_or(2) {
        let (begun, before) = (Instant::now(), key_exchanges(&sshd));
        let session = connect_with(&sshd, config_for(&sshd).inject_short_io(run + 1));
        let (options, scope) = (CopyOptions::new(), long());
        let source = transfer::Source::file(&local).expect("opens");
        let put = transfer::put(&session, &source, bytes_of(&remote), &options, &scope);
        assert_eq!(put.expect("puts").bytes, size);
        let put_took = begun.elapsed();
        let got = transfer::get(&session, bytes_of(&remote), &back, &options, &scope);
        assert_eq!(got.expect("gets").bytes, size);
        assert!(same(&local, &back), "run {run}");
        let exchanges = key_exchanges(&sshd) - before;
        // At least one for each megabyte each way, less what one exchange takes in.
        assert!(exchanges as u64 > size / 1_000_000, "{exchanges}");
        println!(
            "run {run}: {size} bytes put in {put_took:?}, both ways in {:?}, {exchanges} key exchanges",
            begun.elapsed()
        );
        fs::remove_file(&remote).expect("removes");
        fs::remove_file(&back).expect("removes");
    }
}

/// A reader and a writer of this program in the places of files.
#[test]
fn streams_arrive_whole_while_keys_are_exchanged() {
    let builder = Sshd::builder().log_level("DEBUG1").config("RekeyLimit 1M");
    let Some(sshd) = builder.start() else { return };
    let session: Session = connect_with(&sshd, config_for(&sshd).inject_short_io(5));
    let remote = sshd.scratch().join("remote");
    let bytes = random_bytes(8_000_000, 9);
    let reader = io::Cursor::new(bytes.clone()).take(u64::MAX);
    session.put_reader(reader, bytes_of(&remote)).expect("puts");
    let back = session.get_writer(bytes_of(&remote), Vec::new(), u64::MAX);
    assert!(back.expect("gets") == bytes);
    assert!(key_exchanges(&sshd) > 8);
}
