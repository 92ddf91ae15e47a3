//! A line per finished host, on standard error: `[N/total] host ok  0.8s`.

use std::time::Duration;

use crate::console::Console;
use crate::exit_code::Class;
use crate::plan::Talk;
use crate::record::{Ending, Record};
use crate::sanitise::one_line;

/// Whether status lines have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colors {
    On,
    Off,
}

/// The status lines of one run.
#[derive(Debug)]
pub(crate) struct Status {
    total: usize,
    finished: usize,
    talk: Talk,
    shown: Shown,
    colors: Colors,
}

/// Which hosts have a line, as far as `Talk` admits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    All,
    /// Those that ended well only if more than usual is said: what they wrote is shown together.
    Failures,
    None,
}

impl Status {
    /// Begins at the first of `total` hosts.
    pub(crate) fn new(total: usize, talk: Talk, colors: Colors) -> Self {
        Self {
            total,
            finished: 0,
            talk,
            shown: Shown::All,
            colors,
        }
    }

    /// Counts to so many hosts, which are not all of the list.
    pub(crate) fn expect(&mut self, total: usize) {
        self.total = total;
    }

    /// Sets which hosts have a line; all by default.
    pub(crate) fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }

    /// Counts a host, and shows its line unless only failures are wanted.
    pub(crate) fn finished(&mut self, record: &Record, console: &mut Console) {
        self.finished += 1;
        let class = record.class();
        console.progress().count(class);
        if self.is_shown(record) {
            let line = self.line(record);
            console.say(&line);
        }
    }

    /// Hosts that an interrupt kept from being begun are for the summary to count.
    fn is_shown(&self, record: &Record) -> bool {
        let untouched = Ending::Cancelled {
            phase: None,
            by_deadline: false,
        };
        let is_good = matches!(record.class(), Class::Good | Class::Differs);
        let is_wanted = match self.shown {
            Shown::None => false,
            Shown::Failures => !is_good || self.talk == Talk::Verbose,
            Shown::All => true,
        };
        is_wanted
            && match self.talk {
                Talk::Verbose => true,
                Talk::Normal => record.ending != untouched,
                Talk::Quiet => record.ending != untouched && !is_good,
            }
    }

    fn line(&self, record: &Record) -> String {
        let (on, off) = match (self.colors, record.class()) {
            (Colors::Off, _) => ("", ""),
            (Colors::On, Class::Good | Class::Differs) => ("\x1b[32m", "\x1b[0m"),
            (Colors::On, Class::BadStatus(_) | Class::Stopped) => ("\x1b[33m", "\x1b[0m"),
            (Colors::On, _) => ("\x1b[31m", "\x1b[0m"),
        };
        let mut line = format!(
            "[{}/{}] {} {on}{}{off}  {}",
            self.finished,
            self.total,
            record.label,
            record.verdict(),
            seconds(record.duration),
        );
        if record.truncated {
            line.push_str("  (output cut)");
        }
        if self.talk == Talk::Verbose {
            let phases = record.phases.iter();
            let mut facts: Vec<String> = phases
                .map(|(name, took)| format!("{name} {}", fine(*took)))
                .collect();
            if let Some(way) = &record.way {
                facts.push(one_line(&format!("via {way}")).into_owned());
            }
            if record.attempts > 1 {
                facts.push(format!("{} attempts", record.attempts));
            }
            line.push_str(&format!("  ({})", facts.join(", ")));
        }
        line
    }
}

/// Returns a duration as status lines show it, for example `0.8s`.
pub(crate) fn seconds(took: Duration) -> String {
    format!("{:.1}s", took.as_secs_f64())
}

/// Returns a duration as phases show it, for example `2.4ms`.
pub(crate) fn fine(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{:.1}ms", took.as_secs_f64() * 1e3)
    } else {
        format!("{:.2}s", took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{refused, sample};

    #[test]
    fn a_line_has_count_host_verdict_and_time() {
        let mut status = Status::new(20, Talk::Normal, Colors::Off);
        status.finished = 3;
        let line = status.line(&sample(Ending::Exited(0)));
        assert_eq!(line, "[3/20] web1:2222 ok  0.8s");
        let line = status.line(&sample(Ending::Failed(refused())));
        assert_eq!(
            line,
            "[3/20] web1:2222 failed: connect: Connection refused  0.8s"
        );
    }

    #[test]
    fn verbose_adds_phases_and_colours_wrap_the_verdict() {
        let status = Status::new(1, Talk::Verbose, Colors::On);
        let line = status.line(&sample(Ending::Exited(3)));
        assert_eq!(
            line,
            "[0/1] web1:2222 \x1b[33mexit 3\x1b[0m  0.8s  (connect 2.0ms, run 50.0ms)"
        );
    }

    #[test]
    fn verbose_names_the_jump_hosts_on_the_way() {
        let mut record = sample(Ending::Exited(0));
        record.way = Some("gate,ann@inner:2222".into());
        let line = |talk| Status::new(1, talk, Colors::Off).line(&record);
        assert!(line(Talk::Verbose).ends_with("run 50.0ms, via gate,ann@inner:2222)"));
        assert!(!line(Talk::Normal).contains("via"));
    }

    #[test]
    fn verbose_says_how_often_a_host_was_tried_if_more_than_once() {
        let mut record = sample(Ending::Failed(refused()));
        record.attempts = 3;
        let line = |talk| Status::new(1, talk, Colors::Off).line(&record);
        assert!(line(Talk::Verbose).ends_with("run 50.0ms, 3 attempts)"));
        assert!(!line(Talk::Normal).contains("attempts"));
    }
}
