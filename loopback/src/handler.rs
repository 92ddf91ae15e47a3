//! One session's callbacks: who is let in, which channels open, and what commands get.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty, Sig};

use crate::command::{Command, Exit};
use crate::exec::{self, Held, Running, STDERR};
use crate::fault::Fault;
use crate::fleet::Shared;
use crate::wire::Cut;

/// The state of one session.
pub(crate) struct Conn {
    shared: Arc<Shared>,
    host: usize,
    fault: Option<Fault>,
    cut: Option<Arc<Cut>>,
    /// Open channels. Ones that the command closed are dropped when the next one opens, because
    /// russh does not report a close that it has sent itself.
    channels: HashMap<ChannelId, Slot>,
    /// Opens that the fault `stall-open` leaves unanswered.
    stalled: Vec<ChannelOpenHandle>,
}

struct Slot {
    /// Input that waits for the command; `None` if input is dropped as it comes.
    held: Option<Arc<Held>>,
    state: State,
}

enum State {
    /// Waits for its one request: to `Running`, `Stalled` or gone.
    Open(Channel<Msg>),
    /// A command runs: gone when it or the client ends it.
    Running(Running),
    /// The fault `stall-exec` holds it: gone with the client's close.
    Stalled,
}

impl Conn {
    pub(crate) fn new(
        shared: Arc<Shared>,
        host: usize,
        fault: Option<Fault>,
        cut: Option<Arc<Cut>>,
    ) -> Self {
        Self {
            shared,
            host,
            fault,
            cut,
            channels: HashMap::new(),
            stalled: Vec::new(),
        }
    }

    async fn decide(&self, accepted: bool) -> Auth {
        match self.fault {
            Some(Fault::StallAuth) => {
                // A session in a callback does not see its client go: the stall has to end.
                tokio::time::sleep(AUTH_STALL_MAX).await;
                Auth::reject()
            }
            Some(Fault::Deny) => Auth::reject(),
            _ if accepted => Auth::Accept,
            _ => Auth::reject(),
        }
    }

    /// Takes a channel that has had no request yet.
    fn take_open(&mut self, id: ChannelId) -> Option<(Channel<Msg>, Arc<Held>)> {
        match self.channels.remove(&id)? {
            Slot {
                held,
                state: State::Open(channel),
            } => Some((channel, held.unwrap_or_default())),
            used => {
                self.channels.insert(id, used);
                None
            }
        }
    }

    /// Accepts a request and applies this host's fault; returns whether the request goes on.
    fn accept(&mut self, id: ChannelId, s: &mut Session) -> Result<bool, Error> {
        self.shared.tally.execs.fetch_add(1, Relaxed);
        s.channel_success(id)?;
        match self.fault {
            Some(Fault::StallExec) => {
                self.channels.insert(
                    id,
                    Slot {
                        held: None,
                        state: State::Stalled,
                    },
                );
                Ok(false)
            }
            Some(Fault::NoStatus) => end(id, Exit::None, s).map(|()| false),
            Some(Fault::Reset) => {
                if let Some(cut) = &self.cut {
                    cut.arm(RESET_AFTER_BYTES);
                }
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// Ends a channel whose client sends more than its command takes.
    fn refuse_input(&mut self, id: ChannelId, s: &mut Session) -> Result<(), Error> {
        self.channels.remove(&id);
        s.extended_data(id, STDERR, &b"loopback: too much unread input\n"[..])?;
        end(id, Exit::Status(1), s)
    }
}

impl Handler for Conn {
    type Error = Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Error> {
        self.shared.tally.auth_none.fetch_add(1, Relaxed);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Error> {
        self.shared.tally.auth_password.fetch_add(1, Relaxed);
        let right = self.shared.password.as_deref() == Some(password);
        Ok(self.decide(right).await)
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        self.shared.tally.auth_offered.fetch_add(1, Relaxed);
        let known = offer.public_key.key_data() == self.shared.user_key.key_data();
        Ok(self.decide(known).await)
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Error> {
        self.shared.tally.auth_publickey.fetch_add(1, Relaxed);
        let known = key.public_key.key_data() == self.shared.user_key.key_data();
        Ok(self.decide(known).await)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        self.channels.retain(|_, slot| match &slot.state {
            State::Running(running) => !running.is_finished(),
            _ => true,
        });
        if self.channels.len() + self.stalled.len() >= CHANNELS_MAX {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        } else if self.fault == Some(Fault::StallOpen) {
            self.stalled.push(reply);
        } else {
            let held = Some(Arc::default());
            self.channels.insert(
                channel.id(),
                Slot {
                    held,
                    state: State::Open(channel),
                },
            );
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        s: &mut Session,
    ) -> Result<(), Error> {
        let Some((channel, held)) = self.take_open(id) else {
            return s.channel_failure(id);
        };
        if !self.accept(id, s)? {
            return Ok(());
        }
        let mut command = Command::parse(line, self.host);
        if self.fault == Some(Fault::Reset) {
            // Whatever was asked: enough output for the cut to fall into it.
            command = Command::Repeat {
                pattern: Cow::Borrowed(b"y\n"),
                bytes: RESET_AFTER_BYTES * 16,
            };
        }
        // An answer that fits one packet leaves in one flush with the acceptance and the close.
        match command {
            Command::Reply {
                stdout,
                stderr,
                exit,
            } if stdout.len() + stderr.len() <= channel.writable_packet_size().await => {
                self.shared
                    .tally
                    .output_bytes
                    .fetch_add(stdout.len() as u64, Relaxed);
                if !stdout.is_empty() {
                    s.data(id, stdout)?;
                }
                if !stderr.is_empty() {
                    s.extended_data(id, STDERR, stderr)?;
                }
                end(id, exit, s)
            }
            command => {
                let shared = Arc::clone(&self.shared);
                let counted = command.reads_input().then(|| Arc::clone(&held));
                let running = exec::start(command, channel, held, shared);
                let slot = Slot {
                    held: counted,
                    state: State::Running(running),
                };
                self.channels.insert(id, slot);
                Ok(())
            }
        }
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        s: &mut Session,
    ) -> Result<(), Error> {
        if name != "sftp" {
            return s.channel_failure(id);
        }
        let Some((channel, held)) = self.take_open(id) else {
            return s.channel_failure(id);
        };
        if self.accept(id, s)? {
            let shared = Arc::clone(&self.shared);
            let running = exec::start_sftp(channel, Arc::clone(&held), shared, self.host);
            let slot = Slot {
                held: Some(held),
                state: State::Running(running),
            };
            self.channels.insert(id, slot);
        }
        Ok(())
    }

    async fn shell_request(&mut self, id: ChannelId, s: &mut Session) -> Result<(), Error> {
        s.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        s: &mut Session,
    ) -> Result<(), Error> {
        s.channel_failure(id)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        s: &mut Session,
    ) -> Result<(), Error> {
        s.channel_failure(id)
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, s: &mut Session) -> Result<(), Error> {
        match self.channels.remove(&id) {
            Some(Slot {
                state: State::Running(_),
                ..
            }) => {
                s.exit_signal_request(id, signal, false, "", "")?;
                s.eof(id)?;
                s.close(id)
            }
            Some(other) => {
                self.channels.insert(id, other);
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], s: &mut Session) -> Result<(), Error> {
        let within = match self.channels.get(&id) {
            Some(Slot {
                held: Some(held), ..
            }) => held.add(data.len()),
            _ => true,
        };
        if within {
            Ok(())
        } else {
            self.refuse_input(id, s)
        }
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Error> {
        self.channels.remove(&id);
        Ok(())
    }
}

/// Ends a channel at once.
fn end(id: ChannelId, exit: Exit, s: &mut Session) -> Result<(), Error> {
    match exit {
        Exit::Status(status) => s.exit_status_request(id, status)?,
        Exit::Signal(name) => s.exit_signal_request(id, Sig::Custom(name), false, "", "")?,
        Exit::None => {}
    }
    s.eof(id)?;
    s.close(id)
}

/// The most channels of one session.
const CHANNELS_MAX: usize = 128;

/// How long the fault `stall-auth` keeps an authentication waiting.
const AUTH_STALL_MAX: Duration = Duration::from_secs(600);

/// Bytes on the wire between the acceptance of a command and the reset: more than one packet of
/// the usual size, so that the client has some output whole.
const RESET_AFTER_BYTES: u64 = 48 * 1024;
