//! SFTP with a host that does its worst: servers that are no more than a script, and one that is held up.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use rustix::process::{Pid, Signal, kill_process};
use sshoal::{
    Kind, Phase, Session,
    transfer::{
        self, Error,
        sftp::{OpenMode, Sftp, SftpError},
    },
};
use support::{
    files::bytes_of,
    sessions::{connect, limit, random_bytes, within_ms},
    sshd::Sshd,
};

/// A server whose SFTP is this script, in a folder that lives as long as is returned.
fn with_script(script: &str) -> Option<(Sshd, Session, tempfile::TempDir)> {
    let dir = tempfile::tempdir().expect("makes a folder");
    let path = dir.path().join("server");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
    let subsystem = format!("Subsystem sftp {}", path.display());
    let sshd = Sshd::builder()
        .config(&subsystem)
        .log_level("INFO")
        .start()?;
    let session = connect(&sshd);
    Some((sshd, session, dir))
}

/// Takes requests of a known length and answers; `$1` is the request's number in octal.
const NAMES: &str = r"
take() { head -c $1 >/dev/null; }
take 9; printf '\0\0\0\005\002\0\0\0\003'
take 14; printf '\0\0\0\012\146\0\0\0\001\0\0\0\001h'
n=2
while :; do
take 14
id=$(printf '\\%03o\\%03o' $((n / 256)) $((n % 256)))
NAME
n=$((n + 1))
done";

/// One name of 256 KiB in each answer: 100,000 of them would be 25 GB.
#[test]
fn names_without_end_stay_within_a_bound() {
    // 262,144 bytes of name: the packet has 262,165.
    let name = r"printf '\0\004\0\025\150\0\0'$id'\0\0\0\001\0\004\0\0'
head -c 262144 /dev/zero | tr '\0' a; printf '\0\0\0\0\0\0\0\0'";
    let Some((_sshd, session, _dir)) = with_script(&NAMES.replace("NAME", name)) else {
        return;
    };
    let error = transfer::glob(&session, b"/", b"*", &limit()).expect_err("too much");
    match error {
        Error::Session(error) => {
            assert_eq!(
                (error.phase(), error.kind()),
                (Phase::Transfer, Kind::Limit)
            );
        }
        other => panic!("{other:?}"),
    }
}

/// An answer without a name in it ends the list, and one that names only the directory itself is counted: neither
/// has anybody ask for ever.
#[test]
fn a_list_of_nothing_ends() {
    let none = r"printf '\0\0\0\011\150\0\0'$id'\0\0\0\0'";
    let Some((_sshd, session, _dir)) = with_script(&NAMES.replace("NAME", none)) else {
        return;
    };
    let paths = transfer::glob(&session, b"/", b"*", &limit());
    assert_eq!(paths.expect("is empty"), Vec::<Vec<u8>>::new());
    let dot = r"printf '\0\0\0\026\150\0\0'$id'\0\0\0\001\0\0\0\001.\0\0\0\0\0\0\0\0'";
    let Some((_sshd, session, _dir)) = with_script(&NAMES.replace("NAME", dot)) else {
        return;
    };
    let error = transfer::glob(&session, b"/", b".*", &limit()).expect_err("is no list");
    let is_protocol = matches!(error, Error::Sftp(SftpError::Protocol(_)));
    assert!(is_protocol, "{error:?}");
}

/// The server is stopped while a file is written: a question whose turn to be sent does not come in time leaves the
/// channel to the others.
#[test]
fn a_question_given_up_before_its_turn_harms_nobody() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let sftp = Sftp::open(&session, &limit()).expect("opens");
    let others = "for p in $(cat /proc/$PPID/task/$PPID/children); do [ $p = $$ ] || echo $p; done";
    let output = session.run(others).expect("runs");
    let server = String::from_utf8(output.stdout).expect("numbers");
    let server = server.trim().parse().expect("one process");
    let server = Pid::from_raw(server).expect("above zero");
    let path = sshd.scratch().join("file");
    let file = sftp.file(bytes_of(&path), OpenMode::CreateNew(0o600), &limit());
    let file = Arc::new(file.expect("opens"));
    kill_process(server, Signal::STOP).expect("stops");
    let bytes = random_bytes(8 * 1024 * 1024, 1);
    let expected = bytes.clone();
    let writer = file.clone();
    let writing = sshoal::spawn(move || writer.write_at(0, &bytes, &limit())).expect("starts");
    // The window is full by the second at the latest.
    for _ in 0..3 {
        let error = sftp.stat(b"/", &within_ms(500)).expect_err("no answer");
        match error {
            SftpError::Session(error) => assert_eq!(error.kind(), Kind::Timeout),
            other => panic!("{other:?}"),
        }
    }
    kill_process(server, Signal::CONT).expect("goes on");
    writing.join().expect("returns").expect("is written");
    sftp.stat(b"/", &limit()).expect("is of use");
    assert!(fs::read(&path).expect("reads") == expected);
}
