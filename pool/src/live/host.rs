//! One host of a run that was started: its output, its input, its end.
//!
//! The principal type is [`HostRun`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sshoal_reactor::{Interest, Scope, Stop};
use sshoal_session::{ApiMisuse, Error, Exit, Host, OutputStream, Phase, Timings};

use super::reader::{MergedReader, OutputReader};
use super::shared::Live;
use crate::connector::Running;
use crate::outcome::{End, Outcome};

/// A host of a [`Started`](crate::Started) run; clones are handles of the same.
///
/// What it prints can be read while the command runs and at any time later, also when the session,
/// the pool and the run's own handle are gone. Each byte is given once: readers of one stream take
/// turns at what is left of it, and one that is dropped leaves what it has not given.
///
/// # Examples
///
/// ```no_run
/// # fn f(pool: &sshoal_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
/// let run = pool.start("tail -n 100 /var/log/syslog")?;
/// for host in run.hosts() {
///     for line in host.stdout().lines() {
///         println!("{}: {}", host.host(), String::from_utf8_lossy(line?.bytes()));
///     }
///     // It was read to its end: how it ended is known.
///     println!("{}: {:?}", host.host(), host.exit());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HostRun {
    pub(super) live: Arc<Live>,
    pub(super) index: usize,
}

impl HostRun {
    pub(super) fn new(live: &Arc<Live>, index: usize) -> Self {
        let live = Arc::clone(live);
        Self { live, index }
    }

    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.live.hosts[self.index]
    }

    /// Returns the exact bytes that the host is asked to run, whether it has come to that or not.
    pub fn command(&self) -> &[u8] {
        self.live.commands.of(self.index)
    }

    /// Returns everything that is known of the host's end but its output, which is read from here;
    /// `None` until it has ended. Does not wait.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.cell().outcome.get()
    }

    /// Returns how the host ended; `None` until it has. Does not wait.
    ///
    /// Where output was read to its end, this is known: no wait is needed for it.
    pub fn end(&self) -> Option<&End> {
        self.outcome().map(Outcome::end)
    }

    /// Returns what the server told of the command's end; `None` until that is known, and for ever
    /// where the host failed or was cancelled, which [`HostRun::end`] tells. Does not wait.
    pub fn exit(&self) -> Option<Exit> {
        match self.end()? {
            End::Exited(status) => Some(Exit::Status(*status)),
            End::Signaled { name, message } => Some(Exit::Signal {
                name: name.clone(),
                message: message.clone(),
            }),
            End::NoStatus => Some(Exit::None),
            End::Failed(_) | End::Cancelled { .. } => None,
        }
    }

    /// Returns the error of a host that failed. Does not wait.
    pub fn error(&self) -> Option<&Error> {
        match self.end()? {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Returns how long each phase took; `None` until the host has ended. Does not wait.
    pub fn timings(&self) -> Option<Timings> {
        self.outcome().map(Outcome::timings)
    }

    /// Returns whether the host has ended, in whatever way. Does not wait.
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// Returns whether the host has accepted its command, which may have ended since. Does not
    /// wait.
    pub fn is_accepted(&self) -> bool {
        match self.outcome() {
            Some(outcome) => outcome.timings().get(Phase::Run).is_some(),
            None => self.cell().there.is_set(),
        }
    }

    /// Waits until the host has ended, at most for `limit` if there is one, and returns its
    /// outcome then. Parks. May be called again.
    ///
    /// While somebody waits, output beyond the bounds is collected, as by
    /// [`Started::wait`](crate::Started::wait); and the command's input is closed, since who waits
    /// gives no more.
    pub fn wait(&self, limit: Option<Duration>) -> Option<&Outcome> {
        let scope = Scope::root().child(limit);
        let _letting = self.live.let_one_end(self.index);
        if self.await_place(&scope).is_ok() && !self.is_finished() {
            self.live.close_input_aside(self.index);
        }
        // At the end of the limit, whatever is known counts.
        let _ = self.cell().ended.wait(&scope);
        self.outcome()
    }

    /// Returns a reader of standard output, from the first byte that was not given yet.
    pub fn stdout(&self) -> OutputReader {
        OutputReader::new(self, OutputStream::Stdout)
    }

    /// Returns a reader of standard error, from the first byte that was not given yet.
    pub fn stderr(&self) -> OutputReader {
        OutputReader::new(self, OutputStream::Stderr)
    }

    /// Returns a reader of both streams as their bytes came, from the first of each that was not
    /// given yet.
    pub fn output(&self) -> MergedReader {
        MergedReader::new(self)
    }

    /// Returns how many bytes of a stream wait to be read.
    pub fn unread(&self, stream: OutputStream) -> u64 {
        self.cell().spool.lock().stream(stream).unread()
    }

    /// Returns whether a stream was cut, because a bound was asked for:
    /// [`RunSpec::output_bytes_max`](crate::RunSpec::output_bytes_max).
    pub fn is_truncated(&self, stream: OutputStream) -> bool {
        self.cell().spool.lock().stream(stream).truncated
    }

    /// Writes all bytes to the command's standard input; waits until the host has accepted its
    /// command. Parks.
    ///
    /// A command that does not read takes no more than its window; one that prints what it reads,
    /// as `cat` does, takes no more once its unread output is at the bound: then another thread
    /// has to read it.
    ///
    /// # Errors
    /// The input is closed or the command has ended (`ApiMisuse`), the connection was lost, or the
    /// run was cancelled; some bytes may be written then, and no others can follow.
    pub fn write_stdin(&self, bytes: &[u8]) -> Result<(), Error> {
        let running = self.running()?;
        if self.cell().input_closed.load(Ordering::Acquire) {
            return Err(ApiMisuse::StdinClosed.into());
        }
        running.write_stdin(bytes, &self.cell().scope)
    }

    /// Closes the command's standard input, as its end; waits until the host has accepted its
    /// command. Parks.
    ///
    /// # Errors
    /// As [`HostRun::write_stdin`].
    pub fn close_stdin(&self) -> Result<(), Error> {
        let running = self.running()?;
        if self.cell().input_closed.swap(true, Ordering::AcqRel) {
            return Err(ApiMisuse::StdinClosed.into());
        }
        running.close_stdin(&self.cell().scope)
    }

    /// Sends the command a signal by its name without `SIG`; waits until the host has accepted its
    /// command. Parks.
    ///
    /// OpenSSH passes on `INT`, `TERM`, `KILL` and a few others, to the command's process group.
    ///
    /// # Errors
    /// The command has ended (`ApiMisuse`), the connection was lost, or the run was cancelled.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        self.running()?.signal(name, &self.cell().scope)
    }

    /// Gives the host up where it is: its channel is closed, and it ends as [`End::Cancelled`] with
    /// the output it gave until then. For commands that never end. Does not wait.
    ///
    /// A host that waits for its turn ends when that comes. What a command does when its channel
    /// is closed under it is up to the host: without a terminal, OpenSSH leaves it to find out.
    pub fn close(&self) {
        self.cell().scope.cancel();
    }

    /// Returns the command once the host has accepted it. Parks.
    fn running(&self) -> Result<Arc<dyn Running>, Error> {
        let cell = self.cell();
        // A host that is closed comes to its end all the same.
        let _ = self.await_place(&Scope::root());
        let running = cell.running.lock().clone();
        running.ok_or_else(|| ApiMisuse::StdinClosed.into())
    }

    /// Waits until the host has accepted its command, or ended. Parks.
    fn await_place(&self, scope: &Scope) -> Result<(), Stop> {
        let cell = self.cell();
        loop {
            let sequence = cell.readers.sequence();
            if cell.there.is_set() {
                return Ok(());
            }
            // A host that has to wait for others' ends would wait for their readers.
            let _letting = self.live.let_begin(self.index);
            if let Some(ticket) = cell.readers.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    pub(super) fn cell(&self) -> &super::shared::Cell {
        &self.live.cells[self.index]
    }
}

impl fmt::Debug for HostRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostRun")
            .field("index", &self.index)
            .field("host", self.host())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
