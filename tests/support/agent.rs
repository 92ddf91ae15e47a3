//! A real ssh-agent for a test; it ends when it is dropped, and with the test process.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running ssh-agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) socket: PathBuf,
    pid: Pid,
    shell: Child,
}

impl Agent {
    /// Starts an agent that listens on a socket of this name.
    pub(crate) fn start(dir: &Path, name: &str) -> Self {
        let socket = dir.join(name);
        // It runs the command once it listens, and ends with it.
        let mut shell = Command::new("ssh-agent")
            .arg("-a")
            .arg(&socket)
            .args(["sh", "-c", "echo $SSH_AGENT_PID; read _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent runs: it comes with the package `openssh-client`");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("standard output is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the agent is ready");
        let pid = Pid::from_raw(line.trim().parse().expect("a process id")).expect("above zero");
        Self { socket, pid, shell }
    }

    /// Gives it a key, and the key's certificate if one is beside.
    pub(crate) fn add(&self, key: &Path) {
        self.ssh_add(&["-q".as_ref(), key]);
    }

    /// Takes every key away.
    pub(crate) fn clear(&self) {
        self.ssh_add(&["-q".as_ref(), "-D".as_ref()]);
    }

    fn ssh_add(&self, args: &[&Path]) {
        let done = Command::new("ssh-add")
            .args(args)
            .env("SSH_AUTH_SOCK", &self.socket)
            .status();
        assert!(done.expect("ssh-add runs").success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = kill_process(self.pid, Signal::TERM);
    }
}
