//! One agent for a whole fleet: its list kept for a while, a few connections shared by all sessions.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{Scope, Stream};

use super::{AgentClient, AgentKey, inner_signature, signature_flags};

/// Connections to the agent at once; an agent signs one request at a time anyway.
const CONNECTIONS_MAX: usize = 4;

/// How long a list of keys is believed. A fleet's sessions then ask a few times a minute, not once
/// each, and a key that was added or removed meanwhile is soon known.
const LIST_AGE_MAX: Duration = Duration::from_secs(5);

/// An ssh-agent at a Unix socket, shared by all sessions of a fleet.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    /// What the agent holds, and when it said so.
    keys: Mutex<Option<Listed>>,
    /// Held by who asks for the list, so that a fleet that starts at once asks once.
    listing: Semaphore,
    idle: Mutex<Vec<AgentClient<AgentStream>>>,
    turn: Semaphore,
}

#[derive(Debug)]
struct Listed {
    at: Instant,
    keys: Arc<[AgentKey]>,
}

impl Agent {
    /// Names an agent by its socket (`IdentityAgent`, `SSH_AUTH_SOCK`); it is asked when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            keys: Mutex::new(None),
            listing: Semaphore::new(1),
            idle: Mutex::default(),
            turn: Semaphore::new(CONNECTIONS_MAX),
        }
    }

    /// Returns the agent's socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the keys that the agent holds, as it said at most five seconds ago. Parks.
    ///
    /// # Errors
    ///
    /// The socket's errors, the agent's, or why the scope ended.
    pub fn identities(&self, scope: &Scope) -> io::Result<Arc<[AgentKey]>> {
        if let Some(keys) = self.listed() {
            return Ok(keys);
        }
        let _turn = self.listing.acquire(scope)?;
        if let Some(keys) = self.listed() {
            return Ok(keys);
        }
        let keys: Arc<[AgentKey]> = self.exchange(scope, AgentClient::identities)?.into();
        *self.keys.lock() = Some(Listed {
            at: Instant::now(),
            keys: keys.clone(),
        });
        Ok(keys)
    }

    /// Returns the inner signature over `data` by the key of this blob (law S9). Parks.
    ///
    /// # Errors
    ///
    /// The socket's errors, the agent's refusal, or why the scope ended.
    pub fn sign(
        &self,
        blob: &[u8],
        algorithm: &str,
        data: &[u8],
        scope: &Scope,
    ) -> io::Result<Vec<u8>> {
        let flags = signature_flags(algorithm)?;
        let signature = self.exchange(scope, |client| client.sign(blob, data, flags))?;
        Ok(inner_signature(algorithm, &signature)?)
    }

    fn listed(&self) -> Option<Arc<[AgentKey]>> {
        let listed = self.keys.lock();
        let fresh = listed.as_ref().filter(|l| l.at.elapsed() < LIST_AGE_MAX);
        fresh.map(|listed| listed.keys.clone())
    }

    /// Asks over a connection that is free, or over another one. An agent that was started again
    /// since leaves connections that have ended behind, so what fails on a used one is asked once
    /// more on a fresh one.
    fn exchange<T>(
        &self,
        scope: &Scope,
        ask: impl Fn(&mut AgentClient<AgentStream>) -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn.acquire(scope)?;
        let idle = self.idle.lock().pop();
        if let Some(client) = idle {
            match self.ask(client, scope, &ask) {
                Err(error) if is_gone(&error) => self.idle.lock().clear(),
                answer => return answer,
            }
        }
        let stream = Stream::connect_unix(&self.path, scope)?;
        let client = AgentClient::new(AgentStream {
            stream,
            scope: None,
        });
        self.ask(client, scope, &ask)
    }

    fn ask<T>(
        &self,
        mut client: AgentClient<AgentStream>,
        scope: &Scope,
        ask: impl Fn(&mut AgentClient<AgentStream>) -> io::Result<T>,
    ) -> io::Result<T> {
        client.stream_mut().scope = Some(scope.clone());
        let answer = ask(&mut client);
        // A connection whose exchange ended in the middle is not used again.
        if client.is_in_step() {
            client.stream_mut().scope = None;
            self.idle.lock().push(client);
        }
        answer
    }
}

/// Whether an error says that the other end of the connection is gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
    )
}

/// The agent's socket, in the scope of the exchange that uses it.
#[derive(Debug)]
struct AgentStream {
    stream: Stream,
    scope: Option<Scope>,
}

impl AgentStream {
    fn scope(&self) -> Scope {
        self.scope.clone().unwrap_or_else(Scope::root)
    }
}

impl Read for AgentStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer, &self.scope())
    }
}

impl Write for AgentStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write_all(bytes, &self.scope())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
