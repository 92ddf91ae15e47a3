//! Hosts, groups and what is said of them, from files of several programs.
//!
//! The principal type is [`Inventory`]; [`Selector`](crate::Selector) answers questions about one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::{InventoryError, NodeSetError, Place};
use crate::pattern::{Dialect, Pattern};

mod ansible;
mod ansible_ini;
mod clustershell;
mod file;
mod format;
mod groups_conf;
mod own;
mod source;
mod ssh_config;

pub use self::format::{Program, VarsOf};
pub use self::groups_conf::{GroupsConf, Question, Upcalls, fill_cfgdir};
pub use self::source::GroupSource;
pub(crate) use self::source::Source;
pub use self::ssh_config::ssh_config_includes;

/// What one host has from its inventories: options for the way in, and variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settings {
    /// ssh_config options by their key: `HostName`, `Port`, `User`, `IdentityFile` and others.
    pub options: BTreeMap<String, Value>,
    /// Variables by their name.
    pub variables: BTreeMap<String, Value>,
}

/// A text, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Value {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// Hosts and groups. It begins empty; [`Inventory::read`] adds a file's.
#[derive(Debug, Clone)]
pub struct Inventory {
    hosts_max: usize,
    /// Hosts that patterns stood for so far, each as often as it was named.
    expanded: usize,
    /// In the order of the files.
    hosts: Vec<Host>,
    host_places: HashMap<Arc<str>, usize>,
    groups: Vec<Group>,
    group_places: HashMap<String, usize>,
    /// What is said of all hosts.
    pub(crate) everywhere: Settings,
    /// The same, by files of variables.
    pub(crate) everywhere_files: Settings,
    pub(crate) notices: Vec<String>,
    /// Who else knows groups.
    sources: Vec<Source>,
    /// The source whose groups need not be named with it.
    default_source: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Settings,
    /// What a file of variables says.
    pub(crate) files: Settings,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) members: Vec<(Member, Place)>,
    pub(crate) settings: Settings,
    /// What a file of variables says.
    pub(crate) files: Settings,
    /// The source whose groups its members mean first.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Member {
    Host(Arc<str>),
    Group(String),
    /// A node set, with groups and algebra.
    Expression(String),
}

impl Settings {
    /// Takes a variable, and the option that Ansible means by it.
    pub(crate) fn set_variable(&mut self, name: &str, text: &str, place: &Place) {
        let value = || Value {
            text: text.to_owned(),
            place: place.clone(),
        };
        let option = match name {
            "ansible_host" | "ansible_ssh_host" => Some("HostName"),
            "ansible_port" | "ansible_ssh_port" => Some("Port"),
            "ansible_user" | "ansible_ssh_user" => Some("User"),
            "ansible_ssh_private_key_file" | "ansible_private_key_file" => Some("IdentityFile"),
            _ => None,
        };
        if let Some(option) = option {
            self.options.insert(option.to_owned(), value());
        }
        self.variables.insert(name.to_owned(), value());
    }

    pub(crate) fn set_option(&mut self, key: &str, text: &str, place: &Place) {
        let value = Value {
            text: text.to_owned(),
            place: place.clone(),
        };
        self.options.insert(key.to_owned(), value);
    }

    /// Takes over what others say, in the place of what was said.
    pub(crate) fn extend(&mut self, others: &Self) {
        let options = others.options.iter();
        self.options
            .extend(options.map(|(key, value)| (key.clone(), value.clone())));
        let variables = others.variables.iter();
        self.variables
            .extend(variables.map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.options.is_empty() && self.variables.is_empty()
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::within(HOSTS_MAX)
    }
}

impl Inventory {
    /// Returns an empty inventory that takes so many hosts, and whose expressions stand for so many,
    /// at most. Default: [`HOSTS_MAX`].
    pub fn within(hosts_max: usize) -> Self {
        Self {
            hosts_max,
            expanded: 0,
            hosts: Vec::new(),
            host_places: HashMap::new(),
            groups: Vec::new(),
            group_places: HashMap::new(),
            everywhere: Settings::default(),
            everywhere_files: Settings::default(),
            notices: Vec::new(),
            sources: Vec::new(),
            default_source: None,
        }
    }

    /// Returns the most hosts that are taken.
    pub(crate) fn hosts_max(&self) -> usize {
        self.hosts_max
    }

    /// Returns whether there is neither a host nor a group, nor a source of them.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.groups.is_empty() && self.sources.is_empty()
    }

    /// Returns the names of the hosts that are listed, in the order of the files.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| &*host.name)
    }

    /// Returns the names of the groups that are listed, in the order of the files; what sources
    /// have besides is [`Selector::group_names`](crate::Selector::group_names)'s.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    /// Returns what was read and is not heeded, for whoever wants to know.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub(crate) fn all_groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.group_places.get(name).copied()
    }

    pub(crate) fn host(&self, name: &str) -> Option<&Host> {
        self.host_places.get(name).map(|at| &self.hosts[*at])
    }

    /// Returns a host to be changed; it is added if it is not there.
    pub(crate) fn host_mut(&mut self, name: &Arc<str>) -> &mut Host {
        let at = *self.host_places.entry(Arc::clone(name)).or_insert_with(|| {
            self.hosts.push(Host {
                name: Arc::clone(name),
                settings: Settings::default(),
                files: Settings::default(),
            });
            self.hosts.len() - 1
        });
        &mut self.hosts[at]
    }

    /// Returns a group to be changed; it is added if it is not there.
    pub(crate) fn group_mut(&mut self, name: &str) -> &mut Group {
        let at = match self.group_places.get(name) {
            Some(at) => *at,
            None => {
                self.groups.push(Group {
                    name: name.to_owned(),
                    members: Vec::new(),
                    settings: Settings::default(),
                    files: Settings::default(),
                    source: None,
                });
                self.group_places
                    .insert(name.to_owned(), self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        &mut self.groups[at]
    }

    /// Takes the hosts that a pattern stands for, with the settings of each.
    ///
    /// # Errors
    /// The pattern is none, or there are too many hosts by then.
    pub(crate) fn add_hosts(
        &mut self,
        pattern: &str,
        dialect: Dialect,
        settings: &Settings,
        place: &Place,
    ) -> Result<Vec<Arc<str>>, InventoryError> {
        let bad = |error: NodeSetError| InventoryError {
            place: place.clone(),
            reason: error.to_string(),
        };
        let parsed = Pattern::parse(pattern, dialect).map_err(bad)?;
        parsed.check_count(pattern, self.hosts_max).map_err(bad)?;
        let mut names: Vec<Arc<str>> = Vec::new();
        parsed.each(&mut |name| names.push(name.into()));
        self.expanded += names.len();
        for name in &names {
            self.host_mut(name).settings.extend(settings);
        }
        let max = self.hosts_max;
        if self.hosts.len() > max || self.expanded > max.saturating_mul(NAMED_MAX) {
            let reason = format!(
                "with {pattern:?} there are more than {max} hosts, or they are named too often"
            );
            let place = place.clone();
            return Err(InventoryError { place, reason });
        }
        Ok(names)
    }
}

/// How often the most hosts can be named.
const NAMED_MAX: usize = 8;

/// The most hosts of one list: room for a million, and not for a range with a digit too many.
pub const HOSTS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests;
