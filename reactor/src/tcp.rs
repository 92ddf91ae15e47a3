//! Where TCP connections begin, and how the system looks after them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::source::choose_port_late;

/// What the system takes for times between probes, in seconds, and for their number.
const PROBE_SECONDS_MAX: u64 = 32_767;
const PROBES_MAX: u32 = 127;

/// How a TCP connection is made and looked after; by default as the system does, without probes.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct TcpOptions {
    from: Option<IpAddr>,
    probes: bool,
    silence: Option<(Duration, u32)>,
}

impl TcpOptions {
    /// Sets the address that connections come from; its port is chosen when the peer's is known,
    /// so that one port serves many peers.
    pub fn from(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// Has the system probe connections on which nothing passes (`SO_KEEPALIVE`).
    pub fn probes(mut self) -> Self {
        self.probes = true;
        self
    }

    /// Sets how long a connection may be without a sign of the peer's system: it is probed, if at
    /// all, after each `interval`, and ends with `TimedOut` once `max` of them passed (rounded to
    /// whole seconds; `TCP_USER_TIMEOUT`, tcp(7)).
    pub fn silence(mut self, interval: Duration, max: u32) -> Self {
        self.silence = Some((interval, max));
        self
    }

    /// Makes a socket for a connection to `peer`.
    pub(crate) fn socket(&self, peer: SocketAddr) -> io::Result<OwnedFd> {
        let family = match peer {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(from) = self.from {
            choose_port_late(&socket);
            bind(&socket, &SocketAddr::new(from, 0)).map_err(|error| {
                let error = io::Error::from(error);
                io::Error::new(error.kind(), format!("cannot connect from {from}: {error}"))
            })?;
        }
        if self.probes {
            sockopt::set_socket_keepalive(&socket, true)?;
        }
        Ok(socket)
    }

    /// Sets what holds from the moment a socket is connected.
    pub(crate) fn set_connected(&self, socket: impl AsFd) -> io::Result<()> {
        let Some((interval, max)) = self.silence else {
            return Ok(());
        };
        let limit = interval.saturating_mul(max).as_millis();
        sockopt::set_tcp_user_timeout(
            &socket,
            i32::MAX
                .unsigned_abs()
                .min(limit.try_into().unwrap_or(u32::MAX)),
        )?;
        if self.probes {
            let seconds = interval.as_secs().clamp(1, PROBE_SECONDS_MAX);
            let interval = Duration::from_secs(seconds);
            sockopt::set_tcp_keepidle(&socket, interval)?;
            sockopt::set_tcp_keepintvl(&socket, interval)?;
            sockopt::set_tcp_keepcnt(&socket, max.clamp(1, PROBES_MAX))?;
        }
        Ok(())
    }
}
