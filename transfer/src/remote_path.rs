//! Paths on a host: bytes, taken apart at `/`. Nothing here asks the host.

/// Returns the directory that a path is in, without the last `/`; `None` for one that is relative
/// and has no directory, and for the root.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    let at = trimmed(path).iter().rposition(|byte| *byte == b'/')?;
    match trimmed(&path[..at]) {
        // Everything directly below the root.
        [] if path == b"/" => None,
        [] => Some(b"/"),
        parent => Some(parent),
    }
}

/// Returns the last part of a path; empty for the root and for a path that ends in `/`.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => &path[at + 1..],
        None => path,
    }
}

/// Returns a path of a name in a directory.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Cuts `/` off the end.
fn trimmed(path: &[u8]) -> &[u8] {
    let length = path.iter().rposition(|byte| *byte != b'/');
    &path[..length.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_taken_apart_at_their_slashes() {
        for (path, expected, last) in [
            ("a", None, "a"),
            ("a/b", Some("a"), "b"),
            ("/a", Some("/"), "a"),
            ("/a/b", Some("/a"), "b"),
            ("//a//b", Some("//a"), "b"),
            ("a/b/", Some("a"), ""),
            ("/", None, ""),
            ("", None, ""),
            ("~/x y", Some("~"), "x y"),
        ] {
            let found = parent(path.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{path:?}");
            assert_eq!(name(path.as_bytes()), last.as_bytes(), "{path:?}");
        }
        assert_eq!(join(b"/", b"a"), b"/a");
        assert_eq!(join(b"a", b"b"), b"a/b");
        assert_eq!(join(b"", b"b"), b"b");
    }

    proptest! {
        #[test]
        fn what_is_joined_comes_apart_again(
            directory in "/?[a-c.]{1,3}(/[a-c ]{1,3}){0,3}",
            last in "[a-c\n]{1,5}",
        ) {
            let path = join(directory.as_bytes(), last.as_bytes());
            prop_assert_eq!(parent(&path), Some(directory.as_bytes()));
            prop_assert_eq!(name(&path), last.as_bytes());
        }
    }
}
