//! Ctrl-C, SIGTERM, SIGHUP and SIGUSR1, turned into messages for the main thread.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

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

/// Whether somebody watches for signals, who then decides what they mean.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// Has `tidy` called before a signal of the keyboard, or SIGTERM, ends this process, as long as
/// nobody watches for signals. Once is enough for a process.
///
/// # Errors
/// Fails if the handlers cannot be installed.
pub(crate) fn tidy_before_the_end(tidy: fn()) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT])?;
    thread::Builder::new()
        .name("prompts".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGQUIT || !IS_WATCHED.load(Ordering::Acquire) {
                    tidy();
                    // As if there had been no handler; it fails for signals that end nothing.
                    let _ = emulate_default_handler(signal);
                }
            }
        })?;
    Ok(())
}

/// Calls `tell` for each signal, on a thread that lives as long as the process.
///
/// # Errors
/// Fails if the handlers cannot be installed.
pub(crate) fn watch(mut tell: impl FnMut(Wish) + Send + 'static) -> io::Result<()> {
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hang_up))?;
    IS_WATCHED.store(true, Ordering::Release);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                tell(match signal {
                    SIGUSR1 => Wish::State,
                    SIGTERM => Wish::End(Interrupt::Terminated),
                    SIGHUP => Wish::End(Interrupt::HungUp),
                    _ => Wish::End(Interrupt::Interrupted),
                });
            }
        })?;
    Ok(())
}

/// Whether whoever started this process has it ignore a signal, as `nohup` does.
fn is_ignored(signal: c_int) -> bool {
    // Without it nobody can say, and the signal ends the process as it does elsewhere.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

/// Reads the mask of ignored signals (proc_pid_status(5)).
fn ignores(status: &str, signal: c_int) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
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
    fn an_ignored_signal_is_found_in_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP) && ignores(status, 13));
        assert!(!ignores(status, SIGINT) && !ignores(status, SIGUSR1));
        assert!(!ignores("", SIGHUP) && !ignores("SigIgn:\tx", SIGHUP));
    }

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
