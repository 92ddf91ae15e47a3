//! `sshoal run -b`, `--gather-live`, `--fuzzy` and `--diff`: hosts with one output are shown as one.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use support::copying::{Copying, wait_until};
use support::{Fleet, output, stderr, stdout};

const RULE: &str = "---------------";

/// The hosts with these numbers as a heading has them.
fn names(copying: &Copying, numbers: &[usize]) -> String {
    let sockets = copying.sshd.sockets();
    let names: Vec<String> = numbers.iter().map(|n| sockets[*n].to_string()).collect();
    let folded = sshoal::hosts::fold(names.iter().map(String::as_str));
    match numbers.len() {
        1 => folded,
        count => format!("{folded} ({count})"),
    }
}

fn block(names: &str, text: &str) -> String {
    format!("{RULE}\n{names}\n{RULE}\n{text}")
}

/// Runs on all hosts by a template; returns standard output and standard error.
#[track_caller]
fn run(copying: &Copying, code: i32, words: &[&str]) -> (String, String) {
    let output = copying.run(code, &[&["run", "--template"], words].concat());
    (stdout(&output), stderr(&output))
}

/// Four hosts, of which the third says something else and fails: the largest group comes first, with
/// its names folded; of good hosts there is no status line, unless with -v.
#[test]
fn equal_outputs_are_one_block_under_folded_names() {
    let Some(copying) = Copying::quiet(4) else {
        return;
    };
    let command = "if test {n} = 2; then echo other; exit 3; fi; echo same; echo two";
    let (out, err) = run(&copying, 5, &["-b", command]);
    let most = block(&names(&copying, &[0, 1, 3]), "same\ntwo\n");
    let other = block(&format!("{}: exit 3", names(&copying, &[2])), "other\n");
    assert_eq!(out, most + &other);
    let third = names(&copying, &[2]);
    assert!(err.contains(&format!("{third} exit 3  ")), "{err}");
    assert!(
        !err.contains(" ok  ") && err.contains(": 3 ok, 1 exit 3"),
        "{err}"
    );
    assert!(err.ends_with(&format!("  exit 3: {third}\n")), "{err}");
    let (_, err) = run(&copying, 5, &["-b", "-v", command]);
    assert_eq!(err.matches(" ok  ").count(), 3, "{err}");
    let (out, err) = run(
        &copying,
        5,
        &["-b", "--no-headers", "--no-summary", command],
    );
    assert_eq!((out.as_str(), err.as_str()), ("same\ntwo\nother\n", ""));
}

/// Hosts without output are named too; standard error goes to ours, under a heading there.
#[test]
fn streams_are_kept_apart_and_silent_hosts_named() {
    let Some(copying) = Copying::quiet(3) else {
        return;
    };
    let command = "test {n} = 1 || exit 0; echo out; echo err >&2";
    let (out, err) = run(&copying, 0, &["-b", "-q", command]);
    let silent = block(&format!("{}: no output", names(&copying, &[0, 2])), "");
    let second = names(&copying, &[1]);
    assert_eq!(out, silent + &block(&second, "out\n"));
    assert_eq!(err, block(&second, "err\n"));
    // Where both go to one place there is one heading.
    let mut shared = Command::new("sh");
    let inner = copying.command("run");
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => shared.env(name, value),
            None => shared.env_remove(name),
        };
    }
    shared.args(["-c", "exec \"$@\" 2>&1", "sh"]);
    shared.arg(inner.get_program()).args(inner.get_args());
    let shared = output(shared.args(["--template", "-b", "-q", command]));
    let out = stdout(&shared);
    assert!(out.ends_with(&block(&second, "out\nerr\n")), "{out}");
}

/// Of three hosts one waits for a file that is made once the others were shown.
#[test]
fn a_live_gather_shows_hosts_as_they_end() {
    let Some(copying) = Copying::quiet(3) else {
        return;
    };
    let go = copying.dest("go");
    let command =
        format!("test {{n}} != 2 || while ! test -e {go}; do sleep 0.05; done; echo same");
    let mut child = copying.spawn(&["run", "--template", "-q", "--gather-live", &command]);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // One block of both, or two where they ended far from each other.
    let both = [
        names(&copying, &[0, 1]),
        format!(": as {}", names(&copying, &[0])),
    ];
    let other = format!(": as {}", names(&copying, &[1]));
    while !(text.contains(&both[0]) || text.contains(&both[1]) || text.contains(&other)) {
        assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
    }
    assert!(!text.contains(&names(&copying, &[2])), "{text}");
    std::fs::write(copying.there("go"), "").unwrap();
    reader.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert_eq!(text.matches("same\n").count(), 1, "{text}");
    assert!(
        text.contains(&format!("{}: as ", names(&copying, &[2]))),
        "{text}"
    );
    let all = format!("1 output\n{}\n", names(&copying, &[0, 1, 2]));
    assert!(text.ends_with(&all), "{text}");
}

/// Of three hosts one never ends; once the others have, the run is interrupted: what these wrote is
/// shown, and the last one is in the file of those to do.
#[test]
fn an_interrupted_gather_shows_what_there_is() {
    let Some(copying) = Copying::quiet(3) else {
        return;
    };
    let command = "test {n} != 1 || sleep 1000; echo same";
    let child = copying.spawn(&[
        "run",
        "--template",
        "-q",
        "-b",
        "--events",
        "events",
        "--failed-to",
        "failed",
        command,
    ]);
    wait_until("the end of two hosts", || {
        let text = std::fs::read_to_string(copying.here("events")).ok()?;
        (text.matches("\"finished\"").count() == 2).then_some(())
    });
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    let expected = block(&names(&copying, &[0, 2]), "same\n");
    assert_eq!(stdout(&ended), expected);
    let failed = std::fs::read_to_string(copying.here("failed")).unwrap();
    assert_eq!(failed, format!("{}\n", copying.sshd.sockets()[1]));
}

/// Numbers, ids, times and the host's own name differ, and of one host a word: that one stands out.
/// What is the same everywhere is shown as it is.
#[test]
fn a_fuzzy_gather_names_the_host_that_stands_out() {
    let Some(copying) = Copying::quiet(4) else {
        return;
    };
    let hosts = "web1 web2 web3 db4";
    let aliases: String = hosts
        .split(' ')
        .zip(copying.sshd.sockets())
        .map(|(name, socket)| {
            format!(
                "Host {name}\n  HostName {}\n  Port {}\n",
                socket.ip(),
                socket.port()
            )
        })
        .collect();
    let config = copying.make("config", aliases);
    let fuzzy = |code: i32, words: &[&str]| {
        let mut run = support::sshoal(&copying.here(""));
        run.args(["run", "-F"]).arg(&config).arg("--identity");
        run.arg(copying.sshd.key_path());
        run.args(["-l", &copying.sshd.user(), "--host-key", "accept-new", "-O"]);
        run.arg(format!(
            "UserKnownHostsFile={}",
            copying.here("known").display()
        ));
        run.args(["-H", hosts, "--template", "-q"]);
        let output = output(run.args(words));
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        stdout(&output)
    };
    let command = "echo {host} up {n} days of 9 on 2026-11-2{n} 0{n}:10; echo id 1a2b3c4d5{n}ef; \
                   test {n} != 2 || echo degraded";
    let out = fuzzy(0, &["--fuzzy", command]);
    let most = block(
        "db4,web[1-2] (3)",
        "<host> up <number> days of 9 on <time>\nid <hex>\n",
    );
    let odd = "web3 up 2 days of 9 on 2026-11-22 02:10\nid 1a2b3c4d52ef\ndegraded\n";
    let expected = most + &block("web3", odd) + "odd: web3 (1 of 4 hosts)\n";
    assert_eq!(out, expected);
    // With a diff, what is masked is no difference.
    let out = fuzzy(6, &["--fuzzy", "--diff", command]);
    assert!(
        out.starts_with("--- db4,web[1-2] (3)\n+++ web3\n@@ -1,2 +1,3 @@\n "),
        "{out}"
    );
    assert!(out.contains("\n+degraded\nodd: web3 "), "{out}");
    assert_eq!(out.matches("\n+").count(), 2, "{out}");
    // Other hosts' names are words as any other: outputs that are equal are together.
    let out = fuzzy(0, &["--fuzzy", "echo web1 web2 db4 {n}"]);
    assert!(
        out.contains("(4)") && out.ends_with("web1 web2 db4 <number>\n"),
        "{out}"
    );
}

/// The second of three hosts differs in a line, in standard error and in its end; where nothing
/// differs there is no output and no exit code.
#[test]
fn a_diff_shows_what_differs_from_the_majority_and_is_the_exit_code() {
    let Some(copying) = Copying::quiet(3) else {
        return;
    };
    let differ = "echo a; echo b{n} | tr 02 xx; echo c";
    let (out, _) = run(&copying, 6, &["--diff", differ]);
    let (most, second) = (names(&copying, &[0, 2]), names(&copying, &[1]));
    let hunk = "@@ -1,3 +1,3 @@\n a\n-bx\n+b1\n c\n";
    assert_eq!(out, format!("--- {most}\n+++ {second}\n{hunk}"));
    let (out, _) = run(&copying, 6, &["-b", "--diff", differ]);
    let majority = block(&most, "a\nbx\nc\n");
    assert_eq!(out, format!("{majority}--- {most}\n+++ {second}\n{hunk}"));
    let fails = "if test {n} = 1; then echo oops >&2; exit 3; fi";
    let (out, _) = run(&copying, 5, &["--diff", fails]);
    assert!(
        out.starts_with(&format!("--- {most}: ok\n+++ {second}: exit 3\n")),
        "{out}"
    );
    assert!(
        out.ends_with(": exit 3 (standard error)\n@@ -0,0 +1 @@\n+oops\n"),
        "{out}"
    );
    let (out, _) = run(&copying, 0, &["--diff", "echo same"]);
    assert_eq!(out, "");
}

/// Returns the output of `sshoal run` over an embedded fleet, and the CPU time that it took, in
/// ticks of the system's clock.
fn measured(fleet: &Fleet, words: &[&str]) -> (String, u64) {
    let mut run = fleet.run();
    run.arg("-h").arg(&fleet.hosts_file).args(words);
    run.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = run.spawn().unwrap();
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // Ended and not yet taken note of: its times are still there.
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )
    .unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|f| f.parse::<u64>().unwrap())
        .sum();
    assert!(child.wait().unwrap().success());
    (text, ticks)
}

/// Three different outputs over `SSHOAL_GATHER_HOSTS` embedded hosts (200 unless it is set): three
/// blocks under folded names. In full, with 10000, gathering takes less than 3 s of CPU beyond the
/// run itself; below, less than half of the run, the better of two runs each.
#[test]
fn three_outputs_of_a_large_fleet_are_three_folded_groups() {
    let hosts = std::env::var("SSHOAL_GATHER_HOSTS").map_or(200, |n| n.parse().unwrap());
    let fleet = Fleet::start(hosts);
    let command = ["turn", "red", "green", "blue"];
    let words = [&["--connect-timeout", "0", "-b"], &command[..]].concat();
    let (rounds, mut plain, mut gathered) = (if hosts < 5000 { 2 } else { 1 }, u64::MAX, u64::MAX);
    for _ in 0..rounds {
        let (text, ticks) = measured(&fleet, &words);
        gathered = gathered.min(ticks);
        let headings: Vec<&str> = text.lines().filter(|line| line.ends_with(')')).collect();
        let counts: Vec<usize> = (0..3).map(|n| (hosts + 2 - n) / 3).collect();
        for (heading, count) in headings.iter().zip(&counts) {
            assert!(heading.ends_with(&format!(" ({count})")), "{heading}");
            assert!(
                heading.len() < 40 * hosts / 3 / 2,
                "{heading} is not folded"
            );
        }
        assert_eq!(headings.len(), 3, "{text}");
        assert_eq!(text.lines().count(), 12, "{text}");
        plain = plain.min(measured(&fleet, &[&words[..2], &command].concat()).1);
    }
    println!("{hosts} hosts: {plain} ticks of CPU without -b, {gathered} with it");
    match hosts >= 10_000 {
        // 100 ticks are a second.
        true => assert!(gathered < plain + 300, "{gathered} and {plain} ticks"),
        false => assert!(
            gathered < plain + plain / 2 + 5,
            "{gathered} and {plain} ticks"
        ),
    }
}
