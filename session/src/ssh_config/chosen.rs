//! What was said for one host: the first value of each option, and the lists that add up.

use std::path::Path;
use std::sync::Arc;

use super::error::{Fault, Origin};
use super::keyword::Key;
use super::pattern::glob;
use super::value::Value;

/// Where a value stands; an [`Origin`] that costs nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    CommandLine,
    File(&'a Arc<Path>, usize),
    /// The line of the host's own.
    Own(&'a Origin),
}

impl Place<'_> {
    pub(super) fn origin(self) -> Origin {
        match self {
            Self::CommandLine => Origin::CommandLine,
            Self::File(path, line) => Origin::File {
                path: Arc::clone(path),
                line,
            },
            Self::Own(origin) => origin.clone(),
        }
    }
}

/// One entry of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place<'a>,
    /// Whether it is the user's, not the system's; the same file of both is two entries to ssh.
    users: bool,
}

/// The value of an option that counts.
#[derive(Debug, Clone, Copy)]
struct First<'a> {
    value: &'a Value,
    place: Place<'a>,
    /// Whether it is the user's, not the system's.
    users: bool,
}

/// The values for one host.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    first: [Option<First<'a>>; Key::COUNT],
    pub(super) identities: Vec<Said<'a>>,
    pub(super) certificates: Vec<Said<'a>>,
    pub(super) send_env: Vec<Said<'a>>,
    pub(super) set_env: Vec<Said<'a>>,
}

impl<'a> Chosen<'a> {
    pub(super) fn new() -> Self {
        Self {
            first: [None; Key::COUNT],
            identities: Vec::new(),
            certificates: Vec::new(),
            send_env: Vec::new(),
            set_env: Vec::new(),
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<(&'a Value, Place<'a>)> {
        let first = self.first[key as usize]?;
        Some((first.value, first.place))
    }

    /// Returns whether the user said it, and not the system's file.
    pub(super) fn is_asked(&self, key: Key) -> bool {
        self.first[key as usize].is_some_and(|first| first.users)
    }

    /// Returns the word that an option has.
    pub(super) fn word(&self, key: Key) -> Option<(&'a str, Place<'a>)> {
        match self.get(key)? {
            (Value::Word(word), place) => Some((word, place)),
            (Value::Choice(word), place) => Some((word, place)),
            _ => None,
        }
    }

    /// Takes an option's value if its rule lets it count.
    pub(super) fn set(
        &mut self,
        key: Key,
        value: &'a Value,
        place: Place<'a>,
        users: bool,
    ) -> Result<(), Fault> {
        match (key, value) {
            (Key::IdentityFile, Value::Word(text)) => {
                add_file(&mut self.identities, Said { text, place, users })
            }
            (Key::CertificateFile, Value::Word(text)) => {
                add_file(&mut self.certificates, Said { text, place, users })
            }
            (Key::SendEnv, Value::Words(words)) => {
                for text in words {
                    match text.strip_prefix('-') {
                        Some(pattern) => self.send_env.retain(|said| !glob(pattern, said.text)),
                        None => self.send_env.push(Said { text, place, users }),
                    }
                }
                bounded(&self.send_env)
            }
            (Key::SetEnv, Value::Words(words)) if self.set_env.is_empty() => {
                for text in words {
                    let set = self
                        .set_env
                        .iter()
                        .any(|said| name(said.text) == name(text));
                    if !set {
                        self.set_env.push(Said { text, place, users });
                    }
                }
                bounded(&self.set_env)
            }
            (Key::SetEnv, _) => Ok(()),
            // Each of the two keeps the other from counting.
            (Key::ProxyCommand, _) if self.get(Key::ProxyJump).is_some() => Ok(()),
            (Key::ProxyJump, _) if self.get(Key::ProxyCommand).is_some() => Ok(()),
            _ => {
                let slot = &mut self.first[key as usize];
                // To ssh a time of `none` in a file is as good as unsaid.
                let unsaid = match slot.map(|first| (first.value, first.place)) {
                    None => true,
                    Some((Value::Seconds(None), Place::File(..))) => true,
                    Some(_) => false,
                };
                if unsaid {
                    *slot = Some(First {
                        value,
                        place,
                        users,
                    });
                }
                Ok(())
            }
        }
    }
}

fn add_file<'a>(files: &mut Vec<Said<'a>>, said: Said<'a>) -> Result<(), Fault> {
    if files.len() >= KEY_FILES_MAX {
        return Err(Fault::TooMany { max: KEY_FILES_MAX });
    }
    let known = |other: &Said<'_>| other.text == said.text && other.users == said.users;
    if !files.iter().any(known) {
        files.push(said);
    }
    Ok(())
}

fn bounded(variables: &[Said<'_>]) -> Result<(), Fault> {
    if variables.len() > VARIABLES_MAX {
        return Err(Fault::TooMany { max: VARIABLES_MAX });
    }
    Ok(())
}

/// The name of `NAME=VALUE`.
fn name(text: &str) -> &str {
    text.split('=').next().unwrap_or_default()
}

/// The most identity or certificate files that ssh takes.
const KEY_FILES_MAX: usize = 100;
/// The most environment variables that are sent to a host.
const VARIABLES_MAX: usize = 1000;
