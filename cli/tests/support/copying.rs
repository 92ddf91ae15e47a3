//! Copies against OpenSSH servers on one machine: every host has the same files, so that paths are
//! told apart by `{n}`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::openssh::sshd::Sshd;
use super::{sshoal, stderr};

/// Far above what anything here takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

/// A server on many addresses, and a directory of this side.
pub(crate) struct Copying {
    pub(crate) sshd: Sshd,
    dir: tempfile::TempDir,
}

impl Copying {
    /// Starts a server of so many hosts; `None` where the tests against sshd are switched off.
    pub(crate) fn start(hosts: u32) -> Option<Self> {
        Some(Self::of(Sshd::builder().addresses(hosts).start()?))
    }

    /// As [`Self::start`], with a server of another kind.
    pub(crate) fn of(sshd: Sshd) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { sshd, dir }
    }

    /// As [`Self::start`], of hosts whose server writes nothing of its own to standard error.
    pub(crate) fn quiet(hosts: u32) -> Option<Self> {
        let sshd = Sshd::builder().addresses(hosts).log_level("INFO").start()?;
        let dir = tempfile::tempdir().unwrap();
        Some(Self { sshd, dir })
    }

    /// A path of this side.
    pub(crate) fn here(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file of this side, and the directories for it.
    pub(crate) fn make(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.here(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A path of the hosts' side.
    pub(crate) fn there(&self, name: &str) -> PathBuf {
        self.sshd.scratch().join(name)
    }

    /// A path of the hosts' side as an argument.
    pub(crate) fn dest(&self, name: &str) -> String {
        format!("{}/{name}", self.sshd.scratch().display())
    }

    /// The sub-command with all that it takes to get in, in the directory of this side, on all hosts.
    pub(crate) fn command(&self, action: &str) -> Command {
        let sockets = self.sshd.sockets();
        let hosts: Vec<_> = sockets.iter().map(ToString::to_string).collect();
        let mut command = self.command_without_hosts(action);
        command.args(["-H", &hosts.join(" ")]);
        command
    }

    /// As [`Self::command`], on no host.
    pub(crate) fn command_without_hosts(&self, action: &str) -> Command {
        let mut command = sshoal(self.dir.path());
        command.current_dir(self.dir.path());
        // Whatever hangs ends with it.
        command.env("SSHOAL_DEADLINE", "100");
        command.args([action, "-F", "none", "--identity"]);
        command.arg(self.sshd.key_path());
        command.args(["-l", &self.sshd.user(), "-O"]);
        let known = self.sshd.known_hosts_path();
        command.arg(format!("UserKnownHostsFile={}", known.display()));
        command
    }

    /// Runs the sub-command on all hosts to its end, which has to have this exit code.
    #[track_caller]
    pub(crate) fn run(&self, code: i32, words: &[&str]) -> Output {
        let mut command = self.command(words[0]);
        let output = command.args(&words[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        output
    }

    /// Starts the sub-command on all hosts, without a terminal.
    pub(crate) fn spawn(&self, words: &[&str]) -> Child {
        let mut command = self.command(words[0]);
        command.args(&words[1..]).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// The names in a directory, hidden ones too; none where there is no such directory.
pub(crate) fn list(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what} was awaited in vain");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Waits until there is a file under way in a directory with so many bytes; returns its path.
#[track_caller]
pub(crate) fn wait_for_part(dir: &Path, bytes: u64) -> PathBuf {
    wait_until("a part file", || {
        let entries = std::fs::read_dir(dir).ok()?;
        let large = |path: &PathBuf| path.metadata().is_ok_and(|about| about.len() >= bytes);
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths.find(|path| path.is_file() && large(path))
    })
}
