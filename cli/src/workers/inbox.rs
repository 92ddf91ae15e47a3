//! What a worker said of its sessions and commands, until whoever waits for it takes it.
//!
//! A worker has talked to hostile hosts and may be theirs. Each report is weighed here: one that
//! comes twice, of what was never begun, of a host that is another's, or of more output than was
//! granted is a breach, for which the worker is ended.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sshoal::sync::Queue;
use sshoal::{Ending, Error, Exit, Host, OutputStream, Phase};

use super::wire::{Report, WINDOW, WireStream, WireTimings, cost};

/// The sessions and commands of one worker.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<u64, Arc<SessionBox>>,
    commands: HashMap<u64, Arc<CommandBox>>,
    /// Numbers drawn so far, for both.
    drawn: u64,
    /// The hosts of all sessions that were ever begun here, and of those on the way to them.
    hosts: HashSet<Host>,
    /// The worker is gone, or is to go.
    is_over: bool,
}

/// What is said of a session.
#[derive(Debug)]
pub(super) struct SessionBox {
    pub(super) number: u64,
    pub(super) words: Queue<SessionWord>,
    /// Its host, and the jump hosts on the way.
    hosts: Vec<Host>,
    stage: Mutex<SessionStage>,
}

#[derive(Debug, Clone, Copy)]
enum SessionStage {
    /// So many phases were reached.
    Opening(usize),
    Open,
    Closing,
    Over,
}

#[derive(Debug)]
pub(super) enum SessionWord {
    Reached(Phase),
    Connected(WireTimings),
    NotConnected(Error, WireTimings),
    Closed,
}

/// What is said of a command.
#[derive(Debug)]
pub(super) struct CommandBox {
    pub(super) number: u64,
    pub(super) words: Queue<CommandWord>,
    /// What became of the last piece of input.
    pub(super) wrote: Queue<Result<(), Error>>,
    /// What more may be sent.
    window: AtomicUsize,
    stage: Mutex<CommandStage>,
}

#[derive(Debug, Default)]
struct CommandStage {
    is_answered: bool,
    is_over: bool,
    ends: usize,
    writes: usize,
}

#[derive(Debug)]
pub(super) enum CommandWord {
    Started,
    NotStarted(Error, Asked),
    Output(OutputStream, Vec<u8>),
    Exited(Exit),
    Lost(Error),
    Ended(Ending),
}

/// Whether the host may have been asked to run a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Yes,
    No,
}

/// What a worker must not say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach;

impl Inbox {
    /// Adds a session with a host, and with the jump hosts on the way; `None` once the worker is
    /// gone.
    pub(super) fn session(&self, hosts: Vec<Host>) -> Option<Arc<SessionBox>> {
        let mut state = self.lock();
        let number = state.draw()?;
        for host in &hosts {
            if !state.hosts.contains(host) {
                state.hosts.insert(host.clone());
            }
        }
        let session = Arc::new(SessionBox {
            number,
            words: Queue::unbounded(),
            hosts,
            stage: Mutex::new(SessionStage::Opening(0)),
        });
        state.sessions.insert(number, Arc::clone(&session));
        Some(session)
    }

    /// Adds a command; `None` once the worker is gone.
    pub(super) fn command(&self) -> Option<Arc<CommandBox>> {
        let mut state = self.lock();
        let number = state.draw()?;
        let command = Arc::new(CommandBox {
            number,
            words: Queue::unbounded(),
            wrote: Queue::unbounded(),
            window: AtomicUsize::new(WINDOW),
            stage: Mutex::default(),
        });
        state.commands.insert(number, Arc::clone(&command));
        Some(command)
    }

    /// Forgets a session or a command; what is still said of it is thrown away.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.lock();
        state.sessions.remove(&number);
        state.commands.remove(&number);
    }

    /// Ends all that waits; returns how many sessions there were.
    pub(super) fn end(&self) -> usize {
        let (sessions, commands) = {
            let mut state = self.lock();
            state.is_over = true;
            let sessions = std::mem::take(&mut state.sessions);
            (sessions, std::mem::take(&mut state.commands))
        };
        for session in sessions.values() {
            session.words.close();
        }
        for command in commands.values() {
            command.words.close();
            command.wrote.close();
        }
        sessions.len()
    }

    /// Returns whether a host may ask something of the user: whether a session of the worker's is
    /// with it, or goes by it. One that was given up may have asked before the worker heard of that.
    ///
    /// # Errors
    /// The worker never had to do with this host.
    pub(super) fn may_ask(&self, host: &Host) -> Result<bool, Breach> {
        let state = self.lock();
        if !state.hosts.contains(host) {
            return Err(Breach);
        }
        let mut sessions = state.sessions.values();
        Ok(sessions.any(|session| session.hosts.contains(host)))
    }

    /// Takes a report in, all but questions.
    ///
    /// # Errors
    /// It must not be, and the worker is not to be believed any more.
    pub(super) fn take(&self, report: Report, payload: Vec<u8>) -> Result<(), Breach> {
        match report {
            Report::Reached { session, phase } => {
                let word = SessionWord::Reached(phase.into());
                self.of_session(session, word)
            }
            Report::Connected { session, timings } => {
                self.of_session(session, SessionWord::Connected(timings))
            }
            Report::NotConnected {
                session,
                error,
                timings,
            } => {
                let word = SessionWord::NotConnected(error.error(), timings);
                self.of_session(session, word)
            }
            Report::Closed { session } => self.of_session(session, SessionWord::Closed),
            Report::Started { command } => self.of_command(command, CommandWord::Started),
            Report::NotStarted {
                command,
                error,
                asked,
            } => {
                let asked = if asked { Asked::Yes } else { Asked::No };
                self.of_command(command, CommandWord::NotStarted(error.error(), asked))
            }
            Report::Output { command, stream } => {
                let stream = match stream {
                    WireStream::Stdout => OutputStream::Stdout,
                    WireStream::Stderr => OutputStream::Stderr,
                };
                self.of_command(command, CommandWord::Output(stream, payload))
            }
            Report::Exited { command, exit } => {
                self.of_command(command, CommandWord::Exited(exit.into()))
            }
            Report::Lost { command, error } => {
                self.of_command(command, CommandWord::Lost(error.error()))
            }
            Report::Ended { command, ending } => {
                self.of_command(command, CommandWord::Ended(ending.into()))
            }
            Report::Wrote { command, error } => {
                let Some(command) = self.find(command, |state| &state.commands)? else {
                    return Ok(());
                };
                command.wrote(error.map_or(Ok(()), |error| Err(error.error())))
            }
            Report::Ready | Report::Asked { .. } => Err(Breach),
        }
    }

    fn of_session(&self, number: u64, word: SessionWord) -> Result<(), Breach> {
        match self.find(number, |state| &state.sessions)? {
            Some(session) => session.put(word),
            None => Ok(()),
        }
    }

    fn of_command(&self, number: u64, word: CommandWord) -> Result<(), Breach> {
        match self.find(number, |state| &state.commands)? {
            Some(command) => command.put(word),
            None => Ok(()),
        }
    }

    /// Finds what a number stands for; `None` if it was forgotten.
    fn find<T>(
        &self,
        number: u64,
        among: impl Fn(&State) -> &HashMap<u64, Arc<T>>,
    ) -> Result<Option<Arc<T>>, Breach> {
        let state = self.lock();
        match number <= state.drawn {
            true => Ok(among(&state).get(&number).cloned()),
            false => Err(Breach),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn draw(&mut self) -> Option<u64> {
        if self.is_over {
            return None;
        }
        self.drawn += 1;
        Some(self.drawn)
    }
}

impl SessionBox {
    /// Notes that the session is to be closed, which is then said once.
    pub(super) fn closing(&self) {
        *self.stage() = SessionStage::Closing;
    }

    fn put(&self, word: SessionWord) -> Result<(), Breach> {
        let mut stage = self.stage();
        *stage = match (*stage, &word) {
            (SessionStage::Opening(count), SessionWord::Reached(_)) if count < REACHED_MAX => {
                SessionStage::Opening(count + 1)
            }
            (SessionStage::Opening(_), SessionWord::Connected(_)) => SessionStage::Open,
            (SessionStage::Opening(_), SessionWord::NotConnected(..))
            | (SessionStage::Closing, SessionWord::Closed) => SessionStage::Over,
            _ => return Err(Breach),
        };
        drop(stage);
        // Never full, and closed only when nobody waits any more.
        let _ = self.words.try_push(word);
        Ok(())
    }

    fn stage(&self) -> MutexGuard<'_, SessionStage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommandBox {
    /// Notes that the command is to be ended, which is then said once.
    pub(super) fn ending(&self) {
        self.stage().ends += 1;
    }

    /// Notes a piece of input on its way, of which it is said once what became of it.
    pub(super) fn writing(&self) {
        self.stage().writes += 1;
    }

    /// Notes that so much of the window is free again.
    pub(super) fn granted(&self, bytes: usize) {
        self.window.fetch_add(bytes, Ordering::Relaxed);
    }

    fn wrote(&self, result: Result<(), Error>) -> Result<(), Breach> {
        let mut stage = self.stage();
        stage.writes = stage.writes.checked_sub(1).ok_or(Breach)?;
        drop(stage);
        let _ = self.wrote.try_push(result);
        Ok(())
    }

    fn put(&self, word: CommandWord) -> Result<(), Breach> {
        let mut stage = self.stage();
        match &word {
            CommandWord::Started | CommandWord::NotStarted(..) if !stage.is_answered => {
                stage.is_answered = true;
                stage.is_over = matches!(word, CommandWord::NotStarted(..));
            }
            CommandWord::Output(_, bytes) if stage.is_answered && !stage.is_over => {
                let left = self.window.load(Ordering::Relaxed);
                if cost(bytes.len()) > left {
                    return Err(Breach);
                }
                // Only grants change it beside this, and only upwards.
                self.window.fetch_sub(cost(bytes.len()), Ordering::Relaxed);
            }
            CommandWord::Exited(_) | CommandWord::Lost(_)
                if stage.is_answered && !stage.is_over =>
            {
                stage.is_over = true;
            }
            CommandWord::Ended(_) if stage.ends > 0 => stage.ends -= 1,
            _ => return Err(Breach),
        }
        drop(stage);
        let _ = self.words.try_push(word);
        Ok(())
    }

    fn stage(&self) -> MutexGuard<'_, CommandStage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Phases that a session tells of.
const REACHED_MAX: usize = 8;

#[cfg(test)]
mod tests;
