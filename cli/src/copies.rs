//! `sshoal put`, `get` and `sync`: files to and from many hosts.
//!
//! What is to be copied is settled, and every name checked, before a host is connected to; each
//! host's copies are a program of the fleet's.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::transfer::Progress as Moved;
use sshoal::{Config, Fleet, KeepOpen, Secret, Sudo};

use crate::access::{self, Opened};
use crate::args::{CopyArgs, GetArgs, PutArgs, SyncArgs};
use crate::complain;
use crate::console::{Console, Sink, Terminals};
use crate::drive::{Messages, View, drive};
use crate::engine::{Running, What};
use crate::exit_code::INTERNAL;
use crate::plan::{ColorChoice, Show, Summing, Talk};
use crate::progress::{Moving, Progress};
use crate::record::{Record, Recorder};
use crate::render::{Renderers, Stage};
use crate::sanitise::one_line;
use crate::terminal::Terminal;

mod became;
mod fill;
mod hosts;
mod names;
mod options;
mod paths;
mod plan;
mod side;
mod slow;
mod work;

pub(crate) use became::Copies;
use plan::{Direction, Plan};
use work::Work;

/// Copies to the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was copied then.
pub(crate) fn put(args: &PutArgs) -> Result<u8> {
    let sudo = args.sudo.as_ref().map(Sudo::to);
    if args.ask_sudo && sudo.is_none() {
        bail!("--ask-sudo does nothing by itself; say as whom to write with --sudo");
    }
    let plan = Plan::put(args)?;
    copy(plan, &args.copy, (sudo, args.ask_sudo))
}

/// Copies from the hosts and returns the exit code.
///
/// # Errors
/// As [`put`].
pub(crate) fn get(args: &GetArgs) -> Result<u8> {
    copy(Plan::get(args)?, &args.copy, (None, false))
}

/// Makes a directory of the hosts equal to one here and returns the exit code.
///
/// # Errors
/// As [`put`].
pub(crate) fn sync(args: &SyncArgs) -> Result<u8> {
    copy(Plan::sync(args)?, &args.copy, (None, false))
}

fn copy(plan: Plan, args: &CopyArgs, (sudo, ask): (Option<Sudo>, bool)) -> Result<u8> {
    if args.dry_run && plan.direction != Direction::Sync {
        return dry_run(&plan);
    }
    let labels = plan.names.labels.clone();
    let Opened { configs, notices } = access::open(&plan.access, &plan.hosts)?;
    let sudo = match (sudo, ask) {
        (Some(sudo), true) => Some(sudo.password(Arc::new(sudo_password()?))),
        (sudo, _) => sudo,
    };
    let show = show(args, plan.itemize)?;
    let terminals = Terminals::detect();
    let colors = ColorChoice::from(args.tell.color);
    let stage = Stage {
        labels: &labels,
        lines: &crate::hosts::lines(&plan.hosts, &plan.access.own),
        stdout: colors.for_output(terminals.stdout),
        stderr: colors.for_output(terminals.stderr),
    };
    let mut shown = Shown {
        renderers: Renderers::open(&show, &stage)?,
        is_dry: args.dry_run,
    };
    let moved = Moved::new();
    let progress = match terminals.stderr && show.talk != Talk::Quiet {
        true => Progress::of_copies(Moving {
            counters: moved.clone(),
            labels: labels.clone(),
            expected: plan.bytes(),
        }),
        false => Progress::off(),
    };
    let mut console = Console::new(terminals, false, progress);
    if show.talk != Talk::Quiet {
        notices
            .iter()
            .for_each(|notice| console.say(&one_line(notice)));
    }
    let recorder = Arc::new(Recorder::new(labels, &plan.hosts, &configs));
    let count = plan.hosts.len();
    let fleet = fleet(&plan, configs)?;
    let stop_after = plan.pace.stop_after;
    let start = |messages: Messages| {
        let work = Work::new(plan, args, moved, sudo)?;
        let fails = |copies: &Copies| !copies.is_stopped && copies.failure().is_some();
        let each = Running::each(&fleet, stop_after, move |host| work.of(host), fails);
        let record = move |visited, stop| recorder.copied(visited, stop);
        Running::programs(What::Copies, (each, fleet), record, messages)
    };
    let driven = drive(count, start, None, &mut shown, &mut console)?;
    let written = shown.renderers.end(driven.wall, &mut console);
    Terminal::restore();
    console.end_line(Sink::Stderr);
    match written {
        Ok(()) => Ok(driven.facts.exit_code()),
        Err(error) => {
            complain(&format!("{error:#}"));
            Ok(INTERNAL)
        }
    }
}

fn fleet(plan: &Plan, configs: Vec<Arc<Config>>) -> Result<Fleet> {
    crate::room::make(plan.hosts.len(), plan.pace.par);
    let first = configs.first().context("no hosts")?.clone();
    let mut fleet = Fleet::builder(plan.hosts.clone(), first)
        .configs(configs)
        .keep_open(KeepOpen::No)
        .deadline(plan.pace.deadline)
        .rate(plan.pace.rate)
        .retries(plan.pace.retries)
        .retry_on(plan.pace.retry_on);
    if let Some(par) = plan.pace.par {
        fleet = fleet.pool_size(par);
    }
    fleet.build().context("cannot begin")
}

/// Shows hosts as a run's are shown.
struct Shown {
    renderers: Renderers,
    is_dry: bool,
}

impl View for Shown {
    fn bytes(&mut self, _: usize, _: Sink, _: &[u8], _: &mut Console) {}

    fn finished(&mut self, record: &Record, console: &mut Console) {
        self.renderers.finished(record, console);
    }

    fn outlives_stdout(&self) -> bool {
        // The copies are what it is for, whether anybody reads of them or not.
        !self.is_dry || self.renderers.writes_files()
    }
}

fn sudo_password() -> Result<Secret> {
    let Some(mut terminal) = Terminal::open() else {
        bail!("--ask-sudo needs a terminal to ask on; allow the user NOPASSWD, or leave it out")
    };
    let password = terminal.ask_hidden("Password for sudo: ");
    let password = password.context("cannot ask for the password")?;
    password.context("no password was given")
}

fn show(args: &CopyArgs, itemize: bool) -> Result<Show> {
    let tell = &args.tell;
    if itemize && tell.jsonl.as_deref() == Some("-".as_ref()) {
        bail!("--jsonl - takes standard output for itself; leave --itemize out, or name a file");
    }
    let talk = match (tell.quiet, tell.verbose) {
        (true, _) => Talk::Quiet,
        (false, true) => Talk::Verbose,
        (false, false) => Talk::Normal,
    };
    if tell.failed_to.is_some() && tell.failed_to == tell.ok_to {
        bail!("--failed-to and --ok-to name the same file; give each its own");
    }
    Ok(Show {
        jsonl: tell.jsonl.clone(),
        failed_to: tell.failed_to.clone(),
        ok_to: tell.ok_to.clone(),
        summary: Summing::of((tell.summary, tell.no_summary), talk),
        ..Show::of(talk)
    })
}

/// Prints what would be copied where, and returns the exit code.
fn dry_run(plan: &Plan) -> Result<u8> {
    let mut text = String::new();
    for (index, login) in plan.names.logins.iter().enumerate() {
        for (from, to) in plan.shown(index) {
            let line = format!("{} {} {from} -> {to}", login.text, plan.direction.word());
            text.push_str(&one_line(&line));
            text.push('\n');
        }
    }
    // Whoever does not read it does not want it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let hosts = plan.hosts.len();
    let plural = if hosts == 1 { "" } else { "s" };
    complain(&format!("{hosts} host{plural}; nothing was copied"));
    Ok(0)
}
