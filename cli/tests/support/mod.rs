//! What the command's tests share: the program in a clean environment, and an embedded fleet.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod calls;
pub(crate) mod copying;
pub(crate) mod help;
pub(crate) mod noise;
pub(crate) mod openssh;
pub(crate) mod pssh;
pub(crate) mod screen;
pub(crate) mod seat;
pub(crate) mod two_hosts;
pub(crate) mod working;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The program, with no setting of the user's: an empty home, no agent, no `SSHOAL_*`.
pub(crate) fn sshoal(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sshoal"));
    for (name, _) in std::env::vars_os() {
        let ours = ["SSHOAL_", "PSSH_", "PARALLAX_"];
        if (ours.iter()).any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", home)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("SSH_AUTH_SOCK")
        .env_remove("NO_COLOR");
    // All that runs commands then does so in worker processes: nothing else may come of it.
    if let Some(workers) = std::env::var_os("SSHOAL_TEST_WORKERS") {
        command.env("SSHOAL_WORKERS", workers);
    }
    command.stdin(Stdio::null());
    command
}

/// The time in which an interrupt ends the program.
pub(crate) const END_MAX: Duration = Duration::from_secs(2);
/// From here on the program may cut short what it tells, to be in time.
pub(crate) const WHOLE_MAX: Duration = Duration::from_millis(1_200);

/// Has the program be ended, until that took less than so long: a machine that stands still in one round does not in each
/// of five. The round returns how long it took, and judges nothing that such a time may change.
#[track_caller]
pub(crate) fn ends_within(most: Duration, mut round: impl FnMut() -> Duration) {
    let mut all = Vec::new();
    while all.last().is_none_or(|took| *took >= most) {
        assert!(all.len() < 5, "it took {all:?}");
        all.push(round());
    }
}

/// `sshoal run` on a server, with all that it takes to get in.
pub(crate) fn run_on_server(sshd: &openssh::sshd::Sshd) -> Command {
    let mut command = sshoal(&sshd.scratch());
    command.args(["run", "-F", "none", "--identity"]);
    command.arg(sshd.key_path()).args(["-l", &sshd.user()]);
    let known = sshd.known_hosts_path();
    command.args(["-O", &format!("UserKnownHostsFile={}", known.display())]);
    command.args(["-H", &sshd.socket().to_string()]);
    command
}

/// Runs to the end.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the program runs")
}

/// Runs to the end; returns the most memory that it was seen to have, in KiB, too.
#[track_caller]
pub(crate) fn watched(command: &mut Command) -> (Output, u64) {
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    while child.try_wait().expect("the program runs").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::park_timeout(Duration::from_millis(1));
    }
    (child.wait_with_output().expect("the program runs"), most)
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The same command in a session of its own, without a controlling terminal.
pub(crate) fn detached(program: &Command) -> Command {
    let mut detached = started_by(&["setsid", "--wait"], program);
    detached.stdin(Stdio::null());
    detached
}

/// The same command, started by another one, with its environment.
pub(crate) fn started_by(starter: &[&str], program: &Command) -> Command {
    let mut command = Command::new(starter[0]);
    command
        .args(&starter[1..])
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Waits until a program answers signals in its own way.
#[track_caller]
pub(crate) fn wait_for_handlers(child: &Child) {
    use rustix::process::Signal;
    let path = format!("/proc/{}/status", child.id());
    let is_caught = |caught: u64, signal: &Signal| caught & (1 << (signal.as_raw() - 1)) != 0;
    let all_are = || {
        let status = std::fs::read_to_string(&path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        let signals = [Signal::INT, Signal::TERM, Signal::USR1];
        signals
            .iter()
            .all(|signal| is_caught(caught, signal))
            .then_some(())
    };
    copying::wait_until("handlers", all_are);
}

/// An embedded fleet kept by `sshoal demo up`; it ends when this is dropped.
pub(crate) struct Fleet {
    child: Child,
    pub(crate) hosts_file: PathBuf,
    pub(crate) known_hosts: PathBuf,
    pub(crate) key: PathBuf,
    /// The hosts, as the hosts file lists them.
    pub(crate) hosts: Vec<String>,
    /// The home directory of the program under test.
    pub(crate) home: tempfile::TempDir,
}

impl Fleet {
    /// Starts a fleet of so many hosts.
    pub(crate) fn start(count: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = sshoal(home.path())
            .args(["demo", "up", "--count", &count.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the fleet starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut path = |name: &str| {
            let line = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
                line.strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix(": "))
                    .map(PathBuf::from)
            });
            line.unwrap_or_else(|| panic!("the fleet did not say its {name}"))
        };
        let (hosts_file, known_hosts) = (path("hosts file"), path("known hosts"));
        let key = path("private key");
        let text = std::fs::read_to_string(&hosts_file).unwrap();
        let hosts = text.lines().map(str::to_owned).collect();
        Self {
            child,
            hosts_file,
            known_hosts,
            key,
            hosts,
            home,
        }
    }

    /// `sshoal run` with all that it takes to get in, before any more options.
    pub(crate) fn run(&self) -> Command {
        let mut command = sshoal(self.home.path());
        command.args(["run", "--identity"]).arg(&self.key);
        command
            .arg("-O")
            .arg(format!("UserKnownHostsFile={}", self.known_hosts.display()));
        command
    }

    /// As [`Self::run`], over the first `count` hosts.
    pub(crate) fn run_on(&self, count: usize) -> Command {
        let mut command = self.run();
        command.arg("-H").arg(self.hosts[..count].join(" "));
        command
    }

    /// Waits for the end of `sshoal demo up`, which something else brought about.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// The process id of `sshoal demo up`.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Its own end ends the fleet, whose files go with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
