//! What the workers and the caller share of one run.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use sshoal_reactor::sync::{Event as Flag, Queue, Semaphore};
use sshoal_reactor::{Scope, Stop};
use sshoal_session::{Error, Launch, OutputStream, Timings};

use crate::commands::Resolved;
use crate::each::{Ends, Reached};
use crate::engine::{Engine, Settings};
use crate::event::{Collect, Detail, Event, Item};
use crate::input::Feed;
use crate::live::{Live, LiveOptions};
use crate::outcome::{Outcome, StopCause, Visit};
use crate::output::HostOutput;
use crate::run::telling::{EVENTS_PER_HOST, RETRIES_HELD_MAX};
use crate::run::traced::Traced;
use crate::schedule::RunId;
use crate::stop::{Failures, StopAfter};
use crate::store::Store;
use crate::worker::CHUNK_MAX;

/// Whether hosts in flight end with the run, or by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flights {
    End,
    Leave,
}

/// What is done with a session.
pub(crate) enum Job {
    Command {
        bytes: Resolved,
        launch: Launch,
        input: Option<Arc<Feed>>,
    },
    Program(Program),
}

impl Job {
    /// Returns what commands are fed from.
    pub(crate) fn input(&self) -> Option<&Arc<Feed>> {
        match self {
            Self::Command { input, .. } => input.as_ref(),
            Self::Program(_) => None,
        }
    }
}

/// Runs on the host's worker; the pool keeps no result of it.
pub(crate) type Program = Box<dyn Fn(&Reached<'_>) + Send + Sync>;

/// What the workers and the caller share of one run.
pub(crate) struct RunState {
    pub(crate) id: RunId,
    pub(crate) job: Job,
    pub(crate) detail: Detail,
    pub(crate) collect: Collect,
    /// Ends at the run's deadline, or when it is cancelled; hosts in flight work within it.
    pub(crate) scope: Scope,
    /// Set before the scope is cancelled, so that who sees it end can tell why.
    pub(crate) stopped: OnceLock<StopCause>,
    /// The time in which commands in flight are to be ended when the run is cancelled; without it
    /// they are left to their hosts.
    pub(crate) end_within: OnceLock<Duration>,
    /// Set when every host has its outcome.
    pub(crate) over: Flag,
    /// Events to take: room for `EVENTS_PER_HOST`, for the retries that `retries` admits, and for
    /// as much output as `room` does, so that nobody waits to put one here.
    pub(super) items: Queue<Item>,
    /// Permits for pieces of output in `items`, each of `CHUNK_MAX` bytes at most.
    room: Semaphore,
    /// Permits for retries in `items`, which a host may have without end.
    pub(super) retries: Semaphore,
    /// When the run began, from where events are timed.
    pub(super) began: Instant,
    /// The spans of hosts, where they are wanted.
    pub(crate) traced: Traced,
    store: Arc<Store>,
    output_bytes_max: Option<u64>,
    pub(super) hosts: usize,
    /// Counts the failures that may stop the run.
    pub(crate) failures: Option<Failures>,
    delivered: AtomicUsize,
    /// Hosts that were begun and put back. A leaf lock.
    earlier: Mutex<HashMap<usize, Earlier>>,
    /// What readers share of a run that is read while it goes on; outcomes go there then.
    pub(crate) live: Option<Arc<Live>>,
    /// The ends and the scopes of a program's hosts.
    pub(crate) ends: Option<Arc<Ends>>,
}

/// What is known of a host that was begun and put back.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) visit: Visit,
    began: Instant,
    /// What went wrong with the last connection, if that is why.
    pub(crate) failed: Option<(Error, Timings)>,
}

impl Earlier {
    pub(crate) fn new(visit: Visit, began: Instant) -> Self {
        Self {
            visit,
            began,
            failed: None,
        }
    }

    pub(crate) fn failed((visit, began): (Visit, Instant), failed: (Error, Timings)) -> Self {
        Self {
            failed: Some(failed),
            ..Self::new(visit, began)
        }
    }
}

impl RunState {
    pub(crate) fn new(
        id: RunId,
        job: Job,
        (detail, collect): (Detail, Collect),
        hosts: usize,
        settings: &Settings,
    ) -> Self {
        let scope = Scope::root().child(settings.deadline);
        let is_program = matches!(job, Job::Program(_));
        let room = settings.event_bytes_max.div_ceil(CHUNK_MAX).max(1);
        let folder = settings.spill_folder.clone();
        Self {
            id,
            job,
            detail,
            collect,
            ends: is_program.then(|| Arc::new(Ends::new(hosts, &scope))),
            scope,
            stopped: OnceLock::new(),
            end_within: OnceLock::new(),
            over: Flag::new(),
            items: Queue::bounded(hosts * EVENTS_PER_HOST + RETRIES_HELD_MAX + room),
            room: Semaphore::new(room),
            retries: Semaphore::new(RETRIES_HELD_MAX),
            began: Instant::now(),
            traced: Traced::new(),
            store: Arc::new(Store::new(settings.memory_bytes_max, folder)),
            output_bytes_max: settings.output_bytes_max,
            hosts,
            failures: None,
            delivered: AtomicUsize::new(0),
            earlier: Mutex::default(),
            live: None,
        }
    }

    /// Makes it a run that stops by itself.
    pub(crate) fn stop_after(mut self, spec: Option<StopAfter>) -> Self {
        self.failures = spec.map(|spec| Failures::new(spec, self.hosts));
        self
    }

    /// Makes it a run of commands that is read while it goes on.
    pub(crate) fn read_live(mut self, options: &LiveOptions, engine: &Engine) -> Self {
        let Job::Command { bytes, .. } = &self.job else {
            return self;
        };
        let of = (Arc::clone(&engine.hosts), bytes.clone());
        let output = (Arc::clone(&self.store), self.output_bytes_max);
        let live = Live::new(of, options, output, &self.scope);
        self.live = Some(Arc::new(live));
        self
    }

    /// Returns an empty output for a host.
    pub(crate) fn output(&self) -> HostOutput {
        HostOutput::new(&self.store, self.output_bytes_max)
    }

    /// Notes that a host is begun, again or for the first time; returns what is known of it.
    pub(crate) fn begin(&self, host: usize) -> (Visit, Instant) {
        if let Some(live) = &self.live {
            live.begun(host);
        }
        if let Some(earlier) = self.earlier.lock().remove(&host) {
            return (earlier.visit, earlier.began);
        }
        self.started(host);
        let started = Some(SystemTime::now());
        (
            Visit {
                started,
                ..Visit::default()
            },
            Instant::now(),
        )
    }

    /// Remembers a host that is put back.
    pub(crate) fn put_back(&self, host: usize, earlier: Earlier) {
        self.earlier.lock().insert(host, earlier);
        if let Some(live) = &self.live {
            live.put_back(host);
        }
    }

    /// Takes what is known of a host that waits.
    pub(crate) fn so_far(&self, host: usize) -> Earlier {
        match self.earlier.lock().remove(&host) {
            Some(mut earlier) => {
                earlier.visit.duration = earlier.began.elapsed();
                earlier
            }
            None => Earlier::new(Visit::default(), Instant::now()),
        }
    }

    /// Passes output on to the caller; parks while too much of it waits to be taken.
    pub(crate) fn pass_on(
        &self,
        index: usize,
        (stream, bytes): (OutputStream, &[u8]),
        scope: &Scope,
    ) -> Result<(), Stop> {
        let room = self.room.acquire(scope)?;
        let event = Event::Output {
            index,
            at: self.began.elapsed(),
            stream,
            bytes: bytes.to_vec(),
        };
        self.put(Item {
            event,
            _room: Some(room),
        });
        Ok(())
    }

    /// Hands a host's one outcome to the caller.
    pub(crate) fn deliver(&self, outcome: Outcome) {
        if let Some(input) = self.job.input() {
            input.ended(outcome.index());
        }
        self.ended(&outcome);
        let host = outcome.index();
        match &self.live {
            Some(live) => live.end(outcome),
            None => self.put(Item {
                event: Event::Finished(outcome),
                _room: None,
            }),
        }
        if let Some(ends) = &self.ends {
            ends.end(host);
        }
        // Counted after it was put: the last to count sees all of them put.
        if self.delivered.fetch_add(1, Ordering::AcqRel) + 1 == self.hosts {
            // In this order: who sees the iterator's end can count on the run being over.
            self.over.set();
            self.items.close();
            if let Some(live) = &self.live {
                live.end_all();
            }
        }
    }

    /// Takes the next event if there is one, without a wait.
    pub(crate) fn take(&self) -> Option<Event> {
        self.items.try_pop().map(|item| item.event)
    }

    pub(super) fn put(&self, item: Item) {
        // Refused only if the caller dropped the run; nobody misses it then.
        let _ = self.items.push(item, &Scope::root());
    }
}

impl fmt::Debug for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunState")
            .field("hosts", &self.hosts)
            .field("delivered", &self.delivered)
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}
