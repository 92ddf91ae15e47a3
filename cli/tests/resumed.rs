//! Copies, scripts and signals that are kept and gone on with, and what is told of programs: events, and
//! who is slow.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use support::copying::{Copying, wait_until};
use support::screen::Screen;
use support::working::pid;
use support::{output, stderr, stdout};

/// A command in the same surroundings as others, to its end.
#[track_caller]
fn done(command: &mut Command, code: i32) -> Output {
    let output = output(command);
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{out} {err}");
    output
}

fn resume(hosts: &Copying, words: &[&str]) -> Command {
    let mut command = support::sshoal(&hosts.here("."));
    command.arg("resume").args(words);
    command
}

/// Expects that going on is refused for a reason.
#[track_caller]
fn refused(hosts: &Copying, words: &[&str], said: &[&str]) {
    let error = stderr(&done(&mut resume(hosts, words), 2));
    assert!(said.iter().all(|said| error.contains(said)), "{error}");
}

/// The sub-command on a host that answers and one that does not.
fn on_half(hosts: &Copying, action: &str) -> Command {
    let alive = hosts.sshd.sockets()[0];
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead: SocketAddr = closed.local_addr().unwrap();
    let mut command = hosts.command_without_hosts(action);
    command.args(["-H", &format!("{alive} {dead}")]);
    command
}

/// How many hosts have ended, by the one journal there is.
fn ended(hosts: &Copying) -> usize {
    let runs = fs::read_dir(hosts.here(".local/state/sshoal/runs"));
    let paths = runs
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let texts = paths.map(|path| fs::read_to_string(path).unwrap());
    texts.map(|text| text.matches("{\"ended\"").count()).sum()
}

/// One host at a time, and `kill -9` when the first has its copy: that one is left alone, and the
/// others get theirs. A source that changed meanwhile is refused.
#[test]
fn copies_that_were_cut_off_are_gone_on_with() {
    let Some(hosts) = Copying::quiet(3) else {
        return;
    };
    let big = hosts.make("big", vec![7; 700_000]);
    for n in 0..3 {
        fs::create_dir(hosts.there(&n.to_string())).unwrap();
    }
    let to = hosts.dest("{n}/big");
    let words = [
        "put",
        "-p",
        "1",
        "--bandwidth",
        "1M",
        "--template",
        "big",
        &to,
    ];
    let mut child = hosts.spawn(&words);
    wait_until("the first host", || (ended(&hosts) == 1).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    let inode = |n: u32| {
        fs::metadata(hosts.there(&format!("{n}/big")))
            .unwrap()
            .ino()
    };
    let first = inode(0);
    refused(
        &hosts,
        &["last", "--skip-started"],
        &["--skip-started is for commands"],
    );
    let changed = fs::metadata(&big).unwrap().modified().unwrap();
    fs::write(&big, vec![8; 700_000]).unwrap();
    refused(
        &hosts,
        &["last"],
        &["cannot go on with", "has changed since"],
    );
    fs::write(&big, vec![7; 700_000]).unwrap();
    let file = fs::File::options().append(true).open(&big).unwrap();
    file.set_modified(changed).unwrap();
    let dry = done(&mut resume(&hosts, &["last", "-n"]), 0);
    assert!(
        stderr(&dry).contains("2 hosts; nothing was copied"),
        "{}",
        stderr(&dry)
    );
    assert!(stdout(&dry).contains("/1/big") && !stdout(&dry).contains("/0/big"));
    let output = done(&mut resume(&hosts, &["last"]), 0);
    let said = stderr(&output);
    assert!(
        said.contains("going on with") && said.contains("[2/2]"),
        "{said}"
    );
    assert_eq!(inode(0), first);
    for n in 0..3 {
        assert_eq!(
            fs::read(hosts.there(&format!("{n}/big"))).unwrap(),
            vec![7; 700_000]
        );
    }
    assert!(stderr(&done(&mut resume(&hosts, &["last"]), 0)).contains("nothing is left"));
    let listed = stdout(&done(&mut resume(&hosts, &["--list"]), 0));
    assert!(
        listed.contains("ended with 0  3 hosts: 3 ok  put big "),
        "{listed}"
    );
}

/// What would fail on files of its own is refused.
#[test]
fn copies_that_overwrite_nothing_are_gone_on_with_where_nothing_was_done() {
    let Some(hosts) = Copying::quiet(1) else {
        return;
    };
    hosts.make("a", "one");
    let mut put = on_half(&hosts, "put");
    done(
        put.args(["-q", "--no-clobber", "a"]).arg(hosts.dest("a")),
        4,
    );
    let again = done(&mut resume(&hosts, &["last"]), 4);
    assert!(
        stderr(&again).contains("Connection refused"),
        "{}",
        stderr(&again)
    );
    // This time the first host fails too, after it was reached.
    let mut put = on_half(&hosts, "put");
    done(
        put.args(["-q", "--no-clobber", "a"]).arg(hosts.dest("a")),
        4,
    );
    done(&mut resume(&hosts, &["last"]), 4);
    refused(
        &hosts,
        &["last", "--redo-failed"],
        &["on 1 of the hosts", "--keep"],
    );
    let journals = hosts.here(".local/state/sshoal/runs");
    let before = fs::read_dir(&journals).unwrap().count();
    let mut put = on_half(&hosts, "put");
    done(
        put.args(["-q", "--no-journal", "--keep", "a"])
            .arg(hosts.dest("a")),
        4,
    );
    let mut put = on_half(&hosts, "put");
    let elsewhere = hosts.here("elsewhere");
    put.args(["-q", "--keep", "a"]).arg(hosts.dest("a"));
    done(
        put.env("SSHOAL_JOURNAL", &elsewhere)
            .env("SSHOAL_JOURNAL_KEEP", "3"),
        4,
    );
    assert_eq!(fs::read_dir(&journals).unwrap().count(), before);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
}

/// The paths are those of the run, whatever the inventory says by now; directories and what comes from
/// hosts are gone on with too.
#[test]
fn other_copies_are_gone_on_with_as_they_were_begun() {
    let Some(hosts) = Copying::quiet(1) else {
        return;
    };
    hosts.make("a", "one");
    hosts.make("site/x", "x");
    let inventory = |to: &str| {
        hosts.make("inventory.toml", format!("[vars]\nplace = \"{to}\"\n"));
    };
    inventory("first");
    let mut put = on_half(&hosts, "put");
    put.args(["-q", "--inventory", "inventory.toml", "--template", "a"]);
    done(put.arg(hosts.dest("{place}")), 4);
    assert!(hosts.there("first").exists());
    inventory("second");
    let dry = stdout(&done(&mut resume(&hosts, &["last", "-n"]), 0));
    assert!(dry.contains("/first") && !dry.contains("/second"), "{dry}");
    assert_eq!(dry.lines().count(), 1, "{dry}");

    let mut get = on_half(&hosts, "get");
    done(
        get.args(["-q", "--name", "{n}"])
            .arg(hosts.dest("first"))
            .arg("out"),
        4,
    );
    fs::remove_file(hosts.here("out/0")).unwrap();
    done(&mut resume(&hosts, &["last"]), 4);
    assert!(!hosts.here("out/0").exists());

    let mut sync = on_half(&hosts, "sync");
    done(sync.args(["-q", "site"]).arg(hosts.dest("to")), 4);
    fs::remove_file(hosts.there("to/x")).unwrap();
    done(&mut resume(&hosts, &["last"]), 4);
    assert!(!hosts.there("to/x").exists());
    hosts.make("site/deep/y", "y");
    refused(&hosts, &["last"], &["site has changed since"]);
    // Of what changes nothing there is no journal.
    let journals = || {
        fs::read_dir(hosts.here(".local/state/sshoal/runs"))
            .unwrap()
            .count()
    };
    let before = journals();
    let mut sync = on_half(&hosts, "sync");
    let seen = done(
        sync.args(["-q", "-n", "--itemize", "site"])
            .arg(hosts.dest("new")),
        4,
    );
    assert!(stdout(&seen).contains("\tmkdir\t.\n"), "{}", stdout(&seen));
    assert_eq!(journals(), before);
}

#[test]
fn scripts_and_signals_are_gone_on_with() {
    let Some(hosts) = Copying::quiet(1) else {
        return;
    };
    let log = hosts.dest("log");
    let text = format!("echo \"$1\" >> {log}\n");
    let path = hosts.make("script", &text);
    let mut script = on_half(&hosts, "script");
    done(script.args(["-q", "script", "a word"]), 4);
    done(&mut resume(&hosts, &["last"]), 4);
    assert_eq!(fs::read_to_string(&log).unwrap(), "a word\n");
    let listed = stdout(&done(&mut resume(&hosts, &["--list"]), 0));
    assert!(listed.contains("  script script: sh -s "), "{listed}");
    fs::write(&path, text + "reboot\n").unwrap();
    refused(&hosts, &["last"], &["script has changed since"]);
    let mut script = on_half(&hosts, "script");
    done(script.args(["-q", "-"]).stdin(Stdio::null()), 4);
    refused(
        &hosts,
        &["last"],
        &["it read its standard input, which is gone"],
    );
    let mut run = on_half(&hosts, "run");
    done(run.args(["-q", "-I", "cat"]).stdin(Stdio::null()), 4);
    refused(&hosts, &["last"], &["it read its standard input"]);

    let mut kill = on_half(&hosts, "kill");
    kill.env("SSHOAL_SIGNAL", "USR1");
    // No process has a name of this length; the host that says so is done.
    let name = "no-process-has-this";
    done(kill.args(["--exact", name]), 4);
    let dry = stdout(&done(&mut resume(&hosts, &["last", "-n"]), 0));
    assert!(dry.contains("-USR1 -x"), "{dry}");
    assert_eq!(dry.lines().count(), 1, "{dry}");
    let said = stderr(&done(&mut resume(&hosts, &["last"]), 4));
    assert!(said.contains("Connection refused"), "{said}");
    assert!(said.contains("1 failed, 1 left"), "{said}");
}

/// One of two hosts lets us in and never answers: whether it runs the command, nobody can know then.
#[test]
fn a_host_that_has_not_answered_may_have_run_the_command() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let dir = home.join("fleet");
    let mut fleet = support::sshoal(home);
    fleet
        .args(["demo-fleet", "--hosts", "2", "--dir"])
        .arg(&dir)
        .args(["--fault", "stall-open=0-0"]);
    let mut fleet = fleet
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut said = BufReader::new(fleet.stdout.take().unwrap());
    said.read_line(&mut ready).unwrap();
    assert!(ready.starts_with("ready "), "{ready}");
    for (sent, name) in [(Signal::INT, "interrupted"), (Signal::KILL, "killed")] {
        let directory = home.join(name);
        let in_directory = |words: &[&str]| {
            let mut command = support::sshoal(home);
            command.args(words).arg("--journal").arg(&directory);
            command
        };
        let mut run = in_directory(&["run", "--connect-timeout", "100", "-F", "none"]);
        run.arg("-h").arg(dir.join("hosts"));
        run.arg("--identity").arg(dir.join("user_ed25519"));
        let known = dir.join("known_hosts");
        run.arg("-O")
            .arg(format!("UserKnownHostsFile={}", known.display()));
        run.args(["sleep", "600"]);
        let mut run = run.stderr(Stdio::null()).spawn().unwrap();
        wait_until("both hosts to be asked", || {
            let journal = fs::read_dir(&directory).ok()?.next()?;
            let text = fs::read_to_string(journal.unwrap().path()).unwrap();
            (text.matches("{\"asked\"").count() == 2).then_some(())
        });
        kill_process(pid(&run), sent).unwrap();
        run.wait().unwrap();
        let left = "2 left, 2 of them may have run the command";
        let listed = stdout(&done(&mut in_directory(&["resume", "--list"]), 0));
        assert!(listed.contains(left), "{listed}");
        let skip = ["resume", "last", "-n", "--skip-started"];
        let said = stderr(&done(&mut in_directory(&skip), 0));
        assert!(
            said.contains("nothing is left of") && said.contains(left),
            "{said}"
        );
    }
    drop(fleet.stdin.take());
    fleet.wait().unwrap();
}

/// The events of each host, by position.
fn events(text: &str, index: u64) -> String {
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = lines.filter(|line| line["index"] == index);
    let words = own.map(|line| {
        let word = line["event"].as_str().unwrap();
        match (line["phase"].as_str(), line["outcome"].as_str()) {
            (Some(phase), _) => format!("{word}:{phase}"),
            (_, Some(outcome)) => format!("{word}:{outcome}"),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn events_tell_of_copies_files_and_pings() {
    let Some(hosts) = Copying::quiet(1) else {
        return;
    };
    hosts.make("a", "one");
    let (good, lost) = (
        "started connected authenticated finished:exited",
        "started failed:connect finished:failed",
    );
    let file = hosts.here("events");
    let read = || fs::read_to_string(&file).unwrap();
    let mut put = on_half(&hosts, "put");
    done(
        put.args(["-q", "--events", "events", "a"])
            .arg(hosts.dest("a")),
        4,
    );
    assert_eq!([events(&read(), 0), events(&read(), 1)], [good, lost]);
    let mut put = on_half(&hosts, "put");
    done(
        put.args(["-q", "--events", "events", "a"])
            .arg(hosts.dest("a/b")),
        4,
    );
    let failed = "started connected authenticated failed:transfer finished:failed";
    assert_eq!(events(&read(), 0), failed);
    let get = hosts.dest("a");
    let output = hosts.run(0, &["get", "-q", "--events", "-", &get, "out"]);
    assert_eq!(events(&stdout(&output), 0), good);
    let output = hosts.run(
        0,
        &["sync", "-q", "--events", "-", "out", &hosts.dest("to")],
    );
    assert_eq!(events(&stdout(&output), 0), good);
    let mut stat = on_half(&hosts, "fs");
    let output = done(stat.args(["-q", "--events", "-", "stat"]).arg(&get), 4);
    let text = stdout(&output);
    assert_eq!([events(&text, 0), events(&text, 1)], [good, lost]);
    let mut ping = on_half(&hosts, "ping");
    let output = done(ping.args(["-q", "--events", "-"]), 4);
    let text = stdout(&output);
    assert_eq!([events(&text, 0), events(&text, 1)], [good, lost]);
    for words in [
        &["put", "--events", "-", "--jsonl", "-", "a", "b"][..],
        &["sync", "--events", "-", "--itemize", "out", "b"],
        &["fs", "--events", "-", "-b", "stat", "b"],
        &["put", "--journal", "x", "--no-journal", "a", "b"],
    ] {
        let mut command = hosts.command(words[0]);
        let error = stderr(&done(command.args(&words[1..]), 2));
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

/// A host that hangs on a file has a line, with how long it has been at work.
#[test]
fn a_terminal_shows_whose_files_are_slow() {
    let Some(hosts) = Copying::quiet(1) else {
        return;
    };
    let pipe = hosts.there("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut read = hosts.command("fs");
    read.args(["read"]).arg(&pipe);
    let mut screen = Screen::start(&read);
    screen.wait_for("  work 0.");
    // A writer that comes and goes lets the host's read end.
    drop(fs::File::options().write(true).open(&pipe).unwrap());
    screen.end();
}
