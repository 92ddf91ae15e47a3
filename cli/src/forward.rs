//! `sshoal forward`: ports of this machine and of hosts, led through their sessions.
//!
//! Each host's session is a program of the fleet's that holds its forwardings until the session
//! ends or the run is stopped, so that connecting works, and fails, as in `run`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sshoal::{Config, Each, Fleet, Host, KeepOpen, StopCause, Visited};

use crate::access::{self, Opened};
use crate::args::ForwardArgs;
use crate::console::{Console, Terminals};
use crate::drive::exit_hard;
use crate::exit_code::Facts;
use crate::plan::{self, Access, ColorChoice, Pace, Talk};
use crate::progress::Progress;
use crate::record::{Ending, Record, Recorder};
use crate::render::Status;
use crate::sanitise::one_line;
use crate::signals::{self, Wish};
use crate::terminal::Terminal;

mod hold;
mod spec;

use hold::{Ended, Forwards};
use spec::{Local, Remote};

/// What the main thread is told.
#[derive(Debug)]
enum Message {
    /// A host's forwardings are up; the lines say so, without the host.
    Up(usize, Vec<String>),
    /// A host has ended; the run was stopped before, by this.
    Ended(Box<Visited<Ended>>, Option<StopCause>),
    /// Every host has.
    Over,
    /// Someone wants the end; the hosts have been told already.
    Interrupted,
    /// Someone wants to know how far it is.
    Asked,
}

/// What to do, resolved.
struct Plan {
    hosts: Vec<Host>,
    access: Access,
    pace: Pace,
    forwards: Forwards,
    talk: Talk,
}

impl Plan {
    fn resolve(args: &ForwardArgs) -> Result<Self> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let forwards = Forwards {
            local: parse_all(&args.local_forwards, Local::parse)?,
            remote: parse_all(&args.remote_forwards, Remote::parse)?,
        };
        if forwards.local.is_empty() && forwards.remote.is_empty() {
            bail!("nothing to forward; name a port, as in: sshoal forward -H web1 -L 8080:db:80");
        }
        let (hosts, own) = crate::hosts::read(&args.whom)?;
        let count = hosts.len();
        if count > 1 {
            for local in &forwards.local {
                if let Some(what) = local.unshareable() {
                    bail!(
                        "-L {:?}: {count} hosts cannot share {what}; write port 0, which takes a \
                         free one for each host",
                        local.text
                    );
                }
            }
        }
        let pace = plan::pace(&args.pace, &args.access)?;
        if let Some(par) = pace.par.filter(|par| par.get() < count) {
            bail!("--par {par} leaves out some of {count} hosts, which all keep their sessions");
        }
        Ok(Self {
            hosts,
            access: Access {
                own,
                ..plan::access(&args.access, &args.pace, home)?
            },
            pace,
            forwards,
            talk: match (args.quiet, args.verbose) {
                (true, _) => Talk::Quiet,
                (_, true) => Talk::Verbose,
                _ => Talk::Normal,
            },
        })
    }
}

fn parse_all<T>(texts: &[String], parse: fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().map(|text| parse(text)).collect()
}

/// Forwards until the end of all hosts, or a signal, and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was connected to then.
pub(crate) fn forward(args: &ForwardArgs) -> Result<u8> {
    let plan = Plan::resolve(args)?;
    let user = plan.access.user.as_deref();
    let labels: Vec<String> = plan
        .hosts
        .iter()
        .map(|host| plan::label(host, user))
        .collect();
    let Opened {
        configs, notices, ..
    } = access::open(&plan.access, &plan.hosts)?;
    let terminals = Terminals::detect();
    let mut console = Console::new(terminals, false, Progress::off());
    if plan.talk != Talk::Quiet {
        notices
            .iter()
            .for_each(|notice| console.say(&one_line(notice)));
    }
    let colors = ColorChoice::Auto.for_output(terminals.stderr);
    let watcher = Watcher {
        recorder: Recorder::new(labels.clone(), &plan.hosts, &configs),
        status: Status::new(labels.len(), plan.talk, colors),
        labels,
        facts: Facts::default(),
        up: BTreeSet::new(),
        ended: 0,
    };
    let fleet = fleet(plan.hosts, configs, &plan.pace)?;
    plan.forwards.prepare();
    let (sender, receiver) = channel();
    let (forwards, up) = (plan.forwards, sender.clone());
    let each = fleet.each(move |host| {
        forwards.hold(host, |lines| {
            let _ = up.send(Message::Up(host.index(), lines));
        })
    });
    let interrupt = Arc::<OnceLock<_>>::default();
    let (first, handle, stop) = (interrupt.clone(), each.handle(), sender.clone());
    signals::watch(move |wish| {
        let Wish::End(signal) = wish else {
            let _ = stop.send(Message::Asked);
            return;
        };
        let signal = *first.get_or_init(|| signal);
        handle.cancel();
        thread::spawn(move || exit_hard(signal.exit_code()));
        let _ = stop.send(Message::Interrupted);
    })
    .context("cannot watch for signals")?;
    pass_on(each, fleet, sender)?;
    let mut facts = watcher.watch(&receiver, &mut console);
    Terminal::restore();
    if let Some(interrupt) = interrupt.get() {
        facts.interrupt(*interrupt);
    }
    Ok(console.close(facts.exit_code()))
}

/// Makes the fleet; each host keeps a session of its own for as long as it lasts.
fn fleet(hosts: Vec<Host>, configs: Vec<Arc<Config>>, pace: &Pace) -> Result<Fleet> {
    // Refused, fewer hosts fit.
    let _ = sshoal::raise_descriptor_limit();
    let count = NonZeroUsize::new(hosts.len()).context("no hosts")?;
    let first = configs.first().context("no hosts")?.clone();
    let fleet = Fleet::builder(hosts, first)
        .configs(configs)
        .keep_open(KeepOpen::No)
        .pool_size(count)
        .deadline(pace.deadline)
        .rate(pace.rate)
        .retries(pace.retries)
        .retry_on(pace.retry_on)
        .build()
        .context("cannot begin")?;
    let room = fleet.pool().size();
    if room < count.get() {
        bail!("this machine has room for {room} sessions, and {count} hosts keep one each");
    }
    Ok(fleet)
}

/// Tells of each host that ends, on a thread of its own.
fn pass_on(mut each: Each<Ended>, fleet: Fleet, sender: Sender<Message>) -> Result<()> {
    let pass = move || {
        while let Some(visited) = each.next() {
            let ended = Message::Ended(Box::new(visited), each.stopped_by());
            if sender.send(ended).is_err() {
                return;
            }
        }
        drop(fleet);
        let _ = sender.send(Message::Over);
    };
    thread::Builder::new()
        .name("events".to_owned())
        .spawn(pass)
        .context("cannot begin")?;
    Ok(())
}

/// The main thread's side: shows what happens, and counts it for the exit code.
struct Watcher {
    recorder: Recorder,
    labels: Vec<String>,
    status: Status,
    facts: Facts,
    /// Hosts whose forwardings are up.
    up: BTreeSet<usize>,
    ended: usize,
}

impl Watcher {
    fn watch(mut self, receiver: &Receiver<Message>, console: &mut Console) -> Facts {
        let mut give_up = None::<Instant>;
        loop {
            let message = match give_up {
                None => receiver.recv().map_err(RecvTimeoutError::from),
                Some(at) => receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match message {
                Err(_) | Ok(Message::Over) => return self.facts,
                Ok(Message::Interrupted) => {
                    give_up.get_or_insert(Instant::now() + PATIENCE);
                }
                Ok(Message::Asked) => console.say(&format!(
                    "{} of {} hosts forward, {} ended",
                    self.up.len(),
                    self.labels.len(),
                    self.ended
                )),
                Ok(Message::Up(index, lines)) => {
                    self.up.insert(index);
                    let label = &self.labels[index];
                    let mut text = String::new();
                    for line in lines {
                        text.push_str(&format!("{label}\t{}\n", one_line(&line)));
                    }
                    console.put(text.as_bytes());
                }
                Ok(Message::Ended(visited, stop)) => self.ended(&visited, stop, console),
            }
        }
    }

    fn ended(&mut self, visited: &Visited<Ended>, stop: Option<StopCause>, console: &mut Console) {
        self.ended += 1;
        self.up.remove(&visited.outcome().index());
        let mut record: Record = self.recorder.record(visited.outcome());
        match visited.value() {
            None => {}
            Some(Ended::Failed(failure)) => record.ending = Ending::Failed(failure.clone()),
            Some(Ended::Stopped) => {
                let phase = Some("run");
                let by_deadline = stop == Some(StopCause::Deadline);
                record.ending = Ending::Cancelled { phase, by_deadline };
            }
        }
        self.facts.add(record.class());
        // Whoever stops everything knows that it ends.
        if !matches!(
            record.ending,
            Ending::Cancelled {
                by_deadline: false,
                ..
            }
        ) {
            self.status.finished(&record, console);
        }
    }
}

/// How long hosts that were told to end are waited for.
const PATIENCE: Duration = Duration::from_millis(1_000);
