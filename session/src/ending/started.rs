//! Which commands a session has running, and when each was started.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The commands of one session, by number.
#[derive(Debug, Default)]
pub(crate) struct Started {
    commands: BTreeMap<u64, Command>,
    numbers: u64,
    /// Commands that the host was ever asked for.
    asked: u64,
}

/// One command: from its request until its channel has ended at both sides.
#[derive(Debug, Clone, Copy)]
struct Command {
    asked: Instant,
    /// `None` until the host has accepted it.
    accepted: Option<Instant>,
    /// Its channel was given up: the host may run it still.
    left: bool,
}

/// How long one command had been running when another was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
}

/// What there is to tell a command's process by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ages {
    /// Of the commands that may run, in the order in which they were started.
    pub(crate) commands: Vec<Age>,
    /// The place of the one that is meant.
    pub(crate) own: usize,
    /// Whether the session has never had another command.
    pub(crate) only: bool,
}

/// Given-up commands that are remembered.
const LEFT_MAX: usize = 256;

impl Started {
    /// Returns a number for a command.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Notes that the host is being asked for a command.
    pub(crate) fn ask(&mut self, number: u64, at: Instant) {
        let command = Command {
            asked: at,
            accepted: None,
            left: false,
        };
        self.commands.insert(number, command);
        self.asked += 1;
    }

    /// Notes that the host has accepted it.
    pub(crate) fn accept(&mut self, number: u64, at: Instant) {
        if let Some(command) = self.commands.get_mut(&number) {
            command.accepted = Some(at);
        }
    }

    /// Notes that the host has ended its channel: it has nothing of the command's own left.
    pub(crate) fn end(&mut self, number: u64) {
        self.commands.remove(&number);
    }

    /// Notes that its channel was given up.
    pub(crate) fn leave(&mut self, number: u64) {
        let Some(command) = self.commands.get_mut(&number) else {
            return;
        };
        command.left = true;
        let left = self.commands.iter().filter(|(_, command)| command.left);
        if left.clone().count() > LEFT_MAX
            && let Some((oldest, _)) = left.map(|(number, command)| (*number, *command)).next()
        {
            self.commands.remove(&oldest);
        }
    }

    /// Returns how old commands were when a later one was started; `None` if one of the two is not
    /// known or was not accepted.
    pub(crate) fn ages(&self, number: u64, later: u64) -> Option<Ages> {
        let reference = self.commands.get(&later)?;
        let accepted = reference.accepted?;
        let age = |command: &Command| Age {
            least: command.accepted.map_or(Duration::ZERO, |at| {
                reference.asked.saturating_duration_since(at)
            }),
            most: accepted.saturating_duration_since(command.asked),
        };
        let commands = self.commands.iter().filter(|(other, _)| **other != later);
        Some(Ages {
            own: commands.clone().position(|(other, _)| *other == number)?,
            commands: commands.map(|(_, command)| age(command)).collect(),
            only: self.asked == 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn ages_span_request_and_acceptance() {
        let mut started = Started::default();
        let zero = Instant::now();
        let mut start = |asked, accepted| {
            let number = started.number();
            started.ask(number, zero + milliseconds(asked));
            started.accept(number, zero + milliseconds(accepted));
            number
        };
        let (first, second, helper) = (start(0, 10), start(20, 50), start(100, 130));
        let ages = started.ages(second, helper).unwrap();
        let span = |least, most| Age {
            least: milliseconds(least),
            most: milliseconds(most),
        };
        assert_eq!(ages.commands, [span(90, 130), span(50, 110)]);
        assert_eq!((ages.own, ages.only), (1, false));
        started.end(first);
        let ages = started.ages(second, helper).unwrap();
        assert_eq!((ages.commands.len(), ages.own, ages.only), (1, 0, false));
        started.leave(second);
        assert!(started.ages(second, helper).is_some(), "it may run still");
        assert_eq!(started.ages(first, helper), None);
    }

    #[test]
    fn given_up_commands_are_remembered_up_to_a_bound() {
        let mut started = Started::default();
        let now = Instant::now();
        for _ in 0..2 * LEFT_MAX {
            let number = started.number();
            started.ask(number, now);
            started.accept(number, now);
            started.leave(number);
        }
        assert_eq!(started.commands.len(), LEFT_MAX);
    }
}
