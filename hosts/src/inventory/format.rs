//! Which program's inventory a file is.

use super::file::File;
use super::{ansible, ansible_ini, clustershell, own, ssh_config};
use crate::error::InventoryError;
use crate::inventory::Inventory;
use crate::node::{self, Kind, Node};

impl Inventory {
    /// Adds what a file has. Which program's it is its name and its text say: our own (TOML or
    /// YAML), Ansible's (INI, YAML, or the JSON of its scripts), ClusterShell's (lines or YAML), an
    /// ssh_config, or hosts, one a line. `origin` names the file in errors.
    ///
    /// Our own has three tables, none of which has to be there. A group is an expression, a list of
    /// them, or a table with `hosts` and with what `hosts` can say of a node set:
    ///
    /// ```toml
    /// [vars]
    /// site = "north"
    ///
    /// [groups]
    /// web = "web[01-40].eu"
    /// db = ["db[1-2]", "@web&web0*"]
    ///
    /// [groups.edge]
    /// hosts = "@web!web07.eu"
    /// port = 2222
    /// vars = { role = "edge" }
    ///
    /// [hosts."web[01-02].eu"]
    /// address = "10.0.0.1"
    /// user = "deploy"
    /// identity = "~/.ssh/edge"
    /// options = { Compression = "yes" }
    /// ```
    ///
    /// Where files speak of the same host or group, members add up, and the later one's settings
    /// take the place of the earlier one's.
    ///
    /// Returns whose it was.
    ///
    /// # Errors
    /// The file is none of these, or has a mistake; this inventory is of no use then.
    ///
    /// # Examples
    /// ```
    /// use sshoal_hosts::{Inventory, Words};
    ///
    /// let mut inventory = Inventory::default();
    /// inventory.read("[web]\nweb[01:03].eu ansible_port=2222\n", "hosts.ini")?;
    /// let selector = inventory.selector();
    /// assert_eq!(selector.select("@web!web02.eu", Words::Hosts)?, ["web01.eu", "web03.eu"]);
    /// assert_eq!(selector.settings("web01.eu")?.options["Port"].text, "2222");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(
        &mut self,
        text: impl AsRef<[u8]>,
        origin: &str,
    ) -> Result<Program, InventoryError> {
        let file = File(origin.into());
        let text = file.text(text.as_ref())?;
        let tree = |tree: Result<Node, node::Fault>| tree.map_err(|fault| file.fault(fault));
        match Form::of(text, origin) {
            Form::Toml => {
                own::read(&tree(node::toml(text))?, &file, self).map(|()| Program::Sshoal)
            }
            Form::Json => self.read_tree(&tree(node::json(text))?, &file),
            Form::Yaml => self.read_tree(&tree(node::yaml(text))?, &file),
            Form::SshConfig => ssh_config::read(text, &file, self).map(|()| Program::OpenSsh),
            Form::GroupLines => {
                clustershell::lines(text, &file, self).map(|()| Program::ClusterShell)
            }
            Form::Ini => ansible_ini::read(text, &file, self).map(|()| Program::Ansible),
        }
    }

    /// Adds the variables that a file of `group_vars/` or `host_vars/` has, YAML or JSON. They rank as
    /// in Ansible: those of `all` above what inventories say of groups, those of groups above them,
    /// and those of a host above all.
    ///
    /// # Errors
    /// The file has a mistake. One that is encrypted is left out with a notice.
    ///
    /// # Examples
    /// ```
    /// use sshoal_hosts::{Inventory, VarsOf};
    ///
    /// let mut inventory = Inventory::default();
    /// inventory.read("[web]\nweb1\n[web:vars]\nrack=a\n", "hosts.ini")?;
    /// inventory.read_vars(VarsOf::Group("web"), "rack: b\n", "group_vars/web.yml")?;
    /// assert_eq!(inventory.selector().settings("web1")?.variables["rack"].text, "b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_vars(
        &mut self,
        of: VarsOf<'_>,
        text: impl AsRef<[u8]>,
        origin: &str,
    ) -> Result<(), InventoryError> {
        let file = File(origin.into());
        let text = file.text(text.as_ref())?;
        if text.starts_with("$ANSIBLE_VAULT") {
            let notice = format!("{origin}: it is encrypted by ansible-vault, and left out");
            self.notices.push(notice);
            return Ok(());
        }
        let root = match origin.ends_with(".json") {
            true => node::json(text),
            false => node::yaml(text),
        };
        let root = root.map_err(|fault| file.fault(fault))?;
        let said = ansible::variables(&root, &file, self)?;
        match of {
            VarsOf::Group("all") => self.everywhere_files.extend(&said),
            VarsOf::Group(name) => self.group_mut(name).files.extend(&said),
            VarsOf::Host(name) => self.host_mut(&name.into()).files.extend(&said),
        }
        Ok(())
    }

    fn read_tree(&mut self, root: &Node, file: &File) -> Result<Program, InventoryError> {
        let entries = match &root.kind {
            Kind::Table(entries) => entries,
            Kind::Nothing => return Ok(Program::Sshoal),
            _ => {
                return Err(file.error(
                    root.line,
                    format!("the file is {}, and has to be a table", root.what()),
                ));
            }
        };
        let is_own = entries
            .iter()
            .all(|entry| matches!(entry.key.as_str(), "vars" | "hosts" | "groups"));
        if is_own {
            own::read(root, file, self).map(|()| Program::Sshoal)
        } else if ansible::is_it(root) || entries.iter().any(|entry| entry.key == "plugin") {
            ansible::tree(root, file, self).map(|()| Program::Ansible)
        } else {
            clustershell::tree(root, file, self).map(|()| Program::ClusterShell)
        }
    }
}

/// Whose inventory a file was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// Our own.
    Sshoal,
    /// Ansible's, or hosts, one a line.
    Ansible,
    /// ClusterShell's.
    ClusterShell,
    /// An ssh_config.
    OpenSsh,
}

/// Of whom a file of variables speaks, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VarsOf<'a> {
    /// The hosts of a group, or all of them if it is `all`.
    Group(&'a str),
    /// One host.
    Host(&'a str),
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Toml,
    Json,
    Yaml,
    SshConfig,
    /// `group: node set`.
    GroupLines,
    Ini,
}

impl Form {
    fn of(text: &str, origin: &str) -> Self {
        let name = origin.rsplit('/').next().unwrap_or(origin);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "toml" => return Self::Toml,
            "json" => return Self::Json,
            "yaml" | "yml" => return Self::Yaml,
            "ini" => return Self::Ini,
            _ => {}
        }
        let said = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
        let first = text.lines().map(str::trim).find(said).unwrap_or_default();
        if first.starts_with('{') {
            Self::Json
        } else if first == "---" || first.starts_with("--- ") || first.starts_with("%YAML") {
            Self::Yaml
        } else if ssh_config::is_it(text) {
            Self::SshConfig
        } else if clustershell::is_lines(text) {
            Self::GroupLines
        } else if is_block(first) {
            Self::Yaml
        } else {
            Self::Ini
        }
    }
}

/// Whether a line begins a block of YAML, as `all:`.
fn is_block(line: &str) -> bool {
    let key = line.strip_suffix(':');
    key.is_some_and(|key| {
        !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "[]@:".contains(c))
    })
}
