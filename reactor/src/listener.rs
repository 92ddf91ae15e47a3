//! A non-blocking listening socket under the reactor.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};

use crate::scope::Scope;
use crate::source::{Ready, Source};
use crate::stream::Stream;
use crate::waiter::{Interest, WaitList};

/// A socket that connections come to.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    waiters: Arc<Waiters>,
    address: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Waiters(WaitList);

impl Ready for Waiters {
    fn ready(&self, readiness: Interest) {
        self.0.wake(readiness);
    }
}

impl Listener {
    /// Listens on a TCP address; port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Self::new(socket.into(), Some(address))
    }

    /// Listens on a Unix socket, whose path must not exist.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn bind_unix(path: &Path) -> io::Result<Self> {
        let socket = UnixListener::bind(path)?;
        socket.set_nonblocking(true)?;
        Self::new(socket.into(), None)
    }

    fn new(socket: OwnedFd, address: Option<SocketAddr>) -> io::Result<Self> {
        let waiters = Arc::new(Waiters::default());
        Ok(Self {
            source: Source::register(socket, waiters.clone())?,
            waiters,
            address,
        })
    }

    /// Returns the TCP address that is listened on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Takes the next connection. Parks.
    ///
    /// # Errors
    ///
    /// The system's error, or why the scope ended. One connection's failure is passed over.
    pub fn accept(&self, scope: &Scope) -> io::Result<Stream> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let sequence = self.waiters.0.sequence();
            match accept_with(&self.source, flags) {
                Ok(socket) => {
                    if self.address.is_some() {
                        sockopt::set_tcp_nodelay(&socket, true)?;
                    }
                    return Stream::from_socket(socket);
                }
                Err(Errno::AGAIN) => {
                    if let Some(ticket) = self.waiters.0.register(sequence, Interest::READ) {
                        ticket.wait(scope)?;
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
