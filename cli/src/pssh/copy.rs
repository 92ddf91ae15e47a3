//! `pscp`, `prsync` and `pslurp`: files to and from all hosts, each host's copies a program of the
//! fleet's.
//!
//! The principal types are [`Copying`], what is to be copied, and [`Done`], what became of it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use sshoal::transfer::{
    CopyOptions, Delete, DryRun, Error, Links, Parents, Preserve, TreeOptions, Unchanged,
};
use sshoal::{Fleet, KeepOpen, Reached, StopCause, Visited};

use super::Stop;
use super::access::Opened;
use super::hosts::Listed;
use super::options::Options;
use super::ssh_args::Handed;
use super::tool::Tool;
use super::view::{Dialect, limit};
use crate::console::Console;
use crate::copies::Copies;
use crate::drive::{Messages, drive};
use crate::engine::{Running, What};
use crate::failure;
use crate::record::{Ending, Failure, Record, Recorder};

mod scp;
mod slurp;
mod sync;

use scp::Sources;

/// What is to be copied.
#[derive(Debug)]
pub(crate) struct Copying {
    work: Work,
    how: How,
}

/// By which tool's rules.
#[derive(Debug)]
enum Work {
    Scp(Sources, Vec<u8>),
    Rsync(Sources, Vec<u8>),
    /// Paths of this machine by the position of the host that is connected to.
    Slurp(Vec<u8>, Vec<PathBuf>),
}

/// How it is copied.
#[derive(Debug)]
struct How {
    is_recursive: bool,
    file: CopyOptions,
    tree: TreeOptions,
}

/// What became of a host's copies.
#[derive(Debug, Default)]
struct Done {
    /// What scp or rsync would have ended with.
    code: u8,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The session's failure, which ended all.
    ended: Option<Failure>,
    /// Whether the run's end was the reason.
    is_stopped: bool,
}

impl Copying {
    /// Looks at what is to be copied from here, and makes the folders for what comes here.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub(crate) fn prepare(
        (tool, options, handed): (Tool, &Options, &Handed),
        listed: &[Listed],
        opened: &Opened,
    ) -> Result<Self, Stop> {
        let words = &options.words;
        let (last, first) = words.split_last().expect("the words were counted");
        let how = how(tool, handed);
        let work = match tool {
            Tool::Slurp => {
                let dirs = slurp::folders(options, listed)?;
                let path = |at: &usize| dirs[*at].join(last);
                let paths = opened.listed.iter().map(path).collect();
                Work::Slurp(first[0].as_bytes().to_vec(), paths)
            }
            _ => {
                let paths: Vec<PathBuf> = first.iter().map(PathBuf::from).collect();
                let sources = Sources::look(paths, &how);
                let to = last.as_bytes().to_vec();
                match tool {
                    Tool::Rsync => Work::Rsync(sources, to),
                    _ => Work::Scp(sources, to),
                }
            }
        };
        Ok(Self { work, how })
    }

    /// Copies; what happens is shown by `view`.
    ///
    /// # Errors
    /// It cannot be begun.
    pub(crate) fn run(
        self,
        options: &Options,
        opened: Opened,
        (view, console): (&mut Dialect, &mut Console),
    ) -> Result<(), Stop> {
        let fatal = |error: &dyn std::fmt::Display| Stop::Fatal(format!("cannot begin: {error}"));
        let labels = opened.hosts.iter().map(ToString::to_string).collect();
        let recorder = Arc::new(Recorder::new(labels, &opened.hosts, &opened.configs));
        let whom: Arc<[usize]> = (0..opened.hosts.len()).collect();
        // Refused, the pool is smaller, and hosts wait for room.
        let _ = sshoal::raise_descriptor_limit();
        let first = opened.configs[0].clone();
        let par = usize::try_from(options.par)
            .ok()
            .and_then(NonZeroUsize::new);
        let fleet = Fleet::builder(opened.hosts, first)
            .configs(opened.configs)
            .keep_open(KeepOpen::No)
            .host_timeout(limit(options.timeout))
            .pool_size(par.unwrap_or(NonZeroUsize::MIN))
            .build()
            .map_err(|error| fatal(&error))?;
        let start = |messages: Messages| {
            let each = fleet.each(move |host| self.of(host));
            let own = Arc::clone(&recorder);
            let record = move |_, visited, stop| record(&own, visited, stop);
            let what = (What::Copies, Arc::clone(&whom));
            Running::programs(what, (each, fleet), record, messages)
        };
        let all = (&*recorder, &whom[..]);
        let driven = drive(all, start, None, view, console);
        driven.map_err(|error| fatal(&crate::wording::chain(&*error)))?;
        Ok(())
    }

    /// Copies what a host is to have, or to give. Parks.
    fn of(&self, host: &Reached<'_>) -> Done {
        let how = How {
            is_recursive: self.how.is_recursive,
            file: self.how.file.for_host(host.index()),
            tree: self.how.tree.for_host(host.index()),
        };
        let mut done = match &self.work {
            Work::Scp(sources, to) => scp::put(sources, to, (&how, host)),
            Work::Rsync(sources, to) => sync::put(sources, to, (&how, host)),
            Work::Slurp(from, paths) => slurp::get(from, &paths[host.index()], (&how, host)),
        };
        let by_limit = |failure: &Failure| failure.kind == "timeout";
        let stopped = host.scope().check().is_err();
        done.is_stopped = stopped && done.ended.as_ref().is_some_and(|ended| !by_limit(ended));
        done
    }
}

impl Done {
    fn failed(code: u8) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// Adds a line of scp's.
    fn scp(&mut self, line: &str) {
        self.stderr
            .extend_from_slice(format!("scp: {line}\r\n").as_bytes());
    }

    /// Notes an error that the session is at an end with; false of any other.
    fn ends_with(&mut self, error: &Error) -> bool {
        let ended = matches!(error, Error::Session(_));
        if ended {
            self.ended = Some(failure::of(error));
        }
        ended
    }
}

fn how(tool: Tool, handed: &Handed) -> How {
    let mut file = CopyOptions::new().parents(Parents::Expect);
    if handed.preserve {
        file = file.preserve(Preserve::Yes);
    }
    let bytes = handed
        .kilobits
        .map(|kilobits| (kilobits.saturating_mul(1000) / 8).max(1));
    if let Some(bytes) = bytes.and_then(NonZeroU64::new) {
        file = file.host_bandwidth(bytes);
    }
    let mut tree = TreeOptions::new().copy(file.clone());
    if tool == Tool::Rsync {
        if handed.preserve {
            tree = tree.sync();
        }
        if handed.checksum {
            tree = tree.unchanged(Unchanged::Sha256);
        }
        if handed.delete {
            tree = tree.delete(Delete::Yes);
        }
        if handed.dry_run {
            tree = tree.dry_run(DryRun::Yes);
        }
        if handed.links {
            tree = tree.links(Links::Copy);
        }
        for pattern in &handed.exclude {
            tree = tree.exclude(pattern.as_bytes());
        }
    }
    How {
        is_recursive: handed.recursive,
        file,
        tree,
    }
}

/// Makes a host's record of what became of its copies.
fn record(recorder: &Recorder, visited: Visited<Done>, stop: Option<StopCause>) -> Record {
    let mut record = recorder.record(visited.outcome());
    record.copies = Some(Box::new(Copies::default()));
    let Ok(done) = visited.into_result() else {
        return record;
    };
    record.stdout = done.stdout;
    record.stderr = done.stderr;
    record.ending = match done.ended {
        _ if done.is_stopped => Ending::Cancelled {
            phase: Some("transfer"),
            by_deadline: stop == Some(StopCause::Deadline),
        },
        Some(failure) => Ending::Failed(failure),
        None => Ending::Exited(done.code.into()),
    };
    record
}
