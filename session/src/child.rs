//! A command that runs: fed, read, signalled, waited for, given up.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sshoal_reactor::Scope;
use sshoal_reactor::sync::{Permit, Semaphore};

use crate::engine::{Engine, stopped};
use crate::error::{ApiMisuse, Error, Phase};
use crate::exit::Exit;
use crate::ffi::{ChannelId, Code, OutputStream};
use crate::launch::Sudo;

mod begin;

use begin::Held;

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
    /// How it came to its user, who may not be the one who logged in.
    sudo: Option<Box<Sudo>>,
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
            sudo: None,
        }
    }

    /// Notes by which `sudo` the command runs.
    pub(crate) fn by(mut self, sudo: Option<&Sudo>) -> Self {
        self.sudo = sudo.cloned().map(Box::new);
        self
    }

    pub(crate) fn sudo(&self) -> Option<&Sudo> {
        self.sudo.as_deref()
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
            // One stream's end is told by the 0 above; the end of both by nothing being left, or
            // nothing of either: bytes of a third sort, which nobody reads, are passed over.
            let ended = if whole {
                library.is_at_end(self.channel)
                    || ended
                        && library.wait_eof(self.channel).is_ok()
                        && self.engine.wire().budget() == left
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
        self.write_stdin_vectored(&mut [IoSlice::new(bytes)], scope)
    }

    /// As [`Child::write_stdin`], with several pieces as one: nobody else's bytes come between them.
    /// The slices are advanced past what was written.
    ///
    /// # Errors
    ///
    /// As [`Child::write_stdin`].
    pub fn write_stdin_vectored(
        &self,
        pieces: &mut [IoSlice<'_>],
        scope: &Scope,
    ) -> Result<(), Error> {
        let _turn = self.stdin_turn(scope)?;
        if let Some(last) = pieces.iter().rev().find_map(|piece| piece.last()) {
            self.in_line.store(*last != b'\n', Ordering::Release);
        }
        self.write_all(pieces, scope)
    }

    /// Returns whether more can be written to the command's standard input, as far as this side
    /// knows: a write that was given up before anything of it was sent leaves no gap.
    pub fn takes_stdin(&self) -> bool {
        let over = [&self.stdin_over, &self.poisoned];
        !over.iter().any(|over| over.load(Ordering::Acquire)) && self.exit.lock().is_none()
    }

    fn write_all(&self, mut pieces: &mut [IoSlice<'_>], scope: &Scope) -> Result<(), Error> {
        // Leaves out what is empty.
        IoSlice::advance_slices(&mut pieces, 0);
        let (mut any, mut begun) = (false, false);
        while !pieces.is_empty() {
            let written = self.write_some(pieces, &mut begun, scope);
            let written = written.inspect_err(|error| {
                let given_up = matches!(error, Error::TimedOut { .. } | Error::Cancelled { .. });
                self.stdin_over.fetch_or(any || !given_up, Ordering::AcqRel);
                self.poisoned.store(begun, Ordering::Release);
            })?;
            any = true;
            IoSlice::advance_slices(&mut pieces, written);
        }
        Ok(())
    }

    /// Writes some packets, which go out together. `begun` is set while libssh2 is in the middle of
    /// a write, which must be made again as it was.
    fn write_some(
        &self,
        pieces: &[IoSlice<'_>],
        begun: &mut bool,
        scope: &Scope,
    ) -> Result<usize, Error> {
        let wire = self.engine.wire();
        let room = wire.wait_for_room(scope);
        room.map_err(|stop| stopped(stop, Phase::Run, scope))?;
        self.engine.call(Phase::Run, scope, |library| {
            let mut written = 0;
            for piece in pieces {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let taken = library.write(self.channel, rest);
                    // Held up with room in the window, libssh2 has made the packet already.
                    *begun = taken == Err(Code::AGAIN) && library.has_room(self.channel);
                    let taken = match taken {
                        Err(Code::AGAIN) if written > 0 => return Ok(written),
                        taken => taken?,
                    };
                    rest = &rest[taken..];
                    written += taken;
                    if wire.has_enough() {
                        return Ok(written);
                    }
                }
            }
            Ok(written)
        })
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
    fn turn(&self, scope: &Scope) -> Result<Permit, Error> {
        let turn = self.writer.acquire(scope);
        let turn = turn.map_err(|stop| stopped(stop, Phase::Run, scope))?;
        if self.poisoned.load(Ordering::Acquire) || self.exit.lock().is_some() {
            return Err(ApiMisuse::StdinClosed.into());
        }
        Ok(turn)
    }

    fn stdin_turn(&self, scope: &Scope) -> Result<Permit, Error> {
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
            self.engine.break_off();
            return;
        }
        self.engine.started().leave(self.number);
        self.engine.free(self.channel);
    }
}
