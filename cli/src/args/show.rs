//! What to see of a run, as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::inherited;
use crate::size;

/// What to see.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to see")]
pub(crate) struct ShowArgs {
    /// Shows each host's output when it has finished
    #[arg(short = 'i', long, env = "SSHOAL_INLINE", value_parser = FalseyValueParser::new())]
    pub(crate) inline: bool,
    /// As --inline, without standard error
    #[arg(long, env = "SSHOAL_INLINE_STDOUT", value_parser = FalseyValueParser::new())]
    pub(crate) inline_stdout: bool,
    /// Shows output as it comes, each complete line after its host's name; one of more than 64 KiB in
    /// several lines
    #[arg(short = 'P', long, env = "SSHOAL_PRINT", value_parser = FalseyValueParser::new())]
    pub(crate) print: bool,
    /// Leaves out status lines, the headings of what is gathered, and the names before lines
    #[arg(long, env = "SSHOAL_NO_HEADERS", value_parser = FalseyValueParser::new())]
    pub(crate) no_headers: bool,
    /// Writes each host's standard output to a file of its own
    #[arg(short = 'o', long, value_name = "DIR", env = "SSHOAL_OUTDIR")]
    pub(crate) outdir: Option<PathBuf>,
    /// Writes each host's standard error to a file of its own
    #[arg(short = 'e', long, value_name = "DIR", env = "SSHOAL_ERRDIR")]
    pub(crate) errdir: Option<PathBuf>,
    /// Adds to the files of -o and -e that are there, in place of writing them anew
    #[arg(long, env = "SSHOAL_FILEAPPEND", value_parser = FalseyValueParser::new())]
    pub(crate) fileappend: bool,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    /// Lets host bytes reach the terminal as they are, escape sequences and all
    #[arg(long, env = "SSHOAL_RAW", value_parser = FalseyValueParser::new())]
    pub(crate) raw: bool,
}

/// What is told of the hosts, whatever they do.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to see")]
pub(crate) struct TellArgs {
    /// Writes one JSON object per host, `-` for standard output
    #[arg(long, value_name = "FILE", env = "SSHOAL_JSONL")]
    pub(crate) jsonl: Option<PathBuf>,
    /// Writes one JSON object per event of each host, `-` for standard output
    #[arg(long, value_name = "FILE", env = "SSHOAL_EVENTS")]
    pub(crate) events: Option<PathBuf>,
    /// Writes the hosts that failed, or were not begun, to a hosts file
    #[arg(long, value_name = "FILE", env = "SSHOAL_FAILED_TO")]
    pub(crate) failed_to: Option<PathBuf>,
    /// Writes the hosts that ended well to a hosts file
    #[arg(long, value_name = "FILE", env = "SSHOAL_OK_TO")]
    pub(crate) ok_to: Option<PathBuf>,
    /// Says only what failed
    #[arg(short = 'q', long, env = "SSHOAL_QUIET", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Adds the time of each phase to the status lines and the summary, repeated attempts, and of copies
    /// what was skipped and all that failed
    #[arg(short = 'v', long, env = "SSHOAL_VERBOSE", value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
    /// Ends with a full summary, even with --quiet: counts, failed hosts, percentiles of each phase,
    /// the slowest hosts
    #[arg(long, env = "SSHOAL_SUMMARY", value_parser = FalseyValueParser::new())]
    #[arg(overrides_with = "no_summary")]
    pub(crate) summary: bool,
    /// Ends without a summary
    #[arg(long, env = "SSHOAL_NO_SUMMARY", value_parser = FalseyValueParser::new())]
    #[arg(overrides_with = "summary")]
    pub(crate) no_summary: bool,
    /// Colours in status lines, headings and names; NO_COLOR and TERM are heeded
    #[arg(
        long,
        value_name = "WHEN",
        env = "SSHOAL_COLOR",
        default_value = "auto"
    )]
    pub(crate) color: ColorArg,
}

impl TellArgs {
    /// Fills in what the environment of pssh says.
    pub(super) fn inherit(&mut self, read: &dyn Fn(&str) -> Option<OsString>) {
        self.verbose |= !self.quiet && inherited::is_verbose(read);
    }
}

/// What to see of the output of commands.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What to see")]
pub(crate) struct OutputArgs {
    /// Shows equal outputs once, at the end, under the names of their hosts, the most common first;
    /// of hosts that end well there is no status line then, unless with -v or -i
    #[arg(short = 'b', long, env = "SSHOAL_GATHER", value_parser = FalseyValueParser::new())]
    pub(crate) gather: bool,
    /// As --gather, as hosts end: what came within a second is shown together
    #[arg(long, env = "SSHOAL_GATHER_LIVE", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with_all = ["fuzzy", "diff"])]
    pub(crate) gather_live: bool,
    /// As --gather, of outputs that are equal but for numbers, hexadecimal ids, times and the host's
    /// own name; says which hosts stand out
    #[arg(long, env = "SSHOAL_FUZZY", value_parser = FalseyValueParser::new())]
    pub(crate) fuzzy: bool,
    /// Shows what differs from the most common output, as a unified diff; exits with 6 if anything
    /// does
    #[arg(long, env = "SSHOAL_DIFF", value_parser = FalseyValueParser::new())]
    pub(crate) diff: bool,
    /// Collects no more than so many bytes of each stream of each host, as 64Ki, and says where more
    /// came; for -i, -b and --jsonl [default: no limit]
    #[arg(long, value_name = "BYTES", env = "SSHOAL_MAX_OUTPUT", value_parser = parse_bytes)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) max_output: Option<u64>,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal, unless NO_COLOR is set, or TERM is not or is dumb
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "write bytes, as 4096, 64Ki or 1M".to_owned())
}
