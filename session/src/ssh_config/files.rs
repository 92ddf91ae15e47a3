//! The one place where configuration files come in: reading with its checks, and `Include` paths.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::{FileFault, SshConfigError};

/// Whether a file's owner and permissions matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Others must not be able to write it.
    Private,
    /// It is taken as it is.
    None,
}

/// Reads a file; `None` if there is none.
pub(super) fn read(path: &Path, guard: Guard) -> Result<Option<Vec<u8>>, SshConfigError> {
    let fail = |fault| Err(SshConfigError::file(path, fault));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return fail(FileFault::Read(error)),
    };
    let about = match file.metadata() {
        Ok(about) => about,
        Err(error) => return fail(FileFault::Read(error)),
    };
    if guard == Guard::Private {
        let own = rustix::process::getuid().as_raw();
        if about.uid() != 0 && about.uid() != own {
            return fail(FileFault::Owner { owner: about.uid() });
        }
        if about.mode() & 0o022 != 0 {
            let mode = about.mode() & 0o777;
            return fail(FileFault::Writable { mode });
        }
    }
    if about.is_dir() {
        // To ssh a directory is an empty file; patterns of Include may match some.
        return Ok(Some(Vec::new()));
    }
    let mut text = Vec::new();
    if let Err(error) = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text) {
        return fail(FileFault::Read(error));
    }
    if text.len() as u64 > FILE_BYTES_MAX {
        return fail(FileFault::TooLarge {
            max: FILE_BYTES_MAX,
        });
    }
    Ok(Some(text))
}

/// Returns the files that an absolute path with `*`, `?` and `[…]` names, sorted by name.
///
/// At most `max + 1` are returned, so that too many can be told.
pub(super) fn list(pattern: &str, max: usize) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for dir in &found {
            if next.len() > max {
                break;
            }
            if part.contains(['*', '?', '[', '\\']) {
                next.extend(matching(dir, part));
            } else {
                next.push(dir.join(part));
            }
        }
        next.truncate(max + 1);
        found = next;
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found
}

/// The entries of a directory that match, sorted by name.
fn matching(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A leading dot is matched by a dot alone, as in shells.
    let hidden = |name: &str| name.starts_with('.') && !pattern.starts_with('.');
    let mut names: Vec<_> = names
        .filter(|name| !hidden(name) && name_matches(pattern, name))
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| dir.join(name)).collect()
}

/// Matches a file's name as glob(7) has it: `*`, `?`, `[a-z]`, `[!a]`, and `\` before either.
pub(super) fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(after) = one_matches(&pattern, p, name[n]) {
            p = after;
            n += 1;
        } else if let Some((star_p, star_n)) = star {
            star = Some((star_p, star_n + 1));
            p = star_p + 1;
            n = star_n + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Matches one character; returns where the pattern goes on.
fn one_matches(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match *pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' if at + 1 < pattern.len() => (pattern[at + 1] == c).then_some(at + 2),
        '[' => match class(&pattern[at + 1..], c) {
            Some((true, length)) => Some(at + 1 + length),
            Some((false, _)) => None,
            // Without a closing bracket it is one like any other.
            None => (c == '[').then_some(at + 1),
        },
        other => (other == c).then_some(at + 1),
    }
}

/// Whether a class holds a character, and the class's length; `None` if it is not closed.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let begin = usize::from(negated);
    let mut at = begin;
    let mut found = false;
    loop {
        match *pattern.get(at)? {
            // First in a class it is a member.
            ']' if at > begin => return Some((found != negated, at + 1)),
            low => {
                let high = match (pattern.get(at + 1), pattern.get(at + 2)) {
                    (Some('-'), Some(high)) if *high != ']' => {
                        at += 2;
                        *high
                    }
                    _ => low,
                };
                found |= (low..=high).contains(&c);
                at += 1;
            }
        }
    }
}

/// Far above any configuration; more is another kind of file.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.d", false),
            ("a?", "ab", true),
            ("a?", "a", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a*b*c", "abbc", true),
            ("[a-]", "-", true),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_listed_in_order_without_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let pattern = dir.path().join(pattern);
            let found = list(pattern.to_str().unwrap(), 100);
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            found.iter().map(name).collect()
        };
        assert_eq!(names("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(names("d"), ["d"]);
        assert_eq!(names(".*"), [".c.conf"]);
        assert!(names("missing").is_empty() && names("x/*").is_empty());
        assert_eq!(list(&format!("{}/*", dir.path().display()), 1).len(), 2);
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "Port 22").unwrap();
        for (mode, fine) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, Guard::Private).is_ok(), fine, "{mode:o}");
            assert!(read(&path, Guard::None).is_ok());
        }
        assert!(
            read(&dir.path().join("missing"), Guard::Private)
                .unwrap()
                .is_none()
        );
        assert_eq!(read(dir.path(), Guard::None).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let max = usize::try_from(FILE_BYTES_MAX).unwrap();
        fs::write(&path, vec![b'#'; max]).unwrap();
        assert!(read(&path, Guard::None).is_ok());
        fs::write(&path, vec![b'#'; max + 1]).unwrap();
        assert!(read(&path, Guard::None).is_err());
    }
}
