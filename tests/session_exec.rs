//! Commands over a session, against OpenSSH's sshd: streams, ends, and what is left behind.

mod support;

use std::sync::{Arc, Mutex, mpsc};

use sshoal::{ApiMisuse, Error, Exit, Kind, OutputStream, Phase, Session};
use support::{
    fleet::EmbeddedFleet,
    sessions::{
        LATE, LIMIT, assert_failed, config_for, config_for_fleet, connect, connect_with,
        fleet_host, hangs_in, limit, random_bytes, within_ms,
    },
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

/// A server that keeps its own debug lines out of the commands' standard error.
#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

#[test]
fn gives_both_streams_and_the_exit_status() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let output = session
        .command("printf out; printf err >&2; exit 7")
        .output();
    let output = output.expect("runs");
    assert_eq!(output.stdout, b"out");
    assert_eq!(output.stderr, b"err");
    assert_eq!(output.exit, Exit::Status(7));
}

#[test]
fn gives_the_command_its_standard_input() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    let bytes = random_bytes(1_000_000, 3);
    let output = session
        .command("cat")
        .stdin(bytes.clone())
        .output()
        .expect("runs");
    assert!(output.stdout == bytes);
    let nothing = session
        .command("cat")
        .output()
        .expect("ends: its input is empty");
    assert_eq!((nothing.stdout, nothing.exit), (vec![], Exit::Status(0)));
    // A command that takes none of it ends all the same.
    let early = session
        .command("exec <&-; echo early")
        .stdin(random_bytes(5_000_000, 4));
    assert_eq!(early.output().expect("runs").stdout, b"early\n");
}

#[test]
fn tells_every_exit_status_apart() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    for status in [
        0, 1, 2, 3, 63, 64, 100, 125, 126, 127, 128, 129, 143, 200, 254, 255,
    ] {
        let output = session
            .command(format!("exit {status}"))
            .output()
            .expect("runs");
        assert_eq!(output.exit, Exit::Status(status));
        assert_eq!(output.exit.is_success(), status == 0);
    }
}

#[test]
fn tells_every_exit_signal() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    // Of those that RFC 4254 §6.10 names, INT and QUIT are ignored by what a shell starts in the background.
    for name in [
        "ABRT", "ALRM", "FPE", "HUP", "ILL", "KILL", "PIPE", "SEGV", "TERM", "USR1", "USR2",
    ] {
        let output = session
            .command(format!("kill -{name} $$"))
            .output()
            .expect("runs");
        match output.exit {
            Exit::Signal { name: told, .. } => assert_eq!(told, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn tells_status_signal_and_neither_apart() {
    let fleet = EmbeddedFleet::start(1);
    let config = config_for_fleet(&fleet)
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
    let exit = |command: &str| session.command(command).output().expect("runs").exit;
    assert_eq!(exit("exit 0"), Exit::Status(0));
    assert_eq!(exit("exit 4294967295"), Exit::Status(u32::MAX));
    assert_eq!(exit("nostatus"), Exit::None);
    assert!(!exit("nostatus").is_success());
    for name in ["KILL", "USR1", "odd@example.org"] {
        match exit(&format!("signal {name}")) {
            Exit::Signal { name: told, .. } => assert_eq!(told, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn refuses_a_command_with_a_nul_byte() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    let error = session
        .command("echo a\0b")
        .output()
        .expect_err("is refused");
    assert!(
        matches!(error, Error::ApiMisuse(ApiMisuse::NulByte)),
        "{error:?}"
    );
    // Nothing was sent, and the session is as good as before.
    assert_eq!(
        session.command("echo ab").output().expect("runs").stdout,
        b"ab\n"
    );
}

/// Reads in odd sizes, within scopes that end again and again while the command pauses, and checks that each read goes
/// on at the byte after the last one.
#[test]
fn reading_goes_on_at_the_next_byte_after_a_timeout() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    let numbers = "for i in 1 2 3 4 5 6; do seq $((i * 1000)) $((i * 1000 + 999)); sleep 0.1; done";
    let child = session.command(numbers).no_stdin().spawn().expect("starts");
    let (mut text, mut timeouts, mut size) = (Vec::new(), 0, 1);
    let watchdog = limit();
    loop {
        watchdog.check().expect("ends in time");
        size = size * 7 % 1013 + 1;
        let mut buffer = vec![0; size];
        match child.read_stdout(&mut buffer, &within_ms(20)) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
            Err(error) => {
                assert_failed(&error, Phase::Run, Kind::Timeout);
                timeouts += 1;
            }
        }
    }
    let expected: String = (1000..7000).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&text), expected);
    assert!(timeouts > 0, "no read timed out");
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
}

/// Twenty green threads share one session, each with its own command, input and output.
#[test]
fn runs_twenty_commands_side_by_side() {
    let Some(sshd) = quiet() else { return };
    let session = Arc::new(connect(&sshd));
    let threads: Vec<_> = (0..20_u64)
        .map(|number| {
            let session = session.clone();
            let run = move || {
                let bytes = random_bytes(100_000 + 7 * number as usize, number + 1);
                let command = format!("echo {number} >&2; cat; exit {number}");
                let output = session
                    .command(command)
                    .stdin(bytes.clone())
                    .output()
                    .expect("runs");
                assert!(output.stdout == bytes, "command {number}");
                assert_eq!(output.stderr, format!("{number}\n").as_bytes());
                assert_eq!(output.exit, Exit::Status(number as u32));
            };
            sshoal::spawn(run).expect("starts")
        })
        .collect();
    for thread in threads {
        thread.join().expect("no command failed");
    }
}

/// Reads ten megabytes of one stream while a good part of the other's window lies unread, then reads that.
#[test]
fn reads_one_stream_while_the_other_is_unread() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let command = "head -c 100000 /dev/zero >&2; head -c 10000000 /dev/zero; exit 5";
    let child = session.command(command).no_stdin().spawn().expect("starts");
    let (mut stdout, mut stderr, mut buffer) = (0, 0, vec![0; 32 * 1024]);
    while let read @ 1.. = child.read_stdout(&mut buffer, &limit()).expect("reads") {
        stdout += read;
    }
    while let read @ 1.. = child.read_stderr(&mut buffer, &limit()).expect("reads") {
        stderr += read;
    }
    assert_eq!((stdout, stderr), (10_000_000, 100_000));
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(5));
}

/// The first green thread reads one stream, the second the other, a third writes, and each has its own.
#[test]
fn three_threads_share_one_child() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let child = Arc::new(session.command("tee /dev/stderr").spawn().expect("starts"));
    let bytes = Arc::new(random_bytes(3_000_000, 9));
    let writer = {
        let (child, bytes) = (child.clone(), bytes.clone());
        sshoal::spawn(move || {
            child.write_stdin(&bytes, &limit()).expect("writes");
            child.close_stdin(&limit()).expect("closes");
        })
    };
    let reader = |of: OutputStream| {
        let child = child.clone();
        sshoal::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 8192]);
            loop {
                let read = match of {
                    OutputStream::Stdout => child.read_stdout(&mut buffer, &limit()),
                    OutputStream::Stderr => child.read_stderr(&mut buffer, &limit()),
                };
                match read.expect("reads") {
                    0 => return all,
                    read => all.extend_from_slice(&buffer[..read]),
                }
            }
        })
        .expect("starts")
    };
    let readers = [reader(OutputStream::Stdout), reader(OutputStream::Stderr)];
    writer.expect("starts").join().expect("wrote all");
    for reader in readers {
        assert!(reader.join().expect("read all") == *bytes);
    }
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
}

/// Starts more endless commands than the server allows at once and drops each in the middle of its output; the server
/// ends every one of them, and the next command runs.
#[test]
fn a_child_dropped_in_the_middle_leaves_the_session_usable() {
    let builder = Sshd::builder().config("MaxSessions 10");
    let Some(sshd) = builder.start() else { return };
    let session = connect(&sshd);
    for number in 0..25 {
        let child = session.command("yes").no_stdin().spawn().expect("starts");
        let mut buffer = [0; 5];
        child.read(&mut buffer, &limit()).expect("reads");
        drop(child);
        let echo = session
            .command(format!("echo {number}"))
            .output()
            .expect("runs");
        assert_eq!(echo.stdout, format!("{number}\n").as_bytes());
    }
}

/// A command that cannot start: the server allows no channel at all.
#[test]
fn a_refused_channel_is_denied() {
    let Some(sshd) = Sshd::builder().config("MaxSessions 0").start() else {
        return;
    };
    let session = connect(&sshd);
    for _ in 0..3 {
        let error = session.command("true").output().expect_err("is refused");
        assert_failed(&error, Phase::Open, Kind::Denied);
        assert!(
            session.is_open(),
            "a refusal is no reason to give the session up"
        );
    }
}

#[test]
fn a_forced_command_runs_instead() {
    let Some(sshd) = Sshd::builder()
        .config("ForceCommand echo forced; exit 9")
        .start()
    else {
        return;
    };
    let output = connect(&sshd).command("echo mine").output().expect("runs");
    assert_eq!(
        (output.stdout.as_slice(), output.exit),
        (&b"forced\n"[..], Exit::Status(9))
    );
}

/// The embedded fleet passes signals on; OpenSSH does so only for users other than root.
#[test]
fn a_signal_reaches_the_command() {
    let fleet = EmbeddedFleet::start(1);
    let config = config_for_fleet(&fleet)
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
    let child = session.command("sleep 1000").spawn().expect("starts");
    child.signal("TERM", &limit()).expect("sends");
    match child.wait(&limit()).expect("ends") {
        Exit::Signal { name, .. } => assert_eq!(name, "TERM"),
        other => panic!("{other:?}"),
    }
}

/// A write to a command that has ended finds out, however full the window is.
#[test]
fn writing_to_a_command_that_has_ended_fails() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let child = session.command("head -c 10 >&2").spawn().expect("starts");
    let error = child.write_stdin(&random_bytes(20_000_000, 1), &limit());
    assert_failed(
        &error.expect_err("nobody reads it"),
        Phase::Run,
        Kind::Closed,
    );
    let mut buffer = [0; 100];
    let read = child.read(&mut buffer, &limit()).expect("reads");
    assert_eq!(read, Some((OutputStream::Stderr, 10)));
    assert_eq!(child.read(&mut buffer, &limit()).expect("reads"), None);
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
    assert_eq!(
        session.command("echo on").output().expect("runs").stdout,
        b"on\n"
    );
}

/// More output than allowed ends the call at once, and the command with it, also while its input is still being fed.
#[test]
fn output_beyond_the_bound_is_refused_and_ends_the_command() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let mark = sshd.scratch().join("ended");
    let endless = format!("trap 'echo > {}' EXIT; cat", mark.display());
    let command = session.command(endless).stdin(random_bytes(30_000_000, 5));
    let error = command
        .output_bytes_max(100_000)
        .output()
        .expect_err("is too much");
    assert_failed(&error, Phase::Run, Kind::Limit);
    let within = session
        .command("head -c 100000 /dev/zero")
        .output_bytes_max(100_000);
    assert_eq!(
        within.output().expect("is just within").stdout.len(),
        100_000
    );
    let waits = format!("while ! test -e {}; do sleep 0.01; done", mark.display());
    let ended = session.command(waits).scope(&limit()).output();
    assert!(
        ended
            .expect("the command that gave too much was ended")
            .exit
            .is_success()
    );
}

/// Many threads wait on the end of one child, one of them reads: all get the same end, none another's bytes.
#[test]
fn all_who_wait_for_a_child_get_its_end() {
    let Some(sshd) = quiet() else { return };
    let session = Arc::new(connect(&sshd));
    let (sender, receiver) = mpsc::channel();
    let ends = Arc::new(Mutex::new(Vec::new()));
    for round in 0..30 {
        let child = Arc::new(
            session
                .command("exit 4")
                .no_stdin()
                .spawn()
                .expect("starts"),
        );
        for _ in 0..4 {
            let (child, ends, sender) = (child.clone(), ends.clone(), sender.clone());
            let wait = move || {
                let exit = child.wait(&limit());
                ends.lock().expect("no thread panicked").push((round, exit));
                sender.send(()).expect("the test waits");
            };
            sshoal::spawn(wait).expect("starts");
        }
    }
    for _ in 0..120 {
        receiver.recv_timeout(LIMIT).expect("all waits end");
    }
    for (round, exit) in ends.lock().expect("no thread panicked").drain(..) {
        assert_eq!(exit.expect("has an end"), Exit::Status(4), "round {round}");
    }
}

/// The scope of a command's start and end is the caller's, and its end leaves nothing of the command.
#[test]
fn a_timed_out_command_is_ended_on_the_host() {
    let Some(sshd) = Sshd::start() else { return };
    let config = config_for(&sshd);
    let session = connect_with(&sshd, config);
    let (error, limit, took) = hangs_in(Phase::Run, 300, |milliseconds| {
        let command = session.command("sleep 1000");
        let output = command.scope(&within_ms(milliseconds)).output();
        output.expect_err("takes too long")
    });
    assert_failed(&error, Phase::Run, Kind::Timeout);
    assert!(took < limit + LATE, "{took:?}");
    assert_eq!(
        session.command("echo on").output().expect("runs").stdout,
        b"on\n"
    );
}
