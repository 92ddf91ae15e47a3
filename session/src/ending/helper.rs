//! The helper: a small shell program on the host that lists processes and signals them.
//!
//! It runs on a channel of its own, beside the command, and does one thing per line of its input;
//! what to do is decided here. Its input's end ends it, so that it is gone whatever happens to us.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::Scope;

use super::started::Ages;
use super::tree::{self, Process};
use crate::channels::COMMAND_WINDOW_BYTES;
use crate::child::Child;
use crate::engine::Engine;
use crate::error::{Error, Phase};
use crate::ffi::OutputStream;
use crate::launch::{Launch, Shell, Sudo};

/// The helper's program, for a POSIX shell and the login shells that have to hand it on: it is one
/// line between single quotes, so it has no single quote, and no `!` and no backslash, which some
/// shells take even there.
///
/// - `list [FILE…]` prints `pid parent session start state,` of `/proc`'s files, or of all of them,
///   without those of the kernel (`PF_KTHREAD` of the flags: a session of 0 is also that of whatever
///   was begun outside of a container);
/// - `ps` prints what `ps` has, for hosts without `/proc`;
/// - `kill SIGNAL {PID START}…` signals processes that started then (`-`: whenever), and prints
///   `refused PID` for each it may not signal.
///
/// Each is followed by a line `end`. Nothing in the loops starts a process.
const PROGRAM: &str = r#"
start() { s=; t=; read -r s 2>/dev/null < /proc/$1/stat; set -f; set -- ${s##*") "}; set +f;
t=${20}; };
list() { o=; for f in $1; do s=; read -r s 2>/dev/null < $f || continue;
set -f; set -- ${s##*") "}; set +f;
[ $(($7 & 2097152)) = 0 ] && o="$o${s%% *} $2 $4 ${20} $1,";
[ ${#o} -lt 4000 ] || { echo "$o"; o=; }; done; echo "$o"; };
echo sshoal-helper $$ $PPID;
while read -r verb rest; do case $verb in
list) list "${rest:-/proc/[0-9]*/stat}" ;;
ps) ps -A -o pid= -o ppid= -o pgid= -o etime= -o stat= 2>/dev/null ||
ps -A -o pid= -o ppid= -o pgid= -o etime= ;;
kill) set -- $rest; g=$1; shift; while [ $# -gt 1 ]; do
t=-; [ "$2" = - ] || start $1;
if [ "$t" = "$2" ]; then kill -s $g $1 2>/dev/null || echo refused $1; fi; shift 2; done ;;
esac; echo end; done
"#;

/// The most that the helper may print in answer to one line; ten thousand processes take a tenth.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The helper, running.
#[derive(Debug)]
pub(super) struct Helper {
    child: Child,
    pid: u32,
    /// Whether the host has no `/proc`.
    by_ps: bool,
    /// Read, and not yet taken as lines.
    unread: Vec<u8>,
}

/// Why the helper is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHelper {
    #[error(transparent)]
    Session(#[from] Error),
    #[error("it said what it cannot say")]
    Answer,
    #[error("no process is surely the command's")]
    NotFound,
    #[error("there is no time, or no connection any more")]
    Stopped,
}

impl Helper {
    /// Starts the helper on a channel of its own, by `sudo` if asked for. Parks.
    fn start(engine: &Arc<Engine>, sudo: Option<&Sudo>, scope: &Scope) -> Result<Self, NoHelper> {
        let command = match sudo {
            None => command().into_bytes(),
            Some(sudo) => by(sudo)?,
        };
        let child = start(engine, &command, scope)?;
        if let Some(sudo) = sudo {
            child.pass_sudo(sudo, scope)?;
        }
        let mut helper = Self {
            child,
            pid: 0,
            by_ps: false,
            unread: Vec::new(),
        };
        // What the login shell's files print comes first.
        helper.pid = loop {
            let line = helper.line(scope)?;
            if let Some(words) = line.strip_prefix("sshoal-helper ") {
                let pid = words.split(' ').next().and_then(|pid| pid.parse().ok());
                break pid.ok_or(NoHelper::Answer)?;
            }
        };
        Ok(helper)
    }

    /// Lists the host's processes, and finds the one that a command began as. Parks.
    fn find(
        &mut self,
        command: &Child,
        scope: &Scope,
    ) -> Result<(Vec<Process>, Option<Process>), NoHelper> {
        let mut table = self.list(&[], scope)?;
        if !table.iter().any(|process| process.pid == self.pid) {
            self.by_ps = true;
            table = self.list(&[], scope)?;
        }
        let ages: Option<Ages> = command.ages_beside(&self.child);
        let leader = ages.and_then(|ages| tree::leader(&table, self.pid, &ages));
        Ok((table, leader))
    }

    /// Lists the host's processes, or those of `only` that are left, where that is less work.
    /// Parks.
    fn list(&mut self, only: &[Process], scope: &Scope) -> Result<Vec<Process>, NoHelper> {
        if self.by_ps {
            let lines = self.ask("ps", scope)?;
            return Ok(lines.iter().filter_map(|line| tree::of_ps(line)).collect());
        }
        let mut request = "list".to_owned();
        for process in only {
            request.push_str(&format!(" /proc/{}/stat", process.pid));
        }
        let lines = self.ask(&request, scope)?;
        let items = lines.iter().flat_map(|line| line.split(','));
        Ok(items.filter_map(tree::of_proc).collect())
    }

    /// Signals processes in this order; returns those that it may not signal. Parks.
    fn kill(
        &mut self,
        signal: &str,
        processes: &[Process],
        scope: &Scope,
    ) -> Result<HashSet<u32>, NoHelper> {
        let mut request = format!("kill {signal}");
        for process in processes {
            let (pid, started) = process.identity();
            match started {
                Some(ticks) => request.push_str(&format!(" {pid} {ticks}")),
                None => request.push_str(&format!(" {pid} -")),
            }
        }
        let lines = self.ask(&request, scope)?;
        let refused = lines.iter().map(|line| line.strip_prefix("refused "));
        let refused = refused.map(|pid| pid.and_then(|pid| pid.parse().ok()));
        refused.collect::<Option<_>>().ok_or(NoHelper::Answer)
    }

    /// Sees the helper's process off the host, so that it is not in the way of the next. Parks.
    fn close(mut self, scope: &Scope) -> Result<(), NoHelper> {
        self.child.close_stdin(scope)?;
        while self.line(scope).is_ok() {}
        self.child.wait(scope)?;
        Ok(())
    }

    fn ask(&mut self, request: &str, scope: &Scope) -> Result<Vec<String>, NoHelper> {
        self.child
            .write_stdin(format!("{request}\n").as_bytes(), scope)?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        loop {
            let line = self.line(scope)?;
            if line == "end" {
                return Ok(lines);
            }
            bytes += line.len() + 1;
            if bytes > ANSWER_BYTES_MAX {
                return Err(NoHelper::Answer);
            }
            lines.push(line);
        }
    }

    fn line(&mut self, scope: &Scope) -> Result<String, NoHelper> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            // Bytes that are there come whether there is time or not.
            scope.check().map_err(|_| NoHelper::Stopped)?;
            match self.child.read(&mut buffer, scope)? {
                // Complaints of shells.
                Some((OutputStream::Stderr, _)) => {}
                Some((OutputStream::Stdout, _)) if self.unread.len() > ANSWER_BYTES_MAX => {
                    return Err(NoHelper::Answer);
                }
                Some((OutputStream::Stdout, bytes)) => {
                    self.unread.extend_from_slice(&buffer[..bytes]);
                }
                None => return Err(NoHelper::Answer),
            }
        }
    }
}

/// Bytes read at once.
const READ_BYTES: usize = 8 * 1024;

/// The helper of a command's end, and, once it may not signal a process, another one that runs as
/// the command does.
#[derive(Debug)]
pub(super) struct Helpers<'a> {
    command: &'a Child,
    own: Helper,
    raised: Option<Helper>,
    /// Whether the second one was tried; a password is given once.
    tried: bool,
}

impl<'a> Helpers<'a> {
    /// Starts the first one. Parks.
    pub(super) fn start(command: &'a Child, scope: &Scope) -> Result<Self, NoHelper> {
        Ok(Self {
            command,
            own: Helper::start(command.engine(), None, scope)?,
            raised: None,
            tried: false,
        })
    }

    /// As [`Helper::find`], of the command that is to be ended.
    pub(super) fn find(
        &mut self,
        scope: &Scope,
    ) -> Result<(Vec<Process>, Option<Process>), NoHelper> {
        self.own.find(self.command, scope)
    }

    /// As [`Helper::list`].
    pub(super) fn list(
        &mut self,
        only: &[Process],
        scope: &Scope,
    ) -> Result<Vec<Process>, NoHelper> {
        self.own.list(only, scope)
    }

    /// As [`Helper::kill`], by whichever may.
    pub(super) fn kill(
        &mut self,
        signal: &str,
        processes: &[Process],
        scope: &Scope,
    ) -> Result<HashSet<u32>, NoHelper> {
        let refused = self.own.kill(signal, processes, scope)?;
        if refused.is_empty() {
            return Ok(refused);
        }
        let Some(raised) = self.raise(scope) else {
            return Ok(refused);
        };
        let rest = processes.iter().filter(|p| refused.contains(&p.pid));
        let rest: Vec<Process> = rest.copied().collect();
        match raised.kill(signal, &rest, scope) {
            Ok(refused) => Ok(refused),
            Err(why) => {
                tracing::debug!(%why, "a command's processes cannot be signalled by sudo");
                self.raised = None;
                Ok(refused)
            }
        }
    }

    /// Returns whether there is one that may signal what the first one may not.
    pub(super) fn is_raised(&self) -> bool {
        self.raised.is_some()
    }

    fn raise(&mut self, scope: &Scope) -> Option<&mut Helper> {
        if let (Some(sudo), false) = (self.command.sudo(), self.tried) {
            self.tried = true;
            let within = scope.child(Some(RAISE_MAX));
            match Helper::start(self.command.engine(), Some(sudo), &within) {
                Ok(helper) => self.raised = Some(helper),
                Err(why) => tracing::debug!(%why, "no second helper by sudo"),
            }
        }
        self.raised.as_mut()
    }

    /// As [`Helper::close`], of all there are.
    pub(super) fn close(self, scope: &Scope) {
        for helper in [Some(self.own), self.raised].into_iter().flatten() {
            let _ = helper.close(scope);
        }
    }
}

/// How long `sudo` may take to begin the second helper.
const RAISE_MAX: Duration = Duration::from_secs(2);

/// Returns what the host is asked to run for the helper of a command by `sudo`.
fn by(sudo: &Sudo) -> Result<Vec<u8>, Error> {
    let program = PROGRAM.trim().replace('\n', " ");
    let launch = Launch::new().sudo(sudo.clone());
    launch
        .shell(Shell::parse("/bin/sh -c"))
        .wrap(program.as_bytes())
}

/// Returns what the host is asked to run.
fn command() -> String {
    format!("exec sh -c '{}'", PROGRAM.trim().replace('\n', " "))
}

/// Starts a command without anything that is set for others. Parks.
fn start(engine: &Arc<Engine>, command: &[u8], scope: &Scope) -> Result<Child, Error> {
    let phase = Phase::Open;
    // Past those who wait for a place: a host that refuses is told from one that has room at once.
    let opening = engine.reply_turn(phase, scope)?;
    engine.free_left();
    let channel = engine.request(phase, scope, |library| {
        library.open_channel("session", COMMAND_WINDOW_BYTES, b"")
    })?;
    drop(opening);
    let child = Child::new(engine.clone(), channel);
    let _turn = engine.request_turn(phase, scope)?;
    engine.started().ask(child.number(), Instant::now());
    engine.request(phase, scope, |library| library.exec(channel, command))?;
    engine.started().accept(child.number(), Instant::now());
    Ok(child)
}

#[cfg(test)]
mod tests;
