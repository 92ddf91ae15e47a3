//! Where journals are: a directory of their own, a file for each run.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::time::rfc3339;

/// Returns the directory where journals are if none is named.
///
/// # Errors
/// Fails if there is no home directory.
pub(crate) fn directory(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        return std::path::absolute(named).context("--journal");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = match state.filter(|path| path.is_absolute()) {
        Some(state) => state,
        None => {
            let home = std::env::home_dir().filter(|home| home.is_absolute());
            home.context("there is no home directory; name one with --journal")?
                .join(".local/state")
        }
    };
    Ok(state.join("sshoal/runs"))
}

/// Makes the file of a run that begins at this time, in a directory that is made if need be; the
/// file is the caller's alone and locked. Returns the run's name with it.
///
/// # Errors
/// Fails if it cannot be made.
pub(super) fn create(directory: &Path, now: SystemTime) -> Result<(String, PathBuf, File)> {
    let cannot = || format!("cannot make the directory {}", directory.display());
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).with_context(cannot)?;
    let begun = rfc3339(now);
    // 2026-01-31T09:00:00.123Z: in order of their names, runs are in order of their begins.
    let digits: String = begun.chars().filter(char::is_ascii_digit).collect();
    let (day, time) = digits.split_at(8);
    let base = format!("{day}-{}-{}", &time[..6], &time[6..]);
    for more in 0..NAMES_MAX {
        let run = match more {
            0 => base.clone(),
            more => format!("{base}-{more}"),
        };
        let path = directory.join(format!("{run}.{EXTENSION}"));
        let mut options = File::options();
        options.read(true).append(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => {
                lock(&file, &run)?;
                return Ok((run, path, file));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        }
    }
    bail!(
        "too many runs have begun at once in {}",
        directory.display()
    )
}

/// Locks a run's journal for as long as it is open: two processes at once would do the same work.
///
/// # Errors
/// Fails if another process has it.
pub(super) fn lock(file: &File, run: &str) -> Result<()> {
    for _ in 0..LOCK_TRIES {
        if !is_locked(file, FlockOperation::NonBlockingLockExclusive) {
            return Ok(());
        }
        // Somebody may only have looked, as `is_under_way` does.
        sshoal::sleep(LOCK_PAUSE);
    }
    bail!("the run {run} is still under way")
}

/// Whether a process is busy with the run.
pub(crate) fn is_under_way(path: &Path) -> bool {
    let file = File::open(path);
    // Shared, so that two who look do not take each other for it.
    file.is_ok_and(|file| is_locked(&file, FlockOperation::NonBlockingLockShared))
}

/// Tries to lock; returns whether another process has it.
fn is_locked(file: &File, operation: FlockOperation) -> bool {
    // A file system that knows no locks is no reason to have no journal.
    flock(file, operation) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Returns the journals of a directory, the oldest first; none if there is no directory.
///
/// # Errors
/// Fails if it cannot be read.
pub(crate) fn all(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the directory {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(cannot),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(cannot)?.path();
        if name(&path).is_some_and(is_name) && path.extension().is_some_and(|e| e == EXTENSION) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Returns a journal by what the user calls its run.
///
/// # Errors
/// Fails if there is none, or more than one.
pub(crate) fn find(directory: &Path, run: &str) -> Result<PathBuf> {
    if run.contains('/') {
        return std::path::absolute(run).with_context(|| format!("the journal {run}"));
    }
    let mut runs = all(directory)?;
    let none = || {
        format!(
            "there is no run {run:?} in {}; see sshoal resume --list",
            directory.display()
        )
    };
    if run == "last" {
        return runs.pop().with_context(none);
    }
    if let Some(whole) = runs.iter().find(|path| name(path) == Some(run)) {
        return Ok(whole.clone());
    }
    runs.retain(|path| !run.is_empty() && name(path).is_some_and(|name| name.starts_with(run)));
    match runs.len() {
        0 | 1 => runs.pop().with_context(none),
        several => bail!("{several} runs begin with {run:?}; write more of the name"),
    }
}

/// Removes the oldest journals beyond so many, and beyond [`BYTES_MAX`] in all. Those of runs under
/// way stay, and so does whatever cannot be removed.
pub(super) fn prune(directory: &Path, own: &Path, keep: NonZeroUsize) {
    let (mut kept, mut bytes) = (0, 0);
    for path in all(directory).unwrap_or_default().into_iter().rev() {
        kept += 1;
        bytes += fs::metadata(&path).map_or(0, |facts| facts.len());
        let is_too_old = kept > keep.get() || bytes > BYTES_MAX;
        if is_too_old && path != own && !is_under_way(&path) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Returns the name of a journal's run.
pub(crate) fn name(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

/// Whether a name is one that [`create`] gives: other files of the directory are not ours.
fn is_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let digits = |part: Option<&str>, length| {
        part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
    };
    digits(parts.next(), 8) && digits(parts.next(), 6) && digits(parts.next(), 3)
}

const EXTENSION: &str = "jsonl";

/// How long, in all a fifth of a second, somebody may look at a journal that is to be locked.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Journals of one millisecond.
const NAMES_MAX: usize = 1_000;

/// Room for a few million hosts.
const BYTES_MAX: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn names_are_in_order_of_time_and_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let names: Vec<String> = [1_500, 1_500, 86_400_000_000]
            .map(|ms| create(dir.path(), at(ms)).unwrap().0)
            .into();
        assert_eq!(
            names,
            [
                "19700101-000001-500",
                "19700101-000001-500-1",
                "19720927-000000-000"
            ]
        );
        fs::write(dir.path().join("notes.jsonl"), "").unwrap();
        let found = all(dir.path()).unwrap();
        let found: Vec<&str> = found.iter().filter_map(|path| name(path)).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found.last(), names.last().map(String::as_str).as_ref());
    }

    /// Whoever looks at a journal while a run takes it does not keep the run from it, and sees it then.
    #[test]
    fn a_journal_that_is_looked_at_can_be_taken() {
        let dir = tempfile::tempdir().unwrap();
        let at = SystemTime::now();
        let (run, path, taken) = create(dir.path(), at).unwrap();
        assert!(is_under_way(&path));
        let error = lock(&File::open(&path).unwrap(), &run).unwrap_err();
        assert!(error.to_string().contains("under way"), "{error}");
        drop(taken);
        assert!(!is_under_way(&path));
        std::thread::scope(|scope| {
            let (looking, has_looked) = std::sync::mpsc::channel();
            let path = &path;
            scope.spawn(move || {
                let file = File::open(path).unwrap();
                assert!(!is_locked(&file, FlockOperation::NonBlockingLockShared));
                looking.send(()).unwrap();
            });
            has_looked.recv().unwrap();
            lock(&File::open(path).unwrap(), &run).unwrap();
        });
    }

    #[test]
    fn a_run_is_found_by_the_beginning_of_its_name_if_no_other_has_it() {
        let dir = tempfile::tempdir().unwrap();
        for ms in [1_500, 2_500] {
            create(dir.path(), UNIX_EPOCH + Duration::from_millis(ms)).unwrap();
        }
        let of = |run| find(dir.path(), run).ok();
        let path = |name: &str| Some(dir.path().join(format!("{name}.jsonl")));
        assert_eq!(of("last"), path("19700101-000002-500"));
        assert_eq!(of("19700101-000001"), path("19700101-000001-500"));
        assert_eq!(of("19700101"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("2026"), None);
    }
}
