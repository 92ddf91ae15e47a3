//! What became of each host.

use sshoal_session::{Exit, Host};

use super::error::Error;

/// What a command gave on one host: Parallax's tuple of return code, stdout and stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Done {
    pub(super) fn new(exit: Exit, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Self {
            exit,
            stdout,
            stderr,
        }
    }

    /// Returns the exit status; `None` if a signal ended the command.
    pub fn status(&self) -> Option<u32> {
        match self.exit {
            Exit::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Returns how the command ended.
    pub fn exit(&self) -> &Exit {
        &self.exit
    }

    /// Returns what the command wrote to standard output.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// Returns what the command wrote to standard error.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }
}

/// A value or an error for every host, in the order in which hosts were given.
///
/// Hosts are told apart by their position, so that the same name twice, or with two ports, has a
/// result each; [`Results::get`] and [`Results::all`] look them up by name.
#[derive(Debug)]
#[must_use]
pub struct Results<T> {
    entries: Vec<(Host, Result<T, Error>)>,
}

impl<T> Results<T> {
    pub(super) fn new(entries: Vec<(Host, Result<T, Error>)>) -> Self {
        Self { entries }
    }

    pub(super) fn and_then(self, change: impl Fn(T) -> Result<T, Error>) -> Self {
        let entries = self.entries.into_iter();
        let change = |(host, result): (_, Result<T, _>)| (host, result.and_then(&change));
        Self::new(entries.map(change).collect())
    }

    /// Returns how many hosts there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no hosts.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the result of the first host with a name, in the order in which they were given.
    pub fn get(&self, name: &str) -> Option<&Result<T, Error>> {
        let mut entries = self.entries.iter();
        let found = entries.find(|(host, _)| host.name() == name);
        found.map(|(_, result)| result)
    }

    /// Returns the results of all hosts with a name.
    pub fn all<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a Host, &'a Result<T, Error>)> {
        self.iter().filter(move |(host, _)| host.name() == name)
    }

    /// Returns the result of the host at a position, from 0.
    pub fn at(&self, index: usize) -> Option<&Result<T, Error>> {
        self.entries.get(index).map(|(_, result)| result)
    }

    /// Returns hosts and results, in the order in which hosts were given.
    pub fn iter(&self) -> impl Iterator<Item = (&Host, &Result<T, Error>)> {
        self.into_iter()
    }
}

impl<T> IntoIterator for Results<T> {
    type Item = (Host, Result<T, Error>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Results<T> {
    type Item = (&'a Host, &'a Result<T, Error>);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (Host, Result<T, Error>)>,
        fn(&'a (Host, Result<T, Error>)) -> Self::Item,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(host, result)| (host, result))
    }
}
