//! Questions about an inventory: which hosts an expression stands for, and what is said of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::NodeSetError;
use crate::expression::{Manner, Term, terms};
use crate::glob::glob;
use crate::inventory::{HOSTS_MAX, Inventory, Member, Settings};
use crate::names::{NameSet, Operator};
use crate::pattern::{Dialect, Pattern, shortened};

/// Answers questions about one inventory. What a group stands for is found out once.
#[derive(Debug)]
pub struct Selector<'a> {
    inventory: &'a Inventory,
    hosts_max: usize,
    /// Names that were put into sets so far, against expressions that go on for ever.
    work: Cell<usize>,
    groups: RefCell<HashMap<usize, Rc<NameSet>>>,
    all: OnceCell<Rc<NameSet>>,
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
    /// As a group if there is one of this name, and as a host otherwise; colons join, as in Ansible.
    Either,
}

/// What an expression is read against.
#[derive(Clone, Copy)]
struct View<'v> {
    words: Words,
    /// The hosts to choose from: specs by their names and by themselves.
    among: Option<&'v Candidates>,
}

struct Candidates {
    all: Rc<NameSet>,
    by_name: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Inventory {
    /// Returns what answers questions about this inventory.
    pub fn selector(&self) -> Selector<'_> {
        Selector::new(self, HOSTS_MAX)
    }
}

impl<'a> Selector<'a> {
    pub(crate) fn new(inventory: &'a Inventory, hosts_max: usize) -> Self {
        Self {
            inventory,
            hosts_max,
            work: Cell::new(0),
            groups: RefCell::default(),
            all: OnceCell::new(),
            said: OnceCell::new(),
        }
    }

    /// Returns the hosts that an expression stands for, each once, in the order of the expression.
    ///
    /// # Errors
    /// The expression or a group of it is no good, or stands for more than [`HOSTS_MAX`] hosts.
    pub fn select(&self, text: &str, words: Words) -> Result<Vec<String>, NodeSetError> {
        let view = View { words, among: None };
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

    /// Returns what is said of a host: by its inventory as a whole, by its groups from the most
    /// general one on, and by itself, each in the place of what was said before. A spec with a user
    /// or a port is looked up as it is, and else by its name.
    ///
    /// # Errors
    /// As [`Selector::select`], of the groups.
    pub fn settings(&self, spec: &str) -> Result<Settings, NodeSetError> {
        let mut settings = self.inventory.everywhere.clone();
        let said = self.said()?;
        let name = [spec, bare(spec)].into_iter();
        let known = |name: &&str| said.contains_key(*name) || self.inventory.host(name).is_some();
        let Some(name) = name.into_iter().find(known) else {
            return Ok(settings);
        };
        for group in said.get(name).into_iter().flatten() {
            settings.extend(&self.inventory.all_groups()[*group].settings);
        }
        if let Some(host) = self.inventory.host(name) {
            settings.extend(&host.settings);
        }
        Ok(settings)
    }

    /// Returns the groups that a host is in, in the order of the inventory.
    ///
    /// # Errors
    /// As [`Selector::select`], of the groups.
    pub fn groups_of(&self, spec: &str) -> Result<Vec<&'a str>, NodeSetError> {
        let mut found = Vec::new();
        for (at, group) in self.inventory.all_groups().iter().enumerate() {
            let members = self.members(at, &mut Vec::new())?;
            if members.contains(spec) || members.contains(bare(spec)) {
                found.push(group.name.as_str());
            }
        }
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
        for (index, Term { operator, operand }) in terms(text, manner)?.into_iter().enumerate() {
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
            return self.named(group, open);
        }
        if view.words == Words::Groups
            || (view.words == Words::Either && self.inventory.group(text).is_some())
            || (view.words == Words::Either && view.among.is_none() && matches!(text, "all" | "*"))
        {
            return self.named(text, open);
        }
        if view.words == Words::Either && text == "all" {
            return self.named("*", open);
        }
        if text.contains(['*', '?']) {
            let all = match view.among {
                Some(among) => return Ok(Rc::new(among.matching(text))),
                None => self.everyone(open)?,
            };
            if all.len() == 0 {
                return Err(NodeSetError::NothingToMatch {
                    text: shortened(text),
                });
            }
            self.spend(all.len(), text)?;
            return Ok(Rc::new(
                all.iter().filter(|name| glob(text, name)).collect(),
            ));
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

    /// Returns the members of the groups that a name stands for.
    fn named(&self, text: &str, open: &mut Vec<usize>) -> Result<Rc<NameSet>, NodeSetError> {
        if text == "*" {
            return self.everyone(open);
        }
        let mut groups = Vec::new();
        if text.contains(['*', '?']) {
            let all = self.inventory.all_groups().iter().enumerate();
            groups.extend(
                all.filter(|(_, group)| glob(text, &group.name))
                    .map(|(at, _)| at),
            );
        } else if let Some(at) = self.inventory.group(text) {
            groups.push(at);
        } else if text == "all" {
            return self.everyone(open);
        } else if text.contains('[') {
            for name in self.expand(text)?.iter() {
                groups.push(
                    self.inventory
                        .group(name)
                        .ok_or_else(|| self.unknown(name))?,
                );
            }
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
        let group = &self.inventory.all_groups()[at];
        if let Some(before) = open.iter().position(|other| *other == at) {
            let way = open[before..]
                .iter()
                .map(|at| self.inventory.all_groups()[*at].name.as_str());
            let way = way.collect::<Vec<_>>().join(", ");
            return Err(NodeSetError::Cycle {
                group: group.name.clone(),
                way,
            });
        }
        if open.len() >= GROUPS_DEEP_MAX {
            let (group, max) = (group.name.clone(), GROUPS_DEEP_MAX);
            return Err(NodeSetError::TooManyGroups { group, max });
        }
        open.push(at);
        let mut members = NameSet::default();
        for (member, place) in &group.members {
            let view = View {
                words: Words::Hosts,
                among: None,
            };
            let names = match member {
                Member::Host(name) => {
                    members.insert(Arc::clone(name));
                    continue;
                }
                Member::Group(name) => self.named(name, open),
                Member::Expression(text) => self.evaluate(text, view, open).map(Rc::new),
            };
            let names = names.map_err(|error| in_group(error, &group.name, place))?;
            self.spend(names.len() + 1, &group.name)?;
            members.apply(Operator::Union, &names);
        }
        open.pop();
        self.check_count(&group.name, members.len() as u64)?;
        let members = Rc::new(members);
        self.groups.borrow_mut().insert(at, Rc::clone(&members));
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
        for (at, group) in self.inventory.all_groups().iter().enumerate() {
            let members = self.members(at, open)?;
            self.spend(members.len() + 1, &group.name)?;
            all.apply(Operator::Union, &members);
        }
        self.check_count("@*", all.len() as u64)?;
        Ok(Rc::clone(self.all.get_or_init(|| Rc::new(all))))
    }

    fn said(&self) -> Result<&HashMap<Arc<str>, Vec<usize>>, NodeSetError> {
        if let Some(said) = self.said.get() {
            return Ok(said);
        }
        let groups = self.inventory.all_groups();
        let speaks = |at: &usize| !groups[*at].settings.is_empty();
        let mut speaking: Vec<usize> = (0..groups.len()).filter(speaks).collect();
        // The members first: cycles are found there.
        let mut members = HashMap::new();
        for at in &speaking {
            members.insert(*at, self.members(*at, &mut Vec::new())?);
        }
        let depths = depths(self.inventory);
        // As in Ansible: the deeper group is the more particular one, then the later name.
        speaking.sort_by_key(|at| (depths[*at], &groups[*at].name));
        let mut said: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for at in speaking {
            for name in members[&at].iter() {
                said.entry(Arc::clone(name)).or_default().push(at);
            }
        }
        Ok(self.said.get_or_init(|| said))
    }

    fn check_count(&self, text: &str, count: u64) -> Result<(), NodeSetError> {
        match count > self.hosts_max as u64 {
            true => Err(NodeSetError::TooMany {
                text: shortened(text),
                count,
                max: self.hosts_max,
            }),
            false => Ok(()),
        }
    }

    fn spend(&self, names: usize, text: &str) -> Result<(), NodeSetError> {
        self.work.set(self.work.get() + names);
        match self.work.get() > self.hosts_max.saturating_mul(WORK_PER_HOST) {
            true => Err(NodeSetError::TooMuch {
                text: shortened(text),
            }),
            false => Ok(()),
        }
    }
}

impl Candidates {
    fn new(specs: &[String]) -> Self {
        let (mut all, mut by_name) = (
            NameSet::default(),
            HashMap::<Arc<str>, Vec<Arc<str>>>::new(),
        );
        for spec in specs {
            if all.contains(spec) {
                continue;
            }
            let spec: Arc<str> = spec.as_str().into();
            all.insert(Arc::clone(&spec));
            let name = bare(&spec);
            by_name
                .entry(name.into())
                .or_default()
                .push(Arc::clone(&spec));
            if name != &*spec {
                by_name.entry(Arc::clone(&spec)).or_default().push(spec);
            }
        }
        Self {
            all: Rc::new(all),
            by_name,
        }
    }

    /// Returns the candidates that names stand for.
    fn of(&self, names: &NameSet) -> NameSet {
        let specs = names.iter().filter_map(|name| self.by_name.get(name));
        specs.flatten().collect()
    }

    /// Returns the names that match a shell pattern.
    fn matching(&self, pattern: &str) -> NameSet {
        self.by_name
            .keys()
            .filter(|name| glob(pattern, name))
            .collect()
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

/// Returns the name of a spec, `[user@]host[:port]`.
fn bare(spec: &str) -> &str {
    let rest = spec.rsplit_once('@').map_or(spec, |(_, rest)| rest);
    if let Some((address, _)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match rest.split_once(':') {
        // Several colons are an IPv6 address's.
        Some((name, port)) if !port.contains(':') => name,
        _ => rest,
    }
}

/// Returns for each group over how many groups it is reached at most.
fn depths(inventory: &Inventory) -> Vec<usize> {
    let groups = inventory.all_groups();
    let mut depths = vec![1; groups.len()];
    // Cycles were refused before; without them a longest way is found in as many rounds as it is long.
    for _ in 0..groups.len().min(GROUPS_DEEP_MAX) {
        let mut is_settled = true;
        for (at, group) in groups.iter().enumerate() {
            for (member, _) in &group.members {
                let Member::Group(name) = member else {
                    continue;
                };
                let Some(child) = inventory.group(name) else {
                    continue;
                };
                if depths[child] <= depths[at] {
                    depths[child] = depths[at] + 1;
                    is_settled = false;
                }
            }
        }
        if is_settled {
            break;
        }
    }
    depths
}

/// Groups that an error names.
const GROUPS_SHOWN_MAX: usize = 8;

/// Groups in groups, far below what the stack allows.
const GROUPS_DEEP_MAX: usize = 64;

/// Names that are put into sets for each host that may come out.
const WORK_PER_HOST: usize = 32;

#[cfg(test)]
mod tests;
