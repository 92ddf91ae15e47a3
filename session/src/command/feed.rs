//! Input that is fed to a command while its output is read.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_reactor::{Scope, blocking_within};

use super::{Child, Command};
use crate::engine::stopped;
use crate::error::{Error, Phase};

/// What a command finds on its standard input.
pub(super) enum Stdin {
    /// What [`Child::write_stdin`] writes; with [`Command::output`], nothing.
    Open,
    /// Its end, at once.
    Empty,
    /// These bytes, by [`Command::output`].
    Bytes(Vec<u8>),
    /// What a reader gives, by [`Command::output`].
    Reader(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Empty => "Empty",
            Self::Bytes(_) => "Bytes",
            Self::Reader(_) => "Reader",
        })
    }
}

/// Ends the feeding of a command when dropped.
#[derive(Debug)]
pub(super) struct Feeding {
    /// What reads the command's output does so in this: it ends with a reader's error.
    pub(super) within: Scope,
    fault: Arc<Mutex<Option<io::Error>>>,
}

impl Command<'_> {
    /// Sets what [`Command::output`] gives the command on its standard input; default: nothing.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// As [`Command::stdin`], from a file or anything else that is read to its end; it is read on a
    /// thread where it may block, 64 KiB at once, as far as the command takes it. A read that
    /// fails makes [`Command::output`] fail, and the command is killed first, as far as the host
    /// allows, so that it does not take the input for whole.
    pub fn stdin_from(mut self, reader: impl Read + Send + 'static) -> Self {
        self.stdin = Stdin::Reader(Box::new(reader));
        self
    }

    /// Gives the command the end of its standard input at once, on the same flush as the command
    /// itself; default: the input stays open for [`Child::write_stdin`].
    pub fn no_stdin(mut self) -> Self {
        self.stdin = Stdin::Empty;
        self
    }
}

impl Child {
    /// Feeds input and its end from a green thread of its own, until what is returned is dropped.
    pub(super) fn feed(self: &Arc<Self>, input: Stdin, scope: &Scope) -> Result<Feeding, Error> {
        let within = scope.child(None);
        let fault = Arc::default();
        let feeding = Feeding { within, fault };
        let (child, within) = (self.clone(), feeding.within.clone());
        let fault = feeding.fault.clone();
        let fed = sshoal_reactor::spawn(move || {
            // A command that ends before it has read its input is no failure of ours.
            let _ = match input {
                Stdin::Bytes(bytes) => child.write_stdin(&bytes, &within),
                Stdin::Reader(reader) => match child.pump(reader, &within) {
                    Ok(written) => written,
                    Err(source) => {
                        *fault.lock() = Some(source);
                        within.cancel();
                        return;
                    }
                },
                Stdin::Open | Stdin::Empty => Ok(()),
            }
            .and_then(|()| child.close_stdin(&within));
        });
        fed.map_err(local)?;
        Ok(feeding)
    }

    /// Writes what a reader gives; its reads are made where they may block (law G7).
    fn pump(
        &self,
        mut reader: Box<dyn Read + Send>,
        scope: &Scope,
    ) -> io::Result<Result<(), Error>> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = blocking_within(scope, move || {
                let read = read_some(&mut *reader, &mut buffer);
                (reader, buffer, read)
            });
            let Ok(read) = read else {
                return Ok(Err(Error::Cancelled { phase: Phase::Run }));
            };
            let (back, filled, count) =
                read.map_err(|panic| io::Error::other(panic.message().to_owned()))?;
            (reader, buffer) = (back, filled);
            match count? {
                0 => return Ok(Ok(())),
                count => {
                    if let Err(error) = self.write_stdin(&buffer[..count], scope) {
                        return Ok(Err(error));
                    }
                }
            }
        }
    }
}

fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Feeding {
    /// Ends a command that has had a part of its input only: with the channel its input ends, and
    /// it must not take that for the whole. Parks.
    pub(super) fn end_if_cut(&self, child: &Child, around: &Scope) {
        if self.fault.lock().is_none() {
            return;
        }
        let scope = around.child(Some(END_MAX));
        let mut forgo = |_, _: &[u8]| ControlFlow::Continue(());
        child.end(Duration::ZERO, &scope, &mut forgo);
    }

    /// Returns what an error within came from: the reader, or the end of the scope around.
    pub(super) fn blame(&self, error: Error, around: &Scope) -> Error {
        if let Some(source) = self.fault.lock().take() {
            return local(source);
        }
        match (error, around.check()) {
            (Error::Cancelled { phase }, Err(stop)) => stopped(stop, phase, around),
            (error, _) => error,
        }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.within.cancel();
    }
}

fn local(source: io::Error) -> Error {
    Error::Local {
        phase: Phase::Run,
        source,
    }
}

/// How long the end of a command may take.
const END_MAX: Duration = Duration::from_secs(5);
/// What is read of an input at once.
const CHUNK_BYTES: usize = 64 * 1024;
