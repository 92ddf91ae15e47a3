//! Why a pool could not be made or a run not begun; what goes wrong with one host is in its
//! outcome.

use crate::commands::{ArgumentError, TemplateError};

/// Why [`PoolBuilder::build`](crate::PoolBuilder::build) refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There is nothing to run on.
    #[error("the host list is empty")]
    NoHosts,
    /// A limit of no time would fail every host; no limit is `None`.
    #[error("{name} is zero")]
    ZeroTimeout {
        /// The setter's name.
        name: &'static str,
    },
    /// There is not one configuration for each host.
    #[error("{configs} configurations for {hosts} hosts; there has to be one for each")]
    ConfigCount {
        /// How many configurations were given.
        configs: usize,
        /// How many hosts there are.
        hosts: usize,
    },
    /// The folder for spilled output is none.
    #[error("the folder for temporary files, {path}, is not a folder")]
    SpillFolder {
        /// The path that was given.
        path: String,
    },
}

/// Why a run was not begun on any host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is not one command for each host.
    #[error("{commands} commands for {hosts} hosts; there has to be one for each")]
    CommandCount {
        /// How many commands were given.
        commands: usize,
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
    #[error("the command's template")]
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
    /// The caller's function refused to make a host's command.
    #[error("no command was made for host {index}, counted from 0")]
    Refused {
        /// The host's position in the pool's list, from 0.
        index: usize,
        /// What the function said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A command holds a NUL byte, behind which a host would see nothing.
    #[error("the command of host {index}, counted from 0, holds a NUL byte")]
    NulByte {
        /// The first such host's position in the pool's list, from 0.
        index: usize,
    },
    /// The command cannot be launched as it was asked for.
    #[error("the command cannot be launched so")]
    Launch {
        /// Why not.
        source: sshoal_session::Error,
    },
    /// The file with the commands' input could not be opened.
    #[error("cannot read the input {path}")]
    Input {
        /// The path that was given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The input is a reader, which another run has taken.
    #[error("the input is a reader, and another run reads it")]
    InputTaken,
}
