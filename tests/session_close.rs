//! The ends of sessions and of what is on them: orderly, in bounded time, and never by a wait in a drop (law S7).

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use sshoal::transfer::sftp::{OpenMode, Sftp};
use sshoal::{Child, Kind, Phase, Session};
use support::{
    sessions::{LATE, LIMIT, assert_failed, connect, limit, one_of_five, random_bytes, within_ms},
    sshd::Sshd,
};

#[test]
fn close_says_farewell() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    session.command("true").output().expect("runs");
    session.close().expect("closes");
    sshd.wait_for_ends(1, LIMIT);
    let log = sshd.log();
    assert!(log.contains("Received disconnect from"), "{log}");
    for bad in [
        "error:",
        "fatal:",
        "Connection reset",
        "Connection closed by",
    ] {
        assert!(!log.contains(bad), "{bad} in\n{log}");
    }
}

/// A stopped server with full buffers takes neither farewell nor anything else; the close gives up in time.
#[test]
fn close_is_bounded_in_time_when_the_server_hangs() {
    let Some(sshd) = Sshd::start() else { return };
    let session = Arc::new(connect(&sshd));
    let child = stop_with_full_buffers(&sshd, &session);
    let session = Arc::into_inner(session).expect("nobody else has it");
    let begun = Instant::now();
    session.close().expect("closes");
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    drop(child);
}

/// Law S7: with commands and a file open, and the server stopped, the drops of all of them return at once. Each wait for
/// the host would last for a second, each time.
#[test]
fn dropping_everything_never_waits_for_the_host() {
    one_of_five(drop_everything, |took| {
        took.is_none_or(|took| took < Duration::from_millis(500))
    });
}

/// How long the drops take; `None` where there is no sshd.
fn drop_everything() -> Option<Duration> {
    let sshd = Sshd::start()?;
    let session = Arc::new(connect(&sshd));
    let sftp = Sftp::open(&session, &limit()).expect("opens");
    let path = sshd
        .scratch()
        .join("file")
        .into_os_string()
        .into_encoded_bytes();
    let mode = OpenMode::CreateNew(0o600);
    let file = sftp.file(&path, mode, &limit()).expect("opens");
    let child = stop_with_full_buffers(&sshd, &session);
    let begun = Instant::now();
    drop((file, child, sftp));
    drop(session);
    Some(begun.elapsed())
}

/// A session that is dropped ends its connection, whoever still holds a command of it.
#[test]
fn dropping_a_session_ends_its_commands() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    let child = session.command("exec sleep 1000").spawn().expect("starts");
    drop(session);
    child.wait(&limit()).expect_err("the connection is gone");
    sshd.wait_for_ends(1, LIMIT);
}

/// Stops the server while a command is fed, until a write is stuck.
fn stop_with_full_buffers(sshd: &Sshd, session: &Arc<Session>) -> Child {
    let child = session.command("cat > /dev/null").spawn().expect("starts");
    for daemon in sshd.daemons() {
        daemon.signal_tree(Signal::STOP);
    }
    let bytes = random_bytes(40_000_000, 2);
    let stuck = child
        .write_stdin(&bytes, &within_ms(300))
        .expect_err("nobody reads");
    assert_failed(&stuck, Phase::Run, Kind::Timeout);
    child
}
