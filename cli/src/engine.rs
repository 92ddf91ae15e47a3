//! The library's run, behind the messages of the main thread.
//!
//! A thread of its own takes the pool's events, because the main thread listens to signals too.

use std::sync::Arc;
use std::sync::mpsc::SendError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sshoal::{
    Collect, Commands, Config, Detail, Each, EachEvent, Event, Events, Fleet, Host, Input, Launch,
    OnTimeout, Phase, Reached, RunHandle, RunSpec, StopAfter, StopCause, Visited,
};

use crate::drive::{Message, Messages};
use crate::plan::Pace;
use crate::record::Record;
use crate::room;
use crate::waves::{Control, renumber};
use crate::workers::Workers;

/// A command for a host list.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) hosts: Vec<Host>,
    pub(crate) commands: Commands,
    /// How the command is launched, and what it finds on its standard input.
    pub(crate) launch: (Launch, Option<Input>),
    /// By host, in input order.
    pub(crate) configs: Vec<Arc<Config>>,
    pub(crate) pace: Pace,
    /// What becomes of commands whose time is over.
    pub(crate) on_timeout: OnTimeout,
    /// Whether output is wanted as it comes.
    pub(crate) detail: Detail,
    /// Whether output is wanted whole, at each host's end.
    pub(crate) collect: Collect,
    /// What has the sessions, if not this process.
    pub(crate) workers: Option<Workers>,
}

/// A handle of a job under way.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    handle: Handle,
    what: What,
}

/// By what it is stopped.
#[derive(Debug, Clone)]
enum Handle {
    Run(RunHandle),
    Waves(Control),
}

/// What the hosts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Commands,
    Copies,
    Files,
}

impl Running {
    /// Begins the job; what happens goes to `messages`, [`Message::Over`] last.
    ///
    /// # Errors
    /// Fails if the fleet cannot be made; nothing was run then.
    pub(crate) fn start(job: Job, messages: Messages) -> Result<Self> {
        let (fleet, events) = begin(job)?;
        let handle = Handle::Run(events.handle());
        let forward = move || {
            if forward_all(events, &messages, |_| {}).is_ok() {
                drop(fleet);
                let _ = messages.send(Message::Over);
            }
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(forward)
            .context("cannot begin")?;
        Ok(Self {
            handle,
            what: What::Commands,
        })
    }

    /// Takes waves of commands that are under way.
    pub(crate) fn waves(control: Control) -> Self {
        Self {
            handle: Handle::Waves(control),
            what: What::Commands,
        }
    }

    /// Begins a program on the hosts of a fleet; `fails` says of what it returned whether the host
    /// counts as failed for `stop_after`.
    pub(crate) fn each<T: Send + 'static>(
        fleet: &Fleet,
        stop_after: Option<StopAfter>,
        program: impl Fn(&Reached<'_>) -> T + Send + Sync + 'static,
        fails: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Each<T> {
        fleet.each_told(stop_after, move |host| {
            let done = program(host);
            if fails(&done) {
                host.count_as_failed();
            }
            done
        })
    }

    /// Takes copies or work on files under way on the hosts at these positions of the list, and makes
    /// each one's record by `record`, which is told its position; what happens goes to `messages`,
    /// [`Message::Over`] last.
    ///
    /// # Errors
    /// Fails if there is no thread for it; the work is cancelled then.
    pub(crate) fn programs<T: Send + 'static>(
        (what, whom): (What, Arc<[usize]>),
        (mut each, fleet): (Each<T>, Fleet),
        record: impl Fn(usize, Visited<T>, Option<StopCause>) -> Record + Send + 'static,
        messages: Messages,
    ) -> Result<Self> {
        let handle = Handle::Run(each.handle());
        let pass = move || {
            while let Some(told) = each.next_told() {
                let visited = match told {
                    EachEvent::Visited(visited) => visited,
                    // That it returned is not how it ended.
                    EachEvent::Event(Event::Exit { .. }) => continue,
                    EachEvent::Event(mut event) => {
                        renumber(&mut event, &whom);
                        if messages.send(Message::Events(vec![event])).is_err() {
                            return;
                        }
                        continue;
                    }
                    _ => continue,
                };
                let stop = each.stopped_by();
                let left_out = visited.outcome().stopped_by() == Some(StopCause::Failures);
                let index = whom[visited.index()];
                let record = Box::new(record(index, visited, stop));
                // Those that were under way went on to their end.
                let stop = stop.filter(|stop| left_out || *stop != StopCause::Failures);
                if messages.send(Message::Ended(record, stop)).is_err() {
                    return;
                }
            }
            drop(fleet);
            let _ = messages.send(Message::Over);
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(pass)
            .context("cannot begin")?;
        Ok(Self { handle, what })
    }

    /// Begins no more hosts.
    pub(crate) fn stop_launching(&self) {
        match &self.handle {
            Handle::Run(handle) => handle.stop_starting(),
            Handle::Waves(control) => control.stop_launching(),
        }
    }

    /// Ends every host, and the commands that run on them.
    pub(crate) fn end(&self) {
        match (&self.handle, self.what) {
            (Handle::Run(handle), What::Commands) => handle.cancel_and_end(END_WITHIN),
            (Handle::Run(handle), _) => handle.cancel(),
            (Handle::Waves(control), _) => control.end(END_WITHIN),
        }
    }

    /// Returns what the hosts do, for people.
    pub(crate) fn what(&self) -> &'static str {
        match self.what {
            What::Commands => "commands",
            What::Copies => "copies",
            What::Files => "work",
        }
    }

    /// Returns the phase in which hosts do what they are for.
    pub(crate) fn phase(&self) -> &'static str {
        let phase = match self.what {
            What::Copies => Phase::Transfer,
            What::Commands | What::Files => Phase::Run,
        };
        phase.as_str()
    }

    /// Returns the phase that a host is in behind an event; `None` of one that says nothing of it.
    pub(crate) fn doing(&self, event: &Event) -> Option<&'static str> {
        Some(match event {
            Event::Started { .. } | Event::Retry { .. } => Phase::Connect.as_str(),
            Event::Connected { .. } => Phase::Auth.as_str(),
            Event::Authenticated { .. } => Phase::Open.as_str(),
            Event::Accepted { .. } => self.phase(),
            _ => return None,
        })
    }

    /// Returns how many hosts have been begun and have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        match &self.handle {
            Handle::Run(handle) => {
                let progress = handle.progress();
                progress.connecting + progress.running
            }
            Handle::Waves(control) => control.in_flight(),
        }
    }
}

/// Begins the job's command on its hosts.
///
/// # Errors
/// Fails if the fleet cannot be made; nothing was run then.
pub(crate) fn begin(job: Job) -> Result<(Fleet, Events)> {
    room::make(job.hosts.len(), job.pace.par)?;
    let first = job.configs.first().context("no hosts")?.clone();
    let mut fleet = Fleet::builder(job.hosts, first)
        .configs(job.configs)
        .command_timeout(job.pace.command_timeout)
        .host_timeout(job.pace.host_timeout)
        .on_timeout(job.on_timeout)
        .deadline(job.pace.deadline)
        .rate(job.pace.rate)
        .retries(job.pace.retries)
        .retry_on(job.pace.retry_on)
        .pool(|pool| pool.output_bytes_max(job.pace.max_output));
    if let Some(par) = job.pace.par {
        fleet = fleet.pool_size(par);
    }
    if let Some(workers) = &job.workers {
        fleet = fleet.connector(workers.connector());
    }
    let fleet = fleet.build().context("cannot begin")?;
    let (launch, input) = job.launch;
    let mut spec = RunSpec::new(job.commands)
        .launch(launch)
        .detail(job.detail)
        .collect(job.collect);
    if let Some(stop_after) = job.pace.stop_after {
        spec = spec.stop_after(stop_after);
    }
    if let Some(input) = input {
        spec = spec.stdin(input);
    }
    let events = fleet.run(spec).context("cannot begin")?.events();
    Ok((fleet, events))
}

/// Passes events on, as many at once as there are, each after it was seen; fails when the main thread has given up, and
/// dropping the events then cancels what is left.
pub(crate) fn forward_all(
    mut events: Events,
    messages: &Messages,
    mut see: impl FnMut(&mut Event),
) -> Result<(), SendError<Message>> {
    let mut last = Instant::now();
    while let Some(first) = events.next() {
        let mut batch = vec![first];
        // A wake-up of this thread and of the main one costs more than an event's work, so a fleet
        // in full flow is let run on for a moment; a lone event is passed on at once.
        if last.elapsed() < PAUSE {
            thread::park_timeout(PAUSE);
        }
        last = Instant::now();
        while batch.len() < BATCH_MAX
            && let Some(event) = events.try_next()
        {
            batch.push(event);
        }
        batch.iter_mut().for_each(&mut see);
        messages.send(Message::Events(batch))?;
    }
    Ok(())
}

/// How long the commands of an interrupted run may take to be ended.
const END_WITHIN: Duration = Duration::from_millis(1_200);

/// Events passed on at once; with [`MESSAGES_MAX`](crate::drive::MESSAGES_MAX) and 32 KiB of
/// output in each at most, this bounds what waits for the main thread.
const BATCH_MAX: usize = 64;
/// How long events are gathered when they come one upon the other.
const PAUSE: Duration = Duration::from_millis(2);

/// Returns the libraries that are linked, a line each.
pub(crate) fn linked() -> Vec<String> {
    sshoal::versions().into()
}
