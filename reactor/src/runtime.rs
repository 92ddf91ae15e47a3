//! What the process has one of: the scheduler, the shards, the timer, the offload pool.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::coroutine::{self, STACK_WORDS};
use crate::overflow;
use crate::poll::Shard;
use crate::source::Source;
use crate::timer::Timer;

/// How the reactor's loops run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Form {
    /// As green threads on the scheduler's workers: fewest system calls. The default.
    #[default]
    Green,
    /// As threads of their own: the fallback, and the other side of the comparison in `benches`.
    Thread,
}

/// Settings of the reactor, fixed at its first use.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Config {
    workers: Option<NonZeroUsize>,
    form: Form,
}

impl Config {
    /// Sets how many scheduler threads run green threads; default: one per core.
    pub fn workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Sets how the reactor's loops run; default: [`Form::Green`].
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }
}

/// The settings to come, until the runtime takes them at its start.
enum Settings {
    Default,
    Chosen(Config),
    Taken,
}

static SETTINGS: Mutex<Settings> = Mutex::new(Settings::Default);
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Chooses the reactor's settings; returns whether that came in time, before its first use.
pub fn configure(config: Config) -> bool {
    let mut settings = SETTINGS.lock();
    let in_time = !matches!(*settings, Settings::Taken);
    if in_time {
        *settings = Settings::Chosen(config);
    }
    in_time
}

pub(crate) struct Runtime {
    shards: Vec<Arc<Shard>>,
    next_shard: AtomicUsize,
    pub(crate) timer: Timer,
    /// The timer's registration, never ended.
    _timer_source: Source,
    pub(crate) workers: usize,
}

impl Runtime {
    /// Spreads registrations over the shards.
    pub(crate) fn next_shard(&self) -> &Shard {
        let next = self.next_shard.fetch_add(1, Ordering::Relaxed);
        &self.shards[next % self.shards.len()]
    }

    fn start(config: &Config) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = config.workers.map_or(cores, NonZeroUsize::get);
        // Law G2: everything is set before the first green thread. Pinning would fight with other
        // work on the machine; the idle poll would wake each worker a hundred times a second; the
        // pool is filled at the scheduler's start, so it starts small.
        let may = may::config();
        may.set_workers(workers)
            .set_stack_size(STACK_WORDS)
            .set_pool_capacity(workers);
        may.set_worker_pin(false);
        may.set_timeout_ns(IDLE_POLL_NS);
        coroutine::run_one()?;
        may.set_pool_capacity(POOLED_STACKS_MAX);
        overflow::install()?;
        let count = if config.form == Form::Green {
            workers
        } else {
            1
        };
        let shards: Vec<_> = (0..count).map(|_| Shard::new()).collect::<Result<_, _>>()?;
        for (id, shard) in shards.iter().enumerate() {
            match config.form {
                Form::Green => shard.start_green(id, workers)?,
                Form::Thread => shard.start_thread()?,
            }
        }
        let timer = Timer::new()?;
        let timer_source = timer.watch(&shards[0])?;
        Ok(Self {
            shards,
            next_shard: AtomicUsize::new(0),
            timer,
            _timer_source: timer_source,
            workers,
        })
    }
}

/// Returns the runtime, starting it at the first call.
///
/// # Panics
///
/// If the system gives no descriptor or thread for it: nothing could be done without.
pub(crate) fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        let config = match std::mem::replace(&mut *SETTINGS.lock(), Settings::Taken) {
            Settings::Chosen(config) => config,
            Settings::Default | Settings::Taken => Config::default(),
        };
        Runtime::start(&config).expect("the reactor needs a few descriptors and threads to start")
    })
}

/// Gives the shards' loops a turn, one after the other.
pub(crate) fn nudge() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if let Some(runtime) = RUNTIME.get() {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        runtime.shards[next % runtime.shards.len()].nudge();
    }
}

/// Idle workers look for work this often although nothing woke them.
const IDLE_POLL_NS: u64 = 3_600_000_000_000;
/// Stacks of ended green threads kept for reuse: 8.5 KiB each once touched.
const POOLED_STACKS_MAX: usize = 4096;
