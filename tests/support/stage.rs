//! A directory for what hosts that attack send, with others beside it that nothing may change.

use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf};

use super::trees::{Snapshot, snapshot};

/// The directory is `in`; what is beside it is known.
pub(crate) struct Stage {
    dir: tempfile::TempDir,
    before: Snapshot,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        for name in ["in", "out/deeper"] {
            fs::create_dir_all(dir.path().join(name)).expect("makes directories");
        }
        for name in ["out/file", "out/deeper/file", "evil", "file"] {
            fs::write(dir.path().join(name), "ours").expect("writes");
        }
        Self {
            before: outside(&dir),
            dir,
        }
    }

    /// The directory that is attacked.
    pub(crate) fn inside(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    /// Asserts that nothing beside the directory changed, and that no part of a file is left in it.
    #[track_caller]
    pub(crate) fn check(&self, attack: &str) {
        let after = outside(&self.dir);
        assert!(self.before == after, "{attack} changed what is outside");
        let parts = snapshot(&self.inside()).into_keys().filter(|path| {
            let name = path.file_name().expect("has a name").as_bytes();
            name.windows(8).any(|bytes| bytes == b".sshoal-")
        });
        assert_eq!(parts.count(), 0, "{attack} leaves parts of files");
    }
}

/// All that is beside the directory, and that directory's own being.
fn outside(dir: &tempfile::TempDir) -> Snapshot {
    let mut all = snapshot(dir.path());
    all.retain(|path, _| !path.starts_with("in"));
    all
}
