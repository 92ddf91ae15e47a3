//! `sshoal ping`: gets into each host, runs nothing, and tells how long each phase took.

use std::sync::Arc;

use anyhow::{Context, Result};
use sshoal::{Fleet, KeepOpen, Visited};

use crate::access::{self, Opened};
use crate::args::PingArgs;
use crate::complain;
use crate::console::{Console, Sink, Terminals};
use crate::drive::{Messages, drive};
use crate::engine::{Running, What};
use crate::exit_code::INTERNAL;
use crate::plan::{self, Access, ColorChoice, Summing, Talk};
use crate::progress::Progress;
use crate::record::Recorder;
use crate::render::{Renderers, Stage};
use crate::sanitise::one_line;
use crate::terminal::Terminal;

/// Logs in at the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was connected to then.
pub(crate) fn ping(args: &PingArgs) -> Result<u8> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let mut show = plan::show(&args.show)?;
    if show.talk == Talk::Normal {
        // The times are what it is for.
        show.talk = Talk::Verbose;
        let flags = (args.show.tell.summary, args.show.tell.no_summary);
        show.summary = Summing::of(flags, show.talk);
    }
    let (hosts, own) = crate::hosts::read(&args.whom)?;
    let access = plan::access(&args.access, &args.pace, home)?;
    let access = Access { own, ..access };
    let pace = plan::pace(&args.pace, &args.access)?;
    let user = access.user.as_deref();
    let labels: Vec<String> = hosts.iter().map(|host| plan::label(host, user)).collect();
    let Opened {
        configs, notices, ..
    } = access::open(&access, &hosts)?;
    let terminals = Terminals::detect();
    let colors = ColorChoice::from(args.show.tell.color);
    let stage = Stage {
        labels: &labels,
        lines: &crate::hosts::lines(&hosts, &access.own),
        stdout: colors.for_output(terminals.stdout),
        stderr: colors.for_output(terminals.stderr),
    };
    let mut renderers = Renderers::open(&show, &stage)?;
    let progress = match terminals.stderr && show.talk != Talk::Quiet {
        true => Progress::of_programs(labels.clone()),
        false => Progress::off(),
    };
    let mut console = Console::new(terminals, false, progress);
    if show.talk != Talk::Quiet {
        let notices = notices.iter();
        notices.for_each(|notice| console.say(&one_line(notice)));
    }
    let recorder = Arc::new(Recorder::new(labels, &hosts, &configs));
    let count = hosts.len();
    let whom: Arc<[usize]> = (0..count).collect();
    crate::room::make(count, pace.par)?;
    let first = Arc::clone(configs.first().context("no hosts")?);
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
    let fleet = fleet.build().context("cannot begin")?;
    let start = |messages: Messages| {
        let each = Running::each(&fleet, None, |_| (), |()| false);
        let own = Arc::clone(&recorder);
        let record = move |index, visited: Visited<()>, _| own.record_at(index, visited.outcome());
        let what = (What::Files, Arc::clone(&whom));
        Running::programs(what, (each, fleet), record, messages)
    };
    let all = (&*recorder, &whom[..]);
    let driven = drive(all, start, None, &mut renderers, &mut console)?;
    let written = renderers.end(driven.wall, &mut console);
    Terminal::restore();
    console.end_line(Sink::Stderr);
    match written {
        Ok(()) => Ok(driven.facts.exit_code()),
        Err(error) => {
            complain(&crate::wording::chain(&*error));
            Ok(INTERNAL)
        }
    }
}
