//! In which steps a run is made, whether somebody is asked before, and what is kept of it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use sshoal::{Config, Detail, Host, HostOption, Listed};

use crate::access::Opened;
use crate::args::{ControlArgs, RunArgs};
use crate::confirm;
use crate::console::Terminals;
use crate::engine::Job;
use crate::journal::{HostPlan, Journal, Subject, Text};
use crate::keep::{self, Resumed};
use crate::plan::{Access, Plan, is_batch, join};
use crate::waves::{Gate, Rolling};
use crate::workers::{Brief, FarLaunch, Workers};

/// Returns the run's journal, where one is wanted.
///
/// # Errors
/// Fails if one that was asked for cannot be written, or what is to be kept in it not be found out.
pub(super) fn journal(
    args: &RunArgs,
    resumed: Resumed,
    (job, own): (&mut Job, &[Vec<HostOption>]),
    notices: &mut Vec<String>,
) -> Result<Option<Journal>> {
    let asked = (&args.journal, args.access.from_environment.as_slice());
    let journal = resumed.journal(asked, || subject(args, job, own), notices)?;
    if journal.is_some() {
        // A journal knows which commands were begun, and what they printed.
        job.detail = Detail::Output;
    }
    Ok(journal)
}

/// Returns what a journal keeps of a run.
fn subject<'a>(args: &'a RunArgs, job: &Job, own: &[Vec<HostOption>]) -> Result<Subject<'a>> {
    let stdin = Path::new("-");
    let input = match (&args.launch.stdin, args.launch.send_input) {
        (Some(path), _) => Some(path.as_path()),
        (None, true) => Some(stdin),
        (None, false) => None,
    };
    Ok(Subject {
        command: &args.command,
        inputs: input.map(keep::input).transpose()?.into_iter().collect(),
        hosts: hosts(args, job, own)?,
    })
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
            paths: Vec::new(),
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
    keep::wanted(&args.journal, &args.access.from_environment).map(drop)
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
        is_quiet: args.show.tell.quiet,
        job,
    }
}
