//! What `-L` and `-R` say, in ssh's forms; pure but for the look-up of a name to listen on.
//!
//! The principal types are [`Local`] and [`Remote`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use sshoal::{Destination, LocalDestination};

/// `-L`: connections that come here are made by the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) listen: Listen,
    pub(crate) connect: Destination,
    /// As it was typed.
    pub(crate) text: String,
}

/// Where to listen on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The first of these that can be had; port 0 is any.
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

/// `-R`: connections that come to the host are made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The address as the host is told it (RFC 4254 §7.1): empty is all.
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) connect: LocalDestination,
    /// As it was typed.
    pub(crate) text: String,
}

impl Local {
    /// Reads the value of a `-L`.
    ///
    /// # Errors
    /// Fails with one line that names it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let what = || format!("-L {text:?}");
        let Parts { listen, connect } = parts(text)
            .with_context(what)?
            .with_context(|| format!("-L {text:?} says not where to connect to; {FORMS}"))?;
        let listen = match listen {
            End::Path(path) => Listen::Unix(path.into()),
            End::Port(bind, port) => {
                Listen::Tcp(addresses(bind.as_deref(), port).with_context(what)?)
            }
        };
        let connect = match connect {
            End::Path(path) => Destination::Unix(path),
            End::Port(host, port) => {
                let (host, port) = named(host, port).with_context(what)?;
                Destination::Tcp(host, port)
            }
        };
        let text = text.to_owned();
        Ok(Self {
            listen,
            connect,
            text,
        })
    }

    /// Returns the port or path that several hosts cannot share, as words.
    pub(crate) fn unshareable(&self) -> Option<String> {
        match &self.listen {
            Listen::Unix(path) => Some(format!("the socket {}", path.display())),
            Listen::Tcp(addresses) => {
                let port = addresses.first().map_or(0, SocketAddr::port);
                (port != 0).then(|| format!("port {port}"))
            }
        }
    }
}

impl Remote {
    /// Reads the value of a `-R`.
    ///
    /// # Errors
    /// Fails with one line that names it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let what = || format!("-R {text:?}");
        let Some(Parts { listen, connect }) = parts(text).with_context(what)? else {
            bail!("-R {text:?} asks for a SOCKS proxy, which is not offered; {FORMS}");
        };
        let End::Port(bind, port) = listen else {
            bail!("-R {text:?}: a host can be asked to listen on ports only; {FORMS}");
        };
        let address = match bind.as_deref() {
            None => "localhost".to_owned(),
            Some("" | "*") => String::new(),
            Some(bind) => bind.to_owned(),
        };
        let connect = match connect {
            End::Path(path) => LocalDestination::Unix(path.into()),
            End::Port(host, port) => {
                let (host, port) = named(host, port).with_context(what)?;
                LocalDestination::Host(host, port)
            }
        };
        let text = text.to_owned();
        Ok(Self {
            address,
            port,
            connect,
            text,
        })
    }
}

/// Shows where connections are led to.
pub(crate) struct Shown<'a, T>(pub(crate) &'a T);

impl fmt::Display for Shown<'_, Destination> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Destination::Tcp(host, port) => f.write_str(&joined(host, *port)),
            Destination::Unix(path) => f.write_str(path),
            _ => f.write_str("?"),
        }
    }
}

impl fmt::Display for Shown<'_, LocalDestination> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LocalDestination::Host(host, port) => f.write_str(&joined(host, *port)),
            LocalDestination::Tcp(address) => address.fmt(f),
            LocalDestination::Unix(path) => path.display().fmt(f),
            _ => f.write_str("?"),
        }
    }
}

/// Writes an address and a port so that they can be told apart.
pub(crate) fn joined(host: &str, port: u16) -> String {
    match host {
        "" => format!("*:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

struct Parts {
    listen: End,
    connect: End,
}

/// One end of a forwarding: an address, if one is written, and a port; or a Unix socket.
enum End {
    Port(Option<String>, u16),
    Path(String),
}

/// Divides a value into its ends; `None` where only the first is there.
fn parts(text: &str) -> Result<Option<Parts>> {
    let fields = fields(text)?;
    let is_path = |at: usize| fields.get(at).is_some_and(|field| field.contains('/'));
    let path = |at: usize| End::Path(fields[at].clone());
    let end = |host: Option<usize>, at: usize| {
        let host = host.map(|host| fields[host].clone());
        Ok::<_, anyhow::Error>(End::Port(host, port(&fields[at])?))
    };
    let (listen, connect) = match fields.len() {
        1 => return Ok(None),
        2 if is_path(1) && is_path(0) => (path(0), path(1)),
        2 if is_path(1) => (end(None, 0)?, path(1)),
        // An address and a port, for a proxy.
        2 if !is_path(0) && port(&fields[1]).is_ok() => return Ok(None),
        3 if is_path(0) => (path(0), end(Some(1), 2)?),
        3 if is_path(2) => (end(Some(0), 1)?, path(2)),
        3 => (end(None, 0)?, end(Some(1), 2)?),
        4 => (end(Some(0), 1)?, end(Some(2), 3)?),
        _ => bail!("{FORMS}"),
    };
    Ok(Some(Parts { listen, connect }))
}

/// Divides at colons outside of brackets; a backslash takes the next character as it is.
fn fields(text: &str) -> Result<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().context("there is a field")?;
        match c {
            '[' if field.is_empty() => {
                field.extend(chars.by_ref().take_while(|c| *c != ']'));
                if !matches!(chars.peek(), None | Some(':')) || !text.contains(']') {
                    bail!("its brackets are not closed; {FORMS}");
                }
            }
            '\\' => field.extend(chars.next()),
            ':' => fields.push(String::new()),
            c => field.push(c),
        }
    }
    Ok(fields)
}

fn port(text: &str) -> Result<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.with_context(|| format!("{text:?} is no port from 0 to 65535; {FORMS}"))
}

/// What is to be connected to: it has a name and a port.
fn named(host: Option<String>, port: u16) -> Result<(String, u16)> {
    let host = host.filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("the host to connect to is missing; {FORMS}"))?;
    if port == 0 {
        bail!("nothing can be connected to at port 0; write 1 to 65535");
    }
    Ok((host, port))
}

/// The addresses to listen on; all of this machine's only where that is written.
fn addresses(bind: Option<&str>, port: u16) -> Result<Vec<SocketAddr>> {
    let ips: Vec<IpAddr> = match bind {
        None | Some("localhost") => vec![Ipv4Addr::LOCALHOST.into()],
        // The first takes connections of both families, where there are both.
        Some("" | "*") => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        Some(name) => match name.parse() {
            Ok(ip) => vec![ip],
            Err(_) => {
                let found = (name, port).to_socket_addrs();
                let found = found.with_context(|| format!("cannot listen on {name:?}"))?;
                return Ok(found.collect());
            }
        },
    };
    Ok(ips.into_iter().map(|ip| (ip, port).into()).collect())
}

const FORMS: &str = "write [bind:]port:host:hostport, with /path for a Unix socket on either side";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn local(text: &str, listen: &str, connect: &str) {
        let parsed = Local::parse(text).unwrap();
        let listens = match &parsed.listen {
            Listen::Tcp(addresses) => addresses[0].to_string(),
            Listen::Unix(path) => path.display().to_string(),
        };
        assert_eq!(listens, listen, "{text}");
        assert_eq!(Shown(&parsed.connect).to_string(), connect, "{text}");
    }

    #[track_caller]
    fn remote(text: &str, listen: &str, connect: &str) {
        let parsed = Remote::parse(text).unwrap();
        assert_eq!(joined(&parsed.address, parsed.port), listen, "{text}");
        assert_eq!(Shown(&parsed.connect).to_string(), connect, "{text}");
    }

    #[test]
    fn local_ports_are_on_the_loopback_unless_another_address_is_written() {
        local("80:db:5432", "127.0.0.1:80", "db:5432");
        local("0:db:5432", "127.0.0.1:0", "db:5432");
        local("localhost:80:db:5432", "127.0.0.1:80", "db:5432");
        local(":80:db:5432", "[::]:80", "db:5432");
        local("*:80:db:5432", "[::]:80", "db:5432");
        local("127.0.0.9:80:db:5432", "127.0.0.9:80", "db:5432");
        local("[::1]:80:[fe80::1]:22", "[::1]:80", "[fe80::1]:22");
        local("80:/run/db", "127.0.0.1:80", "/run/db");
        local("127.0.0.9:80:/run/db", "127.0.0.9:80", "/run/db");
        local("/tmp/s:db:5432", "/tmp/s", "db:5432");
        local("/tmp/s:/run/db", "/tmp/s", "/run/db");
        local("/tmp/a\\:b:db:5432", "/tmp/a:b", "db:5432");
    }

    #[test]
    fn remote_ports_are_on_the_loopback_unless_another_address_is_written() {
        remote("80:db:5432", "localhost:80", "db:5432");
        remote("0:[::1]:22", "localhost:0", "[::1]:22");
        remote(":80:db:5432", "*:80", "db:5432");
        remote("*:80:db:5432", "*:80", "db:5432");
        remote("[::1]:80:db:5432", "[::1]:80", "db:5432");
        remote("80:/run/db", "localhost:80", "/run/db");
    }

    #[test]
    fn only_ports_of_hosts_and_of_several_hosts_are_shared() {
        let words = |text| Local::parse(text).unwrap().unshareable();
        assert_eq!(words("80:db:1").unwrap(), "port 80");
        assert_eq!(words("/a:db:1").unwrap(), "the socket /a");
        assert_eq!(words("0:db:1"), None);
    }
}
