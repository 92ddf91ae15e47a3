//! The main thread's loop over a run: events of the pool and signals come in, a [`View`] shows
//! them, and the facts for the exit code come out.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use sshoal::{Event, StopCause};

use crate::console::{Console, Sink};
use crate::engine::Running;
use crate::exit_code::{Class, Facts, Interrupt};
use crate::record::{Ending, Record, Recorder};
use crate::signals::{self, Demand, Escalation, Wish};
use crate::terminal::Terminal;

/// What the main thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something happened to some hosts, in this order.
    Events(Vec<Event>),
    /// The events that follow are of these hosts, by their positions in the whole list.
    Wave(Arc<[usize]>),
    /// These hosts were not begun, because this stopped the run before.
    LeftOut(Vec<usize>, StopCause),
    /// One line to be shown, clean already.
    Said(String),
    /// A host has ended whose record is made; the run was stopped before, by this.
    Ended(Box<Record>, Option<StopCause>),
    /// Every host has ended.
    Over,
    /// Someone wants the run to stop; it has been told so already.
    Signal(Demand),
    /// Someone wants to know how far the run is.
    Asked,
}

/// Who shows a run.
pub(crate) trait View {
    /// Shows bytes of a running host.
    fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console);
    /// Shows a finished host.
    fn finished(&mut self, record: &Record, console: &mut Console);
    /// Notes any event, before it is shown.
    fn event(&mut self, _: &Event, _: &mut Console) {}
    /// Returns when it is to be told, if no event comes before.
    fn due(&self) -> Option<Instant> {
        None
    }
    /// Shows what was held back until now.
    fn tell(&mut self, _: &mut Console) {}
    /// Returns whether the run is worth going on with when nobody reads standard output.
    fn outlives_stdout(&self) -> bool;
    /// Returns the exit code of a run that has to be given up after a signal.
    fn given_up(&self, interrupt: Interrupt) -> u8 {
        interrupt.exit_code()
    }
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Driven {
    /// What the exit code is made of.
    pub(crate) facts: Facts,
    /// From the first host's begin to the last one's end.
    pub(crate) wall: Duration,
    /// Whether hosts were not begun, or given up, because the run was stopped.
    pub(crate) is_cut: bool,
}

/// Goes on with what `start` begins on the hosts at these positions of the recorder's list to its
/// end, or to the one that a signal asks for. The other recorder is for those whose outcomes come as
/// events.
///
/// # Errors
/// Fails if it cannot be begun; nothing was run then.
pub(crate) fn drive(
    (all, whom): (&Recorder, &[usize]),
    start: impl FnOnce(Messages) -> Result<Running>,
    recorder: Option<&Recorder>,
    view: &mut dyn View,
    console: &mut Console,
) -> Result<Driven> {
    let (sender, receiver) = sync_channel(MESSAGES_MAX);
    let begun = Instant::now();
    let (interrupt, reins) = (Arc::default(), Arc::new(Reins::default()));
    let stopper = Stopper {
        reins: Arc::clone(&reins),
        escalation: Escalation::new(console.is_watched()),
        given_up: Interrupt::ALL.map(|by| view.given_up(by)),
        interrupt: Arc::clone(&interrupt),
        messages: sender.clone(),
    };
    // Before a host is begun: whatever signal comes from here on, there is a word of each of them.
    stopper.watch()?;
    let running = start(sender)?;
    reins.take(&running);
    console.progress().show();
    let mut drive = Drive {
        running,
        receiver,
        reins,
        wave: None,
        waved: None,
        hosts: whom.len(),
        begun,
        under_way: HashMap::new(),
        finished: HashSet::new(),
        ended: 0,
        good: 0,
        facts: Facts::default(),
        is_cut: false,
        stdout_gone: false,
        unshown: 0,
    };
    while drive.step(recorder, view, console) {}
    let wall = begun.elapsed();
    console.finish();
    if let Some(interrupt) = interrupt.get() {
        drive.facts.interrupt(*interrupt);
    }
    drive.give_up((all, whom), view, console);
    Ok(Driven {
        is_cut: drive.is_cut,
        facts: drive.facts,
        wall,
    })
}

/// The main thread's side.
struct Drive {
    running: Running,
    receiver: Receiver<Message>,
    reins: Arc<Reins>,
    /// Positions of the hosts in the whole list, where outcomes count otherwise.
    wave: Option<Arc<[usize]>>,
    /// The hosts of all waves so far, where there are waves.
    waved: Option<HashSet<usize>>,
    hosts: usize,
    begun: Instant,
    /// How far hosts have come and since when they are under way, as far as events say so.
    under_way: HashMap<usize, (&'static str, Instant)>,
    finished: HashSet<usize>,
    /// Of those finished, the ones that were begun.
    ended: usize,
    /// Of those, the ones that ended well.
    good: usize,
    facts: Facts,
    is_cut: bool,
    stdout_gone: bool,
    /// Bytes of hosts that came when they were late.
    unshown: usize,
}

impl Drive {
    /// Takes one message in; false when there will be no more.
    fn step(
        &mut self,
        recorder: Option<&Recorder>,
        view: &mut dyn View,
        console: &mut Console,
    ) -> bool {
        if view.due().is_some_and(|due| due <= Instant::now()) {
            view.tell(console);
        }
        let due = view.due();
        let until = self
            .reins
            .give_up
            .get()
            .copied()
            .into_iter()
            .chain(due)
            .min();
        let message = match until {
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
            Some(at) => self
                .receiver
                .recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match message {
            // It is told at the next step.
            Err(RecvTimeoutError::Timeout) if until == due => {}
            Err(_) | Ok(Message::Over) => return false,
            Ok(Message::Signal(Demand::StopLaunching)) => self.say_stopped(console),
            Ok(Message::Asked) => self.say_state(console),
            Ok(Message::Signal(Demand::End)) => self.end(),
            Ok(Message::Wave(whom)) => {
                let waved = self.waved.get_or_insert_default();
                waved.extend(whom.iter().copied());
                self.wave = Some(whom);
            }
            Ok(Message::Said(line)) => console.say(&line),
            Ok(Message::LeftOut(hosts, cause)) => {
                for (index, recorder) in hosts.into_iter().zip(recorder.into_iter().cycle()) {
                    let record = recorder.left_out(index, cause);
                    self.ended(&record, Some(cause), view, console);
                }
            }
            Ok(Message::Ended(record, stop)) => self.ended(&record, stop, view, console),
            Ok(Message::Events(events)) => {
                for event in events {
                    self.event(event, recorder, view, console);
                }
            }
        }
        if !console.is_read() && !self.stdout_gone {
            self.stdout_gone = true;
            if !view.outlives_stdout() {
                self.end();
            }
        }
        true
    }

    fn event(
        &mut self,
        event: Event,
        recorder: Option<&Recorder>,
        view: &mut dyn View,
        console: &mut Console,
    ) {
        // Kept before it is shown: what was seen is known after a crash, too.
        if let Some(recorder) = recorder {
            recorder.event(&event);
        }
        console.progress().event(&event);
        view.event(&event, console);
        if let Some(doing) = self.running.doing(&event) {
            let host = self.under_way.entry(event.index());
            host.or_insert_with(|| (doing, Instant::now())).0 = doing;
        }
        match event {
            // Who reads slowly is not to hold up the ends of hosts that come behind.
            Event::Output { bytes, .. } if self.is_late() => self.unshown += bytes.len(),
            Event::Output {
                index,
                stream,
                bytes,
                ..
            } => view.bytes(index, stream.into(), &bytes, console),
            Event::Finished(outcome) => {
                if let Some(recorder) = recorder {
                    let index = outcome.index();
                    let index = self.wave.as_ref().map_or(index, |wave| wave[index]);
                    let record = recorder.record_at(index, &outcome);
                    self.ended(&record, outcome.stopped_by(), view, console);
                }
            }
            _ => {}
        }
    }

    fn ended(
        &mut self,
        record: &Record,
        stop: Option<StopCause>,
        view: &mut dyn View,
        console: &mut Console,
    ) {
        console.progress().finished(record.index);
        self.under_way.remove(&record.index);
        self.finished.insert(record.index);
        self.reins.ended.fetch_add(1, Ordering::Relaxed);
        self.ended += usize::from(record.started.is_some());
        let class = record.class();
        self.good += usize::from(matches!(class, Class::Good | Class::Differs));
        self.facts.add(class);
        self.is_cut |= matches!(record.ending, Ending::Cancelled { .. });
        if stop == Some(StopCause::Failures) {
            self.facts.stop_for_failures();
        }
        view.finished(record, console);
    }

    fn say_state(&self, console: &mut Console) {
        let in_flight = self.running.in_flight();
        let left = (self.hosts).saturating_sub(self.finished.len() + in_flight);
        console.say(&format!(
            "after {}s: {} of {} hosts ended, {} ok; {in_flight} in flight, {left} not begun",
            self.begun.elapsed().as_secs(),
            self.ended,
            self.hosts,
            self.good
        ));
    }

    fn say_stopped(&self, console: &mut Console) {
        console.say(&format!(
            "interrupted: no more hosts are begun; {} of {} ended, {} in flight; Ctrl-C again \
             ends their {}",
            self.ended,
            self.hosts,
            self.running.in_flight(),
            self.running.what()
        ));
    }

    fn end(&mut self) {
        self.running.end();
        self.reins.will_give_up();
    }

    /// Whether hosts were told to end, and have had their time for it.
    fn is_late(&self) -> bool {
        let give_up = self.reins.give_up.get();
        give_up.is_some_and(|at| *at <= Instant::now())
    }

    /// Ends the hosts that were waited for in vain: each has one end, whatever became of it.
    fn give_up(
        &mut self,
        (all, whom): (&Recorder, &[usize]),
        view: &mut dyn View,
        console: &mut Console,
    ) {
        let is_left = |index: &&usize| !self.finished.contains(index);
        let left: Vec<usize> = whom.iter().filter(is_left).copied().collect();
        for &index in &left {
            let record = match &self.waved {
                Some(waved) if !waved.contains(&index) => all.left_out(index, StopCause::Caller),
                _ => {
                    // One that nothing was said of may have come as far as can be.
                    let known = self.under_way.get(&index).copied();
                    let (phase, since) = known.unwrap_or((self.running.phase(), self.begun));
                    given_up(
                        all.left_out(index, StopCause::Caller),
                        phase,
                        since.elapsed(),
                    )
                }
            };
            self.ended(&record, Some(StopCause::Caller), view, console);
        }
        if !left.is_empty() {
            let (left, hosts) = (left.len(), self.hosts);
            console.say(&format!("{left} of {hosts} hosts did not end in time"));
        }
        if self.unshown > 0 && console.is_read() {
            let bytes = self.unshown;
            console.say(&format!(
                "{bytes} bytes of output that came after the time for it are not shown"
            ));
        }
    }
}

/// Makes of the record of a host that was not begun that of one which was in this phase, for so long
/// under way.
fn given_up(not_begun: Record, phase: &'static str, took: Duration) -> Record {
    Record {
        ending: Ending::Cancelled {
            phase: Some(phase),
            by_deadline: false,
        },
        attempts: 1,
        started: SystemTime::now().checked_sub(took),
        duration: took,
        ..not_begun
    }
}

/// A run as the signal thread has it.
#[derive(Debug, Default)]
struct Reins {
    state: Mutex<(Option<Running>, Option<Demand>)>,
    /// When to stop waiting for hosts that were told to end.
    give_up: OnceLock<Instant>,
    /// Hosts whose end the main thread has taken in.
    ended: AtomicUsize,
}

impl Reins {
    /// Takes what was begun, and tells it what was demanded before.
    fn take(&self, running: &Running) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(running.clone());
        if let Some(demand) = state.1 {
            obey(running, demand);
        }
    }

    /// Demands something of what was begun, or of what will be.
    fn demand(&self, demand: Demand) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = Some(demand);
        if demand == Demand::End {
            self.will_give_up();
        }
        if let Some(running) = &state.0 {
            obey(running, demand);
        }
    }

    fn will_give_up(&self) {
        self.give_up.get_or_init(|| Instant::now() + PATIENCE);
    }

    /// Waits until the main thread has had its time, and more of it as long as hosts' ends come in:
    /// who goes on with them is not stuck, and what is written of them is to be whole.
    fn outwait(&self) {
        let last = Instant::now() + PATIENCE_LAST;
        let mut pause = PATIENCE_HARD - STILL;
        loop {
            thread::park_timeout(pause);
            let ended = self.ended.load(Ordering::Relaxed);
            thread::park_timeout(STILL);
            if self.ended.load(Ordering::Relaxed) == ended || Instant::now() >= last {
                return;
            }
            pause = Duration::ZERO;
        }
    }
}

fn obey(running: &Running, demand: Demand) {
    match demand {
        Demand::StopLaunching => running.stop_launching(),
        Demand::End => running.end(),
    }
}

/// The signal thread's side: it stops the run itself, because the main thread may be stuck on a
/// reader that does not read.
struct Stopper {
    reins: Arc<Reins>,
    escalation: Escalation,
    /// The exit code after each signal, where the process has to be ended hard.
    given_up: [u8; Interrupt::ALL.len()],
    /// The first signal.
    interrupt: Arc<OnceLock<Interrupt>>,
    messages: Messages,
}

impl Stopper {
    fn watch(mut self) -> Result<()> {
        signals::watch(move |signal| self.signal(signal)).context("cannot watch for signals")
    }

    fn signal(&mut self, wish: Wish) {
        let Wish::End(signal) = wish else {
            return self.tell(Message::Asked);
        };
        let first = *self.interrupt.get_or_init(|| signal);
        let demand = self.escalation.next(signal);
        self.reins.demand(demand);
        if demand == Demand::End {
            let code = self.given_up[first as usize];
            let reins = Arc::clone(&self.reins);
            thread::spawn(move || {
                reins.outwait();
                exit_at_once(code);
            });
        }
        self.tell(Message::Signal(demand));
    }

    /// Tells the main thread, on a thread of its own: the next signal must not wait for it.
    fn tell(&self, message: Message) {
        let messages = self.messages.clone();
        thread::spawn(move || messages.send(message));
    }
}

/// Ends the process if the main thread did not in time. Nothing is lost that it had in hand:
/// files are written without a buffer, and JSON line by line.
pub(crate) fn exit_hard(code: u8) {
    thread::park_timeout(PATIENCE_HARD);
    exit_at_once(code);
}

fn exit_at_once(code: u8) {
    Terminal::restore();
    std::process::exit(code.into());
}

/// Messages that wait for the main thread; beyond it the hosts wait, and nothing piles up.
pub(crate) const MESSAGES_MAX: usize = 4;

/// How long hosts that were told to end are waited for: their commands have somewhat less.
const PATIENCE: Duration = Duration::from_millis(1_400);

/// Below the two seconds in which an interrupt has to end the process, above [`PATIENCE`].
const PATIENCE_HARD: Duration = Duration::from_millis(1_750);

/// How long no host may have ended where the main thread is stuck.
const STILL: Duration = Duration::from_millis(250);

/// When even a main thread that is not stuck has had its time.
const PATIENCE_LAST: Duration = Duration::from_secs(5);

/// Where the pool's events and signals go in.
pub(crate) type Messages = SyncSender<Message>;
