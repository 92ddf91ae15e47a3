//! The hosts that an ssh_config names: those of its `Host` lines, without patterns.

use super::file::File;
use crate::error::InventoryError;
use crate::inventory::{Inventory, Settings};
use crate::pattern::Dialect;

/// Reads a text. What the file says of its hosts is ssh_config's to say; here are only the names.
pub(super) fn read(text: &str, file: &File, into: &mut Inventory) -> Result<(), InventoryError> {
    for (index, line) in text.lines().enumerate() {
        let Some(("host", names)) = keyword(line)
            .as_ref()
            .map(|(key, rest)| (key.as_str(), *rest))
        else {
            continue;
        };
        let names = names
            .split_whitespace()
            .take_while(|name| !name.starts_with('#'));
        let names = names.map(|name| name.trim_matches('"'));
        let plain =
            names.filter(|name| !name.is_empty() && !name.contains(['*', '?', '!', '[', ']', ',']));
        for name in plain {
            into.add_hosts(
                name,
                Dialect::NodeSet,
                &Settings::default(),
                &file.place(index + 1),
            )?;
        }
    }
    Ok(())
}

/// Returns the files that an ssh_config includes, as they are written: patterns, relative to `~/.ssh`
/// where they do not begin with `/` or `~`.
///
/// # Examples
/// ```
/// use sshoal_hosts::ssh_config_includes;
///
/// assert_eq!(ssh_config_includes("Include conf.d/* ~/x\nHost web1\n"), ["conf.d/*", "~/x"]);
/// ```
pub fn ssh_config_includes(text: &str) -> Vec<String> {
    let mut includes = Vec::new();
    for line in text.lines() {
        if let Some((key, files)) = keyword(line)
            && key == "include"
        {
            let files = files
                .split_whitespace()
                .take_while(|file| !file.starts_with('#'));
            includes.extend(files.map(|file| file.trim_matches('"').to_owned()));
        }
    }
    includes
}

/// Returns whether the first line that says something is one of ssh_config.
pub(super) fn is_it(text: &str) -> bool {
    let mut keys = text.lines().filter_map(keyword);
    keys.next().is_some_and(|(key, rest)| {
        matches!(key.as_str(), "host" | "match" | "include") && !rest.is_empty()
    })
}

/// Divides a line into its keyword, in lower case, and the rest (ssh_config(5)).
fn keyword(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let key = line.split(|c: char| c.is_whitespace() || c == '=').next()?;
    if key.is_empty() || key.starts_with('#') {
        return None;
    }
    let rest = line[key.len()..].trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    Some((key.to_ascii_lowercase(), rest))
}
