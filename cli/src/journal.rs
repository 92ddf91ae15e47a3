//! What is kept of a run so that it can be gone on with: the plan, and a line for each host that
//! ended, written before the host's end is shown.
//!
//! There is no output in it but its digest, and nothing that was asked for on the terminal. The
//! principal types are [`Journal`], which writes, and [`Kept`], which was read.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::console::Sink;
use crate::record::{Ending, Record};
use crate::time::rfc3339;

mod kept;
mod line;
pub(crate) mod place;
mod sync;
pub(crate) mod words;

pub(crate) use self::kept::{Kept, Redo, State};
pub(crate) use self::line::{Ended, HostPlan, InputPlan, Plan, Text};
use self::line::{FORMAT, Line, Over};
use self::sync::Syncer;

/// A run's journal, open.
#[derive(Debug)]
pub(crate) struct Journal {
    run: String,
    path: PathBuf,
    file: File,
    syncer: Option<Syncer>,
    /// Of what hosts that have not ended printed, by stream.
    digests: HashMap<usize, [Option<Sha256>; 2]>,
    /// The first thing that went wrong; after it nothing more is written.
    failed: Option<io::Error>,
}

/// What a run does, as far as a journal cares.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The command's words as they were typed.
    pub(crate) command: &'a [OsString],
    /// What it reads on this machine.
    pub(crate) inputs: Vec<InputPlan>,
    /// In input order.
    pub(crate) hosts: Vec<HostPlan>,
}

impl Journal {
    /// Begins a run's journal in a directory, which keeps so many.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub(crate) fn create(
        directory: &Path,
        keep: NonZeroUsize,
        subject: Subject<'_>,
    ) -> Result<Self> {
        let now = SystemTime::now();
        let (run, path, file) = place::create(directory, now)?;
        let typed: Vec<OsString> = std::env::args_os().skip(1).collect();
        // Of other sub-commands, the command is not what was typed at the end.
        let command_words = match typed.first() {
            Some(verb) if verb == "run" => subject.command.len(),
            _ => 0,
        };
        let here = std::env::current_dir().context("the working directory")?;
        let plan = Plan {
            format: FORMAT,
            run: run.clone(),
            begun: rfc3339(now),
            directory: Text::new(here.as_os_str().as_bytes()),
            words: words::typed(&typed, command_words),
            command_words,
            variables: words::variables(|name| std::env::var_os(name)),
            command: Text::new(&crate::plan::join(subject.command)),
            inputs: subject.inputs,
            hosts: subject.hosts,
        };
        let journal = Self::begin((run, path.clone()), file, &Line::Plan(Box::new(plan)));
        // On a full disk, say: what has no plan would be taken for the last run.
        let journal = journal.inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        place::prune(directory, &journal.path, keep);
        Ok(journal)
    }

    /// Opens a journal to go on with it; what another process left half written is cut off.
    ///
    /// # Errors
    /// Fails if it cannot be read and written, or if a process is busy with it.
    pub(crate) fn resume(path: &Path) -> Result<(Self, Kept)> {
        let cannot = || format!("cannot go on with the journal {}", path.display());
        let file = File::options().read(true).append(true).open(path);
        let mut file = file.with_context(cannot)?;
        place::lock(&file, place::name(path).unwrap_or("of this journal"))?;
        let kept = Kept::of(&mut file, path).with_context(cannot)?;
        file.set_len(kept.whole).with_context(cannot)?;
        let place = (kept.plan.run.clone(), path.to_owned());
        let line = Line::Resumed(rfc3339(SystemTime::now()));
        Ok((Self::begin(place, file, &line)?, kept))
    }

    /// Writes the first line, and waits until the disk has it.
    fn begin((run, path): (String, PathBuf), file: File, line: &Line) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let twin = file.try_clone().with_context(cannot)?;
        let mut journal = Self {
            syncer: Some(Syncer::start(twin).with_context(cannot)?),
            digests: HashMap::new(),
            failed: None,
            run,
            file,
            path: path.clone(),
        };
        journal.write(line);
        let failed = journal.failed.take().map_or(Ok(()), Err);
        failed
            .and_then(|()| journal.file.sync_data())
            .with_context(cannot)?;
        Ok(journal)
    }

    /// Returns the run's name.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Notes that a host is asked to run the command.
    pub(crate) fn asked(&mut self, index: usize) {
        self.write(&Line::Asked(index));
    }

    /// Takes in what a host's command printed.
    pub(crate) fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8]) {
        let digests = self.digests.entry(index).or_default();
        digests[from as usize].get_or_insert_default().update(bytes);
    }

    /// Notes how a host ended; one that was never begun is as it was before. `started` says whether
    /// the command may have been begun.
    pub(crate) fn ended(&mut self, record: &Record, started: bool) {
        let [stdout, stderr] = self.digests.remove(&record.index).unwrap_or_default();
        if matches!(record.ending, Ending::Cancelled { phase: None, .. }) {
            return;
        }
        let mut ended = Ended {
            index: record.index,
            outcome: record.ending.word().to_owned(),
            exit_status: None,
            exit_signal: None,
            phase: None,
            kind: None,
            started,
            attempts: record.attempts,
            at: record.started.map(rfc3339),
            duration_s: record.duration.as_secs_f64(),
            stdout_sha256: stdout.map(hexadecimal),
            stderr_sha256: stderr.map(hexadecimal),
        };
        match &record.ending {
            Ending::Exited(status) => ended.exit_status = Some(*status),
            Ending::Signaled(name) => ended.exit_signal = Some(name.clone()),
            Ending::NoStatus => {}
            Ending::Failed(failure) => {
                ended.phase = Some(failure.phase.to_owned());
                ended.kind = Some(failure.kind.to_owned());
            }
            Ending::Cancelled { phase, .. } => ended.phase = phase.map(str::to_owned),
        }
        self.write(&Line::Ended(ended));
    }

    /// Ends it, and waits until the disk has it.
    ///
    /// # Errors
    /// Returns the first thing that went wrong.
    pub(crate) fn end(mut self, exit_code: u8) -> Result<()> {
        self.write(&Line::Over(Over {
            at: rfc3339(SystemTime::now()),
            exit_code,
        }));
        let synced = self.syncer.take().map_or(Ok(()), Syncer::end);
        let done = self.failed.take().map_or(synced, Err);
        done.with_context(|| format!("cannot write the journal {}", self.path.display()))
    }

    /// Writes a line at once, so that it is there whatever becomes of this process.
    fn write(&mut self, line: &Line) {
        if self.failed.is_some() {
            return;
        }
        let mut bytes = serde_json::to_vec(line).expect("a line of strings and numbers is JSON");
        bytes.push(b'\n');
        match self.file.write_all(&bytes) {
            Ok(()) => self.syncer.iter().for_each(Syncer::written),
            // What comes behind half of a line would not be found again.
            Err(error) => self.failed = Some(error),
        }
    }
}

fn hexadecimal(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
