//! One worker process, as the run sees it.
//!
//! Two threads belong to it: one writes what it is told, the other reads what it says and, when it
//! is gone, has it replaced and lets those know who wait for it.

use std::collections::HashSet;
use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use sshoal::sync::Event;

use super::inbox::{Breach, Inbox};
use super::outbox::Outbox;
use super::wire::{Order, REPORTS, Report};
use super::{Group, Set, questions};

/// A worker process.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Inbox,
    /// Groups that it was told of.
    told: Mutex<HashSet<u32>>,
    /// Sessions that it has, or opens.
    pub(super) live: AtomicUsize,
    /// Set once it is gone, and replaced if it is to be.
    pub(super) gone: Event,
    /// Whether it has said anything.
    was_ready: AtomicBool,
    stream: UnixStream,
    /// Questions of its hosts that wait for somebody.
    pub(super) questions: AtomicUsize,
}

impl Link {
    /// Starts a worker of a set and tells it what it has to know. Blocks.
    ///
    /// # Errors
    /// The system refused a socket, a process or a thread.
    pub(super) fn start(set: &Arc<Set>) -> io::Result<Arc<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(program()?)
            .arg0("sshoal")
            .arg(super::WORKER)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let link = Arc::new(Self {
            outbox: Arc::default(),
            inbox: Inbox::default(),
            told: Mutex::default(),
            live: AtomicUsize::new(0),
            gone: Event::new(),
            was_ready: AtomicBool::new(false),
            stream: ours,
            questions: AtomicUsize::new(0),
        });
        set.brief.tell(&link.outbox);
        let threads = Self::attend(&link, child.id(), set);
        match threads {
            Ok(give) => {
                // It waits for the child, and for nothing else, before it reads.
                let _ = give.send(child);
                Ok(link)
            }
            Err(error) => {
                link.outbox.close();
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn attend(
        link: &Arc<Self>,
        id: u32,
        set: &Arc<Set>,
    ) -> io::Result<std::sync::mpsc::Sender<Child>> {
        let (outbox, stream) = (Arc::clone(&link.outbox), link.stream.try_clone()?);
        let writer = thread::Builder::new().name(format!("to-{id}"));
        writer.spawn(move || outbox.write_to(&stream))?;
        let (give, child) = std::sync::mpsc::channel::<Child>();
        let (link, set) = (Arc::clone(link), Arc::downgrade(set));
        let reader = thread::Builder::new().name(format!("from-{id}"));
        reader.spawn(move || {
            if let Ok(child) = child.recv() {
                link.attend_to_end(child, &set);
            }
        })?;
        Ok(give)
    }

    /// Tells the worker of a group, unless it knows.
    pub(super) fn tell_group(&self, group: &Group) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(group.number) {
            // Under the lock: who finds it told may name it at once.
            self.outbox.push(&group.order(), b"");
        }
    }

    /// Tells the worker something.
    pub(super) fn tell(&self, order: &Order, payload: &[u8]) {
        self.outbox.push(order, payload);
    }

    /// Lets the worker end, once its hosts are done with it.
    pub(super) fn let_go(&self) {
        self.outbox.close();
    }

    /// Reads what the worker says until it is gone.
    fn attend_to_end(self: Arc<Self>, mut child: Child, set: &Weak<Set>) {
        let mut from = BufReader::with_capacity(READ_AHEAD, &self.stream);
        let broke = loop {
            match super::frame::read(&mut from, REPORTS) {
                Ok(Some((report, payload))) => {
                    if self.take(report, payload, set).is_err() {
                        break true;
                    }
                }
                Ok(None) => break false,
                // Cut off in the midst of a frame, it died there; any other error is a frame of
                // its making.
                Err(error) => break !is_gone(&error),
            }
        };
        self.outbox.close();
        let _ = self.stream.shutdown(Shutdown::Both);
        // What has closed its end, or broken a rule, has nothing more to do.
        let _ = child.kill();
        let status = child.wait();
        if let Some(set) = set.upgrade() {
            set.gone(&self);
            let left = self.inbox.end();
            if !set.is_over() {
                let how = match broke {
                    true => "a worker process said what none may, and was ended".to_owned(),
                    false => how(status),
                };
                set.say(format!("{how}; {left} host{} on it", s(left)));
            }
        } else {
            self.inbox.end();
        }
        self.gone.set();
    }

    fn take(
        self: &Arc<Self>,
        report: Report,
        payload: Vec<u8>,
        set: &Weak<Set>,
    ) -> Result<(), Breach> {
        match report {
            Report::Ready => match self.was_ready.swap(true, Ordering::Relaxed) {
                true => Err(Breach),
                false => Ok(()),
            },
            Report::Asked {
                question,
                host,
                name,
                instruction,
                prompts,
            } => {
                let host = host.host().ok_or(Breach)?;
                if !self.inbox.may_ask(&host)? {
                    questions::decline(self, question);
                    return Ok(());
                }
                let asked = questions::Asked {
                    number: question,
                    host,
                    name,
                    instruction,
                    prompts,
                };
                questions::ask(self, asked, set)
            }
            report => self.inbox.take(report, payload),
        }
    }

    /// Whether the worker came as far as to say that it has begun.
    pub(super) fn was_ready(&self) -> bool {
        self.was_ready.load(Ordering::Relaxed)
    }
}

/// Returns this program, also where its file was replaced meanwhile.
fn program() -> io::Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe(),
    }
}

/// Says how a worker ended.
fn how(status: io::Result<ExitStatus>) -> String {
    let signal = status.as_ref().ok().and_then(ExitStatus::signal);
    let code = status.as_ref().ok().and_then(ExitStatus::code);
    match (signal, code) {
        (Some(signal), _) => format!("a worker process died of signal {signal}"),
        (None, Some(code)) => format!("a worker process ended with exit code {code}"),
        (None, None) => "a worker process is gone".to_owned(),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Bytes read at once.
const READ_AHEAD: usize = 64 << 10;
