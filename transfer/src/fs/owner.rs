//! Users and groups of a host, by number or by name.

use sshoal_session::{Exit, quote};

use super::RemoteFs;
use crate::error::Error;

/// A user or a group of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way to name one")]
pub enum Owner {
    /// By number.
    Id(u32),
    /// By name, which the host resolves by a command: SFTP has numbers only.
    Name(String),
}

impl From<u32> for Owner {
    fn from(id: u32) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for Owner {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl Owner {
    /// Returns it as `chown` takes it.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

impl RemoteFs<'_> {
    /// Returns both numbers, those of `before` where none is given; `None` where nothing is to be
    /// set.
    pub(super) fn numbers(
        &self,
        user: Option<&Owner>,
        group: Option<&Owner>,
        before: Option<(u32, u32)>,
    ) -> Result<Option<(u32, u32)>, Error> {
        if user.is_none() && group.is_none() {
            return Ok(None);
        }
        let number = |owner: Option<&Owner>, before, command| match owner {
            None => before,
            Some(Owner::Id(id)) => Ok(*id),
            Some(Owner::Name(name)) => self.number_of(name, command),
        };
        let missing = || Error::NoAccount {
            name: "the file's own, which the host does not tell".to_owned(),
        };
        let user_before = before.map(|(user, _)| user).ok_or_else(missing);
        let group_before = before.map(|(_, group)| group).ok_or_else(missing);
        Ok(Some((
            number(user, user_before, "id -u")?,
            number(group, group_before, GROUP)?,
        )))
    }

    fn number_of(&self, name: &str, command: &str) -> Result<u32, Error> {
        let unknown = || Error::NoAccount {
            name: name.to_owned(),
        };
        // A name that begins so would be an option.
        if name.is_empty() || name.starts_with('-') || name.contains(['\0', ':', '\n']) {
            return Err(unknown());
        }
        let script = [command.as_bytes(), b" ", &quote(name.as_bytes())].concat();
        let line = [b"exec sh -c ".as_slice(), &quote(&script)].concat();
        let command = self.session.command(line).scope(&self.scope);
        let output = command.output_bytes_max(OUTPUT_BYTES_MAX).output()?;
        let text = String::from_utf8(output.stdout).map_err(|_| unknown())?;
        match output.exit {
            Exit::Status(0) => text.trim().parse().map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

/// Prints a group's number; a name follows. Where `getent` is missing, the file has to do.
const GROUP: &str = "f() { if command -v getent >/dev/null 2>&1; then getent group \"$1\"; \
                     else cat /etc/group; fi | \
                     awk -F: -v g=\"$1\" '$1 == g { print $3; f = 1; exit } END { exit !f }'; }; f";
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
