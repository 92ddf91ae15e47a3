//! What of a run is shown, and where: each module is one way to show it.
//!
//! All of them are fed on the main thread, in the order of the pool's events. None of them knows
//! about the others; [`Renderers`] holds those that were asked for.

use std::time::Duration;

use anyhow::{Result, bail};
use sshoal::{Collect, Detail};

use crate::console::{Console, Sink};
use crate::plan::Show;
use crate::record::Record;

mod copied;
mod files;
#[cfg(feature = "demo")]
mod gather;
mod inline;
mod jsonl;
mod print;
mod status;
mod summary;

pub(crate) use files::Files;
#[cfg(feature = "demo")]
pub(crate) use gather::Gather;
pub(crate) use inline::Inline;
pub(crate) use jsonl::Jsonl;
pub(crate) use print::Print;
pub(crate) use status::{Colors, Status};
pub(crate) use summary::Summary;

/// The renderers of one run.
#[derive(Debug)]
pub(crate) struct Renderers {
    print: Option<Print>,
    outdir: Option<Files>,
    errdir: Option<Files>,
    status: Status,
    inline: Option<Inline>,
    jsonl: Option<Jsonl>,
    summary: Summary,
    show: Show,
}

impl Renderers {
    /// Opens what has to be opened; `labels` names the hosts in input order.
    ///
    /// # Errors
    /// Fails if a directory or file cannot be made.
    pub(crate) fn open(show: &Show, labels: &[String], colors: Colors) -> Result<Self> {
        let files = |dir: &Option<_>| dir.as_deref().map(|d| Files::open(d, labels)).transpose();
        let (outdir, errdir) = (files(&show.outdir)?, files(&show.errdir)?);
        if outdir
            .as_ref()
            .zip(errdir.as_ref())
            .is_some_and(|(o, e)| o.is_same_directory(e))
        {
            bail!("-o and -e name the same directory; give each its own");
        }
        Ok(Self {
            print: show.print.then(|| Print::new(labels.to_vec())),
            outdir,
            errdir,
            status: Status::new(labels.len(), show.talk, colors),
            inline: show.inline,
            jsonl: (show.jsonl.as_deref())
                .map(|path| Jsonl::open(path, show.resumes))
                .transpose()?,
            summary: Summary::default(),
            show: show.clone(),
        })
    }

    /// Counts to so many hosts, which are not all of the list.
    pub(crate) fn expect(&mut self, hosts: usize) {
        self.status.expect(hosts);
    }

    /// Shows bytes of a running host.
    pub(crate) fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console) {
        if let Some(print) = &mut self.print {
            print.bytes(index, from, bytes, console);
        }
        let files = match from {
            Sink::Stdout => &mut self.outdir,
            Sink::Stderr => &mut self.errdir,
        };
        if let Some(files) = files {
            files.bytes(index, bytes);
        }
    }

    /// Shows a finished host.
    pub(crate) fn finished(&mut self, record: &Record, console: &mut Console) {
        if let Some(print) = &mut self.print {
            print.finished(record.index, console);
        }
        for files in [&mut self.outdir, &mut self.errdir].into_iter().flatten() {
            files.finished(record.index);
        }
        self.status.finished(record, console);
        copied::finished(record, self.show.talk, console);
        if let Some(inline) = &self.inline {
            inline.finished(record, console);
        }
        if let Some(jsonl) = &mut self.jsonl {
            jsonl.finished(record, console);
        }
        self.summary.add(record);
    }

    /// Ends every file and shows the summary.
    ///
    /// # Errors
    /// Returns what could not be written, one line.
    pub(crate) fn end(mut self, wall: Duration, console: &mut Console) -> Result<()> {
        if self.show.summary {
            for line in self.summary.lines(wall, self.show.talk) {
                console.say(&line);
            }
        }
        let mut ends = Vec::new();
        ends.extend(self.outdir.take().map(Files::end));
        ends.extend(self.errdir.take().map(Files::end));
        ends.extend(self.jsonl.take().map(Jsonl::end));
        ends.into_iter().collect()
    }

    /// Returns whether anything but standard output takes the hosts' output.
    pub(crate) fn writes_files(&self) -> bool {
        let jsonl = self.jsonl.as_ref().is_some_and(|j| !j.is_stdout());
        self.outdir.is_some() || self.errdir.is_some() || jsonl
    }

    /// Returns which events the renderers need.
    pub(crate) fn detail(&self) -> Detail {
        match self.print.is_some() || self.outdir.is_some() || self.errdir.is_some() {
            true => Detail::Output,
            false => Detail::Outcomes,
        }
    }

    /// Returns whether the renderers need each host's whole output at its end.
    pub(crate) fn collect(&self) -> Collect {
        match self.inline.is_some() || self.jsonl.is_some() {
            true => Collect::Yes,
            false => Collect::No,
        }
    }
}
