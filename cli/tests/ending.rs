//! Commands that `sshoal run` ends on their hosts, real ones: after a limit, and when it is interrupted.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::openssh::sleepers::{clean_up, mark, sleeping};
use support::openssh::sshd::Sshd;
use support::{
    END_MAX, WHOLE_MAX, ends_within, output, run_on_server, screen::Screen, stderr, stdout,
};

/// A server that keeps its own debug lines out of the commands' standard error.
#[track_caller]
fn quiet() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

#[test]
fn a_timed_out_command_is_gone_and_the_line_says_so() {
    let Some(sshd) = quiet() else { return };
    let mark = mark();
    let command = format!("sleep {mark} & sleep {mark}");
    let args = ["--no-kill-on-timeout", "--kill-on-timeout", "-t", "1"];
    let ran = output(
        run_on_server(&sshd)
            .args(args)
            .args(["--jsonl", "-", &command]),
    );
    assert_eq!(ran.status.code(), Some(3), "{}", stderr(&ran));
    let said = stderr(&ran);
    assert!(
        said.contains("failed: run: Timed out after 1s; ended by TERM"),
        "{said}"
    );
    let object: Value = serde_json::from_str(&stdout(&ran)).unwrap();
    assert_eq!(
        (&object["ended"], &object["kind"]),
        (&Value::Bool(true), &Value::from("timeout"))
    );
    assert_eq!(sleeping(&mark), 0);
}

#[test]
fn a_command_is_left_to_its_host_on_request() {
    let Some(sshd) = quiet() else { return };
    let mark = mark();
    let command = format!("sleep {mark}");
    let args = ["-t", "1", "--no-kill-on-timeout", "--jsonl", "-", &command];
    let ran = output(run_on_server(&sshd).args(args));
    assert_eq!(ran.status.code(), Some(3), "{}", stderr(&ran));
    let object: Value = serde_json::from_str(&stdout(&ran)).unwrap();
    assert_eq!(object["ended"], Value::Null);
    assert_eq!(sleeping(&mark), 1);
    clean_up(&mark);
}

/// Without a terminal SIGINT and SIGTERM end the remote commands, even one that takes no notice of being told to.
/// That the host is done in time may take a second attempt on a busy machine, and so may the two seconds.
#[test]
fn an_interrupted_run_ends_its_commands_in_time() {
    let Some(sshd) = quiet() else { return };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let ended = (0..5).any(|_| interrupted(&sshd, (signal, code)));
        assert!(ended, "the command was never seen to end in time");
    }
}

/// Interrupts a run; returns whether its command was seen to end in time.
fn interrupted(sshd: &Sshd, (signal, code): (Signal, i32)) -> bool {
    let mark = mark();
    let command = format!("trap '' TERM; echo ready; sleep {mark}");
    let mut run = run_on_server(sshd);
    run.args(["-P", &command]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    assert!(line.ends_with("ready\n"), "{line:?}");
    let begun = Instant::now();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(code));
    let took = begun.elapsed();
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let unseen = ["there was no time to see", "channel closed by KILL"];
    if took >= END_MAX || unseen.iter().any(|part| said.contains(part)) {
        clean_up(&mark);
        return false;
    }
    assert!(said.contains("cancelled: run; ended by KILL"), "{said}");
    assert_eq!(sleeping(&mark), 0);
    true
}

/// On a terminal the first Ctrl-C leaves the command alone, the second ends it.
#[test]
fn the_second_ctrl_c_ends_the_command_on_its_host() {
    let Some(sshd) = quiet() else { return };
    ends_within(WHOLE_MAX, || interrupted_twice(&sshd));
}

/// Returns how long the end took.
fn interrupted_twice(sshd: &Sshd) -> Duration {
    let mark = mark();
    let mut screen =
        Screen::start(run_on_server(sshd).args(["-P", &format!("echo ready; sleep {mark}")]));
    screen.wait_for("ready");
    screen.press("\x03");
    screen.wait_for("Ctrl-C again");
    // Its line comes before it sleeps.
    while sleeping(&mark) == 0 {
        assert!(screen.is_running(), "{}", screen.text());
    }
    let begun = Instant::now();
    screen.press("\x03");
    assert_eq!(screen.wait(), Some(130));
    let took = begun.elapsed();
    if took < WHOLE_MAX {
        screen.wait_for("cancelled: run; ended by TERM");
        assert_eq!(sleeping(&mark), 0);
    }
    clean_up(&mark);
    took
}

/// Kills the run itself: the worker, which is left alone with the command, ends it.
#[test]
fn a_command_of_a_run_that_is_killed_is_ended_by_its_worker() {
    let Some(sshd) = quiet() else { return };
    let ended = || {
        let mark = mark();
        let mut run = run_on_server(&sshd);
        run.args(["--workers", "2", "-P", &format!("echo ready; sleep {mark}")]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        assert!(line.ends_with("ready\n"), "{line:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(6);
        while sleeping(&mark) > 0 && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let ended = sleeping(&mark) == 0;
        clean_up(&mark);
        ended
    };
    // On a machine that does much else the time may be over before.
    assert!((0..5).any(|_| ended()), "the command was never ended");
}
