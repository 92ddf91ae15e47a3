//! Commands on a session, from what is to be run to what it gave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sshoal_reactor::Scope;

use crate::channels::{self, COMMAND_WINDOW_BYTES};
use crate::child::Child;
use crate::engine::stopped;
use crate::environment::Environment;
use crate::error::{ApiMisuse, Error, Kind, Phase};
use crate::exit::Exit;
use crate::ffi::{ChannelId, Code, OutputStream};
use crate::launch::Launch;
use crate::session::Session;

mod feed;

use feed::Stdin;

/// Bytes that [`Command::output`] collects, unless told otherwise.
const OUTPUT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A command that is about to run; made by [`Session::command`].
#[derive(Debug)]
#[must_use = "a command does nothing until it is spawned"]
pub struct Command<'a> {
    session: &'a Session,
    command: Vec<u8>,
    scope: Option<Scope>,
    reply_grace: Duration,
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
            reply_grace: Duration::ZERO,
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

    /// Sets how long the host's answer is awaited when the scope has ended since the command was
    /// asked for; only without one the session is then given up. The command was not wanted, and may
    /// have run. Default: not at all.
    pub fn reply_grace(mut self, grace: Duration) -> Self {
        self.reply_grace = grace;
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
    /// still come, unless it does within [`Command::reply_grace`]. With [`Launch::sudo`], `Sudo` where the command was not begun.
    pub fn spawn(self) -> Result<Child, Error> {
        let scope = self.scope.clone().unwrap_or_else(Scope::root);
        self.spawn_in(&scope, &mut false)
    }

    /// As [`Command::spawn`], and sets `asked` from when the host may have been asked to run the
    /// command: an error that leaves it as it was has run nothing. Parks.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn_noting(self, asked: &mut bool) -> Result<Child, Error> {
        let scope = self.scope.clone().unwrap_or_else(Scope::root);
        self.spawn_in(&scope, asked)
    }

    fn spawn_in(&self, scope: &Scope, asked: &mut bool) -> Result<Child, Error> {
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
        let child = Child::new(engine.clone(), channel).by(self.launch.sudo_of());
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
        // Whoever gave up meanwhile wants nothing run.
        scope.check().map_err(|stop| stopped(stop, phase, scope))?;
        *asked = true;
        engine.started().ask(child.number(), Instant::now());
        engine.request_with_grace(phase, (scope, self.reply_grace), |library| {
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
        engine.started().accept(child.number(), Instant::now());
        drop(turn);
        if let Some(sudo) = self.launch.sudo_of() {
            child.pass_sudo(sudo, scope)?;
        }
        if empty && !(rides && input_ended) {
            child.close_stdin(scope)?;
        }
        Ok(child)
    }

    /// Tells the host that it may use our agent; one that does not want to is no failure, as with
    /// ssh.
    fn offer_agent(&self, channel: ChannelId, scope: &Scope) -> Result<(), Error> {
        let engine = self.session.engine();
        let offered = engine.request(Phase::Open, scope, |library| library.request_agent(channel));
        match offered {
            Err(Error::Channel { source, .. }) => {
                tracing::warn!(host = %self.session.host(), %source, "agent forwarding refused");
                Ok(())
            }
            other => other,
        }
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
        let child = Arc::new(self.spawn_in(&scope, &mut false)?);
        let Some(stdin) = stdin else {
            return self.collect(&child, &scope);
        };
        // Whichever way this ends, nothing is fed any more.
        let feeding = child.feed(stdin, &scope)?;
        let output = self.collect(&child, &feeding.within);
        output.map_err(|error| {
            feeding.end_if_cut(&child, &scope);
            feeding.blame(error, &scope)
        })
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
