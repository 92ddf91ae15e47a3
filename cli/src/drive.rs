//! The main thread's loop over a run: events of the pool and signals come in, a [`View`] shows
//! them, and the facts for the exit code come out.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

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

/// Goes on with what `start` begins on so many hosts to its end, or to the one that a signal asks
/// for. The recorder is for those whose outcomes come as events.
///
/// # Errors
/// Fails if it cannot be begun; nothing was run then.
pub(crate) fn drive(
    hosts: usize,
    start: impl FnOnce(Messages) -> Result<Running>,
    recorder: Option<&Recorder>,
    view: &mut dyn View,
    console: &mut Console,
) -> Result<Driven> {
    let (sender, receiver) = sync_channel(MESSAGES_MAX);
    let begun = Instant::now();
    let running = start(sender.clone())?;
    let interrupt = Arc::default();
    let stopper = Stopper {
        running: running.clone(),
        escalation: Escalation::new(console.is_watched()),
        given_up: [Interrupt::Interrupted, Interrupt::Terminated].map(|by| view.given_up(by)),
        interrupt: Arc::clone(&interrupt),
        messages: sender,
    };
    stopper.watch()?;
    console.progress().show();
    let mut drive = Drive {
        running,
        receiver,
        wave: None,
        hosts,
        begun,
        finished: 0,
        ended: 0,
        good: 0,
        facts: Facts::default(),
        is_cut: false,
        give_up: None,
        stdout_gone: false,
    };
    while drive.step(recorder, view, console) {}
    let wall = begun.elapsed();
    console.finish();
    if let Some(interrupt) = interrupt.get() {
        drive.facts.interrupt(*interrupt);
    }
    if drive.finished < hosts {
        console.say(&format!(
            "{} of {hosts} hosts did not end in time",
            hosts - drive.finished
        ));
    }
    Ok(Driven {
        is_cut: drive.is_cut || drive.finished < hosts,
        facts: drive.facts,
        wall,
    })
}

/// The main thread's side.
struct Drive {
    running: Running,
    receiver: Receiver<Message>,
    /// Positions of the hosts in the whole list, where outcomes count otherwise.
    wave: Option<Arc<[usize]>>,
    hosts: usize,
    begun: Instant,
    finished: usize,
    /// Of those finished, the ones that were begun.
    ended: usize,
    /// Of those, the ones that ended well.
    good: usize,
    facts: Facts,
    is_cut: bool,
    /// When to stop waiting for hosts that were told to end.
    give_up: Option<Instant>,
    stdout_gone: bool,
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
        let until = self.give_up.into_iter().chain(due).min();
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
            Ok(Message::Wave(whom)) => self.wave = Some(whom),
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
        if !console.stdout_open() && !self.stdout_gone {
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
        match event {
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
        self.finished += 1;
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
        let left = self.hosts.saturating_sub(self.finished + in_flight);
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
        self.give_up.get_or_insert(Instant::now() + PATIENCE);
    }
}

/// The signal thread's side: it stops the run itself, because the main thread may be stuck on a
/// reader that does not read.
struct Stopper {
    running: Running,
    escalation: Escalation,
    /// The exit code after each signal, where the process has to be ended hard.
    given_up: [u8; 2],
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
        match demand {
            Demand::StopLaunching => self.running.stop_launching(),
            Demand::End => {
                self.running.end();
                let code = self.given_up[usize::from(first == Interrupt::Terminated)];
                thread::spawn(move || exit_hard(code));
            }
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
    Terminal::restore();
    std::process::exit(code.into());
}

/// Messages that wait for the main thread; beyond it the hosts wait, and nothing piles up.
pub(crate) const MESSAGES_MAX: usize = 4;

/// How long hosts that were told to end are waited for: their commands have somewhat less.
const PATIENCE: Duration = Duration::from_millis(1_400);

/// Below the two seconds in which an interrupt has to end the process, above [`PATIENCE`].
const PATIENCE_HARD: Duration = Duration::from_millis(1_750);

/// Where the pool's events and signals go in.
pub(crate) type Messages = SyncSender<Message>;
