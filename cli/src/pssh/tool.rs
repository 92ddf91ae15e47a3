//! The five tools of pssh, by the names that they are called with.

use std::ffi::OsStr;
use std::path::Path;

/// One of pssh's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Runs a command.
    Ssh,
    /// Copies to the hosts.
    Scp,
    /// Brings the hosts' directories in step.
    Rsync,
    /// Copies from the hosts.
    Slurp,
    /// Kills processes.
    Nuke,
}

impl Tool {
    /// Returns the tool of a program's name; `None` of any other.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find_map(|(own, tool)| (*own == name).then_some(*tool))
    }

    /// Returns the tool and the name of a program that was started by this path.
    pub(crate) fn of_path(path: &OsStr) -> Option<(Self, &str)> {
        let name = Path::new(path).file_name()?.to_str()?;
        Some((Self::named(name)?, name))
    }

    /// Returns what follows the name in the first line of the help.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Ssh => "[OPTIONS] command [...]",
            Self::Scp | Self::Rsync => "[OPTIONS] local remote",
            Self::Slurp => "[OPTIONS] remote local",
            Self::Nuke => "[OPTIONS] pattern",
        }
    }

    /// Returns the time limit of a host in seconds where nothing else is said; 0 is none.
    pub(crate) fn timeout(self) -> i64 {
        match self {
            Self::Ssh | Self::Nuke => 60,
            Self::Scp | Self::Rsync | Self::Slurp => 0,
        }
    }

    /// Returns whether it runs a command.
    pub(crate) fn runs_command(self) -> bool {
        matches!(self, Self::Ssh | Self::Nuke)
    }

    /// Returns an error where there are too few or too many words behind the options.
    pub(crate) fn check(self, words: usize, sends_input: bool) -> Result<(), &'static str> {
        match (self, words) {
            (Self::Ssh, 0) if !sends_input => Err("Command not specified."),
            (Self::Nuke, 0) => Err("Pattern not specified."),
            (Self::Nuke, 2..) => Err("Extra arguments given after the pattern."),
            (Self::Scp | Self::Rsync | Self::Slurp, 0) => Err("Paths not specified."),
            (Self::Scp | Self::Rsync, 1) => Err("Remote path not specified."),
            (Self::Slurp, 1) => Err("Local path not specified."),
            (Self::Slurp, 3..) => Err("Extra arguments given after the local path."),
            _ => Ok(()),
        }
    }
}

/// What the tools are called, upstream, in Debian and in Fedora.
pub(crate) const NAMES: [(&str, Tool); 11] = [
    ("pssh", Tool::Ssh),
    ("parallel-ssh", Tool::Ssh),
    ("pscp", Tool::Scp),
    ("pscp.pssh", Tool::Scp),
    ("parallel-scp", Tool::Scp),
    ("prsync", Tool::Rsync),
    ("parallel-rsync", Tool::Rsync),
    ("pslurp", Tool::Slurp),
    ("parallel-slurp", Tool::Slurp),
    ("pnuke", Tool::Nuke),
    ("parallel-nuke", Tool::Nuke),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_tool_by_its_name() {
        let of = |path: &'static str| Tool::of_path(OsStr::new(path));
        assert_eq!(
            of("/usr/bin/parallel-ssh"),
            Some((Tool::Ssh, "parallel-ssh"))
        );
        assert_eq!(of("pscp.pssh"), Some((Tool::Scp, "pscp.pssh")));
        assert_eq!(of("/usr/bin/sshoal"), None);
        assert_eq!(of(""), None);
    }
}
