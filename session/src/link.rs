//! What carries a session's bytes: a socket, or a tunnel through another session (law S2).

use std::io;
use std::sync::{Arc, Weak};

use sshoal_reactor::{Hook, Stream, WaitList};

use crate::proxy_command::Proxy;
use crate::session::Session;
use crate::tunnel::Ends;

/// A way for bytes to the host's SSH server and back, which never blocks.
#[derive(Debug)]
pub(crate) enum Link {
    Socket(Stream),
    /// The near end of a child process; it goes with the link.
    Command(Proxy),
    /// Lives as long as the session that carries it.
    Tunnel {
        ends: Arc<Ends>,
        _session: Arc<Session>,
    },
}

impl Link {
    /// As [`Stream::try_read`].
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_read(buffer),
            Self::Command(proxy) => proxy.stream().try_read(buffer),
            Self::Tunnel { ends, .. } => ends.try_read(buffer),
        }
    }

    /// As [`Stream::try_read_to`].
    pub(crate) fn try_read_to(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_read_to(buffer),
            Self::Command(proxy) => proxy.stream().try_read_to(buffer),
            Self::Tunnel { ends, .. } => ends.try_read_to(buffer),
        }
    }

    /// As [`Stream::try_write`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.try_write(bytes),
            Self::Command(proxy) => proxy.stream().try_write(bytes),
            Self::Tunnel { ends, .. } => ends.try_write(bytes),
        }
    }

    /// As [`Stream::set_hook`].
    pub(crate) fn set_hook(&self, hook: Weak<dyn Hook>) {
        match self {
            Self::Socket(stream) => stream.set_hook(hook),
            Self::Command(proxy) => proxy.stream().set_hook(hook),
            Self::Tunnel { ends, .. } => ends.set_hook(hook),
        }
    }

    /// As [`Stream::waiters`].
    pub(crate) fn waiters(&self) -> &WaitList {
        match self {
            Self::Socket(stream) => stream.waiters(),
            Self::Command(proxy) => proxy.stream().waiters(),
            Self::Tunnel { ends, .. } => ends.waiters(),
        }
    }

    /// Returns what a command on the way has said last on its standard error.
    pub(crate) fn said(&self) -> Option<String> {
        match self {
            Self::Command(proxy) => proxy.said(),
            Self::Socket(_) | Self::Tunnel { .. } => None,
        }
    }

    /// As [`Stream::shutdown`].
    pub(crate) fn shutdown(&self) {
        match self {
            Self::Socket(stream) => stream.shutdown(),
            Self::Command(proxy) => proxy.stream().shutdown(),
            Self::Tunnel { ends, .. } => ends.abort(),
        }
    }
}
