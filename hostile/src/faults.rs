//! Hosts that fail: refused, never accepted, and silent after whatever they were told to say.
//!
//! Plain sockets and threads, loopback only. Each value holds its port for as long as it lives.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with},
};

/// A port that refuses connections for as long as this value lives: bound, so that nobody else gets it, and no listener.
#[derive(Debug)]
pub struct Refused {
    _socket: OwnedFd,
    address: SocketAddr,
}

impl Refused {
    /// Takes a free port of `ip`.
    pub fn on(ip: impl Into<IpAddr>) -> Self {
        let (socket, address) = bound(ip.into());
        Self {
            _socket: socket,
            address,
        }
    }

    /// Where connections are refused.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A listener whose queue is full: a connect to it neither succeeds nor fails.
#[derive(Debug)]
pub struct FullBacklog {
    _socket: OwnedFd,
    _queued: Vec<TcpStream>,
    address: SocketAddr,
}

impl FullBacklog {
    /// Listens on a free port of `ip` and fills its queue.
    pub fn on(ip: impl Into<IpAddr>) -> Self {
        let (socket, address) = bound(ip.into());
        listen(&socket, 0).expect("listens");
        let mut queued = Vec::new();
        // The queue is full when a connect is not answered; one after the other, as a second half-open one could
        // still slip in.
        while let Ok(stream) = TcpStream::connect_timeout(&address, UNANSWERED) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue of {address} does not fill");
        }
        Self {
            _socket: socket,
            _queued: queued,
            address,
        }
    }

    /// Where connects hang.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Long enough that an unanswered connect on loopback means that nobody will answer.
const UNANSWERED: Duration = Duration::from_millis(150);

/// A server that accepts, says the same few bytes to everyone (none by default), then only listens.
///
/// It keeps what each client sent, so that a test can show what did not leave the client.
#[derive(Debug)]
pub struct Silent {
    address: SocketAddr,
    received: Received,
    /// Dropped to end the thread.
    stop: Option<io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// What each client sent, in the order of accept.
type Received = Arc<Mutex<Vec<Vec<u8>>>>;

impl Silent {
    /// Accepts on a free port of `ip` and never says a word.
    pub fn on(ip: impl Into<IpAddr>) -> Self {
        Self::after(ip, b"")
    }

    /// Says `bytes` to each client, then nothing more.
    pub fn after(ip: impl Into<IpAddr>, bytes: &[u8]) -> Self {
        let listener = TcpListener::bind((ip.into(), 0)).expect("binds a loopback address");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (wake, stop) = io::pipe().expect("makes a pipe");
        let received = Received::default();
        let thread = thread::spawn({
            let (received, bytes) = (Arc::clone(&received), bytes.to_vec());
            move || listen_to_all(&listener, &wake, &bytes, &received)
        });
        Self {
            address,
            received,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it accepts.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What each client sent so far, in the order of accept.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts and reads on one thread until the pipe closes.
fn listen_to_all(listener: &TcpListener, wake: &io::PipeReader, bytes: &[u8], received: &Received) {
    let mut clients: Vec<(usize, TcpStream)> = Vec::new();
    let mut buffer = [0; 0x4000];
    loop {
        let mut fds = vec![
            PollFd::new(wake, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        fds.extend(
            clients
                .iter()
                .map(|(_, c)| PollFd::from_borrowed_fd(c.as_fd(), PollFlags::IN)),
        );
        if poll(&mut fds, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
            return;
        }
        let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            return;
        }
        let mut ready_clients = ready[2..].iter();
        clients.retain_mut(|(index, client)| {
            if !ready_clients.next().is_some_and(|ready| *ready) {
                return true;
            }
            let count = client.read(&mut buffer).unwrap_or(0);
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            received[*index].extend_from_slice(&buffer[..count]);
            count > 0
        });
        if ready[1]
            && let Ok((mut client, _)) = listener.accept()
        {
            // The few bytes fit into the socket's buffer, so this does not wait for the client.
            let _ = client.write_all(bytes);
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            clients.push((received.len(), client));
            received.push(Vec::new());
        }
    }
}

/// A socket bound to a free port of `ip`.
fn bound(ip: IpAddr) -> (OwnedFd, SocketAddr) {
    let family = if ip.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .expect("makes a socket");
    bind(&socket, &SocketAddr::new(ip, 0)).expect("binds a loopback address");
    let address = getsockname(&socket).expect("a bound socket has an address");
    let address = SocketAddr::try_from(address).expect("the socket is an IP one");
    (socket, address)
}
