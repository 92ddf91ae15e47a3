//! Work on a host's files as another user, by commands under `sudo`, where SFTP's user may not.
//!
//! The principal type is [`SudoFs`]. The host needs `sh` and what POSIX has. Where POSIX has nothing,
//! the forms of GNU, busybox and the BSDs are tried in turn.

use sshoal_reactor::Scope;
use sshoal_session::{Exit, Launch, Session, Sudo, quote};

use super::Owner;
use crate::error::{Error, Operation};
use crate::remote_path;

mod find;
mod names;
mod put;
mod stat;
mod write;

use put::Sending;

/// A host's files, as another user sees them. All methods park the calling thread.
///
/// Each is a command of its own, so that there is no state on the host. Where it does the same as the
/// method of that name of [`RemoteFs`](super::RemoteFs), the difference is told at it. Errors of the
/// host are [`Error::Command`], with operation, path and what the host said.
#[derive(Debug)]
pub struct SudoFs<'a> {
    session: &'a Session,
    launch: Launch,
    scope: Scope,
}

/// What a script is to do, for errors, and on what.
struct Script<'s> {
    operation: Operation,
    text: &'s str,
    /// The first one is the path that errors name.
    arguments: &'s [&'s [u8]],
    stdin: Stdin<'s>,
    output_bytes_max: usize,
}

/// What a script reads.
enum Stdin<'s> {
    Bytes(Vec<u8>),
    Sent(&'s Sending<'s>),
}

impl<'s> Script<'s> {
    fn new(operation: Operation, text: &'s str, arguments: &'s [&'s [u8]]) -> Self {
        Self {
            operation,
            text,
            arguments,
            stdin: Stdin::Bytes(Vec::new()),
            output_bytes_max: OUTPUT_BYTES_MAX,
        }
    }

    fn stdin(self, bytes: Vec<u8>) -> Self {
        let stdin = Stdin::Bytes(bytes);
        Self { stdin, ..self }
    }
}

impl<'a> SudoFs<'a> {
    /// Returns the files of a session's host as `sudo` gives them; nothing is asked of the host.
    pub fn new(session: &'a Session, sudo: Sudo, scope: &Scope) -> Self {
        Self {
            session,
            launch: Launch::new().sudo(sudo),
            scope: scope.clone(),
        }
    }

    /// Reads a file to its end, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// `IsDirectory`; `Command` with what the host said; `TooLarge`; `sudo`'s refusal or the
    /// session's failure.
    pub fn read(&self, path: impl AsRef<[u8]>, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let path = arg(path.as_ref());
        // One byte more tells that there is more.
        let most = bytes_max.saturating_add(1);
        let script =
            format!("[ ! -d \"$1\" ] || exit {IS_DIRECTORY}; exec head -c {most} < \"$1\"");
        let bytes = self.run(Script {
            output_bytes_max: usize::try_from(most)
                .unwrap_or(usize::MAX)
                .saturating_add(STDERR_BYTES),
            ..Script::new(Operation::Read, &script, &[&path])
        })?;
        match bytes.len() as u64 > bytes_max {
            true => Err(Error::TooLarge { bytes_max }),
            false => Ok(bytes),
        }
    }

    /// Reads a file of text, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// As [`SudoFs::read`], and `NotText` if it is no UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<[u8]>, bytes_max: u64) -> Result<String, Error> {
        let path = path.as_ref();
        let text = String::from_utf8(self.read(path, bytes_max)?);
        text.map_err(|_| Error::NotText {
            remote: path.to_vec(),
        })
    }

    /// Writes bytes behind the end of a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure; a part may have
    /// been written.
    pub fn append(&self, path: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        let path = arg(path.as_ref());
        let arguments: [&[u8]; 1] = [&path];
        let script = Script::new(Operation::Write, "exec cat >> \"$1\"", &arguments);
        self.run(script.stdin(bytes.into())).map(drop)
    }

    /// Sets permissions, for example `0o640`, of a link's target where it is a link.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn chmod(&self, path: impl AsRef<[u8]>, permissions: u32) -> Result<(), Error> {
        let script = format!("exec chmod {:o} \"$1\"", permissions & 0o7777);
        self.simple(Operation::SetStat, &script, &[path.as_ref()])
    }

    /// Sets the owner and the group, as far as given, of a link's target where it is a link.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn chown(
        &self,
        path: impl AsRef<[u8]>,
        user: Option<&Owner>,
        group: Option<&Owner>,
    ) -> Result<(), Error> {
        let word = |owner: Option<&Owner>| owner.map(Owner::word).unwrap_or_default();
        let (user, group) = (word(user), word(group));
        let text = "[ -z \"$2\" ] || chown -- \"$2\" \"$1\" || exit 1; \
                    [ -z \"$3\" ] || chgrp -- \"$3\" \"$1\"";
        let path = arg(path.as_ref());
        let arguments: [&[u8]; 3] = [&path, user.as_bytes(), group.as_bytes()];
        self.run(Script::new(Operation::SetStat, text, &arguments))
            .map(drop)
    }

    /// Sets a file's size: what is beyond it goes, and what is missing are zeros.
    ///
    /// # Errors
    ///
    /// `IsDirectory`; `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn truncate(&self, path: impl AsRef<[u8]>, bytes: u64) -> Result<(), Error> {
        // POSIX has no command of that name, but says so of its `dd`, which would make a file.
        let script = format!(
            "[ ! -d \"$1\" ] || exit {IS_DIRECTORY}; \
             [ -e \"$1\" ] || {{ echo 'No such file or directory' >&2; exit 1; }}; \
             exec dd of=\"$1\" bs=1 count=0 seek={bytes} < /dev/null"
        );
        self.simple(Operation::SetStat, &script, &[path.as_ref()])
    }

    fn simple(&self, operation: Operation, script: &str, paths: &[&[u8]]) -> Result<(), Error> {
        self.told(operation, script, paths).map(drop)
    }

    /// Runs a script on paths, and returns what it printed.
    fn told(&self, operation: Operation, script: &str, paths: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let paths: Vec<_> = paths.iter().map(|path| arg(path)).collect();
        let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        self.run(Script::new(operation, script, &paths))
    }

    fn run(&self, script: Script<'_>) -> Result<Vec<u8>, Error> {
        // What commands say is compared, and what they sort is sorted, as everywhere.
        let text = format!("LC_ALL=C; export LC_ALL; {}", script.text);
        let mut line = [b"exec sh -c ".as_slice(), &quote(text.as_bytes()), b" sh"].concat();
        for argument in script.arguments {
            line.push(b' ');
            line.extend_from_slice(&quote(argument));
        }
        let command = self.session.command(line).launch(&self.launch);
        let command = command.scope(&self.scope);
        let (exit, stdout, stderr) = match script.stdin {
            Stdin::Bytes(bytes) => {
                let command = command.output_bytes_max(script.output_bytes_max);
                let output = command.stdin(bytes).output()?;
                (output.exit, output.stdout, output.stderr)
            }
            Stdin::Sent(sending) => sending.into(&command.spawn()?, &self.scope)?,
        };
        if exit == Exit::Status(0) {
            return Ok(stdout);
        }
        let remote = script.arguments.first().map(|path| path.to_vec());
        let remote = remote.unwrap_or_default();
        let message = crate::scp::cleaned(&stderr);
        Err(match exit {
            Exit::Status(IS_DIRECTORY) => Error::IsDirectory { remote },
            Exit::Status(EXISTS) => Error::Exists { path: remote },
            Exit::Status(CHANGED) => Error::Changed { remote },
            exit => Error::Command {
                operation: script.operation,
                remote,
                message: match message.is_empty() {
                    true => exit.to_string(),
                    false => message,
                },
            },
        })
    }
}

/// Returns a path that no command takes for an option.
fn arg(path: &[u8]) -> Vec<u8> {
    match path.first() {
        Some(b'-') => remote_path::join(b".", path),
        _ => path.to_vec(),
    }
}

/// Exit statuses of the scripts; no command that they run has them.
const IS_DIRECTORY: u32 = 91;
const EXISTS: u32 = 92;
const CHANGED: u32 = 93;

/// Bytes that a script may print, but for the one that reads a file.
const OUTPUT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes for what a script says besides a file's.
const STDERR_BYTES: usize = 64 * 1024;
/// Moves a file to a name, in the place of what has it: of a link to a directory too, into which a
/// plain `mv` would move it. GNU has `-T` for that, the BSDs have `-h`, and with busybox there is no
/// such name for a moment.
const MOVE: &str = "v() { if [ -d \"$2\" ]; then mv -fT \"$1\" \"$2\" 2>/dev/null || \
                    mv -fh \"$1\" \"$2\" 2>/dev/null || \
                    { [ -L \"$2\" ] && rm -f \"$2\" && mv -f \"$1\" \"$2\"; }; \
                    else mv -f \"$1\" \"$2\"; fi; }; ";
