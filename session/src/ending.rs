//! Ending a command that does not end by itself, and saying whether that worked.
//!
//! The principal types are [`Ending`] and [`Child::end`]. The thorough way is a helper on a second
//! channel ([`Helpers`]), which sees the host's processes; without one, signals go through the command's
//! own channel (RFC 4254 §6.9), and what is known is whether that channel closed.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sshoal_reactor::Scope;
use sshoal_reactor::sync::Event;

use crate::child::Child;
use crate::error::{ApiMisuse, Error};
use crate::ffi::OutputStream;

mod helper;
pub(crate) mod started;
mod tree;

use helper::{Helpers, NoHelper};
use started::Ages;
use tree::{Family, Process};

/// Whether a command was really ended on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// It was: of the processes that it was found to have, none is left.
    Ended {
        /// What it took.
        by: EndedBy,
    },
    /// The host closed its channel, by which it says that the command has ended; whether other
    /// processes of it are left could not be seen.
    Closed {
        /// What it took.
        by: EndedBy,
    },
    /// It was not.
    NotEnded {
        /// What is left of it.
        left: Left,
    },
    /// It may have been.
    Unknown {
        /// Why it could not be seen.
        why: Unclear,
    },
}

/// What it took to end a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndedBy {
    /// Nothing: it had ended before it was told to.
    Itself,
    /// `SIGTERM`.
    Term,
    /// `SIGKILL`, after the grace.
    Kill,
}

/// What is left of a command that was not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Left {
    /// Processes of the host, which outlived `SIGKILL`.
    Processes {
        /// How many there are.
        count: usize,
        /// How many of them run as another user, so that they may not be signalled.
        refused: usize,
    },
    /// The command's channel: the host did not close it, and the processes could not be seen.
    Channel,
}

/// Why it could not be seen whether a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unclear {
    /// The connection was lost.
    Lost,
    /// The time was over, or the wait was cancelled.
    Stopped,
}

impl Ending {
    /// Returns whether the command was ended; `None` if that is not known for all of its processes.
    pub fn is_ended(&self) -> Option<bool> {
        match self {
            Self::Ended { .. } => Some(true),
            Self::NotEnded { .. } => Some(false),
            Self::Closed { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Returns the ending's word in reports: `ended`, `closed`, `not_ended` or `unknown`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "ended",
            Self::Closed { .. } => "closed",
            Self::NotEnded { .. } => "not_ended",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { by } => write!(f, "ended {by}"),
            Self::Closed { by } => write!(f, "channel closed {by}"),
            Self::NotEnded {
                left: Left::Channel,
            } => f.write_str("not ended: the host keeps its channel open"),
            Self::NotEnded {
                left: Left::Processes { count, refused },
            } => {
                let plural = if *count == 1 { "" } else { "es" };
                write!(f, "not ended: {count} process{plural} left")?;
                match refused {
                    0 => Ok(()),
                    _ => write!(f, ", {refused} of another user"),
                }
            }
            Self::Unknown { why: Unclear::Lost } => {
                f.write_str("perhaps not ended: the connection was lost")
            }
            Self::Unknown {
                why: Unclear::Stopped,
            } => f.write_str("perhaps not ended: there was no time to see"),
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Itself => "by itself",
            Self::Term => "by TERM",
            Self::Kill => "by KILL",
        })
    }
}

impl Child {
    /// Ends the command: `SIGTERM` to its processes, and `SIGKILL` to what is left of them once the
    /// grace is over (zero: at once). Parks, for about the grace and five seconds at most, and
    /// within the scope.
    ///
    /// The processes are found by a small shell program that the host is asked to run on a channel
    /// of its own: the first process of the command, all of its session, which holds its process
    /// group and the background ones, and all that descend from these, in whatever session they
    /// are. Not found is a daemon: what has left the session and lost its parent too. Nothing else
    /// is signalled, no other command on this session either: where several were started so close
    /// together that this one's process cannot be told from the others', the channel is used.
    ///
    /// A command by [`Launch::sudo`](crate::Launch::sudo) has processes that the user who logged in
    /// may not signal; a second shell program, by the same `sudo`, does that.
    ///
    /// Where there is no second channel (`MaxSessions`), no POSIX shell, or no process to be found,
    /// the signals go through the command's own channel (RFC 4254 §6.9), and what is known is
    /// whether it closed. OpenSSH passes them on to the command's process group, but not for
    /// `root`. A host with a `ForceCommand` runs that for the shell program too.
    ///
    /// What the command prints meanwhile goes to `output`; after a `Break` it is left unread, and a
    /// command that waits for its output to be taken cannot end by itself.
    pub fn end(
        &self,
        grace: Duration,
        scope: &Scope,
        output: &mut dyn FnMut(OutputStream, &[u8]) -> ControlFlow<()>,
    ) -> Ending {
        let mut course = Course {
            child: self,
            scope,
            output,
            buffer: Vec::new(),
            told: None,
            reading: true,
            at_end: false,
        };
        let ending = course.run(grace);
        if matches!(ending, Ending::Ended { .. }) {
            // Even if its channel stays open, there is no process that could be another's.
            self.engine().started().end(self.number());
            // So that the session can be used on.
            let _ = course.is_closed(CLOSE_WAIT);
        }
        ending
    }

    /// Returns what the command's process can be told by, beside that of a later command.
    fn ages_beside(&self, later: &Self) -> Option<Ages> {
        self.engine().started().ages(self.number(), later.number())
    }
}

/// A command that is being ended.
struct Course<'a> {
    child: &'a Child,
    scope: &'a Scope,
    output: &'a mut dyn FnMut(OutputStream, &[u8]) -> ControlFlow<()>,
    buffer: Vec<u8>,
    /// When the helper was first asked to signal it.
    told: Option<Instant>,
    /// Whether output is still wanted.
    reading: bool,
    /// Whether both streams have ended.
    at_end: bool,
}

/// How long the helper may take until it has found the command's processes.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// How long killed processes may take to be gone: those that wait for a disk take a while.
const KILL_WAIT: Duration = Duration::from_secs(1);
/// How long the host may take to close the channel of a command that has ended.
const CLOSE_WAIT: Duration = Duration::from_millis(500);
/// How long a signal may wait until its turn comes on the command's channel.
const TURN_WAIT: Duration = Duration::from_millis(500);
/// The first pause between two looks; each is twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// For what is there already, or is not.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Bytes of output read at once.
const READ_BYTES: usize = 16 * 1024;

impl Course<'_> {
    fn run(&mut self, grace: Duration) -> Ending {
        if self.is_closed(Duration::ZERO) == Ok(true) {
            return Ending::Closed {
                by: EndedBy::Itself,
            };
        }
        match self.with_helper(grace) {
            Ok(ending) => ending,
            Err(why) => {
                tracing::debug!(%why, "a command's processes cannot be seen");
                let used = self.told.map_or(Duration::ZERO, |told| told.elapsed());
                let ended = self.by_channel(grace.saturating_sub(used));
                ended.unwrap_or_else(|why| Ending::Unknown { why })
            }
        }
    }

    fn with_helper(&mut self, grace: Duration) -> Result<Ending, NoHelper> {
        // It may stop answering at any time.
        let limit = LOOK_MAX.saturating_add(grace).saturating_add(KILL_WAIT);
        let work = self.scope.child(Some(limit));
        let look = work.child(Some(LOOK_MAX));
        let mut helper = Helpers::start(self.child, &look)?;
        let ending = self.by_helper(&mut helper, grace, (&look, &work));
        if ending.is_ok() {
            // A helper that is slow to go is left to it.
            helper.close(&self.scope.child(Some(CLOSE_WAIT)));
        }
        ending
    }

    fn by_helper(
        &mut self,
        helper: &mut Helpers<'_>,
        grace: Duration,
        (look, work): (&Scope, &Scope),
    ) -> Result<Ending, NoHelper> {
        let (table, leader) = helper.find(look)?;
        let leader = leader.ok_or(NoHelper::NotFound)?;
        let mut family = Family::new(&leader);
        let living = family.living(&table);
        let left = self.terminate((helper, work), &mut family, living, grace)?;
        if left.0.is_empty() {
            return Ok(Ending::Ended { by: EndedBy::Term });
        }
        self.kill((helper, work), &mut family, left)
    }

    /// Sends `SIGTERM` and waits for the grace at most; returns what is left, and what of it could
    /// not be signalled.
    fn terminate(
        &mut self,
        (helper, work): (&mut Helpers<'_>, &Scope),
        family: &mut Family,
        mut living: Vec<Process>,
        grace: Duration,
    ) -> Result<(Vec<Process>, HashSet<u32>), NoHelper> {
        let (mut began, mut pause) = (Instant::now(), PAUSE_MIN);
        self.told = Some(began);
        let (mut told, mut refused) = (HashSet::new(), HashSet::new());
        while began.elapsed() < grace && !living.is_empty() {
            let untold: Vec<Process> = (living.iter())
                .filter(|process| told.insert(process.identity()))
                .copied()
                .collect();
            if !untold.is_empty() {
                refused.extend(helper.kill("TERM", &untold, work)?);
            }
            if untold.len() == told.len() {
                // The way to another user may have taken a while.
                began = Instant::now();
            }
            self.pause(pause.min(grace.saturating_sub(began.elapsed())))?;
            pause = PAUSE_MAX.min(pause * 2);
            // Few are cheap to look at; once they are gone, all are, for what they have started.
            living = family.living(&helper.list(&living, work)?);
            if living.is_empty() {
                living = family.living(&helper.list(&[], work)?);
            }
            let barred = |process: &Process| refused.contains(&process.pid);
            if !helper.is_raised() && living.iter().all(barred) {
                break;
            }
        }
        Ok((living, refused))
    }

    /// Sends `SIGKILL` to what is left, until nothing is or the time is over.
    fn kill(
        &mut self,
        (helper, work): (&mut Helpers<'_>, &Scope),
        family: &mut Family,
        (mut living, mut refused): (Vec<Process>, HashSet<u32>),
    ) -> Result<Ending, NoHelper> {
        let (mut began, mut pause) = (None, PAUSE_MIN);
        loop {
            refused.extend(helper.kill("KILL", &living, work)?);
            let began = *began.get_or_insert_with(Instant::now);
            self.pause(pause)?;
            pause = PAUSE_MAX.min(pause * 2);
            living = family.living(&helper.list(&[], work)?);
            if living.is_empty() {
                return Ok(Ending::Ended { by: EndedBy::Kill });
            }
            let barred = living.iter().filter(|p| refused.contains(&p.pid)).count();
            // A `sudo` that may not be signalled goes after its command.
            let hopeless = barred == living.len() && !helper.is_raised();
            if hopeless || began.elapsed() >= KILL_WAIT {
                let left = Left::Processes {
                    count: living.len(),
                    refused: barred,
                };
                return Ok(Ending::NotEnded { left });
            }
        }
    }

    /// Signals through the command's channel.
    fn by_channel(&mut self, grace: Duration) -> Result<Ending, Unclear> {
        let left = Left::Channel;
        for (signal, wait, by) in [
            ("TERM", grace, EndedBy::Term),
            ("KILL", KILL_WAIT, EndedBy::Kill),
        ] {
            if signal == "TERM" && grace.is_zero() {
                continue;
            }
            // Input that nobody takes may be in the way for as long as it lasts.
            let turn = self.scope.child(Some(TURN_WAIT));
            match self.child.signal(signal, &turn) {
                Ok(()) => {}
                // Half a packet of input is in the way.
                Err(Error::ApiMisuse(ApiMisuse::StdinClosed)) if !self.is_closed(wait)? => {
                    return Ok(Ending::NotEnded { left });
                }
                Err(Error::ApiMisuse(ApiMisuse::StdinClosed)) => {
                    let by = EndedBy::Itself;
                    return Ok(Ending::Closed { by });
                }
                Err(error) => {
                    self.timed_out(&error)?;
                    continue;
                }
            }
            if self.is_closed(wait)? {
                return Ok(Ending::Closed { by });
            }
        }
        Ok(Ending::NotEnded { left })
    }

    /// Waits for the host's close of the channel, and reads on until then.
    fn is_closed(&mut self, wait: Duration) -> Result<bool, Unclear> {
        // A command that has ended shows it at once, if at all.
        let step = self.scope.child(Some(wait.max(AT_ONCE)));
        while self.reading && !self.at_end {
            if !self.read(&step)? {
                return Ok(false);
            }
        }
        match self.child.wait(&step) {
            Ok(_) => Ok(true),
            Err(error) => self.timed_out(&error).map(|()| false),
        }
    }

    /// Waits so long, and passes on what comes meanwhile; shorter where the output ends.
    fn pause(&mut self, pause: Duration) -> Result<(), NoHelper> {
        let step = self.scope.child(Some(pause));
        while self.reading && !self.at_end {
            if !self.read(&step)? || self.at_end {
                return Ok(());
            }
        }
        // Never set: it is the time that ends this.
        let _ = Event::new().wait(&step);
        self.scope.check().map_err(|_| Unclear::Stopped)?;
        Ok(())
    }

    /// Reads what comes next within a step's time; false if that is over.
    fn read(&mut self, step: &Scope) -> Result<bool, Unclear> {
        // Bytes that are there come whether there is time or not.
        if step.check().is_err() {
            self.scope.check().map_err(|_| Unclear::Stopped)?;
            return Ok(false);
        }
        self.buffer.resize(READ_BYTES, 0);
        match self.child.read(&mut self.buffer, step) {
            Ok(Some((stream, bytes))) => {
                self.reading = (self.output)(stream, &self.buffer[..bytes]).is_continue();
            }
            Ok(None) => self.at_end = true,
            Err(error) => return self.timed_out(&error).map(|()| false),
        }
        Ok(true)
    }

    /// A step's own time ran out, or it is the end of all.
    fn timed_out(&self, error: &Error) -> Result<(), Unclear> {
        match error {
            Error::TimedOut { .. } if self.scope.check().is_ok() => Ok(()),
            error => Err(self.unclear(error)),
        }
    }

    fn unclear(&self, error: &Error) -> Unclear {
        match error {
            Error::TimedOut { .. } | Error::Cancelled { .. } => Unclear::Stopped,
            _ if self.scope.check().is_err() => Unclear::Stopped,
            _ => Unclear::Lost,
        }
    }
}

impl From<Unclear> for NoHelper {
    fn from(_: Unclear) -> Self {
        Self::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ending: Ending, word: &str, ended: Option<bool>, text: &str) {
        assert_eq!(
            (ending.as_str(), ending.is_ended(), ending.to_string()),
            (word, ended, text.to_owned())
        );
    }

    #[test]
    fn says_what_is_known() {
        let by = EndedBy::Term;
        check(Ending::Ended { by }, "ended", Some(true), "ended by TERM");
        let closed = "channel closed by KILL";
        let by = EndedBy::Kill;
        check(Ending::Closed { by }, "closed", None, closed);
        let not = |count, refused| Ending::NotEnded {
            left: Left::Processes { count, refused },
        };
        let (word, ended) = ("not_ended", Some(false));
        check(not(1, 0), word, ended, "not ended: 1 process left");
        let two = "not ended: 3 processes left, 2 of another user";
        check(not(3, 2), word, ended, two);
        let left = Left::Channel;
        let open = "not ended: the host keeps its channel open";
        check(Ending::NotEnded { left }, word, ended, open);
        let why = Unclear::Lost;
        let lost = "perhaps not ended: the connection was lost";
        check(Ending::Unknown { why }, "unknown", None, lost);
    }
}
