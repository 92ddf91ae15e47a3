//! The output of hosts as lines of a log, in the format that users of parallel-ssh know.
//!
//! The principal type is [`HostLogger`].

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io::{self, Write};
use std::mem;

use sshoal_session::{Host, OutputStream};

use crate::event::Event;
use crate::sanitise::sanitise;

/// Writes what hosts print as lines, each with its host: `[host]`, a tab, `[err]` and a tab where
/// it is standard error, and the line.
///
/// It is fed with bytes as they come and puts lines together that come in pieces. A line ends with
/// `\n` or `\r\n`; what a host printed last is a line too. Nothing else is left out or changed,
/// unless [`LogForm::Safe`] is asked for. It waits only where what it writes to does.
///
/// # Examples
///
/// ```no_run
/// # fn example(pool: sshoal_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
/// use sshoal_pool::{Detail, HostLogger, RunSpec};
///
/// let mut logger = HostLogger::new(std::fs::File::create("hosts.log")?);
/// let run = pool.run(RunSpec::new("uptime").detail(Detail::Output))?;
/// let mut written = Ok(());
/// let report = run.for_each_event(|event| {
///     let line = logger.event(pool.hosts(), event);
///     written = std::mem::replace(&mut written, Ok(())).and(line);
/// });
/// written?;
/// # drop(report);
/// # Ok(())
/// # }
/// ```
pub struct HostLogger<'a> {
    sink: Sink<'a>,
    form: LogForm,
    line_bytes_max: usize,
    by_host: HashMap<Host, Unfinished>,
    by_index: HashMap<usize, Unfinished>,
}

/// In which form lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "harmless or not")]
pub enum LogForm {
    /// Byte for byte: for files, and for programs that read on.
    #[default]
    Raw,
    /// With all that could act on a terminal written as `\xNN`; see
    /// [`sanitise`].
    Safe,
}

/// Takes whole lines: the host's name, where the line was printed to, and its bytes.
type Sink<'a> = Box<dyn FnMut(&str, OutputStream, &[u8]) -> io::Result<()> + Send + 'a>;

/// What a host has printed since the end of its last line.
#[derive(Debug, Default)]
struct Unfinished {
    stdout: Line,
    stderr: Line,
}

#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Whether the line's begin is written, because it grew too long.
    begun: bool,
}

impl<'a> HostLogger<'a> {
    /// Returns a logger that writes to `writer`, each line by a call of its own.
    pub fn new(mut writer: impl Write + Send + 'a) -> Self {
        let mut whole = Vec::new();
        Self::with(move |host, stream, line| {
            whole.clear();
            put_line(&mut whole, host, stream, line);
            whole.push(b'\n');
            writer.write_all(&whole)
        })
    }

    /// Returns a logger that hands each line to `sink`: the host's name, where it was printed to,
    /// and the line without its end.
    pub fn with(sink: impl FnMut(&str, OutputStream, &[u8]) -> io::Result<()> + Send + 'a) -> Self {
        Self {
            sink: Box::new(sink),
            form: LogForm::default(),
            line_bytes_max: LINE_BYTES_MAX,
            by_host: HashMap::new(),
            by_index: HashMap::new(),
        }
    }

    /// Returns a logger that hands each line to `tracing`, as an event of the level `INFO` and the
    /// target `sshoal::host`, whose message is the line with its marks and whose fields are `host`
    /// and `err`. What is not UTF-8 is replaced, or, with [`LogForm::Safe`], escaped. Needs the
    /// feature `tracing`.
    #[cfg(feature = "tracing")]
    pub fn to_tracing() -> Self {
        let mut whole = Vec::new();
        Self::with(move |host, stream, line| {
            whole.clear();
            put_line(&mut whole, host, stream, line);
            let (err, line) = (
                stream == OutputStream::Stderr,
                String::from_utf8_lossy(&whole),
            );
            tracing::info!(target: "sshoal::host", host, err, "{line}");
            Ok(())
        })
    }

    /// Sets in which form lines are written. Default: [`LogForm::Raw`].
    #[must_use]
    pub fn form(mut self, form: LogForm) -> Self {
        self.form = form;
        self
    }

    /// Sets how much of a line is held until it ends, of each stream of each host; at least 16
    /// bytes. A longer line is written in pieces, each as a line of its own. Default: 16 KiB.
    #[must_use]
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.line_bytes_max = bytes.max(LINE_BYTES_MIN);
        self
    }

    /// Takes bytes that a host printed and writes the lines that end in them.
    ///
    /// Hosts are told apart as they are listed, by name, port and user; where one is listed twice
    /// [`HostLogger::event`] tells its two commands apart, and this does not.
    ///
    /// # Errors
    ///
    /// The first line that could not be written; the others are all the same, and that one is not
    /// written again.
    pub fn output(&mut self, host: &Host, stream: OutputStream, bytes: &[u8]) -> io::Result<()> {
        let mut out = Out {
            sink: &mut self.sink,
            form: self.form,
            bytes_max: self.line_bytes_max,
            to: (host.name(), stream),
            result: Ok(()),
        };
        out.take(&mut self.by_host, host, bytes);
        out.result
    }

    /// Writes what a host printed last, if that did not end with a line's end; nothing more comes
    /// of it.
    ///
    /// # Errors
    ///
    /// As [`HostLogger::output`].
    pub fn end(&mut self, host: &Host) -> io::Result<()> {
        let rest = self.by_host.remove(host);
        self.write_rest(host, rest)
    }

    /// Writes a line about a host that it did not print, in the same form: `[host]`, a tab, the line.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn note(&mut self, host: &Host, line: &[u8]) -> io::Result<()> {
        let mut out = Out {
            sink: &mut self.sink,
            form: self.form,
            bytes_max: self.line_bytes_max,
            to: (host.name(), OutputStream::Stdout),
            result: Ok(()),
        };
        out.write(line);
        out.result
    }

    /// Does with an event of a run what is due: writes the lines that end in output, and the last
    /// one where the host ended. `hosts` are those of the run, [`Pool::hosts`](crate::Pool::hosts).
    ///
    /// # Errors
    ///
    /// As [`HostLogger::output`].
    ///
    /// # Panics
    ///
    /// The event is of a run over other hosts.
    pub fn event(&mut self, hosts: &[Host], event: &Event) -> io::Result<()> {
        match event {
            Event::Output {
                index,
                stream,
                bytes,
                ..
            } => {
                let mut out = Out {
                    sink: &mut self.sink,
                    form: self.form,
                    bytes_max: self.line_bytes_max,
                    to: (hosts[*index].name(), *stream),
                    result: Ok(()),
                };
                out.take(&mut self.by_index, index, bytes);
                out.result
            }
            Event::Finished(outcome) => {
                let rest = self.by_index.remove(&outcome.index());
                self.write_rest(outcome.host(), rest)
            }
            _ => Ok(()),
        }
    }

    fn write_rest(&mut self, host: &Host, rest: Option<Unfinished>) -> io::Result<()> {
        let Some(Unfinished { stdout, stderr }) = rest else {
            return Ok(());
        };
        let lines = [
            (OutputStream::Stdout, stdout),
            (OutputStream::Stderr, stderr),
        ];
        let mut result = Ok(());
        for (stream, line) in lines {
            let mut out = Out {
                sink: &mut self.sink,
                form: self.form,
                bytes_max: self.line_bytes_max,
                to: (host.name(), stream),
                result,
            };
            if !line.bytes.is_empty() {
                out.write(&line.bytes);
            }
            result = out.result;
        }
        result
    }
}

impl fmt::Debug for HostLogger<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLogger")
            .field("form", &self.form)
            .field("line_bytes_max", &self.line_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Unfinished {
    fn of(&mut self, stream: OutputStream) -> &mut Line {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn is_empty(&self) -> bool {
        let nothing = |line: &Line| line.bytes.is_empty() && !line.begun;
        nothing(&self.stdout) && nothing(&self.stderr)
    }
}

/// Lines of one stream of one host on their way out.
struct Out<'a, 'b> {
    sink: &'a mut Sink<'b>,
    form: LogForm,
    bytes_max: usize,
    to: (&'a str, OutputStream),
    result: io::Result<()>,
}

impl Out<'_, '_> {
    fn take<K: Hash + Eq + Clone>(
        &mut self,
        all: &mut HashMap<K, Unfinished>,
        who: &K,
        bytes: &[u8],
    ) {
        let stream = self.to.1;
        let Some(unfinished) = all.get_mut(who) else {
            // Most pieces end with a line: then nothing is kept.
            let mut unfinished = Unfinished::default();
            self.split(unfinished.of(stream), bytes);
            if !unfinished.is_empty() {
                all.insert(who.clone(), unfinished);
            }
            return;
        };
        self.split(unfinished.of(stream), bytes);
        if unfinished.is_empty() {
            all.remove(who);
        }
    }

    fn split(&mut self, line: &mut Line, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (end, after) = (&rest[..at], &rest[at + 1..]);
            rest = after;
            if line.bytes.is_empty() && !line.begun && end.len() <= self.bytes_max {
                self.write(end.strip_suffix(b"\r").unwrap_or(end));
                continue;
            }
            self.hold(line, end);
            let Line { bytes, begun } = mem::take(line);
            let whole = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
            if !(begun && whole.is_empty()) {
                self.write(whole);
            }
        }
        self.hold(line, rest);
    }

    /// Adds to an unfinished line; where it grows too long, its begin is written.
    fn hold(&mut self, line: &mut Line, mut bytes: &[u8]) {
        loop {
            let room = self.bytes_max - line.bytes.len();
            let (fits, more) = bytes.split_at(bytes.len().min(room));
            line.bytes.extend_from_slice(fits);
            if more.is_empty() {
                return;
            }
            bytes = more;
            // It may be the first half of the line's end.
            let held_back = usize::from(line.bytes.ends_with(b"\r"));
            let piece = line.bytes.len() - held_back;
            self.write(&line.bytes[..piece]);
            line.bytes.drain(..piece);
            line.begun = true;
        }
    }

    fn write(&mut self, line: &[u8]) {
        let (host, stream) = self.to;
        let written = match self.form {
            LogForm::Raw => (self.sink)(host, stream, line),
            LogForm::Safe => {
                let mut shown = Vec::with_capacity(line.len());
                sanitise(line, &mut shown);
                (self.sink)(host, stream, &shown)
            }
        };
        let before = mem::replace(&mut self.result, Ok(()));
        self.result = before.and(written);
    }
}

/// Puts a line together in the format of the log.
fn put_line(whole: &mut Vec<u8>, host: &str, stream: OutputStream, line: &[u8]) {
    whole.push(b'[');
    whole.extend_from_slice(host.as_bytes());
    whole.extend_from_slice(b"]\t");
    if stream == OutputStream::Stderr {
        whole.extend_from_slice(b"[err]\t");
    }
    whole.extend_from_slice(line);
}

/// What is held of a line unless said otherwise.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// The least that is held of a line.
const LINE_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests;
