//! What a fuzzer drives: what a host sends of files and directories, held against the rules that it
//! has to keep.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use crate::scp;
pub use crate::sftp::answer as sftp_answer;
use crate::sftp::names_of;
use crate::tar;
use crate::tree::{is_one_name, stays_beneath};

/// Reads a packet as an answer to a listing. Each name that is taken has to be the only part of its
/// path; and each name read as a link that is taken has to stay beneath the directory, part by part.
///
/// # Panics
///
/// A rule is broken.
pub fn directory_entries(packet: &[u8]) {
    for name in names_of(packet) {
        let path = Path::new(OsStr::from_bytes(&name));
        if is_one_name(&name) {
            let parts: Vec<_> = path.components().collect();
            assert!(matches!(parts[..], [Component::Normal(part)] if part.as_bytes() == name));
            assert!(Path::new("/root").join(path).parent() == Some(Path::new("/root")));
        }
        for depth in 0..4 {
            if stays_beneath(&name, depth) {
                let mut level = depth;
                for part in path.components() {
                    level = match part {
                        Component::ParentDir => level.checked_sub(1).expect("stays beneath"),
                        Component::Normal(_) => level + 1,
                        Component::CurDir => level,
                        Component::RootDir | Component::Prefix(_) => panic!("leaves"),
                    };
                }
            }
        }
    }
}

/// Reads bytes as what a host's `scp` and `tar` send: lines of the one, and members of the other.
///
/// # Panics
///
/// A number does not fit what it stands for, or a path leads elsewhere than down.
pub fn records(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        scp::check_record(line);
    }
    tar::check_archive(bytes);
}
