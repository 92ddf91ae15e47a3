//! How the command is launched: what was typed becomes the library's launch and input.
//!
//! The principal type is [`Launching`]. Making one asks nobody anything.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::{Input, Launch, Pty, Secret, Shell, Sudo};

use crate::args::LaunchArgs;
use crate::terminal::Terminal;
use crate::workers::FarLaunch;

/// How the command is launched, and what it finds on its standard input.
#[derive(Debug, Default)]
pub(crate) struct Launching {
    /// All but sudo.
    launch: Launch,
    sudo: Option<Sudo>,
    /// Type, columns and rows of the command's terminal, if it has one.
    pty: Option<(String, u32, u32)>,
    /// The user of sudo.
    sudo_user: Option<String>,
    /// Whether sudo's password is asked for.
    ask_sudo: bool,
    input: Option<InputFrom>,
}

/// Where the input comes from.
#[derive(Debug)]
enum InputFrom {
    Stdin,
    File(PathBuf),
}

impl Launching {
    /// Weighs what was typed.
    ///
    /// # Errors
    /// Fails with one line that names what is wrong and what to do.
    pub(crate) fn resolve(args: &LaunchArgs, taken: &Taken) -> Result<Self> {
        let mut launch = Launch::new();
        for variable in &args.variables {
            let bytes = variable.as_bytes();
            let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
                bail!("--env {}: write NAME=VALUE", variable.display());
            };
            let name = String::from_utf8_lossy(&bytes[..at]);
            launch = launch.env(name, &bytes[at + 1..]);
        }
        if let Some(dir) = &args.dir {
            launch = launch.dir(dir.clone().into_vec());
        }
        if let Some(shell) = &args.shell {
            launch = launch.shell(Shell::parse(shell));
        }
        let pty = args.tty.then(terminal);
        if let Some((term, columns, rows)) = &pty {
            launch = launch.pty(Pty::new(term.as_str(), *columns, *rows));
        }
        if args.ask_sudo && args.sudo.is_none() {
            bail!(
                "--ask-sudo does nothing by itself; say whom to run as with --sudo or --sudo=USER"
            );
        }
        if args.ask_sudo && taken.batch {
            bail!("--ask-sudo asks, and BatchMode=yes forbids it; leave one out");
        }
        let input = match &args.stdin {
            Some(path) if path.as_path() != Path::new("-") => {
                let facts = std::fs::metadata(path);
                let facts = facts.with_context(|| format!("--stdin {}", path.display()))?;
                if facts.is_dir() {
                    bail!("--stdin {} is a folder; name a file", path.display());
                }
                Some(InputFrom::File(path.clone()))
            }
            None if !args.send_input => None,
            _ => Some(InputFrom::Stdin),
        };
        if taken.stdin && matches!(input, Some(InputFrom::Stdin)) {
            bail!("standard input can be read once: for the hosts (-h -) or for the command (-I)");
        }
        Ok(Self {
            launch,
            pty,
            sudo_user: args.sudo.clone(),
            sudo: args.sudo.as_ref().map(Sudo::to),
            ask_sudo: args.ask_sudo,
            input,
        })
    }

    /// Returns the command's bytes as a host would be asked to run them, with another password's
    /// prompt.
    ///
    /// # Errors
    /// Fails if something cannot be launched so.
    pub(crate) fn shown(&self, command: &[u8]) -> Result<Vec<u8>> {
        let any = || Arc::new(Secret::from("any".to_owned()));
        let launch = self.with(self.ask_sudo.then(any));
        Ok(launch.wrap(command)?)
    }

    /// Asks for what only the user knows, and opens the input; the last is for worker processes.
    ///
    /// # Errors
    /// Fails if there is no terminal to ask on.
    pub(crate) fn open(self) -> Result<(Launch, Option<Input>, FarLaunch)> {
        let password = match self.ask_sudo {
            true => Some(Arc::new(password()?)),
            false => None,
        };
        let far = FarLaunch {
            sudo: self.sudo_user.clone().zip(self.sudo.clone()),
            sudo_password: password.clone(),
            pty: self.pty.clone(),
        };
        let launch = self.with(password);
        let input = self.input.map(|input| match input {
            InputFrom::Stdin => Input::reader(std::io::stdin()),
            InputFrom::File(path) => Input::file(path),
        });
        Ok((launch, input, far))
    }

    fn with(&self, password: Option<Arc<Secret>>) -> Launch {
        let launch = self.launch.clone();
        match (self.sudo.clone(), password) {
            (None, _) => launch,
            (Some(sudo), None) => launch.sudo(sudo),
            (Some(sudo), Some(password)) => launch.sudo(sudo.password(password)),
        }
    }
}

/// What something else has taken already.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Standard input is the hosts file.
    pub(crate) stdin: bool,
    /// Nobody may be asked.
    pub(crate) batch: bool,
}

/// Asks for the password that sudo asks for.
///
/// # Errors
/// Fails if there is no terminal to ask on, or nothing was typed.
pub(crate) fn password() -> Result<Secret> {
    let Some(mut terminal) = Terminal::open() else {
        bail!("--ask-sudo needs a terminal to ask on; allow the user NOPASSWD, or leave it out")
    };
    let password = terminal.ask_hidden("Password for sudo: ");
    let password = password.context("cannot ask for the password")?;
    password.context("no password was given")
}

/// Type, columns and rows of this process's terminal, or of none in particular.
fn terminal() -> (String, u32, u32) {
    let (columns, rows) = Terminal::open()
        .and_then(|terminal| terminal.size())
        .unwrap_or((80, 24));
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
    (term.unwrap_or_else(|| "vt100".to_owned()), columns, rows)
}
