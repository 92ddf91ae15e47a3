//! Jump hosts (`ssh -J`): a small set of sessions to one host, shared by all the hosts behind it
//! (law S2).
//!
//! The principal type is [`Jump`]. A session opens one tunnel at a time, because libssh2 awaits one
//! answer at a time; a host that does not answer thus keeps a session from opening others, and
//! while all of them are kept so, further sessions are made.

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope, Stop, WaitList, spawn};

use crate::config::Config;
use crate::engine::stopped;
use crate::error::{Error, Kind, Phase};
use crate::ffi::Library;
use crate::host::Host;
use crate::session::Session;
use crate::timings::Timings;
use crate::tunnel::{Destination, Ends};

/// Sessions to a jump host, unless set otherwise.
const SESSIONS: NonZeroUsize = NonZeroUsize::new(4).expect("is not 0");
/// Sessions beyond those, while opens on all others go unanswered.
const SPARE_SESSIONS_MAX: usize = 28;
/// An open that takes longer is stuck, if the jump host has sent something meanwhile that it did
/// not have to wait for; more where answers take long.
const PATIENCE: Duration = Duration::from_millis(200);
/// Sessions that may go away under an open; a jump host that ends each is not tried for ever.
const LOST_MAX: u32 = 3;
/// How often those that wait look whether opens are stuck.
const LOOK: Duration = Duration::from_millis(100);
/// How long a jump host that could not be reached is taken for unreachable.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// A jump host: how it is reached, and its sessions, which all hosts behind it share.
///
/// Its host key is checked and its user authenticated as any host's, by its own [`Config`], which
/// may have a jump host in turn. Sessions are made when they are needed and end with the last
/// `Arc` of this.
#[derive(Debug)]
pub struct Jump {
    host: Host,
    config: Arc<Config>,
    sessions_max: NonZeroUsize,
    state: Mutex<State>,
    /// Woken one by one when a session can open again, and all when there is none to wait for.
    waiters: WaitList,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// Sessions on their way.
    connecting: usize,
    failure: Option<Failure>,
    /// How long they take, smoothed.
    usual: Duration,
    next_number: u64,
}

/// One session to the jump host.
#[derive(Debug)]
struct Line {
    number: u64,
    session: Arc<Session>,
    opening: Option<Opening>,
}

/// An open that is unanswered.
#[derive(Debug, Clone, Copy)]
struct Opening {
    since: Instant,
    /// When the jump host was asked for a sign of life meanwhile.
    asked_at: Option<Instant>,
}

/// Why no session could be made.
#[derive(Debug, Clone)]
struct Failure {
    at: Instant,
    error: Arc<Error>,
}

impl Failure {
    /// A refusal is final: a wrong password is tried once, not once per host behind.
    fn holds(&self) -> bool {
        let refused = matches!(self.error.phase(), Phase::HostKey | Phase::Auth);
        let passing = matches!(
            self.error.kind(),
            Kind::Timeout | Kind::Reset | Kind::Closed | Kind::Io
        );
        (refused && !passing) || self.at.elapsed() < FAILURE_KEPT
    }
}

impl Jump {
    /// Names a jump host and how it is reached.
    pub fn new(host: Host, config: Arc<Config>) -> Self {
        Self {
            host,
            config,
            sessions_max: SESSIONS,
            state: Mutex::default(),
            waiters: WaitList::default(),
        }
    }

    /// Sets how many sessions share the hosts behind it; default 4. While opens on all of them go
    /// unanswered for 0.2 s, up to 28 more are made, so that dead hosts do not keep others waiting.
    #[must_use]
    pub fn sessions_max(mut self, sessions: NonZeroUsize) -> Self {
        self.sessions_max = sessions;
        self
    }

    /// Returns the jump host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns how the jump host is reached.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Has the jump host connect to a host behind it; the tunnel lives as long as the session that
    /// is returned with it. Parks.
    pub(crate) fn open(
        self: &Arc<Self>,
        destination: &Destination,
        scope: &Scope,
    ) -> Result<(Arc<Ends>, Arc<Session>), Error> {
        let mut lost = 0;
        loop {
            let (number, session) = self.line(scope)?;
            let begun = Instant::now();
            let settled = Settled {
                jump: Arc::downgrade(self),
                number,
                begun,
            };
            // Dropped at once where the host has answered, or by who waits for its answer.
            let opened = session.open_tunnel(destination, scope, settled);
            return match opened {
                Ok(ends) => Ok((ends, session)),
                Err(Error::TimedOut { limit, .. }) => Err(Error::TimedOut {
                    phase: Phase::Connect,
                    limit,
                }),
                Err(Error::Cancelled { .. }) => Err(Error::Cancelled {
                    phase: Phase::Connect,
                }),
                Err(Error::Channel { source, .. }) => Err(Error::Tunnel {
                    jump: self.host.to_string(),
                    source,
                }),
                // The session went away under it, which says nothing of the host behind.
                Err(_) if !session.is_open() && lost < LOST_MAX => {
                    lost += 1;
                    scope
                        .check()
                        .map_err(|stop| stopped(stop, Phase::Connect, scope))?;
                    continue;
                }
                Err(error) => Err(self.failed(Arc::new(error))),
            };
        }
    }

    fn failed(&self, source: Arc<Error>) -> Error {
        Error::Jump {
            jump: self.host.to_string(),
            source,
        }
    }

    /// Waits for a session that can open a tunnel, and takes it. Parks.
    fn line(self: &Arc<Self>, scope: &Scope) -> Result<(u64, Arc<Session>), Error> {
        loop {
            let sequence = self.waiters.sequence();
            // What a wake-up gave us and we cannot use is for the next one.
            let over = scope.check();
            let mut state = self.state.lock();
            state.lines.retain(|line| line.session.is_alive());
            if let Err(stop) = over {
                let unreached = state.lines.is_empty() && stop == Stop::TimedOut;
                drop(state);
                self.waiters.wake_one();
                let error = stopped(stop, Phase::Connect, scope);
                return Err(match unreached {
                    true => self.failed(Arc::new(error)),
                    false => error,
                });
            }
            let opening = Opening {
                since: Instant::now(),
                asked_at: None,
            };
            if let Some(line) = state.free_line() {
                line.opening = Some(opening);
                return Ok((line.number, line.session.clone()));
            }
            if let Some(failure) = &state.failure
                && failure.holds()
                && state.lines.is_empty()
                && state.connecting == 0
            {
                return Err(self.failed(failure.error.clone()));
            }
            if self.may_connect(&mut state) {
                state.connecting += 1;
                let jump = self.clone();
                if let Err(source) = spawn(move || jump.connect()) {
                    state.connecting -= 1;
                    return Err(Error::Local {
                        phase: Phase::Connect,
                        source,
                    });
                }
            }
            drop(state);
            if let Some(ticket) = self.waiters.register(sequence, Interest::READ) {
                // Its end is no failure: it is time to see whether the opens are stuck.
                let _ = ticket.wait(&scope.child(Some(LOOK)));
            }
        }
    }

    /// Whether one more session should be made.
    fn may_connect(&self, state: &mut State) -> bool {
        // A host that let one session in may refuse the next, for good or for a while: those that
        // are there have to do, and it is not asked again for each host behind it.
        if state.failure.as_ref().is_some_and(Failure::holds) {
            return false;
        }
        let lines = state.lines.len();
        if state.connecting > 0 && (lines == 0 || state.connecting >= SESSIONS.get()) {
            // The first one shows whether the host lets us in at all.
            return false;
        }
        if lines + state.connecting < self.sessions_max.get() {
            return true;
        }
        let stuck = state.stuck(Instant::now());
        lines + state.connecting - stuck < self.sessions_max.get() && stuck < SPARE_SESSIONS_MAX
    }

    /// Makes a session, for whoever waits.
    fn connect(self: &Arc<Self>) {
        let scope = Scope::root().child(self.config.connect_timeout());
        let made = Session::connect_in(&self.host, &self.config, &scope, &mut Timings::default());
        let mut state = self.state.lock();
        state.connecting -= 1;
        match made {
            Ok(session) => {
                let number = state.next_number;
                state.next_number += 1;
                state.failure = None;
                state.lines.push(Line {
                    number,
                    session: Arc::new(session),
                    opening: None,
                });
            }
            Err(error) => {
                tracing::debug!(jump = %self.host, %error, "no session to the jump host");
                state.failure = Some(Failure {
                    at: Instant::now(),
                    error: Arc::new(error),
                });
            }
        }
        drop(state);
        // More than one may be made now that the first is there, and all may have failed.
        self.waiters.wake(Interest::BOTH);
    }

    /// Takes note that an open was answered.
    fn settle(&self, number: u64, begun: Instant) {
        {
            let mut state = self.state.lock();
            let now = Instant::now();
            // One that was stuck says nothing of how long answers take.
            let took = (now - begun).min(PATIENCE);
            state.usual = (state.usual * 7 + took) / 8;
            let line = state.lines.iter_mut().find(|line| line.number == number);
            if let Some(line) = line {
                line.opening = None;
            }
        }
        self.waiters.wake_one();
    }
}

impl State {
    /// Returns how many sessions have an open that will not be answered soon.
    ///
    /// A machine that is short of time, here or there, makes opens slow as well, and more sessions
    /// would make it slower: the jump host has to have sent something well after the open, on the
    /// same session, which its other tunnels make it do, or a question of ours.
    fn stuck(&mut self, now: Instant) -> usize {
        let patience = PATIENCE.max(3 * self.usual);
        let mut stuck = 0;
        for line in &mut self.lines {
            let Some(opening) = &mut line.opening else {
                continue;
            };
            if now.saturating_duration_since(opening.since) < patience {
                continue;
            }
            let engine = line.session.engine();
            let since = opening.asked_at.unwrap_or(opening.since + patience / 2);
            if engine.wire().heard() > since {
                stuck += 1;
            } else if opening.asked_at.is_none() {
                opening.asked_at = Some(now);
                // One that fails has lost its session, which is noticed as such.
                let _ = engine.with(Library::keepalive);
            }
        }
        stuck
    }

    /// Returns the session that can open and has the fewest tunnels.
    fn free_line(&mut self) -> Option<&mut Line> {
        self.lines
            .iter_mut()
            .filter(|line| line.opening.is_none())
            .min_by_key(|line| line.session.tunnels())
    }
}

/// Dropped when an open was answered, or its session has ended.
struct Settled {
    jump: Weak<Jump>,
    number: u64,
    begun: Instant,
}

impl Drop for Settled {
    fn drop(&mut self) {
        if let Some(jump) = self.jump.upgrade() {
            jump.settle(self.number, self.begun);
        }
    }
}
