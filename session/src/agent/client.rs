//! Requests to an agent and their replies, over a stream of the caller's.

use std::fmt;
use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::message::{self, AgentError, AgentKey};

/// A client of one agent, over a stream that is connected to its socket.
///
/// One exchange at a time: the protocol has no request numbers. After a failure that leaves part
/// of a reply unread, every later request fails with [`AgentError::OutOfStep`].
pub struct AgentClient<S> {
    stream: S,
    /// False while an exchange is under way, and so ever after one that failed in the middle.
    in_step: bool,
}

impl<S: Read + Write> AgentClient<S> {
    /// Wraps a stream that is connected to an agent's socket.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            in_step: true,
        }
    }

    /// Asks which keys the agent holds; a locked agent says that it has none.
    ///
    /// Parks where the stream parks.
    ///
    /// # Errors
    ///
    /// The stream's, and [`AgentError`] inside an [`io::Error`].
    pub fn identities(&mut self) -> io::Result<Vec<AgentKey>> {
        let reply = self.exchange(&message::request_identities())?;
        Ok(message::read_identities(&reply)?)
    }

    /// Asks for a signature over data by the key of this blob, and returns it whole.
    ///
    /// The flags come from [`signature_flags`](super::signature_flags); what libssh2 needs of
    /// the signature is taken out by [`inner_signature`](super::inner_signature). Parks where the
    /// stream parks; an agent that asks its user to confirm can take as long as it likes.
    ///
    /// # Errors
    ///
    /// The stream's, and [`AgentError`] inside an [`io::Error`].
    pub fn sign(&mut self, blob: &[u8], data: &[u8], flags: u32) -> io::Result<Vec<u8>> {
        let request = message::sign_request(blob, data, flags)?;
        let reply = self.exchange(&request)?;
        Ok(message::read_signature(&reply)?)
    }

    /// Returns the stream, to set how it waits.
    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns whether the stream can carry another exchange.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        if !self.in_step {
            return Err(AgentError::OutOfStep.into());
        }
        self.in_step = false;
        self.stream.write_all(request)?;
        self.stream.flush()?;
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        let mut reply = Zeroizing::new(vec![0; message::reply_bytes(head)?]);
        self.stream.read_exact(&mut reply)?;
        self.in_step = true;
        Ok(reply)
    }
}

impl<S> fmt::Debug for AgentClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentClient")
            .field("in_step", &self.in_step)
            .finish_non_exhaustive()
    }
}
