//! The file that a copy is while it is under way: beside the target, under a name of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::remote_path;

/// Returns a name beside the target that no other copy uses, of this process or another.
pub(crate) fn name_beside(target: &[u8]) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let own = format!("{MARK}{:x}-{time:x}-{next:x}", std::process::id());
    // A file system takes names of 255 bytes: of a longer one the begin has to do.
    let name = remote_path::name(target);
    let kept = &name[..name.len().min(NAME_BYTES_MAX - 1 - own.len())];
    let directory = &target[..target.len() - name.len()];
    [directory, b".", kept, own.as_bytes()].concat()
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
