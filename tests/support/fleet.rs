//! The embedded fleet as a child process of a test or a bench.
//!
//! The root package cannot name the loopback crate's binary, so the test binary starts itself again and becomes the
//! fleet. A test file that uses it declares `embedded_fleet!();` at its root; a bench without the test harness calls
//! `fleet::become_fleet_if_asked()` first in `main`.

use std::{
    ffi::{OsStr, OsString},
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::process::Log;

/// Declares the test that a started fleet runs in; without the fleet's variable it passes at once.
macro_rules! embedded_fleet {
    () => {
        #[test]
        fn embedded_fleet_child() {
            $crate::support::fleet::become_fleet_if_asked();
        }
    };
}
pub(crate) use embedded_fleet;

/// A running fleet; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct EmbeddedFleet {
    child: Child,
    /// The fleet ends when this closes, so also when the test is killed.
    stdin: Option<ChildStdin>,
    log: Log,
    port: u16,
    hosts: usize,
    /// Goes with the fleet.
    dir: tempfile::TempDir,
}

impl EmbeddedFleet {
    /// Starts `count` hosts with the fleet's defaults.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        Self::with_args(count, &[])
    }

    /// Starts `count` hosts; `args` are further arguments of `sshoal-loopback`.
    #[track_caller]
    pub(crate) fn with_args(count: usize, args: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("sshoal-fleet-").tempdir();
        let dir = dir.expect("makes a temporary directory");
        let count = count.to_string();
        let mut all: Vec<&OsStr> = vec!["--hosts".as_ref(), count.as_ref(), "--dir".as_ref()];
        all.push(dir.path().as_os_str());
        all.extend(args.iter().map(|arg| OsStr::new(*arg)));
        let mut command = Command::new(std::env::current_exe().expect("knows its own file"));
        command
            // For the test harness: this test alone, and its output as it comes. A bench takes no notice.
            .args(["--exact", "embedded_fleet_child", "--nocapture"])
            .env(VARIABLE, all.join(OsStr::new(SEPARATOR)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C reaches the test alone, whose end then ends the fleet.
            .process_group(0);
        let mut child = command.spawn().expect("starts itself again");
        let stdin = child.stdin.take();
        let log = Log::default();
        log.clone()
            .drain(child.stdout.take().expect("standard output is piped"));
        let is_ready = |text: &str| ready_line(text).is_some();
        let ready = log.wait_until(START_LIMIT, is_ready);
        assert!(ready, "the fleet is not ready; it printed:\n{}", log.text());
        let ready = log.text();
        let ready = ready_line(&ready).expect("it was there");
        let field = |name: &str| -> usize {
            let value = ready.split(' ').find_map(|word| word.strip_prefix(name));
            let number = value.and_then(|value| value.parse().ok());
            number.unwrap_or_else(|| panic!("no {name} in {ready:?}"))
        };
        Self {
            port: field("port=").try_into().expect("a port"),
            hosts: field("hosts="),
            child,
            stdin,
            log,
            dir,
        }
    }

    /// The port, the same on every host.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// How many hosts there are.
    pub(crate) const fn hosts(&self) -> usize {
        self.hosts
    }

    /// The address of one host, counted from 0.
    pub(crate) fn address(&self, index: usize) -> Ipv4Addr {
        self.addresses()[index]
    }

    /// The addresses of all hosts, as the fleet's hosts file lists them.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        let text = std::fs::read_to_string(self.hosts_path()).expect("the fleet writes its hosts");
        let names = text
            .lines()
            .map(|line| line.split([':', ' ']).next().unwrap_or(line));
        names
            .map(|name| name.parse().expect("hosts are addresses"))
            .collect()
    }

    /// The directory with the fleet's files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The hosts file.
    pub(crate) fn hosts_path(&self) -> PathBuf {
        self.dir().join("hosts")
    }

    /// The known_hosts file.
    pub(crate) fn known_hosts_path(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    /// The private key that every host accepts.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.dir().join("user_ed25519")
    }

    /// The process id, for measurements.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The fleet's own counts of what it has seen so far, as one line of text.
    #[track_caller]
    pub(crate) fn counters(&self) -> String {
        let mark = self.log.mark();
        kill_process(self.pid(), Signal::USR1).expect("the fleet is alive");
        let line = |text: &str| Some(text[mark..].split_once('\n')?.0.to_owned());
        let came = self
            .log
            .wait_until(START_LIMIT, |text| line(text).is_some());
        assert!(came, "the fleet gives no counts:\n{}", self.log.text());
        line(&self.log.text()).expect("it was there")
    }

    /// One of the counts by its name, such as `auth_none` or `live`.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        let line = self.counters();
        let mut words = line.split(' ').filter_map(|word| word.split_once('='));
        let value = words
            .find(|(word, _)| *word == name)
            .and_then(|(_, value)| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {line:?}"))
    }
}

impl Drop for EmbeddedFleet {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the fleet and ends the process, if this process was started to be one.
pub(crate) fn become_fleet_if_asked() {
    let Some(args) = std::env::var_os(VARIABLE) else {
        return;
    };
    let args = args.into_string().expect("our arguments are text");
    let code = sshoal_loopback::main(args.split(SEPARATOR).map(OsString::from));
    std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
}

/// The ready line, which the test harness may have begun with the test's name.
fn ready_line(text: &str) -> Option<&str> {
    let from = text.find("ready port=")?;
    Some(text[from..].split_once('\n')?.0)
}

/// How long a fleet may take until it is ready, or until it answers; only a broken one takes it.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Carries the arguments of the fleet to the child.
const VARIABLE: &str = "SSHOAL_TEST_FLEET_ARGS";
/// Stands between the arguments; no path or option of ours holds it.
const SEPARATOR: &str = "\u{1f}";
