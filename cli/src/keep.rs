//! Whether a run is kept, which one it goes on with, and what has to be as it was for that.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::args::JournalArgs;
use crate::complain;
use crate::exit_code::INTERNAL;
use crate::journal::{InputPlan, Journal, Kept, Redo, Subject, Text, place};
use crate::record::Recorder;
use crate::resume::standing;

/// A run that is gone on with, if one is.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    /// `None` if nothing is to be run.
    journal: Option<Journal>,
    pub(crate) kept: Option<Kept>,
}

impl Resumed {
    /// Opens the journal of the run that is gone on with, if one is.
    ///
    /// # Errors
    /// Fails if it cannot be gone on with, or what it read has changed.
    pub(crate) fn open(args: &JournalArgs, is_dry: bool) -> Result<Self> {
        let Some(path) = &args.resumes else {
            return Ok(Self::default());
        };
        let (journal, kept) = match is_dry {
            true => (None, Kept::read(path)?),
            false => {
                let (journal, kept) = Journal::resume(path)?;
                (Some(journal), kept)
            }
        };
        for input in &kept.plan.inputs {
            check(input).with_context(|| format!("cannot go on with {}", kept.plan.run))?;
        }
        Ok(Self {
            journal,
            kept: Some(kept),
        })
    }

    /// Returns the positions of the hosts that the run is on.
    pub(crate) fn whom(&self, args: &JournalArgs, hosts: usize) -> Vec<usize> {
        let redo = Redo {
            failed: args.redo_failed,
            skip_started: args.skip_started,
        };
        match &self.kept {
            Some(kept) => kept.left(redo),
            None => (0..hosts).collect(),
        }
    }

    /// Returns the journal to go on with, or begins one where one is wanted; `weak` are the flags that
    /// were not typed. One that nobody asked for and that cannot be written is left out, with a
    /// notice.
    ///
    /// # Errors
    /// Fails if a journal that was asked for cannot be written.
    pub(crate) fn journal<'s>(
        self,
        (args, weak): (&JournalArgs, &[&str]),
        subject: impl FnOnce() -> Result<Subject<'s>>,
        notices: &mut Vec<String>,
    ) -> Result<Option<Journal>> {
        let going_on = |kept: &Kept| format!("going on with {}: {}", kept.plan.run, standing(kept));
        notices.extend(self.kept.as_ref().map(going_on));
        if let Some(journal) = self.journal {
            return Ok(Some(journal));
        }
        let Some(named) = wanted(args, weak)? else {
            return Ok(None);
        };
        let keep = args.journal_keep.unwrap_or(KEEP);
        let subject = subject()?;
        let made = place::directory(named)
            .and_then(|directory| Journal::create(&directory, keep, subject));
        match made {
            Ok(journal) => Ok(Some(journal)),
            Err(error) if named.is_some() => Err(error).context("--journal"),
            Err(error) => {
                notices.push(format!(
                    "no journal is kept, so that this run cannot be resumed: {}; --no-journal asks \
                     for that",
                    crate::wording::chain(&*error)
                ));
                Ok(None)
            }
        }
    }
}

/// Returns whether a journal is wanted, and the directory that was named for it.
///
/// # Errors
/// Fails if it is wanted and not wanted.
#[expect(clippy::option_option, reason = "wanted, and named")]
pub(crate) fn wanted<'a>(args: &'a JournalArgs, weak: &[&str]) -> Result<Option<Option<&'a Path>>> {
    let named = args.journal.as_deref();
    let weak = |id: &str| weak.contains(&id);
    match (args.no_journal, named) {
        (false, named) => Ok(Some(named)),
        (true, None) => Ok(None),
        // What was typed goes before the environment.
        (true, Some(_)) if weak("no_journal") && !weak("journal") => Ok(Some(named)),
        (true, Some(_)) if weak("journal") => Ok(None),
        (true, Some(_)) => bail!("--journal and --no-journal contradict each other; leave one out"),
    }
}

/// Ends the journal, says how a run of this name is gone on with, and returns the exit code.
pub(crate) fn end(recorder: &Recorder, code: u8, left: Option<String>) -> u8 {
    if let Some(run) = left {
        complain(&format!("hosts are left; go on with: sshoal resume {run}"));
    }
    match recorder.end(code) {
        Ok(()) => code,
        Err(error) => {
            let what = crate::wording::chain(&*error);
            complain(&format!("{what}; the run cannot be resumed rightly"));
            INTERNAL
        }
    }
}

/// Notes what a run reads here, to see later whether it is the same; `-` is standard input. A pipe is read
/// once, as that is.
///
/// # Errors
/// Fails if it cannot be looked at.
pub(crate) fn input(path: &Path) -> Result<InputPlan> {
    let is_once = |path: &Path| {
        let facts = std::fs::metadata(path);
        facts.is_ok_and(|facts| !facts.is_file() && !facts.is_dir())
    };
    let state = match path == Path::new("-") || is_once(path) {
        true => String::new(),
        false => state(path)?,
    };
    let path = Text::new(path.as_os_str().as_bytes());
    Ok(InputPlan { path, state })
}

/// Checks that an input is the one that was noted.
fn check(input: &InputPlan) -> Result<()> {
    let path = input
        .path
        .bytes()
        .context("the journal's plan is damaged")?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(&path));
    if input.state.is_empty() {
        bail!(
            "it read its standard input, which is gone, or a pipe; begin it again, with the input in a \
             file, on the hosts that are left"
        );
    }
    if state(&path)? != input.state {
        let path = path.display();
        bail!(
            "{path} has changed since, and the hosts would not have the same; bring it back, or \
             begin again on all hosts"
        );
    }
    Ok(())
}

/// Returns what changes with a file, or with anything in a folder: sizes and times, as a digest.
fn state(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let root = path;
    let mut left = BTreeSet::from([root.to_owned()]);
    while let Some(path) = left.pop_first() {
        let cannot = || format!("cannot look at {}", path.display());
        // What was named may be a link; in a folder, links are what they say.
        let facts = match path == root {
            true => std::fs::metadata(&path),
            false => std::fs::symlink_metadata(&path),
        };
        let facts = facts.with_context(cannot)?;
        digest.update(path.as_os_str().as_bytes());
        digest.update([0]);
        digest.update(said(&facts));
        if facts.is_dir() {
            for entry in std::fs::read_dir(&path).with_context(cannot)? {
                left.insert(entry.with_context(cannot)?.path());
            }
        }
    }
    let bytes = digest.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Returns what tells two states of a file apart: of a folder, that it is one.
fn said(facts: &Metadata) -> String {
    match facts.is_dir() {
        true => format!("{:o}", facts.mode()),
        false => format!(
            "{:o} {} {}.{:09}",
            facts.mode(),
            facts.size(),
            facts.mtime(),
            facts.mtime_nsec()
        ),
    }
}

/// Journals that a directory keeps: some weeks of an operator's work.
const KEEP: NonZeroUsize = NonZeroUsize::new(100).expect("it is not 0");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_anywhere_in_a_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a");
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::write(root.join("b/c/x"), "one").unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
        let before = input(&root).unwrap();
        assert!(check(&before).is_ok());
        std::fs::write(root.join("b/c/x"), "three").unwrap();
        let error = format!("{:#}", check(&before).unwrap_err());
        assert!(error.contains("has changed since"), "{error}");
        let before = input(&root).unwrap();
        std::fs::write(root.join("b/y"), "").unwrap();
        assert!(check(&before).is_err());
        let one = input(&root.join("b/y")).unwrap();
        assert!(check(&one).is_ok());
        std::fs::remove_file(root.join("b/y")).unwrap();
        assert!(check(&one).is_err());
        assert!(check(&input(Path::new("-")).unwrap()).is_err());
    }
}
