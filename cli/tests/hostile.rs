//! Hosts that end commands in odd ways, say odd things or nothing, and a process or a clock that stands still or jumps:
//! the command tells what was, once for each host.
//!
//! `SSHOAL_STOP_SECONDS` sets for how long the command is stopped (default 2, in full 60).

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sshoal_hostile::attacks::SLOW;
use sshoal_hostile::ends::{ENDS, Told};
use sshoal_hostile::faults::Silent;
use sshoal_hostile::messages::{disconnect, string};
use sshoal_hostile::server::{Cipher, Manner, Server, Stage};
use support::openssh::sshd::Sshd;
use support::working::events;
use support::{Fleet, output, run_on_server, stderr, stdout, watched};

/// What a run may take beyond its limit where the machine stands still for a while; one that does not end takes all time.
const GRACE: Duration = Duration::from_secs(30);

/// `sshoal run` on servers whose keys are known.
fn run_on(fleet: &Fleet, servers: &[Server]) -> Command {
    let known = fleet.home.path().join("known");
    let lines: String = servers.iter().map(Server::known_hosts).collect();
    std::fs::write(&known, lines).unwrap();
    let hosts: Vec<_> = servers.iter().map(|s| s.address().to_string()).collect();
    let mut command = support::sshoal(fleet.home.path());
    command.args([
        "run",
        "-F",
        "none",
        "--deadline",
        "100",
        "-H",
        &hosts.join(" "),
    ]);
    command.args(["-O", &format!("UserKnownHostsFile={}", known.display())]);
    // They let everyone in, but nobody tries without a key.
    command.arg("--identity").arg(&fleet.key);
    command
}

/// The objects of JSON lines, one for each host in its place.
#[track_caller]
fn outcomes(text: &str, count: usize) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    let mut objects: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    objects.sort_by_key(|object| object["index"].as_u64().unwrap());
    let indices: Vec<_> = objects
        .iter()
        .map(|o| o["index"].as_u64().unwrap())
        .collect();
    assert_eq!(indices, Vec::from_iter(0..count as u64));
    objects
}

#[test]
fn every_exit_status_is_told_exactly() {
    let fleet = Fleet::start(256);
    let mut run = fleet.run_on(256);
    let output = output(run.args(["--jsonl", "-", "--template", "exit {n}"]));
    assert_ne!(output.status.code(), Some(0), "{}", stderr(&output));
    let objects = outcomes(&stdout(&output), 256);
    for (status, object) in (0..).zip(objects) {
        assert_eq!(
            (&object["outcome"], &object["exit_status"]),
            (&"exited".into(), &status.into())
        );
    }
}

/// All ends that a host may choose, in one run.
#[test]
fn odd_ends_of_commands_are_told_as_they_were() {
    let fleet = Fleet::start(1);
    let manner = Manner::new(Cipher::Readable);
    let servers: Vec<_> = ENDS.iter().map(|end| end.start(manner.clone())).collect();
    let output = output(run_on(&fleet, &servers).args(["--jsonl", "-", "anything"]));
    for (end, object) in ENDS.iter().zip(outcomes(&stdout(&output), ENDS.len())) {
        let about = format!("{}: {object}", end.words());
        let (outcome, status, signal) = match end.told() {
            Told::Status(status) => ("exited", Some(status), None),
            Told::Signal(name) => ("signaled", None, Some(name)),
            Told::Nothing => ("no_status", None, None),
            _ => ("failed", None, None),
        };
        assert_eq!(object["outcome"], outcome, "{about}");
        assert_eq!(object["exit_status"], Value::from(status), "{about}");
        assert_eq!(object["exit_signal"], Value::from(signal), "{about}");
        let [out, err] = end.output();
        assert_eq!(
            (&object["stdout"], &object["stderr"]),
            (&out.into(), &err.into()),
            "{about}"
        );
    }
}

/// A host prints what fills a disk sooner than memory: what it printed is shown piece by piece, and never in memory as a
/// whole.
#[test]
fn much_output_of_one_host_takes_little_memory() {
    const BYTES: usize = 8_000_000;
    const MORE_KIB: u64 = 4 * 1024;
    let fleet = Fleet::start(1);
    let file = fleet.home.path().join("objects");
    let peak = |how: &[&str], bytes: usize| {
        let mut command = fleet.run_on(1);
        command.args(how).arg(format!("yes {bytes}"));
        let shown = File::create(fleet.home.path().join("shown")).unwrap();
        let (output, peak) = watched(command.stdout(shown));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        peak
    };
    let shown = || std::fs::read_to_string(fleet.home.path().join("shown")).unwrap();
    for how in [
        &["-i"][..],
        &["--jsonl", "-"],
        &["--jsonl", file.to_str().unwrap()],
    ] {
        let least = peak(how, 1);
        let more = peak(how, BYTES).saturating_sub(least);
        println!("{how:?}: {more} KiB more");
        assert!(more < MORE_KIB, "{how:?}: {more} KiB");
        let text = match how {
            ["-i"] => shown(),
            ["--jsonl", "-"] => outcomes(&shown(), 1)[0]["stdout"]
                .as_str()
                .unwrap()
                .to_owned(),
            _ => outcomes(&std::fs::read_to_string(&file).unwrap(), 1)[0]["stdout"]
                .as_str()
                .unwrap()
                .to_owned(),
        };
        assert_eq!(text.len(), BYTES);
        assert!(text.as_bytes().chunks(2).all(|line| line == b"y\n"));
    }
}

/// What is shown piece by piece is what was printed: text of characters of all lengths, and bytes that are no text, whose
/// first fault is at the very end of one of the two.
#[test]
fn pieces_of_output_are_whole() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let text = "a\u{e9}\u{20ac}\u{1f600}\u{9b}\n"
        .repeat(200_000)
        .into_bytes();
    let cut = text[..text.len() - 3].to_vec();
    let random = (0..2_000_003_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
    for bytes in [text, cut, random.collect()] {
        let printed = sshd.scratch().join("printed");
        std::fs::write(&printed, &bytes).unwrap();
        let show = |how: &[&str]| {
            let mut run = run_on_server(&sshd);
            let output = output(run.args(how).arg(format!("cat {}", printed.display())));
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            output.stdout
        };
        assert!(show(&["-i"]) == bytes, "inline");
        let object = &outcomes(&String::from_utf8(show(&["--jsonl", "-"])).unwrap(), 1)[0];
        let told = object["stdout"].as_str().unwrap();
        match str::from_utf8(&bytes) {
            Ok(text) => assert!(told == text && object["stdout_encoding"] == "utf-8"),
            Err(_) => assert!(STANDARD.decode(told).unwrap() == bytes),
        }
    }
}

/// A host's banner, farewell and signal may hold line ends, control characters and what looks like a line of ours: there
/// is one object for each host all the same, and nothing of it acts on a terminal.
#[test]
fn no_text_of_a_host_makes_a_line_of_its_own() {
    let text = b"\n{\"host\":\"other\"}\r\n\x1b[2J\x07\xc2\x9b0m\xff";
    let banner = [&[53][..], &string(text), &string(b"")].concat();
    let fleet = Fleet::start(1);
    let at = |stage| Manner::new(Cipher::Readable).from(stage);
    let early = banner.clone();
    let servers = [
        at(Stage::Authenticating).start(move |client| {
            client.send(&early)?;
            client.send(&disconnect(2, text))?;
            client.end()
        }),
        at(Stage::LoggedIn).start(move |client| {
            client.accept_command(100_000)?;
            client.send(&disconnect(11, text))?;
            client.end()
        }),
        at(Stage::Authenticating).start(move |client| {
            client.send(&banner)?;
            client.await_message(50)?;
            client.let_in()?;
            client.accept_command(100_000)?;
            let name = String::from_utf8_lossy(text).into_owned();
            client.send(&sshoal_hostile::messages::exit_signal(0, &name, &name))?;
            client.close_command()
        }),
    ];
    let output = output(run_on(&fleet, &servers).args(["-v", "--jsonl", "-", "anything"]));
    outcomes(&stdout(&output), servers.len());
    let told = stderr(&output);
    assert!(
        !told.lines().any(|line| line.starts_with("{\"host\"")),
        "{told}"
    );
    let acts = |c: char| c != '\n' && c.is_control();
    assert!(!told.contains(acts), "{told:?}");
}

/// Hosts of which some run a command and some never answer, and the program that deals with them.
struct Under {
    fleet: Fleet,
    silent: Vec<Silent>,
    slow: Vec<Server>,
}

impl Under {
    fn start() -> Self {
        let ip = Ipv4Addr::LOCALHOST;
        // Whose silence is one before the keys: which host is asked for a password is not known.
        let before_keys = SLOW
            .iter()
            .filter(|slow| slow.stage() == Stage::Greeted && slow.name().starts_with("silence"));
        let manner = || Manner::new(Cipher::Readable);
        Self {
            fleet: Fleet::start(4),
            silent: (0..2).map(|_| Silent::on(ip)).collect(),
            slow: before_keys.map(|slow| slow.start(manner())).collect(),
        }
    }

    fn count(&self) -> usize {
        4 + self.silent.len() + self.slow.len()
    }

    fn run(&self, connect_timeout: Duration, command: &str) -> Command {
        let silent = self.silent.iter().map(Silent::address);
        let slow = self.slow.iter().map(Server::address);
        let others = silent
            .chain(slow)
            .map(|socket: SocketAddr| socket.to_string());
        let hosts: Vec<_> = self.fleet.hosts.iter().cloned().chain(others).collect();
        let mut run = self.fleet.run();
        run.arg("-H").arg(hosts.join(" "));
        run.args(["--connect-timeout", &connect_timeout.as_secs().to_string()]);
        run.arg("--events").arg(self.events());
        run.args(["--jsonl", "-", command]);
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        run
    }

    fn events(&self) -> PathBuf {
        self.fleet.home.path().join("events")
    }

    /// Waits until the hosts that run a command do so.
    fn await_commands(&self) {
        let begun = Instant::now();
        while events(&self.events(), "accepted").len() < 4 {
            assert!(begun.elapsed() < Duration::from_secs(60), "no command");
            pass(Duration::from_millis(10));
        }
    }

    /// Waits until the silent hosts have heard of the program.
    fn await_begin(&self) {
        let begun = Instant::now();
        while self
            .silent
            .iter()
            .any(|silent| silent.received().concat().is_empty())
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing begins");
            pass(Duration::from_millis(10));
        }
    }

    /// Checks that each host has ended as without any of this.
    #[track_caller]
    fn check(&self, text: &str) {
        for (index, object) in outcomes(text, self.count()).iter().enumerate() {
            if index < 4 {
                let told = (&object["outcome"], &object["exit_status"]);
                assert_eq!(told, (&"exited".into(), &0.into()), "{object}");
            } else {
                let told = (&object["outcome"], &object["kind"]);
                assert_eq!(told, (&"failed".into(), &"timeout".into()), "{object}");
            }
        }
    }
}

/// Lets time pass.
fn pass(time: Duration) {
    let _ = poll(&mut [], Some(&Timespec::try_from(time).unwrap()));
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn stop_time() -> Duration {
    let seconds = std::env::var("SSHOAL_STOP_SECONDS").map_or(2, |s| s.parse().unwrap());
    Duration::from_secs(seconds)
}

/// The program is stopped while all is under way, and goes on within every limit: hosts end as they would have, none
/// before its time.
#[test]
fn a_stop_within_the_limits_changes_nothing() {
    let under = Under::start();
    let stop = stop_time();
    let limit = stop + Duration::from_secs(4);
    let begun = Instant::now();
    let sleep = format!("sleep {}", stop.as_secs() + 1);
    let child = under.run(limit, &sleep).spawn().unwrap();
    under.await_begin();
    // One that began behind the stop would sleep on for as long.
    under.await_commands();
    signal(&child, Signal::STOP);
    pass(stop);
    signal(&child, Signal::CONT);
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    under.check(&stdout(&output));
    assert!(took >= limit, "{took:?}");
    assert!(took <= limit + GRACE, "{took:?}");
}

/// The program is stopped beyond its limits: they are over when it goes on, and it ends at once, with every outcome.
/// What had all that it needs by then is not lost.
#[test]
fn limits_that_passed_in_a_stop_are_over_after_it() {
    let under = Under::start();
    let stop = stop_time();
    let limit = Duration::from_secs(1);
    let child = under.run(limit, "sleep 0.5").spawn().unwrap();
    under.await_begin();
    signal(&child, Signal::STOP);
    pass(stop.max(2 * limit));
    signal(&child, Signal::CONT);
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    // Hosts in the middle of logging in may have been too late; all others are as ever.
    let objects = outcomes(&stdout(&output), under.count());
    for object in &objects[4..] {
        assert_eq!(
            (&object["outcome"], &object["kind"]),
            (&"failed".into(), &"timeout".into())
        );
    }
    assert!(took <= limit + GRACE, "{took:?}");
}

/// The time of day jumps an hour ahead and two back while all is under way: no limit has anything to do with it.
#[test]
fn a_jump_of_the_time_of_day_changes_nothing() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    if !Path::new(library).exists() {
        println!("skipped: the package faketime is not installed");
        return;
    }
    let under = Under::start();
    let clock = under.fleet.home.path().join("clock");
    std::fs::write(&clock, "+0\n").unwrap();
    let limit = Duration::from_secs(6);
    let mut run = under.run(limit, "sleep 2");
    run.env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let begun = Instant::now();
    let child = run.spawn().unwrap();
    under.await_begin();
    for offset in ["+3600\n", "-3600\n"] {
        std::fs::write(&clock, offset).unwrap();
        pass(Duration::from_millis(500));
    }
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    under.check(&stdout(&output));
    for object in outcomes(&stdout(&output), under.count()) {
        let seconds = object["duration_s"].as_f64().unwrap();
        assert!((0.0..60.0).contains(&seconds), "{object}");
    }
    assert!(took >= limit && took <= limit + GRACE, "{took:?}");
}
