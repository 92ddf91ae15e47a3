//! On which hosts: where they are named, and which of them are left.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{FalseyValueParser, Resettable};
use clap::{Args, Command};

use super::{from_this_process, parse_count};

/// On which hosts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Whom")]
pub(crate) struct WhomArgs {
    /// Hosts file, `-` for standard input: `[user@]host[:port]`, a node set or an @group a line, `#`
    /// comments; KEY=VALUE fields after it are ssh_config options for it alone; may repeat
    #[arg(short = 'h', long = "hosts", value_name = "FILE", env = "SSHOAL_HOSTS")]
    pub(crate) hosts_files: Vec<PathBuf>,
    /// Hosts, split at white space; may repeat
    #[arg(short = 'H', long = "host", value_name = "LIST", env = "SSHOAL_HOST")]
    pub(crate) host_lists: Vec<String>,
    /// Hosts as web[01-40,50].eu or @group, put together by `,` (and), `!` (without), `&` (in both)
    /// and `^` (in one of them), from left to right; may repeat
    #[arg(short = 'w', long, value_name = "NODESET", env = "SSHOAL_NODES")]
    pub(crate) nodes: Vec<String>,
    /// Hosts of a group of the inventory, as web or web!old; may repeat
    #[arg(
        long = "group",
        visible_alias = "host-group",
        value_name = "G",
        env = "SSHOAL_GROUP_HOSTS"
    )]
    pub(crate) host_groups: Vec<String>,
    /// Where groups, and what is said of hosts, are: our TOML or YAML, Ansible's INI, YAML or JSON with
    /// the group_vars/ and host_vars/ beside it, ClusterShell's group files or groups.conf with the
    /// files and commands that it names, an ssh_config; may repeat
    /// [default: ~/.config/sshoal/hosts.toml]
    #[arg(long = "inventory", value_name = "FILE", env = "SSHOAL_INVENTORY")]
    pub(crate) inventories: Vec<PathBuf>,
    /// Command whose output is an inventory in any of these forms, or hosts, one a line; may repeat
    #[arg(
        long = "inventory-cmd",
        value_name = "CMD",
        env = "SSHOAL_INVENTORY_CMD"
    )]
    pub(crate) inventory_commands: Vec<String>,
    /// Leaves out the hosts of a node set; may repeat
    #[arg(
        long = "exclude",
        visible_alias = "exclude-hosts",
        value_name = "NODESET"
    )]
    #[arg(env = "SSHOAL_EXCLUDE_HOSTS")]
    pub(crate) excluded_hosts: Vec<String>,
    /// Leaves only hosts that match a shell pattern, such as 'web*.eu'; may repeat
    #[arg(
        short = 'g',
        long = "host-glob",
        value_name = "PATTERN",
        env = "SSHOAL_HOST_GLOB"
    )]
    pub(crate) host_globs: Vec<String>,
    /// Leaves only hosts of an expression over hosts, groups and patterns, as in Ansible:
    /// 'web:&prod:!web3'
    #[arg(
        long,
        value_name = "EXPR",
        env = "SSHOAL_LIMIT",
        allow_hyphen_values = true
    )]
    pub(crate) limit: Option<String>,
    /// Leaves N hosts, chosen at random
    #[arg(long, value_name = "N", env = "SSHOAL_PICK", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) pick: Option<NonZeroUsize>,
    /// Leaves every Nth host from the Ith on: 1/3, 2/3 and 3/3 are all of them
    #[arg(
        long,
        value_name = "I/N",
        env = "SSHOAL_SHARD",
        allow_hyphen_values = true
    )]
    pub(crate) shard: Option<Shard>,
    /// Takes a host that is named twice once, as it was named first
    #[arg(long, env = "SSHOAL_UNIQUE", value_parser = FalseyValueParser::new())]
    pub(crate) unique: bool,
    /// Which of those that name hosts were not typed.
    #[arg(skip)]
    untyped: Vec<&'static str>,
}

impl WhomArgs {
    /// Whether nothing names hosts.
    pub(crate) fn names_nobody(&self) -> bool {
        self.hosts_files.is_empty()
            && self.host_lists.is_empty()
            && self.nodes.is_empty()
            && self.host_groups.is_empty()
    }

    /// Returns what an error calls the flag by: the variable in its place, where that has said it.
    pub(crate) fn called(&self, flag: &'static str) -> &'static str {
        let of_flag = |(own, ..): &&(&str, &str, &str)| *own == flag;
        match NAMING.iter().find(of_flag) {
            Some((_, id, variable))
                if self.untyped.contains(id) && from_this_process(variable).is_some() =>
            {
                variable
            }
            _ => flag,
        }
    }

    /// Has the command line replace what the environment says, and not add to it: where one of these
    /// was typed, the others count only if they were, too.
    pub(super) fn without_weaker(&mut self, is_from_environment: impl Fn(&str) -> bool) {
        let from = |id: &str| is_from_environment(id);
        let untyped = NAMING.iter().map(|(_, id, _)| *id).filter(|id| from(id));
        self.untyped = untyped.collect();
        let typed = |named: bool, id: &str| named && !from(id);
        let any = typed(!self.hosts_files.is_empty(), "hosts_files")
            || typed(!self.host_lists.is_empty(), "host_lists")
            || typed(!self.nodes.is_empty(), "nodes")
            || typed(!self.host_groups.is_empty(), "host_groups");
        if any {
            let lists = [
                (&mut self.host_lists, "host_lists"),
                (&mut self.nodes, "nodes"),
                (&mut self.host_groups, "host_groups"),
            ];
            let weak = lists.into_iter().filter(|(_, id)| from(id));
            weak.for_each(|(list, _)| list.clear());
            if from("hosts_files") {
                self.hosts_files.clear();
            }
        }
        let (files, commands) = ("inventories", "inventory_commands");
        if typed(!self.inventories.is_empty(), files) && from(commands) {
            self.inventory_commands.clear();
        }
        if typed(!self.inventory_commands.is_empty(), commands) && from(files) {
            self.inventories.clear();
        }
    }
}

/// The flags that name hosts, with their ids and variables.
const NAMING: [(&str, &str, &str); 4] = [
    ("-h", "hosts_files", "SSHOAL_HOSTS"),
    ("-H", "host_lists", "SSHOAL_HOST"),
    ("-w", "nodes", "SSHOAL_NODES"),
    ("--group", "host_groups", "SSHOAL_GROUP_HOSTS"),
];

/// One part of the hosts: the `index`th of `count`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<NonZeroUsize>().ok().map(NonZeroUsize::get);
        let parts = text
            .split_once('/')
            .map(|(index, count)| (number(index), number(count)));
        match parts {
            Some((Some(index), Some(count))) if index <= count => Ok(Self { index, count }),
            _ => Err("write I/N with I from 1 to N, as 1/3".to_owned()),
        }
    }
}

/// Gives the flags other names where a sub-command has flags of these names for other things.
pub(super) fn apart(command: Command) -> Command {
    let only = |id: &'static str, long: &'static str| {
        move |command: Command| {
            command.mut_arg(id, |arg| arg.long(long).visible_alias(Resettable::Reset))
        }
    };
    command
        .mut_subcommand("sync", only("excluded_hosts", "exclude-hosts"))
        .mut_subcommand("fs", only("host_groups", "host-group"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, count: 3 }));
        for wrong in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/3", "1/3/4"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong:?} was taken");
        }
    }
}
