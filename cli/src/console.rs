//! Standard output and standard error of this process, with the progress bar kept out of the way.
//!
//! Everything shown goes through [`Console`], on the main thread. Host bytes are sanitised where
//! they would reach a terminal. A reader of standard output who leaves is noted, not an error; what
//! cannot be written otherwise, as where a disk is full, is told at the end.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use sshoal::OutputStream;

use crate::complain;
use crate::exit_code::INTERNAL;
use crate::progress::Progress;
use crate::sanitise::sanitise;

/// One of this process's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    Stdout,
    Stderr,
}

impl From<OutputStream> for Sink {
    fn from(stream: OutputStream) -> Self {
        match stream {
            OutputStream::Stdout => Self::Stdout,
            OutputStream::Stderr => Self::Stderr,
        }
    }
}

/// What is known of the place where output goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminals {
    /// Whether standard output is a terminal.
    pub(crate) stdout: bool,
    /// Whether standard error is a terminal.
    pub(crate) stderr: bool,
    /// Whether both go to the same place, as after `2>&1`.
    pub(crate) shared: bool,
}

impl Terminals {
    /// Asks the system.
    pub(crate) fn detect() -> Self {
        let place = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|s| (s.st_dev, s.st_ino));
        let stdout = place(io::stdout().as_fd());
        Self {
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            shared: stdout.is_some() && stdout == place(io::stderr().as_fd()),
        }
    }

    fn of(self, sink: Sink) -> bool {
        match sink {
            Sink::Stdout => self.stdout,
            Sink::Stderr => self.stderr,
        }
    }
}

/// How writing to standard output goes.
#[derive(Debug)]
enum Stdout {
    Open,
    /// Nobody reads it any more.
    Left,
    Failed(io::Error),
}

impl From<io::Result<()>> for Stdout {
    fn from(written: io::Result<()>) -> Self {
        match written {
            Ok(()) => Self::Open,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::Left,
            Err(error) => Self::Failed(error),
        }
    }
}

impl Stdout {
    /// Returns why something is missing there; a reader that left wants no more.
    fn end(self) -> Result<()> {
        match self {
            Self::Open | Self::Left => Ok(()),
            Self::Failed(error) => Err(error).context("cannot write to standard output"),
        }
    }
}

/// Writes all that a sub-command has to say to standard output, and returns the exit code.
pub(crate) fn print(bytes: &[u8]) -> u8 {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    printed(written)
}

/// Returns the exit code of a sub-command that wrote to standard output, and tells what went wrong.
pub(crate) fn printed(written: io::Result<()>) -> u8 {
    match Stdout::from(written).end() {
        Ok(()) => 0,
        Err(error) => {
            complain(&crate::wording::chain(&*error));
            INTERNAL
        }
    }
}

/// The process's two outputs.
#[derive(Debug)]
pub(crate) struct Console {
    terminals: Terminals,
    progress: Progress,
    /// Host bytes reach even a terminal as they are.
    raw: bool,
    stdout: Stdout,
    /// The last host byte on each stream, stdout and stderr, was no line end; not on a terminal.
    mid_line: [bool; 2],
    scratch: Vec<u8>,
}

impl Console {
    /// Makes a console that draws `progress`.
    pub(crate) fn new(terminals: Terminals, raw: bool, progress: Progress) -> Self {
        let scratch = Vec::new();
        Self {
            terminals,
            progress,
            raw,
            stdout: Stdout::Open,
            mid_line: [false; 2],
            scratch,
        }
    }

    /// Returns whether standard output still has a reader, as far as is known.
    pub(crate) fn is_read(&self) -> bool {
        !matches!(self.stdout, Stdout::Left)
    }

    /// Takes what went wrong with standard output.
    ///
    /// # Errors
    /// Something that was to be shown there could not be written.
    pub(crate) fn written(&mut self) -> Result<()> {
        std::mem::replace(&mut self.stdout, Stdout::Left).end()
    }

    /// Tells what went wrong with standard output, and returns the exit code: `code` if nothing did.
    pub(crate) fn close(&mut self, code: u8) -> u8 {
        match self.written() {
            Ok(()) => code,
            Err(error) => {
                self.say(&format!("sshoal: {}", crate::wording::chain(&*error)));
                INTERNAL
            }
        }
    }

    /// Returns whether both outputs go to the same place.
    pub(crate) fn is_shared(&self) -> bool {
        self.terminals.shared
    }

    /// Returns whether someone sits at a terminal who sees what we say.
    pub(crate) fn is_watched(&self) -> bool {
        self.terminals.stderr
    }

    /// Returns the progress bar.
    pub(crate) fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// Writes host bytes; on a terminal, a last line without its end is ended.
    pub(crate) fn host_bytes(&mut self, sink: Sink, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        if !self.terminals.of(sink) {
            self.write(sink, bytes);
            self.mid_line[sink as usize] = last != b'\n';
            return;
        }
        let mut shown = std::mem::take(&mut self.scratch);
        shown.clear();
        self.shown(sink, bytes, &mut shown);
        // The bar, or the next line, would otherwise be drawn over it.
        if last != b'\n' {
            shown.push(b'\n');
        }
        self.write(sink, &shown);
        self.scratch = shown;
    }

    /// Appends host bytes as they may be written to a stream: harmless where it is a terminal.
    pub(crate) fn shown(&self, sink: Sink, bytes: &[u8], out: &mut Vec<u8>) {
        match self.terminals.of(sink) && !self.raw {
            true => sanitise(bytes, out),
            false => out.extend_from_slice(bytes),
        }
    }

    /// Writes whole lines that [`Self::shown`] has seen the host bytes of.
    pub(crate) fn lines(&mut self, sink: Sink, lines: &[u8]) {
        self.end_line(sink);
        self.write(sink, lines);
    }

    /// Ends a host's unfinished last line, so that what follows is not glued to it.
    pub(crate) fn end_line(&mut self, sink: Sink) {
        if std::mem::take(&mut self.mid_line[sink as usize]) {
            self.write(sink, b"\n");
        }
    }

    /// Writes a line of our own, already clean, to standard error.
    pub(crate) fn say(&mut self, line: &str) {
        if self.terminals.shared {
            self.end_line(Sink::Stdout);
        }
        self.end_line(Sink::Stderr);
        self.write(Sink::Stderr, format!("{line}\n").as_bytes());
    }

    /// Returns whether a stream is a terminal.
    pub(crate) fn shows(&self, sink: Sink) -> bool {
        self.terminals.of(sink)
    }

    /// Writes bytes of our own, already clean, to standard output.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.write(Sink::Stdout, bytes);
    }

    /// Takes the progress bar off the screen for good.
    pub(crate) fn finish(&mut self) {
        self.progress.clear();
    }

    fn write(&mut self, sink: Sink, bytes: &[u8]) {
        // A part of a line on the screen would be lost under the bar when it is drawn again.
        let over_bar = self.terminals.of(sink);
        match sink {
            Sink::Stdout if !matches!(self.stdout, Stdout::Open) => {}
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                let done = self.progress.around(over_bar, || {
                    stdout.write_all(bytes).and_then(|()| stdout.flush())
                });
                self.stdout = done.into();
            }
            Sink::Stderr => {
                // With standard error gone there is nowhere left to say so.
                let _ = self
                    .progress
                    .around(over_bar, || io::stderr().lock().write_all(bytes));
            }
        }
    }
}
