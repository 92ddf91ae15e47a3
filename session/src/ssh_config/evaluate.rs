//! The walk through the lines for one host: which sections apply, and in which order values count.

use std::borrow::Cow;

use super::chosen::{Chosen, Place};
use super::error::{Fault, Origin, SshConfigError};
use super::exec::Commands;
use super::keyword::Key;
use super::local::Local;
use super::matching::{Criteria, Criterion, Test};
use super::pattern::{Listed, list};
use super::tokens::{GENERAL, Tokens, expand_host_name};
use super::tree::{Entry, Head, Item, Section, Tree, Whose};
use super::value::Value;
use crate::host::Host;

/// One pass over the files for one host.
#[derive(Debug)]
pub(super) struct Walk<'a, 'h> {
    pub(super) local: &'a Local,
    pub(super) commands: &'a Commands,
    pub(super) chosen: Chosen<'a>,
    /// The host as the caller named it.
    pub(super) asked: &'h Host,
    /// What `Host` is held against: the name as given, in the final pass the one that results.
    pub(super) host: String,
    pub(super) is_final: bool,
}

impl<'a> Walk<'a, '_> {
    /// Takes the options that a host has for itself.
    pub(super) fn own(&mut self, items: &'a [(Item, &'a Origin)]) -> Result<(), SshConfigError> {
        for (item, origin) in items {
            self.item(item, Place::Own(origin), Whose::User, true)?;
        }
        Ok(())
    }

    /// Takes the options of a command line.
    pub(super) fn command_line(&mut self, items: &'a [Item]) -> Result<(), SshConfigError> {
        for item in items {
            self.item(item, Place::CommandLine, Whose::User, true)?;
        }
        Ok(())
    }

    /// Takes a file and what it includes.
    pub(super) fn file(&mut self, tree: &'a Tree, whose: Whose) -> Result<(), SshConfigError> {
        self.tree(tree, whose, true, false)
    }

    /// Takes a file whose first lines apply if `applies` says so, and that has no section that
    /// does if `never` says so.
    fn tree(
        &mut self,
        tree: &'a Tree,
        whose: Whose,
        applies: bool,
        never: bool,
    ) -> Result<(), SshConfigError> {
        for section in &tree.sections {
            let applies = match section.head {
                Head::Start => applies,
                _ if never => false,
                _ => self.applies(tree, section)?,
            };
            if !applies && !section.has_unknown {
                continue;
            }
            for Entry { line, item } in &section.entries {
                self.item(item, Place::File(&tree.path, *line), whose, applies)?;
            }
        }
        Ok(())
    }

    fn item(
        &mut self,
        item: &'a Item,
        place: Place<'a>,
        whose: Whose,
        applies: bool,
    ) -> Result<(), SshConfigError> {
        let fail = |keyword: &str, fault| SshConfigError::option(place.origin(), keyword, fault);
        match item {
            Item::Set(keyword, value) if applies => match keyword.key {
                Some(key) => {
                    let set = self.chosen.set(key, value, place, whose == Whose::User);
                    set.map_err(|fault| fail(keyword.name(), fault))
                }
                None => Ok(()),
            },
            Item::Set(..) => Ok(()),
            Item::Unknown(name) => {
                let ignored = self.chosen.word(Key::IgnoreUnknown);
                let ignored = ignored.is_some_and(|(patterns, _)| {
                    list(&patterns.to_ascii_lowercase(), name) == Listed::Yes
                });
                if ignored {
                    return Ok(());
                }
                Err(fail(name, Fault::UnknownKeyword))
            }
            Item::Include(trees) => {
                for tree in trees {
                    self.tree(tree, whose, applies, !applies)?;
                }
                Ok(())
            }
        }
    }

    fn applies(&self, tree: &Tree, section: &Section) -> Result<bool, SshConfigError> {
        match &section.head {
            Head::Start => Ok(true),
            Head::Host(patterns) => Ok(patterns.matches(&self.host)),
            Head::Match(criteria) => self.criteria(criteria).map_err(|fault| {
                let place = Place::File(&tree.path, section.line);
                SshConfigError::option(place.origin(), "Match", fault)
            }),
        }
    }

    /// Returns whether all criteria hold; no command is run after one that does not.
    fn criteria(&self, criteria: &Criteria) -> Result<bool, Fault> {
        for Criterion { negated, test } in &criteria.0 {
            if self.test(test)? == *negated {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn test(&self, test: &Test) -> Result<bool, Fault> {
        let listed = |patterns: &str, text: &str| list(patterns, text) == Listed::Yes;
        Ok(match test {
            Test::All => true,
            Test::Canonical | Test::Final => self.is_final,
            Test::Host(patterns) => listed(patterns, &self.target()?.to_ascii_lowercase()),
            Test::OriginalHost(patterns) => {
                listed(patterns, &self.asked.name().to_ascii_lowercase())
            }
            Test::User(patterns) => listed(patterns, self.user()),
            Test::LocalUser(patterns) => listed(patterns, self.local.user()),
            Test::LocalNetwork(networks) => {
                let own = self.local.addresses().ok_or(Fault::NoLocalAddresses)?;
                own.iter()
                    .any(|own| networks.iter().any(|net| net.contains(*own)))
            }
            Test::Tagged(patterns) => {
                let tag = self.chosen.word(Key::Tag).map_or("", |(tag, _)| tag);
                listed(patterns, tag)
            }
            Test::Exec(command) => {
                let host = self.target()?;
                let alias = self.chosen.word(Key::HostKeyAlias);
                let tokens = Tokens {
                    local: self.local,
                    host: &host,
                    original: self.asked.name(),
                    alias: alias.map_or(&*host, |(alias, _)| alias),
                    port: self.port(),
                    user: self.user(),
                    jump: "",
                };
                self.commands
                    .run(tokens.expand_command(command, GENERAL)?)?
            }
        })
    }

    /// The name to connect to, as far as it is known here.
    fn target(&self) -> Result<Cow<'_, str>, Fault> {
        match self.chosen.word(Key::HostName) {
            Some((text, _)) if !self.is_final => expand_host_name(text, &self.host).map(Cow::Owned),
            _ => Ok(Cow::Borrowed(&self.host)),
        }
    }

    /// The user to log in as, as far as it is known here.
    pub(super) fn user(&self) -> &str {
        let chosen = || self.chosen.word(Key::User).map(|(user, _)| user);
        let asked = self.asked.user();
        asked.or_else(chosen).unwrap_or(self.local.user())
    }

    pub(super) fn port(&self) -> u16 {
        let chosen = || match self.chosen.get(Key::Port) {
            Some((Value::Port(port), _)) => Some(*port),
            _ => None,
        };
        self.asked.port().or_else(chosen).unwrap_or(DEFAULT_PORT)
    }
}

/// The port of SSH.
pub(super) const DEFAULT_PORT: u16 = 22;
