//! Ansible's variables beside an inventory: `group_vars/` and `host_vars/`, of the groups and hosts that
//! there are.
//!
//! Of a name, the first of `name`, `name.yml`, `name.yaml` and `name.json` is read; if it is a folder,
//! its files of these kinds, by their names, and those of its folders.

use std::collections::HashMap;
use std::fs::{DirEntry, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sshoal::hosts::{Inventory, VarsOf};

use super::super::bounded;

/// Reads the variables beside the inventories of a folder.
///
/// # Errors
/// Fails if a file cannot be read or is no good, or if there are far too many.
pub(super) fn read(inventory: &mut Inventory, folder: &Path) -> Result<()> {
    let mut count = 0;
    let groups = entries(&folder.join("group_vars"))?;
    let named: Vec<String> = inventory.groups().map(str::to_owned).collect();
    let all = ["all".to_owned()].into_iter();
    for name in all.chain(named.into_iter().filter(|name| name != "all")) {
        for path in files(&groups, &name, &mut count)? {
            let (text, origin) = text(&path)?;
            inventory.read_vars(VarsOf::Group(&name), text, &origin)?;
        }
    }
    let hosts = entries(&folder.join("host_vars"))?;
    if hosts.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = inventory.host_names().map(str::to_owned).collect();
    for name in named {
        for path in files(&hosts, &name, &mut count)? {
            let (text, origin) = text(&path)?;
            inventory.read_vars(VarsOf::Host(&name), text, &origin)?;
        }
    }
    Ok(())
}

/// Returns what is in a folder, by name; nothing if there is none.
fn entries(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let what = || format!("cannot read the folder {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(HashMap::new());
        }
        entries => entries.with_context(what)?,
    };
    let named = |entry: std::io::Result<DirEntry>| {
        let entry = entry.with_context(what)?;
        Ok(entry
            .file_name()
            .into_string()
            .ok()
            .map(|name| (name, entry.path())))
    };
    entries.map(named).filter_map(Result::transpose).collect()
}

/// Returns the files of a name.
fn files(
    entries: &HashMap<String, PathBuf>,
    name: &str,
    count: &mut usize,
) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut names = EXTENSIONS
        .iter()
        .map(|extension| format!("{name}{extension}"));
    if let Some(path) = names.find_map(|name| entries.get(&name)) {
        match path.is_dir() {
            true => walk(path, 0, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    *count += files.len();
    if *count > FILES_MAX {
        bail!("more than {FILES_MAX} files of variables are beside the inventory");
    }
    Ok(files)
}

/// Adds the files of a folder and of its folders.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut found: Vec<(String, PathBuf)> = entries(folder)?.into_iter().collect();
    found.sort();
    for (name, path) in found {
        let extension = name.rfind('.').map_or("", |at| &name[at..]);
        let is_spare = name.starts_with('.') || name.ends_with('~');
        if is_spare || !EXTENSIONS.contains(&extension) {
            continue;
        }
        if !path.is_dir() {
            files.push(path);
        } else if extension.is_empty() {
            // A folder that is a link to one above has no end.
            if depth >= FOLDERS_DEEP_MAX {
                bail!("{} is too deep in folders", path.display());
            }
            walk(&path, depth + 1, files)?;
        }
        if files.len() > FILES_MAX {
            bail!("more than {FILES_MAX} files are in {}", folder.display());
        }
    }
    Ok(())
}

/// Reads a file; returns what errors call it, too.
fn text(path: &Path) -> Result<(Vec<u8>, String)> {
    let origin = path.display().to_string();
    let cannot = || format!("cannot read {origin}");
    let file = File::open(path).with_context(cannot)?;
    let text = bounded(file, &origin).with_context(cannot)?;
    Ok((text, origin))
}

/// In the order in which Ansible tries them.
const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

/// A few for each of many hosts.
const FILES_MAX: usize = 200_000;

const FOLDERS_DEEP_MAX: usize = 16;
