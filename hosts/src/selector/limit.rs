//! What expressions over hosts and groups have of Ansible's patterns.

use super::Selector;
use crate::error::NodeSetError;
use crate::expression::Term;
use crate::glob::glob;
use crate::inventory::Member;
use crate::names::{NameSet, Operator};
use crate::pattern::shortened;

impl Selector<'_> {
    /// Returns the words of expressions evaluated so far, of [`Words::Either`](super::Words::Either), that
    /// were neither a group nor any host: most often a name is misspelt.
    pub fn strangers(&self) -> Vec<String> {
        self.strangers.borrow().clone()
    }

    /// Notes a word that stands for none of the hosts to choose from, unless it is known otherwise.
    pub(super) fn note_stranger(&self, word: &str) -> Result<(), NodeSetError> {
        let is_name = |name: &str| name == "all" || self.is_ungrouped(name);
        if !word.starts_with('@')
            && !is_name(word)
            && !self.is_group(word)?
            && self.inventory.host(word).is_none()
        {
            self.strangers.borrow_mut().push(shortened(word));
        }
        Ok(())
    }

    /// Returns the hosts of the groups whose names match a pattern.
    pub(super) fn of_matching_groups(
        &self,
        pattern: &str,
        open: &mut Vec<usize>,
    ) -> Result<NameSet, NodeSetError> {
        let mut names = NameSet::default();
        for (at, group) in self.inventory.all_groups().iter().enumerate() {
            if !self.inventory.is_aside(group) && glob(pattern, &group.name) {
                let members = self.members(at, open)?;
                self.spend(members.len() + 1, pattern)?;
                names.apply(Operator::Union, &members);
            }
        }
        Ok(names)
    }

    /// Returns whether a name is that of the hosts that are in no group. Where groups are node sets it is
    /// a name like any other.
    pub(super) fn is_ungrouped(&self, name: &str) -> bool {
        let mut members = self.inventory.all_groups().iter();
        name == "ungrouped"
            && !self.inventory.hosts().is_empty()
            && members.all(|group| {
                let is_listed = |member: &Member| !matches!(member, Member::Expression(_));
                group.members.iter().all(|(member, _)| is_listed(member))
            })
    }

    /// Returns the hosts that are in no group.
    pub(super) fn ungrouped(&self) -> NameSet {
        let mut names: NameSet = (self.inventory.hosts().iter())
            .map(|host| &host.name)
            .collect();
        let groups = self.inventory.all_groups().iter();
        let members = groups.flat_map(|group| &group.members);
        let grouped: NameSet = members
            .filter_map(|(member, _)| match member {
                Member::Host(name) => Some(name),
                Member::Group(_) | Member::Expression(_) => None,
            })
            .collect();
        names.apply(Operator::Difference, &grouped);
        names
    }
}

/// Puts the terms of an expression into the order in which Ansible applies them: what adds hosts, what they
/// also have to be, and last who is left out, so that nobody who is left out comes back.
pub(super) fn in_order(terms: &mut [Term<'_>]) {
    let rank = |term: &Term<'_>| match term.operator {
        None | Some(Operator::Union) => Some(0),
        Some(Operator::Intersection) => Some(1),
        Some(Operator::Difference) => Some(2),
        Some(_) => None,
    };
    if terms.iter().all(|term| rank(term).is_some()) {
        terms.sort_by_key(rank);
    }
}
