//! Readers of a host's output: bytes and lines, of one stream or of both.
//!
//! A reader has its own limits and nothing else: what was given and what was not is the host's. The
//! principal type is [`OutputReader`].

use std::io;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

use sshoal_reactor::{Interest, Scope, Stop};
use sshoal_session::OutputStream;

use super::host::HostRun;
use super::line::Line;
use super::spool::{Which, position};
use super::text::{Encoding, OnBadBytes, TextLines};

/// Reads one stream of a host, while its command runs or later.
///
/// A read parks until something comes, and has the end of the stream only once the host's outcome
/// is known. While it waits, the other stream is let through beyond its bound, to a temporary file
/// if need be: nobody has to read both at once.
#[derive(Debug)]
#[must_use]
pub struct OutputReader(Core);

/// Reads both streams of a host, as their bytes came; otherwise as [`OutputReader`]. Within a stream
/// the order is exact; between the two it is that in which bytes came here, as far as a bounded
/// memory of it reaches.
///
/// As an iterator it gives pieces as they are there, each of one stream.
#[derive(Debug)]
#[must_use]
pub struct MergedReader(Core);

/// The lines of a stream; [`OutputReader::lines`] makes it.
///
/// Nothing is lost by an error: after [`ReadError::IdleTimeout`] the next call waits anew and goes
/// on with the line that had begun, after any other the iterator ends and a new reader goes on.
#[derive(Debug)]
pub struct Lines {
    core: Core,
    over: bool,
}

/// Why a read gave nothing. Nothing is lost by it: the next read, or the next reader, goes on with
/// the byte that is next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No byte of the stream came for this long; see [`OutputReader::idle_timeout`].
    #[error("no output for {limit:?}")]
    IdleTimeout {
        /// The limit that was set.
        limit: Duration,
    },
    /// The stream was not at its end in time; see [`OutputReader::total_timeout`].
    #[error("not at the end of the output after {limit:?}")]
    TotalTimeout {
        /// The limit that was set.
        limit: Duration,
    },
    /// The reader's scope ended; see [`OutputReader::scope`].
    #[error("reading was stopped")]
    Stopped {
        /// Why it ended.
        source: Stop,
    },
    /// The temporary file with the output could not be read.
    #[error("the temporary file with the output cannot be read")]
    File {
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what the encoding says; only with [`OnBadBytes::Fail`].
    #[error("a line that is no {encoding}")]
    BadText {
        /// The encoding's name.
        encoding: &'static str,
        /// The line, as it came.
        line: Line,
    },
}

/// What readers have in common.
#[derive(Debug)]
pub(super) struct Core {
    host: HostRun,
    which: Which,
    idle: Option<Duration>,
    total: Option<(Duration, Option<Instant>)>,
    scope: Scope,
    line_bytes_max: usize,
}

impl OutputReader {
    pub(super) fn new(host: &HostRun, stream: OutputStream) -> Self {
        Self(Core::new(host, Which::One(stream)))
    }

    /// Sets for how long a read waits without a byte of the stream before it fails with
    /// [`ReadError::IdleTimeout`]; `None` is for ever, which is the default.
    pub fn idle_timeout(mut self, limit: Option<Duration>) -> Self {
        self.0.idle = limit;
        self
    }

    /// Sets how long all reads together may take, from this call on, before they fail with
    /// [`ReadError::TotalTimeout`]; `None` is for ever, which is the default.
    pub fn total_timeout(mut self, limit: Option<Duration>) -> Self {
        self.0.set_total(limit);
        self
    }

    /// Sets the scope within which reads wait. Default: one that never ends.
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.0.scope = scope.clone();
        self
    }

    /// Sets how many bytes a line may have before its `\n`; one with more is given in pieces that
    /// are marked as [`LineEnding::Cut`](crate::LineEnding::Cut). Default: 256 KiB; at least 2 bytes.
    pub fn line_bytes_max(mut self, bytes: usize) -> Self {
        self.0.line_bytes_max = bytes.max(2);
        self
    }

    /// Reads what comes next; 0 at the end of the stream. Parks until there is something.
    ///
    /// # Errors
    /// A limit that was set ran out, or the temporary file could not be read.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, ReadError> {
        Ok(self.0.read(buf)?.map_or(0, |(_, len)| len))
    }

    /// Returns an iterator of lines.
    pub fn lines(self) -> Lines {
        let core = self.0;
        Lines { core, over: false }
    }

    /// Returns an iterator of lines as text, decoded by an encoding.
    pub fn text(self, encoding: Encoding, on_bad_bytes: OnBadBytes) -> TextLines {
        TextLines::new(self.lines(), encoding, on_bad_bytes)
    }
}

/// As [`OutputReader::read`]; a timeout is [`io::ErrorKind::TimedOut`], with the [`ReadError`] in it.
impl io::Read for OutputReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Self::read(self, buf).map_err(Into::into)
    }
}

impl MergedReader {
    pub(super) fn new(host: &HostRun) -> Self {
        Self(Core::new(host, Which::Both))
    }

    /// As [`OutputReader::idle_timeout`], without a byte of either stream.
    pub fn idle_timeout(mut self, limit: Option<Duration>) -> Self {
        self.0.idle = limit;
        self
    }

    /// As [`OutputReader::total_timeout`].
    pub fn total_timeout(mut self, limit: Option<Duration>) -> Self {
        self.0.set_total(limit);
        self
    }

    /// As [`OutputReader::scope`].
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.0.scope = scope.clone();
        self
    }

    /// Reads what comes next, of one stream; `None` at the end of both. Parks until there is
    /// something.
    ///
    /// # Errors
    /// As [`OutputReader::read`].
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Option<(OutputStream, usize)>, ReadError> {
        self.0.read(buf)
    }

    /// Takes the next line of either stream, at most 256 KiB of it; `None` at the end of both.
    /// Parks until one has come to its end. Lines of the two streams come in the order in which
    /// they end, as far as that is known.
    ///
    /// # Errors
    /// As [`OutputReader::read`].
    pub fn next_line(&mut self) -> Result<Option<(OutputStream, Line)>, ReadError> {
        self.0.next_line()
    }
}

impl Iterator for MergedReader {
    type Item = Result<(OutputStream, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut buf = vec![0; PIECE_BYTES];
        match self.read(&mut buf) {
            Ok(Some((stream, len))) => {
                buf.truncate(len);
                buf.shrink_to_fit();
                Some(Ok((stream, buf)))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.core.next_line();
        self.over = !matches!(next, Ok(Some(_)) | Err(ReadError::IdleTimeout { .. }));
        next.transpose().map(|next| next.map(|(_, line)| line))
    }
}

impl FusedIterator for Lines {}

impl Core {
    fn new(host: &HostRun, which: Which) -> Self {
        Self {
            host: host.clone(),
            which,
            idle: None,
            total: None,
            scope: Scope::root(),
            line_bytes_max: LINE_BYTES_MAX,
        }
    }

    fn set_total(&mut self, limit: Option<Duration>) {
        self.total = limit.map(|limit| (limit, Instant::now().checked_add(limit)));
    }

    fn read(&self, buf: &mut [u8]) -> Result<Option<(OutputStream, usize)>, ReadError> {
        if buf.is_empty() {
            return Ok(None);
        }
        let HostRun { live, index } = &self.host;
        self.next(|| {
            let read = live.read(*index, self.which, buf)?;
            Ok((read.1 > 0).then_some(read))
        })
    }

    fn next_line(&self) -> Result<Option<(OutputStream, Line)>, ReadError> {
        let HostRun { live, index } = &self.host;
        self.next(|| live.take_line(*index, self.which, self.line_bytes_max))
    }

    /// Tries until something is there, or the host has ended and nothing is. Parks.
    fn next<T>(
        &self,
        mut attempt: impl FnMut() -> io::Result<Option<T>>,
    ) -> Result<Option<T>, ReadError> {
        let cell = self.host.cell();
        let mut idle: Option<(u64, Instant)> = None;
        loop {
            let total = self.total.and_then(|(limit, at)| Some((limit, at?)));
            if let Some((limit, _)) = total.filter(|(_, at)| *at <= Instant::now()) {
                return Err(ReadError::TotalTimeout { limit });
            }
            let sequence = cell.readers.sequence();
            // In this order: after the end nothing comes.
            let (ended, came) = self.progress();
            match attempt() {
                Ok(None) if ended => return Ok(None),
                Ok(None) => {}
                Ok(something) => return Ok(something),
                Err(source) => return Err(ReadError::File { source }),
            }
            if let Some(limit) = self.idle
                && idle.is_none_or(|(before, _)| before != came)
            {
                idle = Instant::now().checked_add(limit).map(|at| (came, at));
            }
            let at = [idle.map(|(_, at)| at), total.map(|(_, at)| at)];
            let Err(stop) = self.park(sequence, at.into_iter().flatten().min()) else {
                continue;
            };
            self.scope
                .check()
                .map_err(|source| ReadError::Stopped { source })?;
            let is_idle = idle.is_some_and(|(_, at)| at <= Instant::now());
            match (stop, self.idle.filter(|_| is_idle)) {
                // Bytes that came at the last moment count.
                (Stop::TimedOut, Some(limit)) if self.progress().1 == came => {
                    return Err(ReadError::IdleTimeout { limit });
                }
                _ => {}
            }
        }
    }

    /// Returns whether the host has ended, and how many bytes came that this reads.
    fn progress(&self) -> (bool, u64) {
        let spool = self.host.cell().spool.lock();
        let came = |stream| spool.stream(stream).came();
        let came = match self.which {
            Which::One(stream) => came(stream),
            Which::Both => came(OutputStream::Stdout) + came(OutputStream::Stderr),
        };
        (spool.ended, came)
    }

    /// Parks until something changed since `sequence`, or until a time.
    fn park(&self, sequence: u64, until: Option<Instant>) -> Result<(), Stop> {
        let HostRun { live, index } = &self.host;
        let cell = self.host.cell();
        let Some(ticket) = cell.readers.register(sequence, Interest::BOTH) else {
            return Ok(());
        };
        let timed = until.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            self.scope.child(Some(left))
        });
        let scope = timed.as_ref().unwrap_or(&self.scope);
        // A host that has to wait for others' ends would wait for their readers.
        let _letting = live.let_begin(*index);
        let Which::One(stream) = self.which else {
            return ticket.wait(scope);
        };
        cell.spool.lock().parked[position(stream)] += 1;
        // Its other stream may have the host held up.
        live.nudge(*index);
        let result = ticket.wait(scope);
        cell.spool.lock().parked[position(stream)] -= 1;
        result
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::IdleTimeout { .. } | ReadError::TotalTimeout { .. } => {
                io::ErrorKind::TimedOut
            }
            ReadError::Stopped { .. } => io::ErrorKind::Interrupted,
            ReadError::BadText { .. } => io::ErrorKind::InvalidData,
            ReadError::File { source } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// The longest line that is given whole, unless told otherwise.
pub(super) const LINE_BYTES_MAX: usize = 256 * 1024;
/// The longest piece that an iterator gives.
const PIECE_BYTES: usize = 32 * 1024;
