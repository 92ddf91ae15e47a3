//! ssh_config(5): what OpenSSH's client configuration says for a host.
//!
//! Files are read once ([`SshConfig::builder`]); [`SshConfig::lookup`] then gives the typed
//! [`Options`] of a host without touching a file, in microseconds. The rules are those of
//! OpenSSH 9.2, held against `ssh -G` by tests; what stands in the files and cannot be honoured is
//! either harmless or an error that names it, by one table ([`keywords`]).
//!
//! | what | rule |
//! | --- | --- |
//! | rank | host as named, its own options, command line, user's file, system's file; the first value counts |
//! | lists | `IdentityFile`, `CertificateFile` and `SendEnv` add up; of `SetEnv` the first line counts |
//! | `Match final` | everything is read a second time, with the name that resulted |
//! | `CanonicalizeHostname` | refused unless `no`: lookups ask no name server |
//! | the system's file | is for the ssh that is installed: options and algorithms of a later one are left out, and what distributions ask for and cannot be had ([`Support::RefusedIfAsked`]) is left alone |
//! | `Match exec` | refused unless allowed ([`MatchExec`]) |
//! | tokens | those that the manual lists for the option; values in commands must be safe there |
//! | bounds | 4 MiB and 200,000 lines a file, 64 KiB a line, 4096 files, 16 deep |

mod address;
mod algorithms;
mod build;
mod checks;
mod chosen;
mod error;
mod evaluate;
mod exec;
mod files;
mod forward;
mod jump;
mod keyword;
mod keyword_table;
mod line;
mod local;
mod matching;
mod network;
mod options;
mod pattern;
mod tokens;
mod tree;
mod typed;
mod value;

use std::path::{Path, PathBuf};

use crate::host::{Host, HostOption};

pub use algorithms::{AlgorithmList, Change};
pub use error::{Fault, FileFault, Origin, SshConfigError};
pub use exec::MatchExec;
pub use keyword::{Keyword, Support, keywords};
pub use line::quote;
pub use local::Local;
pub use options::{
    AddressFamily, AgentSocket, ConfigPath, ForwardAgent, Given, LogLevel, Options, Proxy,
    PubkeyAuthentication, ShellCommand, StrictHostKeyChecking, YesNoAsk,
};

use chosen::Chosen;
use evaluate::Walk;
use exec::Commands;
use files::Guard;
use keyword::Key;
use tree::{Item, Reader, Tree, Whose};

/// A configuration, read and ready for lookups; never changed afterwards.
///
/// # Examples
/// ```
/// use sshoal_session::Host;
/// use sshoal_session::ssh_config::{Local, SshConfig};
///
/// let config = SshConfig::builder(Local::default().with_user("me", 1000))
///     .option("Port=2222")
///     .text("Host web*\n  User deploy\n  HostName %h.example.org\n")
///     .load()?;
/// let options = config.lookup(&Host::new("web1")?)?;
/// assert_eq!(options.host_name.value(), "web1.example.org");
/// assert_eq!(options.user.value(), "deploy");
/// assert_eq!(options.user.origin().to_string(), "ssh_config:2");
/// assert_eq!(*options.port.value(), 2222);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SshConfig {
    local: Local,
    command_line: Vec<Item>,
    trees: Vec<(Tree, Whose)>,
    commands: Commands,
    wants_final_pass: bool,
}

/// Which files are read.
#[derive(Debug, Clone)]
enum Sources {
    /// The user's and the system's.
    Default,
    /// This one alone.
    One(PathBuf),
    /// This text alone.
    Text(Vec<u8>),
    None,
}

/// Makes an [`SshConfig`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SshConfigBuilder {
    local: Local,
    options: Vec<String>,
    sources: Sources,
    system_dir: PathBuf,
    match_exec: MatchExec,
}

impl SshConfig {
    /// Begins a configuration; tokens take their values from `local`.
    pub fn builder(local: Local) -> SshConfigBuilder {
        SshConfigBuilder {
            local,
            options: Vec::new(),
            sources: Sources::Default,
            system_dir: PathBuf::from(SYSTEM_DIR),
            match_exec: MatchExec::Refuse,
        }
    }

    /// Returns what the configuration says for a host; its own user and port come first.
    ///
    /// Parks the coroutine if `Match exec` runs a command, and does not otherwise.
    ///
    /// # Errors
    /// Fails for a value that is refused, or whose tokens cannot be replaced; it is named with its
    /// file and line.
    pub fn lookup(&self, host: &Host) -> Result<Options, SshConfigError> {
        self.look_up(host, &[], &self.command_line)
    }

    /// As [`SshConfig::lookup`], with options for this host alone, which come before all others but
    /// the host's own user and port; of several the first counts.
    ///
    /// # Errors
    /// As [`SshConfig::lookup`]; and for an option that cannot be.
    pub fn lookup_with(
        &self,
        host: &Host,
        options: &[HostOption],
    ) -> Result<Options, SshConfigError> {
        let mut own = Vec::with_capacity(options.len());
        for option in options {
            let item = tree::own(option.text(), option.origin(), &self.local)?;
            own.extend(item.map(|item| (item, option.origin())));
        }
        self.look_up(host, &own, &self.command_line)
    }

    /// As [`SshConfig::lookup`], without the options of the command line: they are for the hosts
    /// at the end of the way, not for the jump hosts on it (ssh(1), `-J`).
    ///
    /// # Errors
    /// As [`SshConfig::lookup`].
    pub fn lookup_jump(&self, host: &Host) -> Result<Options, SshConfigError> {
        self.look_up(host, &[], &[])
    }

    /// Returns this side of the connections.
    pub fn local(&self) -> &Local {
        &self.local
    }

    fn look_up(
        &self,
        host: &Host,
        own: &[(Item, &Origin)],
        command_line: &[Item],
    ) -> Result<Options, SshConfigError> {
        let mut walk = Walk {
            local: &self.local,
            commands: &self.commands,
            chosen: Chosen::new(),
            asked: host,
            host: host.name().to_owned(),
            is_final: false,
        };
        walk.own(own)?;
        walk.command_line(command_line)?;
        self.pass(&mut walk)?;
        let name = self.name(&walk)?;
        if self.wants_final_pass {
            walk.host = name.value().clone();
            walk.is_final = true;
            self.pass(&mut walk)?;
        }
        build::options(&walk, name)
    }

    /// Walks through all files once.
    fn pass<'a>(&'a self, walk: &mut Walk<'a, '_>) -> Result<(), SshConfigError> {
        for (tree, whose) in &self.trees {
            walk.file(tree, *whose)?;
        }
        Ok(())
    }

    /// The name to connect to, in one spelling.
    fn name(&self, walk: &Walk<'_, '_>) -> Result<Given<String>, SshConfigError> {
        let Some((text, place)) = walk.chosen.word(Key::HostName) else {
            return Ok(Given::new(address::canonical(&walk.host), Origin::Host));
        };
        let fail = |fault| SshConfigError::option(place.origin(), "HostName", fault);
        let name = tokens::expand_host_name(text, &walk.host).map_err(fail)?;
        let name = address::canonical(&name);
        match Host::new(name.as_str()) {
            Ok(_) => Ok(Given::new(name, place.origin())),
            Err(source) => Err(fail(Fault::Host { text: name, source })),
        }
    }
}

impl SshConfigBuilder {
    /// Adds an option of the command line, `KEY=VALUE` or `KEY VALUE`, before all files (ssh's
    /// `-o`); of several the first counts. Default: none.
    pub fn option(mut self, text: impl Into<String>) -> Self {
        self.options.push(text.into());
        self
    }

    /// Reads this file alone (ssh's `-F`), which has to be there; `none` is no file. Default:
    /// `.ssh/config` in the home directory, then `/etc/ssh/ssh_config`, either of which may be
    /// missing.
    ///
    /// As in ssh, this file may be anybody's, but those that it includes may not.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let none = path.as_os_str().eq_ignore_ascii_case("none");
        self.sources = if none {
            Sources::None
        } else {
            Sources::One(path)
        };
        self
    }

    /// Reads this text instead of any file; its `Include` lines find no files. Errors name it
    /// `ssh_config`.
    pub fn text(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.sources = Sources::Text(text.into());
        self
    }

    /// Sets where the system's `ssh_config` is; default `/etc/ssh`.
    pub fn system_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.system_dir = dir.into();
        self
    }

    /// Sets whether `Match exec` may run commands on this machine; default: it may not.
    pub fn match_exec(mut self, match_exec: MatchExec) -> Self {
        self.match_exec = match_exec;
        self
    }

    /// Reads everything. Parks the coroutine.
    ///
    /// # Errors
    /// Fails at the first line that cannot be, also where it is for other hosts, as in ssh; and
    /// for files that cannot be read or that others can write.
    pub fn load(self) -> Result<SshConfig, SshConfigError> {
        // Files of any depth take more stack than a green thread has.
        match sshoal_reactor::blocking(move || self.read()) {
            Ok(result) => result,
            Err(panic) => {
                let fault = FileFault::Read(std::io::Error::other(panic.message().to_owned()));
                Err(SshConfigError::file(Path::new("ssh_config"), fault))
            }
        }
    }

    fn read(self) -> Result<SshConfig, SshConfigError> {
        let mut reader = Reader {
            local: &self.local,
            system_dir: &self.system_dir,
            includes: !matches!(self.sources, Sources::Text(_)),
            files: 0,
            wants_final_pass: false,
            ignores_unknown: false,
            first_unknown: None,
        };
        let mut command_line = Vec::new();
        for text in &self.options {
            let item = tree::command_line(text, &self.local)?;
            command_line.extend(item.inspect(|item| reader.note(item)));
        }
        let trees = self.trees(&mut reader)?;
        let wants_final_pass = reader.wants_final_pass;
        if let (false, Some((origin, name))) = (reader.ignores_unknown, reader.first_unknown) {
            return Err(SshConfigError::option(origin, &name, Fault::UnknownKeyword));
        }
        let commands = Commands::new(self.match_exec, self.local.variable("SHELL"));
        Ok(SshConfig {
            command_line,
            trees,
            commands,
            wants_final_pass,
            local: self.local,
        })
    }

    fn trees(&self, reader: &mut Reader<'_>) -> Result<Vec<(Tree, Whose)>, SshConfigError> {
        let mut trees = Vec::new();
        match &self.sources {
            Sources::None => {}
            Sources::Text(text) => {
                let tree = reader.text(Path::new("ssh_config"), text, Whose::User)?;
                trees.push((tree, Whose::User));
            }
            Sources::One(path) => match reader.file(path, Whose::User, Guard::None)? {
                Some(tree) => trees.push((tree, Whose::User)),
                None => {
                    let kind = std::io::ErrorKind::NotFound;
                    let missing = std::io::Error::new(kind, "No such file or directory");
                    return Err(SshConfigError::file(path, FileFault::Read(missing)));
                }
            },
            Sources::Default => {
                if !self.local.home().is_empty() {
                    let path = Path::new(self.local.home()).join(".ssh/config");
                    let tree = reader.file(&path, Whose::User, Guard::Private)?;
                    trees.extend(tree.map(|tree| (tree, Whose::User)));
                }
                let path = self.system_dir.join("ssh_config");
                let tree = reader.file(&path, Whose::System, Guard::None)?;
                trees.extend(tree.map(|tree| (tree, Whose::System)));
            }
        }
        Ok(trees)
    }
}

/// Where the system's files are.
const SYSTEM_DIR: &str = "/etc/ssh";

#[cfg(test)]
mod tests;
