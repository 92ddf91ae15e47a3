//! Reading what hosts print: nothing of it is lost, and none of it costs more than the rest.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sshoal::{Encoding, Exit, Kind, LineEnding, OnBadBytes, Started};

use super::{LONG, fleet_of, server};
use crate::support::sessions::{connect, limit, within_ms};

/// Goal: `\r` takes no character and no line away, wherever it stands.
#[test]
fn carriage_returns_take_nothing_away() {
    use LineEnding::{CrLf, Lf, None};
    let Some(sshd) = server(1) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let command = r"printf 'hello\nworld\r\na\rb\nc\r\r\n\r\n\nlast\r'";
    let run = fleet.start(command).expect("starts");
    assert!(run.wait(LONG).is_complete());
    let lines = run.host(0).stdout().lines().map(|line| {
        let line = line.expect("is read");
        let text = String::from_utf8(line.bytes().to_vec()).expect("is text");
        (text, line.ending())
    });
    let expected = [
        ("hello", Lf),
        ("world", CrLf),
        ("a\rb", Lf),
        ("c\r", CrLf),
        ("", CrLf),
        ("", Lf),
        ("last\r", None),
    ];
    let expected = expected.map(|(text, ending)| (text.to_owned(), ending));
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// Goal: an encoding is a reader's: the next read of the same stream may have another, and a reader
/// that is dropped in between loses nothing.
#[test]
fn the_next_read_may_have_another_encoding() {
    let Some(sshd) = server(1) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let command = b"echo 'gr\xfcn'; echo 'gr\xc3\xbcn'; echo '\xce\xb1'; echo '\xe1'".to_vec();
    let run = fleet.start(command).expect("starts");
    for (name, expected) in [
        ("latin1", "grün"),
        ("utf-8", "grün"),
        ("utf-8", "α"),
        ("iso-8859-7", "α"),
    ] {
        let encoding = Encoding::by_name(name).expect("is known");
        let reader = run.host(0).stdout().idle_timeout(LONG);
        let mut text = reader.text(encoding, OnBadBytes::Fail);
        let line = text.next().expect("a line").expect("is text");
        assert_eq!(line, expected, "{name}");
    }
}

/// Goal: a read takes what is there, not a kibibyte of it.
#[test]
fn a_read_takes_all_that_there_is_room_for() {
    let Some(sshd) = server(1) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let run = fleet.start("head -c 200000 /dev/zero").expect("starts");
    assert!(run.wait(LONG).is_complete());
    let (mut reads, mut buffer) = (0, vec![0; 64 * 1024]);
    let mut reader = run.host(0).stdout();
    while reader.read(&mut buffer).expect("reads") > 0 {
        reads += 1;
    }
    // With 1 KiB each there were 196.
    assert!(reads <= 20, "{reads} reads");
}

/// Goal: a line costs the same however much output there is behind it. Method: this thread's own
/// processor time for the lines of 128 KiB and for those of eight times as much, the least of
/// several hosts'; splitting that copies what is left would take sixty-four times as much.
#[test]
fn lines_cost_the_same_however_much_output_there_is() {
    let Some(sshd) = server(5) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let line = "0123456789 0123456789 0123456789 0123456789 0123456789";
    let collected = |bytes: usize| {
        let run = fleet.start(format!("yes '{line}' | head -c {bytes}"));
        let run = run.expect("starts");
        assert!(run.wait(LONG).is_complete());
        run
    };
    let least = |run: &Started| {
        let of_each = run.hosts().iter().map(|host| {
            let begun = thread_time();
            let lines = host.stdout().lines().count();
            (thread_time() - begun, lines)
        });
        of_each.min().expect("there are hosts")
    };
    let (little, few) = least(&collected(128 * 1024));
    let (much, many) = least(&collected(1024 * 1024));
    assert!(many >= few * 7, "{few} and {many} lines");
    let bound = little * 24 + Duration::from_millis(5);
    assert!(much < bound, "{few} lines: {little:?}, {many}: {much:?}");
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    seconds + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// Goal: on one host alone, an exit status is none until the command has ended, and asking for it
/// takes nothing of the command; a second answer is the same.
#[test]
fn an_exit_status_is_none_until_the_command_ends() {
    let Some(sshd) = server(1) else { return };
    let session = connect(&sshd);
    let command = session.command("echo begun; read -r line; echo \"<$line>\"; exit 9");
    let child = command.scope(&limit()).spawn().expect("starts");
    for _ in 0..2 {
        let error = child.wait(&within_ms(10)).expect_err("it runs");
        assert_eq!(error.kind(), Kind::Timeout);
    }
    child.write_stdin(b"on\n", &limit()).expect("is fed");
    let (mut said, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        match child.read_stdout(&mut buffer, &limit()).expect("reads") {
            0 => break,
            bytes => said.extend_from_slice(&buffer[..bytes]),
        }
    }
    assert_eq!(said, b"begun\n<on>\n");
    for _ in 0..2 {
        let exit = child.wait(&limit()).expect("has ended");
        assert_eq!(exit, Exit::Status(9));
    }
}
