//! How a file is copied.

use sshoal_reactor::sync::Semaphore;
use std::num::{NonZeroU64, NonZeroUsize};

use crate::limits::{self, Bandwidth, HostBandwidth};
use crate::progress::Progress;

/// How a file is copied; the default is what is said at each setter.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CopyOptions {
    pub(crate) existing: Existing,
    pub(crate) preserve: Preserve,
    pub(crate) permissions: Option<u32>,
    pub(crate) parents: Parents,
    pub(crate) verify: Verify,
    pub(crate) bytes_max: Option<NonZeroU64>,
    pub(crate) resume: Resume,
    pub(crate) leftovers: Leftovers,
    pub(crate) progress: Option<Progress>,
    pub(crate) bandwidth: Option<Bandwidth>,
    pub(crate) host_bandwidth: Option<HostBandwidth>,
    pub(crate) at_once: Option<Semaphore>,
}

/// What becomes of a file that has the target's name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Existing {
    /// The copy takes its name, all at once; who has it open goes on with the old one.
    #[default]
    Overwrite,
    /// It stays as it is, and nothing is copied; that is no error.
    Keep,
    /// It stays as it is, and the copy fails with [`Error::Exists`](crate::Error::Exists).
    Fail,
}

/// Whether permissions and times go with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Preserve {
    /// Permissions do, less the umask of where the copy is made.
    #[default]
    No,
    /// Both do, to the second; a host's files never get the set-user-id bit and its like here.
    Yes,
}

/// Whether directories are made in which the target is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Parents {
    /// They are, where they are not there.
    #[default]
    Make,
    /// They are not: the copy fails where they are not there.
    Expect,
}

/// What is compared when all bytes have arrived, before the copy gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// The sizes.
    #[default]
    Size,
    /// The sizes, and the SHA-256 of both, which a command on the host computes for its own
    /// (`sha256sum`, `shasum`, `sha256` or `openssl`).
    Sha256,
}

/// Whether a copy that was cut short is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Resume {
    /// It is not: each copy begins anew, and one that fails leaves nothing.
    #[default]
    No,
    /// It is, where the source has the size and the time of change that it had, to the second of a
    /// host's file. What was copied stays beside the target under a name that the next copy finds;
    /// its end is compared with the source before the rest is sent, and the whole by SHA-256
    /// afterwards where the host has a command for that. If they differ, all is copied again, once.
    Yes,
}

/// Whether a copy to a host removes what killed copies left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Leftovers {
    /// Only where the directory is listed for another reason: for [`Resume::Yes`], or to tell what is
    /// there already.
    #[default]
    Leave,
    /// It does: each directory that was there is listed once, and part files of copies whose process
    /// is known to have ended, or of which nothing was heard for a day, are removed.
    Remove,
}

impl CopyOptions {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what becomes of a file that has the target's name. Default: [`Existing::Overwrite`].
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Sets whether permissions and times go with the file. Default: [`Preserve::No`].
    pub fn preserve(mut self, preserve: Preserve) -> Self {
        self.preserve = preserve;
        self
    }

    /// Sets the copy's permissions, for example `0o640`, whatever the source's are. Default: the
    /// source's, less the umask; 0644 less the umask, where the source is no file.
    pub fn permissions(mut self, permissions: u32) -> Self {
        self.permissions = Some(permissions & 0o7777);
        self
    }

    /// Sets whether directories are made for the target. Default: [`Parents::Make`].
    pub fn parents(mut self, parents: Parents) -> Self {
        self.parents = parents;
        self
    }

    /// Sets what is compared in the end. Default: [`Verify::Size`].
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// Sets how many bytes a host may send of a file; more is an error. Default: as many as it said
    /// that the file has, when it was opened, and 64 GiB where it says nothing.
    pub fn bytes_max(mut self, bytes: NonZeroU64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Sets whether a copy that was cut short is gone on with. Default: [`Resume::No`].
    pub fn resume(mut self, resume: Resume) -> Self {
        self.resume = resume;
        self
    }

    /// Sets whether what killed copies left on a host is removed. Default: [`Leftovers::Leave`].
    pub fn leftovers(mut self, leftovers: Leftovers) -> Self {
        self.leftovers = leftovers;
        self
    }

    /// Sets the counters that copies add to. Default: none.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    /// Sets the bound of bytes a second for all copies that are given it. Default: none.
    pub fn bandwidth(mut self, bound: &Bandwidth) -> Self {
        self.bandwidth = Some(bound.clone());
        self
    }

    /// Sets how many bytes a second each host's copies move in all; see [`CopyOptions::for_host`].
    /// Default: no bound.
    pub fn host_bandwidth(mut self, bytes_per_second: NonZeroU64) -> Self {
        self.host_bandwidth = Some(HostBandwidth::Each(bytes_per_second));
        self
    }

    /// Sets how many files move at once with these options and their clones, whatever the number of
    /// sessions; the others wait in order. Default: as many as there are sessions.
    pub fn copies_max(mut self, count: NonZeroUsize) -> Self {
        self.at_once = Some(limits::places(count));
        self
    }
}

/// How many bytes are taken of what tells no size, and of all files of a tree.
pub(crate) const BYTES_MAX: u64 = 64 << 30;
