//! One agent for a whole fleet: listed once, a few connections shared by all sessions.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{Scope, Stream};

use super::{AgentClient, AgentKey, inner_signature, signature_flags};

/// Connections to the agent at once; an agent signs one request at a time anyway.
const CONNECTIONS_MAX: usize = 4;

/// An ssh-agent at a Unix socket, shared by all sessions of a fleet.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    /// What the agent holds, asked for once.
    keys: Mutex<Option<Arc<[AgentKey]>>>,
    idle: Mutex<Vec<AgentClient<AgentStream>>>,
    turn: Semaphore,
}

impl Agent {
    /// Names an agent by its socket (`IdentityAgent`, `SSH_AUTH_SOCK`); it is asked when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            keys: Mutex::new(None),
            idle: Mutex::default(),
            turn: Semaphore::new(CONNECTIONS_MAX),
        }
    }

    /// Returns the agent's socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the keys that the agent holds; it is asked once. Parks.
    ///
    /// # Errors
    ///
    /// The socket's errors, the agent's, or why the scope ended.
    pub fn identities(&self, scope: &Scope) -> io::Result<Arc<[AgentKey]>> {
        if let Some(keys) = self.keys.lock().clone() {
            return Ok(keys);
        }
        let keys: Arc<[AgentKey]> = self.exchange(scope, AgentClient::identities)?.into();
        Ok(self.keys.lock().get_or_insert(keys).clone())
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

    fn exchange<T>(
        &self,
        scope: &Scope,
        ask: impl FnOnce(&mut AgentClient<AgentStream>) -> io::Result<T>,
    ) -> io::Result<T> {
        let _turn = self.turn.acquire(scope)?;
        let idle = self.idle.lock().pop();
        let mut client = match idle {
            Some(client) => client,
            None => AgentClient::new(AgentStream {
                stream: Stream::connect_unix(&self.path, scope)?,
                scope: None,
            }),
        };
        client.stream_mut().scope = Some(scope.clone());
        let answer = ask(&mut client)?;
        // Only a connection whose exchange ended well is used again.
        client.stream_mut().scope = None;
        self.idle.lock().push(client);
        Ok(answer)
    }
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
