//! The names under which a host stands in known_hosts files.

use std::fmt;

/// The names under which a host stands in known_hosts files: that with its port, the bare one, or
/// an alias instead of both.
///
/// # Examples
/// ```
/// use sshoal_session::known_hosts::LookupName;
///
/// assert_eq!(LookupName::new("Web1", 22).as_str(), "web1");
/// assert_eq!(LookupName::new("web1", 2222).as_str(), "[web1]:2222");
/// assert_eq!(LookupName::alias("cluster").as_str(), "cluster");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LookupName {
    /// As a line holds it; lowercase.
    lookup: String,
    /// Without a port; lowercase.
    host: String,
    /// Whether the bare name counts too where nothing is known under the one with the port.
    falls_back: bool,
}

impl LookupName {
    /// Returns the names of a host by its name and port.
    ///
    /// A port other than 22 is looked up as `[name]:port`; only if nothing at all is known under
    /// that, the plain name counts too, and then only with the very key that the host showed.
    pub fn new(name: &str, port: u16) -> Self {
        let host = name.to_ascii_lowercase();
        if port == DEFAULT_PORT {
            return Self::alias(name);
        }
        Self {
            lookup: format!("[{host}]:{port}"),
            host,
            falls_back: true,
        }
    }

    /// Returns an alias, which stands for name and port alike (`HostKeyAlias`).
    pub fn alias(alias: &str) -> Self {
        let host = alias.to_ascii_lowercase();
        Self {
            lookup: host.clone(),
            host,
            falls_back: false,
        }
    }

    /// Returns the name as a known_hosts line holds it.
    pub fn as_str(&self) -> &str {
        &self.lookup
    }

    /// Returns the name that a host certificate has to be for.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the bare name, where that counts too.
    pub(super) fn fallback(&self) -> Option<&str> {
        self.falls_back.then_some(self.host.as_str())
    }
}

impl fmt::Display for LookupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lookup)
    }
}

/// The port that names no port.
const DEFAULT_PORT: u16 = 22;
