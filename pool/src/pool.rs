//! Many hosts over a fixed number of sessions: what a pool is asked.
//!
//! The principal type is [`Pool`].

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_session::{Config, Host, Launch};

use crate::commands::Commands;
use crate::configs::Configs;
use crate::connector::Connected;
use crate::each::{Each, Reached, Values};
use crate::engine::Engine;
use crate::error::{PoolError, RunError};
use crate::event::{Collect, Detail};
use crate::input::Input;
use crate::live::Started;
use crate::run::{Job, Run, RunSpec, RunState};
use crate::stop::StopAfter;
use crate::worker;

mod builder;

use builder::Pace;
pub use builder::{KeepOpen, OnTimeout, OpenAhead, PoolBuilder};

/// Hosts, how to reach them, and how many at once.
///
/// A pool may have several runs at once, from several threads; its bounds hold for all of them
/// together. Dropping it gives up sessions that are kept open, without a wait; runs under way go
/// on until they end.
#[derive(Debug)]
pub struct Pool {
    pub(crate) engine: Arc<Engine>,
    /// What the builder was asked for, for a pool of other hosts.
    asked: (Option<NonZeroUsize>, Pace),
}

impl Pool {
    /// Returns a builder of a pool of these hosts; a host that is listed twice runs twice.
    pub fn builder(hosts: impl Into<Vec<Host>>, config: Arc<Config>) -> PoolBuilder {
        PoolBuilder::new(hosts.into(), config)
    }

    /// Starts a command on all hosts. Does not wait.
    ///
    /// # Errors
    /// There is not one command for each host, or one of them cannot be made or launched, or the
    /// input cannot be opened; nothing is run then.
    pub fn run(&self, spec: impl Into<RunSpec>) -> Result<Run, RunError> {
        let RunSpec {
            commands,
            launch,
            detail,
            collect,
            stop_after,
            live: _,
            input,
        } = spec.into();
        let job = self.job(&commands, launch, input)?;
        let engine = &self.engine;
        let (hosts, told) = (engine.hosts.len(), (detail, collect));
        let make =
            |id| RunState::new(id, job, told, hosts, &engine.settings).stop_after(stop_after);
        Ok(Run::new(engine, engine.submit(make)))
    }

    /// Makes a run's commands and opens its input; everything that can be wrong with them is told
    /// here.
    fn job(
        &self,
        commands: &Commands,
        launch: Launch,
        input: Option<Input>,
    ) -> Result<Job, RunError> {
        let engine = &self.engine;
        let bytes = commands.resolve((self.hosts(), &engine.configs), &launch)?;
        let open = |input: Input| {
            let folder = engine.settings.spill_folder.clone();
            input.open(self.hosts().len(), folder)
        };
        // Nothing as an input is its end, which costs no packet of its own.
        let input = input.filter(|input| !input.is_empty());
        let input = input.map(open).transpose()?;
        Ok(Job::Command {
            bytes,
            launch,
            input,
        })
    }

    /// Starts a command on all hosts, whose output is read and whose input is written while it
    /// runs: what comes back has a handle for each host. Does not wait;
    /// [`Started::accepted`] waits until the commands run.
    ///
    /// [`RunSpec::detail`] says nothing here, there are no events.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub fn start(&self, spec: impl Into<RunSpec>) -> Result<Started, RunError> {
        let mut spec: RunSpec = spec.into();
        let (engine, told) = (&self.engine, (Detail::Outcomes, spec.collect));
        if spec.input.is_some() {
            spec.live = spec.live.with_input();
        }
        let job = self.job(&spec.commands, spec.launch, spec.input)?;
        let make = |id| {
            let state = RunState::new(id, job, told, engine.hosts.len(), &engine.settings);
            let state = state.stop_after(spec.stop_after);
            state.read_live(&spec.live, engine)
        };
        Ok(Started::new(engine, engine.submit(make)))
    }

    /// Starts a program on all hosts: a closure that is called once per host, on a green thread,
    /// with the host's session open. Does not wait.
    ///
    /// A panic in it ends that host alone, as [`Error::Internal`](sshoal_session::Error). The
    /// deadline and a cancellation reach waits of the program that are given its scope; neither
    /// the command timeout nor a cancellation ends code that does not look. A green thread's
    /// stack has 64 KiB: large buffers belong on the heap.
    pub fn each<T, F>(&self, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.program(program, None, Detail::Outcomes)
    }

    /// As [`Pool::each`], and begins no more hosts after as many failures as `stop_after` allows.
    /// A host fails that is not reached, or for which the program panics or calls
    /// [`Reached::count_as_failed`]. Does not wait.
    pub fn each_until<T, F>(&self, stop_after: StopAfter, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.program(program, Some(stop_after), Detail::Outcomes)
    }

    /// As [`Pool::each`], or [`Pool::each_until`] where there is a `stop_after`, and tells how far
    /// each host has come: see [`Each::next_told`]. Does not wait.
    pub fn each_told<T, F>(&self, stop_after: Option<StopAfter>, program: F) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        self.program(program, stop_after, Detail::Progress)
    }

    fn program<T, F>(&self, program: F, stop_after: Option<StopAfter>, detail: Detail) -> Each<T>
    where
        T: Send + 'static,
        F: Fn(&Reached<'_>) -> T + Send + Sync + 'static,
    {
        let values = Values::default();
        let shared = Arc::clone(&values);
        let program = Box::new(move |host: &Reached<'_>| {
            let value = program(host);
            shared.lock().insert(host.index(), value);
        });
        let (engine, job) = (&self.engine, Job::Program(program));
        let told = (detail, Collect::No);
        let make = |id| {
            let state = RunState::new(id, job, told, engine.hosts.len(), &engine.settings);
            state.stop_after(stop_after)
        };
        Each::new(Run::new(engine, engine.submit(make)), values)
    }

    /// Returns the hosts in input order.
    pub fn hosts(&self) -> &[Host] {
        &self.engine.hosts
    }

    /// Returns the configuration of a host by its index.
    ///
    /// # Panics
    /// The pool has no host with this index.
    pub fn config(&self, index: usize) -> &Arc<Config> {
        assert!(index < self.hosts().len(), "there is no host {index}");
        self.engine.configs.of(index)
    }

    /// Returns how many sessions may be live at once: what was asked for, at most one per host,
    /// and no more than this machine allowed when the pool was made.
    pub fn size(&self) -> usize {
        self.engine.bounds.size
    }

    /// Closes idle sessions in order; those still at work are closed when they are done. Parks
    /// until the idle ones are closed, each within its bounded time.
    pub fn close(self) {
        let sessions = self.engine.close();
        let sessions = sessions.into_iter().map(|(_, session)| session);
        close_all(&self.engine, sessions.collect());
    }

    /// Starts opening the sessions of all hosts ahead of their use; see [`KeepOpen`], without which
    /// they are closed again. Does not wait: what it returns tells host by host how it went.
    ///
    /// With more hosts than the pool's size, the sessions opened first give way to the others.
    pub fn connect(&self) -> Each<()> {
        self.each(|_| ())
    }

    /// Makes a pool of other hosts that is like this one in all else.
    pub(crate) fn with_hosts(&self, hosts: Vec<Host>, configs: Configs) -> Result<Self, PoolError> {
        let (size, pace) = self.asked;
        let settings = self.engine.settings.clone();
        let builder = PoolBuilder::of((hosts, configs), (size, pace), settings);
        builder.build_on(Arc::clone(&self.engine.connector))
    }

    /// Returns the limit until a host's command is accepted.
    pub(crate) fn opening_limit(&self, index: usize) -> Option<Duration> {
        let own = || self.engine.configs.of(index).connect_timeout();
        self.engine.settings.connect_timeout.unwrap_or_else(own)
    }

    pub(crate) fn shared_hosts(&self) -> Arc<[Host]> {
        Arc::clone(&self.engine.hosts)
    }
}

/// Closes sessions in order, many at once, and gives back their places. Parks.
pub(crate) fn close_all(engine: &Arc<Engine>, sessions: Vec<Arc<dyn Connected>>) {
    let (count, queue) = (sessions.len(), Arc::new(Mutex::new(sessions)));
    let close_each = |engine: &Arc<Engine>, queue: &Mutex<Vec<Arc<dyn Connected>>>| {
        loop {
            let Some(session) = queue.lock().pop() else {
                return;
            };
            worker::close(&*session);
            engine.release();
            engine.hand_out();
        }
    };
    let closers: Vec<_> = (1..count.min(CLOSERS_MAX))
        .filter_map(|_| {
            let (engine, queue) = (Arc::clone(engine), Arc::clone(&queue));
            sshoal_reactor::spawn(move || close_each(&engine, &queue)).ok()
        })
        .collect();
    close_each(engine, &queue);
    for closer in closers {
        // A closer cannot panic: each close is caught by itself.
        let _ = closer.join();
    }
}

/// Green threads that close sessions at once.
const CLOSERS_MAX: usize = 64;
