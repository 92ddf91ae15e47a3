//! How a run goes about its hosts: waves, gates, pauses, and the question before it.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::screen::Screen;
use support::{Fleet, WHOLE_MAX, detached, ends_within, output, sshoal, stderr, stdout};

/// The objects of `--jsonl`, in the order in which they were written.
fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn indexes(objects: &[Value]) -> Vec<u64> {
    let mut all: Vec<u64> = objects
        .iter()
        .map(|object| object["index"].as_u64().unwrap())
        .collect();
    all.sort_unstable();
    all
}

/// Runs to the end and checks the exit code; returns what was said.
#[track_caller]
fn said(command: &mut Command, code: i32) -> String {
    let output = output(command);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Waves of 1, a quarter and the rest over 20 hosts: the hosts of a wave end before one of the next
/// begins, and the gate finds the counts of each wave and of all so far.
#[test]
fn waves_come_one_after_the_other_with_a_gate_between() {
    let fleet = Fleet::start(20);
    let (json, counts) = (
        fleet.home.path().join("json"),
        fleet.home.path().join("counts"),
    );
    let gate = format!(
        "echo $SSHOAL_GATE_WAVE/$SSHOAL_GATE_WAVES $SSHOAL_GATE_HOSTS $SSHOAL_GATE_OK \
         $SSHOAL_GATE_FAILED $SSHOAL_GATE_ALL_HOSTS $SSHOAL_GATE_ALL_OK $SSHOAL_GATE_ALL_FAILED \
         ${{SSHOAL_WAVE-none}} ${{SSHOAL_GATE-none}} >> {0}; test -n \"$SSHOAL_GATE_RUN\"",
        counts.display()
    );
    let mut run = fleet.run_on(20);
    run.env("SSHOAL_GATE", gate);
    run.args(["--wave", "1,25%,100%", "--template", "--jsonl"]);
    let text = said(run.arg(&json).args(["exit", "{n}"]), 5);
    assert_eq!(
        std::fs::read_to_string(&counts).unwrap(),
        "1/3 1 1 0 1 1 0 none none\n2/3 5 0 5 6 1 5 none none\n"
    );
    for part in [
        "wave 1 of 3: 1 host\n",
        "wave 2 of 3: 5 hosts\n",
        "wave 3 of 3: 14 hosts\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let objects = objects(&json);
    for (wave, expected) in [(0..1, 0..1), (1..6, 1..6), (6..20, 6..20)] {
        let expected: Vec<u64> = expected.collect();
        assert_eq!(indexes(&objects[wave]), expected);
    }
    // A template is filled in as in a run without waves, and what is shown names the right host.
    for object in &objects {
        assert_eq!(object["exit_status"], object["index"], "{object}");
        let index = usize::try_from(object["index"].as_u64().unwrap()).unwrap();
        let host = format!("{}:{}", object["host"].as_str().unwrap(), object["port"]);
        assert!(
            fleet.hosts[index].ends_with(&host),
            "{host} {:?}",
            fleet.hosts[index]
        );
    }
}

#[test]
fn a_gate_that_fails_stops_the_run() {
    let fleet = Fleet::start(5);
    let json = fleet.home.path().join("json");
    let mut run = fleet.run_on(5);
    run.args(["--wave", "1", "--template", "--jsonl"])
        .arg(&json);
    let gate = "echo looking; echo at it >&2; exit $SSHOAL_GATE_FAILED";
    let text = said(run.args(["--gate", gate, "exit", "{n}"]), 7);
    assert!(text.contains("gate: looking\n"), "{text}");
    assert!(text.contains("gate: at it\n"), "{text}");
    assert!(
        text.contains("the gate stopped the run: it ended with exit status 1\n"),
        "{text}"
    );
    assert!(text.contains("1 ok, 1 exit 1, 3 cancelled"), "{text}");
    let objects = objects(&json);
    assert_eq!(indexes(&objects), [0, 1, 2, 3, 4]);
    for object in &objects[2..] {
        assert_eq!(
            (&object["outcome"], &object["kind"]),
            (&"cancelled".into(), &"not_run".into())
        );
    }
    let killed = said(
        fleet
            .run_on(2)
            .args(["--wave", "1", "--gate", "kill -9 $$", "true"]),
        7,
    );
    assert!(killed.contains("signal 9 ended it"), "{killed}");
}

#[test]
fn failures_are_counted_over_all_waves() {
    let fleet = Fleet::start(5);
    for (limit, failed) in [("2", 2), ("50%", 3), ("100%", 5)] {
        let mut run = fleet.run_on(5);
        run.args(["--wave", "1", "--max-fail", limit]);
        let code = if failed < 5 { 7 } else { 5 };
        let text = said(run.args(["exit", "3"]), code);
        assert!(text.contains(&format!("0 ok, {failed} exit 3")), "{text}");
    }
    let text = said(
        fleet
            .run_on(5)
            .args(["--wave", "2", "-k", "-p", "1", "exit", "3"]),
        7,
    );
    assert!(text.contains("0 ok, 1 exit 3, 4 cancelled"), "{text}");
}

#[test]
fn a_pause_lies_between_waves() {
    let fleet = Fleet::start(3);
    let begun = Instant::now();
    let text = said(
        fleet
            .run_on(3)
            .args(["--wave", "1", "--wave-pause", "0.3", "true"]),
        0,
    );
    assert!(text.contains(": 3 ok\n"), "{text}");
    assert!(begun.elapsed() >= Duration::from_millis(600), "{text}");
}

/// The deadline is the whole run's: it ends a pause and a gate, and no wave begins after it. A longer one is for a machine
/// on which the first wave takes its time.
#[test]
fn the_deadline_holds_for_all_waves_together() {
    let fleet = Fleet::start(3);
    for between in [["--wave-pause", "600"], ["--gate", "exec sleep 600"]] {
        let cut = |deadline| {
            let mut run = fleet.run_on(3);
            run.args(["--wave", "1", "--deadline", deadline]);
            let text = said(run.args(between).arg("true"), 3);
            assert!(!text.contains("2 ok"), "{between:?} {text}");
            text.contains("1 ok, 2 cancelled")
        };
        assert!(cut("1.5") || cut("20"), "{between:?}");
    }
}

/// A signal while the gate runs ends the gate and the run; no wave begins after it.
#[test]
fn a_signal_ends_the_gate_and_the_run() {
    let fleet = Fleet::start(2);
    let end = |signal, code| {
        let mut run = fleet.run_on(2);
        let gate = "echo $$; exec sleep 600";
        run.args(["--wave", "1", "--gate", gate, "true"]);
        let mut child = run.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let pid = lines
            .by_ref()
            .find_map(|line| line.unwrap().strip_prefix("gate: ")?.parse().ok());
        let gate = Pid::from_raw(pid.unwrap()).unwrap();
        let own = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let begun = Instant::now();
        kill_process(own, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let took = begun.elapsed();
        let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
        let is_told = said.iter().any(|line| line.ends_with("1 ok, 1 cancelled"));
        assert!(is_told || took >= WHOLE_MAX, "{said:?}");
        let is_gone = rustix::process::test_kill_process(gate).is_err();
        assert!(is_gone || took >= WHOLE_MAX, "the gate runs on");
        took
    };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        ends_within(WHOLE_MAX, || end(signal, code));
    }
}

/// On a terminal, one Ctrl-C in the middle of a wave lets its hosts end, and begins no other wave.
#[test]
fn the_first_ctrl_c_lets_a_wave_end_and_begins_no_other() {
    let fleet = Fleet::start(4);
    let mut run = fleet.run_on(4);
    run.args(["--wave", "2", "--deadline", "60", "sleep", "2"]);
    let mut screen = Screen::start(&run);
    screen.wait_for("wave 1 of 2: 2 hosts");
    screen.wait_for(" 0/4 ");
    screen.press("\x03");
    screen.wait_for("interrupted: no more hosts are begun; 0 of 4 ended, ");
    let (code, text) = screen.end();
    assert_eq!(code, Some(130), "{text}");
    assert!(!text.contains("wave 2"), "{text}");
}

#[test]
fn many_hosts_are_asked_about_on_a_terminal() {
    let fleet = Fleet::start(3);
    let asking = |limit: &str| {
        let mut run = fleet.run_on(3);
        run.args(["--confirm-above", limit, "-i", "echo", "hello"]);
        run
    };
    let mut screen = Screen::start(&asking("2"));
    screen.wait_for("Run `echo hello` on 3 hosts, ");
    screen.wait_for("? [y/N] ");
    screen.press("\n");
    let (code, text) = screen.end();
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("not confirmed; nothing was run"), "{text}");
    assert!(!text.contains(" ok"), "{text}");
    let mut screen = Screen::start(&asking("2"));
    screen.wait_for("? [y/N] ");
    screen.press("yes\n");
    let (code, text) = screen.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 ok"), "{text}");
    // No question for fewer hosts, where it is answered already, and where nobody may be asked.
    for quiet in [
        &mut asking("3"),
        asking("2").env("SSHOAL_YES", "1"),
        fleet
            .run_on(3)
            .args(["--confirm-above", "0", "--yes", "true"]),
        fleet
            .run_on(3)
            .args(["--confirm-above", "0", "-O", "BatchMode=yes", "true"]),
    ] {
        let (code, text) = Screen::start(quiet).end();
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains("[y/N]"), "{text}");
    }
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let fleet = Fleet::start(2);
    let mut run = fleet.run_on(2);
    run.args(["--confirm-above", "0", "true"]);
    said(&mut detached(&run), 0);
}

#[test]
fn a_hundred_hosts_are_many() {
    let home = tempfile::tempdir().unwrap();
    let names = |count: usize| {
        let names = (0..count).map(|n| format!("no-such-host-{n}.invalid"));
        names.collect::<Vec<_>>().join(" ")
    };
    let mut run = sshoal(home.path());
    run.args(["run", "-H", &names(101), "true"]);
    let mut screen = Screen::start(&run);
    screen
        .wait_for("Run `true` on 101 hosts, no-such-host-0.invalid to no-such-host-100.invalid? ");
    screen.press("n\n");
    assert_eq!(screen.end().0, Some(2));
}

/// Each is refused with exit code 2 and a line that says what is wrong, before anything is run.
#[test]
fn steps_that_make_no_sense_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["--wave", "0", "true"][..], "1,10%,100%"),
        (&["--wave", "1,", "true"], "1,10%,100%"),
        (&["--wave", "101%", "true"], "1% to 100%"),
        (&["--wave", "-1", "true"], "--wave"),
        (&["--gate", "true", "true"], "--wave"),
        (&["--wave-pause", "3", "true"], "--wave"),
        (
            &["--wave", "1", "--wave-pause", "-3", "true"],
            "--wave-pause",
        ),
        (&["--wave", "1", "-I", "true"], "--stdin FILE"),
        (&["--wave", "1", "--stdin", "-", "true"], "--stdin FILE"),
        (&["--confirm-above", "many", "true"], "whole number"),
        (&["--confirm-above", "-1", "true"], "whole number"),
        (&["--journal-keep", "0", "true"], "--journal-keep"),
        (&["--journal", "x", "--no-journal", "true"], "contradict"),
    ] {
        let mut run = sshoal(home.path());
        let output = output(run.args(["run", "-H", "a"]).args(args));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?} {text}");
        assert!(text.contains(part), "{args:?} {text}");
        assert_eq!((text.lines().count(), stdout(&output).as_str()), (1, ""));
    }
}
