//! A command on all hosts that is read, fed and waited for while it runs.
//!
//! The principal types are [`Started`] and [`HostRun`]. What hosts print waits for its readers
//! within bounds, beyond which a host is held up (P4); while somebody waits for hosts' ends, what
//! is beyond the bounds is collected instead, in memory and then in the run's temporary file.

use std::io;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::{Interest, Scope};
use sshoal_session::OutputStream;

use crate::engine::Engine;
use crate::outcome::StopCause;
use crate::report::Report;
use crate::run::{Flights, RunHandle, RunState};

mod budget;
mod fifo;
mod host;
mod line;
pub(crate) mod measured;
mod options;
mod reader;
mod shared;
mod spool;
#[cfg(test)]
mod tests;
mod text;
mod turns;

pub use host::HostRun;
pub use line::{Line, LineEnding};
pub(crate) use options::LiveOptions;
pub use reader::{Lines, MergedReader, OutputReader, ReadError};
pub(crate) use shared::{Held, Live};
pub use text::{Encoding, OnBadBytes, TextLines};

use reader::LINE_BYTES_MAX;
use spool::Which;

/// A command that was started on all hosts of a pool; [`Pool::start`](crate::Pool::start) makes it.
///
/// [`Started::hosts`] has a handle for each host, in input order. Dropping this cancels the hosts
/// that have not ended, without a wait; their handles, and what they have printed, stay.
///
/// # Unread output
///
/// While nobody reads a host and nobody waits for it, at most 256 KiB of its output are taken in,
/// and at most 64 MiB of all hosts'; then hosts wait until somebody does, as a process waits that
/// writes to a full pipe. [`RunSpec`](crate::RunSpec) sets both. Memory is given back as output is
/// read.
#[derive(Debug)]
#[must_use = "a run that is dropped is cancelled"]
pub struct Started {
    engine: Arc<Engine>,
    state: Arc<RunState>,
    live: Arc<Live>,
    hosts: Vec<HostRun>,
}

/// Which hosts have taken their command; [`Started::accepted`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct Accepted {
    /// Hosts that have accepted their command, by index; it may have ended since.
    pub accepted: Vec<usize>,
    /// Hosts that have ended without, by index.
    pub failed: Vec<usize>,
    /// Hosts that are not there yet, by index.
    pub waiting: Vec<usize>,
}

/// Which hosts have ended; [`Started::wait`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct Waited {
    /// Hosts that have ended, by index, in whatever way.
    pub finished: Vec<usize>,
    /// Hosts that have not, by index. They go on.
    pub unfinished: Vec<usize>,
}

/// Hosts as they end, from the first; [`Started::ended`] makes it.
///
/// Each iterator gives every host once. While one waits, hosts are let end as by [`Started::wait`].
#[derive(Debug)]
pub struct Ended {
    live: Arc<Live>,
    given: usize,
}

impl Started {
    pub(crate) fn new(engine: &Arc<Engine>, state: Arc<RunState>) -> Self {
        let live = state.live.clone().expect("the run was made to be read");
        let hosts = (0..live.hosts.len())
            .map(|host| HostRun::new(&live, host))
            .collect();
        Self {
            engine: Arc::clone(engine),
            state,
            live,
            hosts,
        }
    }

    /// Waits until every host has accepted its command or has ended without, at most for `limit`
    /// if there is one; says who is where. Parks. May be called again.
    ///
    /// Where the pool is smaller than the list of hosts, hosts wait for others to end, as they do
    /// where other runs have all of its places: then this comes back only when the last one has had its turn, and meanwhile hosts are let end as by
    /// [`Started::wait`]; their input stays open.
    pub fn accepted(&self, limit: Option<Duration>) -> Accepted {
        let scope = Scope::root().child(limit);
        // At the end of the limit, whoever is there counts.
        let _ = self.live.await_all(&scope);
        let mut all = Accepted::default();
        for host in &self.hosts {
            let to = match host.outcome() {
                _ if host.is_accepted() => &mut all.accepted,
                Some(_) => &mut all.failed,
                None => &mut all.waiting,
            };
            to.push(host.index());
        }
        all
    }

    /// Returns the hosts in input order; one that is listed twice is there twice.
    pub fn hosts(&self) -> &[HostRun] {
        &self.hosts
    }

    /// Returns a host by its index.
    ///
    /// # Panics
    /// There is no host with this index.
    pub fn host(&self, index: usize) -> &HostRun {
        &self.hosts[index]
    }

    /// Returns the hosts of a name, all of them where it is listed more than once.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HostRun> {
        self.hosts
            .iter()
            .filter(move |host| host.host().name() == name)
    }

    /// Returns an iterator of hosts in the order in which they end; those that have ended come
    /// first.
    pub fn ended(&self) -> Ended {
        Ended {
            live: Arc::clone(&self.live),
            given: 0,
        }
    }

    /// Waits until every host has ended, at most for `limit` if there is one: that is the time for
    /// all hosts together, whatever the pool size. Parks. May be called again.
    ///
    /// While somebody waits, hosts are not held up: output beyond the bounds is collected, up to
    /// 1 MiB a host in memory and then in a temporary file, so that it can be read after the wait
    /// however much it is; [`RunSpec::output_bytes_max`](crate::RunSpec::output_bytes_max) cuts it.
    /// And who waits gives no more input: the input of each command that nobody has closed is
    /// closed. [`Started::is_finished`] asks without either.
    pub fn wait(&self, limit: Option<Duration>) -> Waited {
        self.live.end_input();
        let _letting = self.live.let_end();
        // At the end of the limit, whoever has ended counts.
        let _ = self.live.over.wait(&Scope::root().child(limit));
        self.waited()
    }

    /// As [`Started::wait`], and gives all output that nobody else reads to `sink`, in pieces as
    /// they are there, those of a host in order. Nothing is collected: a sink that is slow holds
    /// the hosts up.
    ///
    /// # Errors
    /// The temporary file, with output of an earlier wait, could not be read.
    pub fn wait_with(
        &self,
        limit: Option<Duration>,
        mut sink: impl FnMut(&HostRun, OutputStream, &[u8]),
    ) -> io::Result<Waited> {
        let mut buf = vec![0; TURN_BYTES];
        self.consume(limit, |host| {
            let (stream, len) = self.live.read(host.index(), Which::Both, &mut buf)?;
            if len > 0 {
                sink(host, stream, &buf[..len]);
            }
            Ok(len)
        })
    }

    /// As [`Started::wait_with`], by lines; one that is longer than 256 KiB comes in pieces. A line
    /// that has not come to its end when the limit runs out is kept for who reads next.
    ///
    /// # Errors
    /// As [`Started::wait_with`].
    pub fn wait_with_lines(
        &self,
        limit: Option<Duration>,
        mut sink: impl FnMut(&HostRun, OutputStream, &Line),
    ) -> io::Result<Waited> {
        self.consume(limit, |host| {
            let line = self
                .live
                .take_line(host.index(), Which::Both, LINE_BYTES_MAX)?;
            let Some((stream, line)) = line else {
                return Ok(0);
            };
            sink(host, stream, &line);
            Ok(line.with_terminator().len())
        })
    }

    /// Returns whether every host has ended. Does not wait.
    pub fn is_finished(&self) -> bool {
        self.hosts.iter().all(HostRun::is_finished)
    }

    /// Returns a handle to stop the run, or to ask after it, from another thread.
    pub fn handle(&self) -> RunHandle {
        RunHandle::new(&self.engine, &self.state)
    }

    /// Stops the run, as [`RunHandle::cancel`] does.
    pub fn cancel(&self) {
        self.engine
            .stop(&self.state, StopCause::Caller, Flights::End);
    }

    /// Returns what stopped the run early, if anything did.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.state.stopped.get().copied()
    }

    /// Waits for all hosts, as [`Started::wait`] does, and returns their outcomes in input order,
    /// with what is unread as their output. Parks.
    ///
    /// # Errors
    /// Unread output could not be read from the temporary file, or written to it.
    pub fn into_report(self) -> io::Result<Report> {
        // Without a limit, all have ended then.
        let _ = self.wait(None);
        let mut buf = vec![0; TURN_BYTES];
        let mut outcomes = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            let mut output = self.live.output();
            loop {
                let (stream, len) = self.live.read(host.index(), Which::Both, &mut buf)?;
                if len == 0 {
                    break;
                }
                output.append(stream, &buf[..len])?;
            }
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                if host.is_truncated(stream) {
                    output.mark_truncated(stream);
                }
            }
            // All have ended: each has one.
            outcomes.extend(host.outcome().map(|outcome| outcome.with_output(output)));
        }
        Ok(Report::new(outcomes, self.stopped_by()))
    }

    /// Gives each host that has something its turns, until all have ended or the limit runs out.
    /// `take` returns how many bytes it took, 0 if nothing is there.
    fn consume(
        &self,
        limit: Option<Duration>,
        mut take: impl FnMut(&HostRun) -> io::Result<usize>,
    ) -> io::Result<Waited> {
        let live = &self.live;
        live.end_input();
        let scope = Scope::root().child(limit);
        let _consuming = live.consume();
        while scope.check().is_ok() {
            let sequence = live.consuming.sequence();
            // In this order: what is ready once all have ended is all there is.
            let over = live.over.is_set();
            let Some(host) = live.next_ready() else {
                if over {
                    break;
                }
                let ticket = live.consuming.register(sequence, Interest::BOTH);
                if ticket.is_some_and(|ticket| ticket.wait(&scope).is_err()) {
                    break;
                }
                continue;
            };
            let mut turn = Turn {
                live,
                host: Some(host),
            };
            let mut taken = 0;
            // One that prints without end leaves turns to others.
            while taken < TURN_BYTES {
                match take(&self.hosts[host])? {
                    0 => {
                        turn.host = None;
                        break;
                    }
                    bytes => taken += bytes,
                }
            }
        }
        Ok(self.waited())
    }

    fn waited(&self) -> Waited {
        let (finished, unfinished) =
            (0..self.hosts.len()).partition(|host| self.hosts[*host].is_finished());
        Waited {
            finished,
            unfinished,
        }
    }
}

/// A host whose output is being consumed: unless all of it was, it is ready again for the next
/// turn, also where a sink panics and its caller goes on.
struct Turn<'a> {
    live: &'a Live,
    host: Option<usize>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(host) = self.host {
            self.live.tell_consumers(host);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.is_finished() {
            self.cancel();
        }
    }
}

impl Accepted {
    /// Returns whether every host has accepted its command.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.waiting.is_empty()
    }
}

impl Waited {
    /// Returns whether every host has ended.
    pub fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }
}

impl Iterator for Ended {
    type Item = HostRun;

    /// Parks until another host has ended; `None` when all have.
    fn next(&mut self) -> Option<HostRun> {
        let live = &self.live;
        if self.given == live.hosts.len() {
            return None;
        }
        let mut letting = None;
        loop {
            let sequence = live.ends.sequence();
            let next = live.ended.lock().get(self.given).copied();
            if let Some(host) = next {
                self.given += 1;
                return Some(HostRun::new(live, host));
            }
            if letting.is_none() {
                live.end_input();
                letting = Some(live.let_end());
            }
            if let Some(ticket) = live.ends.register(sequence, Interest::BOTH) {
                // Without a limit it ends by being woken.
                let _ = ticket.wait(&Scope::root());
            }
        }
    }
}

impl FusedIterator for Ended {}

/// How much one host gives before others have their turn, and what is moved at once.
const TURN_BYTES: usize = 32 * 1024;

/// Handles go wherever they are needed.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Started>();
    shared::<HostRun>();
    shared::<OutputReader>();
    shared::<MergedReader>();
    shared::<Lines>();
    shared::<TextLines>();
    shared::<Ended>();
    shared::<RunHandle>();
    shared::<crate::Run>();
    shared::<crate::Pool>();
};
