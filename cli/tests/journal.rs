//! What is kept of a run: journals, `sshoal resume` and `sshoal diff`.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::openssh::sshd::{Sshd, current_user};
use support::openssh::{Home, section};
use support::{Fleet, output, sshoal, started_by, stderr, stdout};

/// The journals of a home directory, the oldest first.
fn journals(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(home.join(".local/state/sshoal/runs")) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// The lines of a journal that are whole.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let lines = text[..whole].lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sub_command(home: &Path, words: &[&str]) -> Command {
    let mut command = sshoal(home);
    command.args(words);
    command
}

/// Runs to the end and checks the exit code; returns standard output and standard error.
#[track_caller]
fn done(command: &mut Command, code: i32) -> (String, String) {
    let output = output(command);
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{out} {err}");
    (out, err)
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until something is so, while the program runs.
#[track_caller]
fn until(child: &mut Child, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "the run is over");
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
}

/// Plan, and how each host ended; of the output only digests, and nobody else may read any of it.
#[test]
fn a_journal_has_the_plan_and_the_outcomes_and_no_output() {
    let fleet = Fleet::start(2);
    let mut run = fleet.run_on(2);
    run.args(["-q", "--template", "echo surprise {n}"]);
    done(&mut run, 0);
    let [path] = &journals(fleet.home.path())[..] else {
        panic!("one run has one journal")
    };
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path), 0o600);
    for directory in path.ancestors().skip(1).take(4) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines = lines(path);
    let plan = &lines[0]["plan"];
    assert_eq!(plan["hosts"][1]["host"], fleet.hosts[1].as_str());
    assert_eq!(plan["hosts"][1]["command"], "echo surprise 1");
    let ended: Vec<&Value> = lines
        .iter()
        .map(|line| &line["ended"])
        .filter(|e| !e.is_null())
        .collect();
    assert_eq!(ended.len(), 2, "{text}");
    for ended in ended {
        assert_eq!(
            (&ended["outcome"], &ended["exit_status"]),
            (&"exited".into(), &0.into())
        );
        assert_eq!(ended["stdout_sha256"].as_str().unwrap().len(), 64);
        assert!(ended["stderr_sha256"].is_null(), "{ended}");
    }
    assert_eq!(lines.last().unwrap()["over"]["exit_code"], 0);
    // The plan's commands aside, nothing that the hosts printed is in it.
    let outcomes: Vec<&str> = text.lines().skip(1).collect();
    assert!(!outcomes.concat().contains("surprise"), "{text}");
}

#[test]
fn a_journal_is_kept_where_it_is_wanted_or_not_at_all() {
    let fleet = Fleet::start(1);
    let home = fleet.home.path();
    let dir = home.join("a/b");
    let count = || std::fs::read_dir(&dir).map_or(0, Iterator::count);
    done(fleet.run_on(1).args(["--no-journal", "true"]), 0);
    done(fleet.run_on(1).env("SSHOAL_NO_JOURNAL", "1").arg("true"), 0);
    done(fleet.run_on(1).args(["-n", "true"]), 0);
    assert_eq!(journals(home), Vec::<PathBuf>::new());
    done(fleet.run_on(1).arg("--journal").arg(&dir).arg("true"), 0);
    done(fleet.run_on(1).env("SSHOAL_JOURNAL", &dir).arg("true"), 0);
    let mut typed = fleet.run_on(1);
    typed
        .env("SSHOAL_NO_JOURNAL", "1")
        .arg("--journal")
        .arg(&dir);
    done(typed.arg("true"), 0);
    assert_eq!((count(), journals(home).len()), (3, 0));
    let mut typed = fleet.run_on(1);
    done(
        typed
            .env("SSHOAL_JOURNAL", &dir)
            .args(["--no-journal", "true"]),
        0,
    );
    assert_eq!(count(), 3);
    let state = home.join("state");
    done(fleet.run_on(1).env("XDG_STATE_HOME", &state).arg("true"), 0);
    assert_eq!(
        std::fs::read_dir(state.join("sshoal/runs"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn a_journal_that_cannot_be_written_is_missed_only_where_it_was_asked_for() {
    let fleet = Fleet::start(1);
    std::fs::write(fleet.home.path().join(".local"), "a file").unwrap();
    let (_, text) = done(fleet.run_on(1).arg("true"), 0);
    has(
        &text,
        &["no journal is kept", "cannot be resumed", "--no-journal"],
    );
    let mut run = fleet.run_on(1);
    run.arg("--journal").arg(fleet.home.path().join(".local/x"));
    let (_, text) = done(run.arg("true"), 2);
    has(&text, &["--journal", "cannot make the directory"]);
}

/// A journal without its plan says nothing, and would be the one that `last` means.
#[test]
fn a_journal_that_cannot_be_begun_leaves_no_file() {
    let fleet = Fleet::start(1);
    let mut run = fleet.run_on(1);
    let no_room = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let mut run = started_by(&["sh", "-c", no_room, "sh"], run.arg("true"));
    has(&done(&mut run, 0).1, &["no journal is kept"]);
    assert_eq!(journals(fleet.home.path()), Vec::<PathBuf>::new());
}

#[test]
fn old_journals_are_removed() {
    let fleet = Fleet::start(1);
    let foreign = fleet
        .home
        .path()
        .join(".local/state/sshoal/runs/notes.jsonl");
    for run in 0..5 {
        done(fleet.run_on(1).args(["--journal-keep", "3", "true"]), 0);
        if run == 0 {
            std::fs::write(&foreign, "mine").unwrap();
        }
    }
    let kept = journals(fleet.home.path());
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert!(foreign.exists());
}

/// `kill -9` in the middle of a run over a real sshd whose command writes down that it was run;
/// half a line is left in the journal. Then: what the journal says ended is not run again, everyone
/// is run, and only hosts under way at the kill may have been run twice.
#[test]
fn a_killed_run_is_resumed_without_doing_anything_twice() {
    let rounds = std::env::var("SSHOAL_JOURNAL_KILLS").ok();
    let rounds: usize = rounds.map_or(2, |rounds| rounds.parse().unwrap());
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let home = Home::new();
    let user = format!("Host *\n  User {}\n  IdentityAgent none\n", current_user());
    home.write("config", &(section("h*", &sshd) + &user));
    home.write("known_hosts", &sshd.known_hosts());
    for round in 0..rounds {
        killed_and_resumed(&home, 3 + round * 7 % 30);
    }
}

/// One round: the kill comes when so many hosts have run the command.
fn killed_and_resumed(home: &Home, when: usize) {
    let file = home.path("config");
    let root = file.ancestors().nth(2).unwrap();
    let log = root.join(format!("log-{when}"));
    std::fs::write(&log, "").unwrap();
    kill_when(&mut started(home, &log), || executions(&log).len() >= when);
    let journal = journals(root).pop().unwrap();
    let ended: Vec<u64> = (lines(&journal).iter())
        .filter_map(|line| line["ended"]["index"].as_u64())
        .collect();
    let hosts = usize::try_from(HOSTS).unwrap();
    assert!(ended.len() < hosts, "the kill came too late");
    let mut file = std::fs::File::options()
        .append(true)
        .open(&journal)
        .unwrap();
    file.write_all(b"{\"ended\":{\"index\":").unwrap();
    let (_, text) = done(&mut sub_command(root, &["resume", "last"]), 0);
    let ok = ended.len();
    has(
        &text,
        &[&format!("going on with {}: {ok} ok", name(&journal))],
    );
    let counts = executions(&log);
    assert_eq!(counts.len(), hosts, "{counts:?}");
    for (host, count) in &counts {
        // The command may have been begun, and even have ended, unseen by us.
        let most = if ended.contains(host) { 1 } else { 2 };
        assert!(*count <= most, "host {host} ran {count} times: {text}");
    }
    let twice = counts.values().filter(|count| **count > 1).count();
    assert!(
        twice <= 4,
        "{twice} hosts ran twice with 4 sessions at once"
    );
    let left = done(&mut sub_command(root, &["resume", "last"]), 0).1;
    has(&left, &["nothing is left of", &format!("{HOSTS} ok")]);
    let listed = done(&mut sub_command(root, &["resume", "--list"]), 0).0;
    has(&listed, &[name(&journal), "ended with 0"]);
}

/// Starts a run over hosts from standard input, each of which writes its number to a file.
fn started(home: &Home, log: &Path) -> Child {
    let mut run = home.run();
    run.args(["-p", "4", "--template", "-h", "-"]);
    run.arg(format!("echo {{n}} >> {}; echo out-{{n}}", log.display()));
    let mut child = run
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let hosts: String = (0..HOSTS).map(|n| format!("h{n}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(hosts.as_bytes()).unwrap();
    child
}

fn kill_when(child: &mut Child, is_so: impl FnMut() -> bool) {
    until(child, is_so);
    signal(child, Signal::KILL);
    child.wait().unwrap();
}

/// How often each host ran the command.
fn executions(log: &Path) -> BTreeMap<u64, usize> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

const HOSTS: u64 = 60;

/// Failed hosts are left alone unless that is asked for; hosts that were never let in are not.
#[test]
fn resume_runs_what_was_not_begun_and_what_failed_if_asked() {
    let fleet = Fleet::start(4);
    let home = fleet.home.path();
    let json = home.join("json");
    let mut run = fleet.run_on(4);
    run.args(["-k", "-p", "1", "--template", "--jsonl"])
        .arg(&json);
    let (_, text) = done(run.args(["exit", "{n}"]), 7);
    has(&text, &["hosts are left; go on with: sshoal resume "]);
    let preview = done(&mut sub_command(home, &["resume", "last", "-n"]), 0);
    has(&preview.0, &["exit 2\n", "exit 3\n"]);
    has(&preview.1, &["2 hosts; nothing was run"]);
    let listed = done(&mut sub_command(home, &["resume", "--list"]), 0).0;
    has(
        &listed,
        &["ended with 7  4 hosts: 1 ok, 1 failed, 2 left  exit {n}"],
    );
    // -k was typed then, so that it holds again.
    let (_, text) = done(&mut sub_command(home, &["resume", "last"]), 7);
    has(&text, &["1 ok, 1 failed, 2 left", "[1/2] ", "exit 2  "]);
    let (_, text) = done(&mut sub_command(home, &["resume", "last"]), 5);
    has(&text, &["[1/1] ", "exit 3  "]);
    let (_, text) = done(&mut sub_command(home, &["resume", "last"]), 0);
    has(&text, &["nothing is left of", "1 ok, 3 failed"]);
    let mut redo = sub_command(home, &["resume", "last", "--redo-failed"]);
    has(&done(&mut redo, 7).1, &["[1/3] ", "exit 1  "]);
    // The file of the first run was gone on with, too: 4 hosts, then 2, 1 and 3.
    let text = std::fs::read_to_string(&json).unwrap();
    let objects = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let statuses: Vec<Value> = objects
        .map(|object| object["exit_status"].clone())
        .collect();
    let expected = serde_json::json!([0, 1, null, null, 2, null, 3, 1, null, null]);
    assert_eq!(Value::from(statuses), expected, "{text}");
}

/// A run that somebody interrupted says how to go on; what was under way is done again, or left out.
#[test]
fn an_interrupted_run_is_resumed() {
    let fleet = Fleet::start(3);
    let home = fleet.home.path();
    let mut run = fleet.run_on(3);
    run.args(["-p", "2", "sleep", "600"]);
    let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
    let is_asked = |line: &&Value| line["asked"].is_u64();
    until(&mut child, || {
        let journals = journals(home);
        let journal = journals.first();
        journal.is_some_and(|path| lines(path).iter().filter(is_asked).count() == 2)
    });
    // A second process would do the same work.
    let (_, text) = done(&mut sub_command(home, &["resume", "last"]), 2);
    has(&text, &["is still under way"]);
    let (listed, _) = done(&mut sub_command(home, &["resume", "--list"]), 0);
    has(
        &listed,
        &["under way  3 hosts: 0 ok, 3 left, 2 of them may have run the command"],
    );
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    has(&stderr(&output), &["go on with: sshoal resume "]);
    let resume = ["resume", "last", "-n"];
    has(
        &done(&mut sub_command(home, &resume), 0).1,
        &["3 hosts; nothing was run"],
    );
    let mut skip = sub_command(home, &resume);
    has(
        &done(skip.arg("--skip-started"), 0).1,
        &["1 host; nothing was run"],
    );
}

/// Nobody listens at the port, so that the host is left; the run is gone on with elsewhere.
#[test]
fn values_of_variables_are_asked_for_again() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("password"), "sesame\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut run = sub_command(home, &["run", "-q", "--env", "TOKEN=hunter2", "-H"]);
    run.arg(port.to_string())
        .args(["--password-file", "password", "true"]);
    run.current_dir(home);
    done(run.env("SSHOAL_CONNECT_TIMEOUT", "7"), 4);
    let text = std::fs::read_to_string(journals(home).pop().unwrap()).unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("sesame"),
        "{text}"
    );
    has(&text, &["SSHOAL_CONNECT_TIMEOUT", "TOKEN"]);
    let resume = ["resume", "last", "-n"];
    let (_, text) = done(&mut sub_command(home, &resume), 2);
    has(
        &text,
        &["no journal keeps the values of --env", "--env TOKEN=VALUE"],
    );
    let mut given = sub_command(home, &resume);
    let (out, _) = done(
        given
            .args(["--env", "TOKEN=hunter3"])
            .env("SSHOAL_SHELL", "zsh"),
        0,
    );
    has(&out, &[&format!("{port} "), "hunter3"]);
    assert!(
        !out.contains("zsh"),
        "a variable of another time counts: {out}"
    );
    let mut resumed = sub_command(home, &["resume", "last", "--env", "TOKEN=hunter2"]);
    has(
        &done(resumed.env("SSHOAL_YES", "1"), 4).1,
        &["failed: connect"],
    );
}

#[test]
fn runs_that_cannot_be_resumed_are_refused() {
    let fleet = Fleet::start(1);
    let home = fleet.home.path();
    let refused = |words: &[&str], parts: &[&str]| {
        let (_, text) = done(&mut sub_command(home, words), 2);
        assert_eq!(text.lines().count(), 1, "{text}");
        has(&text, parts);
    };
    refused(&["resume", "last"], &["there is no run \"last\"", "--list"]);
    refused(&["resume"], &["RUN"]);
    refused(&["resume", "last", "--list"], &["--list"]);
    refused(
        &["resume", "./nothing"],
        &["cannot read the journal", "nothing"],
    );
    let (_, none) = done(&mut sub_command(home, &["resume", "--list"]), 0);
    has(&none, &["there are no runs in "]);
    done(fleet.run_on(1).args(["exit", "3"]), 5);
    let path = journals(home).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"ended\"", "\"endet\"", 1)).unwrap();
    refused(&["resume", "last"], &["line ", " is damaged"]);
    std::fs::write(&path, &text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o622)).unwrap();
    refused(
        &["resume", "last", "--redo-failed"],
        &["others may write to it"],
    );
    refused(&["diff", "last", "1999"], &["others may write to it"]);
}

/// Two runs over hosts that answer alike, otherwise, and not at all.
#[test]
fn diff_names_the_hosts_that_ended_otherwise() {
    let fleet = Fleet::start(4);
    let home = fleet.home.path();
    let run = |count: usize, words: &[&str]| {
        let mut run = fleet.run_on(count);
        let _ = output(run.args(["-q", "--template"]).args(words));
        name(journals(home).last().unwrap()).to_owned()
    };
    let first = run(3, &["echo", "{n}"]);
    let same = run(3, &["echo", "{n}"]);
    let (out, err) = done(&mut sub_command(home, &["diff", &first, &same]), 0);
    assert_eq!(out, "");
    has(&err, &["0 of 3 hosts differ"]);
    // The collected output has the same digest as the live one.
    let shown = run(3, &["-i", "echo", "{n}"]);
    done(&mut sub_command(home, &["diff", &first, &shown]), 0);
    let ones = run(4, &["echo", "1"]);
    let (out, err) = done(&mut sub_command(home, &["diff", &first, "last"]), 6);
    let [a, b, c, d] = &fleet.hosts[..] else {
        panic!("4 hosts")
    };
    let expected = format!(
        "{a}: standard output differs\n{c}: standard output differs\n{d}: only in {ones}\n"
    );
    assert_eq!(out, expected);
    has(&err, &["3 of 4 hosts differ"]);
    let bad = run(3, &["stderr", "oops"]);
    let exits = run(3, &["exit", "{n}"]);
    let (out, _) = done(&mut sub_command(home, &["diff", &bad, &exits]), 6);
    let expected = format!("{a}: standard error differs\n{b}: ok -> exit 1\n{c}: ok -> exit 2\n");
    assert_eq!(out, expected);
    let (_, text) = done(&mut sub_command(home, &["diff", &bad, "2999"]), 2);
    has(&text, &["there is no run \"2999\""]);
}
