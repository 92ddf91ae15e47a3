//! Signals and closed pipes, through the real process.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Fleet, screen::Screen, stderr};

/// Starts a run that prints for ever, and waits until it does.
fn talking(fleet: &Fleet) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut run = fleet.run_on(2);
    run.args(["-P", "yes", "100000000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.ends_with(": y\n"), "{line:?}");
    (child, reader)
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Signals a run whose output is read on, and checks exit code and time.
#[track_caller]
fn check(signal_sent: Signal, code: i32) {
    let fleet = Fleet::start(2);
    let (mut child, mut reader) = talking(&fleet);
    let begun = Instant::now();
    signal(&child, signal_sent);
    let mut buffer = vec![0; 1 << 16];
    while reader.read(&mut buffer).unwrap() > 0 {}
    assert_eq!(child.wait().unwrap().code(), Some(code));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        begun.elapsed()
    );
}

#[test]
fn without_terminal_the_first_ctrl_c_ends_the_run() {
    check(Signal::INT, 130);
}

#[test]
fn sigterm_ends_the_run() {
    check(Signal::TERM, 143);
}

#[test]
fn a_reader_that_does_not_read_cannot_hold_up_the_end() {
    let fleet = Fleet::start(2);
    let (mut child, reader) = talking(&fleet);
    let begun = Instant::now();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        begun.elapsed()
    );
    drop(reader);
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    let fleet = Fleet::start(2);
    let (mut child, reader) = talking(&fleet);
    drop(reader);
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(
        !text.contains("roken pipe") && !text.contains("panicked"),
        "{text}"
    );
}

#[test]
fn files_outlive_a_closed_standard_output() {
    let fleet = Fleet::start(1);
    let dir = fleet.home.path().join("out");
    let mut run = fleet.run_on(1);
    run.arg("-o")
        .arg(&dir)
        .args(["-P", "head", "-c", "3000000"]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        std::fs::metadata(dir.join(&fleet.hosts[0])).unwrap().len(),
        3_000_000
    );
}

/// On a terminal: the first Ctrl-C says how far the run is and lets the host in flight go on, the
/// second ends it. Ctrl-C is typed into a pseudo-terminal.
#[test]
fn on_a_terminal_the_second_ctrl_c_ends_the_run() {
    let fleet = Fleet::start(2);
    // The deadline ends the wait for a text that never comes.
    let mut run = fleet.run_on(2);
    let mut screen = Screen::start(run.args(["-p", "1", "--deadline", "60", "sleep", "600"]));
    screen.wait_for(" 0/2 ");
    screen.press("\x03");
    screen.wait_for("interrupted: no more hosts are begun; 0 of 2 ended, ");
    screen.wait_for("Ctrl-C again");
    assert!(screen.is_running(), "{}", screen.text());
    let begun = Instant::now();
    screen.press("\x03");
    assert_eq!(screen.wait(), Some(130));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        begun.elapsed()
    );
    screen.wait_for("2 hosts in ");
    screen.wait_for("0 ok, 2 cancelled");
}

/// Runs a program on a pseudo-terminal of its own, and returns what it showed.
fn on_terminal(program: &Command) -> String {
    Screen::start(program).end().1
}

#[test]
fn escape_sequences_of_hosts_are_harmless_on_a_terminal_unless_raw() {
    let fleet = Fleet::start(1);
    for mode in ["-i", "-P"] {
        let shown = on_terminal(fleet.run_on(1).args([mode, "echo", "\x1b[35mred"]));
        assert!(shown.contains("\\x1b[35mred"), "{shown:?}");
        assert!(!shown.contains("\x1b[35m"), "{shown:?}");
        let raw = on_terminal(fleet.run_on(1).args([mode, "--raw", "echo", "\x1b[35mred"]));
        assert!(raw.contains("\x1b[35mred"), "{raw:?}");
    }
}

#[test]
fn a_terminal_shows_colours_and_a_summary() {
    let fleet = Fleet::start(2);
    let shown = on_terminal(fleet.run_on(2).arg("true"));
    assert!(
        shown.contains("\x1b[32mok\x1b[0m") && shown.contains("2 hosts in "),
        "{shown:?}"
    );
}
