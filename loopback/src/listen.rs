//! The sockets that connections come in by, and the loop that takes them.
//!
//! One socket on every address, bound to the device `lo`, answers for all of 127/8 with one
//! descriptor and cannot be reached from outside. Where that is not allowed, each host gets a
//! socket of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use crate::address::{address, index};
use crate::connection;
use crate::fleet::{Listeners, Shared};

/// Opens the sockets on `port` (0: any free one); all have the same port.
pub(crate) fn bind(hosts: usize, port: u16, listeners: Listeners) -> io::Result<Vec<TcpListener>> {
    if listeners == Listeners::Shared
        && let Ok(listener) = bind_shared(port)
    {
        return Ok(vec![listener]);
    }
    // A port that is free on the first address can be taken on another: try a few.
    let attempts = if port == 0 { 8 } else { 1 };
    let mut result = bind_each(hosts, port);
    for _ in 1..attempts {
        match &result {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => result = bind_each(hosts, port),
            _ => break,
        }
    }
    result
}

/// Takes connections from one listener for ever.
pub(crate) async fn accept_all(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
) {
    // The semaphore is never closed; an error would only say that the fleet has ended.
    while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let Some(host) = host_of(&tcp, peer, shared.hosts) else {
                    continue;
                };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    connection::serve(shared, tcp, host).await;
                    drop(permit);
                });
            }
            Err(_) => {
                shared.tally.errors.fetch_add(1, Relaxed);
                // Out of descriptors or memory: trying again at once would only spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Raises the soft limit of open descriptors to the hard one and returns it.
pub(crate) fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(DESCRIPTORS_MAX, |n| {
        usize::try_from(n).unwrap_or(DESCRIPTORS_MAX)
    })
}

/// Returns which host a connection is for; `None` if either end is foreign to the fleet.
fn host_of(tcp: &TcpStream, peer: SocketAddr, hosts: usize) -> Option<usize> {
    let IpAddr::V4(local) = tcp.local_addr().ok()?.ip() else {
        return None;
    };
    index(local).filter(|host| *host < hosts && peer.ip().is_loopback())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_shared(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Before the bind: there must be no moment in which others can connect.
    socket.bind_device(Some(b"lo"))?;
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    socket.listen(BACKLOG)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_shared(_port: u16) -> io::Result<TcpListener> {
    Err(io::ErrorKind::Unsupported.into())
}

fn bind_each(hosts: usize, mut port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(hosts);
    for i in 0..hosts {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((address(i), port)))?;
        let listener = socket.listen(BACKLOG)?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Connections that may wait to be accepted, per socket; the kernel may cap it.
const BACKLOG: u32 = 4096;

const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Stands for "no limit" of descriptors.
const DESCRIPTORS_MAX: usize = 1 << 20;
