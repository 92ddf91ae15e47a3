//! ClusterShell's group files: `group: nodeset` lines, and YAML with a table of groups for each
//! source.

use super::file::File;
use crate::error::InventoryError;
use crate::inventory::{Inventory, Member};
use crate::node::{Kind, Node};

/// Reads lines, `group: nodeset`; those of one group belong together.
pub(super) fn lines(text: &str, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    for (index, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let Some((group, members)) = line.split_once(':') else {
            return Err(file.error(number, format!("{line:?} is no \"group: node set\"")));
        };
        let (group, members) = (group.trim(), members.trim());
        file.check_group(group, number)?;
        let members = members.trim_matches(['"', '\'']);
        let group = into.group_mut(group);
        let member = Member::Expression(members.to_owned());
        group.members.push((member, file.place(number)));
    }
    Ok(())
}

/// Returns whether a text is such lines and nothing else.
pub(super) fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let mut lines = lines
        .by_ref()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(is_line) && lines.all(is_line)
}

fn is_line(line: &str) -> bool {
    // A port follows its colon at once.
    line.split_once(':').is_some_and(|(group, members)| {
        let blank = members.starts_with(char::is_whitespace) && !members.trim().is_empty();
        blank
            && !group.is_empty()
            && !group.contains(|c: char| c.is_whitespace() || "[]=@".contains(c))
    })
}

/// Reads a tree: sources, each a table of groups. A group is called `source:group`, and `group`
/// alone where it is the default source's, or, if there is none, where no earlier source has one of
/// that name.
pub(super) fn tree(root: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let fault = |fault| file.fault(fault);
    for source in root.table("the file").map_err(fault)? {
        if let Kind::Text(text) = &source.value.kind {
            // A table of groups without a source.
            file.check_group(&source.key, source.line)?;
            let member = Member::Expression(text.clone());
            into.group_mut(&source.key)
                .members
                .push((member, file.place(source.value.line)));
            continue;
        }
        let default = into.default_source();
        let has_own_names = default.is_none_or(|default| default == source.key);
        for entry in source
            .value
            .table(&format!("the source {}", source.key))
            .map_err(fault)?
        {
            let name = format!("{}:{}", source.key, entry.key);
            file.check_group(&name, entry.line)?;
            let texts = entry
                .value
                .texts(&format!("the group {name}"))
                .map_err(fault)?;
            let members = texts.into_iter();
            let members =
                members.map(|(line, text)| (Member::Expression(text.to_owned()), file.place(line)));
            let group = into.group_mut(&name);
            group.members.extend(members);
            group.source = Some(source.key.clone());
            if has_own_names && into.group(&entry.key).is_none() {
                let member = (Member::Group(name), file.place(entry.line));
                into.group_mut(&entry.key).members.push(member);
            }
        }
    }
    Ok(())
}
