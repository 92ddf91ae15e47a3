//! ClusterShell's `groups.conf`: the files that it names are read at once, and its commands run when a
//! group of theirs is wanted.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use sshoal::hosts::{GroupSource, GroupsConf, Inventory, Question, Upcalls, fill_cfgdir};

use super::super::bounded;
use super::{output, shell};

/// A source whose groups are commands' to tell; each command runs once.
#[derive(Debug)]
struct Commands {
    upcalls: Upcalls,
    /// Where they run.
    folder: PathBuf,
    /// By command.
    answers: Mutex<HashMap<String, String>>,
}

impl GroupSource for Commands {
    fn ask(&self, question: Question<'_>) -> Result<Option<String>, String> {
        let folder = self.folder.to_string_lossy();
        let Some(command) = self.upcalls.command(question, &folder)? else {
            return Ok(None);
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(&command) {
            return Ok(Some(answer.clone()));
        }
        let mut run = shell(&command);
        run.current_dir(&self.folder);
        let text = output(run, &format!("{}: {command:?}", self.upcalls.place));
        let text = text.map_err(|error| format!("{error:#}"))?;
        let text = String::from_utf8(text)
            .map_err(|_| format!("{}: {command:?} does not write UTF-8", self.upcalls.place))?;
        answers.insert(command, text.clone());
        Ok(Some(text))
    }
}

/// Adds the sources of a `groups.conf`: those of the `.conf` files and the `.yaml` files of its
/// directories, and its own.
///
/// # Errors
/// Fails if one of the files is no good, or if a source is there twice. Files that cannot be read
/// are left out, as by ClusterShell, but for the first one.
pub(super) fn add(inventory: &mut Inventory, path: &Path, text: &[u8]) -> Result<()> {
    let conf = GroupsConf::parse(text, &path.display().to_string())?;
    let folder = absolute(path.parent().unwrap_or(Path::new("")))?;
    let shown = folder.to_string_lossy().into_owned();
    let listed = RefCell::new(HashSet::new());
    let files = |folders: &[String], extension: &str| {
        let folders = folders
            .iter()
            .map(|own| folder.join(fill_cfgdir(own, &shown)));
        let fresh =
            folders.filter(|own| listed.borrow_mut().insert((own.clone(), extension.len())));
        let files = fresh.map(|own| files_of(&own, extension));
        files.collect::<Result<Vec<_>>>().map(|all| all.concat())
    };
    let mut sources: Vec<(Upcalls, PathBuf)> = Vec::new();
    for path in files(&conf.conf_dirs, "conf")? {
        let Some(text) = readable(&path)? else {
            continue;
        };
        let part = GroupsConf::parse(text, &path.display().to_string())?;
        let own = path.parent().unwrap_or(&folder).to_owned();
        sources.extend(part.sources.into_iter().map(|source| (source, own.clone())));
    }
    let trees = files(&conf.auto_dirs, "yaml")?;
    sources.extend(
        conf.sources
            .into_iter()
            .map(|source| (source, folder.clone())),
    );
    // Whose groups need no source has to be known before any group is.
    let first = sources.first().map(|(source, _)| source.name.clone());
    let default = conf.default.clone().or(first.filter(|_| trees.is_empty()));
    if let Some(default) = &default {
        inventory.set_default_source(default);
    }
    for path in trees {
        if let Some(text) = readable(&path)? {
            inventory.read(text, &path.display().to_string())?;
        }
    }
    for (upcalls, folder) in sources {
        let (name, place) = (upcalls.name.clone(), upcalls.place.clone());
        let answers = Mutex::default();
        let source = Arc::new(Commands {
            upcalls,
            folder,
            answers,
        });
        inventory
            .add_source(&name, source)
            .map_err(|why| anyhow!("{place}: {why}"))?;
    }
    match conf.default {
        Some(default) if !inventory.has_source(&default) => bail!(
            "{}: the default is {default:?}, and there is no source of this name",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// Returns the files of a folder, sorted; none if it is not there.
fn files_of(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let what = || format!("cannot read the folder {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(what)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(what)?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.extension().is_some_and(|own| own == extension) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file; nothing if that is not allowed.
fn readable(path: &Path) -> Result<Option<Vec<u8>>> {
    let what = || format!("cannot read {}", path.display());
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
        file => file.with_context(what)?,
    };
    bounded(file, &path.display().to_string())
        .with_context(what)
        .map(Some)
}

/// Returns a folder by its way from the root: commands run in it.
fn absolute(folder: &Path) -> Result<PathBuf> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    std::fs::canonicalize(folder).with_context(|| format!("cannot find {}", folder.display()))
}
