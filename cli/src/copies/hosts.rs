//! What stands for each host in names and templates.

use std::borrow::Cow;

use anyhow::{Result, bail};
use sshoal::Host;

use super::fill;
use crate::access::Login;
use crate::hosts::Variables;

/// The hosts, as names and templates have them; all lists are in input order.
#[derive(Debug)]
pub(super) struct Names {
    /// As on status lines.
    pub(super) labels: Vec<String>,
    /// The names or addresses.
    pub(super) names: Vec<String>,
    pub(super) logins: Vec<Login>,
    /// What inventories say.
    variables: Vec<Variables>,
}

/// Where a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    Host,
}

impl Names {
    pub(super) fn new(labels: Vec<String>, hosts: &[Host], logins: Vec<Login>) -> Self {
        let names = hosts.iter().map(|host| host.name().to_owned());
        Self {
            labels,
            names: names.collect(),
            variables: vec![Variables::new(); logins.len()],
            logins,
        }
    }

    /// Takes the variables of each host.
    pub(super) fn with(mut self, variables: Vec<Variables>) -> Self {
        self.variables = variables;
        self
    }

    /// Returns what stands for a placeholder at a host.
    pub(super) fn value(&self, index: usize, name: &str) -> Option<Cow<'_, [u8]>> {
        let login = &self.logins[index];
        Some(match name {
            "host" => Cow::from(self.names[index].as_bytes()),
            "user" => Cow::from(login.user.as_bytes()),
            "port" => Cow::from(login.port.to_string().into_bytes()),
            "n" => Cow::from(index.to_string().into_bytes()),
            "total" => Cow::from(self.names.len().to_string().into_bytes()),
            _ => {
                let own = &self.variables[index];
                let (_, value) = own.iter().find(|(own, _)| own == name)?;
                Cow::from(value.as_bytes())
            }
        })
    }

    /// Returns a path for each host: with `is_template`, filled in.
    ///
    /// # Errors
    /// A placeholder is none, or on this machine a host's value would not stay one name.
    pub(super) fn each(
        &self,
        path: &[u8],
        is_template: bool,
        place: Place,
    ) -> Result<Vec<Vec<u8>>> {
        let own = |index| {
            if !is_template {
                return Ok(path.to_vec());
            }
            let value = |name: &str| self.value(index, name);
            if place == Place::Here && fill::has_placeholder(path) {
                let own = self.variables[index].iter().map(|(name, _)| name.as_str());
                let used = own.filter(|name| fill::has(path, name));
                for name in ["host", "user"].into_iter().chain(used) {
                    let value = value(name).unwrap_or_default();
                    if value.contains(&b'/') || matches!(&*value, b"" | b"." | b"..") {
                        let label = &self.labels[index];
                        bail!("--template: the {name} of {label:?} makes no name of a file");
                    }
                }
            }
            fill::fill(path, "", value).map_err(|error| error.context("--template"))
        };
        (0..self.labels.len()).map(own).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Hosts of these names, of root's at port 22.
    pub(crate) fn names(hosts: &[&str]) -> Names {
        let login = |host: &&str| Login {
            user: "root".to_owned(),
            port: 22,
            text: format!("root@{host}:22"),
        };
        let all: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        Names {
            labels: all.clone(),
            variables: vec![Variables::new(); all.len()],
            names: all,
            logins: hosts.iter().map(login).collect(),
        }
    }

    #[test]
    fn only_on_this_machine_a_host_has_to_make_a_name() {
        let names = names(&["web1", ".."]);
        let remote = names.each(b"/srv/{host}", true, Place::Host).unwrap();
        assert_eq!(remote, [b"/srv/web1".to_vec(), b"/srv/..".to_vec()]);
        assert!(names.each(b"out/{host}", true, Place::Here).is_err());
        assert!(names.each(b"out/x", true, Place::Here).is_ok());
        let plain = names.each(b"{host}", false, Place::Here).unwrap();
        assert_eq!(plain, [b"{host}".to_vec(), b"{host}".to_vec()]);
    }
}
