//! A TCP proxy that harms what passes: delay, small pieces, a slow rate, and at any byte or packet a flipped bit, bytes
//! too many or too few, a pause, or the end.
//!
//! What it does is a function of its script and seed; only the moments come from the clock. One thread per connection
//! waits in `poll` on both sockets.

mod connection;
mod editor;
mod framer;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::RangeInclusive,
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{event::PollFlags, net::sockopt};

use connection::{Connection, wait};
pub use framer::Part;

/// A running proxy; dropping it ends every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    /// Dropped to wake every thread: its other end then reports a hang-up.
    stop: Option<io::PipeWriter>,
    acceptor: Option<JoinHandle<()>>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests tell all of them apart")]
pub enum Direction {
    /// From the server to the client.
    ToClient,
    /// From the client to the server.
    ToServer,
}

/// What happens when the named number of bytes has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests tell all of them apart")]
pub enum Ending {
    /// Both connections are reset.
    Reset,
    /// Nothing passes any more, and nothing is closed.
    Stall,
    /// Both connections are closed in order: each side sees an EOF.
    Close,
}

/// A place in what one side sends: before the byte that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The byte with this number, counted from 0.
    Byte(u64),
    /// The first byte of the packet with this number, counted from 0, of those in the clear: 0 is the KEXINIT.
    Packet(u64),
    /// So many bytes behind NEWKEYS, from where on nobody but the two sides can read.
    Sealed(u64),
}

/// What happens at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Harm {
    /// One bit of the byte is flipped, counted from the lowest.
    Flip(u8),
    /// These bytes come in between.
    Insert(Vec<u8>),
    /// So many bytes are left out.
    Remove(usize),
    /// The last so many bytes, at most 64 KiB, come once more.
    Repeat(usize),
    /// Nothing passes for so long.
    Pause(Duration),
    /// From here on so many bytes pass at once, and so much time lies between.
    Slow(usize, Duration),
    /// The connection ends.
    End(Ending),
}

/// What the proxy does to each connection.
#[derive(Clone, Debug)]
#[must_use]
pub struct Script {
    upstream: SocketAddr,
    listen: SocketAddr,
    one_way: Duration,
    dribble: Option<RangeInclusive<u64>>,
    small_buffers: bool,
    harms: Vec<(Direction, Place, Harm)>,
    seed: u64,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    flipped: Mutex<Vec<Part>>,
    to_client: AtomicU64,
    to_server: AtomicU64,
    turns: AtomicUsize,
}

impl Proxy {
    /// A proxy before `upstream` that does nothing yet.
    pub fn to(upstream: SocketAddr) -> Script {
        Script {
            upstream,
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            one_way: Duration::ZERO,
            dribble: None,
            small_buffers: false,
            harms: Vec::new(),
            seed: 1,
        }
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it took.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes passed in one direction, over all connections.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        self.counts.of(direction).load(Ordering::Relaxed)
    }

    /// Which bytes had a bit flipped, over all connections, in the order in which they passed.
    #[must_use]
    pub fn flipped(&self) -> Vec<Part> {
        let flipped = self.counts.flipped.lock();
        flipped.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often a client has spoken after its server has, over all connections: each costs a round trip.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.counts.turns.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Script {
    /// The address to listen on (default 127.0.0.1); the port is a free one.
    pub fn listen_on(mut self, address: IpAddr) -> Self {
        self.listen = (address, 0).into();
        self
    }

    /// The address and port to listen on, which nobody may listen on.
    pub fn listen_at(mut self, socket: SocketAddr) -> Self {
        self.listen = socket;
        self
    }

    /// Delays each byte by half of `round_trip` in each direction (default none).
    ///
    /// The TCP connect itself is not delayed: the kernel answers it. The first byte of the server is.
    pub fn round_trip(mut self, round_trip: Duration) -> Self {
        self.one_way = round_trip / 2;
        self
    }

    /// Passes the bytes on in pieces of so many bytes, chosen by the seed.
    pub fn dribble(mut self, pieces: RangeInclusive<u64>) -> Self {
        self.dribble = Some(pieces);
        self
    }

    /// Gives the proxy's sockets the smallest buffers, so that the client's own writes come up short.
    pub fn small_buffers(mut self) -> Self {
        self.small_buffers = true;
        self
    }

    /// Ends each connection after exactly `bytes` in one direction.
    pub fn end_after(self, direction: Direction, bytes: u64, ending: Ending) -> Self {
        self.harm(direction, Place::Byte(bytes), Harm::End(ending))
    }

    /// Does harm to each connection at a place of one direction, each as often as it is said.
    pub fn harm(mut self, direction: Direction, place: Place, harm: Harm) -> Self {
        self.harms.push((direction, place, harm));
        self
    }

    /// The seed of the pieces (default 1).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts to listen.
    pub fn start(self) -> Proxy {
        let listener = TcpListener::bind(self.listen).expect("binds a loopback address");
        if self.small_buffers {
            // Set before accept, so that the first window is already the small one.
            sockopt::set_socket_recv_buffer_size(&listener, SMALL).expect("sets the buffer");
            sockopt::set_socket_send_buffer_size(&listener, SMALL).expect("sets the buffer");
        }
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (wake, stop) = io::pipe().expect("makes a pipe");
        let counts = Arc::new(Counts::default());
        let acceptor = thread::spawn({
            let counts = Arc::clone(&counts);
            move || accept(&self, &listener, &wake, &counts)
        });
        Proxy {
            address,
            counts,
            stop: Some(stop),
            acceptor: Some(acceptor),
        }
    }
}

impl Counts {
    const fn of(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::ToClient => &self.to_client,
            Direction::ToServer => &self.to_server,
        }
    }
}

/// Takes connections until the proxy is dropped, then waits for their threads.
fn accept(script: &Script, listener: &TcpListener, wake: &io::PipeReader, counts: &Counts) {
    thread::scope(|scope| {
        while wait([(listener.as_fd(), PollFlags::IN)], wake, None) {
            let Ok((client, _)) = listener.accept() else {
                continue;
            };
            let number = counts.accepted.fetch_add(1, Ordering::Relaxed) as u64;
            scope.spawn(move || {
                // Where nobody listens upstream the client sees a connection that closes.
                if let Ok(server) = TcpStream::connect(script.upstream) {
                    Connection::new(script, [client, server], number).pass(wake, counts);
                }
            });
        }
    });
}

/// The smallest socket buffers that the system gives.
const SMALL: usize = 1;
