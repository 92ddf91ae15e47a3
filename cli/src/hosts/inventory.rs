//! Inventories: files, what they include, and the output of commands.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sshoal::hosts::{Inventory, glob, ssh_config_includes};

use super::{bounded, read_file};
use crate::args::WhomArgs;
use crate::complain;

/// Reads all inventories that were named, or the user's own if none was.
///
/// # Errors
/// Fails at the first one that is no good, or command that fails.
pub(super) fn read(whom: &WhomArgs) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut read = HashSet::new();
    for path in &whom.inventories {
        if path == Path::new("-") {
            bail!("--inventory - is not read; write a file, or hosts to -h -");
        }
        add(&mut inventory, path, (&mut read, 0))?;
    }
    for command in &whom.inventory_commands {
        let text = output(command)?;
        inventory.read(text, command)?;
    }
    if whom.inventories.is_empty() && whom.inventory_commands.is_empty() {
        let own = own_folder().into_iter();
        let own = own.flat_map(|folder| ["hosts.toml", "hosts.yaml"].map(|name| folder.join(name)));
        if let Some(path) = own.into_iter().find(|path| path.exists()) {
            add(&mut inventory, &path, (&mut read, 0))?;
        }
    }
    for notice in inventory.notices() {
        complain(notice);
    }
    Ok(inventory)
}

/// Adds a file, and what it includes if it is an ssh_config.
fn add(
    inventory: &mut Inventory,
    path: &Path,
    (read, depth): (&mut HashSet<PathBuf>, usize),
) -> Result<()> {
    let (text, origin) = read_file(path, "inventory")?;
    inventory.read(&text, &origin)?;
    let Ok(text) = str::from_utf8(&text) else {
        return Ok(());
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
    Ok(())
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

/// Runs a command by the shell and returns what it writes; what it says on standard error is the
/// user's to read.
fn output(command: &str) -> Result<Vec<u8>> {
    let cannot = || format!("--inventory-cmd {command:?}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(cannot)?;
    let pipe = child.stdout.take().context("the output is piped")?;
    let text = bounded(pipe, "its output").with_context(cannot);
    if text.is_err() {
        // It would wait for ever to be read.
        let _ = child.kill();
    }
    let status = child.wait().with_context(cannot)?;
    let text = text?;
    if !status.success() {
        bail!("--inventory-cmd {command:?} failed: {status}");
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
