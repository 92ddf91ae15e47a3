//! What each host of a run is asked to run: the same, one each, made by a function, or a template.
//!
//! All of it is made and checked before the first host is begun. The principal type is
//! [`Commands`].

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sshoal_session::{Host, Launch};

use crate::configs::Configs;
use crate::error::RunError;

mod args;
mod parse;
mod place;
mod template;

pub use self::args::Args;
pub use self::parse::TemplateError;
pub use self::template::{ArgumentError, Quoting, Template};

/// The command of each host of a run, in bytes: a command need not be UTF-8.
///
/// Anything that is a command's bytes can stand for it: all hosts then run the same. A
/// [`Template`] can, too.
#[derive(Clone)]
pub struct Commands(Kind);

#[derive(Clone)]
enum Kind {
    Same(Vec<u8>),
    Each(Vec<Vec<u8>>),
    By(Function),
    Template(Box<Template>),
}

type Function = Arc<dyn Fn(&Listed<'_>) -> Result<Vec<u8>, BoxError> + Send + Sync>;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A host as a pool lists it: what is known of it before anything is run.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    index: usize,
    total: usize,
    host: &'a Host,
    user: &'a str,
    port: u16,
}

/// The bytes that each host is asked to run.
#[derive(Debug, Clone)]
pub(crate) enum Resolved {
    Same(Arc<[u8]>),
    Each(Vec<Arc<[u8]>>),
}

impl Commands {
    /// Returns the same command for all hosts.
    pub fn same(command: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Same(command.into()))
    }

    /// Returns a command for each host, in the order of the hosts; there have to be as many.
    pub fn each<C: Into<Vec<u8>>>(commands: impl IntoIterator<Item = C>) -> Self {
        Self(Kind::Each(commands.into_iter().map(Into::into).collect()))
    }

    /// Returns the command that a function makes for each host. It is called for all of them, in
    /// their order and on the caller's thread, before anything is run.
    ///
    /// # Examples
    ///
    /// ```
    /// use sshoal_pool::Commands;
    ///
    /// let commands = Commands::by(|listed| match listed.host().name() {
    ///     "db1" => "pg_isready",
    ///     _ => "uptime",
    /// });
    /// ```
    pub fn by<C: Into<Vec<u8>>>(
        command: impl Fn(&Listed<'_>) -> C + Send + Sync + 'static,
    ) -> Self {
        Self(Kind::By(Arc::new(move |listed| Ok(command(listed).into()))))
    }

    /// As [`Commands::by`], with a function that may refuse: nothing is run then, and the error
    /// is [`RunError::Refused`].
    pub fn try_by<C: Into<Vec<u8>>, E: Into<BoxError>>(
        command: impl Fn(&Listed<'_>) -> Result<C, E> + Send + Sync + 'static,
    ) -> Self {
        let command = move |listed: &Listed<'_>| match command(listed) {
            Ok(command) => Ok(command.into()),
            Err(error) => Err(error.into()),
        };
        Self(Kind::By(Arc::new(command)))
    }

    /// Makes the command of one host, as a run of these commands would; nothing is run.
    ///
    /// # Errors
    /// As for the run, of this host.
    pub fn of(&self, listed: &Listed<'_>) -> Result<Cow<'_, [u8]>, RunError> {
        let hosts = listed.total;
        let command = match &self.0 {
            Kind::Same(command) => Cow::from(command),
            Kind::Each(commands) => match commands.get(listed.index) {
                Some(command) if commands.len() == hosts => Cow::from(command),
                _ => {
                    let commands = commands.len();
                    return Err(RunError::CommandCount { commands, hosts });
                }
            },
            Kind::By(function) => {
                let index = listed.index;
                let refused = |source| RunError::Refused { index, source };
                function(listed).map_err(refused)?.into()
            }
            Kind::Template(template) => template.checked(hosts)?.fill(listed)?.into(),
        };
        match command.contains(&0) {
            true => Err(RunError::NulByte {
                index: listed.index,
            }),
            false => Ok(command),
        }
    }

    /// Makes the bytes for each host, with what a launch puts around them; checks everything.
    pub(crate) fn resolve(
        &self,
        (hosts, configs): (&[Host], &Configs),
        launch: &Launch,
    ) -> Result<Resolved, RunError> {
        let listed = |index: usize| {
            let (host, config) = (&hosts[index], configs.of(index));
            let user = host.user().unwrap_or_else(|| config.user());
            let port = host.port().unwrap_or_else(|| config.port());
            Listed::new((index, hosts.len()), host, (user, port))
        };
        let all = |command: &dyn Fn(&Listed<'_>) -> Result<Vec<u8>, RunError>| {
            let wrapped = |index| wrap((index, &command(&listed(index))?), launch);
            let commands = (0..hosts.len()).map(wrapped);
            Ok(Resolved::Each(commands.collect::<Result<_, _>>()?))
        };
        match &self.0 {
            Kind::Same(command) => Ok(Resolved::Same(wrap((0, command), launch)?)),
            Kind::Template(template) => {
                // Read once for all hosts.
                let template = template.checked(hosts.len())?;
                all(&|listed| template.fill(listed))
            }
            _ => all(&|listed| self.of(listed).map(Cow::into_owned)),
        }
    }
}

/// Puts around a command what the launch asks for.
fn wrap((index, command): (usize, &[u8]), launch: &Launch) -> Result<Arc<[u8]>, RunError> {
    if command.contains(&0) {
        return Err(RunError::NulByte { index });
    }
    match launch.wrap(command) {
        Ok(bytes) => Ok(Arc::from(bytes)),
        Err(source) => Err(RunError::Launch { source }),
    }
}

impl<'a> Listed<'a> {
    /// Names a host by its position of how many, by itself, and by the user and port that it is
    /// reached with.
    pub fn new(
        (index, total): (usize, usize),
        host: &'a Host,
        (user, port): (&'a str, u16),
    ) -> Self {
        Self {
            index,
            total,
            host,
            user,
            port,
        }
    }

    /// Returns the host's position in the pool's list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns how many hosts the pool has.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the host.
    pub fn host(&self) -> &'a Host {
        self.host
    }

    /// Returns the user that is logged in: the host's own, or else its configuration's.
    pub fn user(&self) -> &'a str {
        self.user
    }

    /// Returns the port that is connected to: the host's own, or else its configuration's.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl<T: Into<Vec<u8>>> From<T> for Commands {
    fn from(command: T) -> Self {
        Self::same(command)
    }
}

impl From<Template> for Commands {
    fn from(template: Template) -> Self {
        Self(Kind::Template(Box::new(template)))
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Same(command) => f.debug_tuple("Same").field(command).finish(),
            Kind::Each(commands) => f.debug_tuple("Each").field(commands).finish(),
            Kind::By(_) => f.write_str("By(..)"),
            Kind::Template(template) => template.fmt(f),
        }
    }
}

impl Resolved {
    /// Returns the bytes for a host.
    pub(crate) fn of(&self, host: usize) -> &Arc<[u8]> {
        match self {
            Self::Same(command) => command,
            Self::Each(commands) => &commands[host],
        }
    }
}
