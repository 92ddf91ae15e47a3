//! `sshoal shell`: one shell on each host, and one keyboard for all of them.
//!
//! A thread of its own reads lines and sends them; the main thread shows what comes back.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sshoal::{Exit, Fleet, Host, Scope, ShellError, ShellSpec, Shells};

use crate::access::{self, Opened};
use crate::args::ShellArgs;
use crate::complain;
use crate::console::{Console, Sink, Terminals};
use crate::drive::exit_hard;
use crate::exit_code::{Class, Facts, Interrupt};
use crate::plan::{self, Access, ColorChoice, Pace};
use crate::progress::Progress;
use crate::render::{Print, prefixes};
use crate::sanitise::one_line;
use crate::signals::{self, Wish};
use crate::terminal::Terminal;
use crate::wording::reason;

mod groups;
mod keyboard;

use groups::Groups;
use keyboard::Keyboard;

/// Opens the shells, leads lines to them until all have ended, and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was connected to then.
pub(crate) fn shell(args: &ShellArgs) -> Result<u8> {
    let (hosts, access, pace) = resolve(args)?;
    let user = access.user.as_deref();
    let labels: Vec<String> = hosts.iter().map(|host| plan::label(host, user)).collect();
    let Opened {
        configs, notices, ..
    } = access::open(&access, &hosts)?;
    let terminals = Terminals::detect();
    let mut console = Console::new(terminals, args.raw, Progress::off());
    if !args.quiet {
        let notices = notices.iter();
        notices.for_each(|notice| console.say(&one_line(notice)));
    }
    // Refused, fewer hosts fit.
    let _ = sshoal::raise_descriptor_limit();
    let first = configs.first().context("no hosts")?.clone();
    let count = NonZeroUsize::new(hosts.len()).context("no hosts")?;
    let fleet = Fleet::builder(hosts.clone(), first)
        .configs(configs)
        .pool_size(count)
        .deadline(pace.deadline)
        .rate(pace.rate)
        .retries(pace.retries)
        .retry_on(pace.retry_on)
        .build()
        .context("cannot begin")?;
    let scope = Scope::root();
    let opened = Arc::<OnceLock<Arc<Shells>>>::default();
    let interrupt = interrupts(&scope, opened.clone())?;
    let begun = Instant::now();
    let shells = fleet.shells(&ShellSpec::new(), &scope);
    let shells = Arc::new(shells.context("cannot begin")?);
    let shells = opened.get_or_init(|| shells).clone();
    let mut talk = Talking {
        labels,
        scope,
        console,
        quiet: args.quiet,
    };
    talk.opened(&shells);
    let colors = ColorChoice::Auto.for_output(terminals.stdout);
    let mut print = Print::new(prefixes(&talk.labels, false, colors));
    let groups = Groups::learn(&shells, &talk.scope, |index, bytes| {
        print.bytes(index, Sink::Stdout, bytes, &mut talk.console);
    });
    let keyboard = Keyboard::new(shells.clone(), &hosts, talk.labels.clone());
    thread::Builder::new()
        .name("keyboard".to_owned())
        .spawn(move || keyboard.serve())
        .context("cannot begin")?;
    talk.show_all(&shells, &mut print);
    let late = pace.deadline.is_some_and(|limit| begun.elapsed() >= limit);
    if talk.scope.check().is_err() {
        groups.end(fleet);
    }
    let mut facts = talk.ends(&shells, late);
    if let Some(interrupt) = interrupt.get() {
        facts.interrupt(*interrupt);
    }
    Terminal::restore();
    Ok(talk.console.close(facts.exit_code()))
}

/// Weighs what was typed.
fn resolve(args: &ShellArgs) -> Result<(Vec<Host>, Access, Pace)> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    if args
        .whom
        .hosts_files
        .iter()
        .any(|file| file == Path::new("-"))
    {
        bail!(
            "-h -: standard input is what is typed into the shells; name a hosts file, or use -H"
        );
    }
    let (hosts, own) = crate::hosts::read(&args.whom)?;
    let access = plan::access(&args.access, &args.pace, home)?;
    let pace = plan::pace(&args.pace, &args.access)?;
    let count = hosts.len();
    if let Some(par) = pace.par.filter(|par| par.get() < count) {
        bail!("--par {par} leaves out some of {count} hosts, which all keep their shells");
    }
    Ok((hosts, Access { own, ..access }, pace))
}

/// Has the scope end at the first signal, and the process soon after; returns where the signal is
/// then found. Whoever asks is told how many shells there are.
fn interrupts(
    scope: &Scope,
    opened: Arc<OnceLock<Arc<Shells>>>,
) -> Result<Arc<OnceLock<Interrupt>>> {
    let interrupt = Arc::<OnceLock<_>>::default();
    let (first, scope) = (interrupt.clone(), scope.clone());
    signals::watch(move |wish| {
        let Wish::End(signal) = wish else {
            return complain(&state(opened.get()));
        };
        let signal = *first.get_or_init(|| signal);
        scope.cancel();
        thread::spawn(move || exit_hard(signal.exit_code()));
    })
    .context("cannot watch for signals")?;
    Ok(interrupt)
}

/// Says how many shells are open.
fn state(opened: Option<&Arc<Shells>>) -> String {
    let Some(shells) = opened else {
        return "no shell is open yet".to_owned();
    };
    let count = shells.hosts().len();
    let is_open = |index: &usize| shells.shell(*index).is_ok() && shells.exit(*index).is_none();
    let open = (0..count).filter(is_open).count();
    format!("{open} of {count} shells are open")
}

/// The main thread's side.
struct Talking {
    labels: Vec<String>,
    /// Ended by a signal.
    scope: Scope,
    console: Console,
    quiet: bool,
}

impl Talking {
    /// Says which hosts have no shell, and how to go on with the others.
    fn opened(&mut self, shells: &Shells) {
        let mut open = 0;
        for (label, (_, shell)) in self.labels.iter().zip(shells.iter()) {
            match shell {
                Ok(_) => open += 1,
                Err(_) if self.scope.check().is_err() => {}
                Err(error) => self.console.say(&format!("{label} {}", failure(error))),
            }
        }
        if !self.quiet && open > 0 {
            self.console.say(&format!(
                "{open} of {} shells are open; a line goes to all, `@host line` to one, Ctrl-D ends",
                self.labels.len()
            ));
        }
    }

    /// Shows what comes from the hosts until all shells have ended, or a signal comes.
    fn show_all(&mut self, shells: &Shells, print: &mut Print) {
        while let Ok(Some(output)) = shells.read(&self.scope) {
            for (sink, bytes) in [(Sink::Stdout, output.stdout), (Sink::Stderr, output.stderr)] {
                if !bytes.is_empty() {
                    print.bytes(output.index, sink, &bytes, &mut self.console);
                }
            }
            if !self.console.is_read() {
                // Whoever leaves has seen enough.
                self.scope.cancel();
            }
        }
        for index in 0..self.labels.len() {
            print.finished(index, &mut self.console);
        }
    }

    /// Says how the shells ended, where that is not well.
    fn ends(&mut self, shells: &Shells, late: bool) -> Facts {
        let mut facts = Facts::default();
        if self.scope.check().is_err() {
            facts.add(Class::Stopped);
            return facts;
        }
        let joined = shells.join(&Scope::root().child(Some(JOIN_WITHIN)));
        for (index, exit) in joined.finished {
            let (class, verdict) = match exit {
                Exit::Status(0) => (Class::Good, None),
                Exit::Status(status) => (Class::of_status(status), Some(format!("exit {status}"))),
                Exit::Signal { name, .. } => (Class::of_signal(), Some(format!("signal {name}"))),
                _ => (
                    Class::Failed,
                    Some("failed: run: no exit status was received".to_owned()),
                ),
            };
            facts.add(class);
            self.verdict(index, verdict);
        }
        for (index, error) in joined.failed.into_iter().chain(joined.unfinished) {
            facts.add(if late { Class::TimedOut } else { Class::Failed });
            if shells.shell(index).is_ok() {
                let verdict = match late {
                    true => "ended by --deadline".to_owned(),
                    false => failure(&error),
                };
                self.verdict(index, Some(verdict));
            }
        }
        facts
    }

    fn verdict(&mut self, index: usize, verdict: Option<String>) {
        if let Some(verdict) = verdict {
            let line = format!("{} {verdict}", self.labels[index]);
            self.console.say(&one_line(&line));
        }
    }
}

/// Says why a host has no shell.
fn failure(error: &ShellError) -> String {
    let why = match error.session() {
        Some(error) => reason(error),
        None => one_line(&error.to_string()).into_owned(),
    };
    format!("failed: {}: {why}", error.phase())
}

/// Shells whose output has ended have ended, or have been lost.
const JOIN_WITHIN: Duration = Duration::from_secs(1);
