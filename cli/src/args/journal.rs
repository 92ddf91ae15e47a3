//! What the user typed about journals of runs, and behind `sshoal resume` and `sshoal diff`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory};

use super::{Cli, parse_count};

/// What is kept of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "How far")]
pub(crate) struct JournalArgs {
    /// Keeps the run's journal in a directory: the plan, and how each host ended; no output and no
    /// password [default: $XDG_STATE_HOME/sshoal/runs]
    #[arg(long, value_name = "DIR", env = "SSHOAL_JOURNAL")]
    pub(crate) journal: Option<PathBuf>,
    /// Keeps no journal: the run cannot be resumed, nor compared with another
    #[arg(long, env = "SSHOAL_NO_JOURNAL", value_parser = FalseyValueParser::new())]
    pub(crate) no_journal: bool,
    /// Journals that are kept in the directory; older ones are removed [default: 100]
    #[arg(long, value_name = "N", env = "SSHOAL_JOURNAL_KEEP", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) journal_keep: Option<NonZeroUsize>,
    /// The journal of the run that this one resumes: `sshoal resume` starts it so
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) resumes: Option<PathBuf>,
    /// With --resumes: hosts that failed are run again, too
    #[arg(long, hide = true)]
    pub(crate) redo_failed: bool,
    /// With --resumes: hosts that may have run the command are left out
    #[arg(long, hide = true)]
    pub(crate) skip_started: bool,
}

/// The arguments of `sshoal resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run: its name, the beginning of its name, `last`, or its journal's path
    #[arg(value_name = "RUN", required_unless_present = "list")]
    pub(crate) run: Option<String>,
    /// Shows the runs of which there is a journal, the oldest first
    #[arg(long, env = "SSHOAL_LIST", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with_all = ["run", "redo_failed", "skip_started", "dry_run", "variables"])]
    pub(crate) list: bool,
    /// Goes again to hosts on which the command, or some copy, failed
    #[arg(long, env = "SSHOAL_REDO_FAILED", value_parser = FalseyValueParser::new())]
    pub(crate) redo_failed: bool,
    /// Leaves out hosts that were running the command, or were asked to and had not answered, when the
    /// run ended or they were lost: it may have been done; not for copies, which can be made again
    #[arg(long, env = "SSHOAL_SKIP_STARTED", value_parser = FalseyValueParser::new())]
    pub(crate) skip_started: bool,
    /// Shows what would be done where, and does nothing
    #[arg(short = 'n', long, env = "SSHOAL_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    /// Asks nobody before the run
    #[arg(long, env = "SSHOAL_YES", value_parser = FalseyValueParser::new())]
    pub(crate) yes: bool,
    /// A variable of the run, whose value no journal keeps; may repeat
    #[arg(long = "env", value_name = "NAME=VALUE", env = "SSHOAL_ENV")]
    pub(crate) variables: Vec<OsString>,
    /// Directory of the journals [default: $XDG_STATE_HOME/sshoal/runs]
    #[arg(long, value_name = "DIR", env = "SSHOAL_JOURNAL")]
    pub(crate) journal: Option<PathBuf>,
}

/// The arguments of `sshoal diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A run: its name, the beginning of its name, `last`, or its journal's path
    #[arg(value_name = "RUN")]
    pub(crate) before: String,
    /// The run that it is compared with
    #[arg(value_name = "RUN")]
    pub(crate) after: String,
    /// Directory of the journals [default: $XDG_STATE_HOME/sshoal/runs]
    #[arg(long, value_name = "DIR", env = "SSHOAL_JOURNAL")]
    pub(crate) journal: Option<PathBuf>,
}

/// Returns the variables that say something to a sub-command of which a journal is kept, but for those
/// of other programs.
pub(crate) fn kept_variables() -> Vec<String> {
    let command = Cli::command();
    let kept = KEPT.iter().filter_map(|name| command.find_subcommand(name));
    let names = kept
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env);
    let names: BTreeSet<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.into_iter().collect()
}

/// The sub-commands of which a journal is kept.
const KEPT: [&str; 6] = ["run", "script", "kill", "put", "get", "sync"];

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  sshoal resume --list
  sshoal resume last
  sshoal resume 20260131 --redo-failed

Exit codes: those of run, for the hosts that were run; 0 if nothing is left, 2 if nothing can be \
resumed.";

pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  sshoal diff 20260131-090000-001 last

Exit codes: 0 every host ended alike with the same output in both runs, 6 there are differences, \
2 a journal cannot be read.";
