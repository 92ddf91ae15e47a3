//! `sshoal run`: plan, open, drive, show.

use std::time::Instant;

use anyhow::{Context, Result};
use sshoal::{Detail, Event, Listed};

use crate::access::Opened;
use crate::args::RunArgs;
use crate::console::{Console, Sink, Terminals, print};
use crate::drive::{Driven, View, drive};
use crate::engine::Job;
use crate::exit_code::{Class, INTERNAL};
use crate::keep::Resumed;
use crate::plan::{Plan, Talk};
use crate::progress::Progress;
use crate::record::{Record, Recorder};
use crate::render::{Renderers, Stage};
use crate::sanitise::one_line;
use crate::terminal::Terminal;
use crate::{access, complain, hosts, keep, wording};

mod control;

/// Runs the command on the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was run then.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    control::check(args)?;
    let resumed = Resumed::open(&args.journal, args.dry_run)?;
    let plan = Plan::resolve(args, resumed.kept.as_ref())?;
    let whom = resumed.whom(&args.journal, plan.hosts.len());
    if plan.dry_run {
        return dry_run(&plan, &whom);
    }
    control::confirm(args, &plan, &whom)?;
    let labels = plan.labels();
    let mut opened = access::open(&plan.access, &plan.hosts)?;
    let (launch, input, far) = plan.launch.open()?;
    let whose = (&plan.access, &plan.hosts[..]);
    let workers = control::workers(args, whose, &mut opened, (far, whom.len()))?;
    let Opened {
        configs,
        mut notices,
        ..
    } = opened;
    let terminals = Terminals::detect();
    let stage = Stage {
        labels: &labels,
        lines: &hosts::lines(&plan.hosts, &plan.access.own),
        stdout: plan.colors.for_output(terminals.stdout),
        stderr: plan.colors.for_output(terminals.stderr),
    };
    let mut renderers = Renderers::open(&plan.show, &stage)?;
    renderers.expect(whom.len());
    let bar = terminals.stderr && plan.show.talk != Talk::Quiet;
    let progress = match bar {
        true => Progress::of_commands(labels.clone()),
        false => Progress::off(),
    };
    progress.expect(whom.len());
    let mut recorder = Recorder::new(labels, &plan.hosts, &configs);
    let mut job = Job {
        hosts: plan.hosts,
        commands: plan.commands,
        launch: (launch, input),
        configs,
        pace: plan.pace,
        on_timeout: plan.on_timeout,
        detail: match bar {
            true => renderers.detail().max(Detail::Progress),
            false => renderers.detail(),
        },
        collect: renderers.collect(),
        workers,
    };
    let of = (&mut job, plan.access.own.as_slice());
    let journal = control::journal(args, resumed, of, &mut notices)?;
    let name = journal.as_ref().map(|journal| journal.run().to_owned());
    recorder.keep(journal);
    recorder.in_pieces(renderers.read_pieces());
    let mut console = Console::new(terminals, plan.raw, progress);
    if plan.show.talk != Talk::Quiet {
        notices
            .iter()
            .for_each(|notice| console.say(&one_line(notice)));
    }
    let rolling = control::rolling(args, job, &whom, name.clone());
    let start = |messages| rolling.start(messages);
    let all = (&recorder, &whom[..]);
    let mut driven = drive(all, start, Some(&recorder), &mut renderers, &mut console)?;
    let code = close(args, renderers, &mut driven, &mut console);
    let name = name.filter(|_| driven.is_cut && plan.show.talk != Talk::Quiet);
    Ok(keep::end(&recorder, code, name))
}

/// Shows what is shown at the end, and returns the exit code.
fn close(args: &RunArgs, renderers: Renderers, driven: &mut Driven, console: &mut Console) -> u8 {
    if args.max_status {
        driven.facts.tell_status();
    }
    if renderers.differs() {
        driven.facts.add(Class::Differs);
    }
    let written = renderers.end(driven.wall, console);
    Terminal::restore();
    console.end_line(Sink::Stderr);
    if let Err(error) = &written {
        let what = wording::chain(&**error);
        complain(&format!("{what}; what the hosts wrote is not complete"));
        return INTERNAL;
    }
    driven.facts.exit_code()
}

/// Prints what would run where, and returns the exit code.
fn dry_run(plan: &Plan, whom: &[usize]) -> Result<u8> {
    let ways = plan.show.talk == Talk::Verbose;
    let (mut text, hosts) = (String::new(), plan.hosts.len());
    let logins = access::logins(&plan.access, &plan.hosts, ways)?;
    for &index in whom {
        let (host, login) = (&plan.hosts[index], &logins[index]);
        let listed = Listed::new((index, hosts), host, (&login.user, login.port));
        let command = plan.commands.of(&listed).context("--template")?;
        let command = plan.launch.shown(&command)?;
        let command = String::from_utf8_lossy(&command);
        text.push_str(&one_line(&format!("{} {command}", login.text)));
        text.push('\n');
    }
    let code = print(text.as_bytes());
    complain(&format!(
        "{} host{}; nothing was run",
        whom.len(),
        if whom.len() == 1 { "" } else { "s" }
    ));
    Ok(code)
}

impl View for Renderers {
    fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console) {
        Self::bytes(self, index, from, bytes, console);
    }

    fn finished(&mut self, record: &Record, console: &mut Console) {
        Self::finished(self, record, console);
    }

    fn event(&mut self, event: &Event, console: &mut Console) {
        Self::event(self, event, console);
    }

    fn due(&self) -> Option<Instant> {
        Self::due(self)
    }

    fn tell(&mut self, console: &mut Console) {
        Self::tell(self, console);
    }

    fn outlives_stdout(&self) -> bool {
        self.writes_files()
    }
}
