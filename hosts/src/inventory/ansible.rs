//! Ansible's inventories as a tree: YAML, and the JSON that its inventory scripts write.

use super::file::File;
use crate::error::{InventoryError, Place};
use crate::inventory::{Inventory, Member, Settings};
use crate::node::{Entry, Kind, Node};
use crate::pattern::Dialect;

/// Returns whether a tree is one of Ansible's.
pub(super) fn is_it(root: &Node) -> bool {
    let Kind::Table(entries) = &root.kind else {
        return false;
    };
    let is_group = |entry: &Entry| match &entry.value.kind {
        Kind::List(_) => true,
        // A table of groups may have one that is called hosts: a text.
        Kind::Table(parts) => parts.iter().any(|part| {
            let is_part = matches!(part.key.as_str(), "hosts" | "children" | "vars");
            is_part && !matches!(part.value.kind, Kind::Text(_))
        }),
        Kind::Nothing | Kind::Text(_) => false,
    };
    entries
        .iter()
        .any(|entry| entry.key == "_meta" || is_group(entry))
}

/// Reads a tree.
pub(super) fn tree(root: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let entries = root.table("the file").map_err(|fault| file.fault(fault))?;
    // Where its hosts stand is the groups' to say.
    let is_meta = |entry: &&Entry| entry.key == "_meta";
    let groups = entries.iter().filter(|entry| !is_meta(entry));
    for entry in groups.chain(entries.iter().filter(is_meta)) {
        match entry.key.as_str() {
            "_meta" => meta(&entry.value, file, into)?,
            "plugin" => {
                let reason = "an inventory plugin's configuration names no hosts; \
                              use --inventory-cmd 'ansible-inventory -i FILE --list'";
                return Err(file.error(entry.line, reason));
            }
            _ => group(entry, file, into)?,
        }
    }
    Ok(())
}

/// Reads `_meta`, with `hostvars`.
fn meta(node: &Node, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let fault = |fault| file.fault(fault);
    for entry in node.table("_meta").map_err(fault)? {
        if entry.key != "hostvars" {
            continue;
        }
        for said in entry.value.table("hostvars").map_err(fault)? {
            let place = file.place(said.line);
            let settings = variables(&said.value, file, into)?;
            // A name that a script gives is one, whatever is in it.
            host(&said.key, None, (settings, &place), into)?;
        }
    }
    Ok(())
}

/// Reads a group: a list of hosts, or a table of `hosts`, `children` and `vars`.
fn group(entry: &Entry, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let fault = |fault| file.fault(fault);
    file.check_group(&entry.key, entry.line)?;
    let name = match entry.key.as_str() {
        "all" => None,
        name => {
            into.group_mut(name);
            Some(name)
        }
    };
    // Who is ungrouped is found out, and is more than is named there.
    let of = name.filter(|name| *name != "ungrouped");
    if !matches!(entry.value.kind, Kind::Table(_)) {
        return members(&entry.value, of, file, into);
    }
    for part in entry
        .value
        .table(&format!("the group {}", entry.key))
        .map_err(fault)?
    {
        match part.key.as_str() {
            "hosts" => members(&part.value, of, file, into)?,
            "children" => children(&part.value, name, file, into)?,
            "vars" => {
                let said = variables(&part.value, file, into)?;
                match name {
                    Some(name) => into.group_mut(name).settings.extend(&said),
                    None => into.everywhere.extend(&said),
                }
            }
            other => {
                let reason = format!(
                    "{other:?} in the group {:?} is none of hosts, children and vars",
                    entry.key
                );
                return Err(file.error(part.line, reason));
            }
        }
    }
    Ok(())
}

/// Reads the hosts of a group: names, or a table of names with their variables.
fn members(
    node: &Node,
    group: Option<&str>,
    file: &File,
    into: &mut Inventory,
) -> Result<(), InventoryError> {
    if let Kind::Table(entries) = &node.kind {
        for entry in entries {
            let settings = variables(&entry.value, file, into)?;
            host(&entry.key, group, (settings, &file.place(entry.line)), into)?;
        }
        return Ok(());
    }
    for (line, name) in node.texts("hosts").map_err(|fault| file.fault(fault))? {
        host(name, group, (Settings::default(), &file.place(line)), into)?;
    }
    Ok(())
}

fn children(
    node: &Node,
    name: Option<&str>,
    file: &File,
    into: &mut Inventory,
) -> Result<(), InventoryError> {
    let mut names = Vec::new();
    if let Kind::Table(entries) = &node.kind {
        for entry in entries {
            group(entry, file, into)?;
            names.push((entry.line, entry.key.as_str()));
        }
    } else {
        names = node.texts("children").map_err(|fault| file.fault(fault))?;
    }
    for (line, child) in names {
        file.check_group(child, line)?;
        into.group_mut(child);
        if let Some(name) = name {
            let member = (Member::Group(child.to_owned()), file.place(line));
            into.group_mut(name).members.push(member);
        }
    }
    Ok(())
}

/// Reads variables. Lists and tables are none that a command could have, and left out.
pub(super) fn variables(
    node: &Node,
    file: &File,
    into: &mut Inventory,
) -> Result<Settings, InventoryError> {
    let mut settings = Settings::default();
    for entry in node.table("vars").map_err(|fault| file.fault(fault))? {
        if let Kind::Text(text) = &entry.value.kind {
            let notice = variable(&mut settings, &entry.key, text, &file.place(entry.line));
            into.notices.extend(notice);
        }
    }
    Ok(settings)
}

/// Takes a variable; returns what is to be said if Ansible would do something else for it.
pub(super) fn variable(
    settings: &mut Settings,
    name: &str,
    text: &str,
    place: &Place,
) -> Option<String> {
    if text.contains("{{") {
        // It would be filled in by Ansible, and is no text to anyone else.
        return is_way_in(name).then(|| {
            format!(
                "{place}: {name} is a template of Ansible's, which is not filled in; it is left out"
            )
        });
    }
    settings.set_variable(name, text, place);
    let ignored = match name {
        "ansible_connection" => !matches!(text, "ssh" | "paramiko" | "smart"),
        "ansible_ssh_common_args"
        | "ansible_ssh_extra_args"
        | "ansible_password"
        | "ansible_ssh_pass" => true,
        _ => false,
    };
    ignored.then(|| {
        format!(
            "{place}: {name} is a variable here and changes nothing; see --help for how to get in"
        )
    })
}

fn is_way_in(name: &str) -> bool {
    let said = name.strip_prefix("ansible_");
    let said = said.map(|name| name.strip_prefix("ssh_").unwrap_or(name));
    matches!(said, Some("host" | "port" | "user" | "private_key_file"))
}

/// Takes the hosts of a pattern, `[user@]host[:port]`, into a group; user and port are settings, as
/// the host is known without them.
pub(super) fn host(
    pattern: &str,
    group: Option<&str>,
    (mut settings, place): (Settings, &Place),
    into: &mut Inventory,
) -> Result<(), InventoryError> {
    let (user, rest) = match pattern.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, pattern),
    };
    let (name, port) = divide_port(rest);
    let parts = [
        ("User", "ansible_user", user),
        ("Port", "ansible_port", port),
    ];
    for (key, name, text) in parts {
        if let Some(text) = text.filter(|_| !settings.options.contains_key(key)) {
            settings.set_variable(name, text, place);
        }
    }
    let names = into.add_hosts(name, Dialect::Ansible, &settings, place)?;
    if let Some(group) = group {
        let members = names
            .into_iter()
            .map(|name| (Member::Host(name), place.clone()));
        into.group_mut(group).members.extend(members);
    }
    Ok(())
}

/// Divides `name:port`, `[address]:port` and what has neither; colons in brackets are a range's.
fn divide_port(text: &str) -> (&str, Option<&str>) {
    let (mut depth, mut colons, mut last) = (0_usize, 0, None);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                colons += 1;
                last = Some(at);
            }
            _ => {}
        }
    }
    let (name, port) = match last.filter(|_| colons == 1) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_address = |text: &&str| {
        let bare = text.split_once('%').map_or(*text, |(bare, _)| bare);
        bare.parse::<std::net::Ipv6Addr>().is_ok()
    };
    (bare.filter(is_address).unwrap_or(name), port)
}
