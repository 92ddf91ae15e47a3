//! `--workers N`: the sessions of a run, and with them all C code that hostile bytes reach, in
//! child processes of this program.
//!
//! The run itself stays here: the pool with its schedule and bounds, what is collected and shown,
//! waves, the journal. Only what opens its sessions is another: [`Workers`] is a [`Connector`] that
//! has a worker open them. So what a run does is that of one process, whatever the worker.
//!
//! A worker that dies is replaced. Its hosts whose command may have been started failed with it;
//! the others are begun once more, in workers of their own as far as there is room, so that a host
//! that ends its worker again ends nobody else's work.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use sshoal::connector::{Connected, Connector};
use sshoal::{
    BeginAgain, Config, Error, Host, HostOption, Phase, Scope, Timings, blocking_within, sync,
};

use crate::codes::Codes;
use crate::drive::{Message, Messages};

mod child;
mod failure;
mod frame;
mod inbox;
mod link;
mod outbox;
mod plan;
mod questions;
mod remote;
mod wire;

pub(crate) use self::child::worker;
pub(crate) use self::failure::Said;
use self::link::Link;
pub(crate) use self::plan::{Brief, FarLaunch, Noted, Secrets};
use self::remote::{Opening, Place};
use self::wire::{Order, WireHost, WireOption};

/// The worker processes of a run; any number of clones. The last one's end is theirs.
#[derive(Debug, Clone)]
pub(crate) struct Workers(Arc<Owned>);

/// Lets the workers go when it is dropped.
#[derive(Debug)]
struct Owned(Arc<Set>);

/// All workers.
#[derive(Debug)]
struct Set {
    brief: Brief,
    /// By the address of the configuration, which the run keeps.
    groups: HashMap<usize, Group>,
    links: Mutex<Links>,
    /// Workers that died under a host before its command was begun.
    crashes: Mutex<HashMap<Host, usize>>,
    /// Held by who looks for a place apart from others.
    apart: sync::Mutex<()>,
    /// Workers in a row that died before they had begun.
    stillborn: AtomicUsize,
    codes: Codes,
    messages: OnceLock<Messages>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Links {
    /// One for each that was asked for; `None` where none can be started.
    regular: Vec<Option<Arc<Link>>>,
    /// Those of hosts that were in a worker that died.
    apart: Vec<Arc<Link>>,
}

/// Hosts with one configuration.
#[derive(Debug)]
struct Group {
    number: u32,
    /// One of them.
    host: Host,
    /// Its own options.
    own: Vec<String>,
}

impl Group {
    fn order(&self) -> Order {
        let option = |text: &String| WireOption { text: text.clone() };
        Order::Group {
            group: self.number,
            host: WireHost::of(&self.host),
            own: self.own.iter().map(option).collect(),
        }
    }
}

impl Workers {
    /// Starts so many workers for these hosts, whose configurations and own options these are.
    ///
    /// # Errors
    /// Fails if a worker cannot be started; nothing was run then.
    pub(crate) fn start(
        count: usize,
        brief: Brief,
        hosts: &[Host],
        (configs, own): (&[Arc<Config>], &[Vec<HostOption>]),
    ) -> Result<Self> {
        brief.check()?;
        let mut groups = HashMap::new();
        for (index, (host, config)) in hosts.iter().zip(configs).enumerate() {
            let number = u32::try_from(index).context("more hosts than can be numbered")?;
            let options = own.get(index).map_or(&[][..], Vec::as_slice);
            groups.entry(address(config)).or_insert_with(|| Group {
                number,
                host: host.clone(),
                own: options.iter().map(|own| own.text().to_owned()).collect(),
            });
        }
        let set = Arc::new(Set {
            brief,
            groups,
            links: Mutex::default(),
            crashes: Mutex::default(),
            apart: sync::Mutex::new(()),
            stillborn: AtomicUsize::new(0),
            codes: Codes::default(),
            messages: OnceLock::new(),
            is_over: AtomicBool::new(false),
        });
        let workers = Self(Arc::new(Owned(Arc::clone(&set))));
        for _ in 0..count {
            let link = Link::start(&set).context("cannot start a worker process")?;
            set.links().regular.push(Some(link));
        }
        Ok(workers)
    }

    /// Has what becomes of workers said there.
    pub(crate) fn say_to(&self, messages: &Messages) {
        let _ = self.0.0.messages.set(messages.clone());
    }

    /// Returns what opens a fleet's sessions.
    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.clone())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        let links = self.0.links();
        for link in links.regular.iter().flatten().chain(&links.apart) {
            link.let_go();
        }
    }
}

impl Connector for Workers {
    fn connect(
        &self,
        (host, config): (&Host, &Config),
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error> {
        let set = &self.0.0;
        let key = std::ptr::from_ref(config).addr();
        let group = set.groups.get(&key).ok_or_else(|| Error::Internal {
            phase: Phase::Local,
            message: "a configuration that no worker was told of".to_owned(),
        })?;
        let hosts = with_jump_hosts(host, config);
        loop {
            let (link, place) = match set.crashes_of(host) {
                0 => set.place(&hosts)?,
                _ => set.place_apart(&hosts, scope)?,
            };
            let Some(place) = place else {
                // It died a moment ago, and with nobody of ours: the next one is about to come.
                let died = link.gone.wait(scope);
                died.map_err(|stop| remote::stopped(stop, Phase::Local))?;
                continue;
            };
            link.tell_group(group);
            let opening = Opening { set, host, group };
            return opening.open(place, scope, timings, reached);
        }
    }
}

impl Set {
    /// Takes a place in the worker with the fewest sessions; none if that one is gone.
    fn place(&self, hosts: &[Host]) -> Result<(Arc<Link>, Option<Place>), Error> {
        // Under the lock, so that nobody else counts as few there.
        let links = self.links();
        let least = least(links.regular.iter().flatten());
        let link = least.ok_or_else(|| Error::Local {
            phase: Phase::Local,
            source: std::io::Error::other("no worker process can be started"),
        })?;
        let place = Place::take(link, hosts);
        Ok((Arc::clone(link), place))
    }

    /// As [`Self::place`], for a host that may end its worker: in one without other hosts, if
    /// there is room. Parks while it is started.
    fn place_apart(
        self: &Arc<Self>,
        hosts: &[Host],
        scope: &Scope,
    ) -> Result<(Arc<Link>, Option<Place>), Error> {
        let phase = Phase::Local;
        let turn = self.apart.lock(scope);
        let _turn = turn.map_err(|stop| remote::stopped(stop, phase))?;
        let found = {
            let links = self.links();
            let is_full = links.apart.len() >= APART_MAX;
            let idle = |link: &&Arc<Link>| is_full || link.live.load(Ordering::Relaxed) == 0;
            least(links.apart.iter()).filter(idle).cloned()
        };
        if let Some(link) = found {
            let place = Place::take(&link, hosts);
            return Ok((link, place));
        }
        let set = Arc::clone(self);
        let started = blocking_within(scope, move || {
            let link = Link::start(&set)?;
            set.links().apart.push(Arc::clone(&link));
            Ok(link)
        });
        match started.map_err(|stop| remote::stopped(stop, phase))? {
            Ok(Ok(link)) => {
                let place = Place::take(&link, hosts);
                Ok((link, place))
            }
            Ok(Err(source)) => Err(Error::Local { phase, source }),
            Err(panic) => Err(Error::Internal {
                phase,
                message: panic.message().to_owned(),
            }),
        }
    }

    fn crashes_of(&self, host: &Host) -> usize {
        let crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        crashes.get(host).copied().unwrap_or(0)
    }

    /// Notes that a host's worker died before its command was asked for; returns its failure.
    fn crashed(&self, host: &Host, phase: Phase) -> Error {
        let mut crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = crashes.entry(host.clone()).or_default();
        *count += 1;
        let again = match *count < CRASHES_MAX {
            true => BeginAgain::Yes,
            false => BeginAgain::No,
        };
        Error::WorkerCrashed { phase, again }
    }

    /// Puts another worker in the place of one that is gone. Blocks.
    fn gone(self: &Arc<Self>, link: &Arc<Link>) {
        let is_it = |other: &Arc<Link>| Arc::ptr_eq(other, link);
        let place = {
            let mut links = self.links();
            links.apart.retain(|other| !is_it(other));
            let regular = links.regular.iter();
            let place = regular
                .take_while(|other| !other.as_ref().is_some_and(is_it))
                .count();
            (place < links.regular.len()).then_some(place)
        };
        let Some(place) = place.filter(|_| !self.is_over()) else {
            return;
        };
        let stillborn = match link.was_ready() {
            true => {
                self.stillborn.store(0, Ordering::Relaxed);
                0
            }
            false => self.stillborn.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let next = match stillborn < STILLBORN_MAX {
            true => Link::start(self).ok(),
            false => None,
        };
        self.links().regular[place] = next;
    }

    /// Says something about workers, if somebody hears it. Does not wait.
    fn say(&self, line: String) {
        let Some(messages) = self.messages.get().cloned() else {
            return;
        };
        // On a thread of its own: the run must not wait for a reader that does not read.
        let say = move || messages.send(Message::Said(line));
        let _ = thread::Builder::new().spawn(say);
    }

    /// Whether there is somebody to answer hosts.
    fn answers(&self) -> bool {
        self.brief.answers()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this process is a worker, by its arguments; nothing else decides how one is run.
pub(crate) fn called(args: impl IntoIterator<Item = OsString>) -> bool {
    args.into_iter().skip(1).eq([WORKER])
}

/// Returns a host and the jump hosts on the way to it, all of which may ask the user something.
fn with_jump_hosts(host: &Host, config: &Config) -> Vec<Host> {
    let mut hosts = vec![host.clone()];
    let mut before = config.jump_host();
    while let Some(jump) = before {
        hosts.push(jump.host().clone());
        before = jump.config().jump_host();
    }
    hosts
}

/// Returns the worker with the fewest sessions.
fn least<'a>(links: impl Iterator<Item = &'a Arc<Link>>) -> Option<&'a Arc<Link>> {
    links.min_by_key(|link| link.live.load(Ordering::Relaxed))
}

fn address(config: &Arc<Config>) -> usize {
    Arc::as_ptr(config).addr()
}

/// The only argument of a worker.
const WORKER: &str = "worker";
/// Workers that die under a host which is not begun once more then.
const CRASHES_MAX: usize = 3;
/// Workers at once for hosts that were in one that died.
const APART_MAX: usize = 32;
/// Workers in a row that die before they have begun, after which a place stays empty.
const STILLBORN_MAX: usize = 8;
/// How long a worker has to say how something ended that was given up.
const GRACE: Duration = Duration::from_millis(300);
