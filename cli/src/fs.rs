//! `sshoal fs`: one verb on the files of many hosts.
//!
//! What is to be done is settled before a host is connected to; each host's work is a program of the
//! fleet's. What it says takes the place of a command's output, so that all ways to show a run show it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::{Config, Event, Fleet, Host, KeepOpen, Phase, StopCause, Sudo, Visited};

use crate::access::{self, Opened};
use crate::args::FsArgs;
use crate::console::{Console, Sink, Terminals};
use crate::drive::{View, drive};
use crate::engine::{Running, What};
use crate::exit_code::INTERNAL;
use crate::plan::{self, Access, ColorChoice, Pace, Show, Talk};
use crate::progress::Progress;
use crate::record::{Ending, Record, Recorder};
use crate::render::{Gathering, Inline, Renderers, Stage};
use crate::sanitise::one_line;
use crate::terminal::Terminal;
use crate::{complain, failure, hosts, launch};

mod files;
mod text;
mod verb;
mod work;

use verb::Verb;
use work::{Done, Work};

/// What to do, resolved.
struct Plan {
    hosts: Vec<Host>,
    access: Access,
    pace: Pace,
    show: Show,
    verb: Verb,
}

impl Plan {
    fn resolve(args: &FsArgs) -> Result<Self> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let (mut show, on_stdout) = (plan::show(&args.show)?, Path::new("-"));
        let json = show.takes_stdout();
        let wanted = args.gather || args.fuzzy;
        if let Some(flag) = json.filter(|_| wanted) {
            bail!(
                "{flag} - takes standard output for itself; leave -b and --fuzzy out, or name a file"
            );
        }
        if args.ask_sudo && args.sudo.is_none() {
            bail!(
                "--ask-sudo does nothing by itself; say whom to work as with --sudo or --sudo=USER"
            );
        }
        let (hosts, own) = hosts::read(&args.whom)?;
        let access = plan::access(&args.access, &args.pace, home)?;
        if args.ask_sudo && plan::is_batch(&access.options) {
            bail!("--ask-sudo asks, and BatchMode=yes forbids it; leave one out");
        }
        let stdin_taken = args.whom.hosts_files.iter().any(|file| file == on_stdout);
        let bare = show.bare;
        let said = json.is_some() || show.print || show.inline.is_some() || show.outdir.is_some();
        if !said && !args.gather && hosts.len() == 1 {
            show.inline = Some(Inline::StdoutOnly);
        }
        let is_gathered = wanted || (!said && hosts.len() > 1);
        show.gather = is_gathered.then_some(Gathering {
            blocks: true,
            live: false,
            fuzzy: args.fuzzy,
            diff: false,
            bare,
            remarks: false,
        });
        Ok(Self {
            verb: Verb::resolve(&args.verb, stdin_taken)?,
            access: Access { own, ..access },
            pace: Pace {
                stop_after: args.far.stop_after(),
                ..plan::pace(&args.pace, &args.access)?
            },
            hosts,
            show,
        })
    }
}

/// Does it on the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was done then.
pub(crate) fn fs(args: &FsArgs) -> Result<u8> {
    let plan = Plan::resolve(args)?;
    let user = plan.access.user.as_deref();
    let label = |host: &Host| plan::label(host, user);
    let labels: Vec<String> = plan.hosts.iter().map(label).collect();
    let Opened {
        configs, notices, ..
    } = access::open(&plan.access, &plan.hosts)?;
    let sudo = match (args.sudo.as_ref().map(Sudo::to), args.ask_sudo) {
        (Some(sudo), true) => Some(sudo.password(Arc::new(launch::password()?))),
        (sudo, _) => sudo,
    };
    let terminals = Terminals::detect();
    let colors = ColorChoice::from(args.show.tell.color);
    let stage = Stage {
        labels: &labels,
        lines: &hosts::lines(&plan.hosts, &plan.access.own),
        stdout: colors.for_output(terminals.stdout),
        stderr: colors.for_output(terminals.stderr),
    };
    let mut shown = Shown {
        renderers: Renderers::open(&plan.show, &stage)?,
        changes: plan.verb.changes() && !args.dry_run,
    };
    let progress = match terminals.stderr && plan.show.talk != Talk::Quiet {
        true => Progress::of_programs(labels.clone()),
        false => Progress::off(),
    };
    let mut console = Console::new(terminals, args.show.raw, progress);
    if plan.show.talk != Talk::Quiet {
        notices
            .iter()
            .for_each(|notice| console.say(&one_line(notice)));
    }
    let recorder = Arc::new(Recorder::new(labels, &plan.hosts, &configs));
    let whom: Arc<[usize]> = (0..plan.hosts.len()).collect();
    let work = Work {
        verb: plan.verb,
        sudo,
        limit: plan.pace.command_timeout,
        dry_run: args.dry_run,
    };
    let stop_after = plan.pace.stop_after;
    let fleet = fleet(plan.hosts, configs, &plan.pace)?;
    let start = |messages| {
        let fails = |done: &Done| !done.stopped && (done.failed.is_some() || done.denies);
        let each = Running::each(&fleet, stop_after, move |host| work.of(host), fails);
        let own = Arc::clone(&recorder);
        let record = move |_, visited, stop| record(&own, visited, stop);
        let what = (What::Files, Arc::clone(&whom));
        Running::programs(what, (each, fleet), record, messages)
    };
    let all = (&*recorder, &whom[..]);
    let driven = drive(all, start, None, &mut shown, &mut console)?;
    let written = shown.renderers.end(driven.wall, &mut console);
    Terminal::restore();
    console.end_line(Sink::Stderr);
    match written {
        Ok(()) => Ok(driven.facts.exit_code()),
        Err(error) => {
            let what = crate::wording::chain(&*error);
            complain(&format!("{what}; what the hosts said is not complete"));
            Ok(INTERNAL)
        }
    }
}

fn fleet(hosts: Vec<Host>, configs: Vec<Arc<Config>>, pace: &Pace) -> Result<Fleet> {
    // Refused, the pool is smaller, and hosts wait for room.
    let _ = sshoal::raise_descriptor_limit();
    let first = configs.first().context("no hosts")?.clone();
    let mut fleet = Fleet::builder(hosts, first)
        .configs(configs)
        .keep_open(KeepOpen::No)
        .deadline(pace.deadline)
        .rate(pace.rate)
        .retries(pace.retries)
        .retry_on(pace.retry_on);
    if let Some(par) = pace.par {
        fleet = fleet.pool_size(par);
    }
    fleet.build().context("cannot begin")
}

/// Makes the record of a host's work; the run was stopped before, by `stop`.
fn record(recorder: &Recorder, visited: Visited<Done>, stop: Option<StopCause>) -> Record {
    let mut record = recorder.record_at(visited.index(), visited.outcome());
    // Why there is none the outcome tells.
    let Ok(done) = visited.into_result() else {
        return record;
    };
    record.stdout = done.output;
    record.differs = done.differs;
    match &done.failed {
        Some(_) if done.stopped => {
            record.ending = Ending::Cancelled {
                phase: Some(Phase::Transfer.as_str()),
                by_deadline: stop == Some(StopCause::Deadline),
            };
        }
        Some(error) => record.ending = Ending::Failed(failure::with_remedy(error)),
        None if done.denies => record.ending = Ending::Exited(1),
        None => {}
    }
    record
}

/// Shows hosts as a run's are shown.
struct Shown {
    renderers: Renderers,
    /// The hosts are changed, whether anybody reads of it or not.
    changes: bool,
}

impl View for Shown {
    fn bytes(&mut self, _: usize, _: Sink, _: &[u8], _: &mut Console) {}

    fn event(&mut self, event: &Event, console: &mut Console) {
        self.renderers.event(event, console);
    }

    fn finished(&mut self, record: &Record, console: &mut Console) {
        if !record.stdout.is_empty() {
            let index = record.index;
            self.renderers
                .bytes(index, Sink::Stdout, &record.stdout, console);
        }
        self.renderers.finished(record, console);
    }

    fn outlives_stdout(&self) -> bool {
        self.changes || self.renderers.writes_files()
    }
}
