//! How a directory is copied.

use std::num::{NonZeroU64, NonZeroUsize};

use crate::glob::Glob;
use crate::options::{BYTES_MAX, CopyOptions, Preserve, Verify};

/// How a directory is copied; the default is what is said at each setter.
#[derive(Debug, Clone)]
#[must_use]
pub struct TreeOptions {
    pub(crate) copy: CopyOptions,
    pub(crate) links: Links,
    pub(crate) unchanged: Unchanged,
    pub(crate) delete: Delete,
    pub(crate) dry_run: DryRun,
    pub(crate) itemise: Itemise,
    pub(crate) exclude: Vec<Exclude>,
    pub(crate) depth_max: usize,
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: u64,
    pub(crate) files_at_once: NonZeroUsize,
    pub(crate) stream: Stream,
}

/// In how many streams a directory is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stream {
    /// Each file is copied for itself, over SFTP.
    #[default]
    Each,
    /// All go in one stream through the host's `tar`, which is faster for many small files.
    ///
    /// Putting, the stream is unpacked into a hidden directory beside the target, or in it where it
    /// is there; when all has arrived, that gets the target's name, or each file in it is renamed
    /// to its own. So a copy that is cut short changes nothing. The host needs `sh` and the usual
    /// commands. Times before 1970 become that of 1970.
    ///
    /// What is not offered ends the copy before it begins: [`Unchanged`], [`Delete`], [`DryRun`]
    /// and [`Verify::Sha256`] for putting, the last for getting. Getting,
    /// a file of several names fails on hosts whose `tar` is not GNU's.
    Tar,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "to follow them is what is never done"
)]
pub enum Links {
    /// They are skipped and reported.
    #[default]
    Skip,
    /// They are made as links, where they lead to something beneath the copied directory: `..` at
    /// most as often as it stays there, and at the begin alone. Others are skipped and reported.
    Copy,
}

/// Which files count as equal on both sides and are not copied again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Unchanged {
    /// None: all are copied.
    #[default]
    Copy,
    /// Those of one size, last changed in the same second. Of use only where times are kept.
    SizeAndTime,
    /// Those of one size and one SHA-256, which a command on the host computes.
    Sha256,
}

/// Whether what only the target has is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Delete {
    /// It stays.
    #[default]
    No,
    /// It is deleted, when all else is copied without an error. What is excluded stays, and so do the
    /// directories that it is in.
    Yes,
}

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum DryRun {
    /// It is.
    #[default]
    No,
    /// Nothing is: the report says what would be.
    Yes,
}

/// Whether the report lists each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Itemise {
    /// It counts them.
    #[default]
    No,
    /// It lists them as well.
    Yes,
}

/// A pattern of what is left out.
#[derive(Debug, Clone)]
pub(crate) struct Exclude {
    /// One for each part of the path.
    parts: Vec<Glob>,
    /// Whether it is for the whole path from the copied directory on, and not for one name.
    anchored: bool,
}

impl TreeOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how each file is copied. Default: [`CopyOptions::new`].
    pub fn copy(mut self, copy: CopyOptions) -> Self {
        self.copy = copy;
        self
    }

    /// Sets what becomes of symbolic links. Default: [`Links::Skip`].
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Sets which files are not copied again. Default: [`Unchanged::Copy`], none.
    pub fn unchanged(mut self, unchanged: Unchanged) -> Self {
        self.unchanged = unchanged;
        self
    }

    /// Sets whether what only the target has is deleted there. Default: [`Delete::No`].
    pub fn delete(mut self, delete: Delete) -> Self {
        self.delete = delete;
        self
    }

    /// Sets whether nothing is changed and only reported. Default: [`DryRun::No`].
    pub fn dry_run(mut self, dry_run: DryRun) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets whether the report lists each change. Default: [`Itemise::No`].
    pub fn itemise(mut self, itemise: Itemise) -> Self {
        self.itemise = itemise;
        self
    }

    /// Leaves out what fits the pattern, and all that is in such a directory. Default: nothing.
    ///
    /// A pattern without a `/` is for a name at any depth; one with a `/` is for the path from the
    /// copied directory on, part by part. The parts are read as a POSIX shell does: a `*` that
    /// begins one fits no name that begins with a dot.
    pub fn exclude(mut self, pattern: impl AsRef<[u8]>) -> Self {
        self.exclude.push(Exclude::new(pattern.as_ref()));
        self
    }

    /// Sets how deep directories are gone into; what is deeper is an error of its own, and the rest
    /// is copied. Each level that is gone into holds a descriptor. Default: 64.
    pub fn depth_max(mut self, depth: NonZeroUsize) -> Self {
        self.depth_max = depth.get();
        self
    }

    /// Sets how many names are taken in all; with one more the copy ends there. Default: 1,000,000.
    pub fn entries_max(mut self, entries: NonZeroUsize) -> Self {
        self.entries_max = entries.get();
        self
    }

    /// Sets how many bytes a host may send in all; with one more the copy ends there. Default:
    /// 64 GiB. For getting alone.
    pub fn bytes_max(mut self, bytes: NonZeroU64) -> Self {
        self.bytes_max = bytes.get();
        self
    }

    /// Sets how many files are under way at once to or from one host, at most 256. Default: 64; at
    /// most 6 where commands compute digests, since servers allow ten channels to a session.
    pub fn files_at_once(mut self, files: NonZeroUsize) -> Self {
        self.files_at_once = files;
        self
    }

    /// Sets in how many streams the directory is copied. Default: [`Stream::Each`].
    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = stream;
        self
    }

    /// Makes it a synchronisation: permissions and times are kept, and equal files are not copied
    /// again, by size and time unless [`TreeOptions::unchanged`] said otherwise; of those that differ
    /// in permissions or times alone, only these are set.
    pub fn sync(mut self) -> Self {
        self.copy = self.copy.preserve(Preserve::Yes);
        if self.unchanged == Unchanged::Copy {
            self.unchanged = Unchanged::SizeAndTime;
        }
        self
    }

    /// Returns these options for the host at this place in a fleet; see [`CopyOptions::for_host`].
    pub fn for_host(&self, index: usize) -> Self {
        let copy = self.copy.for_host(index);
        self.clone().copy(copy)
    }

    /// How many green threads work for one host.
    pub(crate) fn workers(&self) -> usize {
        let commands = self.unchanged == Unchanged::Sha256 || self.copy.verify == Verify::Sha256;
        let most = if commands { COMMANDS_MAX } else { WORKERS_MAX };
        self.files_at_once.get().min(most)
    }

    /// Whether a path from the copied directory on is left out.
    pub(crate) fn leaves_out(&self, path: &[u8]) -> bool {
        self.exclude.iter().any(|exclude| exclude.fits(path))
    }
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            copy: CopyOptions::new(),
            links: Links::Skip,
            unchanged: Unchanged::Copy,
            delete: Delete::No,
            dry_run: DryRun::No,
            itemise: Itemise::No,
            exclude: Vec::new(),
            depth_max: DEPTH_MAX,
            entries_max: ENTRIES_MAX,
            bytes_max: BYTES_MAX,
            files_at_once: FILES_AT_ONCE,
            stream: Stream::Each,
        }
    }
}

impl Exclude {
    fn new(pattern: &[u8]) -> Self {
        let anchored = pattern.contains(&b'/');
        let parts = pattern.split(|byte| *byte == b'/');
        Self {
            parts: (parts.filter(|part| !part.is_empty()).map(Glob::new)).collect(),
            anchored,
        }
    }

    fn fits(&self, path: &[u8]) -> bool {
        let mut names = path.split(|byte| *byte == b'/');
        if !self.anchored {
            let last = names.next_back().unwrap_or_default();
            return self.parts.iter().any(|part| part.fits(last));
        }
        let mut parts = self.parts.iter();
        loop {
            match (parts.next(), names.next()) {
                (None, None) => return true,
                (Some(part), Some(name)) if part.fits(name) => {}
                _ => return false,
            }
        }
    }
}

const DEPTH_MAX: usize = 64;
const ENTRIES_MAX: usize = 1_000_000;
const FILES_AT_ONCE: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
const WORKERS_MAX: usize = 256;
/// OpenSSH allows ten channels to a session (`MaxSessions`), and one is ours already.
const COMMANDS_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_for_names_or_for_whole_paths() {
        for (pattern, path, expected) in [
            ("*.o", "a.o", true),
            ("*.o", "d/e/a.o", true),
            ("*.o", "a.c", false),
            ("/a", "a", true),
            ("/a", "d/a", false),
            ("d/*.o", "d/a.o", true),
            ("d/*.o", "e/d/a.o", false),
            ("d/", "d", true),
            ("d/", "e/d", false),
            ("", "a", false),
        ] {
            let options = TreeOptions::new().exclude(pattern);
            let found = options.leaves_out(path.as_bytes());
            assert_eq!(found, expected, "{pattern} {path}");
        }
    }
}
