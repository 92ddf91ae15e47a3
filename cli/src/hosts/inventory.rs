//! Inventories: files, what they include, and the output of commands.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sshoal::hosts::{GroupsConf, Inventory, Program, glob, ssh_config_includes};

use super::{bounded, read_file};
use crate::args::WhomArgs;
use crate::complain;

mod groups_conf;
mod vars;

/// Reads all inventories that were named, or the user's own if none was.
///
/// # Errors
/// Fails at the first one that is no good, or command that fails.
pub(super) fn read(whom: &WhomArgs) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut read = HashSet::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in &whom.inventories {
        if path == Path::new("-") {
            bail!("--inventory - is not read; write a file, or hosts to -h -");
        }
        let program = add(&mut inventory, path, (&mut read, 0))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if program == Program::Ansible && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    for command in &whom.inventory_commands {
        let what = format!("--inventory-cmd {command:?}");
        let text = output(shell(command), &what)?;
        inventory.read(text, command)?;
    }
    if whom.inventories.is_empty() && whom.inventory_commands.is_empty() {
        let own = own_folder().into_iter();
        let own = own.flat_map(|folder| ["hosts.toml", "hosts.yaml"].map(|name| folder.join(name)));
        if let Some(path) = own.into_iter().find(|path| path.exists()) {
            add(&mut inventory, &path, (&mut read, 0))?;
        }
    }
    // Of all hosts and groups, whoever has named them.
    for folder in folders {
        vars::read(&mut inventory, &folder)?;
    }
    for notice in inventory.notices() {
        complain(notice);
    }
    Ok(inventory)
}

/// Adds a file, and what it includes if it is an ssh_config, or names if it is a `groups.conf`; returns
/// whose it is.
fn add(
    inventory: &mut Inventory,
    path: &Path,
    (read, depth): (&mut HashSet<PathBuf>, usize),
) -> Result<Program> {
    let (text, origin) = read_file(path, "inventory")?;
    if GroupsConf::is_it(&String::from_utf8_lossy(&text), &origin) {
        groups_conf::add(inventory, path, &text)?;
        return Ok(Program::ClusterShell);
    }
    let program = inventory.read(&text, &origin)?;
    let Ok(text) = str::from_utf8(&text) else {
        return Ok(program);
    };
    let is_ssh_config = !matches!(
        path.extension().and_then(|extension| extension.to_str()),
        Some("toml" | "yaml" | "yml" | "json" | "ini")
    );
    for pattern in ssh_config_includes(text) {
        if !is_ssh_config || depth >= INCLUDES_DEEP_MAX {
            break;
        }
        for path in included(&pattern) {
            // What ssh cannot read, it leaves out (ssh_config(5)).
            if path.is_file() && read.insert(path.clone()) {
                add(inventory, &path, (read, depth + 1))?;
            }
        }
    }
    Ok(program)
}

/// Returns the files of an `Include`, whose last part may be a pattern.
fn included(pattern: &str) -> Vec<PathBuf> {
    let home = std::env::home_dir().unwrap_or_default();
    let path = match pattern.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(pattern),
    };
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Vec::new();
    };
    if !name.contains(['*', '?', '[']) {
        return vec![path];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let matching =
        names.filter(|own| glob(name, own) && (name.starts_with('.') || !own.starts_with('.')));
    let mut files: Vec<PathBuf> = matching.map(|own| folder.join(own)).collect();
    files.sort();
    files
}

/// Returns a command for the shell.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    shell
}

/// Runs a command and returns what it writes; what it says on standard error is the user's to read.
fn output(mut command: Command, what: &str) -> Result<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| what.to_owned())?;
    let pipe = child.stdout.take().context("the output is piped")?;
    let text = bounded(pipe, "its output").with_context(|| what.to_owned());
    if text.is_err() {
        // It would wait for ever to be read.
        let _ = child.kill();
    }
    let status = child.wait().with_context(|| what.to_owned())?;
    let text = text?;
    if !status.success() {
        bail!("{what} failed: {status}");
    }
    Ok(text)
}

/// Returns the folder of the user's own settings.
fn own_folder() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = set.filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        home.map(|home| home.join(".config"))
    });
    folder.map(|folder| folder.join("sshoal"))
}

/// As ssh bounds them.
const INCLUDES_DEEP_MAX: usize = 16;
