//! Commands on a pseudo-terminal, against OpenSSH's sshd.

mod support;

use sshoal::{ApiMisuse, Child, Error, Exit, Kind, Launch, OutputStream, Phase, Pty, Session};
use support::{
    sessions::{LIMIT, assert_failed, config_for, connect, connect_with, limit},
    sshd::Sshd,
};

#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

#[track_caller]
fn on(session: &Session, pty: Pty, command: &str) -> String {
    let launch = Launch::new().pty(pty);
    let output = session
        .command(command)
        .launch(&launch)
        .scope(&limit())
        .output();
    let output = output.expect("runs");
    assert_eq!(output.stderr, b"");
    assert_eq!(output.exit, Exit::Status(0));
    String::from_utf8(output.stdout).expect("is text")
}

/// Reads until something was said.
#[track_caller]
fn read_until(child: &Child, text: &mut String, part: &str) {
    let mut buffer = [0; 512];
    while !text.contains(part) {
        let read = child.read(&mut buffer, &limit()).expect("reads");
        let (stream, count) = read.unwrap_or_else(|| panic!("{part:?} never came: {text:?}"));
        assert_eq!(stream, OutputStream::Stdout);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

#[test]
fn type_size_and_modes_are_those_asked_for() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let pty = Pty::new("xterm-256color", 133, 47);
    let text = on(
        &session,
        pty.clone(),
        "test -t 0 && test -t 2; stty size; echo $TERM",
    );
    assert_eq!(text, "47 133\r\nxterm-256color\r\n");
    let flags = on(&session, pty.clone().mode(53, 0), "stty -a");
    assert!(flags.contains(" -echo "), "{flags}");
    // OPOST off: line ends as the command writes them.
    assert_eq!(on(&session, pty.mode(70, 0), "echo a; echo b"), "a\nb\n");
    assert_eq!(
        on(&session, Pty::default(), "stty size; echo $TERM"),
        "24 80\r\nvt100\r\n"
    );
}

#[test]
fn both_streams_are_one_in_the_order_written() {
    let Some(sshd) = quiet() else { return };
    let text = on(
        &connect(&sshd),
        Pty::default(),
        "for n in 1 2 3; do echo o$n; echo e$n >&2; done",
    );
    assert_eq!(text, "o1\r\ne1\r\no2\r\ne2\r\no3\r\ne3\r\n");
}

/// sshd passes no end of input on to a terminal: without Ctrl-D, each of these would wait for ever.
#[test]
fn the_end_of_input_is_typed() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let launch = Launch::new().pty(Pty::default().mode(53, 0));
    for (input, expected) in [
        (&b""[..], "end\r\n"),
        (b"line\n", "line\r\nend\r\n"),
        (b"no line", "no lineend\r\n"),
    ] {
        let command = session
            .command("cat; echo end")
            .launch(&launch)
            .stdin(input);
        let output = command.scope(&limit()).output().expect("runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
    let child = session
        .command("cat; echo end")
        .launch(&launch)
        .no_stdin()
        .scope(&limit())
        .spawn();
    let child = child.expect("starts");
    read_until(&child, &mut String::new(), "end\r\n");
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
}

#[test]
fn a_resized_terminal_tells_the_command() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let launch = Launch::new().pty(Pty::default().mode(53, 0));
    let command = "trap 'echo told' WINCH; echo ready; read line; read line; stty size";
    let child = session
        .command(command)
        .launch(&launch)
        .scope(&limit())
        .spawn()
        .expect("starts");
    let mut text = String::new();
    read_until(&child, &mut text, "ready\r\n");
    for (columns, rows) in [(0, 10), (10, 0), (65_536, 10)] {
        let error = child
            .resize(columns, rows, &limit())
            .expect_err("is refused");
        assert_failed(&error, Phase::Local, Kind::Internal);
    }
    child.resize(120, 33, &limit()).expect("tells");
    child.resize(99, 44, &limit()).expect("tells");
    child.write_stdin(b"\n\n", &limit()).expect("writes");
    read_until(&child, &mut text, "44 99\r\n");
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
    match child.resize(80, 24, &limit()) {
        Err(Error::ApiMisuse(why)) => assert_eq!(why, ApiMisuse::StdinClosed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_host_that_gives_no_terminal_refuses_the_command() {
    let Some(sshd) = Sshd::builder().config("PermitTTY no").start() else {
        return;
    };
    let session = connect_with(&sshd, config_for(&sshd));
    let marker = sshd.scratch().join("ran");
    let command = format!("touch {}", marker.display());
    let launch = Launch::new().pty(Pty::default());
    let error = session
        .command(command)
        .launch(&launch)
        .output()
        .expect_err("is refused");
    assert_failed(&error, Phase::Open, Kind::Denied);
    // The session is as good as before.
    assert!(
        session
            .command("true")
            .output()
            .expect("runs")
            .exit
            .is_success()
    );
    session.close().expect("closes");
    sshd.wait_for_ends(1, LIMIT);
    assert!(!marker.exists());
}
