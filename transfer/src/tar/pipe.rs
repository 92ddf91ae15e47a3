//! The two ends of a command on a host that reads or writes an archive.

use sshoal_reactor::Scope;
use sshoal_session::{Child, Exit, Kind, OutputStream, Session, quote};

use crate::error::{Error, Operation};
use crate::scp::cleaned;

/// A command that runs on a host.
#[derive(Debug)]
pub(super) struct Pipe<'a> {
    child: Child,
    /// What it is for, to be told.
    remote: &'a [u8],
    operation: Operation,
    scope: &'a Scope,
    /// What was read of its output, and not yet looked at.
    output: Vec<u8>,
    start: usize,
    /// What it wrote to standard error, as far as a message has room.
    errors: Vec<u8>,
    error_bytes: usize,
    buffer: Vec<u8>,
}

impl<'a> Pipe<'a> {
    /// Starts a script of `sh` with its words.
    pub(super) fn start(
        session: &Session,
        (script, words): (&str, &[&[u8]]),
        (operation, remote): (Operation, &'a [u8]),
        scope: &'a Scope,
    ) -> Result<Self, Error> {
        let mut command = [b"exec sh -c ", &*quote(script.as_bytes()), b" sshoal"].concat();
        for word in words {
            command.push(b' ');
            command.extend_from_slice(&quote(word));
        }
        Ok(Self {
            child: session.command(command).scope(scope).spawn()?,
            remote,
            operation,
            scope,
            output: Vec::new(),
            start: 0,
            errors: Vec::new(),
            error_bytes: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Sends bytes; where the command has ended, what it said is the error.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.child.write_stdin(bytes, self.scope) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Kind::Closed => Err(self.ended()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the input.
    pub(super) fn close(&self) -> Result<(), Error> {
        match self.child.close_stdin(self.scope) {
            Err(error) if error.kind() != Kind::Closed => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reads the next bytes, at most `most`; none at the end.
    pub(super) fn data(&mut self, most: u64) -> Result<&[u8], Error> {
        if self.start == self.output.len() && !self.more()? {
            return Ok(&[]);
        }
        let here = self.output.len() - self.start;
        let taken = usize::try_from(most).unwrap_or(here).min(here);
        self.start += taken;
        Ok(&self.output[self.start - taken..self.start])
    }

    /// Fills a buffer; it is an error if the output ends before.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            let data = self.data((buffer.len() - filled) as u64)?;
            if data.is_empty() {
                return Err(self.ended());
            }
            buffer[filled..filled + data.len()].copy_from_slice(data);
            filled += data.len();
        }
        Ok(())
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
                    self.error_bytes += bytes;
                    if self.error_bytes > USELESS_BYTES_MAX {
                        return Err(self.failed("it complains without an end".to_owned()));
                    }
                    let room = ERRORS_BYTES_MAX.saturating_sub(self.errors.len());
                    self.errors
                        .extend_from_slice(&self.buffer[..bytes.min(room)]);
                }
                None => return Ok(false),
            }
        }
    }

    /// Waits for the end, and returns the command's complaint, if it has any.
    pub(super) fn end(&mut self) -> Result<Option<Error>, Error> {
        let mut useless = 0;
        while self.more()? {
            useless += self.output.len();
            if useless > USELESS_BYTES_MAX {
                return Err(self.failed("it says more than was asked for".to_owned()));
            }
        }
        let exit = self.child.wait(self.scope)?;
        let said = cleaned(&self.errors);
        Ok(match exit {
            Exit::Status(0) => None,
            exit if said.is_empty() => Some(self.failed(format!("it ended with {exit}"))),
            _ => Some(self.failed(said)),
        })
    }

    /// The error of a command that ended in the middle.
    pub(super) fn ended(&mut self) -> Error {
        match self.end() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => self.failed("it ended in the middle".to_owned()),
        }
    }

    pub(super) fn failed(&self, message: String) -> Error {
        Error::Command {
            operation: self.operation,
            remote: self.remote.to_vec(),
            message,
        }
    }
}

/// Bytes read at once.
const READ_BYTES: usize = 32 * 1024;
/// Bytes of what it complains of that are kept.
const ERRORS_BYTES_MAX: usize = 1024;
/// Bytes that nobody waits for, of which a host may send no more.
const USELESS_BYTES_MAX: usize = 4 * 1024 * 1024;
