//! What can be wrong with a configuration: where, which option, what, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::host::HostError;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Origin {
    /// The host as the caller named it: `user@host:port`.
    Host,
    /// An option of the command line (`-O KEY=VALUE`).
    CommandLine,
    /// A line of a file, counted from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line's number.
        line: usize,
    },
    /// A line of a hosts file, counted from 1, for its host alone.
    HostsFile {
        /// The file.
        path: Arc<Path>,
        /// The line's number.
        line: usize,
    },
    /// What holds where nobody said anything.
    #[default]
    Default,
}

impl Origin {
    /// Whether it was given for this run, not kept in a configuration for any.
    pub(crate) fn is_of_this_run(&self) -> bool {
        matches!(self, Self::CommandLine | Self::HostsFile { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host as named"),
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line } | Self::HostsFile { path, line } => {
                write!(f, "{}:{line}", path.display())
            }
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshConfigError {
    /// A file cannot be taken as a whole.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FileFault,
    },
    /// An option cannot be taken.
    #[error("{origin}: {keyword}")]
    Option {
        /// Where it stands.
        origin: Origin,
        /// Its name, as ssh_config(5) writes it where it is known.
        keyword: String,
        /// What is wrong with it.
        source: Box<Fault>,
    },
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileFault {
    /// It cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// Somebody else could have written it.
    #[error("belongs to user {owner}, so others can change it: chown it to yourself")]
    Owner {
        /// The user ID of its owner.
        owner: u32,
    },
    /// Somebody else can write it.
    #[error("can be written by others (mode {mode:03o}): chmod go-w it")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// It is larger than any configuration.
    #[error("larger than {max} bytes: no ssh_config")]
    TooLarge {
        /// The most that is read.
        max: u64,
    },
    /// It has more lines than any configuration.
    #[error("more than {max} lines: no ssh_config")]
    TooManyLines {
        /// The most that are read.
        max: usize,
    },
}

/// What is wrong with a line or an option.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A line is longer than any real one.
    #[error("line longer than {max} bytes")]
    LineTooLong {
        /// The most that is read.
        max: usize,
    },
    /// A line is no UTF-8, or has a NUL byte.
    #[error("line is not UTF-8 text")]
    NotText,
    /// A keyword stands alone.
    #[error("no value follows: write KEYWORD VALUE, or remove the line")]
    NoArgument,
    /// A quote is not closed.
    #[error("a quote is not closed: add the other one, or write \\\" for a quote itself")]
    UnbalancedQuote,
    /// There are arguments, and not the one that is needed.
    #[error("the value is missing or empty")]
    EmptyValue,
    /// More arguments than the option takes.
    #[error("{text:?} follows the value: quote a value with blanks, or remove it")]
    ExtraArgument {
        /// The first one too many.
        text: String,
    },
    /// A value that the option cannot have.
    #[error("{value:?} is no {expected}")]
    BadValue {
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// `none` among other values.
    #[error("\"none\" must stand alone")]
    NoneNotAlone,
    /// A list has more entries than ssh takes.
    #[error("more than {max} entries")]
    TooMany {
        /// The most that are taken.
        max: usize,
    },
    /// A name that no version of ssh knows.
    #[error("unknown option: correct it, or name it in IgnoreUnknown")]
    UnknownKeyword,
    /// An option that only files can have.
    #[error("cannot be given on the command line or in a hosts file: put it into ssh_config")]
    NotOnCommandLine,
    /// A criterion of `Match` that is unknown, or known to other versions only.
    #[error("criterion {name:?} is not supported")]
    Criterion {
        /// The criterion.
        name: String,
    },
    /// A criterion of `Match` has no argument.
    #[error("criterion {name:?} needs an argument")]
    CriterionArgument {
        /// The criterion.
        name: String,
    },
    /// `all` together with other criteria.
    #[error("\"all\" cannot be combined with other criteria")]
    AllNotAlone,
    /// `Match` without criteria, or with something after them.
    #[error("the criteria cannot be read")]
    Criteria,
    /// `Match exec` where commands may not be run.
    #[error("would run {command:?}, which is not allowed: allow it, or remove the block")]
    ExecNotAllowed {
        /// The command with its tokens expanded.
        command: String,
    },
    /// A command of `Match exec` gave no answer.
    #[error("{command:?} gave no answer")]
    Exec {
        /// The command with its tokens expanded.
        command: String,
        /// What happened.
        source: io::Error,
    },
    /// `Match localnetwork` where the machine's addresses are not known.
    #[error("the addresses of this machine are not known here: remove the block")]
    NoLocalAddresses,
    /// Files include each other without end, or too many of them.
    #[error("{what} more than {max}: do the files include each other?")]
    TooManyIncludes {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// An included path that cannot be.
    #[error("cannot include {path:?}: {why}")]
    Include {
        /// The path.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// A token that the option does not take.
    #[error("token %{token} cannot be used here: {allowed} can, and %% is a percent sign")]
    Token {
        /// The character after the percent sign.
        token: char,
        /// The tokens that can.
        allowed: &'static str,
    },
    /// A percent sign at the end.
    #[error("a percent sign ends the value: write %% for it")]
    TokenAtEnd,
    /// An environment variable that is not set.
    #[error("environment variable {name:?} is not set")]
    Environment {
        /// Its name.
        name: String,
    },
    /// `${` without a name or a closing brace.
    #[error("{text:?} has an environment variable without name or closing brace")]
    EnvironmentSyntax {
        /// The value.
        text: String,
    },
    /// `~user` for nobody that is known.
    #[error("no user {user:?} has a home directory here")]
    NoHome {
        /// The user.
        user: String,
    },
    /// A host that cannot be.
    #[error("{text:?} names no host")]
    Host {
        /// The text.
        text: String,
        /// Why.
        source: HostError,
    },
    /// A jump through the host itself.
    #[error("{host} would be reached through itself")]
    JumpLoop {
        /// The host.
        host: String,
    },
    /// A value that a shell would read as more than a word.
    #[error("%{token} is {value:?}, which is not safe in a command: {character:?} is not allowed")]
    NotSafeInCommand {
        /// The token that stands for it.
        token: char,
        /// The value.
        value: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// An option whose effect sshoal does not have.
    #[error("{value:?} is not supported: {remedy}")]
    Refused {
        /// The value.
        value: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl SshConfigError {
    pub(super) fn option(origin: Origin, keyword: &str, source: Fault) -> Self {
        Self::Option {
            origin,
            keyword: keyword.to_owned(),
            source: Box::new(source),
        }
    }

    pub(super) fn file(path: &Path, source: FileFault) -> Self {
        let path = path.to_path_buf();
        Self::File { path, source }
    }
}
