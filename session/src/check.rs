//! Commands of which only one ending is good, and the shortest ways to run one.

use crate::command::Output;
use crate::error::Error;
use crate::session::Session;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The session failed, or the command was not started.
    #[error(transparent)]
    Session(#[from] Error),
    /// The command ran, and did not end with exit status 0. The message has the last line of its
    /// standard error, cleaned for a terminal.
    #[error("command failed: {}{}", .0.exit, last_line(&.0.stderr))]
    Failed(Box<Output>),
}

impl CheckError {
    /// Returns what the command gave, if it ran to its end.
    pub fn output(&self) -> Option<&Output> {
        match self {
            Self::Failed(output) => Some(output),
            Self::Session(_) => None,
        }
    }
}

impl Output {
    /// Returns the output of a command that ended with exit status 0.
    ///
    /// # Errors
    ///
    /// `Failed` with the output of any other.
    pub fn require_success(self) -> Result<Self, CheckError> {
        if self.exit.is_success() {
            return Ok(self);
        }
        Err(CheckError::Failed(Box::new(self)))
    }
}

impl Session {
    /// Runs a command to its end and returns what it gave; an exit status that is not 0 is no
    /// error. Parks, without a limit: [`Session::command`] takes one.
    ///
    /// # Errors
    ///
    /// As [`Command::output`](crate::Command::output).
    pub fn run(&self, command: impl Into<Vec<u8>>) -> Result<Output, Error> {
        self.command(command).output()
    }

    /// As [`Session::run`], with any end but exit status 0 as an error. Parks.
    ///
    /// # Errors
    ///
    /// As [`Command::output`](crate::Command::output), and `Failed`.
    pub fn check(&self, command: impl Into<Vec<u8>>) -> Result<Output, CheckError> {
        self.run(command)?.require_success()
    }
}

/// The last line that is not empty, as the end of a message: the host's bytes, so nothing of them
/// reaches a terminal but what can be seen.
fn last_line(stderr: &[u8]) -> String {
    let mut lines = stderr.rsplit(|byte| matches!(byte, b'\n' | b'\r'));
    let Some(line) = lines.find(|line| !line.trim_ascii().is_empty()) else {
        return String::new();
    };
    let line = String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]);
    let seen: String = line.chars().filter(|c| !c.is_control()).collect();
    format!(": {}", seen.trim())
}

/// Bytes of standard error in a message.
const LINE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_message_has_the_last_line_cleaned() {
        let output = |status, stderr: &[u8]| Output {
            stdout: vec![],
            stderr: stderr.to_vec(),
            exit: Exit::Status(status),
        };
        let message = |status, stderr| {
            let failed = output(status, stderr).require_success();
            failed.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(message(0, b"warning"), Ok(()));
        assert_eq!(message(3, b""), Err("command failed: exit 3".into()));
        assert_eq!(
            message(1, b"first\nls: \x1b[31mno\x07 file\xff\r\n\n"),
            Err("command failed: exit 1: ls: [31mno file\u{fffd}".into())
        );
    }
}
