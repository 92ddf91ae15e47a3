//! Signals and closed pipes, through the real process.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::copying::Copying;
use support::seat::{Seat, pseudo_terminal};
use support::working::{events, records, wait_until};
use support::{END_MAX, Fleet, WHOLE_MAX, ends_within, output, screen::Screen};
use support::{sshoal, started_by, stderr, wait_for_handlers};

/// Starts a program that does not ignore SIGHUP, even if the tests were started under `nohup`.
const MINDS_HANG_UP: [&str; 2] = ["env", "--default-signal=HUP"];

/// Starts a run that prints for ever, and waits until it does.
fn talking(fleet: &Fleet) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut run = fleet.run_on(2);
    // The deadline ends what no signal does.
    run.args(["--deadline", "60", "-P", "yes", "100000000000"]);
    let mut run = started_by(&MINDS_HANG_UP, &run);
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
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
    ends_within(END_MAX, || {
        let (mut child, mut reader) = talking(&fleet);
        let begun = Instant::now();
        signal(&child, signal_sent);
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).unwrap() > 0 {}
        assert_eq!(child.wait().unwrap().code(), Some(code));
        begun.elapsed()
    });
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
fn sighup_ends_the_run() {
    check(Signal::HUP, 129);
}

/// The terminal goes away under a run: it ends its hosts and tells of them in its files.
#[test]
fn a_terminal_that_goes_away_ends_the_run() {
    let fleet = Fleet::start(2);
    let (report, told) = (
        fleet.home.path().join("report"),
        fleet.home.path().join("events"),
    );
    let mut run = fleet.run_on(2);
    run.arg("--jsonl").arg(&report).arg("--events").arg(&told);
    run.args(["--deadline", "60", "sleep", "600"]);
    let (master, slave) = pseudo_terminal();
    let mut seated = started_by(&["setsid", "--ctty"], &started_by(&MINDS_HANG_UP, &run));
    let streams = [(); 2].map(|()| slave.try_clone().unwrap());
    let [stdout, stderr] = streams;
    seated.stdin(slave).stdout(stdout).stderr(stderr);
    let mut child = seated.spawn().unwrap();
    drop(seated);
    wait_until("the commands", || events(&told, "accepted").len() == 2);
    drop(master);
    assert_eq!(child.wait().unwrap().code(), Some(129));
    let records = records(&report);
    assert_eq!(records.len(), 2);
    assert!(records.values().all(|r| r["outcome"] == "cancelled"));
}

/// Who starts a run under `nohup` wants it to outlive the terminal.
#[test]
fn an_ignored_hang_up_is_no_reason_to_end() {
    let fleet = Fleet::start(1);
    let mut run = fleet.run_on(1);
    run.args(["-P", "-I", "cat"]);
    let mut child = started_by(&["nohup"], &run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_handlers(&child);
    signal(&child, Signal::HUP);
    child.stdin.take().unwrap().write_all(b"whole\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with(": whole\n"), "{text:?}");
    assert_eq!(output.status.code(), Some(0));
}

/// Whoever gives up at the question for a password sees what is typed next.
#[test]
fn ctrl_c_at_a_password_prompt_leaves_the_terminal_as_it_was() {
    let fleet = Fleet::start(1);
    let mut run = fleet.run_on(1);
    run.args(["-A", "true"]);
    let place = tempfile::tempdir().unwrap();
    let shown = place.path().join("shown");
    let mut seat = Seat::start(&run, &shown);
    wait_until("the question", || {
        std::fs::read_to_string(&shown).is_ok_and(|text| text.contains("Password"))
    });
    seat.interrupt();
    assert_eq!(seat.wait(Duration::from_secs(60)), Some(130));
    seat.leave();
}

#[test]
fn a_reader_that_does_not_read_cannot_hold_up_the_end() {
    let fleet = Fleet::start(2);
    ends_within(END_MAX, || {
        let (mut child, reader) = talking(&fleet);
        let begun = Instant::now();
        signal(&child, Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let took = begun.elapsed();
        drop(reader);
        took
    });
}

/// More has come than the reader takes in the time that an end has: each host is told of all the same. To the program a
/// machine that stands still looks like a reader that does not read, so a second round may be needed.
#[test]
fn a_reader_that_is_slow_costs_no_outcome() {
    let fleet = Fleet::start(20);
    let mut rounds = (0..5).map(|_| records_of_a_slow_reader(&fleet));
    assert!(rounds.any(|records| records == 20));
}

fn records_of_a_slow_reader(fleet: &Fleet) -> usize {
    let report = fleet.home.path().join("report");
    let mut run = fleet.run_on(20);
    run.arg("--jsonl").arg(&report);
    run.args(["--max-output", "100k", "-P", "yes", "100000000000"]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; 1 << 14];
    stdout.read_exact(&mut buffer).unwrap();
    signal(&child, Signal::TERM);
    // A mebibyte a second.
    while stdout.read(&mut buffer).unwrap() > 0 {
        std::thread::park_timeout(Duration::from_millis(16));
    }
    assert_eq!(child.wait().unwrap().code(), Some(143));
    records(&report).len()
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
    ends_within(WHOLE_MAX, || interrupt_twice(&fleet));
}

/// Returns how long the end took.
fn interrupt_twice(fleet: &Fleet) -> Duration {
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
    let took = begun.elapsed();
    if took < WHOLE_MAX {
        screen.wait_for("2 hosts in ");
        screen.wait_for("0 ok, 2 cancelled");
    }
    took
}

/// Asks a program by SIGUSR1 how far it is, until it says this; it goes on meanwhile.
#[track_caller]
fn ask(child: &mut Child, answer: &str) {
    wait_for_handlers(child);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    signal(child, Signal::USR1);
    while !told.contains(answer) {
        // Lines of the program's own come, too, and an answer before it is so far.
        told = lines.next().unwrap_or_else(|| panic!("{told:?}")).unwrap();
        if [" in flight, ", " forward, ", "shell", " are up"]
            .iter()
            .any(|part| told.contains(part))
        {
            signal(child, Signal::USR1);
        }
    }
    assert!(child.try_wait().unwrap().is_none(), "{told}");
}

#[test]
fn sigusr1_shows_how_far_a_run_is_and_it_goes_on() {
    let fleet = Fleet::start(4);
    let mut run = fleet.run_on(4);
    run.args([
        "-q",
        "-p",
        "1",
        "--deadline",
        "60",
        "--template",
        "sleep {n}00",
    ]);
    let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
    ask(
        &mut child,
        "s: 1 of 4 hosts ended, 1 ok; 1 in flight, 2 not begun",
    );
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn sigusr1_is_answered_by_what_else_takes_long() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("large", vec![0; 1_000_000]);
    let dest = hosts.dest("large");
    let in_flight = "0 of 2 hosts ended, 0 ok; 2 in flight, 0 not begun";
    for (words, answer) in [
        (
            &["put", "-q", "--bandwidth", "1k", "large", &dest][..],
            in_flight,
        ),
        (
            &["forward", "-q", "-L", "0:localhost:1"],
            "2 of 2 hosts forward, 0 ended",
        ),
        (&["shell", "-q"], "sshoal: 2 of 2 shells are open"),
    ] {
        let mut command = hosts.command(words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        ask(&mut child, answer);
        signal(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(143), "{words:?}");
    }
}

/// It comes while the run is still being planned, from a command that names the hosts.
#[test]
fn an_early_sigusr1_does_no_harm() {
    let home = tempfile::tempdir().unwrap();
    let mut run = sshoal(home.path());
    run.args([
        "run",
        "-n",
        "--inventory-cmd",
        "kill -USR1 $PPID; echo web1",
        "-w",
        "@all",
    ]);
    let output = output(run.arg("true"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Nobody reads a byte of what these say.
#[test]
fn a_reader_that_leaves_is_no_failure_of_what_only_shows() {
    let home = tempfile::tempdir().unwrap();
    for words in [
        &["--help"][..],
        &["run", "--help"],
        &["--version"],
        &["hosts", "web[1-100000]"],
        &["run", "-n", "-w", "web[1-10000]", "true"],
        &["completions", "bash"],
        &["pssh", "--help"],
    ] {
        let mut program = sshoal(home.path());
        program
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{words:?} {said}");
        assert!(
            !said.contains("roken pipe") && !said.contains("panicked"),
            "{said}"
        );
    }
}

#[test]
fn a_closed_standard_error_does_not_end_a_run() {
    let fleet = Fleet::start(3);
    let mut run = fleet.run_on(3);
    run.args(["-i", "echo", "said"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"said\n".repeat(3));
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
