//! A command as another user, by `sudo`.

use std::fmt;
use std::sync::Arc;

use openssl::rand::rand_bytes;
use zeroize::Zeroizing;

use crate::error::{Error, Phase};
use crate::launch::{LaunchError, refuse_nul};
use crate::quote::quote;
use crate::secret::Secret;

/// Runs a command as another user, by the host's `sudo`.
///
/// With a password, `sudo` is told to ask by a prompt that is drawn at random for this value, and
/// the password goes to that prompt alone, once: not to a command for which nobody asked, nor to
/// whoever else asks. Asked again, the command is given up as
/// [`SudoError::WrongPassword`](crate::SudoError). Without one, `sudo` asks nobody (`-n`), and what
/// it says when it would have to is the error. Prompt and password are not part of the output, and
/// the command's own input begins when the command does.
///
/// The command is accepted once `sudo` has begun it, within the same limit as the connection. An
/// inner `/bin/sh` tells that by a mark on standard error, which is no part of the output either.
/// What else comes before, such as `sudo`'s lecture, is the first of the output.
///
/// `HOME` is the other user's (`-H`). A second question of the host's, for a one-time code say, is
/// not answered.
#[derive(Clone)]
#[must_use]
pub struct Sudo {
    user: String,
    password: Option<Arc<Secret>>,
    nonce: Nonce,
}

/// Two marks that no host can know before, nor print by repeating the command line: `%` is written
/// in other ways there.
#[derive(Clone)]
struct Nonce(Result<[u8; 32], String>);

impl Sudo {
    /// Returns the way to `root`, without a password.
    pub fn new() -> Self {
        Self::to("root")
    }

    /// Returns the way to a user, or to `#` and a number, without a password.
    pub fn to(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: None,
            nonce: Nonce::draw(),
        }
    }

    /// Sets the password for `sudo`, which is that of the user who logged in, as a rule.
    pub fn password(mut self, password: Arc<Secret>) -> Self {
        self.password = Some(password);
        self
    }

    /// Returns what the two marks are made of, for another process that starts a command which
    /// this value has wrapped; `None` if none could be drawn. It is no secret once the command is
    /// on its way, and must be one before.
    pub fn marks(&self) -> Option<[u8; 32]> {
        self.nonce.0.as_ref().ok().copied()
    }

    /// Sets the marks to another value's, whose process wrapped the command.
    pub fn with_marks(mut self, marks: [u8; 32]) -> Self {
        self.nonce = Nonce(Ok(marks));
        self
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Returns the password as it is typed.
    pub(crate) fn typed_password(&self) -> Option<Zeroizing<Vec<u8>>> {
        let password = self.password.as_ref()?.expose();
        // With room for all at once: a buffer that grows leaves a copy behind.
        let mut typed = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        typed.extend_from_slice(password);
        typed.push(b'\n');
        Some(typed)
    }

    /// Returns the prompt as it arrives.
    pub(crate) fn ask(&self) -> Vec<u8> {
        self.nonce.text("ask", 0, "%")
    }

    /// Returns the mark of the command's begin as it arrives.
    pub(crate) fn go(&self) -> Vec<u8> {
        self.nonce.text("go", 1, "%")
    }

    /// Writes the call of sudo.
    pub(super) fn call(&self, line: &mut Vec<u8>) {
        match self.password {
            Some(_) => {
                line.extend_from_slice(b"sudo -S -H -p ");
                // `%%` is `%` (sudo(8), `-p`).
                line.extend_from_slice(&quote(&self.nonce.text("ask", 0, "%%")));
            }
            None => line.extend_from_slice(b"sudo -n -H"),
        }
        line.extend_from_slice(b" -u ");
        line.extend_from_slice(&quote(self.user.as_bytes()));
    }

    /// Returns what tells that sudo has begun the inner shell.
    pub(super) fn begin(&self) -> Vec<u8> {
        // `\045` is `%` in a format of printf.
        let mark = self.nonce.text("go", 1, "\\045");
        [&b"printf "[..], &*quote(&mark), b" >&2; "].concat()
    }

    pub(super) fn check(&self, terminal: bool) -> Result<(), Error> {
        let user = &self.user;
        refuse_nul(user.as_bytes())?;
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if user.is_empty() || user.starts_with('-') || user.contains(odd) {
            let user = user.clone();
            return Err(LaunchError::User { user }.into());
        }
        if let Some(password) = &self.password {
            let password = password.expose();
            let untypable = |byte: &u8| match terminal {
                true => byte.is_ascii_control(),
                false => matches!(byte, b'\n' | b'\r' | 0),
            };
            if password.is_empty() || password.iter().any(untypable) {
                return Err(LaunchError::Password.into());
            }
        }
        match &self.nonce.0 {
            Ok(_) => Ok(()),
            Err(text) => Err(Error::Local {
                phase: Phase::Local,
                source: std::io::Error::other(text.clone()),
            }),
        }
    }
}

impl Default for Sudo {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sudo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sudo")
            .field("user", &self.user)
            .field("password", &self.password)
            .finish_non_exhaustive()
    }
}

impl Nonce {
    fn draw() -> Self {
        let mut bytes = [0; 32];
        Self(match rand_bytes(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Returns a mark, 16 of the bytes in it.
    fn text(&self, word: &str, half: usize, separator: &str) -> Vec<u8> {
        let bytes = self
            .0
            .as_ref()
            .map_or(&[][..], |bytes| &bytes[half * 16..][..16]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let s = separator;
        format!("sshoal{s}{word}{s}{hex}{s}").into_bytes()
    }
}
