//! How a command is launched on a host: what stands around it, and what it finds when it begins.
//!
//! The principal type is [`Launch`]. What it makes is one line for the user's login shell on the
//! host, so that nothing of it costs a round trip; only a pseudo-terminal and a password do.

use std::sync::Arc;

use crate::error::{ApiMisuse, Error};
use crate::quote::quote;

mod error;
mod gate;
mod pty;
mod shell;
mod sudo;

pub use error::{LaunchError, SudoError};
pub(crate) use gate::{Gate, Seen};
pub use pty::Pty;
pub(crate) use pty::size_is_good as pty_size_is_good;
pub use shell::Shell;
pub use sudo::Sudo;

/// How a command is launched: what stands around it, and what it finds when it begins.
///
/// The default is nothing: the command's bytes go to the host as they are, and the user's login
/// shell there runs them. With variables or a directory the login shell sets those first, and so
/// has to be a POSIX shell; the command is then still the same shell's to read.
///
/// In this order: [`Sudo`] changes the user, variables are set, the directory is changed, and the
/// [`Shell`] runs the command. Where a variable cannot be set or the directory not be entered, the
/// shell says so on standard error and the exit status is [`Launch::NOT_SET_UP`]; the command is
/// not run.
///
/// Everything but a password is in the command line on the host, where its other users may see it.
///
/// # Examples
///
/// ```
/// use sshoal_session::{Launch, Shell, Sudo};
///
/// let launch = Launch::new().env("LANG", "C").dir("~/work").shell(Shell::new("bash"));
/// assert_eq!(
///     launch.wrap(b"echo 'a   b'")?,
///     br#"export LANG=C && cd -- "${HOME:?}"/work || exit 125; exec bash -c 'echo '\''a   b'\'''"#
/// );
/// let launch = Launch::new().sudo(Sudo::to("postgres"));
/// assert!(launch.wrap(b"psql -l")?.starts_with(b"exec sudo -n -H -u postgres -- /bin/sh -c "));
/// # Ok::<(), sshoal_session::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Launch(
    /// Shared by all hosts of a run; nothing where there is nothing around the command.
    Option<Arc<Parts>>,
);

#[derive(Debug, Clone, Default)]
struct Parts {
    variables: Vec<(String, Vec<u8>)>,
    dir: Option<Vec<u8>>,
    sudo: Option<Sudo>,
    shell: Option<Shell>,
    pty: Option<Pty>,
}

impl Launch {
    /// The exit status where variables or the directory could not be set; that of `env -C`.
    pub const NOT_SET_UP: u32 = 125;

    /// Returns a launch with nothing around the command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an environment variable of the command, whatever the server accepts, and without a
    /// round trip; an earlier value of the name goes. Default: none.
    ///
    /// The name has letters, digits and `_`, no digit first; the value any bytes but NUL.
    /// [`Command::env`](crate::Command::env) is the way of ssh's `SetEnv`.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        let variables = &mut self.parts_mut().variables;
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value.into()));
        self
    }

    /// Sets the working directory. Default: where the server begins, the user's home directory.
    ///
    /// `~` and what begins with `~/` is below the home directory of the user whom the command runs
    /// as; no other `~` has a meaning. A relative path is below where the server begins, with
    /// [`Launch::sudo`] too; `CDPATH` is not heeded.
    pub fn dir(mut self, dir: impl Into<Vec<u8>>) -> Self {
        self.parts_mut().dir = Some(dir.into());
        self
    }

    /// Has the command run as another user by `sudo`. Default: as the user who logged in.
    pub fn sudo(mut self, sudo: Sudo) -> Self {
        self.parts_mut().sudo = Some(sudo);
        self
    }

    /// Sets the shell that runs the command. Default: the login shell of the user who logged in.
    pub fn shell(mut self, shell: Shell) -> Self {
        self.parts_mut().shell = Some(shell);
        self
    }

    /// Gives the command a pseudo-terminal. Default: none.
    pub fn pty(mut self, pty: Pty) -> Self {
        self.parts_mut().pty = Some(pty);
        self
    }

    /// Returns the bytes that the host is asked to run for a command; they hold no password.
    ///
    /// # Errors
    ///
    /// Something cannot be passed on as it is asked for; nothing is sent.
    pub fn wrap(&self, command: &[u8]) -> Result<Vec<u8>, Error> {
        refuse_nul(command)?;
        match &self.0 {
            Some(parts) => parts.wrap(command),
            None => Ok(command.to_vec()),
        }
    }

    pub(crate) fn sudo_of(&self) -> Option<&Sudo> {
        self.0.as_ref()?.sudo.as_ref()
    }

    pub(crate) fn pty_of(&self) -> Option<&Pty> {
        self.0.as_ref()?.pty.as_ref()
    }

    fn parts_mut(&mut self) -> &mut Parts {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl Parts {
    fn wrap(&self, command: &[u8]) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut line = Vec::with_capacity(command.len() + 64);
        match (&self.sudo, &self.shell) {
            (None, None) => {
                self.set_up(&mut line);
                line.extend_from_slice(command);
            }
            (None, Some(shell)) => {
                self.set_up(&mut line);
                line.extend_from_slice(b"exec ");
                shell.call(command, &mut line);
            }
            (Some(sudo), shell) => {
                // Words of their own for the inner shell: the command is quoted once, not twice.
                let mut inner = sudo.begin();
                self.set_up(&mut inner);
                inner.extend_from_slice(b"exec \"$@\"");
                line.extend_from_slice(b"exec ");
                sudo.call(&mut line);
                line.extend_from_slice(b" -- /bin/sh -c ");
                line.extend_from_slice(&quote(&inner));
                line.extend_from_slice(b" sh ");
                let login = Shell::login();
                shell.as_ref().unwrap_or(&login).call(command, &mut line);
            }
        }
        Ok(line)
    }

    fn check(&self) -> Result<(), Error> {
        for (name, value) in &self.variables {
            if !is_name(name) {
                let name = name.clone();
                return Err(LaunchError::VariableName { name }.into());
            }
            refuse_nul(value)?;
        }
        if let Some(dir) = &self.dir {
            refuse_nul(dir)?;
            if dir.is_empty() {
                return Err(LaunchError::Dir.into());
            }
        }
        if let Some(shell) = &self.shell {
            shell.check()?;
        }
        if let Some(sudo) = &self.sudo {
            sudo.check(self.pty.is_some())?;
        }
        match &self.pty {
            Some(pty) => Ok(pty.check()?),
            None => Ok(()),
        }
    }

    /// Writes what sets variables and directory, for a POSIX shell.
    fn set_up(&self, line: &mut Vec<u8>) {
        if !self.variables.is_empty() {
            line.extend_from_slice(b"export");
            for (name, value) in &self.variables {
                line.push(b' ');
                line.extend_from_slice(name.as_bytes());
                line.push(b'=');
                line.extend_from_slice(&quote(value));
            }
        }
        if let Some(dir) = &self.dir {
            if !self.variables.is_empty() {
                line.extend_from_slice(b" && ");
            }
            line.extend_from_slice(b"cd -- ");
            line.extend_from_slice(&place(dir));
        }
        if !self.variables.is_empty() || self.dir.is_some() {
            // Not `&&`: a command of several parts would run its second one all the same.
            line.extend_from_slice(format!(" || exit {}; ", Launch::NOT_SET_UP).as_bytes());
        }
    }
}

/// Returns a directory as a word for `cd`.
fn place(dir: &[u8]) -> Vec<u8> {
    // Without a home, the rest would be taken for a path from the root.
    const HOME: &[u8] = b"\"${HOME:?}\"";
    match dir {
        b"~" => HOME.to_vec(),
        [b'~', b'/', ..] => [HOME, &*quote(&dir[1..])].concat(),
        [b'/', ..] => quote(dir).into_owned(),
        // Neither `-` nor `CDPATH` leads elsewhere.
        _ => quote(&[b"./", dir].concat()).into_owned(),
    }
}

/// Whether a shell takes this as the name of a variable (IEEE 1003.1-2024, 3.216 "Name").
fn is_name(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(safe)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit())
}

fn refuse_nul(bytes: &[u8]) -> Result<(), ApiMisuse> {
    match bytes.contains(&0) {
        true => Err(ApiMisuse::NulByte),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
