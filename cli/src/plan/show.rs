//! What to see, resolved: what was typed is weighed, and what does not go together refused.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::args::{RunArgs, ShowArgs, TellArgs};
use crate::render::{Gathering, Inline};

/// What to see.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    pub(crate) print: bool,
    pub(crate) inline: Option<Inline>,
    pub(crate) gather: Option<Gathering>,
    pub(crate) outdir: Option<PathBuf>,
    pub(crate) errdir: Option<PathBuf>,
    /// Files of hosts are added to.
    pub(crate) append: bool,
    pub(crate) jsonl: Option<PathBuf>,
    /// Whether the files of the run that is gone on with are, too.
    pub(crate) resumes: bool,
    /// Whether what is counted as copied would only be.
    pub(crate) is_dry: bool,
    pub(crate) events: Option<PathBuf>,
    pub(crate) failed_to: Option<PathBuf>,
    pub(crate) ok_to: Option<PathBuf>,
    /// Status lines, headings and names before lines are left out.
    pub(crate) bare: bool,
    pub(crate) talk: Talk,
    pub(crate) summary: Summing,
}

impl Show {
    /// Shows status lines and no more.
    pub(crate) fn of(talk: Talk) -> Self {
        Self {
            print: false,
            inline: None,
            gather: None,
            outdir: None,
            errdir: None,
            append: false,
            jsonl: None,
            resumes: false,
            is_dry: false,
            events: None,
            failed_to: None,
            ok_to: None,
            bare: false,
            talk,
            summary: Summing::of((false, false), talk),
        }
    }

    /// Returns the flag by which standard output is JSON's, if one is.
    pub(crate) fn takes_stdout(&self) -> Option<&'static str> {
        let files = [("--jsonl", &self.jsonl), ("--events", &self.events)];
        let taken = files
            .into_iter()
            .find(|(_, file)| is_stdout(file.as_deref()));
        taken.map(|(flag, _)| flag)
    }
}

/// How much is summed up at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summing {
    Off,
    /// Counts, and who failed.
    Counts,
    /// With times and the slowest hosts.
    Full,
}

impl Summing {
    /// Decides by what was asked for.
    pub(crate) fn of((wanted, unwanted): (bool, bool), talk: Talk) -> Self {
        match (wanted, talk) {
            (true, _) => Self::Full,
            (false, Talk::Quiet) => Self::Off,
            (false, _) if unwanted => Self::Off,
            (false, Talk::Verbose) => Self::Full,
            (false, Talk::Normal) => Self::Counts,
        }
    }
}

/// How much we say ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Failures only.
    Quiet,
    Normal,
    /// With times by phase.
    Verbose,
}

/// Weighs what is told of the hosts, whatever they do.
///
/// # Errors
/// Fails if two of them do not go together.
pub(crate) fn tell(args: &TellArgs) -> Result<Show> {
    if is_stdout(args.jsonl.as_deref()) && is_stdout(args.events.as_deref()) {
        bail!("--jsonl - and --events - both take standard output for themselves; name a file");
    }
    if args.failed_to.is_some() && args.failed_to == args.ok_to {
        bail!("--failed-to and --ok-to name the same file; give each its own");
    }
    let talk = match (args.quiet, args.verbose) {
        (true, _) => Talk::Quiet,
        (false, true) => Talk::Verbose,
        (false, false) => Talk::Normal,
    };
    Ok(Show {
        jsonl: args.jsonl.clone(),
        events: args.events.clone(),
        failed_to: args.failed_to.clone(),
        ok_to: args.ok_to.clone(),
        summary: Summing::of((args.summary, args.no_summary), talk),
        ..Show::of(talk)
    })
}

/// Weighs what is asked of every run.
///
/// # Errors
/// Fails if two of them do not go together.
pub(crate) fn show(args: &ShowArgs) -> Result<Show> {
    let inline = match (args.inline_stdout, args.inline) {
        (true, _) => Some(Inline::StdoutOnly),
        (false, true) => Some(Inline::Both),
        (false, false) => None,
    };
    for (flag, folder) in [("-o", &args.outdir), ("-e", &args.errdir)] {
        let folder = folder.as_deref().map(Path::to_string_lossy);
        if let Some(folder) = folder.filter(|folder| is_option(folder)) {
            bail!(
                "{flag} is a folder for output, and {folder} looks like an option of ssh, which is \
                 -O's; write ./{folder} if it is the folder"
            );
        }
    }
    let show = Show {
        print: args.print,
        inline,
        outdir: args.outdir.clone(),
        errdir: args.errdir.clone(),
        append: args.fileappend,
        bare: args.no_headers,
        ..tell(&args.tell)?
    };
    if let Some(flag) = show.takes_stdout()
        && (inline.is_some() || show.print)
    {
        bail!("{flag} - takes standard output for itself; leave -i and -P out, or name a file");
    }
    Ok(show)
}

/// Whether a folder's name is one of no folder but of an option, as ssh and others have them behind `-o`:
/// `StrictHostKeyChecking=no`.
fn is_option(folder: &str) -> bool {
    let key = folder.split_once('=').map_or("", |(key, _)| key);
    key.len() > 3
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric())
        && !Path::new(folder).exists()
}

/// Weighs what is asked of the output of commands.
///
/// # Errors
/// Fails if two of them do not go together.
pub(super) fn of_commands(args: &RunArgs) -> Result<Show> {
    let mut show = show(&args.show)?;
    let output = &args.output;
    let gather = Gathering {
        blocks: output.gather || output.gather_live || (output.fuzzy && !output.diff),
        live: output.gather_live,
        fuzzy: output.fuzzy,
        diff: output.diff,
        bare: show.bare,
        remarks: true,
    };
    show.gather = (gather.blocks || gather.diff).then_some(gather);
    if let Some(flag) = show.takes_stdout()
        && show.gather.is_some()
    {
        bail!(
            "{flag} - takes standard output for itself; leave -i, -P, -b, --fuzzy and --diff out, \
             or name a file"
        );
    }
    Ok(show)
}

/// Whether a file is standard output.
fn is_stdout(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}
