//! From a host's name to a connected socket: look-up off the workers, every address tried.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Instant;

use sshoal_reactor::{Scope, Status, Stop, Stream, blocking_within};

use crate::engine::stopped;
use crate::error::{Error, Phase};
use crate::timings::Timings;

/// Connects to a host by name or number. Parks.
pub(crate) fn connect(
    name: &str,
    port: u16,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<Stream, Error> {
    let begun = Instant::now();
    let addresses = resolve(name, port, scope);
    timings.add(Phase::Resolve, begun.elapsed());
    let begun = Instant::now();
    let connected = try_all(&addresses?, scope);
    timings.add(Phase::Connect, begun.elapsed());
    connected
}

/// Looks a name up; numbers need no look-up.
fn resolve(name: &str, port: u16, scope: &Scope) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(number) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(number, port)]);
    }
    let failed = |source| Error::Resolve {
        name: name.to_owned(),
        source,
    };
    let asked = name.to_owned();
    let found = blocking_within(scope, move || {
        (asked.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect::<Vec<_>>)
    });
    let addresses = match found {
        Err(stop) => return Err(stopped(stop, Phase::Resolve, scope)),
        Ok(Err(panic)) => return Err(failed(io::Error::other(panic))),
        Ok(Ok(found)) => found.map_err(failed)?,
    };
    if addresses.is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "no address",
        )));
    }
    Ok(addresses)
}

/// Tries each address in turn; each may take its share of the time that is left.
fn try_all(addresses: &[SocketAddr], scope: &Scope) -> Result<Stream, Error> {
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = scope.remaining().map(|remaining| remaining / left);
        // The last address has the whole rest, and its end is the scope's own.
        let one = if left == 1 {
            scope.clone()
        } else {
            scope.child(share)
        };
        match Stream::connect(*address, &one) {
            Ok(stream) => return Ok(stream),
            Err(source) if scope.status() != Status::Live => {
                let timed_out = source.kind() == io::ErrorKind::TimedOut;
                let own = timed_out && scope.status() == Status::TimedOut;
                let stop = if own { Stop::TimedOut } else { Stop::Cancelled };
                return Err(stopped(stop, Phase::Connect, scope));
            }
            Err(source) if is_local(&source) => {
                return Err(Error::Local {
                    phase: Phase::Connect,
                    source,
                });
            }
            Err(source) => {
                last = Some(Error::Connect {
                    address: *address,
                    source,
                })
            }
        }
    }
    Err(last.expect("a look-up that found nothing has failed above"))
}

/// Whether an error says that this machine, not the host, is short of something (law P6).
///
/// `EADDRNOTAVAIL` is not among them: it means used-up ports as well as an address that cannot be
/// reached from here, and who gets the address can tell.
fn is_local(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        number,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address that nobody listens on any more.
    fn refused() -> SocketAddr {
        listener().1
    }

    fn within(limit: Duration) -> Scope {
        Scope::root().child(Some(limit))
    }

    #[test]
    fn every_address_is_tried_until_one_takes_the_connection() {
        let (_listener, good) = listener();
        let scope = within(Duration::from_secs(30));
        assert!(try_all(&[refused(), refused(), good], &scope).is_ok());
        let last = refused();
        match try_all(&[refused(), last], &scope) {
            Err(Error::Connect { address, source }) => {
                assert_eq!(address, last);
                assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn used_up_ports_are_told_with_the_address() {
        use rustix::io::Errno;
        assert!(is_local(&Errno::MFILE.into()));
        assert!(!is_local(&Errno::ADDRNOTAVAIL.into()));
        assert!(!is_local(&Errno::CONNREFUSED.into()));
    }

    /// An address that hangs takes its share of the time, and the next one is still tried.
    #[test]
    fn an_address_that_hangs_leaves_time_for_the_others() {
        let (full, hangs) = listener();
        rustix::net::listen(&full, 0).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = Stream::connect(hangs, &within(Duration::from_millis(150))) {
            queued.push(stream);
            assert!(queued.len() < 100, "its queue does not fill");
        }
        let (_listener, good) = listener();
        let begun = Instant::now();
        assert!(try_all(&[hangs, good], &within(Duration::from_secs(1))).is_ok());
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_secs(1),
            "{took:?}"
        );
        match try_all(&[good, hangs][1..], &within(Duration::from_millis(200))) {
            Err(Error::TimedOut { phase, .. }) => assert_eq!(phase, Phase::Connect),
            other => panic!("{other:?}"),
        }
    }
}
