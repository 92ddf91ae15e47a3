//! The shell that runs a command.

use crate::error::Error;
use crate::launch::{LaunchError, refuse_nul};
use crate::quote::quote;

/// A shell that runs a command: a name or a path, and the flags before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The program and its flags; no program: the login shell.
    program: Option<Vec<u8>>,
    flags: Vec<Vec<u8>>,
}

impl Shell {
    /// Returns a shell by its name or path, with the flag `-c` before the command.
    pub fn new(program: impl Into<Vec<u8>>) -> Self {
        Self {
            program: Some(program.into()),
            flags: vec![b"-c".to_vec()],
        }
    }

    /// Returns the login shell of the user who logged in (`$SHELL`), with the flag `-c`.
    pub fn login() -> Self {
        Self {
            program: None,
            flags: vec![b"-c".to_vec()],
        }
    }

    /// Sets the flags, in place of `-c`; the last has to be the one that takes a command.
    pub fn flags<F: Into<Vec<u8>>>(mut self, flags: impl IntoIterator<Item = F>) -> Self {
        self.flags = flags.into_iter().map(Into::into).collect();
        self
    }

    /// Returns a shell by what is typed for it: a program and flags, divided by white space, as in
    /// `bash -lc`; a program alone has the flag `-c`, and `$SHELL` is the login shell.
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let shell = match words.next().unwrap_or_default() {
            "$SHELL" => Self::login(),
            program => Self::new(program),
        };
        let flags: Vec<&str> = words.collect();
        match flags.is_empty() {
            true => shell,
            false => shell.flags(flags),
        }
    }

    /// Writes the call of the shell with a command.
    pub(super) fn call(&self, command: &[u8], line: &mut Vec<u8>) {
        match &self.program {
            Some(program) => line.extend_from_slice(&quote(program)),
            None => line.extend_from_slice(b"\"$SHELL\""),
        }
        let words = self.flags.iter().map(Vec::as_slice);
        for word in words.chain([command]) {
            line.push(b' ');
            line.extend_from_slice(&quote(word));
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let program = self.program.as_deref().unwrap_or(b"sh");
        for word in self.flags.iter().map(Vec::as_slice).chain([program]) {
            refuse_nul(word)?;
        }
        if program.is_empty() || program.starts_with(b"-") {
            let shell = String::from_utf8_lossy(program).into_owned();
            return Err(LaunchError::Shell { shell }.into());
        }
        Ok(())
    }
}
