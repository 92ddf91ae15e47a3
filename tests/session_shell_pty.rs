//! Shells on a terminal, of one host and of a fleet: prompt, echo, size, and ends; and the end of a command on one.

mod support;

use std::{ops::ControlFlow, time::Duration};

use sshoal::{
    EndedBy, Ending, Exit, Fleet, InteractiveShell, Launch, Pattern, Pty, Session, ShellSpec,
};
use support::{
    sessions::{connect, limit},
    sleepers::{mark, sleeping},
    sshd::Sshd,
};

#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

/// Opens a shell on a terminal, whatever the account's own prompts with, and gives it a prompt.
#[track_caller]
fn open(session: &Session) -> InteractiveShell {
    let spec = ShellSpec::new().pty(Pty::default());
    let shell = session.shell(&spec, &limit()).expect("opens a shell");
    // The echo of the line is no prompt: the quotes are not in what is printed.
    let line = "exec env PS1='pro''mpt> ' ENV= /bin/sh";
    shell.run(line, &limit()).expect("sends");
    shell.expect("prompt> ", &limit()).expect("prompts");
    shell
}

/// Goal: a shell on a terminal is a person's. Method: its prompt, the echo of a line, the terminal's name, its size
/// before and after a change, and the status of the last line once Ctrl-D was typed for it.
#[test]
fn a_shell_on_a_terminal_prompts_echoes_and_ends_by_ctrl_d() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    shell.run("tty", &limit()).expect("sends");
    let name = Pattern::regex(r"/dev/pts/[0-9]+\r\n").expect("is a pattern");
    let found = shell.expect(name, &limit()).expect("is one");
    assert_eq!(found.before, b"tty\r\n", "the echo");
    shell.expect("prompt> ", &limit()).expect("prompts again");
    shell.resize(132, 43, &limit()).expect("resizes");
    shell.run("stty size", &limit()).expect("sends");
    shell.expect("43 132\r\n", &limit()).expect("has the size");
    shell.expect("prompt> ", &limit()).expect("prompts");
    shell.run("(exit 7)", &limit()).expect("sends");
    // Not at the prompt yet, perhaps: the end is typed until it counts.
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(7));
    assert!(shell.resize(80, 24, &limit()).is_err(), "it has ended");
}

/// The end is typed while a line runs, which takes it: the shell ends all the same.
#[test]
fn an_end_that_a_running_line_takes_is_typed_again() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let shell = open(&session);
    shell.run("cat; echo \"cat $?\"", &limit()).expect("sends");
    shell.expect("cat $?\"\r\n", &limit()).expect("echoes");
    assert_eq!(shell.join(&limit()).expect("ends"), Exit::Status(0));
    shell.expect("cat 0\r\n", &limit()).expect("ran on");
}

#[test]
fn a_terminal_that_cannot_be_opens_no_shell() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let spec = ShellSpec::new().pty(Pty::new("xterm", 0, 24));
    let error = session.shell(&spec, &limit()).expect_err("cannot be");
    assert!(matches!(error, sshoal::Error::Launch(_)), "{error:?}");
}

#[test]
fn shells_of_a_fleet_have_terminals() {
    let Some(sshd) = Sshd::builder().addresses(5).log_level("INFO").start() else {
        return;
    };
    let config = sshd.config().build().expect("is whole");
    let fleet = Fleet::builder(sshd.targets(), config.into()).build();
    let fleet = fleet.expect("is good");
    let spec = ShellSpec::new().pty(Pty::default());
    let shells = fleet.shells(&spec, &limit()).expect("opens");
    for (index, (_, shell)) in shells.iter().enumerate() {
        let shell = shell.expect("is open");
        let line = format!("tty && exec sh -c 'exit {index}'");
        shell.run(line, &limit()).expect("sends");
        let name = Pattern::regex(r"/dev/pts/[0-9]+\r\n").expect("is a pattern");
        shell.expect(name, &limit()).expect("has a terminal");
        let exit = shell.join(&limit()).expect("ends");
        assert_eq!(exit, Exit::Status(u32::try_from(index).expect("is small")));
    }
}

/// A command on a terminal leads a session of its own; what it has started in the background is ended with it.
#[test]
fn nothing_of_an_ended_command_on_a_terminal_is_left() {
    let Some(sshd) = quiet() else { return };
    let session = connect(&sshd);
    let launch = Launch::new().pty(Pty::default());
    for (command, by) in [
        ("sleep MARK & echo ready; sleep MARK", EndedBy::Term),
        (
            "trap '' TERM; sleep MARK & echo ready; sleep MARK",
            EndedBy::Kill,
        ),
    ] {
        let mark = mark();
        let command = session.command(command.replace("MARK", &mark));
        let child = command.launch(&launch).scope(&limit()).spawn();
        let child = child.expect("starts");
        let (mut buffer, mut seen) = ([0; 64], Vec::new());
        while !seen.ends_with(b"ready\r\n") {
            let bytes = child.read_stdout(&mut buffer, &limit()).expect("prints");
            assert!(bytes > 0, "ended early");
            seen.extend_from_slice(&buffer[..bytes]);
        }
        let grace = match by {
            EndedBy::Kill => Duration::from_millis(300),
            _ => Duration::from_secs(20),
        };
        let ending = child.end(grace, &limit(), &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(ending, Ending::Ended { by });
        assert_eq!(sleeping(&mark), 0);
        child.wait(&limit()).expect("has ended");
    }
    let output = session.command("echo of use").output().expect("runs");
    assert_eq!(output.stdout, b"of use\n");
}
