//! The process's exit code, as a pure function of what happened to the hosts.

/// What stopped the run from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP: the terminal is gone.
    HungUp,
}

impl Interrupt {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Interrupted, Self::Terminated, Self::HungUp];

    /// Returns the exit code of a process that it ended.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::HungUp => 129,
        }
    }
}

/// How one host ended, as far as the exit code cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The command ended with exit status 0.
    Good,
    /// The command ended with another exit status, which is this one or larger than any exit code,
    /// or by a signal of its own.
    BadStatus(u8),
    /// All went well, and there was a difference that was asked for.
    Differs,
    /// The host failed before the command was accepted, or its connection or status was lost.
    Failed,
    /// The command was ended by a limit of ours.
    TimedOut,
    /// A defect of this program, or something of ours that could not be written.
    Internal,
    /// The host was not run to its end because the run was stopped from outside.
    Stopped,
}

/// What happened over the whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    internal: bool,
    timed_out: bool,
    failed: bool,
    /// The largest.
    bad_status: Option<u8>,
    differs: bool,
    /// Whether a bad exit status is told by the exit code.
    tells_status: bool,
    /// Hosts were left out because others had failed.
    stopped: bool,
    interrupt: Option<Interrupt>,
}

impl Facts {
    /// Counts one host's end in.
    pub(crate) fn add(&mut self, class: Class) {
        match class {
            Class::Good | Class::Stopped => {}
            Class::BadStatus(status) => self.bad_status = self.bad_status.max(Some(status)),
            Class::Differs => self.differs = true,
            Class::Failed => self.failed = true,
            Class::TimedOut => self.timed_out = true,
            Class::Internal => self.internal = true,
        }
    }

    /// Notes that the run was stopped from outside; the first reason stays.
    pub(crate) fn interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt.get_or_insert(interrupt);
    }

    /// Notes that a host was left out, or given up, because as many had failed as were allowed.
    pub(crate) fn stop_for_failures(&mut self) {
        self.stopped = true;
    }

    /// Has the exit code be the largest exit status where it would be 5.
    pub(crate) fn tell_status(&mut self) {
        self.tells_status = true;
    }

    /// Returns the exit code: of several that apply the first of 1, 129, 130 or 143, 7, 3, 4, 5, 6.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self { internal: true, .. } => INTERNAL,
            Self {
                interrupt: Some(interrupt),
                ..
            } => interrupt.exit_code(),
            Self { stopped: true, .. } => 7,
            Self {
                timed_out: true, ..
            } => 3,
            Self { failed: true, .. } => 4,
            Self {
                bad_status: Some(status),
                tells_status,
                ..
            } => {
                if tells_status {
                    status
                } else {
                    5
                }
            }
            Self { differs: true, .. } => 6,
            _ => 0,
        }
    }
}

impl Class {
    /// Returns what a command's exit status other than 0 makes of its host.
    pub(crate) fn of_status(status: u32) -> Self {
        Self::BadStatus(u8::try_from(status).unwrap_or(u8::MAX))
    }

    /// Returns what a signal that ended a command makes of its host: ssh exits with 255 then.
    pub(crate) fn of_signal() -> Self {
        Self::BadStatus(u8::MAX)
    }
}

/// Exit code of a defect of this program.
pub(crate) const INTERNAL: u8 = 1;

/// Exit code of a usage error, an unreadable file or a bad host list: nothing was run.
pub(crate) const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(classes: &[Class], interrupt: Option<Interrupt>, expected: u8) {
        let mut facts = Facts::default();
        for &class in classes {
            facts.add(class);
        }
        if let Some(interrupt) = interrupt {
            facts.interrupt(interrupt);
        }
        assert_eq!(facts.exit_code(), expected, "{classes:?} {interrupt:?}");
    }

    #[test]
    fn follows_the_table_and_its_precedence() {
        use Class::{BadStatus, Differs, Failed, Good, Internal, Stopped, TimedOut};
        let ctrl_c = Some(Interrupt::Interrupted);
        check(&[], None, 0);
        check(&[Good, Good], None, 0);
        check(&[Good, BadStatus(3)], None, 5);
        check(&[Failed, Good], None, 4);
        check(&[BadStatus(3), Failed], None, 4);
        check(&[Differs, Good], None, 6);
        check(&[Differs, BadStatus(3)], None, 5);
        check(&[TimedOut], None, 3);
        check(&[BadStatus(3), Failed, TimedOut], None, 3);
        check(&[Good, Stopped], None, 0);
        check(&[Stopped, TimedOut, Failed], ctrl_c, 130);
        check(&[Good], Some(Interrupt::Terminated), 143);
        check(&[Good], Some(Interrupt::HungUp), 129);
        check(&[Internal, TimedOut, Failed, BadStatus(3)], None, 1);
        check(&[Internal], ctrl_c, 1);
    }

    #[test]
    fn a_run_that_was_stopped_for_its_failures_says_so_first() {
        let mut facts = Facts::default();
        facts.add(Class::TimedOut);
        facts.stop_for_failures();
        assert_eq!(facts.exit_code(), 7);
        facts.interrupt(Interrupt::Terminated);
        assert_eq!(facts.exit_code(), 143);
    }

    #[test]
    fn the_largest_status_is_told_on_request_and_only_in_place_of_5() {
        let mut facts = Facts::default();
        facts.tell_status();
        assert_eq!(facts.exit_code(), 0);
        for status in [3, 42, 7] {
            facts.add(Class::of_status(status));
        }
        assert_eq!(facts.exit_code(), 42);
        facts.add(Class::of_status(300));
        assert_eq!(facts.exit_code(), 255);
        facts.add(Class::Failed);
        assert_eq!(facts.exit_code(), 4);
    }

    #[test]
    fn the_first_interrupt_decides() {
        let mut facts = Facts::default();
        facts.interrupt(Interrupt::Interrupted);
        facts.interrupt(Interrupt::Terminated);
        assert_eq!(facts.exit_code(), 130);
    }
}
