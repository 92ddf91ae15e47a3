//! `--jsonl`: one JSON object per finished host, a line each.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde::Serialize;

use super::json::{Lines, Text};
use crate::console::{Console, Sink};
use crate::copies::Copies;
use crate::record::{Ending, Failure, Record};
use crate::time::rfc3339;

/// The objects of one run.
#[derive(Debug)]
pub(crate) struct Jsonl(Lines);

impl Jsonl {
    /// Makes the file, or takes standard output for `-`. A run that goes on with another one
    /// `resumes` its file, too.
    ///
    /// # Errors
    /// Fails if the file cannot be made.
    pub(crate) fn open(path: &Path, resumes: bool) -> Result<Self> {
        let lines = match resumes {
            true => Lines::append(path, "--jsonl"),
            false => Lines::open(path, "--jsonl"),
        };
        lines.map(Self)
    }

    /// Writes a host's object.
    pub(crate) fn finished(&mut self, record: &Record, console: &mut Console) {
        let texts = texts(record).unwrap_or_else(|error| {
            self.0.fail(error);
            [Text::of(b""); 2]
        });
        self.0.write(&object(record, texts), console);
    }

    /// Returns whether the objects go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.0.is_stdout()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What could not be written.
    pub(crate) fn end(self) -> Result<()> {
        self.0.end()
    }
}

/// The object's keys, in the order in which they are written.
#[derive(Debug, Serialize)]
struct Object<'a> {
    host: &'a str,
    user: &'a str,
    port: u16,
    index: usize,
    outcome: &'static str,
    exit_status: Option<u32>,
    exit_signal: Option<&'a str>,
    phase: Option<&'static str>,
    kind: Option<&'static str>,
    error: Option<&'a str>,
    /// Whether the command was really ended; null if it is not known, or was not wanted.
    ended: Option<bool>,
    stdout: Text<'a>,
    stderr: Text<'a>,
    stdout_encoding: &'static str,
    stderr_encoding: &'static str,
    truncated: bool,
    attempts: u32,
    started: Option<String>,
    duration_s: f64,
    phases: Phases,
    /// Of copies alone.
    #[serde(flatten)]
    copies: Option<Copied<'a>>,
}

/// What was copied.
#[derive(Debug, Serialize)]
struct Copied<'a> {
    bytes: u64,
    files: u64,
    kept: u64,
    directories: u64,
    links: u64,
    deleted: u64,
    skipped: Vec<Entry<'a>>,
    failed: Vec<Entry<'a>>,
    changes: Vec<Entry<'a>>,
    unlisted: u64,
}

/// A path and what became of it.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    path: Text<'a>,
    path_encoding: &'static str,
    what: &'a str,
    /// Of a failure alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl<'a> Entry<'a> {
    fn new(path: &'a [u8], what: &'a str) -> Self {
        let path = Text::of(path);
        Self {
            path,
            path_encoding: path.encoding(),
            what,
            phase: None,
            kind: None,
        }
    }

    fn failed(path: &'a [u8], why: &'a Failure) -> Self {
        Self {
            phase: Some(why.phase),
            kind: Some(why.kind),
            ..Self::new(path, &why.reason)
        }
    }
}

impl<'a> From<&'a Copies> for Copied<'a> {
    fn from(copies: &'a Copies) -> Self {
        let skipped = copies.skipped.iter();
        let failed = copies.failed.iter();
        let changes = copies.changes.iter();
        Self {
            bytes: copies.bytes,
            files: copies.files,
            kept: copies.kept,
            directories: copies.directories,
            links: copies.links,
            deleted: copies.deleted,
            skipped: skipped.map(|(path, why)| Entry::new(path, why)).collect(),
            failed: failed.map(|(path, why)| Entry::failed(path, why)).collect(),
            changes: changes.map(|(word, path)| Entry::new(path, word)).collect(),
            unlisted: copies.unlisted,
        }
    }
}

/// Seconds by phase; null for a phase that was not reached.
#[derive(Debug, Default, Serialize)]
struct Phases {
    resolve: Option<f64>,
    connect: Option<f64>,
    banner: Option<f64>,
    kex: Option<f64>,
    host_key: Option<f64>,
    auth: Option<f64>,
    open: Option<f64>,
    run: Option<f64>,
}

impl Phases {
    fn new(phases: &[(&'static str, Duration)]) -> Self {
        let mut all = Self::default();
        for (name, took) in phases {
            let slot = match *name {
                "resolve" => &mut all.resolve,
                "connect" => &mut all.connect,
                "banner" => &mut all.banner,
                "kex" => &mut all.kex,
                "host_key" => &mut all.host_key,
                "auth" => &mut all.auth,
                "open" => &mut all.open,
                "run" => &mut all.run,
                _ => continue,
            };
            *slot = Some(took.as_secs_f64());
        }
        all
    }
}

fn texts(record: &Record) -> io::Result<[Text<'_>; 2]> {
    let text = |sink| Text::of_written(record.written(sink));
    Ok([text(Sink::Stdout)?, text(Sink::Stderr)?])
}

fn object<'a>(record: &'a Record, [stdout, stderr]: [Text<'a>; 2]) -> Object<'a> {
    let mut object = Object {
        host: &record.host,
        user: &record.user,
        port: record.port,
        index: record.index,
        outcome: "exited",
        exit_status: None,
        exit_signal: None,
        phase: None,
        kind: None,
        error: None,
        ended: record.ended.as_ref().and_then(sshoal::Ending::is_ended),
        stdout,
        stderr,
        stdout_encoding: stdout.encoding(),
        stderr_encoding: stderr.encoding(),
        truncated: record.truncated,
        attempts: record.attempts,
        started: record.started.map(|at: SystemTime| rfc3339(at)),
        duration_s: record.duration.as_secs_f64(),
        phases: Phases::new(&record.phases),
        copies: record.copies.as_deref().map(Copied::from),
    };
    match &record.ending {
        Ending::Exited(status) => object.exit_status = Some(*status),
        Ending::Signaled(name) => {
            object.outcome = "signaled";
            object.exit_signal = Some(name);
        }
        Ending::NoStatus => object.outcome = "no_status",
        Ending::Failed(f) => {
            object.outcome = "failed";
            object.phase = Some(f.phase);
            object.kind = Some(f.kind);
            object.error = Some(&f.reason);
        }
        Ending::Cancelled { phase, .. } => {
            object.outcome = "cancelled";
            object.phase = Some(phase.unwrap_or("local"));
            object.kind = phase.is_none().then_some("not_run");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::record::tests::{refused, sample};
    use crate::sanitise::is_harmless;

    fn line(record: &Record) -> String {
        super::super::json::line(&object(record, texts(record).unwrap()))
    }

    fn parsed(record: &Record) -> Value {
        let line = line(record);
        assert!(
            line.ends_with('\n') && line.matches('\n').count() == 1,
            "{line:?}"
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn an_object_has_exactly_the_documented_keys_in_order() {
        let record = sample(Ending::Exited(3));
        assert_eq!(
            line(&record),
            "{\"host\":\"web1\",\"user\":\"root\",\"port\":2222,\"index\":0,\
             \"outcome\":\"exited\",\"exit_status\":3,\"exit_signal\":null,\"phase\":null,\
             \"kind\":null,\"error\":null,\"ended\":null,\"stdout\":\"\",\"stderr\":\"\",\
             \"stdout_encoding\":\"utf-8\",\"stderr_encoding\":\"utf-8\",\"truncated\":false,\
             \"attempts\":1,\"started\":\"1970-01-01T00:00:01.500Z\",\"duration_s\":0.8,\
             \"phases\":{\"resolve\":null,\"connect\":0.002,\"banner\":null,\"kex\":null,\
             \"host_key\":null,\"auth\":null,\"open\":null,\"run\":0.05}}\n"
        );
    }

    #[test]
    fn bytes_survive_whatever_they_are() {
        let mut record = sample(Ending::Exited(0));
        record.stdout = b"\xff\x00\x1b".to_vec();
        record.stderr = "esc \x1b c1 \u{9b} del \x7f bidi \u{202e} \r\n"
            .as_bytes()
            .to_vec();
        let value = parsed(&record);
        assert_eq!(value["stdout_encoding"], "base64");
        assert_eq!(
            STANDARD.decode(value["stdout"].as_str().unwrap()).unwrap(),
            record.stdout
        );
        assert_eq!(value["stderr_encoding"], "utf-8");
        assert_eq!(value["stderr"].as_str().unwrap().as_bytes(), record.stderr);
        let line = line(&record);
        assert!(
            line.trim_end().chars().all(|c| is_harmless(c) && c != '\t'),
            "{line:?}"
        );
    }

    #[test]
    fn other_ends_name_themselves() {
        let failed = parsed(&sample(Ending::Failed(refused())));
        let expected = json!(["failed", "connect", "refused", "Connection refused", null]);
        let got = ["outcome", "phase", "kind", "error", "exit_status"].map(|k| failed[k].clone());
        assert_eq!(json!(got), expected);
        let signaled = parsed(&sample(Ending::Signaled("TERM".into())));
        let got = ["outcome", "exit_signal"].map(|k| signaled[k].clone());
        assert_eq!(json!(got), json!(["signaled", "TERM"]));
        assert_eq!(parsed(&sample(Ending::NoStatus))["outcome"], "no_status");
        let cancelled = |phase| {
            let object = parsed(&sample(Ending::Cancelled {
                phase,
                by_deadline: false,
            }));
            json!(["outcome", "phase", "kind"].map(|k| object[k].clone()))
        };
        assert_eq!(cancelled(Some("auth")), json!(["cancelled", "auth", null]));
        assert_eq!(cancelled(None), json!(["cancelled", "local", "not_run"]));
    }
}
