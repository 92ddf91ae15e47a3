//! Interactive shells: sent lines, read as they answer, and waited for by what they print.
//!
//! The principal type is [`InteractiveShell`]; [`ShellSpec`] says how one is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_reactor::Scope;

use crate::child::Child;
use crate::command::Command;
use crate::engine::stopped;
use crate::error::{ApiMisuse, Error, Phase};
use crate::exit::Exit;
use crate::ffi::OutputStream;
use crate::launch::{Launch, Pty};
use crate::session::Session;

mod error;
mod inbox;
mod pattern;

pub use error::ShellError;
use inbox::{End, Inbox};
pub use pattern::{Pattern, PatternError};

/// How a shell is opened.
///
/// The default is a shell without a terminal, which prompts for nothing and echoes nothing.
#[derive(Debug, Clone)]
#[must_use]
pub struct ShellSpec {
    launch: Launch,
    variables: Vec<(String, Vec<u8>)>,
    unread_bytes_max: usize,
}

/// The user's login shell on a host, open for any number of lines.
///
/// What it prints is read as it comes, by a green thread of its own, and kept until somebody takes
/// it; see [`ShellSpec::unread_bytes_max`] for the bound. Nothing of it is ever lost: a call that
/// ran out of time leaves all that came for the next one. All methods may be called from several
/// threads at once; lines of one thread stay in order, and no line is torn by another's.
///
/// Dropped before its end, its channel is closed, which tells the host to end it, and nothing is
/// waited for. It ends with its session.
#[derive(Debug)]
pub struct InteractiveShell {
    /// Its channel, until it is given up. A leaf lock, never held across a wait.
    child: Mutex<Option<Arc<Child>>>,
    inbox: Arc<Inbox>,
    /// Ends the green threads when the shell is dropped.
    life: Scope,
    /// Whether the end of input was sent, or is about to be.
    input_over: AtomicBool,
}

/// What [`InteractiveShell::expect`] found. What followed is still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// What came before it, since whatever was taken last.
    pub before: Vec<u8>,
    /// What fitted the pattern.
    pub matched: Vec<u8>,
    /// Which of the pattern's alternatives fitted, from 0.
    pub which: usize,
}

impl ShellSpec {
    /// Returns a shell without a terminal.
    pub fn new() -> Self {
        Self {
            launch: Launch::default(),
            variables: Vec::new(),
            unread_bytes_max: UNREAD_BYTES_MAX,
        }
    }

    /// Sets an environment variable (`SetEnv`); it takes a round trip. One that the server does not
    /// accept (`AcceptEnv` of sshd) is left out without an error.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Gives the shell a pseudo-terminal. It then prompts, edits its line and echoes what is sent,
    /// all of it prints on standard output, with `\r\n` where it prints `\n`, and `\n` is the Enter
    /// key. The end of input is typed as Ctrl-D, once more now and then while the shell lives: a
    /// program in the foreground may take it. Default: none.
    pub fn pty(mut self, pty: Pty) -> Self {
        self.launch = self.launch.pty(pty);
        self
    }

    /// Sets how many bytes of both streams together are kept until somebody takes them; beyond
    /// that the shell is held up, as by a full pipe. Default: 1 MiB.
    pub fn unread_bytes_max(mut self, bytes: usize) -> Self {
        self.unread_bytes_max = bytes;
        self
    }
}

impl Default for ShellSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Opens an interactive shell (RFC 4254 §6.5). Parks until the host has accepted it.
    ///
    /// # Errors
    ///
    /// The host refused a channel, a terminal or the shell, no terminal can be as asked for, the
    /// connection was lost, or the scope ended: the session is then given up, because the reply may
    /// still come.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn f(session: &sshoal_session::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use sshoal_reactor::Scope;
    /// use sshoal_session::{Pattern, ShellSpec};
    ///
    /// let limit = Scope::root().child(Some(Duration::from_secs(10)));
    /// let shell = session.shell(&ShellSpec::new(), &limit)?;
    /// shell.run("cd /var/log && echo ready", &limit)?;
    /// shell.expect("ready\n", &limit)?;
    /// shell.run("wc -l < syslog", &limit)?;
    /// let lines = shell.expect(Pattern::regex(r"[0-9]+\n")?, &limit)?.matched;
    /// let exit = shell.join(&limit)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shell(&self, spec: &ShellSpec, scope: &Scope) -> Result<InteractiveShell, Error> {
        // There is nothing to put it around; it checks the terminal.
        spec.launch.wrap(b"")?;
        let mut command = Command::shell(self).launch(&spec.launch).scope(scope);
        for (name, value) in &spec.variables {
            command = command.env(name, value.as_slice());
        }
        let child = Arc::new(command.spawn()?);
        let inbox = Arc::new(Inbox::new(spec.unread_bytes_max));
        let life = Scope::root().child(None);
        let reader = (child.clone(), inbox.clone(), life.clone());
        green(move || follow(&reader.0, &reader.1, &reader.2))?;
        Ok(InteractiveShell {
            child: Mutex::new(Some(child)),
            inbox,
            life,
            input_over: AtomicBool::new(false),
        })
    }
}

impl InteractiveShell {
    /// Sends bytes as they are. Parks while the host takes no more.
    ///
    /// # Errors
    ///
    /// The connection was lost, the shell has ended or its input has, or the scope ended: then some
    /// bytes may be sent, and no others can follow.
    pub fn send(&self, bytes: impl AsRef<[u8]>, scope: &Scope) -> Result<(), ShellError> {
        if self.input_over.load(Ordering::Acquire) {
            return Err(Error::from(ApiMisuse::StdinClosed).into());
        }
        Ok(self.child()?.write_stdin(bytes.as_ref(), scope)?)
    }

    /// Sends a line: the bytes and `\n`. It runs when the shell has come to it. Parks while the host
    /// takes no more.
    ///
    /// # Errors
    ///
    /// As [`InteractiveShell::send`].
    pub fn run(&self, line: impl AsRef<[u8]>, scope: &Scope) -> Result<(), ShellError> {
        self.send([line.as_ref(), b"\n"].concat(), scope)
    }

    /// Reads the next bytes of either stream; `None` once both have ended. Parks.
    ///
    /// Bytes of one stream come in the order they were written; between the two, SSH keeps none.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended; nothing is lost by that.
    pub fn read(
        &self,
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, ShellError> {
        self.read_of(&[OutputStream::Stdout, OutputStream::Stderr], buffer, scope)
    }

    /// Reads the next bytes of one stream; 0 at its end. Parks.
    ///
    /// # Errors
    ///
    /// As [`InteractiveShell::read`]; and `Full` where the other stream has taken all of the room.
    pub fn read_stream(
        &self,
        stream: OutputStream,
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<usize, ShellError> {
        let read = self.read_of(&[stream], buffer, scope)?;
        Ok(read.map_or(0, |(_, bytes)| bytes))
    }

    fn read_of(
        &self,
        streams: &[OutputStream],
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, ShellError> {
        if buffer.is_empty() {
            return Ok(None);
        }
        self.wait(scope, |inbox| {
            // In this order: what came before the end is there once the end is.
            let end = inbox.ended();
            match (inbox.read(streams, buffer), end) {
                (Some(read), _) => Some(Ok(Some(read))),
                (None, Some(End::Exit(_))) => Some(Ok(None)),
                (None, Some(End::Failed(error))) => Some(Err(error)),
                (None, None) => self.full(inbox).map(Err),
            }
        })
    }

    /// Takes what is there of both streams, standard output first, without a wait.
    #[must_use = "what is taken is not kept"]
    pub fn unread(&self) -> (Vec<u8>, Vec<u8>) {
        self.inbox.take()
    }

    /// Waits until there is something to read; false at the end. Parks.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended.
    pub fn wait_readable(&self, scope: &Scope) -> Result<bool, ShellError> {
        self.wait(scope, |inbox| {
            let end = inbox.ended();
            match (inbox.unread(), end) {
                (1.., _) => Some(Ok(true)),
                (0, Some(End::Exit(_))) => Some(Ok(false)),
                (0, Some(End::Failed(error))) => Some(Err(error)),
                (0, None) => None,
            }
        })
    }

    /// Waits until more than so many bytes have come since the shell was opened, read or not, and
    /// returns how many have; at the end, when no more will come, that is as many as were given.
    /// Parks.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended.
    pub fn wait_past(&self, bytes: u64, scope: &Scope) -> Result<u64, ShellError> {
        self.wait(scope, |inbox| {
            let end = inbox.ended();
            match (inbox.arrived(), end) {
                (arrived, _) if arrived > bytes => Some(Ok(arrived)),
                (_, Some(End::Exit(_))) => Some(Ok(bytes)),
                (_, Some(End::Failed(error))) => Some(Err(error)),
                (_, None) => None,
            }
        })
    }

    /// Waits until standard output holds what a pattern fits, and takes it and all before it. Parks.
    ///
    /// With a terminal, everything comes on standard output, and what was sent comes back as the
    /// terminal's echo.
    ///
    /// # Errors
    ///
    /// Nothing is taken then, and the same or something else can be waited for: the scope ended;
    /// the connection was lost; `Ended` if the shell did; `Full` if so much came that does not fit.
    pub fn expect(&self, pattern: impl Into<Pattern>, scope: &Scope) -> Result<Found, ShellError> {
        self.expect_on(OutputStream::Stdout, pattern, scope)
    }

    /// As [`InteractiveShell::expect`], on a stream of choice.
    ///
    /// # Errors
    ///
    /// As [`InteractiveShell::expect`].
    pub fn expect_on(
        &self,
        stream: OutputStream,
        pattern: impl Into<Pattern>,
        scope: &Scope,
    ) -> Result<Found, ShellError> {
        let (pattern, mut searched) = (pattern.into(), 0);
        self.wait(scope, |inbox| {
            let end = inbox.ended();
            let found = inbox.find(stream, &pattern, &mut searched);
            match (found, end) {
                (Some((before, matched, which)), _) => Some(Ok(Found {
                    before,
                    matched,
                    which,
                })),
                (None, Some(End::Exit(_))) => Some(Err(ShellError::Ended)),
                (None, Some(End::Failed(error))) => Some(Err(error)),
                (None, None) => self.full(inbox).map(Err),
            }
        })
    }

    /// Ends the shell's input, which ends the shell once it has run all that was sent, and waits
    /// for that. Parks.
    ///
    /// What the shell printed can be read before and after. The exit status is the last command's.
    ///
    /// # Errors
    ///
    /// It can be called again after each but a lost connection: the scope ended; `Full` if the
    /// shell waits for somebody to read.
    pub fn join(&self, scope: &Scope) -> Result<Exit, ShellError> {
        self.end_input()?;
        self.wait(scope, |inbox| match inbox.ended() {
            Some(End::Exit(exit)) => Some(Ok(exit)),
            Some(End::Failed(error)) => Some(Err(error)),
            None => self.full(inbox).map(Err),
        })
    }

    /// Ends the shell's input, after what was sent, without a wait; a second time, nothing.
    ///
    /// # Errors
    ///
    /// This machine has no room for a green thread.
    pub fn end_input(&self) -> Result<(), ShellError> {
        let Ok(child) = self.child() else {
            return Ok(());
        };
        if self.input_over.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let (life, inbox) = (self.life.clone(), Arc::clone(&self.inbox));
        // Not within a caller's time: an end that is given up half way could not be sent again.
        let ending = green(move || {
            // A shell that has ended needs no end of input.
            let _ = match child.has_terminal() {
                true => type_end(&child, &inbox, &life),
                false => child.close_stdin(&life),
            };
        });
        Ok(ending.inspect_err(|_| self.input_over.store(false, Ordering::Release))?)
    }

    /// Returns how the shell ended, without a wait; `None` while it runs, or if it was lost.
    ///
    /// It is known once all that it printed has come here, whether it was read or not.
    pub fn exit(&self) -> Option<Exit> {
        match self.inbox.ended() {
            Some(End::Exit(exit)) => Some(exit),
            Some(End::Failed(_)) | None => None,
        }
    }

    /// Sends the shell a signal by its name without `SIG` (RFC 4254 §6.9). Parks.
    ///
    /// # Errors
    ///
    /// The connection was lost, the shell has ended, or the scope ended.
    pub fn signal(&self, name: &str, scope: &Scope) -> Result<(), ShellError> {
        Ok(self.child()?.signal(name, scope)?)
    }

    /// Tells the host the size of the shell's terminal in characters (RFC 4254 §6.7); a shell
    /// without one is not told. Parks.
    ///
    /// # Errors
    ///
    /// A terminal cannot have this size; the connection was lost, the shell has ended, or the
    /// scope ended.
    pub fn resize(&self, columns: u32, rows: u32, scope: &Scope) -> Result<(), ShellError> {
        Ok(self.child()?.resize(columns, rows, scope)?)
    }

    /// Gives the shell up without a wait, as dropping it does: its channel is closed, and whatever
    /// waits for it, or asks something of it later, fails. What is unread can still be read.
    pub fn give_up(&self) {
        self.life.cancel();
        let child = self.child.lock().take();
        drop(child);
    }

    fn child(&self) -> Result<Arc<Child>, Error> {
        let child = self.child.lock().clone();
        child.ok_or(Error::Cancelled { phase: Phase::Run })
    }

    fn wait<T>(
        &self,
        scope: &Scope,
        look: impl FnMut(&Inbox) -> Option<Result<T, ShellError>>,
    ) -> Result<T, ShellError> {
        let found = self.inbox.wait(scope, look);
        found.map_err(|stop| stopped(stop, Phase::Run, scope))?
    }

    fn full(&self, inbox: &Inbox) -> Option<ShellError> {
        let bytes_max = self.inbox.bytes_max();
        inbox.is_full().then_some(ShellError::Full { bytes_max })
    }
}

impl Drop for InteractiveShell {
    /// Without a wait: the reader ends by itself, and lets go of the channel.
    fn drop(&mut self) {
        self.life.cancel();
    }
}

/// Reads what a shell prints, as far as there is room, to its end.
fn follow(child: &Child, inbox: &Inbox, life: &Scope) {
    let phase = Phase::Run;
    let mut buffer = vec![0; READ_BYTES_MIN];
    let ended = loop {
        let room = match inbox.room(life) {
            Ok(room) => room.min(buffer.len()),
            Err(stop) => break Err(stopped(stop, phase, life)),
        };
        match child.read(&mut buffer[..room], life) {
            Ok(Some((stream, bytes))) => {
                inbox.put(stream, &buffer[..bytes]);
                if bytes == READ_BYTES_MIN {
                    buffer.resize(READ_BYTES_MAX, 0);
                }
            }
            Ok(None) => break child.wait(life),
            Err(error) => break Err(error),
        }
    };
    inbox.end(match ended {
        Ok(exit) => End::Exit(exit),
        Err(error) => End::Failed(error.into()),
    });
}

/// Types the end of input until the shell has ended. What is typed while a line runs is taken by the
/// terminal, and a shell that edits its line itself never sees it.
fn type_end(child: &Child, inbox: &Inbox, life: &Scope) -> Result<(), Error> {
    let mut pause = RETYPE_MIN;
    loop {
        child.type_end_once(life)?;
        let step = life.child(Some(pause));
        let ended = inbox.wait(&step, |inbox| inbox.ended().map(drop));
        if ended.is_ok() || life.check().is_err() {
            return Ok(());
        }
        pause = RETYPE_MAX.min(pause * 2);
    }
}

/// Starts a green thread that nobody joins.
fn green(run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = sshoal_reactor::spawn(run).map(drop);
    started.map_err(|source| Error::Local {
        phase: Phase::Run,
        source,
    })
}

/// The first pause until the end of input is typed again; each is twice as long as the one before.
const RETYPE_MIN: Duration = Duration::from_millis(200);
/// The longest one.
const RETYPE_MAX: Duration = Duration::from_secs(5);
/// Unread bytes of a shell, unless told otherwise.
const UNREAD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes read at once, at first.
const READ_BYTES_MIN: usize = 2 * 1024;
/// Bytes read at once, when there is much to read.
const READ_BYTES_MAX: usize = 32 * 1024;
