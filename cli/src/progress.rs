//! The progress bar: counts, rate and time left, on standard error when that is a terminal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::exit_code::Class;

/// A bar, or nothing where there is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    good: u64,
    bad: u64,
}

impl Progress {
    /// A bar over so many hosts, to be drawn on standard error once it is shown.
    pub(crate) fn on_terminal(hosts: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(hosts as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is well-formed");
        let style = style.with_key("rate", rate).with_key("left", left);
        bar.set_style(style.progress_chars("=> "));
        bar.set_message("0 ok");
        Self {
            bar: Some(bar),
            good: 0,
            bad: 0,
        }
    }

    /// Begins to draw; from here on the run can be interrupted.
    pub(crate) fn show(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.reset_elapsed();
            bar.enable_steady_tick(TICK);
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        }
    }

    /// No bar.
    pub(crate) fn off() -> Self {
        Self {
            bar: None,
            good: 0,
            bad: 0,
        }
    }

    /// Counts a finished host.
    pub(crate) fn count(&mut self, class: Class) {
        match class {
            Class::Good | Class::Differs => self.good += 1,
            _ => self.bad += 1,
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.good + self.bad);
            bar.set_message(match self.bad {
                0 => format!("{} ok", self.good),
                bad => format!("{} ok, {bad} not", self.good),
            });
        }
    }

    /// Calls `write` while the bar is off the screen, if `over_bar` says that it would be hit.
    pub(crate) fn around(
        &self,
        over_bar: bool,
        write: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.bar {
            Some(bar) if over_bar => bar.suspend(write),
            _ => write(),
        }
    }

    /// Takes the bar off the screen for good.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Takes the bar off the screen for good, from any thread: somebody is asked something there.
pub(crate) fn make_room() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown {
        bar.disable_steady_tick();
        bar.finish_and_clear();
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// The bar that is on the screen.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    // It has nowhere to say that it cannot write, and it can.
    let _ = write!(to, "{:.1} hosts/s", state.per_sec());
}

/// Time left; before the first host has ended nothing is known.
fn left(state: &ProgressState, to: &mut dyn fmt::Write) {
    let _ = match state.pos() {
        0 => Ok(()),
        _ => write!(to, "{} left", HumanDuration(state.eta())),
    };
}

const TEMPLATE: &str = "[{bar:30}] {pos}/{len}  {msg}  {rate}  {left}";

const TICK: Duration = Duration::from_millis(100);
