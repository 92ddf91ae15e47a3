//! `--events`: one JSON object per event of a run, a line each, as it happens.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sshoal::{Event, Exit, Failure, OutputStream};

use super::json::{Lines, Text};
use crate::console::Console;
use crate::record::{Ending, Record};
use crate::sanitise::one_line;

/// The events of one run.
#[derive(Debug)]
pub(crate) struct Events {
    lines: Lines,
    /// By host, in input order.
    labels: Vec<String>,
    /// Hosts whose failure was told.
    failed: HashSet<usize>,
}

/// What all events have, in the order in which keys are written.
#[derive(Debug, Serialize)]
struct Object<'a> {
    event: &'static str,
    host: &'a str,
    index: usize,
    /// Seconds since the begin of the run; not of the last event, which has how long it took, and of
    /// what is known with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_s: Option<f64>,
    #[serde(flatten)]
    more: More<'a>,
}

/// What some events have.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum More<'a> {
    Nothing {},
    Retry {
        attempt: u32,
        pause_s: f64,
        #[serde(flatten)]
        why: Why,
    },
    Output {
        stream: &'static str,
        bytes: Text<'a>,
        encoding: &'static str,
    },
    Exit {
        exit_status: Option<u32>,
        exit_signal: Option<&'a str>,
    },
    Failed(Why),
    Finished {
        outcome: &'static str,
        attempts: u32,
        duration_s: f64,
    },
}

/// Why a host failed, or was tried again.
#[derive(Debug, Serialize)]
struct Why {
    phase: &'static str,
    kind: &'static str,
    error: String,
}

impl From<&Failure> for Why {
    fn from(failure: &Failure) -> Self {
        Self {
            phase: failure.phase.as_str(),
            kind: failure.kind.as_str(),
            error: one_line(&failure.message).into_owned(),
        }
    }
}

impl Events {
    /// Makes the file, or takes standard output for `-`.
    ///
    /// # Errors
    /// Fails if the file cannot be made.
    pub(crate) fn open(path: &Path, labels: Vec<String>) -> Result<Self> {
        let lines = Lines::open(path, "--events")?;
        let failed = HashSet::new();
        Ok(Self {
            lines,
            labels,
            failed,
        })
    }

    /// Writes an event but for the last of a host.
    pub(crate) fn event(&mut self, event: &Event, console: &mut Console) {
        let Some((name, at, more)) = facts(event) else {
            return;
        };
        let index = event.index();
        if matches!(event, Event::Failed { .. }) {
            self.failed.insert(index);
        }
        let object = Object {
            event: name,
            host: &self.labels[index],
            index,
            at_s: Some(at.as_secs_f64()),
            more,
        };
        self.lines.write(&object, console);
    }

    /// Writes the last event of a host.
    pub(crate) fn finished(&mut self, record: &Record, console: &mut Console) {
        let was_told = self.failed.remove(&record.index);
        if let Ending::Failed(failure) = &record.ending
            && !was_told
        {
            // Of copies and files: what failed is known with the host's end.
            let why = Why {
                phase: failure.phase,
                kind: failure.kind,
                error: failure.reason.clone(),
            };
            let object = Object {
                event: "failed",
                host: &record.label,
                index: record.index,
                at_s: None,
                more: More::Failed(why),
            };
            self.lines.write(&object, console);
        }
        let outcome = record.ending.word();
        let object = Object {
            event: "finished",
            host: &record.label,
            index: record.index,
            at_s: None,
            more: More::Finished {
                outcome,
                attempts: record.attempts,
                duration_s: record.duration.as_secs_f64(),
            },
        };
        self.lines.write(&object, console);
    }

    /// Returns whether the objects go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.lines.is_stdout()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What could not be written.
    pub(crate) fn end(self) -> Result<()> {
        self.lines.end()
    }
}

/// Takes an event apart; `None` for the last of a host.
fn facts(event: &Event) -> Option<(&'static str, Duration, More<'_>)> {
    Some(match event {
        Event::Started { at, .. } => ("started", *at, More::Nothing {}),
        Event::Retry {
            at,
            attempt,
            pause,
            failure,
            ..
        } => {
            let more = More::Retry {
                attempt: *attempt,
                pause_s: pause.as_secs_f64(),
                why: failure.into(),
            };
            ("retry", *at, more)
        }
        Event::Connected { at, .. } => ("connected", *at, More::Nothing {}),
        Event::Authenticated { at, .. } => ("authenticated", *at, More::Nothing {}),
        Event::Accepted { at, .. } => ("accepted", *at, More::Nothing {}),
        Event::Output {
            at, stream, bytes, ..
        } => {
            let bytes = Text::of(bytes);
            let stream = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            let more = More::Output {
                stream,
                bytes,
                encoding: bytes.encoding(),
            };
            ("output", *at, more)
        }
        Event::Exit { at, exit, .. } => ("exit", *at, how(exit)),
        Event::Failed { at, failure, .. } => ("failed", *at, More::Failed(failure.into())),
        _ => return None,
    })
}

fn how(exit: &Exit) -> More<'_> {
    let (exit_status, exit_signal) = match exit {
        Exit::Status(status) => (Some(*status), None),
        Exit::Signal { name, .. } => (None, Some(name.as_str())),
        _ => (None, None),
    };
    More::Exit {
        exit_status,
        exit_signal,
    }
}
