//! Commands on a session: started, fed, read, ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use sshoal_reactor::Scope;
use sshoal_reactor::sync::Semaphore;

use crate::channels::{self, COMMAND_WINDOW_BYTES};
use crate::engine::{Engine, stopped};
use crate::environment::Environment;
use crate::error::{ApiMisuse, Error, Kind, Phase};
use crate::exit::Exit;
use crate::ffi::{ChannelId, Code, OutputStream};
use crate::launch::Launch;
use crate::session::Session;

mod feed;
mod launched;

use feed::Stdin;
use launched::Held;

/// Bytes that [`Command::output`] collects, unless told otherwise.
const OUTPUT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A command that is about to run; made by [`Session::command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is spawned"]
pub struct Command<'a> {
    session: &'a Session,
    command: Vec<u8>,
    scope: Option<Scope>,
    output_bytes_max: usize,
    stdin: Stdin,
    environment: Environment,
    launch: Launch,
    /// Whether `command` holds already what the launch puts around it.
    wrapped: bool,
    startup: Startup,
}

/// What a channel is asked to run (RFC 4254 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Startup {
    /// The command.
    Exec,
    /// The user's login shell, with no command.
    Shell,
}

/// Everything that a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "modelled on std::process::Output"
)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

impl<'a> Command<'a> {
    pub(crate) fn new(session: &'a Session, command: Vec<u8>) -> Self {
        Self {
            session,
            command,
            scope: None,
            output_bytes_max: OUTPUT_BYTES_MAX,
            stdin: Stdin::Open,
            environment: session.environment().clone(),
            launch: Launch::default(),
            wrapped: false,
            startup: Startup::Exec,
        }
    }

    /// The user's login shell, in place of a command.
    pub(crate) fn shell(session: &'a Session) -> Self {
        Self {
            startup: Startup::Shell,
            wrapped: true,
            ..Self::new(session, Vec::new())
        }
    }

    /// Sets an environment variable of the command (`SetEnv`); it takes a round trip. One that the
    /// server does not accept (`AcceptEnv` of sshd) is left out without an error.
    ///
    /// A name that is empty or holds `=`, and a NUL byte, make [`Command::spawn`] fail.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.environment.set(name.into(), value.into());
        self
    }

    /// Sets how the command is launched; default: its bytes are run as they are.
    pub fn launch(mut self, launch: &Launch) -> Self {
        self.launch = launch.clone();
        self
    }

    /// As [`Command::launch`], for bytes that [`Launch::wrap`] made.
    pub fn launched(mut self, launch: &Launch) -> Self {
        self.wrapped = true;
        self.launch(launch)
    }

    /// Sets the scope within which [`Command::spawn`] and [`Command::output`] wait; default: no
    /// limit.
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.scope = Some(scope.clone());
        self
    }

    /// Sets how many bytes [`Command::output`] collects of both streams together before it fails;
    /// default 256 MiB.
    pub fn output_bytes_max(mut self, bytes: usize) -> Self {
        self.output_bytes_max = bytes;
        self
    }

    /// Starts the command; returns when the server has accepted it. Parks: of those that a session
    /// starts, eight run at once, or as many as the host allows, and the others wait in order.
    ///
    /// # Errors
    ///
    /// The server refused a channel, a terminal or the command, the connection was lost, or the
    /// scope ended: once the command was asked for, the session is then given up, as the reply may
    /// still come. With [`Launch::sudo`], `Sudo` where the command was not begun.
    pub fn spawn(self) -> Result<Child, Error> {
        let scope = self.scope.clone().unwrap_or_else(Scope::root);
        self.spawn_in(&scope)
    }

    fn spawn_in(&self, scope: &Scope) -> Result<Child, Error> {
        let (engine, phase) = (self.session.engine(), Phase::Open);
        if self.command.contains(&0) {
            return Err(ApiMisuse::NulByte.into());
        }
        let command = if self.wrapped {
            self.command.clone()
        } else {
            self.launch.wrap(&self.command)?
        };
        self.environment.check().map_err(|(_, why)| why)?;
        let channel = channels::open(engine, COMMAND_WINDOW_BYTES, scope)?;
        let child = Child::new(engine.clone(), channel);
        let turn = engine.request_turn(phase, scope)?;
        if self.session.offers_agent() {
            self.offer_agent(channel, scope)?;
        }
        self.environment.send(engine, channel, scope)?;
        if let Some(pty) = self.launch.pty_of() {
            child.open_terminal(pty, scope)?;
        }
        // What answers sudo comes first, and a terminal's end of input is typed.
        let empty = matches!(self.stdin, Stdin::Empty);
        let rides = empty && self.launch.sudo_of().is_none() && !child.has_terminal();
        let mut input_ended = !rides;
        engine.started().ask(child.number, Instant::now());
        engine.request(phase, scope, |library| {
            let before = engine.wire().sent_bytes();
            let accepted = match self.startup {
                Startup::Exec => library.exec(channel, &command),
                Startup::Shell => library.shell(channel),
            };
            let sent = engine.wire().sent_bytes() > before;
            // Once the request is on its way, the end of input needs no flush of its own. Held up
            // by a key exchange, it is not, and the end must not overtake it.
            if accepted == Err(Code::AGAIN) && !input_ended && sent {
                input_ended = library.send_eof(channel) == Ok(());
            }
            accepted
        })?;
        engine.started().accept(child.number, Instant::now());
        drop(turn);
        if let Some(sudo) = self.launch.sudo_of() {
            child.pass_sudo(sudo, scope)?;
        }
        if empty && !(rides && input_ended) {
            child.close_stdin(scope)?;
        }
        Ok(child)
    }

    /// Runs the command to its end and collects what it gives. Parks.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`]; and `Overstepped` where it gives more than
    /// [`Command::output_bytes_max`]. An exit status that is not 0 is no error.
    pub fn output(mut self) -> Result<Output, Error> {
        let scope = self.scope.clone().unwrap_or_else(Scope::root);
        let stdin = match std::mem::replace(&mut self.stdin, Stdin::Empty) {
            Stdin::Bytes(bytes) if bytes.is_empty() => None,
            stdin @ (Stdin::Bytes(_) | Stdin::Reader(_)) => {
                self.stdin = Stdin::Open;
                Some(stdin)
            }
            Stdin::Open | Stdin::Empty => None,
        };
        let child = Arc::new(self.spawn_in(&scope)?);
        let Some(stdin) = stdin else {
            return self.collect(&child, &scope);
        };
        // Whichever way this ends, nothing is fed any more.
        let feeding = child.feed(stdin, &scope)?;
        let output = self.collect(&child, &feeding.within);
        output.map_err(|error| feeding.blame(error, &scope))
    }

    /// Reads all that a command gives.
    fn collect(&self, child: &Child, scope: &Scope) -> Result<Output, Error> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        // Most commands print a line, and many of them wait side by side.
        let mut buffer = vec![0; READ_BYTES_MIN];
        while let Some((stream, bytes)) = child.read(&mut buffer, scope)? {
            match stream {
                OutputStream::Stdout => stdout.extend_from_slice(&buffer[..bytes]),
                OutputStream::Stderr => stderr.extend_from_slice(&buffer[..bytes]),
            }
            if bytes == READ_BYTES_MIN {
                buffer.resize(READ_BYTES_MAX, 0);
            }
            if stdout.len() + stderr.len() > self.output_bytes_max {
                let what = "more output than output_bytes_max";
                return Err(Error::Overstepped {
                    phase: Phase::Run,
                    what,
                    kind: Kind::Limit,
                });
            }
        }
        let exit = child.wait(scope)?;
        Ok(Output {
            stdout,
            stderr,
            exit,
        })
    }
}

/// Bytes read from a channel at once, at first.
const READ_BYTES_MIN: usize = 2 * 1024;
/// Bytes read from a channel at once, when there is much to read.
const READ_BYTES_MAX: usize = 32 * 1024;

/// A command that runs; all methods may be called from several threads at once.
///
/// Dropped before [`Child::wait`] returned, its channel is closed, which tells the server to end
/// the command, and nothing is waited for.
#[derive(Debug)]
pub struct Child {
    engine: Arc<Engine>,
    channel: ChannelId,
    /// Among the session's commands.
    number: u64,
    /// Writers on one channel go one after the other, each whole (S5).
    writer: Semaphore,
    /// A write was given up: what follows would leave a gap.
    stdin_over: AtomicBool,
    /// And libssh2 had begun it: the channel can take nothing else (S6).
    poisoned: AtomicBool,
    /// Set once the channel was closed and freed.
    exit: Mutex<Option<Exit>>,
    /// Whether the host has granted a terminal.
    terminal: AtomicBool,
    /// Whether the last byte of input was not the end of a line.
    in_line: AtomicBool,
    held: Held,
}

impl Child {
    pub(crate) fn new(engine: Arc<Engine>, channel: ChannelId) -> Self {
        let number = engine.started().number();
        Self {
            engine,
            number,
            channel,
            writer: Semaphore::new(1),
            stdin_over: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            exit: Mutex::new(None),
            terminal: AtomicBool::new(false),
            in_line: AtomicBool::new(false),
            held: Held::default(),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns the command's number among the session's.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next bytes of either stream; `None` once both have ended. Parks.
    ///
    /// Bytes of one stream come in the order they were written; between the two, SSH keeps none.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended; nothing is lost by that, and reading goes on
    /// with the next call.
    pub fn read(
        &self,
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, Error> {
        self.read_of(&[OutputStream::Stdout, OutputStream::Stderr], buffer, scope)
    }

    /// Reads the next bytes of standard output; 0 at its end. Parks.
    ///
    /// # Errors
    ///
    /// As [`Child::read`].
    pub fn read_stdout(&self, buffer: &mut [u8], scope: &Scope) -> Result<usize, Error> {
        let read = self.read_of(&[OutputStream::Stdout], buffer, scope)?;
        Ok(read.map_or(0, |(_, bytes)| bytes))
    }

    /// Reads the next bytes of standard error; 0 at its end. Parks.
    ///
    /// # Errors
    ///
    /// As [`Child::read`].
    pub fn read_stderr(&self, buffer: &mut [u8], scope: &Scope) -> Result<usize, Error> {
        let read = self.read_of(&[OutputStream::Stderr], buffer, scope)?;
        Ok(read.map_or(0, |(_, bytes)| bytes))
    }

    fn read_of(
        &self,
        streams: &[OutputStream],
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<Option<(OutputStream, usize)>, Error> {
        if let Some(held) = self.held.take(streams, buffer) {
            return Ok(Some(held));
        }
        if self.exit.lock().is_some() || buffer.is_empty() {
            return Ok(None);
        }
        let whole = streams.len() == 2;
        self.engine.call(Phase::Run, scope, |library| {
            let mut ended = true;
            let mut left = 0;
            for stream in streams {
                left = self.engine.wire().budget();
                match library.read(self.channel, *stream, buffer) {
                    Ok(0) => {}
                    Ok(bytes) => return Ok(Some((*stream, bytes))),
                    Err(Code::AGAIN) => ended = false,
                    Err(code) => return Err(code),
                }
            }
            // One stream's end is told by the 0 above; the end of both by nothing being left.
            let ended = if whole {
                library.is_at_end(self.channel)
            } else {
                ended
            };
            if ended {
                return Ok(None);
            }
            // What came while the second stream was read may be the first one's.
            if whole && self.engine.wire().budget() != left {
                self.engine.wire().retry_if_moved();
            }
            Err(Code::AGAIN)
        })
    }

    /// Writes all bytes to the command's standard input. Parks.
    ///
    /// # Errors
    ///
    /// The connection was lost, the command has closed its input, or the scope ended: then some
    /// bytes may be written, and no others can follow, unless [`Child::takes_stdin`] says so.
    pub fn write_stdin(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        let _turn = self.stdin_turn(scope)?;
        if let Some(last) = bytes.last() {
            self.in_line.store(*last != b'\n', Ordering::Release);
        }
        self.write_all(bytes, scope)
    }

    /// Returns whether more can be written to the command's standard input, as far as this side
    /// knows: a write that was given up before anything of it was sent leaves no gap.
    pub fn takes_stdin(&self) -> bool {
        let over = [&self.stdin_over, &self.poisoned];
        !over.iter().any(|over| over.load(Ordering::Acquire)) && self.exit.lock().is_none()
    }

    fn write_all(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.write_some(rest, scope).inspect_err(|error| {
                let given_up = matches!(error, Error::TimedOut { .. } | Error::Cancelled { .. });
                let gap = !given_up || rest.len() < bytes.len();
                self.stdin_over.fetch_or(gap, Ordering::AcqRel);
            })?;
            rest = &rest[written..];
        }
        Ok(())
    }

    fn write_some(&self, bytes: &[u8], scope: &Scope) -> Result<usize, Error> {
        let room = self.engine.wire().wait_for_room(scope);
        room.map_err(|stop| stopped(stop, Phase::Run, scope))?;
        let mut begun = false;
        let written = self.engine.call(Phase::Run, scope, |library| {
            let written = library.write(self.channel, bytes);
            // Held up with room in the window, libssh2 has made the packet already.
            begun = written == Err(Code::AGAIN) && library.has_room(self.channel);
            written
        });
        written.inspect_err(|_| self.poisoned.store(begun, Ordering::Release))
    }

    /// Ends the command's standard input; on a terminal, that is typed as Ctrl-D. Parks.
    ///
    /// # Errors
    ///
    /// As [`Child::write_stdin`].
    pub fn close_stdin(&self, scope: &Scope) -> Result<(), Error> {
        let _turn = self.stdin_turn(scope)?;
        if self.has_terminal() {
            self.type_end(scope)?;
        }
        let closed = self
            .engine
            .call(Phase::Run, scope, |library| library.send_eof(self.channel));
        self.stdin_over.store(true, Ordering::Release);
        closed.inspect_err(|_| self.poisoned.store(true, Ordering::Release))
    }

    /// Takes the turn to send something on the channel. Parks.
    fn turn(&self, scope: &Scope) -> Result<sshoal_reactor::sync::Permit, Error> {
        let turn = self.writer.acquire(scope);
        let turn = turn.map_err(|stop| stopped(stop, Phase::Run, scope))?;
        if self.poisoned.load(Ordering::Acquire) || self.exit.lock().is_some() {
            return Err(ApiMisuse::StdinClosed.into());
        }
        Ok(turn)
    }

    fn stdin_turn(&self, scope: &Scope) -> Result<sshoal_reactor::sync::Permit, Error> {
        let turn = self.turn(scope)?;
        if self.stdin_over.load(Ordering::Acquire) {
            return Err(ApiMisuse::StdinClosed.into());
        }
        Ok(turn)
    }

    /// Sends the command a signal (RFC 4254 §6.9), by its name without `SIG`. Parks.
    ///
    /// OpenSSH passes on `INT`, `TERM`, `KILL` and a few others to the command's process group.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended: if that was once it had its turn to be sent,
    /// nothing else can be sent to the command.
    pub fn signal(&self, name: &str, scope: &Scope) -> Result<(), Error> {
        let _turn = self.turn(scope)?;
        let sent = self.engine.call(Phase::Run, scope, |library| {
            library.signal(self.channel, name)
        });
        // libssh2 keeps a signal that it could not send, and would send it in place of the next.
        sent.inspect_err(|_| self.poisoned.store(true, Ordering::Release))
    }

    /// Waits for the command's end and frees its channel; call it once the output was read to its
    /// end. Parks.
    ///
    /// Output that is left unread holds the command up once the window is full, as a full pipe
    /// would.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the scope ended; it can then be called again.
    pub fn wait(&self, scope: &Scope) -> Result<Exit, Error> {
        if let Some(exit) = self.exit.lock().clone() {
            return Ok(exit);
        }
        let closed = self.engine.call(Phase::Run, scope, |library| {
            library.wait_closed(self.channel)
        });
        if let Err(error) = closed {
            // Another caller may have come first, and have freed the channel.
            return self.exit.lock().clone().ok_or(error);
        }
        let mut place = self.exit.lock();
        if let Some(exit) = place.clone() {
            return Ok(exit);
        }
        let exit = self.engine.queue(|library| {
            let exit = library.exit(self.channel);
            // The server's end is there already: ours rides with whatever is sent next.
            (exit, library.free_channel(self.channel))
        })?;
        if exit.1 == Err(Code::AGAIN) {
            self.engine.leave(self.channel);
        }
        let exit = exit.0.map_err(|code| {
            let error = self.engine.with(|library| library.error(code));
            error.map_or_else(|error| error, |error| self.engine.error(Phase::Run, error))
        })?;
        *place = Some(exit.clone());
        self.engine.started().end(self.number);
        Ok(exit)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit.get_mut().is_some() || self.engine.wire().is_broken() {
            return;
        }
        if self.poisoned.load(Ordering::Acquire) {
            self.engine.give_up();
            return;
        }
        self.engine.started().leave(self.number);
        self.engine.free(self.channel);
    }
}
