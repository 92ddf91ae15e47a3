//! A directory of a host by its `scp`, which may send what it likes (threats T6 to T8).

use std::path::Path;
use std::sync::Arc;

use super::record::{Record, parse};
use super::talk::{Next, Talk};
use super::{Keep, Scp, word};
use crate::error::Error;
use crate::incoming::{Arrivals, Incoming, Told};
use crate::options::Preserve;
use crate::tree::beneath::Dir;
use crate::tree::options::TreeOptions;
use crate::tree::report::TreeReport;
use crate::tree::work::Course;

impl Scp<'_> {
    /// Copies a host's directory's content to one of this machine, which is made if it is not there.
    /// Parks.
    ///
    /// As [`get_tree`](crate::get_tree), by one command: nothing is written outside `local`, whatever
    /// the host sends and whatever links are planted meanwhile, nothing gets an id bit, and the
    /// options bound depth, names and bytes. What the host's `scp` could not read is reported in its
    /// words, and the rest goes on. It follows the host's symbolic links, as `scp` does; a newline in
    /// a name arrives as OpenSSH writes it, `\^J`.
    ///
    /// Files that are there are overwritten, kept or fail as the options say.
    /// [`Verify::Sha256`](crate::Verify::Sha256) is not offered and ends the copy before it begins.
    pub fn receive_tree(&self, remote: &[u8], local: &Path, options: &TreeOptions) -> TreeReport {
        let course = Course::new(self.scope);
        if let Err(error) = self.receive_beneath(remote, (local, options), &course) {
            course.end(error);
        }
        course.into_report()
    }

    fn receive_beneath(
        &self,
        remote: &[u8],
        (local, options): (&Path, &TreeOptions),
        course: &Course,
    ) -> Result<(), Error> {
        let preserve = match self.keep {
            Keep::ModeAndTimes => Preserve::Yes,
            Keep::Nothing | Keep::Mode => options.copy.preserve,
        };
        let remote = if remote.is_empty() { b"." } else { remote };
        let flags: &[u8] = match preserve {
            Preserve::Yes => b"scp -rpf ",
            Preserve::No => b"scp -rf ",
        };
        let incoming = Incoming::new(local, options, (course, preserve))?;
        let command = [flags, &word(remote)].concat();
        let talk = Talk::start(self.session, command, (remote, course.scope()))?;
        incoming.run(|arrivals| {
            let mut receiving = Receiving {
                talk,
                arrivals,
                course,
                keep: self.keep,
                open: Vec::new(),
                times: None,
                complained: false,
            };
            let result = receiving.run();
            while let Some(dir) = receiving.open.pop() {
                incoming.finish(dir);
            }
            result?;
            receiving.end()
        })
    }
}

/// One copy under way.
struct Receiving<'a, 'i> {
    talk: Talk<'a>,
    arrivals: &'a mut Arrivals<'i>,
    course: &'a Course,
    keep: Keep,
    /// The directories that the host has begun and not ended.
    open: Vec<Arc<Dir>>,
    /// Of what comes next.
    times: Option<(u32, u32)>,
    /// Something was not taken or not sent, after which no `scp` ends well.
    complained: bool,
}

impl Receiving<'_, '_> {
    /// Takes all up to the end of the root.
    fn run(&mut self) -> Result<(), Error> {
        self.talk.send(&[0])?;
        loop {
            let line = match self.talk.next()? {
                Next::Line(line) => line,
                Next::End => return Err(self.talk.ended()),
                Next::Warning(error) => {
                    let Some(dir) = self.open.last() else {
                        return Err(error);
                    };
                    self.arrivals.count()?;
                    self.complained = true;
                    self.course.fail(&dir.path, error);
                    continue;
                }
            };
            let record = parse(&line).map_err(|what| self.talk.protocol(what))?;
            match record {
                Record::Times { modified, accessed } => {
                    if self.times.is_some() {
                        return Err(self.talk.protocol("times twice"));
                    }
                    // Beyond what a clock here shows, its end is as true.
                    let second = |time| u32::try_from(time).unwrap_or(u32::MAX);
                    self.times = Some((second(accessed), second(modified)));
                    self.talk.send(&[0])?;
                }
                Record::Directory { mode, name } => self.directory(mode, name)?,
                Record::File { mode, size, name } => self.file(mode, size, name)?,
                Record::End => {
                    let dir = self.open.pop();
                    let dir = dir.ok_or_else(|| self.talk.protocol("an end of no directory"))?;
                    if self.times.take().is_some() {
                        return Err(self.talk.protocol("times of nothing"));
                    }
                    self.arrivals.incoming().finish(dir);
                    self.talk.send(&[0])?;
                    if self.open.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn told(&mut self, mode: u32) -> Told {
        let times = self.times.take();
        Told { mode, times }
    }

    fn directory(&mut self, mode: u32, name: &[u8]) -> Result<(), Error> {
        let told = self.told(mode);
        let Some(dir) = self.open.last().cloned() else {
            // What the root is called on the host does not matter.
            self.open.push(self.arrivals.incoming().root(told)?);
            return self.talk.send(&[0]);
        };
        self.arrivals.count()?;
        let child = match self.arrivals.admits(&dir.path, name) {
            true => self.arrivals.directory(&dir, name, told),
            false => None,
        };
        match child {
            Some(child) => {
                self.open.push(child);
                self.talk.send(&[0])
            }
            None => self.refuse(),
        }
    }

    fn file(&mut self, mode: u32, size: u64, name: &[u8]) -> Result<(), Error> {
        let mut told = self.told(mode);
        if self.keep == Keep::Nothing {
            told.mode = super::PRIVATE;
        }
        let Some(dir) = self.open.last().cloned() else {
            return Err((self.talk).protocol("a file where a directory was asked for"));
        };
        self.arrivals.count()?;
        if !self.arrivals.admits(&dir.path, name) {
            return self.refuse();
        }
        let Some(mut taking) = self.arrivals.file(&dir, name, (size, told))? else {
            return self.refuse();
        };
        self.arrivals.expect(size)?;
        self.talk.send(&[0])?;
        let path = taking.path();
        let mut left = size;
        while left > 0 {
            let data = match self.talk.data(left) {
                Ok(data) => data,
                Err(error @ Error::Scp { .. }) => {
                    let arrived = size - left;
                    let expected = size;
                    (self.course).fail(&path, Error::Short { expected, arrived });
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            left -= data.len() as u64;
            taking.write(data)?;
        }
        // The host's word that it could read all of it.
        match self.talk.verdict()? {
            None => taking.end(told),
            Some(error) => {
                self.complained = true;
                self.course.fail(&path, error);
            }
        }
        self.talk.send(&[0])
    }

    fn refuse(&mut self) -> Result<(), Error> {
        self.complained = true;
        self.talk.refuse()
    }

    /// Waits for the end of a host's `scp` that has sent all.
    fn end(self) -> Result<(), Error> {
        // One that could not send all of it says 1.
        let statuses: &[u32] = if self.complained { &[0, 1] } else { &[0] };
        self.talk.finish_after(statuses)
    }
}
