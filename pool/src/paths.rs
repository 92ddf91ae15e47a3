//! A path for each host: the same, one each, made by a function, or a template.
//!
//! The principal type is [`Paths`]. It knows nothing of what the paths are for; all of them are made
//! and checked before anything is begun.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use sshoal_session::Launch;

use crate::commands::{ArgumentError, Commands, Listed, Quoting, Template, TemplateError};
use crate::error::RunError;
use crate::pool::Pool;

/// A path for each host of a pool, here or on the hosts.
///
/// Anything that is a path can stand for it: all hosts then have the same. A [`Template`] can, too;
/// its values are put as they are, since no shell reads them.
///
/// # Examples
///
/// ```
/// use sshoal_pool::{Args, Paths, Template};
///
/// let same = Paths::from("/etc/app.conf");
/// let listed = Paths::each(["web.conf", "db.conf"]);
/// let by_template = Paths::from(Template::new("conf/{role}/{host}.conf")
///     .args([Args::new().named("role", "web"), Args::new().named("role", "db")]));
/// let by_function = Paths::by(|listed| format!("conf/{}.conf", listed.index()));
/// ```
#[derive(Debug, Clone)]
pub struct Paths(Commands);

/// Why there is not a path for each host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathsError {
    /// There is not one path for each host.
    #[error("{paths} paths for {hosts} hosts; there has to be one for each")]
    Count {
        /// How many paths were given.
        paths: usize,
        /// How many hosts there are.
        hosts: usize,
    },
    /// There is not one list of arguments for each host.
    #[error("arguments for {arguments} hosts, and {hosts} hosts; there have to be some for each")]
    ArgumentCount {
        /// For how many hosts there are arguments.
        arguments: usize,
        /// How many hosts there are.
        hosts: usize,
    },
    /// The template cannot be read.
    #[error("the path's template")]
    Template {
        /// Why not.
        source: TemplateError,
    },
    /// An argument of a host does not fit the template.
    #[error("{placeholder} of host {index}, counted from 0")]
    Argument {
        /// The host's position in the pool's list, from 0.
        index: usize,
        /// The placeholder, braces included.
        placeholder: String,
        /// What is wrong with it.
        source: ArgumentError,
    },
    /// The caller's function refused to make a host's path.
    #[error("no path was made for host {index}, counted from 0")]
    Refused {
        /// The host's position in the pool's list, from 0.
        index: usize,
        /// What the function said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A path holds a NUL byte, which no file's can.
    #[error("the path of host {index}, counted from 0, holds a NUL byte")]
    NulByte {
        /// The first such host's position in the pool's list, from 0.
        index: usize,
    },
    /// A path is empty.
    #[error("the path of host {index}, counted from 0, is empty")]
    Empty {
        /// The first such host's position in the pool's list, from 0.
        index: usize,
    },
}

impl Paths {
    /// Returns the same path for all hosts.
    pub fn same(path: impl Into<PathBuf>) -> Self {
        Self(Commands::same(bytes_of(path)))
    }

    /// Returns a path for each host, in the order of the hosts; there have to be as many.
    pub fn each<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(Commands::each(paths.into_iter().map(bytes_of)))
    }

    /// Returns the path that a function makes for each host. It is called for all of them, in their
    /// order and on the caller's thread, before anything is begun.
    pub fn by<P: Into<PathBuf>>(path: impl Fn(&Listed<'_>) -> P + Send + Sync + 'static) -> Self {
        Self(Commands::by(move |listed| bytes_of(path(listed))))
    }

    /// As [`Paths::by`], with a function that may refuse, which is [`PathsError::Refused`].
    pub fn try_by<P: Into<PathBuf>, E: Into<Box<dyn StdError + Send + Sync>>>(
        path: impl Fn(&Listed<'_>) -> Result<P, E> + Send + Sync + 'static,
    ) -> Self {
        let path = move |listed: &Listed<'_>| path(listed).map(bytes_of);
        Self(Commands::try_by(path))
    }
}

impl<P: Into<PathBuf>> From<P> for Paths {
    fn from(path: P) -> Self {
        Self::same(path)
    }
}

impl From<Template> for Paths {
    fn from(template: Template) -> Self {
        Self(template.quoting(Quoting::Raw).into())
    }
}

impl Pool {
    /// Makes the path of each host, in the order of the hosts; nothing is begun.
    ///
    /// # Errors
    /// There is not one for each host, or one of them cannot be made or is no path.
    pub fn paths(&self, paths: &Paths) -> Result<Vec<PathBuf>, PathsError> {
        let to = (self.hosts(), &self.engine.configs);
        let made = paths.0.resolve(to, &Launch::default())?;
        let all = (0..self.hosts().len()).map(|index| match &**made.of(index) {
            [] => Err(PathsError::Empty { index }),
            path => Ok(PathBuf::from(OsString::from_vec(path.to_vec()))),
        });
        all.collect()
    }
}

impl From<RunError> for PathsError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::CommandCount { commands, hosts } => Self::Count {
                paths: commands,
                hosts,
            },
            RunError::ArgumentCount { arguments, hosts } => {
                Self::ArgumentCount { arguments, hosts }
            }
            RunError::Template { source } => Self::Template { source },
            RunError::Argument {
                index,
                placeholder,
                source,
            } => Self::Argument {
                index,
                placeholder,
                source,
            },
            RunError::Refused { index, source } => Self::Refused { index, source },
            RunError::NulByte { index } => Self::NulByte { index },
            other @ (RunError::Launch { .. } | RunError::Input { .. } | RunError::InputTaken) => {
                unreachable!("a path has neither: {other}")
            }
        }
    }
}

fn bytes_of(path: impl Into<PathBuf>) -> Vec<u8> {
    path.into().into_os_string().into_vec()
}
