//! What the user typed after `sshoal fs`.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Command, Subcommand};

use super::show::parse_bytes;
use super::{AccessArgs, FarArgs, PaceArgs, ShowArgs, WhomArgs};

/// The arguments of `sshoal fs`, which may stand before and behind its verb.
#[derive(Debug, Args)]
pub(crate) struct FsArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) far: FarArgs,
    /// Shows equal outputs once, at the end, under the names of their hosts (the default for
    /// several hosts)
    #[arg(short = 'b', long, env = "SSHOAL_GATHER", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with_all = ["inline", "inline_stdout", "print"], help_heading = "What to see")]
    pub(crate) gather: bool,
    /// As --gather, of outputs that are equal but for numbers, hexadecimal ids, times and the host's
    /// own name; says which hosts stand out
    #[arg(long, env = "SSHOAL_FUZZY", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with_all = ["inline", "inline_stdout", "print"], help_heading = "What to see")]
    pub(crate) fuzzy: bool,
    /// Works as another user, by commands under sudo in place of SFTP [default user: root]
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "root", env = "SSHOAL_SUDO")]
    pub(crate) sudo: Option<String>,
    /// Asks once for the password that sudo asks for; without it, sudo may not ask
    #[arg(long, env = "SSHOAL_ASK_SUDO", value_parser = FalseyValueParser::new())]
    pub(crate) ask_sudo: bool,
    /// Looks at the hosts, shows what would be done, and changes nothing
    #[arg(short = 'n', long, env = "SSHOAL_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    #[command(subcommand)]
    pub(crate) verb: FsVerb,
}

/// What is done on each host.
#[derive(Debug, Subcommand)]
pub(crate) enum FsVerb {
    /// Shows a file
    Read {
        /// Refuses larger files
        #[arg(long, value_name = "BYTES", env = "SSHOAL_MAX_BYTES", default_value_t = READ_BYTES)]
        #[arg(value_parser = parse_bytes)]
        max_bytes: u64,
        path: OsString,
    },
    /// Writes a file, whole or not at all, and only where that changes something
    Write(WriteArgs),
    /// Writes behind the end of a file, which is made where there is none
    Append {
        #[command(flatten)]
        content: ContentArgs,
    },
    /// Shows mode, owner, size and path; of a link, the link itself
    Stat {
        #[command(flatten)]
        long: TimesArgs,
        /// Follows links
        #[arg(short = 'L', long, env = "SSHOAL_DEREFERENCE", value_parser = FalseyValueParser::new())]
        dereference: bool,
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Says yes or no; a host without it counts as one whose command failed
    Exists { path: OsString },
    /// Lists a directory, sorted
    Ls {
        #[command(flatten)]
        list: ListArgs,
        #[arg(default_value = ".")]
        path: OsString,
    },
    /// Lists a directory with all that is below it, sorted; no link is followed
    Walk {
        #[command(flatten)]
        list: ListArgs,
        /// Refuses larger trees
        #[arg(long, value_name = "N", env = "SSHOAL_MAX_NAMES", default_value_t = WALK_NAMES)]
        max_names: NonZeroUsize,
        path: OsString,
    },
    /// Lists the paths that fit a shell's pattern, sorted; ** is any number of directories
    Glob {
        #[command(flatten)]
        null: NullArgs,
        #[arg(required = true, value_name = "PATTERN")]
        patterns: Vec<OsString>,
    },
    /// Makes directories
    Mkdir {
        /// Makes those above too, and takes one that is there for good
        #[arg(long, env = "SSHOAL_PARENTS", value_parser = FalseyValueParser::new())]
        parents: bool,
        #[command(flatten)]
        dress: DressArgs,
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Removes files and links; what is not there is no failure
    Rm {
        /// Removes directories too, with all that is in them
        #[arg(short = 'r', long, env = "SSHOAL_RECURSIVE", value_parser = FalseyValueParser::new())]
        recursive: bool,
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Gives a file or directory another name, in the place of a file that has it
    Mv { from: OsString, to: OsString },
    /// Makes a link; a symbolic one that says something else is replaced
    Ln {
        /// Makes a symbolic link, which says TARGET as it is
        #[arg(short = 's', long, env = "SSHOAL_SYMBOLIC", value_parser = FalseyValueParser::new())]
        symbolic: bool,
        target: OsString,
        path: OsString,
    },
    /// Sets permissions
    Chmod {
        /// In octal, as 0644
        #[arg(value_parser = parse_mode)]
        mode: u32,
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Sets owner and group
    Chown {
        /// USER, USER:GROUP or :GROUP, by name or number
        #[arg(value_name = "OWNER", value_parser = parse_owner)]
        owner: OwnerArg,
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Sets a file's size
    Truncate {
        path: OsString,
        /// What is beyond is cut off, what is missing are zeros
        #[arg(value_parser = parse_bytes)]
        bytes: u64,
    },
    /// Shows how much room the file system of a path has, in bytes
    Df {
        #[arg(default_value = ".")]
        path: OsString,
    },
    /// Brings a file to have a line, or not to have it
    Line(LineArgs),
}

/// The arguments of `write`.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub(crate) content: ContentArgs,
    #[command(flatten)]
    pub(crate) dress: DressArgs,
    #[command(flatten)]
    pub(crate) diff: DiffArgs,
    /// Keeps a file that is there, which is no failure
    #[arg(long, env = "SSHOAL_KEEP", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "no_clobber")]
    pub(crate) keep: bool,
    /// Fails where a file is there
    #[arg(long, env = "SSHOAL_NO_CLOBBER", value_parser = FalseyValueParser::new())]
    pub(crate) no_clobber: bool,
}

/// The arguments of `line`.
#[derive(Debug, Args)]
pub(crate) struct LineArgs {
    /// Takes the place of the last line in which this regular expression finds something, where
    /// there is one; with --absent and without TEXT, all such lines go
    #[arg(long = "match", value_name = "REGEX", env = "SSHOAL_MATCH")]
    pub(crate) pattern: Option<String>,
    /// Of the lines that --match finds, the first in place of the last
    #[arg(long, env = "SSHOAL_FIRST", value_parser = FalseyValueParser::new())]
    #[arg(requires = "pattern", conflicts_with = "all")]
    pub(crate) first: bool,
    /// Of the lines that --match finds, every one
    #[arg(long, env = "SSHOAL_ALL", value_parser = FalseyValueParser::new())]
    #[arg(requires = "pattern")]
    pub(crate) all: bool,
    /// The line is to go, wherever it is
    #[arg(long, env = "SSHOAL_ABSENT", value_parser = FalseyValueParser::new())]
    pub(crate) absent: bool,
    /// Makes a file that is not there
    #[arg(long, env = "SSHOAL_CREATE", value_parser = FalseyValueParser::new())]
    pub(crate) create: bool,
    /// Takes a line for the same that differs in white space at its ends
    #[arg(long, env = "SSHOAL_IGNORE_SPACE", value_parser = FalseyValueParser::new())]
    pub(crate) ignore_space: bool,
    #[command(flatten)]
    pub(crate) diff: DiffArgs,
    pub(crate) path: OsString,
    /// The line, without its end
    pub(crate) text: Option<OsString>,
}

/// Whether differences are shown.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Shows what changes, or with --dry-run would, as a unified diff; exits with 6 if anything does
    #[arg(long, env = "SSHOAL_DIFF", value_parser = FalseyValueParser::new())]
    pub(crate) diff: bool,
}

/// What is written, and where.
#[derive(Debug, Args)]
pub(crate) struct ContentArgs {
    /// Takes the bytes of a file, `-` for standard input (the default without TEXT)
    #[arg(
        long,
        value_name = "FILE",
        env = "SSHOAL_FROM",
        conflicts_with = "text"
    )]
    pub(crate) from: Option<PathBuf>,
    pub(crate) path: OsString,
    /// What to write; a newline is put behind it
    pub(crate) text: Option<OsString>,
}

/// Permissions and owner.
#[derive(Debug, Args)]
pub(crate) struct DressArgs {
    /// Permissions in octal, as 0640
    #[arg(long, value_name = "MODE", env = "SSHOAL_MODE", value_parser = parse_mode)]
    pub(crate) mode: Option<u32>,
    /// Owner and group, USER, USER:GROUP or :GROUP, by name or number
    #[arg(long, value_name = "OWNER", env = "SSHOAL_OWNER", value_parser = parse_owner)]
    pub(crate) owner: Option<OwnerArg>,
}

/// Whether times are shown.
#[derive(Debug, Args)]
pub(crate) struct TimesArgs {
    /// Shows the time of the last change too
    #[arg(long, env = "SSHOAL_TIMES", value_parser = FalseyValueParser::new())]
    pub(crate) times: bool,
}

/// How names are listed.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Shows mode, owner and size before each name
    #[arg(long, env = "SSHOAL_LONG", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "null")]
    pub(crate) long: bool,
    #[command(flatten)]
    pub(crate) times: TimesArgs,
    #[command(flatten)]
    pub(crate) null: NullArgs,
}

/// How names end.
#[derive(Debug, Args)]
pub(crate) struct NullArgs {
    /// Writes names as they are, each ended by NUL, in place of a line with escapes
    #[arg(short = '0', long, env = "SSHOAL_NULL", value_parser = FalseyValueParser::new())]
    pub(crate) null: bool,
}

/// An owner as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerArg {
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
}

impl FsArgs {
    /// Returns whom, how to get in, and how fast.
    pub(super) fn common(&mut self) -> (&mut WhomArgs, &mut AccessArgs, &mut PaceArgs) {
        (&mut self.whom, &mut self.access, &mut self.pace)
    }
}

/// Has the options of `fs` stand behind its verb too.
pub(super) fn behind_the_verb(command: Command) -> Command {
    command.mut_subcommand("fs", |fs| fs.mut_args(|option| option.global(true)))
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777 && !text.starts_with('+'));
    mode.ok_or_else(|| "write an octal number, as 0644".to_owned())
}

fn parse_owner(text: &str) -> Result<OwnerArg, String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let part = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    match (part(user), part(group)) {
        (None, None) => Err("write USER, USER:GROUP or :GROUP".to_owned()),
        (user, group) => Ok(OwnerArg { user, group }),
    }
}

/// The largest file that is shown, unless more is allowed.
const READ_BYTES: u64 = 16 << 20;
/// The largest tree that is listed, unless more is allowed.
const WALK_NAMES: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("is not 0");

pub(super) const EXAMPLES: &str = "\
Examples:
  sshoal fs stat -h hosts.txt /etc/motd                    # hosts with the same are shown as one
  sshoal fs write -h hosts.txt --diff /etc/motd < motd     # exit code 6 where it changed
  sshoal fs line -h hosts.txt -n --diff --match '^#?Port ' /etc/ssh/sshd_config 'Port 22'
  sshoal fs chmod -h hosts.txt --sudo 0600 /etc/app.key
  sshoal fs rm -h hosts.txt -r /var/cache/app

Paths are from the login directory on. Of one host alone the output is shown as it is, of several \
equal outputs once. Names are shown with \\xNN for what is no plain character, and \\\\ for \\.

Exit codes: 0 all good, 2 usage (nothing was done), 3 a time limit ended a host's work, 4 a host \
could not be reached or refused, 5 `exists` said no, 6 --diff showed something, 7 stopped by failures, \
129 hung up, 130 interrupted, 143 terminated, 1 internal.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("0644"), Ok(0o644));
        assert_eq!(parse_mode("4755"), Ok(0o4755));
        for wrong in ["", "8", "u+x", "10000", "-1", "+644"] {
            assert!(parse_mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn owners_have_a_user_or_a_group() {
        let of = |text| parse_owner(text).map(|owner| (owner.user, owner.group));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("root"), Ok((some("root"), None)));
        assert_eq!(of("0:adm"), Ok((some("0"), some("adm"))));
        assert_eq!(of(":adm"), Ok((None, some("adm"))));
        assert!(of("").is_err() && of(":").is_err());
    }
}
