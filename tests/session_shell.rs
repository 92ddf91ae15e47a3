//! Interactive shells over a session, against OpenSSH's sshd: lines, prompts, ends, and bounds.

mod support;

use std::{fs, process::Command, sync::Arc, thread};

use sshoal::{
    Error, Exit, InteractiveShell, Kind, LaunchError, OutputStream, Pattern, Pty, Scope, Session,
    ShellError, ShellSpec, spawn,
};
use support::{
    process::Guarded,
    sessions::{connect, limit, random_bytes, within_ms},
    sshd::Sshd,
};

/// A server that keeps its own debug lines out of the shells' standard error.
#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

#[track_caller]
fn open(session: &Session) -> InteractiveShell {
    session
        .shell(&ShellSpec::new(), &limit())
        .expect("opens a shell")
}

/// All of standard output that is left, to its end.
#[track_caller]
fn rest(shell: &InteractiveShell) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 8192]);
    loop {
        let read = shell.read_stream(OutputStream::Stdout, &mut buffer, &limit());
        match read.expect("reads") {
            0 => return all,
            bytes => all.extend_from_slice(&buffer[..bytes]),
        }
    }
}

#[track_caller]
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the test's commands print ASCII")
}

#[test]
fn lines_run_in_order_in_one_shell() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    for line in ["cd /", "x=1", "pwd", "x=$((x + 1))", "echo $x", "(exit 7)"] {
        shell.run(line, &limit()).expect("sends");
    }
    assert_eq!(shell.exit(), None);
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(7));
    // What it printed is there after the end as before it, and a second end is the same.
    assert_eq!(text(rest(&shell)), "/\n2\n");
    assert_eq!(shell.exit(), Some(Exit::Status(7)));
    assert_eq!(shell.join(&limit()).expect("has ended"), Exit::Status(7));
}

#[test]
fn a_shell_that_was_joined_takes_no_more_lines() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(0));
    let error = shell.run("echo", &limit()).expect_err("is closed");
    let misuse = sshoal::ApiMisuse::StdinClosed;
    assert!(
        matches!(error.session(), Some(Error::ApiMisuse(found)) if *found == misuse),
        "{error:?}"
    );
    assert!(!shell.wait_readable(&limit()).expect("has ended"));
}

/// Goal: prompts are waited for and nothing around them is lost. Method: a shell that prompts on
/// standard output, a time that runs out in the middle, then the rest.
#[test]
fn waits_for_a_prompt_and_keeps_what_follows() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    let all = limit();
    shell
        .run("PS1='ready> ' exec sh -i 2>&1", &all)
        .expect("sends");
    shell.expect("ready> ", &all).expect("prompts");
    shell.run("echo one; echo two", &all).expect("sends");
    let found = shell.expect("ready> ", &all).expect("prompts");
    assert_eq!(
        (text(found.before), found.matched, found.which),
        ("one\ntwo\n".into(), b"ready> ".to_vec(), 0)
    );
    shell
        .run("printf 'a b'; read line; echo $line", &all)
        .expect("sends");
    let late = shell.expect("c", &within_ms(50)).expect_err("never comes");
    assert_eq!(late.kind(), Kind::Timeout);
    shell.run("d", &all).expect("sends");
    let found = shell.expect(["x", "d\n", "b"], &all).expect("comes");
    assert_eq!(
        (text(found.before), found.which),
        ("a ".into(), 2),
        "the first place counts, and what came before the timeout is there"
    );
    let prompt = Pattern::regex(r"(?m)^ready> $").expect("is an expression");
    let found = shell.expect(prompt, &all).expect("prompts");
    assert_eq!(text(found.before), "d\n");
    shell.run("echo end; exit 5", &all).expect("sends");
    let ended = shell.expect("never", &all).expect_err("ends before");
    assert!(matches!(ended, ShellError::Ended), "{ended:?}");
    assert_eq!(text(rest(&shell)), "end\n");
    assert_eq!(shell.join(&all).expect("ends"), Exit::Status(5));
}

/// Goal: a join that ran out of time is made again and nothing is lost. Method: a shell that waits
/// for a pipe of ours.
#[test]
fn a_join_is_repeated_after_a_timeout() {
    let Some(sshd) = quiet() else { return };
    let pipe = sshd.scratch().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let session = connect(&sshd);
    let shell = open(&session);
    let line = format!("echo before; cat {}; exit 3", pipe.display());
    shell.run(line, &limit()).expect("sends");
    for _ in 0..3 {
        let error = shell.join(&within_ms(20)).expect_err("still runs");
        assert_eq!(error.kind(), Kind::Timeout);
        assert_eq!(shell.exit(), None);
    }
    fs::write(&pipe, "after\n").expect("writes to the pipe");
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(3));
    assert_eq!(text(rest(&shell)), "before\nafter\n");
}

/// Goal: memory is bounded and nothing hangs or is lost by it (P4). Method: much more output than
/// is kept; the join tells, reading goes on, the join then works.
#[test]
fn output_that_nobody_reads_holds_the_shell_up_and_says_so() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let spec = ShellSpec::new().unread_bytes_max(50_000);
    let shell = session.shell(&spec, &limit()).expect("opens a shell");
    shell
        .run("seq 1000000 1000 2000000; seq 200000; exit 4", &limit())
        .expect("sends");
    for _ in 0..2 {
        let full = shell.join(&limit()).expect_err("is held up");
        assert!(
            matches!(full, ShellError::Full { bytes_max: 50_000 }),
            "{full:?}"
        );
    }
    let full = shell.expect("never", &limit()).expect_err("is full");
    assert_eq!(full.kind(), Kind::Limit);
    let (first, errors) = shell.unread();
    assert_eq!((first.len(), errors.len()), (50_000, 0));
    let whole = [first, rest(&shell)].concat();
    let expected: String = (1_000_000..=2_000_000)
        .step_by(1000)
        .chain(1..=200_000)
        .map(|n| format!("{n}\n"))
        .collect();
    assert!(whole == expected.into_bytes());
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(4));
}

/// Goal: every byte goes through, both ways at once. Method: `cat` in a shell; one thread sends
/// while another reads.
#[test]
fn every_byte_goes_through_both_ways() {
    let Some(sshd) = Sshd::builder()
        .log_level("INFO")
        .config("RekeyLimit 1M")
        .start()
    else {
        return;
    };
    let session = connect(&sshd);
    let shell = Arc::new(open(&session));
    let bytes = random_bytes(6_000_000, 11);
    shell.run("exec cat", &limit()).expect("sends");
    let (sender, sent) = (shell.clone(), bytes.clone());
    let sender = thread::spawn(move || {
        for piece in sent.chunks(70_001) {
            sender.send(piece, &limit()).expect("sends");
        }
        sender.end_input().expect("ends the input");
    });
    assert!(rest(&shell) == bytes);
    sender.join().expect("sends all");
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(0));
}

#[test]
fn the_two_streams_are_apart_and_both_are_read() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    let all = limit();
    // What the user's profile writes to standard error comes before.
    shell
        .run("echo begin >&2; echo out; echo err >&2", &all)
        .expect("sends");
    let (out, err) = (OutputStream::Stdout, OutputStream::Stderr);
    shell.expect_on(err, "begin\n", &all).expect("comes");
    shell.expect_on(err, "err\n", &all).expect("comes");
    let found = shell.expect_on(out, "out\n", &all).expect("comes");
    assert_eq!(text(found.before), "");
    shell.run("kill -9 $$", &all).expect("sends");
    let mut buffer = [0; 100];
    while shell.read(&mut buffer, &all).expect("reads").is_some() {}
    let exit = shell.join(&all).expect("ends");
    assert!(
        matches!(exit, Exit::Signal { ref name, .. } if name == "KILL"),
        "{exit:?}"
    );
}

/// Goal: shells, commands and their threads share a session. Method: eight green threads, each with
/// a shell of its own, and plain commands meanwhile.
#[test]
fn shells_and_commands_go_side_by_side() {
    let Some(sshd) = quiet() else { return };
    let session = Arc::new(connect(&sshd));
    let greens: Vec<_> = (0..8)
        .map(|n| {
            let session = session.clone();
            let green = spawn(move || {
                let shell = open(&session);
                for round in 0..20 {
                    shell
                        .run(format!("echo {n} {round}"), &limit())
                        .expect("sends");
                    let found = shell.expect(format!("{n} {round}\n"), &limit());
                    assert_eq!(text(found.expect("comes").before), "");
                }
                shell.join(&limit()).expect("ends")
            });
            green.expect("starts")
        })
        .collect();
    let output = session.command("echo beside").output().expect("runs");
    assert_eq!(output.stdout, b"beside\n");
    for green in greens {
        assert_eq!(green.join().expect("no panic"), Exit::Status(0));
    }
}

/// Goal: a lost connection is told by every call, with the output until then. Method: the server is
/// killed while a shell waits.
#[test]
fn a_lost_connection_is_an_error_after_the_output_until_then() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    shell
        .run("echo before; sleep 600", &limit())
        .expect("sends");
    assert!(shell.wait_readable(&limit()).expect("prints"));
    let daemon: &Guarded = &sshd.daemons()[0];
    daemon.signal_tree(rustix::process::Signal::KILL);
    let error = shell.join(&limit()).expect_err("is lost");
    // A process that is killed with bytes unread resets its connection.
    let kind = error.kind();
    assert!(matches!(kind, Kind::Closed | Kind::Reset), "{error:?}");
    assert_eq!(text(shell.unread().0), "before\n");
    for _ in 0..2 {
        let error = shell.expect("x", &limit()).expect_err("is lost");
        assert!(error.session().is_some(), "{error:?}");
        assert!(shell.read(&mut [0; 9], &limit()).is_err());
    }
    assert_eq!(shell.exit(), None);
}

/// Goal: a shell that is dropped ends, and the session goes on. Method: the shell's own process is
/// looked for on the host.
#[test]
fn a_shell_that_is_dropped_ends_on_the_host() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    shell.run("echo $$", &limit()).expect("sends");
    let number = Pattern::regex(r"([0-9]+)\n").expect("is an expression");
    let pid = shell.expect(number, &limit()).expect("comes").matched;
    drop(shell);
    let pid = text(pid).trim().to_owned();
    // One that nobody has waited for yet has no command line.
    let gone =
        format!("while grep -q . /proc/{pid}/cmdline 2>/dev/null; do sleep 0.02; done; echo gone");
    let output = session.command(gone).scope(&limit()).output();
    assert_eq!(output.expect("the session goes on").stdout, b"gone\n");
}

#[test]
fn a_scope_that_has_ended_opens_nothing() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let scope = Scope::root();
    scope.cancel();
    let error = session
        .shell(&ShellSpec::new(), &scope)
        .expect_err("is cancelled");
    assert_eq!(error.kind(), Kind::NotRun);
}

/// Goal: a shell may have a terminal, of a kind and size that can change, and is asked, answered and
/// ended as on one. Method: lines that ask for the terminal, and waits for what it shows.
#[test]
fn a_shell_on_a_terminal_prompts_echoes_and_ends() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let (all, spec) = (limit(), ShellSpec::new().pty(Pty::new("dumb", 133, 47)));
    let shell = session.shell(&spec, &all).expect("opens a shell");
    let seen = |line: &str, expected: &str| {
        shell.run(line, &all).expect("sends");
        let found = shell.expect(expected, &all);
        text(found.expect("comes").before)
    };
    // The prompt is known from here on, and no line of input holds it.
    seen("PS1='ready''> ' exec sh -i", "ready> ");
    let said = seen("test -t 0 && test -t 2; stty size; echo $TERM", "ready> ");
    assert!(said.starts_with("test -t 0"), "it echoes: {said:?}");
    assert!(said.ends_with("47 133\r\ndumb\r\n"), "{said:?}");
    shell.resize(90, 30, &all).expect("resizes");
    let said = seen("stty size", "ready> ");
    assert!(said.ends_with("30 90\r\n"), "{said:?}");
    seen("echo err >&2; (exit 6)", "\r\nerr\r\n");
    shell.expect("ready> ", &all).expect("prompts");
    assert_eq!(shell.join(&all).expect("Ctrl-D ends it"), Exit::Status(6));
    let impossible = ShellSpec::new().pty(Pty::new("dumb", 0, 47));
    let refused = session.shell(&impossible, &all).expect_err("is refused");
    let is_terminal = matches!(refused, Error::Launch(LaunchError::Terminal { .. }));
    assert!(is_terminal, "{refused:?}");
}
