//! Readers and writers of this program, which may block, beside green threads, which may not.
//!
//! The principal types are [`Feed`] and [`Drain`]: each call that may block is made on a thread of
//! its own sort, and the buffer goes there and back.

use std::io::{self, Read, Write};

use sshoal_reactor::{Scope, blocking, blocking_within};

use crate::error::Error;
use crate::limits::stopped;

/// A reader, read on a thread where it may block.
pub(crate) struct Feed<R> {
    /// Taken while a read is under way.
    reader: Option<(R, Vec<u8>)>,
    bytes_max: usize,
}

impl<R: Read + Send + 'static> Feed<R> {
    pub(crate) fn new(reader: R, bytes_max: usize) -> Self {
        let reader = Some((reader, Vec::new()));
        Self { reader, bytes_max }
    }

    /// Returns what comes next, at least a byte of it; `None` at the end. Parks.
    pub(crate) fn next(&mut self, scope: &Scope) -> Result<Option<&[u8]>, Error> {
        let Some((mut reader, mut buffer)) = self.reader.take() else {
            return Ok(None);
        };
        let most = self.bytes_max;
        let read = blocking_within(scope, move || {
            buffer.resize(most, 0);
            let read = fill(&mut reader, &mut buffer);
            (reader, buffer, read)
        });
        let read = read.map_err(|stop| stopped(stop, scope))?;
        let (reader, mut buffer, read) = read.map_err(|panic| nowhere(io::Error::other(panic)))?;
        let count = read.map_err(nowhere)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.truncate(count);
        let (_, buffer) = self.reader.insert((reader, buffer));
        Ok(Some(buffer))
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A writer, written to on a thread where it may block.
pub(crate) struct Drain<W> {
    writer: Option<W>,
    buffer: Vec<u8>,
    bytes_max: usize,
}

impl<W: Write + Send + 'static> Drain<W> {
    pub(crate) fn new(writer: W, bytes_max: usize) -> Self {
        Self {
            writer: Some(writer),
            buffer: Vec::new(),
            bytes_max,
        }
    }

    /// Takes bytes; hands them on when there are enough of them. Parks.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() < self.bytes_max {
            true => Ok(()),
            false => self.hand_on(|_| Ok(())),
        }
    }

    /// Hands on what is left, flushes the writer and returns it. Parks.
    pub(crate) fn finish(mut self) -> Result<W, Error> {
        self.hand_on(W::flush)?;
        self.writer.ok_or_else(lost)
    }

    fn hand_on(
        &mut self,
        then: impl FnOnce(&mut W) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let mut writer = self.writer.take().ok_or_else(lost)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = blocking(move || {
            let written = writer.write_all(&buffer).and_then(|()| then(&mut writer));
            buffer.clear();
            written.map(|()| (writer, buffer))
        });
        let written = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        let (writer, buffer) = written.map_err(nowhere)?;
        (self.writer, self.buffer) = (Some(writer), buffer);
        Ok(())
    }
}

/// An error of what has no path.
fn nowhere(error: io::Error) -> Error {
    Error::local("")(error)
}

fn lost() -> Error {
    nowhere(io::Error::other("the writer failed before"))
}
