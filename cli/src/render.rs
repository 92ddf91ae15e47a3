//! What of a run is shown, and where: each module is one way to show it.
//!
//! All of them are fed on the main thread, in the order of the pool's events. None of them knows
//! about the others; [`Renderers`] holds those that were asked for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sshoal::{Collect, Detail, Event};

use crate::console::{Console, Sink};
use crate::plan::{Show, Talk};
use crate::record::Record;

mod copied;
mod diff;
#[cfg(feature = "demo")]
mod digest;
mod events;
mod files;
mod fold;
mod fuzzy;
mod gather;
mod heading;
mod inline;
mod json;
mod jsonl;
mod kept;
mod lists;
mod print;
mod status;
mod summary;

#[cfg(feature = "demo")]
pub(crate) use digest::Digest;
pub(crate) use events::Events;
pub(crate) use files::Files;
pub(crate) use gather::{Gather, Gathering};
pub(crate) use heading::Headings;
pub(crate) use inline::Inline;
pub(crate) use jsonl::Jsonl;
pub(crate) use lists::{List, Wanted};
pub(crate) use print::{Print, prefixes};
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
    gather: Option<Gather>,
    jsonl: Option<Jsonl>,
    events: Option<Events>,
    lists: Vec<List>,
    summary: Summary,
    headings: Headings,
    show: Show,
    /// Whether hosts wrote something, and nobody was shown it.
    is_unseen: bool,
    /// The first thing that could not be shown.
    failed: Option<anyhow::Error>,
}

/// Whom a run is on, and where what is shown of it goes.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// What the hosts are called, in input order.
    pub(crate) labels: &'a [String],
    /// The hosts as lines of a hosts file.
    pub(crate) lines: &'a [String],
    /// On standard output.
    pub(crate) stdout: Colors,
    /// On standard error.
    pub(crate) stderr: Colors,
}

impl Renderers {
    /// Opens what has to be opened.
    ///
    /// # Errors
    /// Fails if a directory or file cannot be made.
    pub(crate) fn open(show: &Show, stage: &Stage<'_>) -> Result<Self> {
        let labels = stage.labels;
        let existing = match show.append {
            true => files::Existing::Append,
            false => files::Existing::Replace,
        };
        let open = |dir: &Option<_>| {
            let dir: Option<&std::path::PathBuf> = dir.as_ref();
            let opened = dir.map(|dir| Files::open(dir, labels)).transpose()?;
            anyhow::Ok(opened.map(|files| files.existing(existing)))
        };
        let (outdir, errdir) = (open(&show.outdir)?, open(&show.errdir)?);
        if outdir
            .as_ref()
            .zip(errdir.as_ref())
            .is_some_and(|(o, e)| o.is_same_directory(e))
        {
            bail!("-o and -e name the same directory; give each its own");
        }
        let headings = |colors| Headings::new(labels.to_vec(), colors);
        let shown = match show.gather {
            _ if show.bare => status::Shown::None,
            Some(_) if show.inline.is_none() => status::Shown::Failures,
            _ => status::Shown::All,
        };
        let mut lists = Vec::new();
        for (wanted, path) in [
            (Wanted::Failed, &show.failed_to),
            (Wanted::Good, &show.ok_to),
        ] {
            if let Some(path) = path {
                lists.push(List::open(wanted, path, stage.lines)?);
            }
        }
        let events = show.events.as_deref();
        let prefixes = |bare| prefixes(labels, bare, stage.stdout);
        Ok(Self {
            print: show.print.then(|| Print::new(prefixes(show.bare))),
            outdir,
            errdir,
            status: Status::new(labels.len(), show.talk, stage.stderr).shown(shown),
            inline: show.inline,
            gather: (show.gather).map(|how| Gather::new(how, headings(stage.stdout))),
            jsonl: (show.jsonl.as_deref())
                .map(|path| Jsonl::open(path, show.resumes))
                .transpose()?,
            events: events
                .map(|path| Events::open(path, labels.to_vec()))
                .transpose()?,
            lists,
            summary: Summary::of(show.is_dry),
            headings: headings(Colors::Off),
            show: show.clone(),
            is_unseen: false,
            failed: None,
        })
    }

    /// Counts to so many hosts, which are not all of the list.
    pub(crate) fn expect(&mut self, hosts: usize) {
        self.status.expect(hosts);
    }

    /// Notes an event but for those that [`Self::bytes`] and [`Self::finished`] show.
    pub(crate) fn event(&mut self, event: &Event, console: &mut Console) {
        if let Some(events) = &mut self.events {
            events.event(event, console);
        }
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
        self.is_unseen |= self.shows_nothing();
    }

    /// Returns whether much output is read piece by piece, and need not be in memory.
    pub(crate) fn read_pieces(&self) -> bool {
        self.gather.is_none()
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
        if let Some(inline) = &self.inline
            && let Err(error) = inline.finished(record, console)
        {
            self.failed.get_or_insert(error);
        }
        if let Some(gather) = &mut self.gather {
            gather.add(record);
        }
        if let Some(jsonl) = &mut self.jsonl {
            jsonl.finished(record, console);
        }
        if let Some(events) = &mut self.events {
            events.finished(record, console);
        }
        for list in &mut self.lists {
            list.finished(record);
        }
        self.summary.add(record);
    }

    /// Returns when [`Self::tell`] has something to show.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.gather.as_ref()?.due()
    }

    /// Shows what was held back for a while.
    pub(crate) fn tell(&mut self, console: &mut Console) {
        if let Some(gather) = &mut self.gather
            && let Err(error) = gather.tell(console)
        {
            self.failed.get_or_insert(error);
        }
    }

    /// Returns whether there was a difference between hosts that was asked for.
    pub(crate) fn differs(&self) -> bool {
        self.gather.as_ref().is_some_and(Gather::differs)
    }

    /// Shows what is shown at the end, ends every file and shows the summary.
    ///
    /// # Errors
    /// Returns what could not be shown or written, one line.
    pub(crate) fn end(mut self, wall: Duration, console: &mut Console) -> Result<()> {
        let mut ends = Vec::new();
        ends.extend(self.failed.take().map(Err));
        ends.extend(self.gather.take().map(|gather| gather.end(console)));
        ends.push(console.written());
        for line in self.summary.lines(wall, self.show.summary, &self.headings) {
            console.say(&line);
        }
        if self.is_unseen && self.show.talk != Talk::Quiet && console.is_watched() {
            console.say(UNSEEN);
        }
        ends.extend(self.outdir.take().map(Files::end));
        ends.extend(self.errdir.take().map(Files::end));
        ends.extend(self.jsonl.take().map(Jsonl::end));
        ends.extend(self.events.take().map(Events::end));
        ends.extend(self.lists.into_iter().map(List::end));
        ends.into_iter().collect()
    }

    /// Returns whether anything but standard output takes the hosts' output.
    pub(crate) fn writes_files(&self) -> bool {
        let jsonl = self.jsonl.as_ref().is_some_and(|j| !j.is_stdout());
        let events = self.events.as_ref().is_some_and(|e| !e.is_stdout());
        self.outdir.is_some() || self.errdir.is_some() || jsonl || events
    }

    /// Returns whether what hosts write goes nowhere.
    fn shows_nothing(&self) -> bool {
        let shown = self.detail() == Detail::Output || self.collect() == Collect::Yes;
        !shown
    }

    /// Returns which events the renderers need.
    pub(crate) fn detail(&self) -> Detail {
        let output = self.print.is_some() || self.events.is_some();
        match output || self.outdir.is_some() || self.errdir.is_some() {
            true => Detail::Output,
            false => Detail::Outcomes,
        }
    }

    /// Returns whether the renderers need each host's whole output at its end.
    pub(crate) fn collect(&self) -> Collect {
        match self.inline.is_some() || self.gather.is_some() || self.jsonl.is_some() {
            true => Collect::Yes,
            false => Collect::No,
        }
    }
}

/// What somebody at a terminal is told whose run showed how it went and nothing else.
const UNSEEN: &str = "what the hosts wrote was not shown: -i shows it by host, -b equal outputs once, \
                      -P each line as it comes";
