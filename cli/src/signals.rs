//! Ctrl-C, SIGTERM and SIGUSR1, turned into messages for the main thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::exit_code::Interrupt;

/// What somebody wants of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// That it ends.
    End(Interrupt),
    /// That it says how far it is, and goes on.
    State,
}

/// Keeps SIGUSR1 from ending this process before [`watch`] answers it: whoever asks how far a run
/// is cannot know whether it has begun.
///
/// # Errors
/// Fails if the handler cannot be installed.
pub(crate) fn outlive_questions() -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR1, asked).map(drop)
}

/// Calls `tell` for each signal, on a thread that lives as long as the process.
///
/// # Errors
/// Fails if the handlers cannot be installed.
pub(crate) fn watch(mut tell: impl FnMut(Wish) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                tell(match signal {
                    SIGUSR1 => Wish::State,
                    SIGTERM => Wish::End(Interrupt::Terminated),
                    _ => Wish::End(Interrupt::Interrupted),
                });
            }
        })?;
    Ok(())
}

/// What a signal asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Launch nothing more, say how far the run is, go on collecting.
    StopLaunching,
    /// End everything.
    End,
}

/// Decides what each signal means; pure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escalation {
    /// Whether someone watches who can press Ctrl-C again.
    on_terminal: bool,
    warned: bool,
}

impl Escalation {
    /// Begins with no signal seen.
    pub(crate) fn new(on_terminal: bool) -> Self {
        Self {
            on_terminal,
            warned: false,
        }
    }

    /// Returns what the signal asks for.
    pub(crate) fn next(&mut self, signal: Interrupt) -> Demand {
        let first = !std::mem::replace(&mut self.warned, true);
        match signal {
            Interrupt::Interrupted if first && self.on_terminal => Demand::StopLaunching,
            _ => Demand::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ctrl_c_on_a_terminal_waits() {
        let mut escalation = Escalation::new(true);
        assert_eq!(
            escalation.next(Interrupt::Interrupted),
            Demand::StopLaunching
        );
        assert_eq!(escalation.next(Interrupt::Interrupted), Demand::End);
        assert_eq!(
            Escalation::new(false).next(Interrupt::Interrupted),
            Demand::End
        );
        assert_eq!(
            Escalation::new(true).next(Interrupt::Terminated),
            Demand::End
        );
    }
}
