//! What the workers, the handle and the readers of a started run share.
//!
//! The principal type is [`Live`]. Locks are leaves: none is held across a wait, and nobody is
//! woken under one (G5).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sshoal_reactor::sync::Event as Flag;
use sshoal_reactor::{Interest, Scope, Stop, WaitList};
use sshoal_session::{Host, OutputStream};

use super::budget::Budget;
use super::fifo::Freed;
use super::line::Line;
use super::options::LiveOptions;
use super::spool::{Limits, OWN_BYTES, Spool, Which};
use crate::commands::Resolved;
use crate::connector::{Running, StdinEnd};
use crate::outcome::Outcome;
use crate::output::HostOutput;
use crate::store::Store;

/// One run that was started.
pub(crate) struct Live {
    pub(super) hosts: Arc<[Host]>,
    pub(super) commands: Resolved,
    pub(super) cells: Box<[Cell]>,
    limits: Limits,
    store: Arc<Store>,
    /// Taken under a host's lock, or under none.
    budget: Mutex<Budget>,
    /// How many wait for hosts' ends: what does not fit into the bounds is then collected.
    letting_end: AtomicUsize,
    /// Whether somebody waits, or has waited, for hosts' ends: who does gives no more input.
    input_over: AtomicBool,
    /// How many take all hosts' output as it comes.
    consumers: AtomicUsize,
    /// Hosts that have something for them, each once.
    ready: Mutex<VecDeque<usize>>,
    /// Who waits for an entry in `ready`, or for the end of all.
    pub(super) consuming: WaitList,
    /// Hosts in the order in which they ended.
    pub(super) ended: Mutex<Vec<usize>>,
    /// Who waits for another entry in `ended`.
    pub(super) ends: WaitList,
    /// Hosts that have accepted their command, or ended without.
    there: AtomicUsize,
    pub(super) all_there: Flag,
    /// Set when every host has its outcome.
    pub(super) over: Flag,
    /// Hosts that no worker has: they may have to wait for others' ends, of this run or another.
    pub(super) unbegun: AtomicUsize,
    /// Who waits for all hosts to be there; woken also when `unbegun` comes to 0 or leaves it.
    pub(super) turns: WaitList,
}

/// One host of a run that was started.
pub(super) struct Cell {
    /// Ends with the run's, or when the host is closed.
    pub(super) scope: Scope,
    /// The command, from when the host accepted it until it ended.
    pub(super) running: Mutex<Option<Arc<dyn Running>>>,
    /// Whether a worker has the host, or had it to its end.
    pub(super) begun: AtomicBool,
    /// Set when the host accepts its command, and at the end.
    pub(super) there: Flag,
    pub(super) input_closed: AtomicBool,
    pub(super) spool: Mutex<Spool>,
    pub(super) readers: WaitList,
    writer: WaitList,
    /// How many wait for this host's end alone.
    letting_end: AtomicUsize,
    pub(super) outcome: OnceLock<Outcome>,
    pub(super) ended: Flag,
}

/// Why output was not taken in.
#[derive(Debug)]
pub(crate) enum Held {
    Stopped(Stop),
    /// The file for what does not fit into memory.
    File(io::Error),
}

impl Live {
    pub(crate) fn new(
        (hosts, commands): (Arc<[Host]>, Resolved),
        options: &LiveOptions,
        (store, output_bytes_max): (Arc<Store>, Option<u64>),
        scope: &Scope,
    ) -> Self {
        let shared = options
            .run_unread_bytes_max
            .saturating_sub(hosts.len() * OWN_BYTES);
        Self {
            cells: hosts.iter().map(|_| Cell::new(scope)).collect(),
            limits: Limits {
                unread_bytes_max: options.unread_bytes_max.max(OWN_BYTES),
                output_bytes_max: options.output_bytes_max.unwrap_or(output_bytes_max),
            },
            budget: Mutex::new(Budget::new(shared, hosts.len())),
            unbegun: AtomicUsize::new(hosts.len()),
            turns: WaitList::default(),
            input_over: AtomicBool::new(options.input_over()),
            hosts,
            commands,
            store,
            letting_end: AtomicUsize::new(0),
            consumers: AtomicUsize::new(0),
            ready: Mutex::default(),
            consuming: WaitList::default(),
            ended: Mutex::default(),
            ends: WaitList::default(),
            there: AtomicUsize::new(0),
            all_there: Flag::new(),
            over: Flag::new(),
        }
    }

    /// Returns the scope within which a host is worked on.
    pub(crate) fn scope(&self, host: usize) -> &Scope {
        &self.cells[host].scope
    }

    /// Returns what input the host's command begins with.
    pub(crate) fn begin_input(&self, host: usize) -> StdinEnd {
        if self.input_over.load(Ordering::SeqCst) {
            self.cells[host].input_closed.store(true, Ordering::Release);
            return StdinEnd::AtOnce;
        }
        StdinEnd::Later
    }

    /// Notes that a host accepted its command. Parks where its input is over meanwhile.
    pub(crate) fn accepted(&self, host: usize, running: &Arc<dyn Running>, scope: &Scope) {
        let cell = &self.cells[host];
        *cell.running.lock() = Some(Arc::clone(running));
        self.arrived(cell);
        // After the command is to be found: whoever ends all input from here on ends this one's.
        if self.input_over.load(Ordering::SeqCst) {
            self.close_input(host, scope);
        }
    }

    /// Takes a host's output in; parks while it has to wait for readers. What was taken is cut
    /// off `bytes`, whatever the result.
    pub(crate) fn put(
        &self,
        host: usize,
        stream: OutputStream,
        bytes: &mut &[u8],
        scope: &Scope,
    ) -> Result<(), Held> {
        let cell = &self.cells[host];
        let keep = cell.spool.lock().admit(stream, bytes.len(), &self.limits);
        *bytes = &bytes[..keep];
        while !bytes.is_empty() {
            let sequence = cell.writer.sequence();
            let (taken, next, result) = self.put_some(host, (stream, bytes));
            *bytes = &bytes[taken..];
            if taken > 0 {
                cell.readers.wake(Interest::BOTH);
                self.tell_consumers(host);
            }
            self.wake_writer(next);
            result.map_err(Held::File)?;
            if taken == 0
                && let Some(ticket) = cell.writer.register(sequence, Interest::BOTH)
            {
                ticket.wait(scope).map_err(Held::Stopped)?;
            }
        }
        Ok(())
    }

    /// Takes what can be taken without a wait; returns how much, and another host to wake.
    fn put_some(
        &self,
        host: usize,
        (stream, bytes): (OutputStream, &[u8]),
    ) -> (usize, Option<usize>, io::Result<()>) {
        let mut spool = self.cells[host].spool.lock();
        if std::mem::take(&mut spool.starving) {
            self.budget.lock().unwant(host);
        }
        // What is behind bytes in the file is quicker there, too.
        let collects = self.collects(host) || spool.is_awaited();
        if collects && spool.stream(stream).ends_in_file() {
            let (taken, result) = spool.collect((stream, bytes), &self.store);
            return (taken, None, result);
        }
        let (mut next, mut refused) = (None, false);
        let taken = spool.append((stream, bytes), &self.limits, |least, most| {
            let mut budget = self.budget.lock();
            let taken = budget.take(host, least, most);
            refused = taken.is_none();
            if !refused {
                next = budget.next();
            }
            taken
        });
        spool.starving = refused;
        if taken > 0 || !collects {
            return (taken, next, Ok(()));
        }
        let (taken, result) = spool.collect((stream, bytes), &self.store);
        (taken, next, result)
    }

    fn collects(&self, host: usize) -> bool {
        let one = &self.cells[host].letting_end;
        self.letting_end.load(Ordering::SeqCst) > 0 || one.load(Ordering::SeqCst) > 0
    }

    /// Reads a host's output: the stream, and how many bytes; 0 if nothing waits.
    pub(super) fn read(
        &self,
        host: usize,
        which: Which,
        buf: &mut [u8],
    ) -> io::Result<(OutputStream, usize)> {
        let mut spool = self.cells[host].spool.lock();
        let (stream, len, freed) = spool.read(which, buf, &self.store)?;
        let shared = spool.settle(freed, &self.store);
        drop(spool);
        self.freed(host, freed, shared);
        Ok((stream, len))
    }

    /// Returns an empty output for what is left unread of a host.
    pub(super) fn output(&self) -> HostOutput {
        HostOutput::new(&self.store, None)
    }

    /// Takes a host's next line; `None` if none has come to its end.
    pub(super) fn take_line(
        &self,
        host: usize,
        which: Which,
        bytes_max: usize,
    ) -> io::Result<Option<(OutputStream, Line)>> {
        let mut spool = self.cells[host].spool.lock();
        let (line, freed) = spool.take_line(which, bytes_max, &self.store);
        let shared = spool.settle(freed, &self.store);
        drop(spool);
        self.freed(host, freed, shared);
        line
    }

    /// Lets on who waits for memory that a reader freed.
    fn freed(&self, host: usize, freed: Freed, shared: usize) {
        if freed == Freed::default() {
            return;
        }
        self.cells[host].writer.wake(Interest::BOTH);
        if shared > 0 {
            let next = {
                let mut budget = self.budget.lock();
                budget.give_back(shared);
                budget.next()
            };
            self.wake_writer(next);
        }
    }

    fn wake_writer(&self, host: Option<usize>) {
        if let Some(host) = host {
            self.cells[host].writer.wake(Interest::BOTH);
        }
    }

    /// Lets a host's worker look again whether it may go on.
    pub(super) fn nudge(&self, host: usize) {
        self.wake_writer(Some(host));
    }

    /// Takes a host's outcome; readers that wait see the end after it.
    pub(crate) fn end(&self, outcome: Outcome) {
        let host = outcome.index();
        let cell = &self.cells[host];
        // A host has one outcome, and one worker that brings it.
        let _ = cell.outcome.set(outcome);
        let running = cell.running.lock().take();
        drop(running);
        let starving = {
            let mut spool = cell.spool.lock();
            spool.ended = true;
            std::mem::take(&mut spool.starving)
        };
        let next = {
            let mut budget = self.budget.lock();
            if starving {
                budget.unwant(host);
            }
            // It may have been woken for memory that it does not take any more.
            budget.next()
        };
        self.wake_writer(next);
        cell.ended.set();
        self.begun(host);
        cell.readers.wake(Interest::BOTH);
        self.arrived(cell);
        self.ended.lock().push(host);
        self.ends.wake(Interest::BOTH);
        self.tell_consumers(host);
    }

    /// Notes that every host has its outcome.
    pub(crate) fn end_all(&self) {
        self.over.set();
        self.consuming.wake(Interest::BOTH);
    }

    fn arrived(&self, cell: &Cell) {
        if cell.there.is_set() {
            return;
        }
        cell.there.set();
        cell.readers.wake(Interest::BOTH);
        if self.there.fetch_add(1, Ordering::AcqRel) + 1 == self.cells.len() {
            self.all_there.set();
            self.turns.wake(Interest::BOTH);
        }
    }

    /// Lets the run's hosts end, whatever they print, until what is returned is dropped.
    pub(super) fn let_end(&self) -> LettingEnd<'_> {
        if self.letting_end.fetch_add(1, Ordering::SeqCst) == 0 {
            for cell in &self.cells {
                cell.writer.wake(Interest::BOTH);
            }
        }
        LettingEnd(&self.letting_end)
    }

    /// Lets one host end, whatever it prints, until what is returned is dropped.
    pub(super) fn let_one_end(&self, host: usize) -> LettingEnd<'_> {
        let cell = &self.cells[host];
        if cell.letting_end.fetch_add(1, Ordering::SeqCst) == 0 {
            cell.writer.wake(Interest::BOTH);
        }
        LettingEnd(&cell.letting_end)
    }

    /// Ends the input of all commands, those that are started later included.
    pub(super) fn end_input(self: &Arc<Self>) {
        if self.input_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let has_input = |host: &usize| {
            let cell = &self.cells[*host];
            !cell.input_closed.load(Ordering::Acquire) && cell.running.lock().is_some()
        };
        let open: VecDeque<usize> = (0..self.cells.len()).filter(has_input).collect();
        let closers = open.len().min(CLOSERS_MAX);
        let open = Arc::new(Mutex::new(open));
        let close = |live: Arc<Self>, open: Arc<Mutex<VecDeque<usize>>>| {
            loop {
                let Some(host) = open.lock().pop_front() else {
                    return;
                };
                live.close_input(host, &live.cells[host].scope);
            }
        };
        // On green threads of their own: one host that takes nothing must not hold up the wait.
        for _ in 0..closers {
            let (live, open) = (Arc::clone(self), Arc::clone(&open));
            if sshoal_reactor::spawn(move || close(live, open)).is_err() {
                break;
            }
        }
        if closers > 0 && Arc::strong_count(&open) == 1 {
            close(Arc::clone(self), open);
        }
    }

    /// Ends one command's input on a green thread of its own: a wait that is given up must not
    /// give up the end of the input with it. Parks where there is no room for a green thread.
    pub(super) fn close_input_aside(self: &Arc<Self>, host: usize) {
        if self.cells[host].input_closed.load(Ordering::Acquire) {
            return;
        }
        let live = Arc::clone(self);
        let close = move || live.close_input(host, &live.cells[host].scope);
        if sshoal_reactor::spawn(close).is_err() {
            self.close_input(host, &self.cells[host].scope);
        }
    }

    /// Ends one command's input. Parks.
    pub(super) fn close_input(&self, host: usize, scope: &Scope) {
        let cell = &self.cells[host];
        if cell.input_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = cell.running.lock().clone();
        if let Some(running) = running {
            // A host that cannot be told ends by that, and its outcome says so.
            let _ = running.close_stdin(scope);
        }
    }

    /// Hands all hosts' output to a consumer until what is returned is dropped.
    pub(super) fn consume(&self) -> Consuming<'_> {
        self.consumers.fetch_add(1, Ordering::SeqCst);
        for (host, cell) in self.cells.iter().enumerate() {
            let has_something = {
                let spool = cell.spool.lock();
                spool.ended || !spool.is_empty(Which::Both)
            };
            if has_something {
                self.tell_consumers(host);
            }
        }
        Consuming(self)
    }

    /// Takes a host that has something for a consumer, if there is one.
    pub(super) fn next_ready(&self) -> Option<usize> {
        let host = self.ready.lock().pop_front()?;
        self.cells[host].spool.lock().queued = false;
        Some(host)
    }

    /// Notes that a host has something for a consumer.
    pub(super) fn tell_consumers(&self, host: usize) {
        if self.consumers.load(Ordering::SeqCst) == 0 {
            return;
        }
        if !std::mem::replace(&mut self.cells[host].spool.lock().queued, true) {
            self.ready.lock().push_back(host);
            self.consuming.wake_one();
        }
    }
}

impl Cell {
    fn new(scope: &Scope) -> Self {
        Self {
            scope: scope.child(None),
            running: Mutex::new(None),
            begun: AtomicBool::new(false),
            there: Flag::new(),
            input_closed: AtomicBool::new(false),
            spool: Mutex::default(),
            readers: WaitList::default(),
            writer: WaitList::default(),
            letting_end: AtomicUsize::new(0),
            outcome: OnceLock::new(),
            ended: Flag::new(),
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("hosts", &self.hosts.len())
            .field("over", &self.over.is_set())
            .finish_non_exhaustive()
    }
}

/// Somebody waits for an end, as long as this lasts.
#[derive(Debug)]
pub(super) struct LettingEnd<'a>(&'a AtomicUsize);

impl Drop for LettingEnd<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Somebody takes all hosts' output, as long as this lasts.
#[derive(Debug)]
pub(super) struct Consuming<'a>(&'a Live);

impl Drop for Consuming<'_> {
    fn drop(&mut self) {
        self.0.consumers.fetch_sub(1, Ordering::SeqCst);
        // One that is left may have been passed over for this one.
        self.0.consuming.wake(Interest::BOTH);
    }
}

/// Green threads that end input at once.
const CLOSERS_MAX: usize = 16;
