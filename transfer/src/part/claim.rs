//! Part files that a later copy goes on with: what they belong to, and who writes them.
//!
//! Their names tell both: a key of the source and the target, and the copy that has claimed the
//! file. Who wants one gives it a name of its own by a rename, at which only one can succeed. A
//! copy that still goes on is left its file: on this machine it is known whether it does, of
//! another one it is assumed for an hour after the file last changed.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::owner::{self, Owner, Standing};
use super::{beside, next, now};
use crate::remote_path;

/// What a part file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 8]);

/// A copy under way that has part files under names of its own; it ends with this value.
#[derive(Debug)]
pub(crate) struct Claim(Owner);

impl Key {
    /// Returns the key of what tells a source's version apart, and of its target.
    pub(crate) fn new(source: &[&[u8]], target: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in source.iter().chain([&target]) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let (key, _) = digest.split_first_chunk().expect("a digest is longer");
        Self(*key)
    }

    /// Returns what the names of its part files begin with.
    pub(crate) fn prefix(self, target: &[u8]) -> Vec<u8> {
        let key = u64::from_be_bytes(self.0);
        let own = format!("{MARK}{key:016x}");
        // All names of a key are cut alike.
        beside(target, own.as_bytes(), LONGEST)
    }

    /// Returns whether a name in a directory is that of a part file that nobody writes; `changed`
    /// is when it last changed.
    pub(crate) fn is_left(self, target: &[u8], name: &[u8], changed: Option<u32>) -> bool {
        let prefix = self.prefix(target);
        let owner = name.strip_prefix(remote_path::name(&prefix));
        owner
            .and_then(|owner| owner.strip_prefix(b"-"))
            .and_then(Owner::parse)
            .is_some_and(|owner| !may_write(owner, changed))
    }
}

impl Claim {
    pub(crate) fn new() -> Self {
        let number = next();
        LIVE.lock().insert(number);
        Self(Owner::ours(number))
    }

    /// Returns the path of this copy's own part file.
    pub(crate) fn path(&self, key: Key, target: &[u8]) -> Vec<u8> {
        [&key.prefix(target), &b"-"[..], &self.0.text()].concat()
    }

    /// Returns the path under which it leaves its part file to others.
    pub(crate) fn path_left(&self, key: Key, target: &[u8]) -> Vec<u8> {
        let nobody = Owner::nobody(self.0.number);
        [&key.prefix(target), &b"-"[..], &nobody.text()].concat()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        LIVE.lock().remove(&self.0.number);
    }
}

/// Returns whether the copy may still go on; `changed` is when its file last changed.
fn may_write(owner: Owner, changed: Option<u32>) -> bool {
    match owner.standing() {
        Standing::Over => false,
        Standing::Ours => LIVE.lock().contains(&owner.number),
        Standing::Alive => true,
        Standing::Unknown => {
            let age = now().as_secs().checked_sub(changed.unwrap_or(0).into());
            age.is_none_or(|age| age < ABANDONED_SECONDS)
        }
    }
}

/// The numbers of this process's copies under way; a leaf lock, nothing waits under it.
static LIVE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
/// What stands between a target's name and a part file's key.
pub(super) const MARK: &str = ".sshoal-part-";
/// The digits of a key.
pub(super) const KEY_DIGITS: usize = 16;
/// The longest of what stands behind a target's name: mark, key and owner.
const LONGEST: usize = MARK.len() + KEY_DIGITS + 1 + owner::LONGEST;
/// When a copy from another machine is taken to have ended.
const ABANDONED_SECONDS: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_file_is_left_only_when_its_copy_is_over() {
        let key = Key::new(&[b"5", b"17"], b"/d/f");
        assert_ne!(key, Key::new(&[b"51", b"7"], b"/d/f"));
        let claim = Claim::new();
        let path = claim.path(key, b"/d/f");
        assert!(path.starts_with(b"/d/.f.sshoal-part-"));
        let name = remote_path::name(&path).to_vec();
        let just_changed = u32::try_from(now().as_secs()).ok();
        assert!(!key.is_left(b"/d/f", &name, Some(0)), "it goes on");
        let left = claim.path_left(key, b"/d/f");
        assert!(key.is_left(b"/d/f", remote_path::name(&left), just_changed));
        drop(claim);
        assert!(key.is_left(b"/d/f", &name, just_changed), "it is over");
        let other = Key::new(&[b"6", b"17"], b"/d/f");
        assert!(!other.is_left(b"/d/f", &name, Some(0)), "another version");
        for odd in [&b"f"[..], b".f.sshoal-part-", b"", &name[..name.len() - 1]] {
            assert!(
                !key.is_left(b"/d/f", odd, Some(0)),
                "{}",
                odd.escape_ascii()
            );
        }
    }

    /// Of a machine that nobody knows, and of processes of this one that are there and are not.
    #[test]
    fn other_machines_and_processes_are_judged_by_what_is_known() {
        let seconds = u32::try_from(now().as_secs()).expect("before 2106");
        let stranger = Owner::stranger();
        assert!(may_write(stranger, Some(seconds)));
        assert!(
            may_write(stranger, Some(seconds + 100)),
            "its clock is ahead"
        );
        assert!(!may_write(stranger, Some(seconds - 4000)));
        if let Some([parent, before]) = Owner::parents() {
            assert!(may_write(parent, Some(0)));
            assert!(!may_write(before, Some(seconds)));
        }
    }

    #[test]
    fn the_longest_names_fit_and_are_found() {
        let target = [b"d/".as_slice(), &[b'x'; 255]].concat();
        let key = Key::new(&[], &target);
        let claim = Claim::new();
        for path in [claim.path(key, &target), claim.path_left(key, &target)] {
            assert!(path.starts_with(&key.prefix(&target)));
            assert!(remote_path::name(&path).len() <= 255);
        }
    }
}
