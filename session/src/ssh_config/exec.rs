//! `Match exec`: commands of this machine, run where the caller allows it.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::Fault;

/// Whether `Match exec` may run commands on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MatchExec {
    /// A lookup that would run one is an error.
    #[default]
    Refuse,
    /// They are run by the shell, each text once and its answer kept.
    Run,
}

/// Runs commands and remembers what they said.
#[derive(Debug)]
pub(super) struct Commands {
    allowed: MatchExec,
    shell: String,
    /// By command; a leaf lock, never held while a command runs.
    answers: Mutex<BTreeMap<String, bool>>,
}

impl Commands {
    pub(super) fn new(allowed: MatchExec, shell: Option<&str>) -> Self {
        Self {
            allowed,
            shell: shell.unwrap_or("/bin/sh").to_owned(),
            answers: Mutex::new(BTreeMap::new()),
        }
    }

    /// Returns whether a command ends with status 0. Parks the coroutine while it runs.
    pub(super) fn run(&self, command: String) -> Result<bool, Fault> {
        if self.allowed == MatchExec::Refuse {
            return Err(Fault::ExecNotAllowed { command });
        }
        if let Some(answer) = self.answers.lock().get(&command) {
            return Ok(*answer);
        }
        let (shell, text) = (self.shell.clone(), command.clone());
        let ran = sshoal_reactor::blocking(move || run(&shell, &text));
        let ran = ran.unwrap_or_else(|panic| Err(io::Error::other(panic.message().to_owned())));
        match ran {
            Ok(answer) => {
                self.answers.lock().insert(command, answer);
                Ok(answer)
            }
            Err(source) => Err(Fault::Exec { command, source }),
        }
    }
}

/// Runs a command by a shell; its errors go where ours do.
fn run(shell: &str, command: &str) -> io::Result<bool> {
    let mut shell = Command::new(shell);
    shell.arg("-c").arg(command);
    shell.stdin(Stdio::null()).stdout(Stdio::null());
    wait(shell.spawn()?)
}

/// Waits for a command, up to the limit.
fn wait(mut child: Child) -> io::Result<bool> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            let ended_itself = status.code().is_some();
            let killed = || io::Error::other(format!("it ended with {status}"));
            return ended_itself.then(|| status.success()).ok_or_else(killed);
        }
        if begin.elapsed() > TIME_MAX {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it ran for more than {} s", TIME_MAX.as_secs()),
            ));
        }
        // No event tells of a child's end on all systems; short commands are met early.
        sshoal_reactor::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// How long a command may take; all hosts wait for it.
const TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_answer_by_their_status_and_are_run_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let commands = Commands::new(MatchExec::Run, None);
        let command = format!("echo x >> {}; exit 3", log.display());
        for _ in 0..3 {
            assert!(!commands.run(command.clone()).unwrap());
        }
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "x\n");
        assert!(commands.run("true".to_owned()).unwrap());
        assert!(matches!(
            commands.run("kill -9 $$".to_owned()),
            Err(Fault::Exec { .. })
        ));
    }

    #[test]
    fn commands_are_not_run_without_leave() {
        let commands = Commands::new(MatchExec::Refuse, None);
        let result = commands.run("true".to_owned());
        assert!(matches!(result, Err(Fault::ExecNotAllowed { command }) if command == "true"));
    }
}
