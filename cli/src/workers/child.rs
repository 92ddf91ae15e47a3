//! `sshoal worker`: the child process that has sessions for a run.
//!
//! Its standard input is a socket to the run, whose orders one thread reads. That thread never
//! waits for a host: each session is opened, and each command followed, by a green thread. When the
//! run is gone, commands under way are ended on their hosts, as by a second Ctrl-C, and the process
//! is.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sshoal::ssh_config::Origin;
use sshoal::{
    Answers, Challenge, Config, Host, HostKeyPolicy, HostOption, Launch, Phase, Resolver, Scope,
    Secret, Session, Timings,
};

use self::command::Followed;
use super::failure;
use super::outbox::Outbox;
use super::plan::{Plan, Told};
use super::wire::{ORDERS, Order, Report, WireError, WireHost, WireOption, WireTimings};
use crate::{access, complain, exit_code, wording};

mod command;

/// Works for the run at the other end of standard input, until that is gone.
pub(crate) fn worker() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&wording::chain(&*error));
            ExitCode::from(exit_code::USAGE)
        }
    }
}

fn begin() -> Result<()> {
    let stream = stream()?;
    // What it talks to may find a way into it, which must not lead any further.
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
    // Else it would be called after the way by which its program was found.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(c"sshoal-worker");
    ignore_signals().context("cannot ignore signals")?;
    // Refused, there are fewer sessions, and hosts wait for room.
    let _ = sshoal::raise_descriptor_limit();
    let outbox = Arc::new(Outbox::default());
    let (writing, own) = (stream.try_clone()?, Arc::clone(&outbox));
    let writer = thread::Builder::new().name("to-run".to_owned());
    writer.spawn(move || own.write_to(&writing))?;
    let mut from = BufReader::with_capacity(READ_AHEAD, &stream);
    let worker = Worker::brief(&mut from, outbox)?;
    worker.outbox.push(&Report::Ready, b"");
    worker.serve(&mut from);
    worker.end_all();
    Ok(())
}

/// Takes the socket off standard input, which what this process starts must not find there: it
/// would keep the run from seeing this process's end.
fn stream() -> Result<UnixStream> {
    let stdin = io::stdin();
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&stdin)?.st_mode);
    if kind != rustix::fs::FileType::Socket {
        bail!("`sshoal worker` is started by `sshoal run --workers N` and by nobody else");
    }
    let stream = UnixStream::from(stdin.as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(stream)
}

/// Leaves signals that the whole group gets to the run, which says by the socket what they mean.
fn ignore_signals() -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1] {
        // Not "ignored", which programs started from here would inherit.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// All that a worker has.
struct Worker {
    resolver: Resolver,
    launch: Launch,
    accepted: Vec<(String, String)>,
    outbox: Arc<Outbox>,
    questions: Arc<Questions>,
    groups: Mutex<HashMap<u32, Result<Arc<Config>, WireError>>>,
    sessions: Mutex<HashMap<u64, Arc<Opened>>>,
    commands: Mutex<HashMap<u64, Arc<Followed>>>,
}

/// A session, from when it is to be opened on.
struct Opened {
    /// Ends what opens it.
    scope: Scope,
    session: Mutex<Option<Arc<Session>>>,
}

type From<'a> = BufReader<&'a UnixStream>;

impl Worker {
    /// Takes in what comes before the first host.
    fn brief(from: &mut From<'_>, outbox: Arc<Outbox>) -> Result<Self> {
        let (mut password, mut sudo_password, mut told) = (None, None, Told::default());
        loop {
            let order = super::frame::read(from, ORDERS).context("no run at standard input")?;
            let (order, payload) = order.context("the run went away")?;
            match order {
                Order::Password => password = Some(Secret::from(payload)),
                Order::SudoPassword => sudo_password = Some(Secret::from(payload)),
                Order::Passphrase { key } => {
                    let key = PathBuf::from(std::ffi::OsString::from_vec(key));
                    told.0.insert(key, Secret::from(payload));
                }
                Order::Begin(plan) if plan.is_ours() => {
                    return Self::new(&plan, (password, sudo_password, told), outbox);
                }
                _ => bail!("another version of sshoal is at standard input"),
            }
        }
    }

    fn new(
        plan: &Plan,
        (password, sudo_password, told): (Option<Secret>, Option<Secret>, Told),
        outbox: Arc<Outbox>,
    ) -> Result<Self> {
        // The run has said them.
        let mut resolver = access::builder(&plan.access(), &mut Vec::new())?;
        resolver = resolver.passphrases(Arc::new(told));
        if let Some(password) = password {
            resolver = resolver.password(password);
        }
        let questions = Arc::new(Questions {
            outbox: Arc::clone(&outbox),
            waiting: Mutex::default(),
        });
        if plan.answers {
            resolver = resolver.answers(Arc::clone(&questions) as Arc<dyn Answers>);
        }
        Ok(Self {
            resolver: resolver.build(),
            launch: plan.launch(sudo_password),
            accepted: plan.accepted.clone(),
            outbox,
            questions,
            groups: Mutex::default(),
            sessions: Mutex::default(),
            commands: Mutex::default(),
        })
    }

    /// Does what it is told until the run is gone.
    fn serve(&self, from: &mut From<'_>) {
        // A stream that fails is as good as one that ends.
        while let Ok(Some((order, payload))) = super::frame::read(from, ORDERS) {
            self.obey(order, payload);
        }
    }

    fn obey(&self, order: Order, payload: Vec<u8>) {
        match order {
            Order::Group { group, host, own } => self.resolve(group, &host, own),
            Order::Connect {
                session,
                group,
                host,
                within,
            } => self.connect(session, group, &host, within),
            Order::StopConnect { session } => {
                if let Some(opened) = find(&self.sessions, session) {
                    opened.scope.cancel();
                }
            }
            Order::GiveUp { session } => {
                let opened = lock(&self.sessions).remove(&session);
                if let Some(opened) = opened {
                    opened.scope.cancel();
                }
            }
            Order::Close { session } => self.close(session),
            Order::Start {
                session,
                command,
                has_input,
                within,
            } => {
                let asked = command::Start {
                    number: command,
                    bytes: payload,
                    has_input,
                    within,
                };
                self.start(session, asked);
            }
            Order::Forget { command } => {
                if let Some(followed) = lock(&self.commands).remove(&command) {
                    followed.forget();
                }
            }
            Order::Answer { question, lengths } => {
                self.questions.answered(question, lengths, &payload);
            }
            order => self.obey_of_command(order, payload),
        }
    }

    /// Does what is to be done with a command that was started.
    fn obey_of_command(&self, order: Order, payload: Vec<u8>) {
        let (Order::StopStart { command }
        | Order::Grant { command, .. }
        | Order::Input { command }
        | Order::InputEnd { command }
        | Order::Signal { command, .. }
        | Order::End { command, .. }) = order
        else {
            return;
        };
        if let Some(followed) = find(&self.commands, command) {
            followed.obey(order, payload);
        }
    }

    /// Finds out how the hosts of a group are got into.
    fn resolve(&self, group: u32, host: &WireHost, own: Vec<WireOption>) {
        let phase = Phase::Local;
        let broken = |text: &str| failure::local(phase, io::Error::other(text.to_owned()));
        let own = own
            .into_iter()
            .map(|own| HostOption::new(own.text, Origin::CommandLine));
        let own: Vec<HostOption> = own.collect();
        let config = match host.host() {
            None => Err(broken("a host that is none")),
            Some(host) => {
                let config = self.resolver.config_with(&host, &own);
                config.map_err(|error| broken(&wording::chain(&error)))
            }
        };
        if let Ok(config) = &config {
            self.accept(config);
        }
        lock(&self.groups).insert(group, config);
    }

    /// Takes the keys that the user accepted before the run.
    fn accept(&self, config: &Arc<Config>) {
        let mut config = Some(config);
        while let Some(own) = config {
            let keys = own.host_keys();
            if keys.policy() == HostKeyPolicy::Ask {
                for (name, key) in &self.accepted {
                    keys.accept_told(name, key);
                }
            }
            config = own.jump_host().map(|jump| jump.config());
        }
    }

    fn connect(&self, number: u64, group: u32, host: &WireHost, within: Option<Duration>) {
        let config = lock(&self.groups).get(&group).cloned();
        let refuse = |error| {
            self.outbox.push(
                &Report::NotConnected {
                    session: number,
                    error,
                    timings: WireTimings::of(&Timings::default()),
                },
                b"",
            );
        };
        let (config, host) = match (config, host.host()) {
            (Some(Ok(config)), Some(host)) => (config, host),
            (Some(Err(error)), _) => return refuse(error),
            _ => {
                let error = io::Error::other("a host of no group");
                return refuse(failure::local(Phase::Local, error));
            }
        };
        let opened = Arc::new(Opened {
            scope: Scope::root().child(within),
            session: Mutex::default(),
        });
        lock(&self.sessions).insert(number, Arc::clone(&opened));
        let outbox = Arc::clone(&self.outbox);
        let open = move || open(number, &opened, (&host, &config), &outbox);
        if let Err(error) = sshoal::spawn(open) {
            lock(&self.sessions).remove(&number);
            refuse(failure::local(Phase::Local, error));
        }
    }

    fn close(&self, number: u64) {
        let opened = lock(&self.sessions).remove(&number);
        let session = opened.and_then(|opened| lock(&opened.session).take());
        let outbox = Arc::clone(&self.outbox);
        let close = move || {
            if let Some(session) = session {
                let _ = session.close();
            }
            outbox.push(&Report::Closed { session: number }, b"");
        };
        // Without a thread it is given up, and the run waits no longer than it does for any.
        let _ = sshoal::spawn(close);
    }

    fn start(&self, session: u64, start: command::Start) {
        let opened = find(&self.sessions, session);
        let session = opened.and_then(|opened| lock(&opened.session).clone());
        let number = start.number;
        let outbox = Arc::clone(&self.outbox);
        let followed = Followed::begin(start, session, self.launch.clone(), outbox);
        if let Some(followed) = followed {
            lock(&self.commands).insert(number, followed);
        }
    }

    /// Ends all commands on their hosts, as far as there is time.
    fn end_all(&self) {
        let commands: Vec<Arc<Followed>> = {
            let mut commands = lock(&self.commands);
            commands.drain().map(|(_, followed)| followed).collect()
        };
        let until = Instant::now() + END_WITHIN;
        let ended: Vec<_> = commands
            .iter()
            .map(|command| command.end_for(END_WITHIN))
            .collect();
        for ended in ended.into_iter().flatten() {
            let left = until.saturating_duration_since(Instant::now());
            let _ = ended.wait(&Scope::root().child(Some(left)));
        }
    }
}

/// Opens a session. Parks.
fn open(number: u64, opened: &Opened, (host, config): (&Host, &Config), outbox: &Outbox) {
    let mut timings = Timings::default();
    let mut reached = |phase: Phase| {
        let phase = phase.into();
        let session = number;
        outbox.push(&Report::Reached { session, phase }, b"");
    };
    let scope = &opened.scope;
    let session = Session::connect_watched(host, config, scope, &mut timings, &mut reached);
    let timings = WireTimings::of(&timings);
    let report = match session {
        Ok(session) => {
            *lock(&opened.session) = Some(Arc::new(session));
            Report::Connected {
                session: number,
                timings,
            }
        }
        Err(error) => Report::NotConnected {
            session: number,
            error: WireError::of(&error),
            timings,
        },
    };
    outbox.push(&report, b"");
}

/// The user, whom the run asks.
struct Questions {
    outbox: Arc<Outbox>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    asked: u64,
    answers: HashMap<u64, Sender<Option<Vec<Secret>>>>,
}

impl Questions {
    fn answered(&self, question: u64, lengths: Option<Vec<usize>>, all: &[u8]) {
        let Some(asked) = lock(&self.waiting).answers.remove(&question) else {
            return;
        };
        let mut rest = all;
        let answers = lengths.map(|lengths| {
            let answer = |length: usize| {
                let (answer, others) = rest.split_at(length.min(rest.len()));
                rest = others;
                Secret::from(answer.to_vec())
            };
            lengths.into_iter().map(answer).collect()
        });
        let _ = asked.send(answers);
    }

    fn ask(&self, host: &Host, challenge: &Challenge) -> Receiver<Option<Vec<Secret>>> {
        let (answer, answered) = channel();
        let question = {
            let mut waiting = lock(&self.waiting);
            waiting.asked += 1;
            let question = waiting.asked;
            waiting.answers.insert(question, answer);
            question
        };
        let prompts = challenge.prompts().iter();
        let asked = Report::Asked {
            question,
            host: WireHost::of(host),
            name: challenge.name().to_owned(),
            instruction: challenge.instruction().to_owned(),
            prompts: prompts
                .map(|p| (p.text().to_owned(), p.is_echoed()))
                .collect(),
        };
        self.outbox.push(&asked, b"");
        answered
    }
}

impl Answers for Questions {
    fn answer(&self, host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
        // On a thread that may block, for as long as somebody thinks.
        self.ask(host, challenge).recv().ok()?
    }
}

fn find<T>(among: &Mutex<HashMap<u64, Arc<T>>>, number: u64) -> Option<Arc<T>> {
    lock(among).get(&number).cloned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the commands of a run that is gone may take to be ended: nobody waits for it.
const END_WITHIN: Duration = Duration::from_secs(4);
/// Bytes read at once.
const READ_AHEAD: usize = 64 << 10;
