//! Which names and links of a host are taken (threats T6 and T7): pure rules over bytes.

/// The longest name that a file system here takes.
const NAME_BYTES_MAX: usize = 255;

/// Whether a name is that of one file in its directory, and of nothing else.
pub(crate) fn is_one_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_BYTES_MAX
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a link in a directory this deep beneath the root leads to something beneath the root.
///
/// A `..` counts only at the begin: behind a name it could go up from where another link leads.
/// So a link goes up within real directories and then down, and down through links of this sort.
pub(crate) fn stays_beneath(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target[0] == b'/' || target.contains(&0) || target.len() > LINK_MAX {
        return false;
    }
    let (mut up, mut down) = (0, false);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if down => return false,
            b".." => up += 1,
            part if part.len() > NAME_BYTES_MAX => return false,
            _ => down = true,
        }
    }
    up <= depth
}

/// The longest target of a link.
const LINK_MAX: usize = 4095;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_one_normal_name_is_taken() {
        for name in [
            &b"a"[..],
            b"...",
            b"a b\n",
            b"\xff",
            b"-rf",
            b"C:\\x",
            b"~",
            &[b'x'; 255],
        ] {
            assert!(is_one_name(name), "{}", name.escape_ascii());
        }
        for name in [
            &b""[..],
            b".",
            b"..",
            b"/",
            b"a/b",
            b"../x",
            b"a\0b",
            b"a/",
            &[b'x'; 256],
        ] {
            assert!(!is_one_name(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn links_stay_beneath() {
        for (target, depth, expected) in [
            ("a", 0, true),
            ("./a//b", 0, true),
            ("..", 0, false),
            ("..", 1, true),
            ("../../a", 1, false),
            ("../../a", 2, true),
            ("a/..", 3, false),
            ("a/../../../..", 1, false),
            ("/etc", 9, false),
            ("", 1, false),
            ("a\0b", 1, false),
        ] {
            assert_eq!(
                stays_beneath(target.as_bytes(), depth),
                expected,
                "{target}"
            );
        }
    }

    proptest! {
        /// Whatever is taken is the last part of its path, with its directory as the parent.
        #[test]
        fn a_taken_name_stays_in_its_directory(
            name in prop::collection::vec(prop_oneof![Just(b'.'), Just(b'/'), Just(0), any::<u8>()], 0..6)
        ) {
            use std::os::unix::ffi::OsStrExt as _;
            use std::path::{Component, Path};
            if is_one_name(&name) {
                let path = Path::new(std::ffi::OsStr::from_bytes(&name));
                let parts: Vec<_> = path.components().collect();
                prop_assert!(matches!(parts[..], [Component::Normal(part)] if part.as_bytes() == name));
            }
        }
    }
}
