//! Hosts as Parallax has them: a name, or a name with a port, or with a port and a user.

use std::path::PathBuf;

use sshoal_session::{Host, HostError, parse_hosts_file};

use super::error::Refused;
use super::options::variable;

/// What can stand for a host.
///
/// Strings are `[user@]host[:port]`; tuples are name and port, or name, port and user, of which
/// port and user may be `None`.
pub trait AsHost {
    /// Returns the host.
    ///
    /// # Errors
    /// There cannot be such a host.
    fn as_host(&self) -> Result<Host, HostError>;
}

impl AsHost for Host {
    fn as_host(&self) -> Result<Host, HostError> {
        Ok(self.clone())
    }
}

impl<H: AsHost + ?Sized> AsHost for &H {
    fn as_host(&self) -> Result<Host, HostError> {
        (**self).as_host()
    }
}

impl AsHost for str {
    fn as_host(&self) -> Result<Host, HostError> {
        self.parse()
    }
}

impl AsHost for String {
    fn as_host(&self) -> Result<Host, HostError> {
        self.parse()
    }
}

impl<N: AsRef<str>, P: Into<Option<u16>> + Copy> AsHost for (N, P) {
    fn as_host(&self) -> Result<Host, HostError> {
        let host = Host::new(self.0.as_ref())?;
        match self.1.into() {
            Some(port) => host.with_port(port),
            None => Ok(host),
        }
    }
}

impl<'u, N, P, U> AsHost for (N, P, U)
where
    N: AsRef<str>,
    P: Into<Option<u16>> + Copy,
    U: Into<Option<&'u str>> + Copy,
{
    fn as_host(&self) -> Result<Host, HostError> {
        let host = (self.0.as_ref(), self.1).as_host()?;
        match self.2.into() {
            Some(user) => host.with_user(user),
            None => Ok(host),
        }
    }
}

/// Returns the hosts of the file that the environment names; `None` if it names none.
///
/// `SSHOAL_HOSTS` goes before `PSSH_HOSTS`, and that before `PARALLAX_HOSTS`. A file has
/// `[user@]host[:port]` a line, and `#` comments.
///
/// # Errors
/// The file cannot be read.
pub fn hosts_from_env() -> Result<Option<Vec<Host>>, Refused> {
    let names = ["SSHOAL_HOSTS", "PSSH_HOSTS", "PARALLAX_HOSTS"];
    let Some((_, path)) = variable(&names, &|name| std::env::var_os(name)) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let text = std::fs::read(&path).map_err(|source| {
        let path = path.clone();
        Refused::HostsFile { path, source }
    })?;
    Ok(Some(parse_hosts_file(text, &path.display().to_string())?))
}

/// Returns all hosts, in order.
pub(super) fn all<H: AsHost>(hosts: impl IntoIterator<Item = H>) -> Result<Vec<Host>, HostError> {
    hosts.into_iter().map(|host| host.as_host()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_has_a_port_or_a_port_and_a_user() {
        let text = |host: &dyn AsHost| host.as_host().unwrap().to_string();
        assert_eq!(text(&"a"), "a");
        assert_eq!(text(&"u@a:9".to_owned()), "u@a:9");
        assert_eq!(text(&("a", 9)), "a:9");
        assert_eq!(text(&("::1", 9)), "[::1]:9");
        assert_eq!(text(&("a".to_owned(), None::<u16>)), "a");
        assert_eq!(text(&("a", 9, "u")), "u@a:9");
        assert_eq!(text(&("a", None::<u16>, "u")), "u@a");
        assert_eq!(text(&("a", 9, None::<&str>)), "a:9");
        assert!(("a", 0).as_host().is_err() && ("", 1).as_host().is_err());
    }
}
