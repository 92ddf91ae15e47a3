//! Part files that a later copy finds: what they belong to, and who writes them.
//!
//! Their names tell both: a key of the source and the target, and the copy that has claimed the
//! file. Who wants one gives it a name of its own by a rename, at which only one can succeed. A
//! copy that still goes on is left its file: on this machine it is known whether it does, of
//! another one it is assumed for an hour after the file last changed.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{beside, next, now};
use crate::remote_path;

/// What a part file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 8]);

/// A copy under way that has part files under names of its own; it ends with this value.
#[derive(Debug)]
pub(crate) struct Claim(Owner);

/// Who writes a part file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    /// 0 of a file that its copy gave up in order.
    machine: u32,
    process: u32,
    /// When the process began, in the machine's own count.
    begun: u64,
    number: u64,
}

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

    /// Returns whether a name in a directory is that of a part file that nobody writes.
    pub(crate) fn is_left(self, target: &[u8], name: &[u8], changed: Option<u32>) -> bool {
        let prefix = self.prefix(target);
        let owner = name.strip_prefix(remote_path::name(&prefix));
        owner
            .and_then(Owner::parse)
            .is_some_and(|owner| !owner.may_write(changed))
    }
}

impl Claim {
    pub(crate) fn new() -> Self {
        let (machine, begun) = ourselves();
        let number = next();
        LIVE.lock().insert(number);
        Self(Owner {
            machine,
            process: std::process::id(),
            begun,
            number,
        })
    }

    /// Returns the path of this copy's own part file.
    pub(crate) fn path(&self, key: Key, target: &[u8]) -> Vec<u8> {
        [key.prefix(target), self.0.suffix()].concat()
    }

    /// Returns the path under which it leaves its part file to others.
    pub(crate) fn path_left(&self, key: Key, target: &[u8]) -> Vec<u8> {
        let time = now().as_nanos();
        let owner = Owner {
            machine: 0,
            process: std::process::id(),
            begun: u64::try_from(time).unwrap_or(u64::MAX),
            number: self.0.number,
        };
        [key.prefix(target), owner.suffix()].concat()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        LIVE.lock().remove(&self.0.number);
    }
}

impl Owner {
    fn suffix(self) -> Vec<u8> {
        let Self {
            machine,
            process,
            begun,
            number,
        } = self;
        format!("-{machine:x}-{process:x}-{begun:x}-{number:x}").into_bytes()
    }

    fn parse(suffix: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(suffix).ok()?.strip_prefix('-')?;
        let mut numbers = text
            .split('-')
            .map(|digits| u64::from_str_radix(digits, 16).ok());
        let mut number = || numbers.next().flatten();
        let owner = Self {
            machine: u32::try_from(number()?).ok()?,
            process: u32::try_from(number()?).ok()?,
            begun: number()?,
            number: number()?,
        };
        (owner.suffix() == suffix).then_some(owner)
    }

    /// Returns whether the copy may still go on; `changed` is when its file last changed.
    fn may_write(self, changed: Option<u32>) -> bool {
        let (machine, begun) = ourselves();
        if self.machine == 0 {
            return false;
        }
        if self.machine != machine || machine == UNKNOWN {
            let age = now().as_secs().checked_sub(changed.unwrap_or(0).into());
            return age.is_none_or(|age| age < ABANDONED_SECONDS);
        }
        match self.process == std::process::id() && self.begun == begun {
            true => LIVE.lock().contains(&self.number),
            false => began(&self.process.to_string()) == Some(self.begun),
        }
    }
}

/// Returns what tells this machine, and the start of this process, from others.
fn ourselves() -> (u32, u64) {
    static OURSELVES: OnceLock<(u32, u64)> = OnceLock::new();
    *OURSELVES.get_or_init(|| {
        let told = |path| fs::read(path).unwrap_or_default();
        // Containers may share the number of their machine, but not the numbers of processes.
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let machine = Sha256::new()
            .chain_update(told("/etc/machine-id"))
            .chain_update(told("/proc/sys/kernel/random/boot_id"))
            .chain_update(space.as_os_str().as_encoded_bytes())
            .finalize();
        let machine = machine
            .first_chunk()
            .map(|first| u32::from_be_bytes(*first));
        match (machine, began("self")) {
            (Some(machine), Some(begun)) => (machine.clamp(1, UNKNOWN - 1), begun),
            _ => (UNKNOWN, 0),
        }
    })
}

/// Returns when a process began, where there is one (`starttime` of proc_pid_stat(5)).
fn began(process: &str) -> Option<u64> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything: the fields are counted behind its end.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = fields.split_whitespace();
    // A process that ended and was not waited for writes nothing.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The numbers of this process's copies under way; a leaf lock, nothing waits under it.
static LIVE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
/// What stands between a target's name and a part file's key.
const MARK: &str = ".sshoal-part-";
/// The longest of what stands behind a target's name: mark, key, and four numbers.
const LONGEST: usize = MARK.len() + 16 + 1 + 8 + 1 + 8 + 1 + 16 + 1 + 16;
/// Of a machine where processes cannot be told apart.
const UNKNOWN: u32 = u32::MAX;
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
        let (machine, _) = ourselves();
        let seconds = u32::try_from(now().as_secs()).expect("before 2106");
        let owner = |machine, process, begun| Owner {
            machine,
            process,
            begun,
            number: 1,
        };
        let stranger = owner(machine ^ 2, 1, 1);
        assert!(stranger.may_write(Some(seconds)));
        assert!(
            stranger.may_write(Some(seconds + 100)),
            "its clock is ahead"
        );
        assert!(!stranger.may_write(Some(seconds - 4000)));
        if machine != UNKNOWN {
            let parent = std::os::unix::process::parent_id();
            let begun = began(&parent.to_string()).expect("our parent is there");
            assert!(owner(machine, parent, begun).may_write(Some(0)));
            let reused = owner(machine, parent, begun + 1);
            assert!(!reused.may_write(Some(seconds)));
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
