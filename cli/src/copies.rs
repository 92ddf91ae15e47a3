//! `sshoal put`, `get` and `sync`: files to and from many hosts.
//!
//! What is to be copied is settled, and every name checked, before a host is connected to; each
//! host's copies are a program of the fleet's.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::transfer::Progress as Moved;
use sshoal::{Config, Event, Fleet, Host, KeepOpen, Secret, Sudo};

use crate::access::{self, Opened};
use crate::args::{CopyArgs, GetArgs, PutArgs, SyncArgs};
use crate::complain;
use crate::console::{Console, Sink, Terminals, print};
use crate::drive::{Messages, View, drive};
use crate::engine::{Running, What};
use crate::exit_code::INTERNAL;
use crate::journal::{HostPlan, Journal, Subject, Text};
use crate::keep::{self, Resumed};
use crate::plan::{ColorChoice, Show, Talk, tell};
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

use self::plan::{Direction, Plan};
pub(crate) use became::Copies;
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
    let resumed = Resumed::open(&args.copy.journal, args.copy.dry_run)?;
    let plan = Plan::put(args, &resumed)?;
    let asked = Asked {
        args: &args.copy,
        words: &args.paths,
        sudo,
        ask_sudo: args.ask_sudo,
    };
    copy(plan, asked, resumed)
}

/// Copies from the hosts and returns the exit code.
///
/// # Errors
/// As [`put`].
pub(crate) fn get(args: &GetArgs) -> Result<u8> {
    let resumed = Resumed::open(&args.copy.journal, args.copy.dry_run)?;
    let plan = Plan::get(args, &resumed)?;
    copy(plan, Asked::of(&args.copy, &args.paths), resumed)
}

/// Makes a directory of the hosts equal to one here and returns the exit code.
///
/// # Errors
/// As [`put`].
pub(crate) fn sync(args: &SyncArgs) -> Result<u8> {
    let resumed = Resumed::open(&args.copy.journal, args.copy.dry_run)?;
    let plan = Plan::sync(args, &resumed)?;
    copy(plan, Asked::of(&args.copy, &args.paths), resumed)
}

/// What was asked for besides the plan.
struct Asked<'a> {
    args: &'a CopyArgs,
    /// What is copied, and where to.
    words: &'a [OsString],
    sudo: Option<Sudo>,
    ask_sudo: bool,
}

impl<'a> Asked<'a> {
    fn of(args: &'a CopyArgs, words: &'a [OsString]) -> Self {
        Self {
            args,
            words,
            sudo: None,
            ask_sudo: false,
        }
    }
}

fn copy(plan: Plan, asked: Asked<'_>, resumed: Resumed) -> Result<u8> {
    let args = asked.args;
    if args.dry_run && plan.direction != Direction::Sync {
        return dry_run(&plan);
    }
    let labels = plan.names.labels.clone();
    let Opened {
        configs,
        mut notices,
        ..
    } = access::open(&plan.access, &plan.hosts)?;
    let sudo = match (asked.sudo.clone(), asked.ask_sudo) {
        (Some(sudo), true) => Some(sudo.password(Arc::new(sudo_password()?))),
        (sudo, _) => sudo,
    };
    let mut show = show(args, plan.itemize)?;
    show.resumes = resumed.kept.is_some();
    show.is_dry = args.dry_run;
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
    shown.renderers.expect(plan.whom.len());
    let moved = Moved::new();
    let progress = match terminals.stderr && show.talk != Talk::Quiet {
        true => progress(&plan, &moved),
        false => Progress::off(),
    };
    let mut recorder = Recorder::new(labels, &plan.hosts, &configs);
    let journal = journal((&plan, &asked), resumed, &mut notices)?;
    let name = journal.as_ref().map(|journal| journal.run().to_owned());
    recorder.keep(journal);
    let mut console = Console::new(terminals, false, progress);
    if show.talk != Talk::Quiet {
        notices
            .iter()
            .for_each(|notice| console.say(&one_line(notice)));
    }
    let recorder = Arc::new(recorder);
    let whom: Arc<[usize]> = plan.whom.as_slice().into();
    let fleet = fleet(&plan, &configs)?;
    let stop_after = plan.pace.stop_after;
    let start = |messages: Messages| {
        let work = Work::new(plan, args, moved, sudo)?;
        let fails = |copies: &Copies| !copies.is_stopped && copies.failure().is_some();
        let each = Running::each(&fleet, stop_after, move |host| work.of(host), fails);
        let own = Arc::clone(&recorder);
        let record = move |index, visited, stop| own.copied(index, visited, stop);
        let what = (What::Copies, Arc::clone(&whom));
        Running::programs(what, (each, fleet), record, messages)
    };
    let all = (&*recorder, &whom[..]);
    let driven = drive(all, start, None, &mut shown, &mut console)?;
    let written = shown.renderers.end(driven.wall, &mut console);
    Terminal::restore();
    console.end_line(Sink::Stderr);
    let mut code = driven.facts.exit_code();
    if let Err(error) = &written {
        complain(&crate::wording::chain(&**error));
        code = INTERNAL;
    }
    let left = name.filter(|_| driven.is_cut && show.talk != Talk::Quiet);
    Ok(keep::end(&recorder, code, left))
}

/// Returns the journal of copies, where one is wanted.
fn journal(
    (plan, asked): (&Plan, &Asked<'_>),
    resumed: Resumed,
    notices: &mut Vec<String>,
) -> Result<Option<Journal>> {
    let args = asked.args;
    if args.dry_run {
        // Of what changes nothing there is nothing to go on with.
        return Ok(None);
    }
    let weak = args.access.from_environment.as_slice();
    let subject = || subject(plan, asked.words);
    resumed.journal((&args.journal, weak), subject, notices)
}

fn progress(plan: &Plan, moved: &Moved) -> Progress {
    let progress = Progress::of_copies(Moving {
        counters: moved.clone(),
        labels: plan.names.labels.clone(),
        expected: plan.bytes(),
    });
    progress.expect(plan.whom.len());
    progress
}

/// Returns what a journal keeps of copies.
fn subject<'w>(plan: &Plan, words: &'w [OsString]) -> Result<Subject<'w>> {
    let inputs = plan.inputs().into_iter().map(keep::input);
    let own = |(index, host): (usize, &Host)| HostPlan {
        host: host.to_string(),
        options: (plan.access.own.get(index).into_iter().flatten())
            .map(|option| option.text().to_owned())
            .collect(),
        command: None,
        paths: (plan.filled.iter().flat_map(|filled| &filled[index]))
            .map(|path| Text::new(path))
            .collect(),
    };
    Ok(Subject {
        command: words,
        inputs: inputs.collect::<Result<_>>()?,
        hosts: plan.hosts.iter().enumerate().map(own).collect(),
    })
}

fn fleet(plan: &Plan, configs: &[Arc<Config>]) -> Result<Fleet> {
    crate::room::make(plan.whom.len(), plan.pace.par)?;
    let whom = plan.whom.iter();
    let configs: Vec<Arc<Config>> = whom.map(|index| Arc::clone(&configs[*index])).collect();
    let hosts = plan.whom.iter().map(|index| plan.hosts[*index].clone());
    let first = configs.first().context("no hosts")?.clone();
    let mut fleet = Fleet::builder(hosts.collect::<Vec<_>>(), first)
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

    fn event(&mut self, event: &Event, console: &mut Console) {
        self.renderers.event(event, console);
    }

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
    let show = tell(&args.tell)?;
    if let Some(flag) = show.takes_stdout().filter(|_| itemize) {
        bail!("{flag} - takes standard output for itself; leave --itemize out, or name a file");
    }
    Ok(show)
}

/// Prints what would be copied where, and returns the exit code.
fn dry_run(plan: &Plan) -> Result<u8> {
    let mut text = String::new();
    for &index in &plan.whom {
        let login = &plan.names.logins[index];
        for (from, to) in plan.shown(index) {
            let line = format!("{} {} {from} -> {to}", login.text, plan.direction.word());
            text.push_str(&one_line(&line));
            text.push('\n');
        }
    }
    let code = print(text.as_bytes());
    let hosts = plan.whom.len();
    let plural = if hosts == 1 { "" } else { "s" };
    complain(&format!("{hosts} host{plural}; nothing was copied"));
    Ok(code)
}
