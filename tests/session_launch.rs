//! How commands are launched, against OpenSSH's sshd: variables, directory, shell, and input from a reader.

mod support;

use std::io::{self, Read};

use sshoal::{Commands, End, Error, Exit, Fleet, Kind, Launch, Phase, Pty, RunSpec, Shell, Sudo};
use support::{
    sessions::{LIMIT, assert_failed, config_for, connect, host, limit, random_bytes, within_ms},
    sshd::Sshd,
};

#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

/// All bytes but NUL, in variables that the server itself would refuse, in a directory, in a shell in the login shell.
#[test]
fn variables_directory_and_shell_arrive_byte_by_byte() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let all: Vec<u8> = (1..=255).collect();
    let folder = sshd.scratch().join("it's $HOME \\ \"x\"\n");
    std::fs::create_dir(&folder).expect("makes a directory");
    let folder = folder.into_os_string().into_encoded_bytes();
    let launch = Launch::new()
        .env("ODD", all.clone())
        .env("EMPTY", "")
        .env("GONE", "earlier")
        .env("GONE", "later")
        .dir(folder.clone());
    let command = "printf '%s|' \"$ODD\" \"$EMPTY\" \"$GONE\" \"$(pwd)\" 'a   b'; exit 7";
    let expected = [
        &all[..],
        b"",
        b"later",
        folder.trim_ascii_end(),
        b"a   b",
        b"",
    ]
    .join(&b'|');
    for launch in [
        launch.clone(),
        launch.clone().shell(Shell::new("/bin/sh")),
        launch.clone().shell(Shell::parse("bash -e -c")),
        launch.clone().shell(Shell::login()),
    ] {
        let output = session
            .command(command)
            .launch(&launch)
            .output()
            .expect("runs");
        assert!(output.stdout == expected, "{launch:?}: {output:?}");
        assert_eq!(output.exit, Exit::Status(7));
        // Made before, it is run as it is.
        let bytes = launch.wrap(command.as_bytes()).expect("can be launched");
        let again = session.command(bytes).launched(&launch).output();
        assert!(again.expect("runs").stdout == expected);
    }
}

#[test]
fn what_cannot_be_set_up_is_an_exit_status_of_its_own() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let launch = Launch::new().dir("/no/such/place");
    let output = session
        .command("echo one; echo two")
        .launch(&launch)
        .output();
    let output = output.expect("runs");
    assert_eq!(output.exit, Exit::Status(Launch::NOT_SET_UP));
    assert_eq!(output.stdout, b"");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/no/such/place"), "{said}");
}

/// The server's log names each message of ours: one request for the channel's command, and none for a variable.
#[test]
fn variables_take_no_round_trip() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    let mark = sshd.log_mark();
    let launch = (0..20).fold(Launch::new(), |launch, n| launch.env(format!("V{n}"), "x"));
    let output = session.command("echo $V0$V19").launch(&launch).output();
    assert_eq!(output.expect("runs").stdout, b"xx\n");
    session.close().expect("closes");
    sshd.wait_for_ends(1, LIMIT);
    let log = sshd.log()[mark..].to_owned();
    let requests = log.matches("receive packet: type 98").count();
    assert_eq!(requests, 1, "{log}");
}

/// A fleet is asked for nothing, not even to connect, where one of its commands cannot be launched.
#[test]
fn everything_is_checked_before_anything_is_sent() {
    let Some(sshd) = Sshd::builder().addresses(2).start() else {
        return;
    };
    let config = config_for(&sshd).build().expect("a whole configuration");
    let hosts: Vec<_> = sshd.sockets().into_iter().map(host).collect();
    let fleet = Fleet::builder(hosts, config.into())
        .build()
        .expect("a fleet");
    for launch in [
        Launch::new().env("no name", "x"),
        Launch::new().dir(""),
        Launch::new().shell(Shell::new("-x")),
        Launch::new().sudo(Sudo::to("")),
        Launch::new().pty(Pty::new("", 1, 1)),
    ] {
        let error = fleet
            .run(RunSpec::new("true").launch(launch))
            .expect_err("is refused");
        assert!(error.to_string().contains("cannot be launched"), "{error}");
    }
    let nul = Commands::each([&b"true"[..], b"\0"]);
    fleet.run(RunSpec::new(nul)).expect_err("is refused");
    assert!(!sshd.log().contains("Connection from"), "{}", sshd.log());
    // And of one that can, each outcome has the exact bytes.
    let launch = Launch::new().env("A", "it's").shell(Shell::new("sh"));
    let commands = Commands::each(["echo 0 $A", "echo 1 $A"]);
    let report = fleet
        .run(RunSpec::new(commands).launch(launch.clone()))
        .expect("begins")
        .report();
    for (index, outcome) in report.outcomes().iter().enumerate() {
        let command = format!("echo {index} $A");
        let expected = launch.wrap(command.as_bytes()).expect("can be launched");
        assert_eq!(outcome.command(), Some(&expected[..]));
        assert_eq!(
            outcome.stdout().text().expect("reads"),
            format!("{index} it's\n")
        );
        assert!(matches!(outcome.end(), End::Exited(0)));
    }
}

/// Gives bytes in small pieces, then an error or the end.
struct Pieces {
    left: Vec<u8>,
    fails: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.left.len().min(buffer.len()).min(1000);
        if count == 0 && self.fails {
            return Err(io::Error::other("the disk is on fire"));
        }
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

#[test]
fn input_comes_from_a_reader_and_its_failure_is_no_end() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let bytes = random_bytes(200_000, 8);
    let pieces = |fails| Pieces {
        left: bytes.clone(),
        fails,
    };
    let output = session.command("cat").stdin_from(pieces(false)).output();
    assert!(output.expect("runs").stdout == bytes);
    let path = sshd.scratch().join("input");
    std::fs::write(&path, &bytes).expect("writes a file");
    let file = std::fs::File::open(&path).expect("opens it");
    let output = session.command("cat").stdin_from(file).output();
    assert!(output.expect("runs").stdout == bytes);
    // A command that ends before it has read it is no failure.
    let early = session
        .command("echo early")
        .stdin_from(io::repeat(b'x'))
        .scope(&limit());
    assert_eq!(early.output().expect("runs").stdout, b"early\n");
    let marker = sshd.scratch().join("whole");
    let command = format!("cat >/dev/null && touch {}", marker.display());
    let error = session
        .command(command)
        .stdin_from(pieces(true))
        .scope(&limit())
        .output();
    let error = error.expect_err("the reader failed");
    assert_failed(&error, Phase::Run, Kind::Io);
    assert!(matches!(&error, Error::Local { source, .. } if source.to_string().contains("fire")));
    // Nor is a time limit anything else for it.
    let slow = session.command("sleep 1000").stdin_from(io::repeat(b'x'));
    let error = slow
        .scope(&within_ms(200))
        .output()
        .expect_err("takes too long");
    assert_failed(&error, Phase::Run, Kind::Timeout);
    // The end of a channel is an end of input to the command, which was killed before.
    assert!(!marker.exists());
}
