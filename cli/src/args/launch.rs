//! What the user typed about how the command is launched.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

/// How the command is launched.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How to run it")]
pub(crate) struct LaunchArgs {
    /// Sends standard input to every host's command, read once for all
    #[arg(short = 'I', long, env = "SSHOAL_SEND_INPUT", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "stdin")]
    pub(crate) send_input: bool,
    /// Sends a file to every host's command, `-` for standard input
    #[arg(long, value_name = "FILE", env = "SSHOAL_STDIN")]
    pub(crate) stdin: Option<PathBuf>,
    /// Sets a variable for the command, whatever the server accepts; may repeat
    #[arg(long = "env", value_name = "NAME=VALUE", env = "SSHOAL_ENV")]
    pub(crate) variables: Vec<OsString>,
    /// Changes the directory before the command; `~/` is the home directory there
    #[arg(long = "cd", value_name = "DIR", env = "SSHOAL_CD")]
    pub(crate) dir: Option<OsString>,
    /// Runs the command as another user by sudo [default user: root]
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "root", env = "SSHOAL_SUDO")]
    pub(crate) sudo: Option<String>,
    /// Asks once for the password that sudo asks for; without it, sudo may not ask
    #[arg(long, env = "SSHOAL_ASK_SUDO", value_parser = FalseyValueParser::new())]
    pub(crate) ask_sudo: bool,
    /// Gives the command a terminal of this one's type and size; its two streams are then one
    #[arg(long, env = "SSHOAL_TTY", value_parser = FalseyValueParser::new())]
    pub(crate) tty: bool,
    /// Has a shell run the command, as `bash` or `bash -lc` [default: the user's login shell]
    #[arg(long, value_name = "SH", env = "SSHOAL_SHELL")]
    pub(crate) shell: Option<String>,
}
