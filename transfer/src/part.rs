//! The file that a copy is while it is under way: beside the target, under a name of its own.
//!
//! The name tells whose it is, so that a later copy can tell what was left from what goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::remote_path;
use owner::Owner;

pub(crate) mod claim;
mod owner;
pub(crate) mod sweep;

/// Returns a name beside the target that no other copy uses, of this process or another.
pub(crate) fn name_beside(target: &[u8]) -> Vec<u8> {
    let mut own = MARK.as_bytes().to_vec();
    own.extend(Owner::ours(next()).text());
    beside(target, &own, own.len())
}

/// Returns a name beside the target that ends in `own`, with room for `longest` bytes of the sort.
fn beside(target: &[u8], own: &[u8], longest: usize) -> Vec<u8> {
    let name = remote_path::name(target);
    let directory = &target[..target.len() - name.len()];
    let kept = begin(name, NAME_BYTES_MAX - 1 - longest);
    [directory, b".", kept, own].concat()
}

/// Returns as much of a name as there is room for: a file system takes names of 255 bytes. What was
/// text stays text, since some take nothing else.
fn begin(name: &[u8], bytes_max: usize) -> &[u8] {
    if name.len() <= bytes_max {
        return name;
    }
    let whole = |at: &usize| match std::str::from_utf8(name) {
        Ok(text) => text.is_char_boundary(*at),
        Err(_) => true,
    };
    let at = (0..=bytes_max).rev().find(whole);
    &name[..at.unwrap_or_default()]
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn now() -> std::time::Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// What stands between a target's name and what tells its copies apart.
pub(crate) const MARK: &str = ".sshoal-";
/// The longest name of a file on any common file system.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_beside_the_target_and_fit() {
        let first = name_beside(b"/dir/file");
        assert!(first.starts_with(b"/dir/.file.sshoal-"));
        assert_ne!(first, name_beside(b"/dir/file"));
        assert!(name_beside(b"file").starts_with(b".file.sshoal-"));
        let long = [b"d/".as_slice(), &[b'\xff'; 255]].concat();
        assert_eq!(remote_path::name(&name_beside(&long)).len(), 255);
        let text = "ü".repeat(127);
        let part = name_beside(text.as_bytes());
        assert!(part.len() <= 255 && std::str::from_utf8(&part).is_ok());
    }
}
