//! What the user typed behind `sshoal demo`.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use super::parse_count;

/// The arguments of `sshoal demo`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true,
    override_usage = "sshoal demo [OPTIONS] [COMMAND]...\n       sshoal demo up [--count N]"
)]
pub(crate) struct DemoArgs {
    #[command(subcommand)]
    pub(crate) action: Option<DemoAction>,
    /// Hosts in the fleet
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true, env = "SSHOAL_COUNT")]
    pub(crate) count: NonZeroUsize,
    /// Sessions at once [default: the hosts, at most 512 and what this machine allows]
    #[arg(short = 'p', long, value_name = "N", env = "SSHOAL_PAR", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) par: Option<NonZeroUsize>,
    /// The command, one that the fleet knows: echo, true, false, sleep, cat, yes, exit, hostname,
    /// uname [default: uname]
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What the demo can do besides running a command.
#[derive(Debug, Subcommand)]
pub(crate) enum DemoAction {
    /// Keeps the fleet running until Ctrl-C, and says where its hosts file and key are
    Up {
        /// Hosts in the fleet
        #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
        #[arg(env = "SSHOAL_COUNT")]
        count: Option<NonZeroUsize>,
    },
}
