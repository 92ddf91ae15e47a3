//! The two ends of an `scp` on a host: what is asked of it, and what it answers.

use sshoal_reactor::Scope;
use sshoal_session::{Child, Exit, Kind, OutputStream, Session};

use super::EXISTS;
use super::record::{MESSAGE_BYTES_MAX, cleaned};
use crate::error::Error;

/// An `scp` that runs on a host.
#[derive(Debug)]
pub(super) struct Talk<'a> {
    child: Child,
    remote: &'a [u8],
    scope: &'a Scope,
    /// What was read of its output, and not yet looked at.
    output: Vec<u8>,
    start: usize,
    /// What it wrote to standard error, as far as a message has room.
    errors: Vec<u8>,
    /// Bytes that came and are of no use.
    useless: usize,
    buffer: Vec<u8>,
}

/// What a host's `scp` that sends says where something may begin.
#[derive(Debug)]
pub(super) enum Next {
    /// A line without its `\n`.
    Line(Vec<u8>),
    /// What it could not send; it goes on with the next.
    Warning(Error),
    /// The end of its output.
    End,
}

impl<'a> Talk<'a> {
    pub(super) fn start(
        session: &Session,
        command: Vec<u8>,
        (remote, scope): (&'a [u8], &'a Scope),
    ) -> Result<Self, Error> {
        Ok(Self {
            child: session.command(command).scope(scope).spawn()?,
            remote,
            scope,
            output: Vec::new(),
            start: 0,
            errors: Vec::new(),
            useless: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Sends bytes; where the host's `scp` has ended, what it said is the error.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.child.write_stdin(bytes, self.scope) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Kind::Closed => Err(self.ended()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the answer to what was sent: a zero byte, or else a message.
    pub(super) fn acknowledged(&mut self) -> Result<(), Error> {
        match self.byte()? {
            0 => Ok(()),
            1 | 2 => Err(self.refused()),
            _ => Err(self.protocol("an answer that is none")),
        }
    }

    /// Reads a line without its `\n`; a message in its place is the error.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, Error> {
        match self.byte()? {
            1 | 2 => Err(self.refused()),
            first => self.rest(vec![first]),
        }
    }

    /// Reads what a host that sends a tree says next.
    pub(super) fn next(&mut self) -> Result<Next, Error> {
        if self.start == self.output.len() && !self.more()? {
            return Ok(Next::End);
        }
        match self.byte()? {
            1 => {
                let message = self.rest(Vec::new())?;
                Ok(Next::Warning(self.said(&message)))
            }
            2 => Err(self.refused()),
            b'\n' => Ok(Next::Line(Vec::new())),
            first => self.rest(vec![first]).map(Next::Line),
        }
    }

    /// Says that something is not taken; a host's `scp` goes on with the next.
    pub(super) fn refuse(&mut self) -> Result<(), Error> {
        self.send(b"\x01sshoal: not taken\n")
    }

    /// Waits for the host's word on what it sent; why it could not send all of it, if so.
    pub(super) fn verdict(&mut self) -> Result<Option<Error>, Error> {
        match self.byte()? {
            0 => Ok(None),
            1 => {
                let message = self.rest(Vec::new())?;
                Ok(Some(self.said(&message)))
            }
            2 => Err(self.refused()),
            _ => Err(self.protocol("more of a file than it said")),
        }
    }

    fn rest(&mut self, mut line: Vec<u8>) -> Result<Vec<u8>, Error> {
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                _ if line.len() >= LINE_BYTES_MAX => {
                    return Err(self.protocol("a line without an end"));
                }
                byte => line.push(byte),
            }
        }
    }

    /// Reads the next bytes of a file's, at most `most`.
    pub(super) fn data(&mut self, most: u64) -> Result<&[u8], Error> {
        if self.start == self.output.len() && !self.more()? {
            return Err(self.ended());
        }
        let here = self.output.len() - self.start;
        let taken = usize::try_from(most).unwrap_or(here).min(here);
        self.start += taken;
        Ok(&self.output[self.start - taken..self.start])
    }

    /// Ends the input, and waits for a good end with nothing more said.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.finish_after(&[0])
    }

    /// As [`Talk::finish`], with any of these statuses for a good end.
    pub(super) fn finish_after(mut self, statuses: &[u32]) -> Result<(), Error> {
        match self.child.close_stdin(self.scope) {
            Err(error) if error.kind() != Kind::Closed => return Err(error.into()),
            _ => {}
        }
        if self.start < self.output.len() || self.more()? {
            return Err(match self.output[self.start] {
                1 | 2 => {
                    self.start += 1;
                    self.refused()
                }
                _ => self.protocol("more than was asked for"),
            });
        }
        match self.child.wait(self.scope)? {
            Exit::Status(status) if statuses.contains(&status) => Ok(()),
            exit => Err(self.failed(&exit)),
        }
    }

    pub(super) fn protocol(&self, what: &'static str) -> Error {
        let remote = self.remote.to_vec();
        Error::ScpProtocol { remote, what }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        if self.start == self.output.len() && !self.more()? {
            return Err(self.ended());
        }
        self.start += 1;
        Ok(self.output[self.start - 1])
    }

    /// Reads on; false at the end of output.
    fn more(&mut self) -> Result<bool, Error> {
        loop {
            match self.child.read(&mut self.buffer, self.scope)? {
                Some((OutputStream::Stdout, bytes)) => {
                    self.output.clear();
                    self.output.extend_from_slice(&self.buffer[..bytes]);
                    self.start = 0;
                    return Ok(true);
                }
                Some((OutputStream::Stderr, bytes)) => {
                    self.count_useless(bytes)?;
                    let room = MESSAGE_BYTES_MAX.saturating_sub(self.errors.len());
                    self.errors
                        .extend_from_slice(&self.buffer[..bytes.min(room)]);
                }
                None => return Ok(false),
            }
        }
    }

    /// A host may go on for ever with what nobody waits for.
    fn count_useless(&mut self, bytes: usize) -> Result<(), Error> {
        self.useless += bytes;
        match self.useless > USELESS_BYTES_MAX {
            true => Err(self.protocol("output without an end")),
            false => Ok(()),
        }
    }

    /// The error of a message, whose first byte was read.
    fn refused(&mut self) -> Error {
        let mut message = Vec::new();
        while message.len() < MESSAGE_BYTES_MAX {
            match self.byte() {
                Ok(b'\n') | Err(_) => break,
                Ok(byte) => message.push(byte),
            }
        }
        self.said(&message)
    }

    /// The error of an `scp` that ended in the middle.
    pub(super) fn ended(&mut self) -> Error {
        loop {
            match self.more() {
                // It is not known what this answers.
                Ok(true) => {
                    if let Err(error) = self.count_useless(self.output.len()) {
                        return error;
                    }
                }
                Ok(false) => break,
                Err(error) => return error,
            }
        }
        match self.child.wait(self.scope) {
            Ok(exit) => self.failed(&exit),
            Err(error) => error.into(),
        }
    }

    /// The error of an end that is not a good one.
    fn failed(&self, exit: &Exit) -> Error {
        if *exit == Exit::Status(EXISTS) {
            let path = self.remote.to_vec();
            return Error::Exists { path };
        }
        if !cleaned(&self.errors).is_empty() {
            return self.said(&self.errors);
        }
        let remote = self.remote.to_vec();
        let message = match exit {
            Exit::Status(0) => "it ended without an answer".to_owned(),
            exit => format!("it ended with {exit}"),
        };
        Error::Scp { remote, message }
    }

    fn said(&self, message: &[u8]) -> Error {
        let remote = self.remote.to_vec();
        let message = cleaned(message);
        Error::Scp { remote, message }
    }
}

/// Bytes read at once.
const READ_BYTES: usize = 32 * 1024;
/// Bytes that nobody waits for, of which a host may send no more.
const USELESS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest line: a path and two numbers.
const LINE_BYTES_MAX: usize = 8 * 1024;
