//! The file that a copy is while it is under way: beside the target, under a name of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::remote_path;

pub(crate) mod claim;

/// Returns a name beside the target that no other copy uses, of this process or another.
pub(crate) fn name_beside(target: &[u8]) -> Vec<u8> {
    let (time, next) = (now().as_nanos(), next());
    let own = format!("{MARK}{:x}-{time:x}-{next:x}", std::process::id());
    beside(target, own.as_bytes(), own.len())
}

/// Returns a name beside the target that ends in `own`, with room for `longest` bytes of the sort.
fn beside(target: &[u8], own: &[u8], longest: usize) -> Vec<u8> {
    // A file system takes names of 255 bytes: of a longer one the begin has to do.
    let name = remote_path::name(target);
    let kept = &name[..name.len().min(NAME_BYTES_MAX - 1 - longest)];
    let directory = &target[..target.len() - name.len()];
    [directory, b".", kept, own].concat()
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
        let long = [b"d/".as_slice(), &[b'x'; 255]].concat();
        assert_eq!(remote_path::name(&name_beside(&long)).len(), 255);
    }
}
