//! `sshoal script`, `ping`, `kill` and `shell` against OpenSSH's sshd.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::copying::{Copying, list, wait_until};
use support::openssh::sleepers::{mark, sleeping};
use support::openssh::sshd::Sshd;
use support::{END_MAX, ends_within, output, sshoal, stderr, stdout};

/// Goal: a script reaches its interpreter whole, and its arguments as they are. Method: two hosts
/// each print what they were given, by a shell and by perl.
#[test]
fn a_script_runs_with_its_arguments_and_leaves_nothing_there() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make(
        "plain",
        "n=0\nfor word; do n=$((n + 1)); echo \"$n [$word]\"; done\nexit $n\n",
    );
    let out = hosts.run(
        5,
        &["script", "-q", "-i", "plain", "two  words", "it's", "-i"],
    );
    assert_eq!(stdout(&out), "1 [two  words]\n2 [it's]\n3 [-i]\n".repeat(2));
    hosts.make("perl.pl", "#!/usr/bin/env perl\nprint \"@ARGV, $0\\n\";\n");
    let out = hosts.run(0, &["script", "-q", "-i", "perl.pl", "a", "$HOME"]);
    assert_eq!(stdout(&out), "a $HOME, -\n".repeat(2));
    let large = format!(": {}\necho whole\n", "x".repeat(1 << 20));
    hosts.make("large", large);
    let out = hosts.run(0, &["script", "-q", "-i", "large"]);
    assert_eq!(stdout(&out), "whole\n".repeat(2));
    assert!(
        list(&hosts.there("")).is_empty(),
        "{:?}",
        list(&hosts.there(""))
    );
}

#[test]
fn the_interpreter_can_be_named_and_launched_in_another_way() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make(
        "script",
        "#!/no/such/interpreter\necho \"$A $1 $PWD ${BASH:-none}\"\n",
    );
    let words = [
        "script",
        "-q",
        "-i",
        "--interpreter",
        "bash -u",
        "--env",
        "A=1",
        "--cd",
        "/",
    ];
    let out = hosts.run(0, &[&words[..], &["script", "b"]].concat());
    assert!(stdout(&out).starts_with("1 b / /"), "{}", stdout(&out));
    for source in ["-", "/dev/stdin"] {
        let mut typed = hosts.command("script");
        typed
            .args(["-q", "-i", source, "arg"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = typed.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"echo typed $1")
            .unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(stdout(&out), "typed arg\n", "{source}");
    }
}

#[track_caller]
fn check_refused(words: &[&str], parts: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let output = output(sshoal(home.path()).args(words));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_any_connection() {
    check_refused(&["script", "-H", "a"], &["no script", "check.sh"]);
    check_refused(
        &["script", "-H", "a", "/no/such"],
        &["/no/such", "No such file"],
    );
    check_refused(&["script", "-H", "a", "/"], &["is a folder"]);
    check_refused(
        &["script", "-H", "a", "--interpreter", " ", "/dev/null"],
        &["is empty"],
    );
    check_refused(
        &["script", "-H", "a", "-I", "x"],
        &["--send-input does nothing for script"],
    );
    check_refused(
        &["script", "-H", "a", "--tty", "x"],
        &["--tty does nothing for script"],
    );
    check_refused(
        &["ping", "-H", "a", "-t", "3"],
        &["--timeout does nothing for ping"],
    );
    check_refused(
        &["ping", "-H", "a", "-P"],
        &["--print does nothing for ping"],
    );
    check_refused(&["ping"], &["no hosts", "-h FILE"]);
    check_refused(&["kill", "-H", "a"], &["no pattern", "stuck-job"]);
    check_refused(&["kill", "-H", "a", ""], &["the pattern is empty"]);
    check_refused(
        &["kill", "-H", "a", "x", "-s", "9"],
        &["one pattern", "options before it"],
    );
    check_refused(
        &["kill", "-H", "a", "-s", "NOPE", "x"],
        &["NOPE", "write a signal as TERM"],
    );
    check_refused(&["shell", "-h", "-"], &["standard input", "-H"]);
    check_refused(&["shell", "-H", "a", "-t", "3"], &["--deadline"]);
    check_refused(
        &["shell", "-H", "a b", "-p", "1"],
        &["--par 1 leaves out some of 2 hosts"],
    );
    check_refused(&["shell", "-H", "a", "uptime"], &["uptime"]);
}

#[test]
fn a_dry_run_shows_how_a_script_and_a_pattern_are_passed_on() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("script");
    std::fs::write(&script, "#!/bin/bash -e\n").unwrap();
    let mut program = sshoal(home.path());
    program
        .args(["script", "-n", "-l", "u", "-H", "h"])
        .arg(script)
        .args(["a b", "c"]);
    assert_eq!(
        stdout(&output(&mut program)),
        "u@h:22 /bin/bash -e -s -- 'a b' c\n"
    );
    let mut program = sshoal(home.path());
    program.args([
        "kill", "-n", "-l", "u", "-H", "h", "-s", "sigusr1", "--exact", "a b",
    ]);
    let said = stdout(&output(&mut program));
    assert!(
        said.contains(r"exec pkill -USR1 -x -- '\''a b'\''"),
        "{said}"
    );
}

/// Goal: every host says how long each phase took, and nothing ran. Method: two hosts that answer and
/// one that does not; sshd's log tells of channels.
#[test]
fn ping_tells_of_phases_and_percentiles_and_runs_nothing() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    let out = hosts.run(0, &["ping"]);
    let said = stderr(&out);
    assert_eq!(stdout(&out), "");
    assert_eq!(
        said.lines().filter(|line| line.contains("] 127.")).count(),
        2,
        "{said}"
    );
    for part in [
        "[2/2] ",
        " ok  ",
        "(resolve ",
        ", kex ",
        ", auth ",
        "2 hosts in ",
        ": 2 ok",
    ] {
        assert!(said.contains(part), "{said} lacks {part:?}");
    }
    let of_phase = |line: &&str| line.contains(" p50 ") && line.contains(" p99 ");
    let phases: Vec<&str> = said.lines().filter(of_phase).collect();
    assert!(
        phases
            .iter()
            .any(|line| line.trim_start().starts_with("auth ")),
        "{said}"
    );
    assert!(
        !hosts.sshd.log().contains("Starting session"),
        "{}",
        hosts.sshd.log()
    );
    // One that is not there; quiet, it is all that is said.
    let port = hosts.sshd.port().to_string();
    let dead = format!("127.9.9.9:{port}");
    let out = hosts.run(4, &["ping", "-q", "--jsonl", "-", "-H", &dead]);
    assert!(
        stderr(&out).contains("failed: connect: Connection refused"),
        "{}",
        stderr(&out)
    );
    assert_eq!(stderr(&out).lines().count(), 1, "{}", stderr(&out));
    let objects = stdout(&out);
    let objects: Vec<serde_json::Value> = objects
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 3);
    let auth = |object: &&serde_json::Value| object["phases"]["auth"].as_f64() > Some(0.0);
    assert_eq!(objects.iter().filter(auth).count(), 2, "{objects:?}");
}

/// Starts a process of this machine, which is the host as well.
fn sleep(mark: &str) -> std::process::Child {
    Command::new("sleep").arg(mark).spawn().unwrap()
}

/// Goal: the signal reaches the processes that are meant, and no others; a host without such a
/// process says so by pkill's own exit status.
#[test]
fn kill_signals_processes_by_name_or_command_line() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    // Names are cut off at 15 bytes.
    let name = format!("nap{}", std::process::id());
    symlink("/bin/sleep", hosts.here(&name)).unwrap();
    let mut named = Command::new(hosts.here(&name)).arg("1000").spawn().unwrap();
    hosts.run(0, &["kill", "-q", "--exact", &name]);
    assert_eq!(named.wait().unwrap().signal(), Some(15));
    let out = hosts.run(5, &["kill", "--exact", &name]);
    assert!(stderr(&out).contains(" exit 1 "), "{}", stderr(&out));
    let (mark, other) = (mark(), mark());
    let (mut meant, mut spared) = (sleep(&mark), sleep(&other));
    // The host is this machine: the program's own command line must not fit.
    hosts.run(0, &["kill", "-s", "KILL", "-f", &format!("[s]leep {mark}")]);
    assert_eq!(meant.wait().unwrap().signal(), Some(9));
    assert_eq!(sleeping(&other), 1);
    hosts.run(
        0,
        &[
            "kill",
            "--full",
            "--signal",
            "15",
            &format!("[s]leep {other}"),
        ],
    );
    assert_eq!(spared.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_host_without_pkill_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    symlink("/bin/sh", dir.path().join("sh")).unwrap();
    let path = format!("SetEnv PATH={}", dir.path().display());
    let Some(sshd) = Sshd::builder().config(&path).start() else {
        return;
    };
    let out = Copying::of(sshd).run(5, &["kill", "whatever"]);
    assert!(stderr(&out).contains(" exit 127 "), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("this host has no pkill; install procps"),
        "{}",
        stderr(&out)
    );
}

/// Types something into `sshoal shell` on all hosts and some more, to its end.
fn type_in(hosts: &Copying, more: &[&str], text: &str) -> Output {
    let mut command = hosts.command("shell");
    command
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// Goal: lines go to all shells, or to one; what a shell was told, it remembers; output has its
/// host's name, and no host's trouble is another's.
#[test]
fn shells_take_lines_together_and_one_by_one() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    let names: Vec<String> = hosts
        .sshd
        .sockets()
        .iter()
        .map(ToString::to_string)
        .collect();
    let dead = format!("127.9.9.9:{}", hosts.sshd.port());
    let text = format!(
        "cd /; n=7\n@{} n=8; echo alone\n@nobody echo lost\npwd; echo $n\necho bad >&2\necho '\u{1b}[2Jx'",
        names[1]
    );
    let out = type_in(&hosts, &["-H", &dead], &text);
    let said = stderr(&out);
    assert_eq!(out.status.code(), Some(4), "{said}");
    let shown = stdout(&out);
    let of = |name: &str| -> Vec<&str> {
        let prefix = format!("{name}: ");
        shown
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect()
    };
    assert_eq!(of(&names[0]), ["/", "7", "\u{1b}[2Jx"]);
    assert_eq!(of(&names[1]), ["alone", "/", "8", "\u{1b}[2Jx"]);
    assert!(
        said.contains(&format!("{dead} failed: connect: Connection refused")),
        "{said}"
    );
    assert!(said.contains("2 of 3 shells are open"), "{said}");
    assert!(said.contains("no host is called \"nobody\""), "{said}");
    for name in &names {
        assert!(said.contains(&format!("{name}: bad\n")), "{said}");
    }
}

#[test]
fn the_last_status_of_each_shell_counts() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    let name = hosts.sshd.sockets()[0].to_string();
    let out = type_in(&hosts, &["-q"], "true\nexit\necho never\n");
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert_eq!(stdout(&out), "");
    let out = type_in(&hosts, &["-q"], &format!("@{name} (exit 3)\n"));
    assert_eq!(out.status.code(), Some(5), "{}", stderr(&out));
    let verdict = format!("{name} exit 3");
    assert_eq!(stderr(&out).lines().last(), Some(verdict.as_str()));
}

/// Goal: Ctrl-C ends the shells, and what runs in them, within the time that every interrupt has.
#[test]
fn an_interrupt_ends_the_shells_and_what_they_run() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    ends_within(END_MAX, || interrupt_shells(&hosts));
}

/// Returns how long the end took.
fn interrupt_shells(hosts: &Copying) -> Duration {
    let mark = mark();
    let mut command = hosts.command("shell");
    command
        .arg("-q")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard
        .write_all(format!("echo there\nsleep {mark}\n").as_bytes())
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        assert!(lines.next().unwrap().unwrap().ends_with(": there"));
    }
    wait_until("two commands", || (sleeping(&mark) == 2).then_some(()));
    let begun = Instant::now();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let took = begun.elapsed();
    wait_until("their end", || (sleeping(&mark) == 0).then_some(()));
    drop(keyboard);
    took
}

#[test]
fn a_deadline_ends_shells_that_nobody_ends() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let mut command = hosts.command("shell");
    // Nobody types anything.
    command
        .args(["--deadline", "1"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let keyboard = child.stdin.take();
    let out = child.wait_with_output().unwrap();
    drop(keyboard);
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    assert!(
        stderr(&out).contains("ended by --deadline"),
        "{}",
        stderr(&out)
    );
}

/// Nobody listens there, so that the host is left.
#[test]
fn a_script_and_a_kill_are_resumed_as_what_they_are() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("password", "sesame\n");
    write("script", "#!/bin/dash\n");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = socket.local_addr().unwrap().to_string();
    drop(socket);
    let call = |code: i32, words: &[&str]| {
        let mut program = sshoal(home.path());
        let output = output(program.current_dir(home.path()).args(words));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        stdout(&output) + &said
    };
    let get_in = ["-H", &host, "--password-file", "password"];
    for (words, shown) in [
        (&["script", "script", "a b"][..], "/bin/dash -s -- 'a b'\n"),
        (&["kill", "stuck-job"], "exec pkill -TERM -- stuck-job"),
    ] {
        call(4, &[&words[..1], &get_in, &words[1..]].concat());
        let preview = call(0, &["resume", "last", "-n"]);
        assert!(preview.contains(shown), "{preview}");
        let resumed = call(4, &["resume", "last"]);
        assert!(resumed.contains("going on with "), "{resumed}");
    }
}
