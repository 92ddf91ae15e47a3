//! A run in waves: each has hosts of its own and begins when the one before has ended, was looked
//! at by a gate, and a pause is over.
//!
//! The principal types are [`Sizes`], which is pure, and [`Rolling`]. A run that is not in waves is
//! one of a single wave.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sshoal::{Event, Events, Fleet, RunHandle, StopAfter, StopCause};

use crate::args::MaxFail;
use crate::drive::{Message, Messages};
use crate::engine::{self, Job, Running};

mod gate;
mod part;
mod sizes;
mod tally;

pub(crate) use self::gate::Gate;
pub(crate) use self::sizes::Sizes;
use self::tally::Tally;

/// A command for some hosts of a list, in steps.
#[derive(Debug)]
pub(crate) struct Rolling {
    /// The whole list.
    pub(crate) job: Job,
    /// Whether hosts are asked to run different commands.
    pub(crate) is_template: bool,
    /// The positions of each wave's hosts in the list; at least one wave.
    pub(crate) waves: Vec<Vec<usize>>,
    pub(crate) gate: Option<Gate>,
    /// Between waves.
    pub(crate) pause: Option<Duration>,
    pub(crate) max_fail: Option<MaxFail>,
    /// Whether the begin of each wave is not worth a line.
    pub(crate) is_quiet: bool,
}

/// What stops waves under way; any number of clones.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    state: Arc<Mutex<State>>,
    /// Wakes whoever waits between waves.
    words: Sender<Word>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the wave under way, or the one before.
    handle: Option<RunHandle>,
    is_stopped: bool,
}

/// What is heard between waves.
#[derive(Debug)]
enum Word {
    /// No more waves are to be begun.
    Stop,
    /// The gate's command ended, with what it means.
    Gate(Result<(), String>),
}

/// Why no more waves are begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    By(StopCause),
    /// The main thread has given up.
    Unheard,
}

impl Control {
    /// Begins no more hosts.
    pub(crate) fn stop_launching(&self) {
        if let Some(handle) = self.stop() {
            handle.stop_starting();
        }
    }

    /// Ends every host and its command, within this time.
    pub(crate) fn end(&self, within: Duration) {
        if let Some(handle) = self.stop() {
            handle.cancel_and_end(within);
        }
    }

    /// Returns how many hosts have been begun and have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        let handle = self.lock().handle.clone();
        let progress = handle.map(|handle| handle.progress());
        progress.map_or(0, |progress| progress.connecting + progress.running)
    }

    fn stop(&self) -> Option<RunHandle> {
        let handle = {
            let mut state = self.lock();
            state.is_stopped = true;
            state.handle.clone()
        };
        // Nobody hears it after the last wave.
        let _ = self.words.send(Word::Stop);
        handle
    }

    /// Takes the handle of a wave that was begun, and stops it if that was asked for meanwhile.
    fn take(&self, handle: RunHandle) {
        let mut state = self.lock();
        if state.is_stopped {
            handle.cancel();
        }
        state.handle = Some(handle);
    }

    fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rolling {
    /// Begins the first wave; what happens goes to `messages`, [`Message::Over`] last.
    ///
    /// # Errors
    /// Fails if it cannot be begun; nothing was run then.
    pub(crate) fn start(self, messages: Messages) -> Result<Running> {
        if let Some(workers) = self.job.workers.as_ref().filter(|_| !self.is_quiet) {
            workers.say_to(&messages);
        }
        let (words, heard) = channel();
        let control = Control {
            state: Arc::default(),
            words,
        };
        let begun = Instant::now();
        let (fleet, events) = engine::begin(self.part(0, begun, 0)?)?;
        control.take(events.handle());
        let course = Course {
            until: self.job.pace.deadline.map(|limit| begun + limit),
            rolling: self,
            begun,
            control: control.clone(),
            heard,
            messages,
        };
        let run = move || {
            // Who does not hear it does not wait for it.
            if course.run(fleet, events) != Some(Stop::Unheard) {
                let _ = course.messages.send(Message::Over);
            }
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(run)
            .context("cannot begin")?;
        Ok(Running::waves(control))
    }

    /// Returns how many hosts there are in all waves.
    fn hosts(&self) -> usize {
        self.waves.iter().map(Vec::len).sum()
    }

    /// Returns the job of one wave, after so many failures.
    fn part(&self, wave: usize, begun: Instant, failed: usize) -> Result<Job> {
        let mut part = part::of(&self.job, &self.waves[wave], self.is_template)?;
        let deadline = self.job.pace.deadline;
        part.pace.deadline = deadline.map(|limit| limit.saturating_sub(begun.elapsed()));
        part.pace.stop_after = self.max_fail.and_then(|max_fail| {
            let left = max_fail.of(self.hosts()).saturating_sub(failed);
            left.try_into().ok().map(StopAfter::failures)
        });
        Ok(part)
    }
}

/// Waves under way: the side of the thread that takes the events.
struct Course {
    rolling: Rolling,
    begun: Instant,
    /// When the whole run is to end.
    until: Option<Instant>,
    control: Control,
    heard: Receiver<Word>,
    messages: Messages,
}

impl Course {
    /// Goes through all waves, the first of which was begun; returns what stopped them, if anything.
    fn run(&self, fleet: Fleet, events: Events) -> Option<Stop> {
        let waves = &self.rolling.waves;
        let (mut all, mut next) = (Tally::default(), Some((fleet, events)));
        for wave in 0..waves.len() {
            let (fleet, events) = match next.take() {
                Some(begun) => begun,
                None => match self.begin(wave, &all) {
                    Ok(begun) => begun,
                    Err(stop) => return Some(self.left_out(wave, stop)),
                },
            };
            let own = match self.pass(wave, events) {
                Ok(own) => own,
                Err(stop) => return Some(stop),
            };
            drop(fleet);
            all.add(&own);
            if wave + 1 < waves.len()
                && let Err(stop) = self.between(wave, &own, &all)
            {
                return Some(self.left_out(wave + 1, stop));
            }
        }
        None
    }

    /// Begins a wave.
    fn begin(&self, wave: usize, all: &Tally) -> Result<(Fleet, Events), Stop> {
        let part = self.rolling.part(wave, self.begun, all.failed);
        match part.and_then(engine::begin) {
            Ok((fleet, events)) => {
                self.control.take(events.handle());
                Ok((fleet, events))
            }
            Err(error) => {
                self.say(format!("wave {} cannot begin: {error:#}", wave + 1))?;
                Err(Stop::By(StopCause::Failures))
            }
        }
    }

    /// Passes a wave's events on to its end.
    fn pass(&self, wave: usize, events: Events) -> Result<Tally, Stop> {
        let whom: Arc<[usize]> = self.rolling.waves[wave].as_slice().into();
        let waves = self.rolling.waves.len();
        if waves > 1 && !self.rolling.is_quiet {
            let (wave, hosts) = (wave + 1, whom.len());
            let s = if hosts == 1 { "" } else { "s" };
            self.say(format!("wave {wave} of {waves}: {hosts} host{s}"))?;
        }
        self.send(Message::Wave(Arc::clone(&whom)))?;
        let mut tally = Tally::default();
        let see = |event: &mut Event| {
            if let Event::Finished(outcome) = &event {
                tally.count(outcome.end());
            }
            renumber(event, &whom);
        };
        engine::forward_all(events, &self.messages, see).map_err(|_| Stop::Unheard)?;
        Ok(tally)
    }

    /// Does what there is to do after a wave that is not the last, and says whether to go on.
    fn between(&self, wave: usize, own: &Tally, all: &Tally) -> Result<(), Stop> {
        let stopped = || match self.control.is_stopped() {
            true => Err(Stop::By(StopCause::Caller)),
            false => Ok(()),
        };
        stopped()?;
        if self.is_past() {
            return Err(Stop::By(StopCause::Deadline));
        }
        let hosts = self.rolling.hosts();
        if (self.rolling.max_fail).is_some_and(|max| all.failed >= max.of(hosts)) {
            return Err(Stop::By(StopCause::Failures));
        }
        if let Some(gate) = &self.rolling.gate {
            let place = (wave + 1, self.rolling.waves.len());
            self.gate(gate, &gate.variables(place, own, all))?;
        }
        if let Some(pause) = self.rolling.pause {
            let until = Instant::now().checked_add(pause);
            let until = until.into_iter().chain(self.until).min();
            if let Some(Word::Stop) = self.hear(until) {
                return Err(Stop::By(StopCause::Caller));
            }
            if self.is_past() {
                return Err(Stop::By(StopCause::Deadline));
            }
        }
        stopped()
    }

    /// Has the gate look at what was done.
    fn gate(&self, gate: &Gate, variables: &[(&'static str, String)]) -> Result<(), Stop> {
        let refused = |reason: String| {
            self.say(format!("the gate stopped the run: {reason}"))?;
            Err(Stop::By(StopCause::Failures))
        };
        let (words, messages) = (self.control.words.clone(), self.messages.clone());
        let running = match gate.start(variables, words, messages) {
            Ok(running) => running,
            Err(error) => return refused(format!("{error:#}")),
        };
        let stop = match self.hear(self.until) {
            Some(Word::Gate(Ok(()))) => return Ok(()),
            Some(Word::Gate(Err(reason))) if !self.control.is_stopped() => return refused(reason),
            None => StopCause::Deadline,
            Some(_) => StopCause::Caller,
        };
        running.end();
        // A moment, so that it does not outlive this process.
        let until = Instant::now().checked_add(GATE_ENDS_WITHIN);
        while let Some(Word::Stop) = self.hear(until) {}
        Err(Stop::By(stop))
    }

    /// Waits for a word, until then at the latest.
    fn hear(&self, until: Option<Instant>) -> Option<Word> {
        let word = match until {
            // It owns one end itself, so that there is always somebody who may say something.
            None => self.heard.recv().map_err(RecvTimeoutError::from),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.heard.recv_timeout(left)
            }
        };
        word.ok()
    }

    fn is_past(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Says of the hosts from this wave on that they were not begun.
    fn left_out(&self, wave: usize, stop: Stop) -> Stop {
        let Stop::By(cause) = stop else { return stop };
        let hosts = self.rolling.waves[wave..].concat();
        match self.send(Message::LeftOut(hosts, cause)) {
            Ok(()) => stop,
            Err(unheard) => unheard,
        }
    }

    fn say(&self, line: String) -> Result<(), Stop> {
        self.send(Message::Said(line))
    }

    fn send(&self, message: Message) -> Result<(), Stop> {
        self.messages.send(message).map_err(|_| Stop::Unheard)
    }
}

/// How long a gate that was asked to end is waited for: less than an interrupted run may take.
const GATE_ENDS_WITHIN: Duration = Duration::from_millis(500);

/// Has an event name its host by its position in the whole list; that of an outcome is its own.
pub(crate) fn renumber(event: &mut Event, whom: &[usize]) {
    match event {
        Event::Started { index, .. }
        | Event::Retry { index, .. }
        | Event::Connected { index, .. }
        | Event::Authenticated { index, .. }
        | Event::Accepted { index, .. }
        | Event::Output { index, .. }
        | Event::Exit { index, .. }
        | Event::Failed { index, .. } => *index = whom[*index],
        _ => {}
    }
}
