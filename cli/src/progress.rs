//! The progress bar: counts, rate and time left, on standard error when that is a terminal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use sshoal::Event;
use sshoal::transfer::Progress as Counters;

use crate::exit_code::Class;
use crate::sanitise::one_line;
use crate::size;

mod table;

use table::Table;

/// Copies under way, to be shown.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) counters: Counters,
    /// By host.
    pub(crate) labels: Vec<String>,
    /// How many bytes all hosts have in all, if that is known before.
    pub(crate) expected: Option<u64>,
}

impl Moving {
    fn all(&self) -> String {
        let counters = &self.counters;
        let expected = counters.bytes_expected();
        // Hosts that are not begun have their bytes before them.
        let known = self.expected.unwrap_or(0);
        let expected = expected.max(known.saturating_sub(counters.bytes_resumed()));
        let files = counters.files();
        format!("{files} files  {}", amount(counters, expected))
    }

    /// Returns the lines of so many hosts that have the most to do, in input order.
    fn lines(&self, count: usize) -> Vec<String> {
        let left = |counters: &Counters| {
            let expected = counters.bytes_expected();
            expected.saturating_sub(counters.bytes())
        };
        let mut hosts = self.counters.hosts();
        hosts.retain(|(_, counters)| left(counters) > 0);
        hosts.sort_by_key(|(_, counters)| std::cmp::Reverse(left(counters)));
        hosts.truncate(count);
        hosts.sort_by_key(|(index, _)| *index);
        let line = |(index, counters): &(usize, Counters)| {
            let amount = amount(counters, counters.bytes_expected());
            format!("  {}  {amount}", one_line(&self.labels[*index]))
        };
        hosts.iter().map(line).collect()
    }
}

/// Returns how much of how much was copied, how fast, and how long it will still take.
fn amount(counters: &Counters, expected: u64) -> String {
    let (bytes, rate) = (counters.bytes(), counters.rate());
    let mut text = match expected {
        0 => size::show(bytes),
        expected => {
            let percent = bytes.min(expected) as f64 / expected as f64 * 100.0;
            let (bytes, expected) = (size::show(bytes), size::show(expected));
            format!("{percent:.0}%  {bytes} of {expected}")
        }
    };
    text.push_str(&format!("  {}/s", size::show(rate as u64)));
    let left = expected.saturating_sub(bytes) as f64 / rate;
    if bytes > 0
        && let Ok(left) = Duration::try_from_secs_f64(left)
    {
        text.push_str(&format!("  {} left", HumanDuration(left)));
    }
    text
}

/// A bar, or nothing where there is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    table: Option<Table>,
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
            table: None,
            good: 0,
            bad: 0,
        }
    }

    /// A bar over commands, with lines for the hosts that are under way the longest.
    pub(crate) fn of_commands(labels: Vec<String>) -> Self {
        Self::with_table(labels, "open")
    }

    /// A bar over programs, with the same lines.
    pub(crate) fn of_programs(labels: Vec<String>) -> Self {
        Self::with_table(labels, "work")
    }

    /// `inside` says what hosts do that have let us in.
    fn with_table(labels: Vec<String>, inside: &'static str) -> Self {
        let mut progress = Self::on_terminal(labels.len());
        let table = Table::new(labels, inside);
        let style = ProgressStyle::with_template(&format!("{TEMPLATE}{{table}}"));
        let style = style.expect("the template is well-formed");
        let style = style.with_key("rate", rate).with_key("left", left);
        let shown = table.clone();
        let lines = move |_: &ProgressState, to: &mut dyn fmt::Write| {
            for line in shown.lines(Instant::now()) {
                let _ = write!(to, "\n{line}");
            }
        };
        let style = style.with_key("table", lines);
        if let Some(bar) = &progress.bar {
            bar.set_style(style.progress_chars("=> "));
        }
        progress.table = Some(table);
        progress
    }

    /// A bar over copies, with lines for those hosts that are the furthest from their end.
    pub(crate) fn of_copies(moving: Moving) -> Self {
        let hosts = moving.labels.len();
        let progress = Self::on_terminal(hosts);
        let lines = match hosts {
            1 => 0,
            hosts => hosts.min(LINES_MAX),
        };
        let mut template = "[{bar:20}] {pos}/{len}  {msg}  {moved}".to_owned();
        for line in 0..lines {
            template.push_str(&format!("\n{{line{line}}}"));
        }
        let style = ProgressStyle::with_template(&template);
        let mut style = style.expect("the template is well-formed");
        let moving = Arc::new(moving);
        let all = moving.clone();
        style = style.with_key(
            "moved",
            move |_: &ProgressState, to: &mut dyn fmt::Write| {
                let _ = write!(to, "{}", all.all());
            },
        );
        let shown = Arc::<Mutex<Vec<String>>>::default();
        for (line, key) in LINES.into_iter().enumerate().take(lines) {
            let (moving, shown) = (moving.clone(), shown.clone());
            let text = move |_: &ProgressState, to: &mut dyn fmt::Write| {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                if line == 0 {
                    *shown = moving.lines(lines);
                }
                let _ = write!(to, "{}", shown.get(line).map_or("", String::as_str));
            };
            style = style.with_key(key, text);
        }
        if let Some(bar) = &progress.bar {
            bar.set_style(style.progress_chars("=> "));
        }
        progress
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
            table: None,
            good: 0,
            bad: 0,
        }
    }

    /// Notes what became of a host, for its line.
    pub(crate) fn event(&self, event: &Event) {
        if let Some(table) = &self.table {
            table.event(event, Instant::now());
        }
    }

    /// Notes that a host of the list ended.
    pub(crate) fn finished(&self, index: usize) {
        if let Some(table) = &self.table {
            table.finished(index, Instant::now());
        }
    }

    /// Counts to so many hosts, which are not all of the list.
    pub(crate) fn expect(&self, hosts: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(hosts as u64);
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
        _ => write!(to, "{:#} left", HumanDuration(state.eta())),
    };
}

const TEMPLATE: &str = "[{bar:20}] {pos}/{len}  {msg}  {rate}  {left}";

/// Hosts that have a line of their own.
const LINES_MAX: usize = LINES.len();
const LINES: [&str; 4] = ["line0", "line1", "line2", "line3"];

const TICK: Duration = Duration::from_millis(100);
