//! Reads typed values out of what was said, with tokens replaced.

use std::time::Duration;

use super::algorithms::AlgorithmList;
use super::build::origin_of;
use super::chosen::{Chosen, Place, Said};
use super::error::{Fault, SshConfigError};
use super::evaluate::Walk;
use super::jump;
use super::keyword::{self, Key};
use super::options::{AgentSocket, ConfigPath, ForwardAgent, Given, Proxy, ShellCommand};
use super::tokens::{PROXY, Tokens};
use super::value::Value;
use crate::host::Host;

type Result<T> = std::result::Result<T, SshConfigError>;

/// What was said for a host, and what tokens stand for with it.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    pub(super) chosen: &'a Chosen<'a>,
    pub(super) tokens: Tokens<'a>,
}

impl Typed<'_> {
    pub(super) fn flag(&self, key: Key) -> Option<Given<bool>> {
        self.choice(key, |word| word == "yes")
    }

    pub(super) fn choice<T>(&self, key: Key, mean: impl Fn(&str) -> T) -> Option<Given<T>> {
        let (word, place) = self.chosen.word(key)?;
        Some(Given::new(mean(word), place.origin()))
    }

    pub(super) fn text(&self, key: Key) -> Option<Given<String>> {
        self.choice(key, str::to_owned)
    }

    pub(super) fn number(&self, key: Key) -> Option<Given<u32>> {
        match self.chosen.get(key)? {
            (Value::Number(number), place) => Some(Given::new(*number, place.origin())),
            _ => None,
        }
    }

    pub(super) fn time(&self, key: Key) -> Option<Given<Option<Duration>>> {
        match self.chosen.get(key)? {
            (Value::Seconds(seconds), place) => {
                let seconds = seconds.filter(|seconds| *seconds != 0);
                let time = seconds.map(|seconds| Duration::from_secs(seconds.into()));
                Some(Given::new(time, place.origin()))
            }
            _ => None,
        }
    }

    pub(super) fn algorithms(&self, key: Key) -> Option<Given<AlgorithmList>> {
        match self.chosen.get(key)? {
            (Value::Algorithms(list), place) => Some(Given::new(list.clone(), place.origin())),
            _ => None,
        }
    }

    pub(super) fn methods(&self) -> Option<Given<Vec<String>>> {
        self.choice(Key::PreferredAuthentications, |word| {
            word.split(',').map(str::to_owned).collect()
        })
    }

    pub(super) fn port(&self, walk: &Walk<'_, '_>) -> Given<u16> {
        let chosen = self.chosen.get(Key::Port).map(|(_, place)| place.origin());
        let origin = origin_of(walk.asked.port().is_some(), chosen);
        Given::new(walk.port(), origin)
    }

    pub(super) fn user(&self, walk: &Walk<'_, '_>) -> Result<Given<String>> {
        let chosen = self.chosen.get(Key::User).map(|(_, place)| place.origin());
        let origin = origin_of(walk.asked.user().is_some(), chosen);
        // A name that a host cannot have would stand in logs, reports and commands.
        let name = jump::to_host(Some(walk.user()), "localhost", None);
        name.map_err(|fault| SshConfigError::option(origin.clone(), "User", fault))?;
        Ok(Given::new(walk.user().to_owned(), origin))
    }

    pub(super) fn attempts(&self) -> Result<Option<Given<u32>>> {
        let attempts = self.number(Key::ConnectionAttempts);
        match attempts {
            Some(attempts) if *attempts.value() == 0 => {
                let fault = Fault::BadValue {
                    value: "0".to_owned(),
                    expected: "number of attempts, which is at least 1",
                };
                let origin = attempts.origin().clone();
                Err(SshConfigError::option(origin, "ConnectionAttempts", fault))
            }
            attempts => Ok(attempts),
        }
    }

    pub(super) fn files(&self, key: Key, files: &[Said<'_>]) -> Result<Vec<Given<ConfigPath>>> {
        let files = files.iter().filter(|said| !is_none(said.text));
        files
            .map(|said| self.path(key, said.text, said.place))
            .collect()
    }

    pub(super) fn known_hosts(&self, key: Key) -> Result<Option<Given<Vec<ConfigPath>>>> {
        let Some((Value::Words(words), place)) = self.chosen.get(key) else {
            return Ok(None);
        };
        let words = words.iter().filter(|word| !is_none(word));
        let path = |word: &String| {
            if key == Key::UserKnownHostsFile {
                return Ok(self.path(key, word, place)?.into_value());
            }
            // The files of the system know `~` alone.
            let path = self.tokens.local.expand_tilde(word);
            let path = path.map_err(|fault| fail(key, place, fault))?;
            Ok(ConfigPath::new(word, path))
        };
        let paths: Vec<_> = words.map(path).collect::<Result<_>>()?;
        Ok(Some(Given::new(paths, place.origin())))
    }

    pub(super) fn revoked(&self) -> Result<Option<Given<Option<ConfigPath>>>> {
        let Some((text, place)) = self.chosen.word(Key::RevokedHostKeys) else {
            return Ok(None);
        };
        let path = match is_none(text) {
            true => None,
            false => Some(self.path(Key::RevokedHostKeys, text, place)?.into_value()),
        };
        Ok(Some(Given::new(path, place.origin())))
    }

    pub(super) fn identity_agent(&self) -> Result<Option<Given<AgentSocket>>> {
        let Some((text, place)) = self.chosen.word(Key::IdentityAgent) else {
            return Ok(None);
        };
        let socket = match self.socket(Key::IdentityAgent, text, place)? {
            Some(path) if path == "none" => AgentSocket::None,
            Some(path) if path == "SSH_AUTH_SOCK" => AgentSocket::FromEnvironment,
            Some(path) => AgentSocket::Path(path.into()),
            None => AgentSocket::None,
        };
        Ok(Some(Given::new(socket, place.origin())))
    }

    pub(super) fn forward_agent(&self) -> Result<Option<Given<ForwardAgent>>> {
        let Some((value, place)) = self.chosen.get(Key::ForwardAgent) else {
            return Ok(None);
        };
        let forward = match value {
            Value::Choice("yes") => ForwardAgent::Yes,
            Value::Word(text) => {
                let socket = self.socket(Key::ForwardAgent, text, place)?;
                ForwardAgent::Socket(socket.map(Into::into))
            }
            _ => ForwardAgent::No,
        };
        Ok(Some(Given::new(forward, place.origin())))
    }

    pub(super) fn proxy(&self) -> Result<Option<Given<Proxy>>> {
        if let Some((Value::Jump(hops), place)) = self.chosen.get(Key::ProxyJump) {
            let proxy = match hops {
                Some(hops) => Proxy::Jump(self.hops(hops, place)?),
                None => Proxy::Direct,
            };
            return Ok(Some(Given::new(proxy, place.origin())));
        }
        let Some((text, place)) = self.chosen.word(Key::ProxyCommand) else {
            return Ok(None);
        };
        if is_none(text) {
            return Ok(Some(Given::new(Proxy::Direct, place.origin())));
        }
        let command = self.tokens.expand_command(text, PROXY);
        let command = command.map_err(|fault| fail(Key::ProxyCommand, place, fault))?;
        let command = Proxy::Command(ShellCommand::new(text, command));
        Ok(Some(Given::new(command, place.origin())))
    }

    fn hops(&self, hops: &[jump::RawHop], place: Place<'_>) -> Result<Vec<Host>> {
        let hop = |hop: &jump::RawHop| {
            let user = hop
                .user
                .as_ref()
                .map(|user| self.tokens.expand(user, PROXY));
            let name = self.tokens.expand(&hop.host, PROXY)?;
            jump::to_host(user.transpose()?.as_deref(), &name, hop.port)
        };
        let hops: std::result::Result<Vec<_>, Fault> = hops.iter().map(hop).collect();
        hops.map_err(|fault| fail(Key::ProxyJump, place, fault))
    }

    /// Replaces all that paths have; after that a `$NAME` stands for a variable, `None` if unset.
    fn socket(&self, key: Key, text: &str, place: Place<'_>) -> Result<Option<String>> {
        let path = self.tokens.expand_path(text);
        let path = path.map_err(|fault| fail(key, place, fault))?;
        match path.strip_prefix('$') {
            Some(name) => Ok(self.tokens.local.variable(name).map(str::to_owned)),
            None => Ok(Some(path)),
        }
    }

    fn path(&self, key: Key, text: &str, place: Place<'_>) -> Result<Given<ConfigPath>> {
        let path = self.tokens.expand_path(text);
        let path = path.map_err(|fault| fail(key, place, fault))?;
        Ok(Given::new(ConfigPath::new(text, path), place.origin()))
    }
}

/// The entries of a list, each with its own origin.
pub(super) fn said<T>(entries: &[Said<'_>], read: impl Fn(&str) -> T) -> Vec<Given<T>> {
    let read = |said: &Said<'_>| Given::new(read(said.text), said.place.origin());
    entries.iter().map(read).collect()
}

fn fail(key: Key, place: Place<'_>, fault: Fault) -> SshConfigError {
    SshConfigError::option(place.origin(), keyword::of(key).name(), fault)
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}
