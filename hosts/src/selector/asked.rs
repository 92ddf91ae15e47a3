//! Groups that sources are asked for, each once.
//!
//! A group has a position behind those of the inventory's own groups from the moment that somebody
//! wants it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{Selector, View, Words};
use crate::error::NodeSetError;
use crate::glob::glob;
use crate::inventory::{Question, Source};
use crate::names::{NameSet, Operator};

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The source of each group, and its name there.
    groups: Vec<(usize, Arc<str>)>,
    places: HashMap<(usize, Arc<str>), usize>,
    /// By source, its groups, where it can tell.
    lists: HashMap<usize, Option<Rc<[Arc<str>]>>>,
}

impl Selector<'_> {
    /// Returns the names of all groups: those that are listed, then those of sources, which are
    /// called `source:group` but for the default source's; and why a source has none to tell.
    pub fn group_names(&self) -> (Vec<String>, Vec<NodeSetError>) {
        let mut names: Vec<String> = self.inventory.groups().map(str::to_owned).collect();
        let mut failed = Vec::new();
        for at in 0..self.inventory.sources().len() {
            match self.list(at) {
                Ok(None) => {}
                Ok(Some(list)) => names.extend(list.iter().map(|name| self.shown(at, name))),
                Err(error) => failed.push(error),
            }
        }
        (names, failed)
    }

    /// Returns whether a word names a group: one that is listed, or that the default source lists.
    pub(super) fn is_group(&self, word: &str) -> Result<bool, NodeSetError> {
        if self.inventory.group(word).is_some() {
            return Ok(true);
        }
        let Some(default) = self.default_source() else {
            return Ok(false);
        };
        let list = self.list(default)?;
        Ok(list.is_some_and(|list| list.iter().any(|name| **name == *word)))
    }

    /// Returns the position of a source's group, `source:group`, `group` of the source that is meant
    /// first, or `group` of the default one; whether there is one is its members' to tell.
    pub(super) fn asked(
        &self,
        name: &str,
        within: Option<&str>,
    ) -> Result<Option<usize>, NodeSetError> {
        let (source, group) = match name.split_once(':') {
            Some((source, group)) => (self.inventory.source(source), group),
            None => {
                let own = within.and_then(|source| self.inventory.source(source));
                (own.or_else(|| self.default_source()), name)
            }
        };
        source.map(|source| self.place(source, group)).transpose()
    }

    /// Returns the positions of the groups that a pattern fits.
    pub(super) fn matching_groups(
        &self,
        pattern: &str,
        within: Option<&str>,
    ) -> Result<Vec<usize>, NodeSetError> {
        let listed = self.inventory.all_groups().iter().enumerate();
        let listed = listed.filter(|(_, group)| glob(pattern, &group.name));
        let mut found: Vec<usize> = listed.map(|(at, _)| at).collect();
        let (source, pattern) = match pattern.split_once(':') {
            Some((source, pattern)) => (self.inventory.source(source), pattern),
            None => {
                let own = within.and_then(|source| self.inventory.source(source));
                (own.or_else(|| self.default_source()), pattern)
            }
        };
        if let Some(source) = source {
            let list = self.list(source)?.unwrap_or_default();
            for name in list.iter().filter(|name| glob(pattern, name)) {
                found.push(self.place(source, name)?);
            }
        }
        Ok(found)
    }

    /// Returns all hosts, if a name stands for those of everyone, or of a source (`@source:*`).
    pub(super) fn everyone_of(
        &self,
        name: &str,
        within: Option<&str>,
        open: &mut Vec<usize>,
    ) -> Result<Option<Rc<NameSet>>, NodeSetError> {
        let of = match (name, name.strip_suffix(":*")) {
            ("*", _) => within,
            (_, of @ Some(_)) => of,
            _ => return Ok(None),
        };
        let all = match of {
            None => return self.everyone(open).map(Some),
            Some(of) => match self.inventory.source(of) {
                Some(source) => Some(self.all_of(source, open)?),
                None => {
                    let all = self.inventory.group(&format!("{of}:all"));
                    let all = all.filter(|at| !open.contains(at));
                    return all.map(|at| self.members(at, open)).transpose();
                }
            },
        };
        Ok(all.map(Rc::new))
    }

    /// Returns what the default source has, if there is one that can be asked.
    pub(super) fn asked_everyone(
        &self,
        open: &mut Vec<usize>,
    ) -> Result<Option<NameSet>, NodeSetError> {
        let source = self.default_source();
        source.map(|source| self.all_of(source, open)).transpose()
    }

    pub(super) fn asked_members(
        &self,
        at: usize,
        open: &mut Vec<usize>,
    ) -> Result<NameSet, NodeSetError> {
        let (source, name) = self.of(at);
        let Some(hosts) = self.ask(source, Question::Map(&name))? else {
            return Err(self.fault(source, "it cannot tell the hosts of a group"));
        };
        self.hosts(source, &hosts, open)
    }

    /// Adds the groups of the default source to those that hosts are in.
    pub(super) fn asked_groups_of_each(
        &self,
        specs: &[String],
        found: &mut [Vec<String>],
    ) -> Result<(), NodeSetError> {
        let Some(source) = self.default_source() else {
            return Ok(());
        };
        let list = self.list(source)?;
        // A question for each host, or one for each group, whichever are fewer.
        let is_reversed = list.as_ref().is_none_or(|list| specs.len() < list.len());
        if is_reversed {
            let mut is_known = true;
            for (spec, found) in specs.iter().zip(found.iter_mut()) {
                match self.ask(source, Question::Reverse(super::bare(spec)))? {
                    Some(groups) => found.extend(groups.split_whitespace().map(str::to_owned)),
                    None => is_known = false,
                }
            }
            if is_known {
                return Ok(());
            }
        }
        for name in list.unwrap_or_default().iter() {
            let members = self.members(self.place(source, name)?, &mut Vec::new())?;
            for (spec, found) in specs.iter().zip(found.iter_mut()) {
                if members.contains(spec) || members.contains(super::bare(spec)) {
                    found.push(name.to_string());
                }
            }
        }
        Ok(())
    }

    /// Returns what a group is called, wherever it is from.
    pub(super) fn group_name(&self, at: usize) -> String {
        match self.inventory.all_groups().get(at) {
            Some(group) => group.name.clone(),
            None => {
                let (source, name) = self.of(at);
                self.shown(source, &name)
            }
        }
    }

    /// Returns all hosts of a source: those that it names, or those of all its groups.
    fn all_of(&self, source: usize, open: &mut Vec<usize>) -> Result<NameSet, NodeSetError> {
        if let Some(hosts) = self.ask(source, Question::All)? {
            return self.hosts(source, &hosts, open);
        }
        let Some(list) = self.list(source)? else {
            return Err(self.fault(
                source,
                "it has neither all nor list, and cannot tell its hosts",
            ));
        };
        let mut all = NameSet::default();
        for name in list.iter() {
            let members = self.members(self.place(source, name)?, open)?;
            self.spend(members.len() + 1, name)?;
            all.apply(Operator::Union, &members);
        }
        Ok(all)
    }

    /// Reads an answer: node sets with blanks between, whose groups are the source's own first.
    fn hosts(
        &self,
        source: usize,
        answer: &str,
        open: &mut Vec<usize>,
    ) -> Result<NameSet, NodeSetError> {
        let name = &self.source(source).name;
        let view = View {
            words: Words::Hosts,
            among: None,
            within: Some(name),
        };
        let mut hosts = NameSet::default();
        for word in answer.split_whitespace() {
            let found = self
                .evaluate(word, view, open)
                .map_err(|error| match error {
                    told @ (NodeSetError::Source { .. } | NodeSetError::Cycle { .. }) => told,
                    other => self.fault(source, &format!("its answer is no node set: {other}")),
                })?;
            self.spend(found.len() + 1, word)?;
            hosts.apply(Operator::Union, &found);
        }
        Ok(hosts)
    }

    /// Returns the groups of a source, if it can tell them.
    fn list(&self, source: usize) -> Result<Option<Rc<[Arc<str>]>>, NodeSetError> {
        if let Some(list) = self.asked.borrow().lists.get(&source) {
            return Ok(list.clone());
        }
        let answer = self.ask(source, Question::List)?;
        let list: Option<Rc<[Arc<str>]>> = answer.map(|text| {
            let mut names = NameSet::default();
            text.split_whitespace()
                .for_each(|name| names.insert(name.into()));
            names.iter().map(Arc::clone).collect()
        });
        self.asked.borrow_mut().lists.insert(source, list.clone());
        Ok(list)
    }

    fn ask(&self, source: usize, question: Question<'_>) -> Result<Option<String>, NodeSetError> {
        let answers = &self.source(source).answers;
        answers
            .ask(question)
            .map_err(|why| self.fault(source, &why))
    }

    /// Returns the position of a source's group.
    fn place(&self, source: usize, group: &str) -> Result<usize, NodeSetError> {
        let mut asked = self.asked.borrow_mut();
        let key = (source, Arc::from(group));
        let next = self.inventory.all_groups().len() + asked.groups.len();
        if let Some(place) = asked.places.get(&key) {
            return Ok(*place);
        }
        if asked.groups.len() >= ASKED_MAX {
            let why = format!("more than {ASKED_MAX} groups would be asked for");
            return Err(self.fault(source, &why));
        }
        asked.groups.push(key.clone());
        asked.places.insert(key, next);
        Ok(next)
    }

    fn of(&self, at: usize) -> (usize, Arc<str>) {
        let at = at - self.inventory.all_groups().len();
        self.asked.borrow().groups[at].clone()
    }

    fn shown(&self, source: usize, group: &str) -> String {
        match Some(source) == self.default_source() {
            true => group.to_owned(),
            false => format!("{}:{group}", self.source(source).name),
        }
    }

    fn source(&self, at: usize) -> &Source {
        &self.inventory.sources()[at]
    }

    /// Returns the default source if it is one that is asked.
    fn default_source(&self) -> Option<usize> {
        self.inventory.source(self.inventory.default_source()?)
    }

    fn fault(&self, source: usize, why: &str) -> NodeSetError {
        NodeSetError::Source {
            name: self.source(source).name.clone(),
            reason: why.to_owned(),
        }
    }
}

/// Groups of sources in one run: each is a command.
const ASKED_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::inventory::{GroupSource, Inventory};

    /// Knows `web`, `db`, `both` and groups that are no good, and counts what it is asked.
    #[derive(Debug, Default)]
    struct Known {
        has_all: bool,
        asked: Mutex<Vec<String>>,
    }

    impl GroupSource for Known {
        fn ask(&self, question: Question<'_>) -> Result<Option<String>, String> {
            self.asked.lock().unwrap().push(format!("{question:?}"));
            let answer = match question {
                Question::Map("web") => "web[1-2]\nweb4",
                Question::Map("db") => "db1",
                Question::Map("both") => "@web,@db",
                Question::Map("round") => "@round",
                Question::Map("bad") => "web[1",
                Question::List => "web db both",
                Question::All if self.has_all => "web[1-9]",
                Question::Reverse("db1") => "db both",
                Question::All | Question::Reverse(_) => return Ok(None),
                _ => return Err("no such group".to_owned()),
            };
            Ok(Some(answer.to_owned()))
        }
    }

    fn inventory(has_all: bool) -> (Inventory, Arc<Known>) {
        let asked = Mutex::default();
        let known = Arc::new(Known { has_all, asked });
        let mut inventory = Inventory::default();
        inventory.set_default_source("known");
        let file = "files:\n  web: f1\n  own: '@web,@db'\n  all: f[1-3]\n";
        inventory.read(file, "groups.yaml").unwrap();
        inventory
            .add_source("known", Arc::clone(&known) as _)
            .unwrap();
        inventory
            .add_source("other", Arc::<Known>::default())
            .unwrap();
        (inventory, known)
    }

    #[track_caller]
    fn check(inventory: &Inventory, text: &str, names: &str) {
        let selected = inventory.selector().select(text, Words::Hosts);
        let selected = selected.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selected.join(" "), names, "{text}");
    }

    #[test]
    fn groups_of_sources_are_asked_for_when_they_are_wanted() {
        let (inventory, known) = inventory(false);
        check(&inventory, "@both!web2", "web1 web4 db1");
        let asked = known.asked.lock().unwrap().join(" ");
        assert_eq!(asked, "Map(\"both\") Map(\"web\") Map(\"db\")");
        check(&inventory, "@other:db,@known:web", "db1 web1 web2 web4");
        check(&inventory, "@files:own", "f1 db1");
        check(&inventory, "@files:*", "f1 f2 f3");
        check(&inventory, "@?b,@w*", "db1 web1 web2 web4");
        check(&inventory, "@*", "web1 web2 web4 db1");
        let (inventory, _) = self::inventory(true);
        check(&inventory, "@*&@web", "web1 web2 web4");
        check(
            &inventory,
            "@*&web9,web8,web*",
            "web9 web8 web1 web2 web3 web4 web5 web6 web7",
        );
    }

    #[test]
    fn groups_of_sources_are_listed_and_hosts_find_theirs() {
        let (inventory, _) = inventory(false);
        let selector = inventory.selector();
        let (names, failed) = selector.group_names();
        assert!(failed.is_empty());
        assert_eq!(
            names.join(" "),
            "files:web files:own files:all web db both other:web other:db other:both"
        );
        let specs = ["u@db1:22".to_owned()];
        assert_eq!(
            selector.groups_of_each(&specs).unwrap(),
            [["files:own", "db", "both"]]
        );
        let specs = ["web1", "f1", "db1", "x"].map(str::to_owned);
        let groups = selector.groups_of_each(&specs).unwrap();
        let groups: Vec<String> = groups.iter().map(|groups| groups.join(" ")).collect();
        let expected = [
            "web both",
            "files:web files:own files:all",
            "files:own db both",
            "",
        ];
        assert_eq!(groups, expected);
        let chosen = selector.choose("web:x", Words::Either, &specs).unwrap();
        assert_eq!(chosen, [true, false, false, true]);
    }

    #[test]
    fn what_a_source_cannot_tell_is_told_of_it() {
        let (inventory, _) = inventory(false);
        let refuse = |text: &str, message: &str| {
            let error = inventory
                .selector()
                .select(text, Words::Hosts)
                .expect_err(text);
            assert_eq!(error.to_string(), message);
        };
        refuse("@nope", "the group source \"known\": no such group");
        refuse(
            "@bad",
            "the group source \"known\": its answer is no node set: a bracket of \"web[1\" is not closed",
        );
        refuse(
            "@round",
            "the group \"round\" is a member of itself, by way of round",
        );
        refuse(
            "@third:x",
            "there is no group \"third:x\"; there are files:web, files:own, files:all",
        );
        let mut inventory = inventory;
        let twice = inventory.add_source("files", Arc::<Known>::default());
        assert_eq!(
            twice.unwrap_err(),
            "there is a group source \"files\" already"
        );
    }
}
