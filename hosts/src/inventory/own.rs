//! Our own inventories, in TOML or YAML: what is said of all hosts, of node sets, and of groups.
//!
//! A group is an expression, a list of them, or a table with `hosts`. What can be said is the same
//! in all places: `address`, `port`, `user`, `identity`, `options` (of ssh_config) and `vars`.

use super::file::File;
use crate::error::InventoryError;
use crate::inventory::{Inventory, Member, Settings};
use crate::node::{Kind, Node};
use crate::pattern::Dialect;

/// Reads a tree.
pub(super) fn read(root: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    for entry in root.table("the file").map_err(|fault| file.fault(fault))? {
        match entry.key.as_str() {
            "vars" => variables(&entry.value, file, &mut into.everywhere)?,
            "hosts" => hosts(&entry.value, file, into)?,
            "groups" => groups(&entry.value, file, into)?,
            other => {
                let reason = format!("{other:?} is none of vars, hosts and groups");
                return Err(file.error(entry.line, reason));
            }
        }
    }
    Ok(())
}

/// Reads `[hosts]`: node sets, with what is said of them.
fn hosts(node: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let fault = |fault| file.fault(fault);
    if !matches!(node.kind, Kind::Table(_)) {
        for (line, text) in node.texts("hosts").map_err(fault)? {
            let place = file.place(line);
            for term in text.split_whitespace() {
                into.add_hosts(term, Dialect::NodeSet, &Settings::default(), &place)?;
            }
        }
        return Ok(());
    }
    for entry in node.table("hosts").map_err(fault)? {
        let mut settings = Settings::default();
        for said in entry
            .value
            .table(&format!("what is said of {}", entry.key))
            .map_err(fault)?
        {
            setting(said, file, &mut settings)?;
        }
        let place = file.place(entry.line);
        into.add_hosts(&entry.key, Dialect::NodeSet, &settings, &place)?;
    }
    Ok(())
}

/// Reads `[groups]`: an expression or several of them, or a table with `hosts` and what is said.
fn groups(node: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let fault = |fault| file.fault(fault);
    for entry in node.table("groups").map_err(fault)? {
        let of = format!("the group {}", entry.key);
        file.check_group(&entry.key, entry.line)?;
        let (mut settings, mut members) = (Settings::default(), Vec::new());
        let mut take = |node: &Node| {
            for (line, text) in node.texts(&of).map_err(fault)? {
                members.push((Member::Expression(text.to_owned()), file.place(line)));
            }
            Ok(())
        };
        match &entry.value.kind {
            Kind::Table(said) => {
                for said in said {
                    match said.key.as_str() {
                        "hosts" => take(&said.value)?,
                        _ => setting(said, file, &mut settings)?,
                    }
                }
            }
            _ => take(&entry.value)?,
        }
        let group = into.group_mut(&entry.key);
        group.members.append(&mut members);
        group.settings.extend(&settings);
    }
    Ok(())
}

/// Reads one thing that is said of hosts.
fn setting(
    entry: &crate::node::Entry,
    file: &File,
    settings: &mut Settings,
) -> Result<(), InventoryError> {
    let option = match entry.key.as_str() {
        "address" => "HostName",
        "port" => "Port",
        "user" => "User",
        "identity" => "IdentityFile",
        "vars" => return variables(&entry.value, file, settings),
        "options" => {
            let table = entry
                .value
                .table("options")
                .map_err(|fault| file.fault(fault))?;
            for option in table {
                let text = option
                    .value
                    .text(&option.key)
                    .map_err(|fault| file.fault(fault))?;
                settings.set_option(&option.key, text, &file.place(option.line));
            }
            return Ok(());
        }
        other => {
            let known = "address, port, user, identity, options and vars";
            let reason = format!("{other:?} is none of {known}; a variable belongs into vars");
            return Err(file.error(entry.line, reason));
        }
    };
    let text = entry
        .value
        .text(&entry.key)
        .map_err(|fault| file.fault(fault))?;
    settings.set_option(option, text, &file.place(entry.line));
    Ok(())
}

fn variables(node: &Node, file: &File, settings: &mut Settings) -> Result<(), InventoryError> {
    for entry in node.table("vars").map_err(|fault| file.fault(fault))? {
        let text = entry
            .value
            .text(&entry.key)
            .map_err(|fault| file.fault(fault))?;
        let place = file.place(entry.line);
        let value = crate::Value {
            text: text.to_owned(),
            place,
        };
        settings.variables.insert(entry.key.clone(), value);
    }
    Ok(())
}
