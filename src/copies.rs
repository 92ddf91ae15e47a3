//! Copies whose paths differ by host: which they are, what is wrong with them, and what was copied.
//!
//! The methods that start them are [`Fleet`](crate::Fleet)'s, those whose names end in `_each`.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sshoal_pool::{Each, HostLogger, Paths, PathsError, Template};
use sshoal_session::Host;
use sshoal_transfer::{Copied, Error, HostNames, HostNamesError, TreeReport};

pub(crate) mod plan;
pub(crate) mod sources;

/// Copies of a file by host; [`Each::visits`] has a handle for each.
pub type FileCopies = Each<Result<HostCopy<Copied>, Error>>;

/// Copies of a directory by host; [`Each::visits`] has a handle for each.
pub type TreeCopies = Each<Result<HostCopy<TreeReport>, FailedTree>>;

/// Where what comes from the hosts goes on this machine.
///
/// A path that stands for it is a directory with a name for each host, by the rule of
/// [`HostNames::Encoded`], which can be read back and gives no two hosts one name: `logs` has
/// `logs/HOST`. With a `/` at its end the name of the copied file is kept as well: `logs/HOST/FILE`.
/// [`Paths`] and a [`Template`] say each host's path themselves; one that ends in `/` is a directory
/// in which the file keeps its name.
#[derive(Debug, Clone)]
pub struct LocalPaths(pub(crate) Locals);

#[derive(Debug, Clone)]
pub(crate) enum Locals {
    Named(HostNames, PathBuf),
    Exact(Paths),
}

/// Why copies were not begun on any host. Hosts are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopiesError {
    /// There is not a path on this machine for each host.
    #[error("local paths")]
    Local(#[source] PathsError),
    /// There is not a path on the host for each host.
    #[error("remote paths")]
    Remote(#[source] PathsError),
    /// Two hosts would write one file, or one would write into another's directory.
    #[error("{first} and {second} would both write {}", path.display())]
    Collision {
        /// The one that is listed first.
        first: Box<Host>,
        /// The other one.
        second: Box<Host>,
        /// The path.
        path: PathBuf,
    },
    /// A local path ends in `/`, or names hosts and files, and the remote path has no name that a
    /// file can have.
    #[error("no local name for {} of {host}", remote.escape_ascii())]
    NoName {
        /// The host.
        host: Box<Host>,
        /// The path on it.
        remote: Vec<u8>,
    },
    /// A host makes no name of a file.
    #[error("local names")]
    Names(#[source] HostNamesError),
    /// What is to be copied to a host cannot be read.
    #[error("nothing to copy to {host}")]
    Source {
        /// The first host that it is for.
        host: Box<Host>,
        /// Why not, with its path.
        source: Box<Error>,
    },
}

/// What was copied to or from one host, and by which paths.
#[derive(Debug)]
pub struct HostCopy<T> {
    pub(crate) local: PathBuf,
    pub(crate) remote: Vec<u8>,
    pub(crate) copied: T,
    pub(crate) way: Way,
    pub(crate) is_kept: bool,
}

/// How something was copied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Put,
    Get,
    ScpPut,
    ScpGet,
}

/// A directory of which not everything was copied, as an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedTree {
    /// The directory on this machine.
    pub local: PathBuf,
    /// The directory on the host.
    pub remote: Vec<u8>,
    /// What became of it.
    pub report: Box<TreeReport>,
}

impl LocalPaths {
    /// Returns a name for each host by another rule than that of [`HostNames::Encoded`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sshoal::{LocalPaths, transfer::HostNames};
    ///
    /// // `logs/app.log.web1`, as parallel-ssh with `suffix_separator='.'`.
    /// let separator = b".".to_vec();
    /// let local = LocalPaths::named("logs/app.log", HostNames::ParallelSsh { separator });
    /// ```
    pub fn named(base: impl Into<PathBuf>, names: HostNames) -> Self {
        Self(Locals::Named(names, base.into()))
    }
}

impl From<Paths> for LocalPaths {
    fn from(paths: Paths) -> Self {
        Self(Locals::Exact(paths))
    }
}

impl From<Template> for LocalPaths {
    fn from(template: Template) -> Self {
        Self(Locals::Exact(template.into()))
    }
}

impl From<PathBuf> for LocalPaths {
    fn from(base: PathBuf) -> Self {
        Self::named(base, HostNames::default())
    }
}

impl From<&Path> for LocalPaths {
    fn from(base: &Path) -> Self {
        base.to_path_buf().into()
    }
}

impl From<&PathBuf> for LocalPaths {
    fn from(base: &PathBuf) -> Self {
        base.clone().into()
    }
}

impl From<&str> for LocalPaths {
    fn from(base: &str) -> Self {
        PathBuf::from(base).into()
    }
}

impl From<String> for LocalPaths {
    fn from(base: String) -> Self {
        PathBuf::from(base).into()
    }
}

impl<T> HostCopy<T> {
    /// Returns the path on this machine.
    pub fn local(&self) -> &Path {
        &self.local
    }

    /// Returns the path on the host.
    pub fn remote(&self) -> &[u8] {
        &self.remote
    }

    /// Returns what the copy gave.
    pub fn copied(&self) -> &T {
        &self.copied
    }

    /// Returns what the copy gave.
    pub fn into_copied(self) -> T {
        self.copied
    }

    /// Writes that this was copied to or from the host into a log of hosts, in the words of
    /// parallel-ssh; nothing, where a file was kept that was there.
    ///
    /// # Errors
    /// It could not be written.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn f(fleet: &sshoal::Fleet) -> Result<(), Box<dyn std::error::Error>> {
    /// use sshoal::{HostLogger, transfer::CopyOptions};
    ///
    /// let mut logger = HostLogger::new(std::io::stderr());
    /// let copies = fleet.put_each("app.conf", "/etc/app.conf", &CopyOptions::new())?;
    /// for copy in copies.visits().ended() {
    ///     if let Some(Ok(copied)) = copy.value() {
    ///         copied.log(copy.host(), &mut logger)?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn log(&self, host: &Host, logger: &mut HostLogger<'_>) -> io::Result<()> {
        if self.is_kept {
            return Ok(());
        }
        let (begin, middle) = match self.way {
            Way::Put => ("Copied", "to"),
            Way::Get => ("Copied", "from"),
            Way::ScpPut => ("SCP", "to"),
            Way::ScpGet => ("SCP", "from"),
        };
        let mut line = format!("{begin} local file ").into_bytes();
        line.extend_from_slice(self.local.as_os_str().as_bytes());
        line.extend_from_slice(format!(" {middle} remote destination {}:", host.name()).as_bytes());
        line.extend_from_slice(&self.remote);
        logger.note(host, &line)
    }
}

impl FailedTree {
    /// Returns the first error that was met.
    pub fn error(&self) -> Option<&Error> {
        let failed = self.report.failed.first().map(|failed| &failed.error);
        self.report.ended_early.as_ref().or(failed)
    }
}

impl fmt::Display for FailedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = self.remote.escape_ascii();
        match (&self.report.ended_early, self.report.failed.as_slice()) {
            (Some(_), _) => write!(f, "the copy of directory {remote} ended early"),
            (None, [failed]) => write!(f, "could not copy {}", failed.path.escape_ascii()),
            (None, [failed, rest @ ..]) => {
                let path = failed.path.escape_ascii();
                write!(f, "could not copy {path} and {} more", rest.len())
            }
            (None, []) => write!(f, "the copy of directory {remote} failed"),
        }
    }
}

impl StdError for FailedTree {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().map(|error| error as _)
    }
}
