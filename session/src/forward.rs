//! Port forwarding: `ssh -L` and `ssh -R`.
//!
//! Bytes are passed on as they come, each direction by a green thread of its own and ended apart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{JoinHandle, Listener, Scope, Stream, spawn};

use crate::address;
use crate::session::{Opener, Session};
use crate::tunnel::{Destination, RemoteListener, Tunnel};

/// Connections passed on at once by one forwarding; more wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;
/// Bytes passed on at once.
const PASS_BYTES: usize = 16 * 1024;

/// How long the next connection is waited for after one that this machine had no room for.
const ROOM_PAUSE: Duration = Duration::from_millis(500);

/// Takes connections that come to `listener`, on this machine, and has the session's host connect
/// each to `destination` (`ssh -L`). Parks, until the scope or the session ends.
///
/// A connection that the host cannot make is closed, and the next one taken. The end of the session
/// is noticed with the next connection; [`Session::wait_for_end`] notices it at once.
///
/// # Errors
///
/// Why the scope ended, or the listener's failure. The end of the session is `ConnectionAborted`.
pub fn forward_local(
    session: &Session,
    listener: &Listener,
    destination: &Destination,
    scope: &Scope,
) -> io::Result<()> {
    take_local(&session.opener()?, listener, destination, scope)
}

/// As [`forward_local`], on a green thread of its own, which does not keep the session open and
/// ends with the scope.
///
/// # Errors
///
/// There is no memory for a green thread.
pub fn spawn_forward_local(
    session: &Session,
    listener: Listener,
    destination: Destination,
    scope: &Scope,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let (opener, scope) = (session.opener()?, scope.clone());
    spawn(move || take_local(&opener, &listener, &destination, &scope))
}

fn take_local(
    opener: &Opener,
    listener: &Listener,
    destination: &Destination,
    scope: &Scope,
) -> io::Result<()> {
    let room = Semaphore::new(CONNECTIONS_MAX);
    loop {
        let permit = room.acquire(scope)?;
        let near = match listener.accept(scope) {
            Ok(near) => near,
            Err(error) if is_want_of_room(&error) => {
                // It waits in the listener's queue until something else has ended.
                tracing::warn!(host = %opener.host(), %error, "cannot take a connection");
                scope.child(Some(ROOM_PAUSE)).ended();
                scope.check()?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if !opener.is_open() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let (opener, destination) = (opener.clone(), destination.clone());
        let within = scope.child(None);
        spawn(move || {
            match opener.open(&destination, &within) {
                Ok(far) => join(near, far, &within),
                Err(error) => tracing::warn!(host = %opener.host(), %error, "cannot forward"),
            }
            drop(permit);
        })?;
    }
}

/// Whether the machine has no descriptor or memory left, which others may give back.
fn is_want_of_room(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Takes connections that come to a port of the host's and connects each to `destination`, on this
/// machine (`ssh -R`). Parks, until the scope or the session ends.
///
/// # Errors
///
/// As [`forward_local`].
pub fn forward_remote(
    listener: &RemoteListener,
    destination: &LocalDestination,
    scope: &Scope,
) -> io::Result<()> {
    let room = Semaphore::new(CONNECTIONS_MAX);
    loop {
        let permit = room.acquire(scope)?;
        let far = listener.accept(scope)?;
        let (destination, within) = (destination.clone(), scope.child(None));
        spawn(move || {
            match destination.connect(&within) {
                Ok(near) => join(near, far, &within),
                Err(error) => tracing::warn!(%error, "cannot forward"),
            }
            drop(permit);
        })?;
    }
}

/// Where connections that come from a host are led to on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalDestination {
    /// A TCP address.
    Tcp(std::net::SocketAddr),
    /// A name or address, looked up for each connection, and a TCP port.
    Host(String, u16),
    /// A Unix socket.
    Unix(std::path::PathBuf),
}

impl LocalDestination {
    fn connect(&self, scope: &Scope) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => Stream::connect(*address, scope),
            Self::Host(name, port) => address::connect_plain(name, *port, scope),
            Self::Unix(path) => Stream::connect_unix(path, scope),
        }
    }
}

/// Passes bytes on between the two, until both directions have ended or one has failed. Parks.
pub(crate) fn join(near: Stream, far: Tunnel, scope: &Scope) {
    let both = Arc::new((near, far));
    let within = scope.child(None);
    let (up, scope_up) = (both.clone(), within.clone());
    let up = spawn(move || {
        let (near, far) = &*up;
        let passed = pass(
            |buffer| near.read(buffer, &scope_up),
            |bytes| far.write_all(bytes, &scope_up),
        );
        match passed {
            Ok(()) => far.finish(),
            Err(_) => scope_up.cancel(),
        }
    });
    let Ok(up) = up else {
        return;
    };
    let (near, far) = &*both;
    let passed = pass(
        |buffer| far.read(buffer, &within),
        |bytes| near.write_all(bytes, &within),
    );
    match passed {
        // The peer may have gone already.
        Ok(()) => drop(near.finish()),
        Err(_) => within.cancel(),
    }
    // It cannot panic but by a defect, and then its connection just ends.
    let _ = up.join();
}

/// Passes bytes on until the end of the stream. Parks.
fn pass(
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PASS_BYTES];
    loop {
        match read(&mut buffer)? {
            0 => return Ok(()),
            bytes => write(&buffer[..bytes])?,
        }
    }
}
