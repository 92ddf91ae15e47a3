//! Interactive shells on all hosts of a pool.
//!
//! The principal type is [`Shells`]. Each host's shell lies in a program of its own
//! ([`Pool::each`]), which holds the host's session until the shell has ended and tells when there
//! is something to read.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_reactor::sync::{Event as Flag, Queue};
use sshoal_reactor::{JoinHandle, Scope, Stop};
use sshoal_session::{Error, Exit, Host, InteractiveShell, Phase, ShellError, ShellSpec};

use crate::each::{Each, Reached};
use crate::pool::Pool;
use crate::run::RunHandle;

/// An interactive shell on each host of a pool; [`Pool::shells`] opens them.
///
/// A host that has none, because it was not reached or refused one, has its error in its place, and
/// touches no other. Dropping it gives all shells up without a wait.
pub struct Shells {
    hosts: Arc<[Host]>,
    shells: Vec<Opened>,
    ready: Arc<Ready>,
    run: RunHandle,
}

/// Why no shell was opened on any host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShellsError {
    /// Each shell holds a session, and the pool may not have as many live as there are hosts.
    #[error("{hosts} hosts need as many sessions at once, and the pool has {size}")]
    PoolSize {
        /// How many hosts there are.
        hosts: usize,
        /// The pool's size.
        size: usize,
    },
    /// This machine has no room for a green thread.
    #[error("on this machine")]
    Local(#[source] io::Error),
}

/// What came from one host's shell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShellOutput {
    /// The host's position in the pool's list, from 0.
    pub index: usize,
    /// What came on standard output since it was read last.
    pub stdout: Vec<u8>,
    /// What came on standard error since it was read last.
    pub stderr: Vec<u8>,
}

/// How shells stand after [`Shells::join`], by the hosts' positions, each in exactly one list.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Joined {
    /// Shells that have ended, and how.
    pub finished: Vec<(usize, Exit)>,
    /// Shells that still run, and what the wait for them ended by: the scope, or `Full` where a
    /// shell waits for somebody to read.
    pub unfinished: Vec<(usize, ShellError)>,
    /// Hosts that have no shell, or whose session was lost.
    pub failed: Vec<(usize, ShellError)>,
}

/// A host's shell, or why it has none.
type Opened = Result<Arc<InteractiveShell>, ShellError>;

/// Shells as they are opened.
struct Opening {
    /// A leaf lock. A place is set once, by whoever comes first; with how many are not.
    places: Mutex<(Vec<Option<Opened>>, usize)>,
    all: Flag,
}

/// Hosts with something to read.
struct Ready {
    /// Each host is in it once at most.
    queue: Queue<usize>,
    queued: Vec<AtomicBool>,
}

impl Pool {
    /// Opens an interactive shell on every host, and waits until each has one or has failed. Parks.
    ///
    /// Each shell is a user of its host's session until it has ended, so that the pool has to have
    /// room for all hosts at once; shells count against its size as running commands do. Where
    /// sessions stay open, runs go on beside the shells over the same sessions; where they do not, a
    /// run waits for places of its own. The pool's `connect_timeout` limits the
    /// opening, its `deadline` the life of the shells, which are given up when it comes; its
    /// `command_timeout` has no bearing on them. A scope that ends gives hosts up that are not open
    /// by then, with `TimedOut` or `Cancelled` in their place.
    ///
    /// # Errors
    /// The pool has no room for all hosts at once; nothing is opened then.
    pub fn shells(&self, spec: &ShellSpec, scope: &Scope) -> Result<Shells, ShellsError> {
        let (hosts, size) = (self.hosts().len(), self.size());
        if hosts > size {
            return Err(ShellsError::PoolSize { hosts, size });
        }
        let opening = Arc::new(Opening::new(hosts));
        let ready = Arc::new(Ready::new(hosts));
        let (places, to_read, spec) = (opening.clone(), ready.clone(), spec.clone());
        let limits: Vec<_> = (0..hosts).map(|index| self.opening_limit(index)).collect();
        let each = self.each(move |host| {
            live(host, &spec, limits[host.index()], (&*places, &*to_read));
        });
        let run = each.handle();
        collect(each, &opening, &ready).map_err(ShellsError::Local)?;
        let stop = opening.all.wait(scope).err();
        Ok(Shells {
            hosts: self.shared_hosts(),
            shells: opening.close(stop, scope),
            ready,
            run,
        })
    }
}

/// Opens a host's shell and stays until it has ended.
fn live(
    host: &Reached<'_>,
    spec: &ShellSpec,
    limit: Option<Duration>,
    (opening, ready): (&Opening, &Ready),
) {
    let (index, scope) = (host.index(), host.scope());
    let shell = match host.session().shell(spec, &scope.child(limit)) {
        Ok(shell) => Arc::new(shell),
        Err(error) => {
            opening.settle(index, Err(error.into()));
            return;
        }
    };
    if !opening.settle(index, Ok(shell.clone())) {
        return;
    }
    let mut seen = 0;
    loop {
        match shell.wait_past(seen, scope) {
            Ok(arrived) if arrived > seen => {
                seen = arrived;
                ready.tell(index);
            }
            Ok(_) => return,
            // Its session is lost, or the run is over: no channel is left on a kept session.
            Err(_) => {
                shell.give_up();
                return;
            }
        }
    }
}

/// Takes the outcomes of hosts that have no shell, and tells when all programs have ended.
fn collect(
    each: Each<()>,
    opening: &Arc<Opening>,
    ready: &Arc<Ready>,
) -> io::Result<JoinHandle<()>> {
    let (opening, ready) = (Arc::clone(opening), Arc::clone(ready));
    sshoal_reactor::spawn(move || {
        for visited in each {
            let index = visited.index();
            if let Err(error) = visited.into_result() {
                opening.settle(index, Err(error.into()));
            }
        }
        ready.queue.close();
    })
}

impl Shells {
    /// Returns the hosts in input order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Returns a host's shell, to be sent to, read and waited for by itself.
    ///
    /// # Errors
    /// Why it has none.
    ///
    /// # Panics
    /// The pool has no host with this index.
    pub fn shell(&self, index: usize) -> Result<&InteractiveShell, &ShellError> {
        self.shells[index].as_deref()
    }

    /// Returns all hosts with their shells, in input order.
    pub fn iter(&self) -> impl Iterator<Item = (&Host, Result<&InteractiveShell, &ShellError>)> {
        let shells = self.shells.iter().map(Result::as_deref);
        self.hosts.iter().zip(shells)
    }

    /// Sends each shell these lines, in their order, and returns what became of that, in the order
    /// of the hosts. Does not wait for lines to run. Parks while a host takes no more; hosts do not
    /// wait for each other.
    ///
    /// Lines that were sent before, by this or to the one shell, are before these on each host.
    pub fn run_all(
        &self,
        lines: &[impl AsRef<[u8]>],
        scope: &Scope,
    ) -> Vec<Result<(), ShellError>> {
        let mut text = Vec::new();
        for line in lines {
            text.extend_from_slice(line.as_ref());
            text.push(b'\n');
        }
        let text: Arc<[u8]> = text.into();
        let sending: Vec<_> = (self.shells.iter())
            .map(|shell| send(shell, &text, scope))
            .collect();
        sending.into_iter().map(Sending::wait).collect()
    }

    /// Takes what has come from a host, whichever is first to have something; `None` once all
    /// shells have ended and all was taken. Parks.
    ///
    /// # Errors
    /// Why the scope ended; nothing is lost by that.
    pub fn read(&self, scope: &Scope) -> Result<Option<ShellOutput>, Stop> {
        loop {
            let Some(index) = self.ready.queue.pop(scope)? else {
                return Ok(None);
            };
            // Before the look: what comes after it is told again.
            self.ready.queued[index].store(false, Ordering::Release);
            let Ok(shell) = &self.shells[index] else {
                continue;
            };
            let (stdout, stderr) = shell.unread();
            // Somebody may have read it from the shell itself.
            if !stdout.is_empty() || !stderr.is_empty() {
                return Ok(Some(ShellOutput {
                    index,
                    stdout,
                    stderr,
                }));
            }
        }
    }

    /// Ends the input of all shells, which ends each once it has run all that was sent, and waits
    /// for that. Parks. It can be made again for those that are unfinished.
    pub fn join(&self, scope: &Scope) -> Joined {
        for shell in self.shells.iter().flatten() {
            // What goes wrong here is seen below.
            let _ = shell.end_input();
        }
        let mut joined = Joined::default();
        for (index, shell) in self.shells.iter().enumerate() {
            let ended = match shell {
                Ok(shell) => shell.join(scope),
                Err(error) => Err(error.clone()),
            };
            match ended {
                Ok(exit) => joined.finished.push((index, exit)),
                Err(error) if shell.is_ok() && runs_on(&error, scope) => {
                    joined.unfinished.push((index, error));
                }
                Err(error) => joined.failed.push((index, error)),
            }
        }
        joined
    }

    /// Returns how a host's shell ended, without a wait: the exit status of its last command;
    /// `None` while it runs, or if there is none.
    ///
    /// # Panics
    /// The pool has no host with this index.
    pub fn exit(&self, index: usize) -> Option<Exit> {
        self.shells[index].as_ref().ok()?.exit()
    }
}

impl Joined {
    /// Returns whether no shell is left to wait for.
    pub fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }
}

impl Drop for Shells {
    fn drop(&mut self) {
        // The programs give their shells up.
        self.run.cancel();
    }
}

impl fmt::Debug for Shells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shells")
            .field("hosts", &self.hosts.len())
            .finish_non_exhaustive()
    }
}

/// Returns whether a shell that was not joined may still run: the wait ended, not the shell.
fn runs_on(error: &ShellError, scope: &Scope) -> bool {
    match error {
        ShellError::Full { .. } => true,
        ShellError::Session(source) => {
            let stopped = matches!(**source, Error::TimedOut { .. } | Error::Cancelled { .. });
            stopped && scope.check().is_err()
        }
        _ => false,
    }
}

/// Lines on their way to a host.
enum Sending {
    Green(JoinHandle<Result<(), ShellError>>),
    Done(Result<(), ShellError>),
}

fn send(shell: &Opened, text: &Arc<[u8]>, scope: &Scope) -> Sending {
    let shell = match shell {
        Ok(shell) => shell.clone(),
        Err(error) => return Sending::Done(Err(error.clone())),
    };
    let (text, scope) = (text.clone(), scope.clone());
    let sending = sshoal_reactor::spawn(move || shell.send(&text, &scope));
    sending.map_or_else(|source| Sending::Done(Err(local(source))), Sending::Green)
}

impl Sending {
    fn wait(self) -> Result<(), ShellError> {
        match self {
            Self::Done(result) => result,
            Self::Green(handle) => handle
                .join()
                .unwrap_or_else(|panic| Err(local(io::Error::other(panic)))),
        }
    }
}

fn local(source: io::Error) -> ShellError {
    let phase = Phase::Run;
    Error::Local { phase, source }.into()
}

impl Opening {
    fn new(hosts: usize) -> Self {
        Self {
            places: Mutex::new(((0..hosts).map(|_| None).collect(), hosts)),
            all: Flag::new(),
        }
    }

    /// Sets a host's place; false if it is set.
    fn settle(&self, index: usize, opened: Opened) -> bool {
        let left = {
            let (places, left) = &mut *self.places.lock();
            let Some(place) = places.get_mut(index).filter(|place| place.is_none()) else {
                return false;
            };
            *place = Some(opened);
            *left -= 1;
            *left
        };
        if left == 0 {
            self.all.set();
        }
        true
    }

    /// Takes all places; hosts that are not open are given up.
    fn close(&self, stop: Option<Stop>, scope: &Scope) -> Vec<Opened> {
        let places = std::mem::take(&mut self.places.lock().0);
        let phase = Phase::Open;
        let late = || match stop {
            Some(Stop::TimedOut) => Error::TimedOut {
                phase,
                limit: scope.timeout().unwrap_or_default(),
            },
            _ => Error::Cancelled { phase },
        };
        (places.into_iter())
            .map(|place| place.unwrap_or_else(|| Err(late().into())))
            .collect()
    }
}

impl Ready {
    fn new(hosts: usize) -> Self {
        Self {
            queue: Queue::bounded(hosts),
            queued: (0..hosts).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Notes that there is something to read of a host.
    fn tell(&self, index: usize) {
        if !self.queued[index].swap(true, Ordering::AcqRel) {
            // There is room for every host once.
            let _ = self.queue.push(index, &Scope::root());
        }
    }
}
