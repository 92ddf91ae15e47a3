//! A fleet as a child process, and OpenSSH's clients to call it with.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    reason = "a failure here is a failure of the test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;

use sshoal_loopback::{Ready, address};

/// A running fleet; it ends with this.
pub(crate) struct ChildFleet {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready: Ready,
    _dir: tempfile::TempDir,
}

impl ChildFleet {
    /// Starts a fleet with these arguments and returns when it has said that it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sshoal-loopback"))
            .args(args)
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready = line.parse().unwrap();
        Self {
            child,
            stdin,
            stdout,
            ready,
            _dir: dir,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.ready.dir().join(name)
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Closes the fleet's standard input and returns how it ended and what it still printed.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for the fleet's end with its standard input still open.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    /// Prepares a call of `program` (ssh or sftp) with the fleet's own key and known hosts.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ]);
        command.args(["-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]);
        let option = |name: &str, value: &str| format!("{name}={value}");
        let known_hosts = self.file("known_hosts");
        command.arg("-o").arg(option(
            "UserKnownHostsFile",
            &known_hosts.display().to_string(),
        ));
        command
            .arg("-o")
            .arg(option("GlobalKnownHostsFile", "/dev/null"));
        command
            .arg("-o")
            .arg(option("Port", &self.ready.port().to_string()));
        command
    }

    /// Runs a command line on a host through `ssh`, with this standard input.
    pub(crate) fn ssh(&self, host: usize, line: &str, input: &[u8]) -> Output {
        self.ssh_as(host, line, input, &[])
    }

    /// The same with more options of `ssh`.
    pub(crate) fn ssh_as(&self, host: usize, line: &str, input: &[u8], options: &[&str]) -> Output {
        let mut command = self.client("ssh");
        command
            .args(options)
            .arg("-i")
            .arg(self.file("user_ed25519"));
        command.arg(format!("someone@{}", address(host))).arg(line);
        feed(command, input)
    }
}

impl Drop for ChildFleet {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// Runs a process to its end, with this standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("OpenSSH's client is needed: install the package openssh-client");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // In a thread of its own, because output has to be read while input is still being written.
    let writer = thread::spawn(move || {
        let _reader_may_leave_early = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Returns so many bytes without a pattern that a lost or doubled packet would fit.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes.div_ceil(8))
        .flat_map(|_| step().to_le_bytes())
        .take(bytes)
        .collect()
}

/// Returns the value of a counter in a counters line.
pub(crate) fn counter(line: &str, name: &str) -> u64 {
    let prefix = format!("{name}=");
    let word = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(&prefix));
    word.and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}
