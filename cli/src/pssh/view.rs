//! What the dialect shows: pssh's status lines, what hosts printed, and files of that.
//!
//! The principal type is [`Dialect`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use super::Stop;
use super::hosts::Listed;
use super::options::Options;
use super::outcome::{Fate, SSH_FAILED};
use super::words::{self, Destination};
use crate::console::{Console, Sink};
use crate::drive::View;
use crate::exit_code::Interrupt;
use crate::record::{Ending, Record};
use crate::render::Files;
use crate::sanitise::one_line;

/// Everything that is shown of one run.
#[derive(Debug)]
pub(crate) struct Dialect {
    listed: Vec<Listed>,
    show: Show,
    outdir: Option<Files>,
    errdir: Option<Files>,
    /// Where the hosts that are connected to stand in the list, by their own position.
    positions: Vec<usize>,
    to: Vec<Destination>,
    /// What ssh prints before all else.
    preface: String,
    manner: Manner,
    /// The lines that `-P` has begun, by position in the list.
    begun: HashMap<usize, Vec<u8>>,
    /// Positions whose file of errors has the preface.
    prefaced: Vec<bool>,
    told: usize,
    /// By position in the list.
    fates: Vec<Option<Fate>>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
struct Show {
    inline: bool,
    inline_stdout: bool,
    print: bool,
    /// Standard output is a terminal.
    terminal: bool,
    colors: bool,
    timeout: Option<Duration>,
}

/// What ssh says of itself.
#[derive(Debug, Default)]
pub(crate) struct OfSsh {
    pub(crate) positions: Vec<usize>,
    pub(crate) to: Vec<Destination>,
    pub(crate) preface: String,
    pub(crate) manner: Manner,
}

/// Who would talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Manner {
    #[default]
    Ssh,
    /// ssh with a terminal on the host.
    SshOnTerminal,
    /// ssh says nothing of itself.
    Quiet,
    /// scp has ssh say nothing, and says itself that there is no connection.
    Scp,
}

/// What there is to show of a host's end.
#[derive(Debug, Clone, Copy, Default)]
struct Said<'a> {
    stdout: &'a [u8],
    stderr: &'a [u8],
    /// In place of ssh; clean.
    ours: &'a str,
}

impl<'a> Said<'a> {
    fn ours(ours: &'a str) -> Self {
        Self {
            ours,
            ..Self::default()
        }
    }
}

impl Dialect {
    /// Makes what is to be shown, and the folders for files.
    ///
    /// # Errors
    /// A folder cannot be used.
    pub(crate) fn open(
        options: &Options,
        (listed, of_ssh): (Vec<Listed>, OfSsh),
        (terminal, colors): (bool, bool),
    ) -> Result<Self, Stop> {
        let labels: Vec<String> = listed.iter().map(|host| host.label.clone()).collect();
        let files = |dir: &Option<_>| {
            let opened = dir
                .as_deref()
                .map(|dir| Files::open(dir, &labels))
                .transpose();
            opened.map_err(|error| Stop::Fatal(crate::wording::chain(&*error)))
        };
        let (outdir, errdir) = (files(&options.outdir)?, files(&options.errdir)?);
        let both = outdir.as_ref().zip(errdir.as_ref());
        if both.is_some_and(|(outdir, errdir)| outdir.is_same_directory(errdir)) {
            let message = "-o and -e name the same directory; give each its own";
            return Err(Stop::Usage(message.to_owned()));
        }
        Ok(Self {
            show: Show {
                inline: options.inline,
                inline_stdout: options.inline_stdout,
                print: options.print,
                terminal,
                colors,
                timeout: limit(options.timeout),
            },
            outdir,
            errdir,
            positions: of_ssh.positions,
            to: of_ssh.to,
            preface: of_ssh.preface,
            manner: of_ssh.manner,
            begun: HashMap::new(),
            prefaced: vec![false; listed.len()],
            told: 0,
            fates: vec![None; listed.len()],
            listed,
        })
    }

    /// Tells of hosts that nothing can be connected for, as ssh does at once.
    pub(crate) fn refuse(&mut self, console: &mut Console) {
        for at in 0..self.listed.len() {
            if let Err(said) = self.listed[at].host.clone() {
                let said = match self.manner {
                    Manner::Ssh | Manner::SshOnTerminal => said,
                    Manner::Quiet => String::new(),
                    Manner::Scp => CLOSED.to_owned(),
                };
                self.errors(at, said.as_bytes());
                self.tell(at, Fate::Exited(SSH_FAILED), &Said::ours(&said), console);
            }
        }
    }

    /// Tells of those that were not told of, ends all files, and returns how each host ended.
    ///
    /// # Errors
    /// What could not be written.
    pub(crate) fn end(mut self, console: &mut Console) -> Result<Vec<Fate>, Stop> {
        for at in 0..self.listed.len() {
            if self.fates[at].is_none() {
                self.tell(at, Fate::Interrupted, &Said::default(), console);
            }
        }
        for at in 0..self.listed.len() {
            if self.fates[at] == Some(Fate::Cancelled) {
                self.line(at, Fate::Cancelled, console);
            }
        }
        for files in [self.outdir.take(), self.errdir.take()]
            .into_iter()
            .flatten()
        {
            let written = files.end();
            written.map_err(|error| Stop::Fatal(crate::wording::chain(&*error)))?;
        }
        Ok(self.fates.into_iter().flatten().collect())
    }

    /// Shows a host's end.
    fn tell(&mut self, at: usize, fate: Fate, said: &Said<'_>, console: &mut Console) {
        self.fates[at] = Some(fate);
        if let Some(rest) = self.begun.remove(&at) {
            self.print_line(at, &rest, console);
        }
        for files in [&mut self.outdir, &mut self.errdir].into_iter().flatten() {
            files.finished(at);
        }
        // Those that were not begun come last.
        if fate == Fate::Cancelled {
            return;
        }
        self.line(at, fate, console);
        if self.show.inline || self.show.inline_stdout {
            console.host_bytes(Sink::Stdout, &self.lines(said.stdout));
        }
        let preface = self.preface_of(at);
        let nothing = preface.is_empty() && said.stderr.is_empty() && said.ours.is_empty();
        if self.show.inline && !nothing {
            console.put(self.colored(31, "Stderr: ").as_bytes());
            console.put(&self.lines(preface));
            console.host_bytes(Sink::Stdout, &self.lines(said.stderr));
            console.put(&self.lines(said.ours.as_bytes()));
        }
    }

    /// Leaves out on a terminal what ssh, and a terminal of the host, put before the end of a line.
    fn lines<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.show.terminal || !bytes.contains(&b'\r') {
            return bytes.into();
        }
        let mut kept = Vec::with_capacity(bytes.len());
        for (at, byte) in bytes.iter().enumerate() {
            if *byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
                kept.push(*byte);
            }
        }
        kept.into()
    }

    /// Writes to a host's file of errors.
    fn errors(&mut self, at: usize, bytes: &[u8]) {
        let preface = self.preface_of(at).to_vec();
        let first = !std::mem::replace(&mut self.prefaced[at], true);
        if let Some(files) = &mut self.errdir {
            if first {
                files.bytes(at, &preface);
            }
            files.bytes(at, bytes);
        }
    }

    fn preface_of(&self, at: usize) -> &[u8] {
        match self.listed[at].host.is_ok() {
            true => self.preface.as_bytes(),
            false => b"",
        }
    }

    /// `[N] HH:MM:SS [SUCCESS] host`.
    fn line(&mut self, at: usize, fate: Fate, console: &mut Console) {
        self.told += 1;
        let time = chrono::Local::now().format("%H:%M:%S");
        let count = self.colored(36, &format!("[{}]", self.bold(&self.told.to_string())));
        let host = self.shown(&self.listed[at].label);
        let line = match fate.reason() {
            None => {
                let word = self.colored(32, &format!("[{}]", self.bold("SUCCESS")));
                format!("{count} {time} {word} {host}\n")
            }
            Some(reason) => {
                let word = self.colored(31, &format!("[{}]", self.bold("FAILURE")));
                let reason = self.colored(31, &self.bold(&reason));
                format!("{count} {time} {word} {host} {reason}\n")
            }
        };
        console.put(line.as_bytes());
    }

    /// Returns what ssh, or scp, says of a host's end.
    fn said(&self, record: &Record, fate: Fate) -> String {
        let to = &self.to[record.index];
        let has_failed = matches!(record.ending, Ending::Failed(_) | Ending::NoStatus);
        match (self.manner, fate) {
            (Manner::SshOnTerminal, Fate::Exited(_)) if !has_failed => {
                format!("Connection to {} closed.\r\n", to.name)
            }
            (Manner::Ssh | Manner::SshOnTerminal, Fate::Exited(_)) => words::of_ssh(record, to),
            (Manner::Scp, Fate::Exited(_)) if has_failed => CLOSED.to_owned(),
            _ => String::new(),
        }
    }

    /// Shows what `-P` shows of a line.
    fn print_line(&self, at: usize, line: &[u8], console: &mut Console) {
        let name = self.shown(&self.listed[at].name);
        let mut shown = format!("{name}: ").into_bytes();
        shown.extend_from_slice(String::from_utf8_lossy(line).as_bytes());
        shown.push(b'\n');
        console.host_bytes(Sink::Stdout, &shown);
    }

    /// A text of the user's, which may have come from anywhere.
    fn shown(&self, text: &str) -> String {
        match self.show.terminal {
            true => one_line(text).into_owned(),
            false => text.to_owned(),
        }
    }

    fn colored(&self, color: u8, text: &str) -> String {
        match self.show.colors {
            true => format!("\x1b[{color}m\x1b[49m{text}\x1b[39m\x1b[49m"),
            false => text.to_owned(),
        }
    }

    fn bold(&self, text: &str) -> String {
        match self.show.colors {
            true => format!("\x1b[1m{text}\x1b[22m"),
            false => text.to_owned(),
        }
    }
}

impl View for Dialect {
    fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console) {
        let at = self.positions[index];
        if from == Sink::Stderr {
            self.errors(at, bytes);
            return;
        }
        if let Some(files) = &mut self.outdir {
            files.bytes(at, bytes);
        }
        if self.show.print {
            let mut begun = self.begun.remove(&at).unwrap_or_default();
            begun.extend_from_slice(bytes);
            let mut rest = begun.as_slice();
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.print_line(at, &rest[..end], console);
                rest = &rest[end + 1..];
            }
            if rest.len() > LINE_BYTES_MAX {
                self.print_line(at, rest, console);
                rest = b"";
            }
            if !rest.is_empty() {
                self.begun.insert(at, rest.to_vec());
            }
        }
    }

    fn finished(&mut self, record: &Record, console: &mut Console) {
        let at = self.positions[record.index];
        let fate = Fate::of(record, self.show.timeout);
        let said = self.said(record, fate);
        // What a command printed is in its file already; ssh's own words, and a copy's, are not.
        let copied = record.copies.is_some();
        let whole = if copied {
            record.stderr.as_slice()
        } else {
            b""
        };
        self.errors(at, whole);
        self.errors(at, said.as_bytes());
        let said = Said {
            stdout: &record.stdout,
            stderr: &record.stderr,
            ours: &said,
        };
        self.tell(at, fate, &said, console);
    }

    fn outlives_stdout(&self) -> bool {
        self.outdir.is_some() || self.errdir.is_some()
    }

    fn given_up(&self, _interrupt: Interrupt) -> u8 {
        5
    }
}

/// Returns a time limit as it is typed.
pub(crate) fn limit(seconds: i64) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds.min(SECONDS_MAX)))
}

const CLOSED: &str = "scp: Connection closed\r\n";
/// A hundred years: far above any real limit, far below what clocks can add.
const SECONDS_MAX: u64 = 3_200_000_000;
/// A line that is longer is shown in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;
