//! How a user names a host: `[user@]host[:port]` or `ssh://` and that, one by one or as the lines of a
//! hosts file.
//!
//! Nothing is resolved here. A name is taken only if it can stand in a known_hosts line, a report
//! and a file name without meaning anything else there; the principal type is [`Host`].

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

mod lines;

pub use self::lines::{HostLine, HostOption, HostsFileError, parse_host_lines, parse_hosts_file};

/// A machine to reach: a name or address, and optionally a port and a user.
///
/// IPv6 addresses stand in brackets where a port follows, and may stand bare where none does; `ssh://`
/// may stand before it all. A user with a colon is refused in a text, since what follows the colon is
/// most often a password, and taken by [`with_user`](Self::with_user) alone. Any other text form
/// parses back to the same value.
///
/// # Examples
/// ```
/// use sshoal_session::Host;
///
/// let host: Host = "root@[::1]:2222".parse()?;
/// assert_eq!(host.name(), "::1");
/// assert_eq!(host.port(), Some(2222));
/// assert_eq!(host.user(), Some("root"));
/// assert_eq!(host.to_string(), "root@[::1]:2222");
/// # Ok::<(), sshoal_session::HostError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Checked by [`check_name`]; case as given.
    name: String,
    /// Never 0.
    port: Option<u16>,
    /// Checked by [`check_user`].
    user: Option<String>,
}

impl Host {
    /// Names a host by its name or address alone, without port and user.
    ///
    /// # Errors
    /// Fails if the name is empty, too long or holds a character that a name cannot have.
    pub fn new(name: impl Into<String>) -> Result<Self, HostError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self {
            name,
            port: None,
            user: None,
        })
    }

    /// Sets the port.
    ///
    /// # Errors
    /// Fails for port 0, which no server can listen on.
    pub fn with_port(mut self, port: u16) -> Result<Self, HostError> {
        if port == 0 {
            return Err(HostError::PortOutOfRange {
                text: port.to_string(),
            });
        }
        self.port = Some(port);
        Ok(self)
    }

    /// Sets the user.
    ///
    /// # Errors
    /// Fails if the user is empty, too long or holds a character that a user cannot have.
    pub fn with_user(mut self, user: impl Into<String>) -> Result<Self, HostError> {
        let user = user.into();
        check_user(&user)?;
        self.user = Some(user);
        Ok(self)
    }

    /// Returns the name or address, without brackets, in the case that it was given in.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the port, if one was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the user, if one was given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(spec: &str) -> Result<Self, HostError> {
        let inner = match spec.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => spec,
        };
        // No name, port or user that is taken has what another scheme ends with.
        parse(inner).map_err(|error| other_scheme(inner).unwrap_or(error))
    }
}

fn parse(spec: &str) -> Result<Host, HostError> {
    // The last `@` divides, as in ssh: user names with a domain have one of their own.
    let (user, rest) = match spec.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, spec),
    };
    // Before anything else is said of a text that may hold a password.
    user.map_or(Ok(()), refuse_password)?;
    let (name, port) = split_port(rest)?;
    let mut host = Host::new(name)?;
    if let Some(port) = port {
        host.port = Some(parse_port(port)?);
    }
    match user {
        Some(user) => host.with_user(user),
        None => Ok(host),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is no host name.
    #[error("the host name is empty")]
    EmptyName,
    /// There is an `@` and nothing before it.
    #[error("the user is empty")]
    EmptyUser,
    /// A name holds what no name can have, or begins with `-`.
    #[error("bad character {character:?} in host name {text:?}")]
    BadNameCharacter {
        /// The name.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A user holds what no user can have, or begins with `-`.
    #[error("bad character {character:?} in user {text:?}")]
    BadUserCharacter {
        /// The user.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A user holds a colon, behind which most often a password stands.
    #[error(
        "passwords do not go into host lists: log in by key, or give it apart (-A asks for it, \
         --password-file reads it); a user with a colon is the option User"
    )]
    Password,
    /// A URI has another scheme than `ssh`, which is the only one that names a host.
    #[error("{scheme}:// leads to no host of SSH: write [user@]host[:port]")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// A port is something else than decimal digits.
    #[error("port {text:?} is not a number")]
    PortNotNumber {
        /// What stands after the colon.
        text: String,
    },
    /// A port is 0 or above 65535.
    #[error("port {text} is not between 1 and 65535")]
    PortOutOfRange {
        /// The number as given.
        text: String,
    },
    /// A bracket has no counterpart, or something other than a port follows the closing one.
    #[error("unbalanced brackets in {text:?}")]
    Brackets {
        /// The host and port as given.
        text: String,
    },
    /// There are several colons, and the text is no IPv6 address.
    #[error("{text:?} is neither host:port nor an IPv6 address")]
    NotIpv6 {
        /// The host as given.
        text: String,
    },
    /// A name, user or line is longer than any real one.
    #[error("longer than {max} bytes")]
    TooLong {
        /// The most that is taken.
        max: usize,
    },
    /// A line of a hosts file has more than a host and a user, and it is no option.
    #[error("{text:?} follows the host and the user, and is no KEY=VALUE")]
    TooManyFields {
        /// The first field too many.
        text: String,
    },
    /// A line of a hosts file has a quote without its other half.
    #[error("a quote is not closed: add the other one, or write \\\" for a quote itself")]
    UnbalancedQuote,
    /// A line of a hosts file has options, where they would be lost.
    #[error("{text:?} is an option, which is not read here")]
    Option {
        /// The first option.
        text: String,
    },
    /// A line of a hosts file names a user before the host and another one after it.
    #[error("two users, {first:?} and {second:?}")]
    TwoUsers {
        /// The one before the host.
        first: String,
        /// The one after it.
        second: String,
    },
    /// A line of a hosts file is not UTF-8.
    #[error("the line is not UTF-8; save the file as UTF-8")]
    NotUtf8,
}

/// Returns the error of a URI whose scheme is not `ssh`, if a text is one.
fn other_scheme(spec: &str) -> Option<HostError> {
    let (scheme, _) = spec.split_once("://")?;
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric());
    is_scheme.then(|| HostError::Scheme {
        scheme: scheme.to_owned(),
    })
}

/// Refuses a user of a host list that may be a user with a password.
fn refuse_password(user: &str) -> Result<(), HostError> {
    match user.contains(':') {
        true => Err(HostError::Password),
        false => Ok(()),
    }
}

/// Divides `name:port`, `[name]:port`, `[name]`, `name` and a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<&str>), HostError> {
    let brackets = || HostError::Brackets {
        text: text.to_owned(),
    };
    if let Some(inner) = text.strip_prefix('[') {
        let (name, rest) = inner.split_once(']').ok_or_else(brackets)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(brackets()),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((name, port)) => Ok((name, Some(port))),
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, HostError> {
    // `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::PortNotNumber {
            text: text.to_owned(),
        });
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(HostError::PortOutOfRange {
            text: text.to_owned(),
        }),
        Ok(port) => Ok(port),
    }
}

/// Checks that a name can stand in a known_hosts line, a report and a command line as itself.
pub(crate) fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::EmptyName);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HostError::TooLong {
            max: NAME_BYTES_MAX,
        });
    }
    let allowed = |c: char| c.is_alphanumeric() || "-._:%+~".contains(c);
    let leading_dash = name.starts_with('-').then_some('-');
    if let Some(character) = leading_dash.or_else(|| name.chars().find(|c| !allowed(*c))) {
        return Err(HostError::BadNameCharacter {
            text: name.to_owned(),
            character,
        });
    }
    if name.contains(':') && !is_ipv6(name) {
        return Err(HostError::NotIpv6 {
            text: name.to_owned(),
        });
    }
    Ok(())
}

/// Whether a text is an IPv6 address, with or without a zone (RFC 4007 §11).
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains([':', '%'])
}

/// Checks a user by the rule of ssh, which keeps shell characters out of commands built from it.
fn check_user(user: &str) -> Result<(), HostError> {
    if user.is_empty() {
        return Err(HostError::EmptyUser);
    }
    if user.len() > NAME_BYTES_MAX {
        return Err(HostError::TooLong {
            max: NAME_BYTES_MAX,
        });
    }
    let forbidden =
        |c: char| !(c.is_alphanumeric() || c.is_ascii_graphic()) || "'`\";&<>|(){}#,".contains(c);
    let leading_dash = user.starts_with('-').then_some('-');
    // A backslash divides a domain from a user; at the end it would take what follows with it.
    let trailing_backslash = user.ends_with('\\').then_some('\\');
    let bad = leading_dash
        .or(trailing_backslash)
        .or_else(|| user.chars().find(|c| forbidden(*c)));
    match bad {
        Some(character) => Err(HostError::BadUserCharacter {
            text: user.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

/// Above the 253 bytes of a domain name (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests;
