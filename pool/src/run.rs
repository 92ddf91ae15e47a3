//! One command on all hosts of a pool: what to run, and the handle of what runs.
//!
//! The principal types are [`RunSpec`] and [`Run`].

use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_reactor::sync::Watch;
use sshoal_session::{Host, Launch};

use crate::commands::Commands;
use crate::engine::Engine;
use crate::event::{Collect, Detail, Event};
use crate::input::Input;
use crate::live::LiveOptions;
use crate::outcome::{Outcome, StopCause};
use crate::report::Report;
use crate::stop::StopAfter;

mod state;
mod task;
mod telling;
#[cfg_attr(not(feature = "tracing"), path = "run/untraced.rs")]
mod traced;

pub(crate) use state::{Earlier, Flights, Job, RunState};

/// What a run does on each host.
///
/// Anything that is a command's bytes can stand for it: `pool.run("uptime")`.
#[derive(Debug, Clone)]
#[must_use]
pub struct RunSpec {
    pub(crate) commands: Commands,
    pub(crate) launch: Launch,
    pub(crate) detail: Detail,
    pub(crate) collect: Collect,
    pub(crate) stop_after: Option<StopAfter>,
    pub(crate) live: LiveOptions,
    pub(crate) input: Option<Input>,
}

/// A command under way on the hosts of a pool.
///
/// It is an iterator of outcomes in the order in which hosts end; it ends when all have. It takes
/// what has happened off the run and parks the calling thread, plain or green, until more has.
/// Dropping it cancels the run without waiting for it; see [`Run::cancel`].
#[derive(Debug)]
#[must_use = "a run that is dropped is cancelled"]
pub struct Run {
    engine: Arc<Engine>,
    state: Arc<RunState>,
    /// Never ends: a caller waits for a host's end, which always comes.
    waiting: Scope,
    /// The place of the task that takes from it, where that is one.
    watch: Watch,
    /// Whether handles of hosts take what comes when this is dropped.
    is_left_open: bool,
}

/// The events of a run, in the order in which they happened; [`Run::events`] makes it.
///
/// Dropping it cancels the run without waiting for it.
#[derive(Debug)]
pub struct Events {
    run: Run,
}

/// A handle to stop a run or ask after it from elsewhere; any number of clones.
#[derive(Debug, Clone)]
pub struct RunHandle {
    engine: Arc<Engine>,
    state: Arc<RunState>,
}

/// How many hosts of a run are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Not begun, or waiting for this machine to have room or for another try.
    pub waiting: usize,
    /// A session is being opened.
    pub connecting: usize,
    /// The command is being started, or runs.
    pub running: usize,
    /// Ended.
    pub ended: usize,
}

impl RunSpec {
    /// Returns a run of these commands.
    pub fn new(commands: impl Into<Commands>) -> Self {
        Self {
            commands: commands.into(),
            launch: Launch::default(),
            detail: Detail::default(),
            collect: Collect::default(),
            stop_after: None,
            live: LiveOptions::default(),
            input: None,
        }
    }

    /// Sets how commands are launched. Default: their bytes are run as they are.
    pub fn launch(mut self, launch: Launch) -> Self {
        self.launch = launch;
        self
    }

    /// Sets what all commands find on their standard input. Default: its end, at once; for runs by
    /// [`Pool::start`](crate::Pool::start), what
    /// [`HostRun::write_stdin`](crate::HostRun::write_stdin) gives, until it is closed or somebody
    /// waits for the command's end.
    pub fn stdin(mut self, input: impl Into<Input>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Sets which events the run makes. Default: [`Detail::Outcomes`].
    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    /// Sets whether outcomes hold the hosts' output. Default: [`Collect::Yes`].
    pub fn collect(mut self, collect: Collect) -> Self {
        self.collect = collect;
        self
    }

    /// Sets after how many failures no more hosts are begun. Default: never, all hosts are.
    pub fn stop_after(mut self, stop_after: StopAfter) -> Self {
        self.stop_after = Some(stop_after);
        self
    }
}

impl<T: Into<Commands>> From<T> for RunSpec {
    fn from(commands: T) -> Self {
        Self::new(commands)
    }
}

impl Run {
    pub(crate) fn new(engine: &Arc<Engine>, state: Arc<RunState>) -> Self {
        Self {
            engine: Arc::clone(engine),
            state,
            waiting: Scope::root(),
            watch: Watch::new(),
            is_left_open: false,
        }
    }

    /// Waits for all hosts that are left and returns their outcomes in input order. Parks.
    ///
    /// Of hosts whose outcomes were taken before, it has none: positions in it are then not those of
    /// the hosts, which [`Outcome::index`] tells.
    pub fn report(mut self) -> Report {
        let outcomes = self.by_ref().collect();
        Report::new(outcomes, self.stopped_by())
    }

    /// Calls `see` with each event as it comes, [`RunSpec::detail`] says which there are, and
    /// returns the outcomes of all hosts that are left, in input order. Parks.
    ///
    /// While `see` does not return, nothing is taken: hosts that print are stopped from printing
    /// on where their output is an event.
    pub fn for_each_event(mut self, mut see: impl FnMut(&Event)) -> Report {
        let mut outcomes = Vec::new();
        while let Some(event) = self.next_event() {
            see(&event);
            if let Event::Finished(outcome) = event {
                outcomes.push(outcome);
            }
        }
        Report::new(outcomes, self.stopped_by())
    }

    /// Turns the run into an iterator of its events; [`RunSpec::detail`] says which there are.
    #[must_use = "events that are dropped cancel the run"]
    pub fn events(self) -> Events {
        Events { run: self }
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

    /// Returns how many hosts the run is over.
    pub fn total(&self) -> usize {
        self.state.hosts
    }

    /// Returns what stopped the run early, if anything did.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.state.stopped.get().copied()
    }

    /// Lets what comes after this is dropped be put all the same: others take it.
    pub(crate) fn leave_open(&mut self) {
        self.is_left_open = true;
    }

    pub(crate) fn state(&self) -> &Arc<RunState> {
        &self.state
    }

    pub(crate) fn hosts(&self) -> Arc<[Host]> {
        Arc::clone(&self.engine.hosts)
    }

    /// Takes the next event; `None` when all hosts have ended. Parks.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let item = self.state.items.pop(&self.waiting).ok().flatten()?;
        Some(item.event)
    }
}

impl Iterator for Run {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        loop {
            if let Event::Finished(outcome) = self.next_event()? {
                return Some(outcome);
            }
        }
    }
}

impl FusedIterator for Run {}

impl Drop for Run {
    fn drop(&mut self) {
        self.state.items.unwatch(&mut self.watch);
        if !self.state.over.is_set() {
            if !self.is_left_open {
                // Nobody takes what comes from here on, and nothing waits to put it.
                self.state.items.close();
            }
            self.cancel();
        }
    }
}

impl Events {
    /// Returns a handle to stop the run, or to ask after it, from another thread.
    pub fn handle(&self) -> RunHandle {
        self.run.handle()
    }

    /// Takes the next event if there is one, without a wait; `None` says nothing of what comes.
    pub fn try_next(&mut self) -> Option<Event> {
        self.run.state.items.try_pop().map(|item| item.event)
    }

    /// Returns what stopped the run early, if anything did.
    pub fn stopped_by(&self) -> Option<StopCause> {
        self.run.stopped_by()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.run.next_event()
    }
}

impl FusedIterator for Events {}

impl RunHandle {
    pub(crate) fn new(engine: &Arc<Engine>, state: &Arc<RunState>) -> Self {
        Self {
            engine: Arc::clone(engine),
            state: Arc::clone(state),
        }
    }

    /// Stops the run: hosts that wait are not begun, those in flight are given up where they are.
    /// Each ends as [`End::Cancelled`](crate::End::Cancelled), with the output it gave until then.
    ///
    /// Does not wait; the outcomes come by the run's iterator as always. What a remote command
    /// does when its channel is closed under it is up to the host.
    pub fn cancel(&self) {
        self.engine
            .stop(&self.state, StopCause::Caller, Flights::End);
    }

    /// As [`RunHandle::cancel`], but commands in flight are ended on their hosts, within this time:
    /// `SIGTERM`, and after half of it `SIGKILL`. [`Outcome::ending`] says whether that worked.
    ///
    /// Does not wait; the outcomes come by the run's iterator, each once its command is ended or the
    /// time is over. Hosts that are being connected to are given up at once.
    pub fn cancel_and_end(&self, within: Duration) {
        // Before the run's scope ends: who sees its end can tell what is to be done.
        self.state.end_within.get_or_init(|| within);
        self.cancel();
    }

    /// Begins no more hosts, and lets those in flight end by themselves.
    pub fn stop_starting(&self) {
        self.engine
            .stop(&self.state, StopCause::Caller, Flights::Leave);
    }

    /// Returns how many hosts are where.
    pub fn progress(&self) -> Progress {
        let over = self.state.over.is_set();
        match self.engine.counts(self.state.id).filter(|_| !over) {
            Some(counts) => Progress {
                waiting: counts.waiting,
                connecting: counts.connecting,
                running: counts.running,
                ended: counts.ended,
            },
            None => Progress {
                ended: self.state.hosts,
                ..Progress::default()
            },
        }
    }
}
