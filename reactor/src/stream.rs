//! A non-blocking socket under the reactor: its readiness, and who waits for it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
    connect, recv, send, shutdown, socket_with, sockopt,
};

use crate::coroutine::{is_green, yield_now};
use crate::fairness;
use crate::scope::{Scope, Stop};
use crate::source::{Ready, Source};
use crate::tcp::TcpOptions;
use crate::waiter::{Interest, WaitList};

/// Called on each event of a [`Stream`], on the reactor's thread, before the waiters are woken.
///
/// It must be short and must not wait.
pub trait Hook: Send + Sync {
    /// Takes note of what the socket is ready for.
    fn ready(&self, readiness: Interest);
}

/// A connected, or connecting, non-blocking stream socket.
#[derive(Debug)]
pub struct Stream {
    source: Source,
    shared: Arc<Shared>,
}

struct Shared {
    readiness: Readiness,
    /// Whether a read that comes short has taken all there is: of TCP, where nothing else parts the
    /// bytes.
    plain: bool,
    waiters: WaitList,
    hook: OnceLock<Weak<dyn Hook>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("readiness", &self.readiness.load().interest())
            .finish_non_exhaustive()
    }
}

impl Ready for Shared {
    fn ready(&self, readiness: Interest) {
        self.readiness.add(readiness);
        if let Some(hook) = self.hook.get().and_then(Weak::upgrade) {
            hook.ready(readiness);
        }
        self.waiters.wake(readiness);
    }
}

impl Stream {
    /// Connects over TCP, with `TCP_NODELAY` (law S12). Parks the calling thread.
    ///
    /// # Errors
    ///
    /// The system's error; `TimedOut` where the scope's timeout ran out.
    pub fn connect(address: SocketAddr, scope: &Scope) -> io::Result<Self> {
        Self::connect_with(address, &TcpOptions::default(), scope)
    }

    /// As [`Stream::connect`], with options. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Stream::connect`]; also where the options name an address that is not this machine's.
    pub fn connect_with(
        address: SocketAddr,
        options: &TcpOptions,
        scope: &Scope,
    ) -> io::Result<Self> {
        let socket = options.socket(address)?;
        let begun = connect(&socket, &address);
        let stream = Self::connected(socket, true, begun, scope)?;
        options.set_connected(&stream.source)?;
        Ok(stream)
    }

    /// Connects to a Unix socket. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// The system's error; `WouldBlock` where the server's backlog is full.
    pub fn connect_unix(path: &Path, scope: &Scope) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let begun = connect(&socket, &SocketAddrUnix::new(path)?);
        Self::connected(socket, false, begun, scope)
    }

    fn connected(
        socket: OwnedFd,
        plain: bool,
        begun: Result<(), Errno>,
        scope: &Scope,
    ) -> io::Result<Self> {
        match begun {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = Self::register(socket, plain)?;
        stream.wait(Interest::WRITE, scope)?;
        sockopt::socket_error(&stream.source)??;
        Ok(stream)
    }

    /// Takes a non-blocking stream socket that is connected or connecting.
    ///
    /// # Errors
    ///
    /// The reactor could not register it.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Self::register(socket, false)
    }

    fn register(socket: OwnedFd, plain: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            readiness: Readiness::default(),
            plain,
            waiters: WaitList::default(),
            hook: OnceLock::new(),
        });
        let source = Source::register(socket, shared.clone())?;
        Ok(Self { source, shared })
    }

    /// Sets what is called on each event; the first one set stays.
    pub fn set_hook(&self, hook: Weak<dyn Hook>) {
        let _ = self.shared.hook.set(hook);
    }

    /// Returns the threads that wait for this socket, for waits of the caller's own making.
    pub fn waiters(&self) -> &WaitList {
        &self.shared.waiters
    }

    /// Returns the directions in which an attempt is worth making.
    pub fn readiness(&self) -> Interest {
        let seen = self.shared.readiness.load().interest();
        Interest::from_bits(seen.bits() & Interest::BOTH.bits())
    }

    fn attempt<T>(
        &self,
        direction: Interest,
        call: impl Fn() -> Result<T, Errno>,
    ) -> io::Result<T> {
        let before = self.shared.readiness.load();
        if !before.interest().meets(direction) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match call() {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.shared.readiness.clear(before, direction);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                other => return other.map_err(Into::into),
            }
        }
    }

    /// As [`Stream::attempt`], for a read into so much room, which may spare the next one.
    ///
    /// In edge mode the end of the stream may lie right behind the last bytes and be told by the
    /// same event. A read that comes short proves that another event will come only where the peer's
    /// end was not told so far: it comes later then, and with an event of its own (epoll(7)).
    fn attempt_read(
        &self,
        room: usize,
        call: impl Fn() -> Result<usize, Errno>,
    ) -> io::Result<usize> {
        let before = self.shared.readiness.load();
        let read = self.attempt(Interest::READ, call)?;
        let short = read > 0 && read < room;
        if short && self.shared.plain && !before.interest().meets(Interest::LAST) {
            self.shared.readiness.clear(before, Interest::READ);
        }
        Ok(read)
    }

    /// Reads what is there without waiting; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing is there, without a system call where that is known.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // The buffer goes in by a cell because an interrupted call is repeated.
        let room = buffer.len();
        let buffer = std::cell::RefCell::new(buffer);
        self.attempt_read(room, || {
            recv(&self.source, &mut **buffer.borrow_mut(), RecvFlags::empty()).map(|(n, _)| n)
        })
    }

    /// Reads what is there, up to the buffer's spare capacity, and appends it, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing is there, without a system call where that is known.
    pub fn try_read_to(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let buffer = std::cell::RefCell::new(buffer);
        self.attempt_read(room, || {
            let mut buffer = buffer.borrow_mut();
            recv(
                &self.source,
                spare_capacity(&mut buffer),
                RecvFlags::empty(),
            )
            .map(|(n, _)| n)
        })
    }

    /// Writes what there is room for without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is no room, without a system call where that is known.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(Interest::WRITE, || {
            send(&self.source, bytes, SendFlags::NOSIGNAL)
        })
    }

    /// Parks the calling thread until the socket is ready.
    ///
    /// # Errors
    ///
    /// Why the scope ended.
    pub fn wait(&self, interest: Interest, scope: &Scope) -> Result<(), Stop> {
        loop {
            let sequence = self.shared.waiters.sequence();
            if self.readiness().meets(interest) {
                return Ok(());
            }
            if let Some(ticket) = self.shared.waiters.register(sequence, interest) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Reads at least one byte; 0 at the end of the stream. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// The system's error, or why the scope ended.
    pub fn read(&self, buffer: &mut [u8], scope: &Scope) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Interest::READ, scope)?;
                }
                other => {
                    give_way();
                    return other;
                }
            }
        }
    }

    /// Writes all bytes. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// The system's error, or why the scope ended; some bytes may then be written.
    pub fn write_all(&self, mut bytes: &[u8], scope: &Scope) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    give_way();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Interest::WRITE, scope)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends our direction: the peer reads the end of the stream.
    ///
    /// # Errors
    ///
    /// The connection has ended before.
    pub fn finish(&self) -> io::Result<()> {
        Ok(shutdown(&self.source, Shutdown::Write)?)
    }

    /// Ends the connection in both directions and wakes all who wait for it.
    pub fn shutdown(&self) {
        // It fails only where the peer ended it before.
        let _ = shutdown(&self.source, Shutdown::Both);
        self.shared
            .readiness
            .add(Interest::BOTH.and(Interest::LAST));
        self.shared.waiters.wake(Interest::BOTH);
    }
}

/// Lets others run now and then, where a fast peer never makes the caller wait.
fn give_way() {
    if is_green() && fairness::called() {
        yield_now();
    }
}

/// The directions in which an attempt is worth making, whether the end was told, which stays, and
/// the count of events that said so.
///
/// An attempt never takes its direction away from others that try at the same time: only "would
/// block" clears it, and only if no event came since the attempt began.
#[derive(Debug, Default)]
struct Readiness(AtomicU64);

/// What [`Readiness`] was at some time: the directions and the end in the lowest bits, the count
/// above.
#[derive(Debug, Clone, Copy)]
struct Seen(u64);

/// What the count goes up by: it is above the three bits of an [`Interest`].
const ONE_EVENT: u64 = 8;

impl Seen {
    fn interest(self) -> Interest {
        Interest::from_bits((self.0 & (ONE_EVENT - 1)) as u8)
    }

    fn events(self) -> u64 {
        self.0 / ONE_EVENT
    }
}

impl Readiness {
    fn load(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Adds the directions of an event.
    fn add(&self, readiness: Interest) {
        let update = |now: u64| Some(now.wrapping_add(ONE_EVENT) | u64::from(readiness.bits()));
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    /// Clears a direction after an attempt that would block, unless an event came meanwhile.
    fn clear(&self, before: Seen, direction: Interest) {
        let update = |now: u64| {
            let same = Seen(now).events() == before.events();
            same.then_some(now & !u64::from(direction.bits()))
        };
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }
}
