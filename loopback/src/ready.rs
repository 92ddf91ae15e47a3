//! The line by which a fleet's process says that it can be connected to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a running fleet is; written as `ready port=PORT hosts=N dir=DIR`.
///
/// If each host has a listener of its own, `listeners=N` comes before the directory, which is
/// always last and may hold blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    port: u16,
    hosts: usize,
    listeners: usize,
    dir: PathBuf,
}

impl Ready {
    pub(crate) fn new(port: u16, hosts: usize, listeners: usize, dir: PathBuf) -> Self {
        Self {
            port,
            hosts,
            listeners,
            dir,
        }
    }

    /// Returns the port that all hosts share.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of hosts.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// Returns the number of listening sockets: 1, or one per host.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.listeners
    }

    /// Returns the directory with `hosts`, `known_hosts` and `user_ed25519`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready port={} hosts={}", self.port, self.hosts)?;
        if self.listeners != 1 {
            write!(f, " listeners={}", self.listeners)?;
        }
        write!(f, " dir={}", self.dir.display())
    }
}

impl FromStr for Ready {
    type Err = ReadyError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let line = line.strip_suffix('\n').unwrap_or(line);
            let (numbers, dir) = line.strip_prefix("ready ")?.split_once(" dir=")?;
            let (mut port, mut hosts, mut listeners) = (None, None, 1);
            for number in numbers.split(' ') {
                match number.split_once('=')? {
                    ("port", n) => port = Some(n.parse().ok()?),
                    ("hosts", n) => hosts = Some(n.parse().ok()?),
                    ("listeners", n) => listeners = n.parse().ok()?,
                    _ => return None,
                }
            }
            Some(Self::new(port?, hosts?, listeners, PathBuf::from(dir)))
        };
        parse().ok_or_else(|| ReadyError {
            line: line.to_owned(),
        })
    }
}

/// A line is not the one of a fleet that is ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fleet's ready line: \"{line}\"")]
pub struct ReadyError {
    line: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_reads_back_as_it_was_written() {
        for (listeners, line) in [
            (1, "ready port=2222 hosts=1000 dir=/tmp/a dir=b"),
            (
                1000,
                "ready port=2222 hosts=1000 listeners=1000 dir=/tmp/a dir=b",
            ),
        ] {
            let ready = Ready::new(2222, 1000, listeners, PathBuf::from("/tmp/a dir=b"));
            assert_eq!(ready.to_string(), line);
            assert_eq!(line.parse(), Ok(ready.clone()));
            assert_eq!(format!("{line}\n").parse(), Ok(ready));
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "ready",
            "ready port=1 dir=/",
            "ready port=x hosts=1 dir=/",
            "error: no",
        ] {
            assert!(line.parse::<Ready>().is_err(), "{line}");
        }
    }
}
