//! `--workers N`: the hosts of a run in child processes, which die, and which the run outlives.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use support::working::{
    arguments, behind, check_same, crash, events, is_gone, owners, pid, records, wait_until,
    workers,
};
use support::{Fleet, WHOLE_MAX, ends_within, output, sshoal, stderr, stdout};

#[test]
fn workers_say_what_one_process_says() {
    let fleet = Fleet::start(12);
    let file = fleet.hosts_file.to_str().unwrap().to_owned();
    let hosts = ["-h", &file];
    let first = fleet.hosts[0].clone();
    let check = |words: &[&str]| check_same(&fleet, &[&hosts[..], words].concat());
    check(&["-i", "hostname"]);
    check(&["-b", "head", "-c", "700001"]);
    check(&["-P", "stderr", "oops"]);
    check(&["-i", "--max-output", "1000", "head", "-c", "5000"]);
    check(&["exit", "3"]);
    check(&["signal", "KILL"]);
    check(&["nostatus"]);
    check(&["-i", "--template", "echo", "{n}", "{host}", "{total}"]);
    check(&["-t", "1", "sleep", "60"]);
    check(&["-p", "1", "-k", "false"]);
    check(&[
        "-p",
        "2",
        "--wave",
        "3,5",
        "--gate",
        "test $SSHOAL_GATE_WAVE -lt 2",
        "true",
    ]);
    check(&[
        "-O",
        "UserKnownHostsFile=/dev/null",
        "-O",
        "UserKnownHostsFile=none",
        "true",
    ]);
    check(&[
        "--connect-timeout",
        "7",
        "--retries",
        "1",
        "-H",
        "127.3.0.1:1 nowhere.invalid",
        "true",
    ]);
    let key = fleet.home.path().join("another");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let key = key.to_str().unwrap();
    check_same(
        &fleet,
        &[
            "-H",
            &format!("{first} {first}"),
            "-O",
            "IdentitiesOnly=yes",
            "hostname",
        ],
    );
    check_same(
        &fleet,
        &[
            "-H",
            &first,
            "-O",
            &format!("IdentityFile={key}"),
            "hostname",
        ],
    );
}

#[test]
fn input_reaches_every_host_whole() {
    let fleet = Fleet::start(6);
    let bytes: Vec<u8> = (0..1_500_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let mut hashes = Vec::new();
    for workers in ["1", "3"] {
        let mut run = fleet.run();
        run.arg("-h")
            .arg(&fleet.hosts_file)
            .args(["--workers", workers, "--connect-timeout", "100"])
            .args(["-b", "-I", "hash"]);
        let mut child = run
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        hashes.push(stdout(&output));
    }
    assert_eq!(hashes[0], hashes[1]);
}

/// Starts a run in two workers, and waits until `count` of its hosts work; with `-I cat` they do
/// until the run's input ends.
fn working(fleet: &Fleet, count: usize, words: &[&str]) -> Child {
    let (results, events_file) = (
        fleet.home.path().join("results"),
        fleet.home.path().join("events"),
    );
    let mut run = fleet.run();
    run.arg("-h")
        .arg(&fleet.hosts_file)
        .args(["--workers", "2", "--connect-timeout", "100", "--jsonl"])
        .arg(results);
    run.arg("--events").arg(&events_file).args(words);
    let child = run
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first hosts", || {
        events(&events_file, "accepted").len() >= count
    });
    child
}

/// Has one worker of two die of a fault while six hosts of twelve work: only hosts that worked on
/// it are lost, all others are done, and the report is whole.
#[test]
fn a_worker_that_dies_costs_its_hosts_at_work_and_no_others() {
    let fleet = Fleet::start(12);
    let run = working(&fleet, 6, &["-p", "6", "-I", "cat"]);
    let pids = workers(&run);
    assert_eq!(pids.len(), 2);
    let begun = events(&fleet.home.path().join("events"), "accepted");
    crash(pids[0]);
    let output = run.wait_with_output().unwrap();
    let err = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("a worker process died of signal 11; 3 hosts on it"),
        "{err}"
    );
    let records = records(&fleet.home.path().join("results"));
    assert_eq!(records.len(), 12);
    let crashed: Vec<&u64> = records
        .iter()
        .filter(|(_, r)| r["kind"] == "worker_crashed")
        .map(|(index, _)| index)
        .collect();
    assert_eq!(crashed.len(), 3, "{err}");
    assert!(
        crashed.iter().all(|index| begun.contains(index)),
        "{crashed:?} of {begun:?}"
    );
    assert_eq!(
        records
            .values()
            .filter(|r| r["outcome"] == "exited")
            .count(),
        9
    );
    assert!(
        records
            .values()
            .all(|r| r["kind"].is_null() || r["phase"] == "run")
    );
}

/// Kills every worker again and again: the run ends all the same, with one end for each host.
#[test]
fn a_run_whose_workers_all_die_ends_with_every_host() {
    let fleet = Fleet::start(8);
    let mut run = working(&fleet, 2, &["-p", "4", "sleep", "1"]);
    let mut killed = 0;
    while killed < 6 {
        for pid in workers(&run) {
            killed += usize::from(kill_process(pid, Signal::KILL).is_ok());
        }
        assert!(run.try_wait().unwrap().is_none() || killed > 0);
        thread::yield_now();
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(records(&fleet.home.path().join("results")).len(), 8);
}

/// Kills the worker while it connects: nothing was started, so the host is begun again, and runs.
#[test]
fn a_host_that_was_not_begun_runs_in_another_worker() {
    let fleet = Fleet::start(1);
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let host = fleet.hosts[0].clone();
    let address = behind(&host, move |count, from| {
        arrived.send(from).unwrap();
        count > 0
    });
    // As known_hosts has it.
    let (name, port) = host.rsplit_once(':').unwrap();
    let alias = format!("[{name}]:{port}");
    let results = fleet.home.path().join("results");
    let mut run = fleet.run();
    run.arg("-H")
        .arg(address.to_string())
        .arg("-O")
        .arg(format!("HostKeyAlias={alias}"));
    run.args(["--workers", "2", "-i", "--jsonl"])
        .arg(&results)
        .arg("hostname");
    let run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    arrivals.recv().unwrap();
    for pid in workers(&run) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "host-0000\n");
    assert_eq!(records(&results)[&0]["attempts"], 2);
}

/// One host of nine ends its worker with each connection: it costs the hosts at work beside it the
/// first time, is alone from then on, and fails as what it is.
#[test]
fn a_host_that_ends_every_worker_costs_one_shard_once() {
    let fleet = Fleet::start(8);
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let address = behind(&fleet.hosts[0], move |_, from| {
        let _ = arrived.send(from);
        false
    });
    let events_file = fleet.home.path().join("events");
    let results = fleet.home.path().join("results");
    let mut run = fleet.run();
    run.arg("-h")
        .arg(&fleet.hosts_file)
        .arg("-H")
        .arg(address.to_string());
    run.args(["--workers", "2", "--jsonl"]).arg(&results);
    run.args(["--connect-timeout", "100", "--events"])
        .arg(&events_file)
        .args(["-I", "cat"]);
    let mut run = run
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = arrivals.recv().unwrap();
    wait_until("the others", || events(&events_file, "accepted").len() == 8);
    if owners(&workers(&run), first).len() != 1 {
        println!("skipped: this user may not see whose a connection is");
        run.kill().unwrap();
        run.wait().unwrap();
        return;
    }
    for last in [false, false, true] {
        let owner = owners(&workers(&run), first);
        kill_process(owner[0], Signal::KILL).unwrap();
        if !last {
            first = arrivals.recv().unwrap();
            wait_until("its worker", || owners(&workers(&run), first).len() == 1);
        }
    }
    let output = run.wait_with_output().unwrap();
    let records = records(&results);
    let hostile = records.values().find(|r| r["host"] == "127.0.0.1").unwrap();
    assert_eq!(
        (&hostile["kind"], &hostile["phase"]),
        (&"worker_crashed".into(), &"banner".into()),
        "{hostile}"
    );
    let crashed = records
        .values()
        .filter(|r| r["kind"] == "worker_crashed")
        .count();
    // Four or five hosts were on its first worker, with itself.
    let err = stderr(&output);
    assert!((4..=5).contains(&crashed), "{crashed}: {err}");
    let exited = records.values().filter(|r| r["outcome"] == "exited");
    assert_eq!(exited.count(), 9 - crashed, "{err}");
    assert_eq!(output.status.code(), Some(1));
}

/// Ends a run by a signal, and checks exit code, time, and that no worker is left.
#[track_caller]
fn check_end(sent: Signal, code: Option<i32>) {
    ends_within(WHOLE_MAX, || end_by(sent, code));
}

/// Returns how long the end took.
#[track_caller]
fn end_by(sent: Signal, code: Option<i32>) -> Duration {
    let fleet = Fleet::start(4);
    let mut run = working(&fleet, 4, &["sleep", "60"]);
    let pids = workers(&run);
    assert_eq!(pids.len(), 2);
    let begun = Instant::now();
    kill_process(pid(&run), sent).unwrap();
    assert_eq!(run.wait().unwrap().code(), code);
    let took = begun.elapsed();
    wait_until("the workers' end", || pids.iter().all(|pid| is_gone(*pid)));
    if code.is_some() {
        let records = records(&fleet.home.path().join("results"));
        assert!(
            records.values().all(|r| r["outcome"] == "cancelled"),
            "{records:?}"
        );
        assert!(records.len() == 4 || took >= WHOLE_MAX, "{records:?}");
    }
    took
}

#[test]
fn ctrl_c_ends_the_run_and_its_workers() {
    check_end(Signal::INT, Some(130));
}

#[test]
fn sigterm_ends_the_run_and_its_workers() {
    check_end(Signal::TERM, Some(143));
}

#[test]
fn a_run_that_is_killed_leaves_no_worker() {
    check_end(Signal::KILL, None);
}

/// Signals that a terminal sends to all of the group mean what the run makes of them: no worker
/// ends by itself, and the progress is shown by the run alone.
#[test]
fn signals_to_the_group_are_the_runs() {
    let fleet = Fleet::start(4);
    let run = working(&fleet, 4, &["-I", "cat"]);
    let pids = workers(&run);
    for signal in [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
    ] {
        for pid in &pids {
            kill_process(*pid, signal).unwrap();
        }
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_run_in_workers_goes_on_where_it_was_stopped() {
    let fleet = Fleet::start(3);
    let mut run = fleet.run_on(3);
    run.args(["--workers", "2", "-p", "1", "-k", "false"]);
    let stopped = output(&mut run);
    assert_eq!(stopped.status.code(), Some(7), "{}", stderr(&stopped));
    for left in ["[1/2]", "[1/1]"] {
        let resumed = output(sshoal(fleet.home.path()).args(["resume", "last"]));
        let err = stderr(&resumed);
        assert!(err.contains("going on with") && err.contains(left), "{err}");
    }
}

#[test]
fn secrets_are_in_no_arguments_and_no_environment() {
    const CANARY: &str = "canary-of-the-workers-31";
    let dir = tempfile::tempdir().unwrap();
    let mut fleet = sshoal(dir.path());
    fleet
        .args(["demo-fleet", "--hosts", "2", "--password", CANARY, "--dir"])
        .arg(dir.path());
    let mut fleet = fleet
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(fleet.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map(Result::unwrap)
            .any(|line| line.starts_with("ready "))
    );
    std::fs::write(dir.path().join("password"), CANARY).unwrap();
    let mut run = sshoal(dir.path());
    let (events_file, known) = (dir.path().join("events"), dir.path().join("known_hosts"));
    run.args(["run", "-F", "none", "--workers", "2", "-h"])
        .arg(dir.path().join("hosts"));
    run.arg("-O")
        .arg(format!("UserKnownHostsFile={}", known.display()));
    run.arg("--password-file").arg(dir.path().join("password"));
    run.arg("--events").arg(&events_file).args(["sleep", "1"]);
    let run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the log-ins", || {
        events(&events_file, "accepted").len() == 2
    });
    let pids = workers(&run);
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let environ = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        for bytes in [arguments(pid), environ.unwrap_or_default()] {
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        assert!(status.unwrap().contains("NoNewPrivs:\t1"));
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    drop(fleet.stdin.take());
    let _ = fleet.wait();
}

#[test]
fn only_a_run_starts_a_worker_and_only_where_it_can_have_one() {
    let home = tempfile::tempdir().unwrap();
    let by_hand = output(sshoal(home.path()).arg("worker"));
    assert_eq!(by_hand.status.code(), Some(2));
    assert!(
        stderr(&by_hand).contains("sshoal run --workers"),
        "{}",
        stderr(&by_hand)
    );
    for words in [
        &["put", "--workers", "2", "-H", "h", "a", "b"][..],
        &["run", "--workers", "65", "-H", "h", "true"],
    ] {
        let refused = output(sshoal(home.path()).args(words));
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
        assert!(
            stderr(&refused).contains("--workers"),
            "{}",
            stderr(&refused)
        );
    }
    let fleet = Fleet::start(2);
    for none in ["0", "1"] {
        let mut run = fleet.run_on(2);
        let run = run
            .args(["--workers", none, "-P", "yes", "100000000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(run.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(workers(&run), []);
        run.kill().unwrap();
        run.wait().unwrap();
    }
}
