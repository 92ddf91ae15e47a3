//! Questions about an inventory: which hosts an expression stands for, and what is said of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::NodeSetError;
use crate::expression::{Manner, Term, terms};
use crate::glob::glob;
use crate::inventory::{Group, Inventory, Member};
use crate::names::{NameSet, Operator};
use crate::pattern::{Dialect, Pattern, shortened};

mod asked;
mod candidates;
mod limit;
mod said;

use asked::Asked;
use candidates::{Candidates, bare};
use limit::in_order;

/// Answers questions about one inventory. What a group stands for is found out once.
#[derive(Debug)]
pub struct Selector<'a> {
    inventory: &'a Inventory,
    /// Names that were put into sets so far, against expressions that go on for ever.
    work: Cell<usize>,
    groups: RefCell<HashMap<usize, Rc<NameSet>>>,
    /// Groups that sources were asked for; their positions come behind those of the inventory's.
    asked: RefCell<Asked>,
    all: OnceCell<Rc<NameSet>>,
    /// Words that stood for nobody, of expressions that may name hosts and groups alike.
    strangers: RefCell<Vec<String>>,
    /// By host, the groups that have something to say of it, the most particular one last.
    said: OnceCell<HashMap<Arc<str>, Vec<usize>>>,
}

/// How an expression reads a word without an `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Words {
    /// As a host.
    Hosts,
    /// As a group, which has to be there.
    Groups,
    /// As a group if there is one of this name, and as a host otherwise, as in Ansible: colons join,
    /// wildcards are about the names of groups and hosts, and wherever a `&` or `!` stands, it is about
    /// all that the others add, `!` last. An expression with `^`, which Ansible does not have, is read
    /// from left to right.
    Either,
}

/// What an expression is read against.
#[derive(Clone, Copy)]
struct View<'v> {
    words: Words,
    /// The hosts to choose from: specs by their names and by themselves.
    among: Option<&'v Candidates>,
    /// The source whose groups are meant first.
    within: Option<&'v str>,
}

impl Inventory {
    /// Returns what answers questions about this inventory.
    pub fn selector(&self) -> Selector<'_> {
        Selector {
            inventory: self,
            work: Cell::new(0),
            groups: RefCell::default(),
            asked: RefCell::default(),
            all: OnceCell::new(),
            strangers: RefCell::default(),
            said: OnceCell::new(),
        }
    }
}

impl<'a> Selector<'a> {
    /// Returns the hosts that an expression stands for, each once, in the order of the expression.
    ///
    /// # Errors
    /// The expression or a group of it is no good, or stands for too many hosts ([`Inventory::within`]).
    pub fn select(&self, text: &str, words: Words) -> Result<Vec<String>, NodeSetError> {
        let view = View {
            words,
            among: None,
            within: None,
        };
        let names = self.evaluate(text, view, &mut Vec::new())?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Returns which of the candidates, `[user@]host[:port]`, an expression stands for: a name
    /// without user and port stands for all of its candidates. Wildcards and a leading operator are
    /// about the candidates.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn choose(
        &self,
        text: &str,
        words: Words,
        candidates: &[String],
    ) -> Result<Vec<bool>, NodeSetError> {
        let among = Candidates::new(candidates);
        let view = View {
            words,
            among: Some(&among),
            within: None,
        };
        let chosen = self.evaluate(text, view, &mut Vec::new())?;
        Ok(candidates
            .iter()
            .map(|spec| chosen.contains(spec))
            .collect())
    }

    /// Returns all hosts of the inventory: those that it lists, then those of its groups.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn all(&self) -> Result<Vec<String>, NodeSetError> {
        let all = self.everyone(&mut Vec::new())?;
        Ok(all.iter().map(ToString::to_string).collect())
    }

    /// Returns the groups that each of these hosts is in, in the order of the inventory, those of the
    /// default source last; a name without user and port is in the groups of that name.
    ///
    /// # Errors
    /// As [`Selector::select`], of the groups.
    pub fn groups_of_each(&self, specs: &[String]) -> Result<Vec<Vec<String>>, NodeSetError> {
        let mut found = vec![Vec::new(); specs.len()];
        for (at, group) in self.inventory.all_groups().iter().enumerate() {
            let members = self.members(at, &mut Vec::new())?;
            for (spec, found) in specs.iter().zip(&mut found) {
                if members.contains(spec) || members.contains(bare(spec)) {
                    found.push(group.name.clone());
                }
            }
        }
        self.asked_groups_of_each(specs, &mut found)?;
        Ok(found)
    }

    fn evaluate(
        &self,
        text: &str,
        view: View<'_>,
        open: &mut Vec<usize>,
    ) -> Result<NameSet, NodeSetError> {
        let manner = match view.words {
            Words::Either => Manner::Ansible,
            Words::Hosts | Words::Groups => Manner::NodeSet,
        };
        let mut result = NameSet::default();
        let mut terms = terms(text, manner)?;
        if manner == Manner::Ansible {
            in_order(&mut terms);
        }
        for (index, Term { operator, operand }) in terms.into_iter().enumerate() {
            let operator = operator.unwrap_or(Operator::Union);
            if index == 0 && operator != Operator::Union {
                let Some(among) = view.among else {
                    let (text, operator) = (shortened(text), operator.as_char());
                    return Err(NodeSetError::LeadingOperator { text, operator });
                };
                result = (*among.all).clone();
            }
            let names = self.operand(operand, view, open)?;
            let names = match view.among {
                Some(among) => Rc::new(among.of(&names)),
                None => names,
            };
            if view.words == Words::Either && names.len() == 0 {
                self.note_stranger(operand)?;
            }
            let again = if operator == Operator::Intersection {
                result.len()
            } else {
                0
            };
            self.spend(names.len() + again + 1, text)?;
            result.apply(operator, &names);
            self.check_count(text, result.len() as u64)?;
        }
        Ok(result)
    }

    fn operand(
        &self,
        text: &str,
        view: View<'_>,
        open: &mut Vec<usize>,
    ) -> Result<Rc<NameSet>, NodeSetError> {
        if let Some(group) = text.strip_prefix('@') {
            return self.named(group, view.within, open);
        }
        if view.words == Words::Either && text.starts_with('~') {
            return Err(NodeSetError::Regex {
                text: shortened(text),
            });
        }
        if view.words == Words::Groups
            || (view.words == Words::Either && (self.is_group(text)? || self.is_ungrouped(text)))
            || (view.words == Words::Either && view.among.is_none() && matches!(text, "all" | "*"))
        {
            return self.named(text, None, open);
        }
        if view.words == Words::Either && text == "all" {
            return self.named("*", None, open);
        }
        if text.contains(['*', '?']) {
            let mut groups = match view.words {
                Words::Either => self.of_matching_groups(text, open)?,
                Words::Hosts | Words::Groups => NameSet::default(),
            };
            let all = match view.among {
                Some(among) => {
                    groups.apply(Operator::Union, &among.matching(text));
                    return Ok(Rc::new(groups));
                }
                None => self.everyone(open)?,
            };
            if all.len() == 0 {
                return Err(NodeSetError::NothingToMatch {
                    text: shortened(text),
                });
            }
            self.spend(all.len(), text)?;
            let hosts = all.iter().filter(|name| glob(text, name)).collect();
            groups.apply(Operator::Union, &hosts);
            return Ok(Rc::new(groups));
        }
        self.expand(text).map(Rc::new)
    }

    fn expand(&self, text: &str) -> Result<NameSet, NodeSetError> {
        let pattern = Pattern::parse(text, Dialect::NodeSet)?;
        self.check_count(text, pattern.count())?;
        let mut names = NameSet::default();
        pattern.each(&mut |name| names.insert(name.into()));
        Ok(names)
    }

    /// Returns the members of the groups that a name stands for, which may be one `within` a source.
    fn named(
        &self,
        text: &str,
        within: Option<&str>,
        open: &mut Vec<usize>,
    ) -> Result<Rc<NameSet>, NodeSetError> {
        if let Some(everyone) = self.everyone_of(text, within, open)? {
            return Ok(everyone);
        }
        let mut groups = Vec::new();
        if text.contains(['*', '?']) {
            groups.extend(self.matching_groups(text, within)?);
        } else if let Some(at) = self.listed(text, within) {
            groups.push(at);
        } else if text.contains('[') {
            for name in self.expand(text)?.iter() {
                let found = match self.listed(name, within) {
                    Some(at) => Some(at),
                    None => self.asked(name, within)?,
                };
                groups.push(found.ok_or_else(|| self.unknown(name))?);
            }
        } else if let Some(at) = self.asked(text, within)? {
            groups.push(at);
        } else if text == "all" {
            return self.everyone(open);
        } else if self.is_ungrouped(text) {
            return Ok(Rc::new(self.ungrouped()));
        }
        match groups.as_slice() {
            [] => Err(self.unknown(text)),
            [one] => self.members(*one, open),
            several => {
                let mut names = NameSet::default();
                for group in several {
                    let members = self.members(*group, open)?;
                    self.spend(members.len() + 1, text)?;
                    names.apply(Operator::Union, &members);
                }
                self.check_count(text, names.len() as u64)?;
                Ok(Rc::new(names))
            }
        }
    }

    /// Returns the position of a group that is listed: of the source that is meant first, or of all.
    fn listed(&self, name: &str, within: Option<&str>) -> Option<usize> {
        let own = within.filter(|_| !name.contains(':'));
        let own = own.and_then(|source| self.inventory.group(&format!("{source}:{name}")));
        own.or_else(|| self.inventory.group(name))
    }

    fn unknown(&self, group: &str) -> NodeSetError {
        let mut names: Vec<&str> = self.inventory.groups().take(GROUPS_SHOWN_MAX + 1).collect();
        let more = names.len() > GROUPS_SHOWN_MAX;
        names.truncate(GROUPS_SHOWN_MAX);
        let known = match names.as_slice() {
            [] => "name an inventory that has it with --inventory".to_owned(),
            names => format!(
                "there are {}{}",
                names.join(", "),
                if more { " and others" } else { "" }
            ),
        };
        NodeSetError::UnknownGroup {
            group: shortened(group),
            known,
        }
    }

    /// Returns the members of a group; `open` are the groups whose members are being looked for.
    fn members(&self, at: usize, open: &mut Vec<usize>) -> Result<Rc<NameSet>, NodeSetError> {
        if let Some(members) = self.groups.borrow().get(&at) {
            return Ok(Rc::clone(members));
        }
        let name = self.group_name(at);
        if let Some(before) = open.iter().position(|other| *other == at) {
            let way = open[before..].iter().map(|at| self.group_name(*at));
            let way = way.collect::<Vec<_>>().join(", ");
            return Err(NodeSetError::Cycle { group: name, way });
        }
        if open.len() >= GROUPS_DEEP_MAX {
            let max = GROUPS_DEEP_MAX;
            return Err(NodeSetError::TooManyGroups { group: name, max });
        }
        open.push(at);
        let members = match self.inventory.all_groups().get(at) {
            Some(group) => self.listed_members(group, open)?,
            None => self.asked_members(at, open)?,
        };
        open.pop();
        self.check_count(&name, members.len() as u64)?;
        let members = Rc::new(members);
        self.groups.borrow_mut().insert(at, Rc::clone(&members));
        Ok(members)
    }

    fn listed_members(
        &self,
        group: &Group,
        open: &mut Vec<usize>,
    ) -> Result<NameSet, NodeSetError> {
        if group.members.is_empty() && self.is_ungrouped(&group.name) {
            return Ok(self.ungrouped());
        }
        let mut members = NameSet::default();
        let within = group.source.as_deref();
        for (member, place) in &group.members {
            let view = View {
                words: Words::Hosts,
                among: None,
                within,
            };
            let names = match member {
                Member::Host(name) => {
                    members.insert(Arc::clone(name));
                    continue;
                }
                Member::Group(name) => self.named(name, within, open),
                Member::Expression(text) => self.evaluate(text, view, open).map(Rc::new),
            };
            let names = names.map_err(|error| in_group(error, &group.name, place))?;
            self.spend(names.len() + 1, &group.name)?;
            members.apply(Operator::Union, &names);
        }
        Ok(members)
    }

    fn everyone(&self, open: &mut Vec<usize>) -> Result<Rc<NameSet>, NodeSetError> {
        if let Some(all) = self.all.get() {
            return Ok(Rc::clone(all));
        }
        let mut all: NameSet = self
            .inventory
            .hosts()
            .iter()
            .map(|host| &host.name)
            .collect();
        let groups = self.inventory.all_groups().iter().enumerate();
        for (at, group) in groups.filter(|(_, group)| !self.inventory.is_aside(group)) {
            let members = self.members(at, open)?;
            self.spend(members.len() + 1, &group.name)?;
            all.apply(Operator::Union, &members);
        }
        if let Some(asked) = self.asked_everyone(open)? {
            all.apply(Operator::Union, &asked);
        }
        self.check_count("@*", all.len() as u64)?;
        Ok(Rc::clone(self.all.get_or_init(|| Rc::new(all))))
    }

    fn check_count(&self, text: &str, count: u64) -> Result<(), NodeSetError> {
        match count > self.inventory.hosts_max() as u64 {
            true => Err(NodeSetError::TooMany {
                text: shortened(text),
                count,
                max: self.inventory.hosts_max(),
            }),
            false => Ok(()),
        }
    }

    fn spend(&self, names: usize, text: &str) -> Result<(), NodeSetError> {
        self.work.set(self.work.get() + names);
        match self.work.get() > self.inventory.hosts_max().saturating_mul(WORK_PER_HOST) {
            true => Err(NodeSetError::TooMuch {
                text: shortened(text),
            }),
            false => Ok(()),
        }
    }
}

/// Says in which group an error was made; the innermost one tells.
fn in_group(error: NodeSetError, group: &str, place: &crate::Place) -> NodeSetError {
    match error {
        told @ (NodeSetError::Member { .. } | NodeSetError::Cycle { .. }) => told,
        source => NodeSetError::Member {
            group: group.to_owned(),
            place: place.clone(),
            source: Box::new(source),
        },
    }
}

/// Groups that an error names.
const GROUPS_SHOWN_MAX: usize = 8;

/// Groups in groups, far below what the stack allows.
const GROUPS_DEEP_MAX: usize = 64;

/// Names that are put into sets for each host that may come out.
const WORK_PER_HOST: usize = 32;

#[cfg(test)]
mod tests;
