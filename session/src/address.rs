//! From a host's name to a connected socket: look-up off the workers, every address tried.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use sshoal_reactor::{Scope, Status, Stop, Stream, TcpOptions};

use crate::config::Config;
use crate::engine::stopped;
use crate::error::{Error, Phase};
use crate::timings::Timings;

mod lookup;

/// Which sort of address is connected to (`AddressFamily`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is no third family to connect over"
)]
pub enum AddressFamily {
    /// Either, in the order that the look-up gives (`any`).
    #[default]
    Any,
    /// IPv4 alone (`inet`).
    V4,
    /// IPv6 alone (`inet6`).
    V6,
}

/// How a host's address is found and connected to.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) family: AddressFamily,
    pub(crate) from: Option<IpAddr>,
    /// How often all addresses are tried.
    pub(crate) attempts: NonZeroU32,
    /// Whether the system probes the connection.
    pub(crate) probes: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            family: AddressFamily::Any,
            from: None,
            attempts: NonZeroU32::MIN,
            probes: true,
        }
    }
}

/// From one try of all addresses to the next, as in ssh.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Connects to a host by name or number. Parks.
pub(crate) fn connect(
    name: &str,
    port: u16,
    config: &Config,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<Stream, Error> {
    let begun = Instant::now();
    let addresses = resolve(name, port, &config.reach, scope);
    timings.add(Phase::Resolve, begun.elapsed());
    let begun = Instant::now();
    let connected = try_often(&addresses?, config, scope);
    timings.add(Phase::Connect, begun.elapsed());
    connected
}

/// Looks a name up, numbers without asking anyone, and leaves out what must not be connected to.
/// Connects to a name or address that is no host's, by the first of its addresses that takes the
/// connection. Parks.
pub(crate) fn connect_plain(name: &str, port: u16, scope: &Scope) -> io::Result<Stream> {
    let addresses = lookup::ask(name, port, scope)??;
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses {
        match Stream::connect(address, scope) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
        scope.check()?;
    }
    Err(last)
}

fn resolve(name: &str, port: u16, reach: &Reach, scope: &Scope) -> Result<Vec<SocketAddr>, Error> {
    let failed = |source| Error::Resolve {
        name: name.to_owned(),
        source,
    };
    let found = match number(name, port).map_err(failed)? {
        Some(address) => vec![address],
        None => lookup::ask(name, port, scope)
            .map_err(|stop| stopped(stop, Phase::Resolve, scope))?
            .map_err(failed)?,
    };
    let fits = |address: &SocketAddr| {
        let wanted = match reach.family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        };
        wanted
            && reach
                .from
                .is_none_or(|from| from.is_ipv4() == address.is_ipv4())
    };
    let count = found.len();
    let addresses: Vec<_> = found.into_iter().filter(fits).collect();
    if addresses.is_empty() {
        let text = match count {
            0 => "no address",
            _ => "no address of the family that is asked for",
        };
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, text)));
    }
    Ok(addresses)
}

/// Reads an address; one of IPv6 may carry a zone, by name or number (RFC 4007 §11).
fn number(name: &str, port: u16) -> io::Result<Option<SocketAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Some(SocketAddr::new(address, port)));
    }
    let Some((address, zone)) = name.split_once('%') else {
        return Ok(None);
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return Ok(None);
    };
    let index = match zone.parse() {
        Ok(index) => index,
        Err(_) => interface(zone).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("zone {zone}: {error}"))
        })?,
    };
    Ok(Some(SocketAddrV6::new(address, port, 0, index).into()))
}

/// The number of a network interface of this machine.
fn interface(name: &str) -> Result<u32, rustix::io::Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
    rustix::net::netdevice::name_to_index(&socket, name)
}

/// Tries all addresses, several times if that is asked for.
fn try_often(addresses: &[SocketAddr], config: &Config, scope: &Scope) -> Result<Stream, Error> {
    let mut options = TcpOptions::default();
    if let Some(from) = config.reach.from {
        options = options.from(from);
    }
    if config.reach.probes {
        options = options.probes();
    }
    if let Some(interval) = config.keepalive {
        options = options.silence(interval, config.keepalive_max.get());
    }
    let mut left = config.reach.attempts.get();
    loop {
        left -= 1;
        match try_all(addresses, &options, scope) {
            Err(Error::Connect { .. }) if left > 0 => {
                scope.child(Some(BETWEEN_ATTEMPTS)).ended();
                scope
                    .check()
                    .map_err(|stop| stopped(stop, Phase::Connect, scope))?;
            }
            result => return result,
        }
    }
}

/// Tries each address in turn; each may take its share of the time that is left.
fn try_all(addresses: &[SocketAddr], options: &TcpOptions, scope: &Scope) -> Result<Stream, Error> {
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
        match Stream::connect_with(*address, options, &one) {
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

    fn try_plain(addresses: &[SocketAddr], scope: &Scope) -> Result<Stream, Error> {
        try_all(addresses, &TcpOptions::default(), scope)
    }

    fn within(limit: Duration) -> Scope {
        Scope::root().child(Some(limit))
    }

    #[test]
    fn every_address_is_tried_until_one_takes_the_connection() {
        let (_listener, good) = listener();
        let scope = within(Duration::from_secs(30));
        assert!(try_plain(&[refused(), refused(), good], &scope).is_ok());
        let last = refused();
        match try_plain(&[refused(), last], &scope) {
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
        assert!(try_plain(&[hangs, good], &within(Duration::from_secs(1))).is_ok());
        let took = begun.elapsed();
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_secs(1),
            "{took:?}"
        );
        match try_plain(&[good, hangs][1..], &within(Duration::from_millis(200))) {
            Err(Error::TimedOut { phase, .. }) => assert_eq!(phase, Phase::Connect),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_read_without_a_look_up() {
        let read = |name| number(name, 22).unwrap().map(|address| address.to_string());
        assert_eq!(read("127.0.0.1").unwrap(), "127.0.0.1:22");
        assert_eq!(read("::1").unwrap(), "[::1]:22");
        assert_eq!(read("fe80::1%7").unwrap(), "[fe80::1%7]:22");
        assert!(read("fe80::1%lo").unwrap().starts_with("[fe80::1%"));
        assert_eq!(read("web1"), None);
        assert_eq!(read("web%1"), None);
        assert_eq!(read("127.0.0.1%lo"), None);
        let error = number("fe80::1%nothing", 22).unwrap_err().to_string();
        assert!(error.starts_with("zone nothing: "), "{error}");
    }

    #[test]
    fn addresses_of_the_other_family_are_left_out() {
        let scope = within(Duration::from_secs(30));
        let found = |name, family, from| {
            let reach = Reach {
                family,
                from,
                ..Reach::default()
            };
            resolve(name, 22, &reach, &scope)
        };
        let v4 = Some(Ipv4Addr::LOCALHOST.into());
        assert!(found("127.0.0.1", AddressFamily::V4, v4).is_ok());
        assert!(found("::1", AddressFamily::V6, None).is_ok());
        for (name, family, from) in [
            ("127.0.0.1", AddressFamily::V6, None),
            ("::1", AddressFamily::V4, None),
            ("::1", AddressFamily::Any, v4),
        ] {
            match found(name, family, from) {
                Err(Error::Resolve { source, .. }) => {
                    assert!(source.to_string().contains("family"), "{source}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
