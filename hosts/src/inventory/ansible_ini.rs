//! Ansible's inventories in their INI form, which hosts without any section are, too.

use std::collections::HashSet;

use super::file::File;
use crate::error::InventoryError;
use crate::inventory::ansible::{host, variable};
use crate::inventory::{Inventory, Member, Settings};

/// What the lines of a section are.
enum Section {
    /// Hosts, of a group if there is one.
    Hosts(Option<String>),
    Children(String),
    Variables(String),
}

/// Reads a text.
pub(super) fn read(text: &str, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    let mut section = Section::Hosts(None);
    let mut named = Named::of(into);
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(found) = header(line) {
            section = begin(found, number, file, into)?;
            named.section(&section, number);
            continue;
        }
        match &section {
            Section::Hosts(group) => hosts(line, number, (group.as_deref(), file), into)?,
            Section::Children(group) => {
                let child = fields(line).map_err(|reason| file.error(number, reason))?;
                let [child] = child.as_slice() else {
                    return Err(
                        file.error(number, format!("{line:?} is not the name of one group"))
                    );
                };
                file.check_group(child, number)?;
                named.child(group, child, number);
                into.group_mut(child);
                let member = (Member::Group(child.clone()), file.place(number));
                match group.as_str() {
                    "all" => {}
                    group => into.group_mut(group).members.push(member),
                }
            }
            Section::Variables(group) => {
                let Some((name, value)) = line.split_once('=') else {
                    return Err(file.error(number, format!("{line:?} is no NAME=VALUE")));
                };
                let settings = match group.as_str() {
                    "all" => &mut into.everywhere,
                    group => &mut into.group_mut(group).settings,
                };
                let value = unquoted(spoken(value.trim()));
                let (name, place) = (name.trim(), file.place(number));
                let notice = variable(settings, name, value, &place);
                into.notices.extend(notice);
            }
        }
    }
    named.check(file)
}

/// Which groups there are, and which are only spoken of.
struct Named {
    there: HashSet<String>,
    /// Groups that have to be there, with the section that speaks of them and the line.
    wanted: Vec<(String, String, usize)>,
}

impl Named {
    /// Begins with the groups of inventories that were read before.
    fn of(before: &Inventory) -> Self {
        let always = ["all", "ungrouped"].into_iter();
        Self {
            there: before.groups().chain(always).map(str::to_owned).collect(),
            wanted: Vec::new(),
        }
    }

    fn section(&mut self, section: &Section, line: usize) {
        match section {
            Section::Hosts(None) => {}
            Section::Hosts(Some(group)) | Section::Children(group) => {
                self.there.insert(group.clone());
            }
            Section::Variables(group) => {
                let section = format!("[{group}:vars]");
                self.wanted.push((group.clone(), section, line));
            }
        }
    }

    fn child(&mut self, group: &str, child: &str, line: usize) {
        let section = format!("[{group}:children]");
        self.wanted.push((child.to_owned(), section, line));
    }

    /// Refuses groups that are nowhere defined, as Ansible does: most often a name is misspelt.
    fn check(self, file: &File) -> Result<(), InventoryError> {
        let missing = |(group, ..): &&(String, String, usize)| !self.there.contains(group);
        match self.wanted.iter().find(missing) {
            Some((group, section, line)) => Err(file.error(
                *line,
                format!("{section} speaks of {group:?}, which is no group here; add [{group}]"),
            )),
            None => Ok(()),
        }
    }
}

/// Returns what stands in the brackets of a section's first line.
fn header(line: &str) -> Option<&str> {
    let line = uncommented(line).trim_end();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    // A line that begins with a range is a host's, and so is an IPv6 address.
    let is_name =
        name.chars().any(|c| c.is_alphabetic() || c == '_') && !name.contains(['[', ']', ',']);
    (is_name && name.parse::<std::net::Ipv6Addr>().is_err()).then_some(name)
}

fn begin(
    name: &str,
    number: usize,
    file: &File,
    into: &mut Inventory,
) -> Result<Section, InventoryError> {
    if name == "Main" {
        let reason = "this is ClusterShell's groups.conf, which names files and commands; it is read \
                      as a file of that name alone";
        return Err(file.error(number, reason));
    }
    let (name, kind) = match name.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (name, None),
    };
    file.check_group(name, number)?;
    if name != "all" {
        into.group_mut(name);
    }
    match kind {
        // Who is ungrouped is found out, and is more than is named here.
        None if matches!(name, "all" | "ungrouped") => Ok(Section::Hosts(None)),
        None => Ok(Section::Hosts(Some(name.to_owned()))),
        Some("children") => Ok(Section::Children(name.to_owned())),
        Some("vars") => Ok(Section::Variables(name.to_owned())),
        Some(other) => Err(file.error(
            number,
            format!("{other:?} is neither children nor vars, as in [{name}:children]"),
        )),
    }
}

/// Reads a line of hosts with their variables.
fn hosts(
    line: &str,
    number: usize,
    (group, file): (Option<&str>, &File),
    into: &mut Inventory,
) -> Result<(), InventoryError> {
    let fields = fields(line).map_err(|reason| file.error(number, reason))?;
    let Some((pattern, said)) = fields.split_first() else {
        return Ok(());
    };
    let place = file.place(number);
    let mut settings = Settings::default();
    for field in said {
        let Some((name, value)) = field.split_once('=') else {
            let reason = format!("{field:?} follows a host, and is no NAME=VALUE");
            return Err(file.error(number, reason));
        };
        let notice = variable(&mut settings, name, value, &place);
        into.notices.extend(notice);
    }
    host(pattern, group, (settings, &place), into)
}

/// Divides a line as Ansible does: quotes join, and a `#` outside of them ends the line, even in a word.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => field.get_or_insert_default().extend(chars.next()),
            (c, Some(_)) => field.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                field.get_or_insert_default();
            }
            ('#', None) => break,
            (c, None) if c.is_whitespace() => fields.extend(field.take()),
            (c, None) => field.get_or_insert_default().push(c),
        }
    }
    fields.extend(field);
    match quote {
        Some(_) => Err(format!("a quote of {line:?} is not closed")),
        None => Ok(fields),
    }
}

/// Returns what stands before a comment: a `#` behind a blank and outside of quotes.
fn uncommented(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (c, quote) {
            ('#', None) if before.is_whitespace() => return line[..at].trim_end(),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) if before.is_whitespace() => quote = Some(c),
            _ => {}
        }
        before = c;
    }
    line
}

/// Returns a variable's value without its comment. As in Ansible, only what Python would read as a value
/// has one behind it: in other words a `#` is a character.
fn spoken(value: &str) -> &str {
    let bare = uncommented(value);
    let is_literal = bare.starts_with(['"', '\'', '[', '(', '{'])
        || bare.parse::<f64>().is_ok()
        || matches!(bare, "True" | "False" | "None");
    if is_literal { bare } else { value }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}
