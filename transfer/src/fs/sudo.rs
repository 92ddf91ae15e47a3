//! Work on a host's files as another user, by commands under `sudo`, where SFTP's user may not.
//!
//! The principal type is [`SudoFs`]. The host needs `sh` and what POSIX has, and `mktemp`.

use sshoal_reactor::Scope;
use sshoal_session::{Exit, Launch, Output, Session, Sudo, quote};

use super::line::LineEdit;
use super::{LineChange, Owner, WriteOptions};
use crate::error::{Error, Operation};
use crate::options::Existing;
use crate::{part, remote_path};

/// A host's files, as another user sees them. All methods park the calling thread.
#[derive(Debug)]
pub struct SudoFs<'a> {
    session: &'a Session,
    launch: Launch,
    scope: Scope,
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
    /// `Command` with what the host said; `TooLarge`; `sudo`'s refusal or the session's failure.
    pub fn read(&self, path: impl AsRef<[u8]>, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        // One byte more tells that there is more.
        let most = bytes_max.saturating_add(1);
        let script = format!(
            "[ ! -d \"$1\" ] || {{ echo 'is a directory' >&2; exit 1; }}; exec head -c {most} < \"$1\""
        );
        let output = self.run(Operation::Read, &script, &[&arg(path)], Vec::new())?;
        match output.stdout.len() as u64 > bytes_max {
            true => Err(Error::TooLarge { bytes_max }),
            false => Ok(output.stdout),
        }
    }

    /// Writes a file, whole or not at all, as [`RemoteFs::write`](super::RemoteFs::write) does, but
    /// without the comparison: it is always written.
    ///
    /// # Errors
    ///
    /// `Exists` by what is there; `Command` with what the host said; `sudo`'s refusal or the
    /// session's failure. The file is then as it was.
    pub fn write(
        &self,
        path: impl AsRef<[u8]>,
        bytes: impl Into<Vec<u8>>,
        options: &WriteOptions,
    ) -> Result<bool, Error> {
        let (path, bytes) = (path.as_ref(), bytes.into());
        if options.existing != Existing::Overwrite && self.exists(path)? {
            return match options.existing {
                Existing::Keep => Ok(false),
                _ => Err(Error::Exists {
                    path: path.to_vec(),
                }),
            };
        }
        let size = bytes.len().to_string();
        let mode = options.permissions.map(|mode| format!("{mode:o}"));
        let word = |owner: &Option<Owner>| owner.as_ref().map(Owner::word).unwrap_or_default();
        let (user, group) = (word(&options.user), word(&options.group));
        let link = match options.existing {
            Existing::Overwrite => "mv -f",
            // It fails where something has the name by then.
            _ => "ln",
        };
        let arguments: [&[u8]; 7] = [
            &arg(path),
            &arg(&part::name_beside(path)),
            size.as_bytes(),
            mode.as_deref().unwrap_or_default().as_bytes(),
            user.as_bytes(),
            group.as_bytes(),
            link.as_bytes(),
        ];
        self.run(Operation::Write, WRITE, &arguments, bytes)?;
        Ok(true)
    }

    /// Writes bytes behind the end of a file, which is made where there is none.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn append(&self, path: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        let path = arg(path.as_ref());
        let done = self.run(Operation::Write, "cat >> \"$1\"", &[&path], bytes.into());
        done.map(drop)
    }

    /// Tells whether anything stands at a path; a link that leads nowhere is nothing.
    ///
    /// # Errors
    ///
    /// `sudo`'s refusal or the session's failure.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let script = "if [ -e \"$1\" ]; then echo yes; else echo no; fi";
        let output = self.run(Operation::Stat, script, &[&arg(path.as_ref())], Vec::new())?;
        Ok(output.stdout.starts_with(b"yes"))
    }

    /// Lists the names in a directory, sorted by their bytes.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        // Names may hold newlines, but no NUL; the shell knows them without a command.
        let script = "cd \"$1\" || exit 1; for n in * .*; do \
                      case $n in .|..) continue;; esac; \
                      if [ -e \"$n\" ] || [ -L \"$n\" ]; then printf '%s\\0' \"$n\"; fi; done";
        let output = self.run(Operation::List, script, &[&arg(path.as_ref())], Vec::new())?;
        let names = output.stdout.split(|byte| *byte == 0);
        let mut names: Vec<_> = names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a directory and those above it.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn make_directories(&self, path: impl AsRef<[u8]>) -> Result<(), Error> {
        self.simple(
            Operation::MakeDirectory,
            "exec mkdir -p \"$1\"",
            &[path.as_ref()],
        )
    }

    /// Removes what stands at a path, with all that is in it; of a link, the link.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn remove_all(&self, path: impl AsRef<[u8]>) -> Result<(), Error> {
        self.simple(Operation::Remove, "exec rm -rf \"$1\"", &[path.as_ref()])
    }

    /// Gives a file another name, in place of a file that has it; a directory of that name is an
    /// error.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), Error> {
        let script = "[ ! -d \"$2\" ] || { echo 'is a directory' >&2; exit 1; }; \
                      exec mv -f \"$1\" \"$2\"";
        self.simple(Operation::Rename, script, &[from.as_ref(), to.as_ref()])
    }

    /// Sets permissions, for example `0o640`.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn chmod(&self, path: impl AsRef<[u8]>, permissions: u32) -> Result<(), Error> {
        let script = format!("exec chmod {:o} \"$1\"", permissions & 0o7777);
        self.simple(Operation::SetStat, &script, &[path.as_ref()])
    }

    /// Sets the owner and the group, as far as given.
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
        let script = "[ -z \"$2\" ] || chown -- \"$2\" \"$1\" || exit 1; \
                      [ -z \"$3\" ] || chgrp -- \"$3\" \"$1\"";
        let arguments: [&[u8]; 3] = [&arg(path.as_ref()), user.as_bytes(), group.as_bytes()];
        self.run(Operation::SetStat, script, &arguments, Vec::new())
            .map(drop)
    }

    /// Brings a file to have a line, or not to, as
    /// [`RemoteFs::line_in_file`](super::RemoteFs::line_in_file) does, but that the file has to be
    /// there, and that a link is replaced by a file.
    ///
    /// # Errors
    ///
    /// `Changed` if another changes it meanwhile; as [`SudoFs::read`] and [`SudoFs::write`].
    pub fn line_in_file(
        &self,
        path: impl AsRef<[u8]>,
        edit: &LineEdit,
    ) -> Result<LineChange, Error> {
        let path = path.as_ref();
        let old = self.read(path, EDIT_BYTES_MAX)?;
        let Some((bytes, change)) = edit.apply(path, &old)? else {
            return Ok(LineChange {
                changed: false,
                diff: String::new(),
            });
        };
        if self.read(path, EDIT_BYTES_MAX)? != old {
            return Err(Error::Changed {
                remote: path.to_vec(),
            });
        }
        self.write(path, bytes, &WriteOptions::new())?;
        Ok(change)
    }

    fn simple(&self, operation: Operation, script: &str, paths: &[&[u8]]) -> Result<(), Error> {
        let paths: Vec<_> = paths.iter().map(|path| arg(path)).collect();
        let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        self.run(operation, script, &paths, Vec::new()).map(drop)
    }

    /// Runs a script of which the first argument is the path that errors name.
    fn run(
        &self,
        operation: Operation,
        script: &str,
        arguments: &[&[u8]],
        stdin: Vec<u8>,
    ) -> Result<Output, Error> {
        let mut line = [b"exec sh -c ".as_slice(), &quote(script.as_bytes()), b" sh"].concat();
        for argument in arguments {
            line.push(b' ');
            line.extend_from_slice(&quote(argument));
        }
        let command = self.session.command(line).launch(&self.launch);
        let output = command.scope(&self.scope).stdin(stdin).output()?;
        if output.exit == Exit::Status(0) {
            return Ok(output);
        }
        let message = crate::scp::cleaned(&output.stderr);
        Err(Error::Command {
            operation,
            remote: arguments
                .first()
                .map(|path| path.to_vec())
                .unwrap_or_default(),
            message: match message.is_empty() {
                true => output.exit.to_string(),
                false => message,
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

/// Target, part file, size, mode, user, group, and how the part file gets its name.
///
/// What is not given is as the target has it, as GNU's or BSD's `stat` tells. Owner before mode: a
/// change of the owner takes id bits away. Nobody else reads the file before it has both.
const WRITE: &str = "[ ! -d \"$1\" ] || { echo 'is a directory' >&2; exit 1; }; \
    umask 077; set -C; t=$2; : > \"$t\" || exit 1; set +C; \
    trap 'rm -f \"$t\"' EXIT; trap 'exit 1' HUP INT TERM; cat > \"$t\" || exit 1; \
    [ \"$(wc -c < \"$t\")\" -eq \"$3\" ] || { echo 'not all bytes arrived' >&2; exit 1; }; \
    s() { stat -c \"$1\" \"$3\" 2>/dev/null || stat -f \"$2\" \"$3\" 2>/dev/null; }; \
    m=$4; u=$5; g=$6; if [ -f \"$1\" ]; then \
    [ -n \"$m\" ] || m=$(s %a %Lp \"$1\"); [ -n \"$u\" ] || u=$(s %u %u \"$1\"); \
    [ -n \"$g\" ] || g=$(s %g %g \"$1\"); fi; \
    [ -z \"$g\" ] || chgrp -- \"$g\" \"$t\" || exit 1; \
    [ -z \"$u\" ] || chown -- \"$u\" \"$t\" || exit 1; \
    chmod \"${m:-644}\" \"$t\" || exit 1; $7 \"$t\" \"$1\"";
/// The largest file that is edited.
const EDIT_BYTES_MAX: u64 = 64 * 1024 * 1024;
