//! What an inventory says of a host: by itself, by its groups, by files of variables.

use std::collections::HashMap;
use std::sync::Arc;

use super::candidates::bare;
use super::{GROUPS_DEEP_MAX, Selector};
use crate::error::NodeSetError;
use crate::inventory::{Inventory, Member, Settings};

impl Selector<'_> {
    /// Returns what is said of a host: by its inventory as a whole, by its groups from the most
    /// general one on, and by itself, each in the place of what was said before. A spec with a user
    /// or a port is looked up as it is, and else by its name.
    ///
    /// # Errors
    /// As [`Selector::select`], of the groups.
    pub fn settings(&self, spec: &str) -> Result<Settings, NodeSetError> {
        let mut settings = self.inventory.everywhere.clone();
        let everywhere_files = &self.inventory.everywhere_files;
        let said = self.said()?;
        let name = [spec, bare(spec)].into_iter();
        let known = |name: &&str| said.contains_key(*name) || self.inventory.host(name).is_some();
        let Some(name) = name.into_iter().find(known) else {
            settings.extend(everywhere_files);
            return Ok(settings);
        };
        let groups = said.get(name).into_iter().flatten();
        let groups = groups.map(|at| &self.inventory.all_groups()[*at]);
        groups
            .clone()
            .for_each(|group| settings.extend(&group.settings));
        // As in Ansible: files of variables say more than the inventory itself.
        settings.extend(everywhere_files);
        groups.for_each(|group| settings.extend(&group.files));
        if let Some(host) = self.inventory.host(name) {
            settings.extend(&host.settings);
            settings.extend(&host.files);
        }
        Ok(settings)
    }

    fn said(&self) -> Result<&HashMap<Arc<str>, Vec<usize>>, NodeSetError> {
        if let Some(said) = self.said.get() {
            return Ok(said);
        }
        let groups = self.inventory.all_groups();
        let speaks = |at: &usize| !groups[*at].settings.is_empty() || !groups[*at].files.is_empty();
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
