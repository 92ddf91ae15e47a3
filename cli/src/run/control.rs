//! Whom a run is on, in which steps, whether somebody is asked before, and where it is kept.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::{Config, Detail, Host, HostOption, Listed};

use crate::access::Opened;
use crate::args::{ControlArgs, RunArgs};
use crate::console::Terminals;
use crate::engine::Job;
use crate::exit_code::INTERNAL;
use crate::journal::{HostPlan, Journal, Kept, Redo, Subject, Text, place};
use crate::plan::{Access, Plan, is_batch, join};
use crate::record::Recorder;
use crate::resume::standing;
use crate::waves::{Gate, Rolling};
use crate::workers::{Brief, FarLaunch, Workers};
use crate::{complain, confirm};

/// A run that is gone on with.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// `None` if nothing is to be run.
    journal: Option<Journal>,
    pub(super) kept: Option<Kept>,
}

impl Resumed {
    /// Opens the journal of the run that is gone on with, if one is.
    ///
    /// # Errors
    /// Fails if it cannot be gone on with.
    pub(super) fn open(args: &RunArgs) -> Result<Self> {
        let Some(path) = &args.journal.resumes else {
            return Ok(Self::default());
        };
        let (journal, kept) = match args.dry_run {
            true => (None, Kept::read(path)?),
            false => {
                let (journal, kept) = Journal::resume(path)?;
                (Some(journal), kept)
            }
        };
        Ok(Self {
            journal,
            kept: Some(kept),
        })
    }

    /// Returns the positions of the hosts that the run is on.
    pub(super) fn whom(&self, args: &RunArgs, hosts: usize) -> Vec<usize> {
        let redo = Redo {
            failed: args.journal.redo_failed,
            skip_started: args.journal.skip_started,
        };
        match &self.kept {
            Some(kept) => kept.left(redo),
            None => (0..hosts).collect(),
        }
    }

    /// Returns the journal to go on with, or begins one where one is wanted. One that nobody asked
    /// for and that cannot be written is left out, with a notice.
    ///
    /// # Errors
    /// Fails if a journal that was asked for cannot be written.
    pub(super) fn journal(
        self,
        args: &RunArgs,
        (job, own): (&mut Job, &[Vec<HostOption>]),
        notices: &mut Vec<String>,
    ) -> Result<Option<Journal>> {
        notices.extend(self.kept.as_ref().map(going_on));
        let journal = self.open_journal(args, (job, own), notices)?;
        if journal.is_some() {
            // A journal knows which commands were begun, and what they printed.
            job.detail = Detail::Output;
        }
        Ok(journal)
    }

    fn open_journal(
        self,
        args: &RunArgs,
        (job, own): (&Job, &[Vec<HostOption>]),
        notices: &mut Vec<String>,
    ) -> Result<Option<Journal>> {
        if let Some(journal) = self.journal {
            return Ok(Some(journal));
        }
        let Some(named) = wanted(args)? else {
            return Ok(None);
        };
        let keep = args.journal.journal_keep.unwrap_or(KEEP);
        let subject = Subject {
            command: &args.command,
            hosts: hosts(args, job, own)?,
        };
        let made = place::directory(named)
            .and_then(|directory| Journal::create(&directory, keep, subject));
        match made {
            Ok(journal) => Ok(Some(journal)),
            Err(error) if named.is_some() => Err(error).context("--journal"),
            Err(error) => {
                notices.push(format!(
                    "no journal is kept, so that this run cannot be resumed: {error:#}; \
                     --no-journal asks for that"
                ));
                Ok(None)
            }
        }
    }
}

/// Returns whether a journal is wanted, and the directory that was named for it.
#[expect(clippy::option_option, reason = "wanted, and named")]
fn wanted(args: &RunArgs) -> Result<Option<Option<&Path>>> {
    let named = args.journal.journal.as_deref();
    let weak = |id: &str| args.access.from_environment.contains(&id);
    match (args.journal.no_journal, named) {
        (false, named) => Ok(Some(named)),
        (true, None) => Ok(None),
        // What was typed goes before the environment.
        (true, Some(_)) if weak("no_journal") && !weak("journal") => Ok(Some(named)),
        (true, Some(_)) if weak("journal") => Ok(None),
        (true, Some(_)) => bail!("--journal and --no-journal contradict each other; leave one out"),
    }
}

/// Returns the hosts as a journal keeps them.
fn hosts(args: &RunArgs, job: &Job, own: &[Vec<HostOption>]) -> Result<Vec<HostPlan>> {
    let total = job.hosts.len();
    let plan = |(index, (host, config)): (usize, (&Host, &Arc<Config>))| {
        let user = host.user().unwrap_or(config.user());
        let port = host.port().unwrap_or(config.port());
        let listed = Listed::new((index, total), host, (user, port));
        let command = match args.template {
            true => Some(Text::new(&job.commands.of(&listed)?)),
            false => None,
        };
        Ok(HostPlan {
            host: host.to_string(),
            options: (own.get(index).into_iter().flatten())
                .map(|option| option.text().to_owned())
                .collect(),
            command,
        })
    };
    let hosts = job.hosts.iter().zip(&job.configs).enumerate();
    hosts.map(plan).collect()
}

/// Refuses steps that cannot be made.
///
/// # Errors
/// Fails if they contradict what else was asked for.
pub(super) fn check(args: &RunArgs) -> Result<()> {
    let stdin = args.launch.stdin.as_deref() == Some(Path::new("-"));
    if args.control.wave.is_some() && (args.launch.send_input || stdin) {
        bail!(
            "--wave and -I contradict each other: standard input can be read once; name a file \
             with --stdin FILE"
        );
    }
    wanted(args).map(drop)
}

/// Asks whether the plan is to be run on these of its hosts, if they are many and somebody is there.
///
/// # Errors
/// Fails if it is not; nothing is to be run then.
pub(super) fn confirm(args: &RunArgs, plan: &Plan, whom: &[usize]) -> Result<()> {
    let control: &ControlArgs = &args.control;
    let is_watched = Terminals::detect().stderr && !is_batch(&plan.access.options);
    let (Some(first), Some(last)) = (whom.first(), whom.last()) else {
        return Ok(());
    };
    if control.yes || whom.len() <= control.confirm_above() || !is_watched {
        return Ok(());
    }
    let ends = [first, last].map(|index| plan.hosts[*index].to_string());
    confirm::ask(&join(&args.command), whom.len(), (&ends[0], &ends[1]))
}

/// Starts the worker processes for so many hosts, if there are to be some.
///
/// # Errors
/// Fails if one cannot be started.
pub(super) fn workers(
    args: &RunArgs,
    (access, hosts): (&Access, &[Host]),
    opened: &mut Opened,
    (launch, count): (FarLaunch, usize),
) -> Result<Option<Workers>> {
    let Some(wanted) = args.isolation.workers() else {
        return Ok(None);
    };
    let secrets = std::mem::take(&mut opened.secrets);
    let accepted = std::mem::take(&mut opened.accepted);
    let brief = Brief::new(access, secrets, launch, accepted);
    let own = (&opened.configs[..], &access.own[..]);
    Workers::start(wanted.min(count), brief, hosts, own).map(Some)
}

/// Splits a job over some hosts of a list into its steps.
pub(super) fn rolling(args: &RunArgs, job: Job, whom: &[usize], run: Option<String>) -> Rolling {
    let control = &args.control;
    let gate = control.gate.clone();
    Rolling {
        waves: match &control.wave {
            Some(sizes) => sizes.split(whom),
            None => vec![whom.to_vec()],
        },
        is_template: args.template,
        gate: gate.map(|command| Gate { command, run }),
        pause: control.wave_pause.and_then(|limit| limit.0),
        max_fail: args.far.max_fail(),
        is_quiet: args.show.quiet,
        job,
    }
}

/// Says what a run goes on with.
fn going_on(kept: &Kept) -> String {
    format!("going on with {}: {}", kept.plan.run, standing(kept))
}

/// Ends the journal, says how a run of this name is gone on with, and returns the exit code.
pub(super) fn end(recorder: &Recorder, code: u8, left: Option<String>) -> u8 {
    if let Some(run) = left {
        complain(&format!("hosts are left; go on with: sshoal resume {run}"));
    }
    match recorder.end(code) {
        Ok(()) => code,
        Err(error) => {
            complain(&format!("{error:#}; the run cannot be resumed rightly"));
            INTERNAL
        }
    }
}

/// Journals that a directory keeps: some weeks of an operator's work.
const KEEP: NonZeroUsize = NonZeroUsize::new(100).expect("it is not 0");
