//! This side of a connection: what tokens, `~` and `${…}` stand for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::error::Fault;

/// What ssh_config's tokens say of this machine and user, and its environment variables.
///
/// Lookups take it from here and never ask the system, so that they can be repeated anywhere.
#[derive(Debug, Clone, Default)]
pub struct Local {
    user: String,
    user_id: u32,
    home: String,
    host_name: String,
    /// Shared, as it is large and never changed in place.
    environment: Arc<BTreeMap<String, String>>,
    /// Home directories by user.
    homes: Arc<BTreeMap<String, String>>,
    addresses: Option<Vec<IpAddr>>,
}

impl Local {
    /// Takes everything from the system: user and homes from `/etc/passwd`, the host's name, and
    /// this process's environment.
    ///
    /// As in ssh, the home directory is the one in `/etc/passwd`; `HOME` and `USER` count where
    /// that does not know the user. Variables that are not UTF-8 are left out.
    pub fn of_this_process() -> Self {
        let id = rustix::process::getuid().as_raw();
        let passwd = std::fs::read(PASSWD).unwrap_or_default();
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let host_name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let variable = |name: &str| environment.get(name).cloned().unwrap_or_default();
        let mut local = Self {
            user: variable("USER"),
            user_id: id,
            home: variable("HOME"),
            host_name,
            environment: Arc::default(),
            homes: Arc::default(),
            addresses: super::network::own_addresses(),
        };
        local.read_passwd(&String::from_utf8_lossy(&passwd));
        local.environment = Arc::new(environment);
        local
    }

    /// Sets the user's name (`%u`) and ID (`%i`).
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>, id: u32) -> Self {
        self.user = name.into();
        self.user_id = id;
        self
    }

    /// Sets the home directory (`%d`, `~`), which also holds `.ssh/config`.
    #[must_use]
    pub fn with_home(mut self, home: impl Into<String>) -> Self {
        self.home = home.into();
        self
    }

    /// Sets this machine's name (`%l`, and up to its first dot `%L`).
    #[must_use]
    pub fn with_host_name(mut self, name: impl Into<String>) -> Self {
        self.host_name = name.into();
        self
    }

    /// Sets all environment variables (`${NAME}`).
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        self.environment = Arc::new(variables.into_iter().collect());
        self
    }

    /// Sets the addresses of this machine (`Match localnetwork`).
    #[must_use]
    pub fn with_addresses(mut self, addresses: Vec<IpAddr>) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// Returns the user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the user's ID.
    pub fn user_id(&self) -> u32 {
        self.user_id
    }

    /// Returns the home directory; empty if none is known.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Returns this machine's name.
    pub fn host_name(&self) -> &str {
        &self.host_name
    }

    /// Returns all environment variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.environment.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    pub(super) fn addresses(&self) -> Option<&[IpAddr]> {
        self.addresses.as_deref()
    }

    /// Replaces every `${NAME}`.
    pub(super) fn expand_environment(&self, text: &str) -> Result<String, Fault> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Fault::EnvironmentSyntax {
                    text: text.to_owned(),
                })?;
            let value = self.variable(name).ok_or_else(|| Fault::Environment {
                name: name.to_owned(),
            })?;
            expanded.push_str(before);
            expanded.push_str(value);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// Replaces a leading `~` or `~user`.
    pub(super) fn expand_tilde(&self, text: &str) -> Result<String, Fault> {
        let Some(rest) = text.strip_prefix('~') else {
            return Ok(text.to_owned());
        };
        let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
        let home = if user.is_empty() {
            Some(&self.home).filter(|home| !home.is_empty())
        } else {
            self.homes.get(user)
        };
        let home = home.ok_or_else(|| Fault::NoHome {
            user: if user.is_empty() { &self.user } else { user }.to_owned(),
        })?;
        let slash = if home.ends_with('/') { "" } else { "/" };
        Ok(format!("{home}{slash}{}", path.trim_start_matches('/')))
    }

    /// Takes homes and our own user from the lines of passwd(5).
    fn read_passwd(&mut self, text: &str) {
        let mut homes = BTreeMap::new();
        let mut own = None;
        for line in text.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let &[name, _, id, _, _, home, ..] = fields.as_slice() else {
                continue;
            };
            if own.is_none() && id.parse() == Ok(self.user_id) {
                own = Some((name.to_owned(), home.to_owned()));
            }
            homes.entry(name.to_owned()).or_insert(home.to_owned());
        }
        if let Some((user, home)) = own {
            (self.user, self.home) = (user, home);
        }
        self.homes = Arc::new(homes);
    }
}

const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        let mut local = Local::default().with_user("nobody", 7);
        local.read_passwd("# x\nroot:x:0:0:root:/r:/bin/sh\nme:x:7:7::/home/me/:/bin/sh\n");
        local.with_environment([("A".to_owned(), "1".to_owned())])
    }

    #[test]
    fn passwd_names_the_user_and_all_homes() {
        let local = local();
        assert_eq!((local.user(), local.home()), ("me", "/home/me/"));
        let expands = |text: &str| local.expand_tilde(text).unwrap();
        assert_eq!(expands("~"), "/home/me/");
        assert_eq!(expands("~/a"), "/home/me/a");
        assert_eq!(expands("~//a"), "/home/me/a");
        assert_eq!(expands("~root/a/b"), "/r/a/b");
        assert_eq!(expands("~root"), "/r/");
        assert_eq!(expands("a~"), "a~");
        assert!(matches!(local.expand_tilde("~x/a"), Err(Fault::NoHome { user }) if user == "x"));
        assert!(Local::default().expand_tilde("~").is_err());
    }

    #[test]
    fn variables_are_replaced_or_missed() {
        let local = local();
        assert_eq!(local.expand_environment("${A}b${A}$A").unwrap(), "1b1$A");
        for text in ["${", "${}", "${A", "${B}"] {
            assert!(local.expand_environment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_system_names_a_user_and_a_host() {
        let local = Local::of_this_process();
        assert!(!local.user().is_empty() && !local.host_name().is_empty());
        assert_eq!(local.user_id(), rustix::process::getuid().as_raw());
    }
}
