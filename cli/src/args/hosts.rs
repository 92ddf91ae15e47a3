//! The arguments of `sshoal hosts`.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::{WhomArgs, inherited};

/// Which hosts, and how they are shown.
#[derive(Debug, Args)]
pub(crate) struct HostsArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// Shows one host a line (the default)
    #[arg(long, env = "SSHOAL_EXPAND", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to see", group = "form")]
    pub(crate) expand: bool,
    /// Shows them as one node set, in its order
    #[arg(short = 'f', long, env = "SSHOAL_FOLD", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to see", group = "form")]
    pub(crate) fold: bool,
    /// Shows how many they are
    #[arg(short = 'c', long, env = "SSHOAL_HOSTS_COUNT", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to see", group = "form")]
    pub(crate) count: bool,
    /// Shows the groups of the inventory with their members, folded; with hosts named, those that
    /// have one of them
    #[arg(long, env = "SSHOAL_GROUPS", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to see", group = "form")]
    pub(crate) groups: bool,
    /// Shows one JSON object a line: of each host its name, user, port, groups, options and
    /// variables; of --fold, --count and --groups what they show
    #[arg(long, env = "SSHOAL_JSON", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to see")]
    pub(crate) json: bool,
    /// More node sets, as with -w
    #[arg(value_name = "NODESET")]
    pub(crate) node_sets: Vec<String>,
}

impl HostsArgs {
    /// Weighs the environment against what was typed.
    pub(super) fn settle(&mut self, matches: &ArgMatches, read: &dyn Fn(&str) -> Option<OsString>) {
        let from_environment =
            |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        let typed = !self.node_sets.is_empty();
        // What the environment says of -w is not added to.
        if typed && from_environment("nodes") {
            self.whom.nodes.clear();
        }
        self.whom.nodes.append(&mut self.node_sets);
        self.whom
            .without_weaker(|id| from_environment(id) && !(typed && id == "nodes"));
        inherited::fill_whom(&mut self.whom, read);
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sshoal hosts 'web[01-40,50].eu'
  sshoal hosts -f -h hosts.txt
  sshoal hosts --count --inventory inventory.ini '@web!@old'
  sshoal hosts -f 'web[1-9]&web[5-20]^web7'
  sshoal hosts --inventory prod.toml --groups
  sshoal hosts --inventory prod.toml --group web --json

Exit codes: 0 all good, 2 usage, or no host is left.";
