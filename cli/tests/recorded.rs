//! One operator's session, recorded: every command on a pseudo-terminal of its own, and what was on
//! the screen in the end. The record is a file that `cat` plays back on a terminal.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use support::screen::{Screen, left_on};
use support::{Fleet, sshoal};

/// The record: what was typed, and what the terminal was sent.
struct Record {
    path: PathBuf,
    text: String,
}

impl Record {
    fn begin() -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("session.typescript");
        Self {
            path,
            text: String::new(),
        }
    }

    /// Notes a command that has ended; returns what it left on the screen.
    fn add(&mut self, command: &Command, text: &str) -> String {
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_str().unwrap())
            .collect();
        self.text += &format!("\r\n$ sshoal {}\r\n{text}", words.join(" "));
        std::fs::write(&self.path, &self.text).unwrap();
        left_on(text)
    }

    /// Runs a command to its end, at which nobody presses a key; returns what is left on the screen.
    #[track_caller]
    fn run(&mut self, command: &Command, code: i32) -> String {
        let (ended, text) = Screen::start(command).end();
        let screen = self.add(command, &text);
        assert_eq!(ended, Some(code), "{screen}");
        screen
    }

    /// Says past the test harness, which hides what tests print, where the record is.
    fn tell(&self, facts: &str) {
        let path = self.path.display();
        let lines = self.text.lines().count();
        let _ = writeln!(
            std::io::stderr(),
            "recorded session: {path} ({lines} lines); {facts}"
        );
    }
}

/// The hosts of status lines that end so, each of which has only one.
#[track_caller]
fn hosts_with(screen: &str, verdict: &str) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for line in screen.lines().filter(|line| line.starts_with('[')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.get(2) == Some(&verdict) {
            assert!(
                hosts.insert(words[1].to_owned()),
                "{} ended twice",
                words[1]
            );
        }
    }
    hosts
}

/// The last line of a screen. The bar is gone, but for as many of its lines as the terminal itself
/// moved up: with each key that it showed behind it.
#[track_caller]
fn last_line(screen: &str, keys: usize) -> &str {
    let line = screen.lines().last().unwrap();
    let is_bar = |line: &&str| line.starts_with('[') && line.contains(" hosts/s  ");
    assert!(screen.lines().filter(is_bar).count() <= keys, "{screen}");
    assert!(!is_bar(&line), "{screen}");
    line
}

/// Goal: an operator's evening, as it looks. Method: a fleet of 12; gather, waves with a gate that lets
/// them go on and one that does not, one Ctrl-C, the rest by `resume`, two Ctrl-C, and what is left
/// then. What is asserted is what stays on the screen, and the exit codes.
#[test]
fn a_session_of_gather_waves_interrupts_and_resume_looks_as_it_should() {
    let fleet = Fleet::start(12);
    let mut record = Record::begin();
    gathers(&fleet, &mut record);
    rolls(&fleet, &mut record);
    let begun = one_interrupt(&fleet, &mut record);
    let twice = two_interrupts(&fleet, &mut record);
    record.tell(&format!(
        "{begun} of 12 hosts were begun before one Ctrl-C; 130 came {twice:?} after the second"
    ));
}

fn gathers(fleet: &Fleet, record: &mut Record) {
    let run = |words: &[&str]| {
        let mut run = fleet.run_on(12);
        run.args(words);
        run
    };
    let screen = record.run(&run(&["-b", "uname"]), 0);
    let port = fleet.hosts[0].rsplit_once(':').unwrap().1;
    let all = format!("127.1.0.[1-12]:{port} (12)");
    let gathered: Vec<&str> = screen.lines().collect();
    let rule = "-".repeat(15);
    assert_eq!(gathered[..3], [&rule, &all, &rule], "{screen}");
    assert!(
        last_line(&screen, 0).starts_with("12 hosts in "),
        "{screen}"
    );
    assert!(last_line(&screen, 0).ends_with(": 12 ok"), "{screen}");
    let mixed = run(&["-b", "--template", "exit {n}"]);
    let screen = record.run(&mixed, 5);
    assert!(screen.contains(" exit 11  "), "{screen}");
    assert!(screen.contains(": 1 ok, 1 exit 1, "), "{screen}");
}

fn rolls(fleet: &Fleet, record: &mut Record) {
    let run = |gate: &str, words: &[&str]| {
        let mut run = fleet.run_on(12);
        run.args(["--wave", "1,25%,100%", "--gate", gate])
            .args(words);
        run
    };
    let gate = "echo $SSHOAL_GATE_ALL_OK of $SSHOAL_GATE_ALL_HOSTS are well";
    let screen = record.run(&run(gate, &["true"]), 0);
    let told: Vec<&str> = (screen.lines())
        .filter(|line| line.starts_with("wave ") || line.starts_with("gate: "))
        .collect();
    let expected = [
        "wave 1 of 3: 1 host",
        "gate: 1 of 1 are well",
        "wave 2 of 3: 3 hosts",
        "gate: 4 of 4 are well",
        "wave 3 of 3: 8 hosts",
    ];
    assert_eq!(told, expected, "{screen}");
    assert_eq!(hosts_with(&screen, "ok").len(), 12);
    let gate = "test $SSHOAL_GATE_FAILED = 0";
    let screen = record.run(&run(gate, &["--template", "exit {n}"]), 7);
    assert!(screen.contains("the gate stopped the run: "), "{screen}");
    assert!(
        last_line(&screen, 0).starts_with("sshoal: hosts are left; go on with: sshoal resume ")
    );
    assert!(!screen.contains("wave 3"), "{screen}");
}

/// One Ctrl-C: what is under way ends by itself, and `resume` does the others and no more. Returns
/// how many were begun before.
fn one_interrupt(fleet: &Fleet, record: &mut Record) -> usize {
    let mut run = fleet.run_on(12);
    run.args(["-p", "2", "sleep", "0.5"]);
    let mut screen = Screen::start(&run);
    screen.wait_for("[1/12] ");
    screen.press("\x03");
    screen.wait_for("interrupted: no more hosts are begun; ");
    let (code, text) = screen.end();
    let left = record.add(&run, &text);
    assert_eq!(code, Some(130), "{left}");
    assert!(left.contains(" of 12 ended, "), "{left}");
    assert!(
        left.contains("; Ctrl-C again ends their commands"),
        "{left}"
    );
    assert!(left.contains(" cancelled"), "{left}");
    let before = hosts_with(&left, "ok");
    let name = last_line(&left, 1).rsplit_once("sshoal resume ").unwrap().1;
    let mut resume = sshoal(fleet.home.path());
    resume.args(["resume", name]);
    let resumed = record.run(&resume, 0);
    let rest = 12 - before.len();
    let going_on = format!("going on with {name}: {} ok, {rest} left", before.len());
    assert_eq!(resumed.lines().next(), Some(going_on.as_str()), "{resumed}");
    let after = hosts_with(&resumed, "ok");
    assert!(before.is_disjoint(&after), "{left}\n{resumed}");
    assert_eq!(before.len() + after.len(), 12, "{left}\n{resumed}");
    let nothing = record.run(&resume, 0);
    assert!(nothing.contains(": 12 ok"), "{nothing}");
    assert!(
        nothing.starts_with("sshoal: nothing is left of "),
        "{nothing}"
    );
    before.len()
}

/// Two Ctrl-C: the commands under way are ended at once, and `resume` has them and those that were
/// never begun. Returns how long the end took.
fn two_interrupts(fleet: &Fleet, record: &mut Record) -> Duration {
    let naps: String = (fleet.hosts.iter().enumerate())
        .map(|(n, host)| format!("\"{host}\".vars.nap = {}\n", if n < 2 { 0 } else { 600 }))
        .collect();
    let inventory = fleet.home.path().join("naps.toml");
    std::fs::write(&inventory, format!("[hosts]\n{naps}")).unwrap();
    let mut run = fleet.run_on(12);
    run.arg("--inventory").arg(&inventory);
    run.args(["-p", "4", "--template", "sleep {nap}"]);
    let (took, left) = twice_interrupted(&run, record, " 2/12 ");
    assert_eq!(hosts_with(&left, "ok").len(), 2, "{left}");
    assert!(left.contains(": 2 ok, 10 cancelled"), "{left}");
    let mut resume = sshoal(fleet.home.path());
    resume.args(["resume", "last"]);
    // It goes on with the same words, and so with the same naps.
    let (_, left) = twice_interrupted(&resume, record, " 0/10 ");
    assert!(left.contains(": 2 ok, 10 left"), "{left}");
    assert!(left.contains(": 0 ok, 10 cancelled"), "{left}");
    took
}

/// Presses Ctrl-C twice when the bar shows this; returns how long the end took and what was left.
fn twice_interrupted(run: &Command, record: &mut Record, bar: &str) -> (Duration, String) {
    let mut screen = Screen::start(run);
    screen.wait_for(bar);
    screen.press("\x03");
    screen.wait_for("Ctrl-C again ends their commands");
    assert!(screen.is_running(), "{}", screen.text());
    let second = Instant::now();
    screen.press("\x03");
    let (code, text) = screen.end();
    let took = second.elapsed();
    let left = record.add(run, &text);
    assert_eq!(code, Some(130), "{left}");
    assert!(took < GENEROUS, "the end took {took:?}");
    assert!(
        last_line(&left, 2).contains("go on with: sshoal resume "),
        "{left}"
    );
    (took, left)
}

/// Two seconds are what is promised; a machine that does much else may be late with anything.
const GENEROUS: Duration = Duration::from_secs(10);
