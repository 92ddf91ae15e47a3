//! What the user typed about files to copy.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Command, ValueEnum};

use super::show::parse_bytes;
use super::{AccessArgs, FarArgs, JournalArgs, PaceArgs, TellArgs, WhomArgs, parse_count};
use crate::size;

// Help has no {n}: clap takes it for a line's end.

/// The arguments of `sshoal put`.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
    /// Writes the files as another user by sudo, where SFTP's user may not [default user: root]; for
    /// files alone
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "root", env = "SSHOAL_SUDO")]
    #[arg(help_heading = "How to copy")]
    pub(crate) sudo: Option<String>,
    /// Asks once for the password that sudo asks for; without it, sudo may not ask
    #[arg(long, env = "SSHOAL_ASK_SUDO", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "How to copy")]
    pub(crate) ask_sudo: bool,
    /// What to copy, and last where to on each host: a path that ends in / keeps the names
    #[arg(value_names = ["SRC", "DEST"], num_args = 1..)]
    pub(crate) paths: Vec<OsString>,
}

/// The arguments of `sshoal get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
    /// Path of each host's copy in DEST: of {host}, which is unlike for all hosts, {path} and {file}
    /// of SRC, {user}, {port}, {total} and, for n in braces, the host's number from 0; or the name of a
    /// program whose names are used: pssh, parallel-ssh, clush [default: {host}/{path}]
    #[arg(long, value_name = "TEMPLATE", env = "SSHOAL_NAME")]
    #[arg(help_heading = "What to call it")]
    pub(crate) name: Option<OsString>,
    /// Takes no more than this of a file, nor of all files of a directory with -r [default: of a file
    /// what the host says that it has, of one without a size and of a directory 64Gi]
    #[arg(long, value_name = "BYTES", env = "SSHOAL_MAX_BYTES", value_parser = parse_max_bytes)]
    #[arg(help_heading = "How to copy")]
    pub(crate) max_bytes: Option<NonZeroU64>,
    /// Directory of the copies, which are DIR/{host}/DEST, as pslurp has them
    #[arg(short = 'L', long, value_name = "DIR", env = "SSHOAL_LOCALDIR")]
    #[arg(conflicts_with = "name", help_heading = "What to call it")]
    pub(crate) localdir: Option<PathBuf>,
    /// What to copy of each host, and last the directory here that the copies go to
    #[arg(value_names = ["SRC", "DEST"], num_args = 1..)]
    pub(crate) paths: Vec<OsString>,
}

/// The arguments of `sshoal sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
    /// Deletes what only the host has, when all else was copied
    #[arg(long, env = "SSHOAL_DELETE", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to keep in step")]
    pub(crate) delete: bool,
    /// Leaves out, and does not delete, what fits a pattern: a name, or with a / in it a path from
    /// SRC on; may repeat
    #[arg(long, value_name = "GLOB", env = "SSHOAL_EXCLUDE")]
    #[arg(help_heading = "What to keep in step")]
    pub(crate) exclude: Vec<OsString>,
    /// Writes a line for each change to standard output: HOST, what was done, and the path
    #[arg(long, env = "SSHOAL_ITEMIZE", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to keep in step")]
    pub(crate) itemize: bool,
    /// Compares files by SHA-256, and not by size and time of change
    #[arg(long, env = "SSHOAL_CHECKSUM", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "What to keep in step")]
    pub(crate) checksum: bool,
    /// The directory here, and the one of each host that becomes equal to it
    #[arg(value_names = ["SRC", "DEST"], num_args = 1..)]
    pub(crate) paths: Vec<OsString>,
}

/// What all copies have.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) flow: FlowArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
    #[command(flatten)]
    pub(crate) far: FarArgs,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// Fills {host}, {user}, {port}, {total}, the inventory's variables and, for n in braces, the
    /// number from 0 in the paths for each host, as they are; {{ and }} are braces
    #[arg(long, env = "SSHOAL_TEMPLATE", value_parser = FalseyValueParser::new())]
    pub(crate) template: bool,
    /// Shows what would be copied where, and copies nothing; sync asks the hosts what they have
    #[arg(short = 'n', long, env = "SSHOAL_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
}

/// How fast files move.
#[derive(Debug, Args)]
#[command(next_help_heading = "How fast, how long")]
pub(crate) struct FlowArgs {
    /// Files under way at once over the whole fleet [default: no limit but the sessions']
    #[arg(long, value_name = "N", env = "SSHOAL_TRANSFERS", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) transfers: Option<NonZeroUsize>,
    /// Bytes a second at most, as 10M, over the whole fleet or, as 500k/host, of each host; may
    /// repeat [default: no limit]
    #[arg(long, value_name = "RATE[/host]", env = "SSHOAL_BANDWIDTH", value_parser = parse_bandwidth)]
    pub(crate) bandwidth: Vec<Bandwidth>,
    /// Gives a host up whose copies move fewer bytes a second than this over 10 seconds, or over
    /// the seconds behind a slash, as in 50k/30 [default: no limit]
    #[arg(long, value_name = "RATE[/S]", env = "SSHOAL_MIN_RATE", value_parser = parse_min_rate)]
    pub(crate) min_rate: Option<MinRate>,
}

/// How files are copied.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to copy")]
pub(crate) struct HowArgs {
    /// Copies directories with all that is in them
    #[arg(short = 'r', long, env = "SSHOAL_RECURSIVE", value_parser = FalseyValueParser::new())]
    pub(crate) recursive: bool,
    /// Copies by scp, for hosts without SFTP; on a host a file that is there is then never
    /// overwritten, and of directories links are not copied by put and followed by get
    #[arg(long, env = "SSHOAL_SCP", value_parser = FalseyValueParser::new())]
    pub(crate) scp: bool,
    /// With -r, copies each directory in one stream through the host's tar, which is faster for
    /// many small files
    #[arg(long, env = "SSHOAL_TAR", value_parser = FalseyValueParser::new())]
    pub(crate) tar: bool,
    /// Overwrites files that are there, each all at once (the default over SFTP)
    #[arg(long, env = "SSHOAL_OVERWRITE", value_parser = FalseyValueParser::new())]
    #[arg(overrides_with_all = ["keep", "no_clobber"])]
    pub(crate) overwrite: bool,
    /// Keeps files that are there, which is no failure
    #[arg(long, env = "SSHOAL_KEEP", value_parser = FalseyValueParser::new())]
    #[arg(overrides_with_all = ["overwrite", "no_clobber"])]
    pub(crate) keep: bool,
    /// Fails where a file is there (the default with --scp)
    #[arg(long, env = "SSHOAL_NO_CLOBBER", value_parser = FalseyValueParser::new())]
    #[arg(overrides_with_all = ["overwrite", "keep"])]
    pub(crate) no_clobber: bool,
    /// Keeps permissions and times [default: permissions, less the umask of where the copy is made]
    #[arg(short = 'a', long, env = "SSHOAL_PRESERVE", value_parser = FalseyValueParser::new())]
    pub(crate) preserve: bool,
    /// Symbolic links in directories: skip them, or copy those that stay inside [default: skip]
    #[arg(long, value_name = "HOW", env = "SSHOAL_LINKS")]
    pub(crate) links: Option<LinksArg>,
    /// Compares each copy's SHA-256 before it gets its name; sizes are always compared
    #[arg(long, env = "SSHOAL_VERIFY", value_parser = FalseyValueParser::new())]
    pub(crate) verify: bool,
    /// Goes on with copies that were cut short, and leaves what it has where it is cut short itself
    #[arg(long, env = "SSHOAL_RESUME", value_parser = FalseyValueParser::new())]
    pub(crate) resume: bool,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinksArg {
    /// They are left out
    Skip,
    /// Those that lead to something in the directory are made as links
    Copy,
}

/// A bound of bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bandwidth {
    /// Of all hosts together.
    All(NonZeroU64),
    /// Of each host.
    Host(NonZeroU64),
}

/// The fewest bytes a second, and over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinRate {
    pub(crate) bytes_per_second: u64,
    pub(crate) window: Duration,
}

impl CopyArgs {
    /// Returns whom, how to get in, and how fast.
    pub(super) fn common(&mut self) -> (&mut WhomArgs, &mut AccessArgs, &mut PaceArgs) {
        (&mut self.whom, &mut self.access, &mut self.pace)
    }
}

/// Leaves out of the help of `sync` what it refuses, or does anyway.
pub(super) fn without_what_sync_refuses(command: Command) -> Command {
    let others = [
        "recursive",
        "scp",
        "tar",
        "overwrite",
        "keep",
        "no_clobber",
        "preserve",
    ];
    command.mut_subcommand("sync", |sync| {
        others.into_iter().fold(sync, |sync, other| {
            sync.mut_arg(other, |arg| arg.hide(true))
        })
    })
}

fn parse_max_bytes(text: &str) -> Result<NonZeroU64, String> {
    let bytes = NonZeroU64::new(parse_bytes(text)?);
    bytes.ok_or_else(|| "no copy would be made; write 1 at least".to_owned())
}

fn parse_bandwidth(text: &str) -> Result<Bandwidth, String> {
    let (rate, each) = match text.strip_suffix("/host") {
        Some(rate) => (rate, true),
        None => (text, false),
    };
    let rate = size::parse(rate).and_then(NonZeroU64::new);
    let rate = rate.ok_or("write bytes a second, as 10M, or of each host, as 500k/host")?;
    Ok(if each {
        Bandwidth::Host(rate)
    } else {
        Bandwidth::All(rate)
    })
}

fn parse_min_rate(text: &str) -> Result<MinRate, String> {
    let (rate, window) = match text.split_once('/') {
        Some((rate, seconds)) => (rate, seconds.parse().ok()),
        None => (text, Some(WINDOW_SECONDS)),
    };
    let rate = size::parse(rate).filter(|rate| *rate > 0);
    let window = window.filter(|seconds| (1..=3600).contains(seconds));
    let (Some(bytes_per_second), Some(seconds)) = (rate, window) else {
        return Err("write bytes a second, as 50k, and if need be over how long, as 50k/30".into());
    };
    Ok(MinRate {
        bytes_per_second,
        window: Duration::from_secs(seconds),
    })
}

/// Over how long a rate is too low, unless it is said.
const WINDOW_SECONDS: u64 = 10;

pub(super) const PUT_USAGE: &str = "sshoal put [OPTIONS] SRC... DEST";
pub(super) const GET_USAGE: &str = "sshoal get [OPTIONS] SRC... DEST";
pub(super) const SYNC_USAGE: &str = "sshoal sync [OPTIONS] SRC DEST";

pub(super) const PUT_EXAMPLES: &str = "\
Examples:
  sshoal put -h hosts.txt motd /etc/motd
  sshoal put -h hosts.txt a.conf b.conf /etc/app/        # both keep their names
  sshoal put -h hosts.txt -r site /srv/site              # what is in site goes into /srv/site
  sshoal put -h hosts.txt -r --tar node_modules /srv/app/node_modules   # many small files
  sshoal put -h hosts.txt -k --sudo app.conf /etc/app.conf   # no more hosts after one that fails
  sshoal put -h hosts.txt --resume --bandwidth 50M image.iso /srv/   # again after an interruption
  sshoal put -h hosts.txt --template keys/{host}.key /etc/app/key

A file goes to DEST, or into it if it ends in / or is a directory there. A directory's content goes \
into DEST, or into DEST/NAME if DEST ends in / or there are several SRC. Directories on the way \
to it that are missing are made. Paths without a / at their begin are from the login directory on. \
Each file is written under a temporary name and renamed. \
Files that are there are overwritten, unless --keep or --no-clobber is given, or --scp, which fails. \
Rates are bytes: k, M and G are thousands, Ki, Mi and Gi are 1024s.

Exit codes: 0 all good, 2 usage or an unreadable SRC (nothing was copied), 3 a time limit or \
--min-rate ended a host's copies, 4 a host could not be reached or some file not be copied, \
7 stopped by -k or --max-fail, 129 hung up, 130 interrupted, 143 terminated, 1 internal.";

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  sshoal get -h hosts.txt /etc/hosts out                 # out/web1/etc/hosts and so on
  sshoal get -h hosts.txt -r /var/log/app logs --name '{host}'     # what is in it, in logs/web1
  sshoal get -h hosts.txt -r --tar --max-fail 10% /srv/data data   # in one stream for each host
  sshoal get -h hosts.txt --name clush /etc/motd out     # out/motd.web1
  sshoal get -h hosts.txt --name parallel-ssh /etc/motd motd     # motd_web1
  sshoal get -h hosts.txt -L out /etc/motd motd          # out/web1/motd

No two hosts may write one path: that is told before anything is copied. {host} is the host as it is \
listed, with / and what is no plain character written as %XX, and #2, #3 at one that is listed again. \
With --template, a DEST with a placeholder is the whole path, unless there is a --name or an -L. \
Rates are bytes: k, M and G are thousands, Ki, Mi and Gi are 1024s.

Exit codes: 0 all good, 2 usage (nothing was copied), 3 a time limit or --min-rate ended a host's \
copies, 4 a host could not be reached or some file not be copied, 7 stopped by -k or --max-fail, \
129 hung up, 130 interrupted, 143 terminated, 1 internal.";

pub(super) const SYNC_EXAMPLES: &str = "\
Examples:
  sshoal sync -h hosts.txt site /srv/site
  sshoal sync -h hosts.txt --delete --exclude '*.log' --itemize site /srv/site
  sshoal sync -h hosts.txt -n --itemize site /srv/site   # what it would do

What is in SRC goes into DEST, or into DEST/NAME if DEST ends in /. Files of one size and time of \
change are equal and not copied; others are copied whole. Times and permissions are kept. \
A line of --itemize is HOST<tab>copy|mkdir|link|delete<tab>PATH, with what is no plain character as \
\\xXX.

Exit codes: 0 all good, 2 usage or an unreadable SRC (nothing was copied), 3 a time limit or \
--min-rate ended a host's copies, 4 a host could not be reached or some file not be copied, \
7 stopped by -k or --max-fail, 129 hung up, 130 interrupted, 143 terminated, 1 internal.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_for_all_or_for_each_host() {
        let bytes = |count| NonZeroU64::new(count).unwrap();
        let parsed = parse_bandwidth("10M");
        assert_eq!(parsed, Ok(Bandwidth::All(bytes(10_000_000))));
        let parsed = parse_bandwidth("500k/host");
        assert_eq!(parsed, Ok(Bandwidth::Host(bytes(500_000))));
        for wrong in ["", "0", "-1", "10M/all", "/host", "ten"] {
            assert!(parse_bandwidth(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_lowest_rate_is_over_a_window() {
        let of =
            |text| parse_min_rate(text).map(|min| (min.bytes_per_second, min.window.as_secs()));
        assert_eq!(of("50k"), Ok((50_000, 10)));
        assert_eq!(of("1Ki/30"), Ok((1024, 30)));
        for wrong in ["0", "5k/0", "5k/", "5k/host", "x/3"] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
