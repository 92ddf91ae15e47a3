//! Directories and trees under `sudo`: listed, walked and looked through for a pattern, by `find`.

use std::num::NonZeroUsize;

use super::stat::{RECORDS, record};
use super::{Script, SudoFs, arg};
use crate::error::{Error, Operation};
use crate::fs::Found;
use crate::fs::find::{self, Look};
use crate::remote_path;
use crate::remote_tree::too_many;
use crate::sftp::Entry;
use crate::tree::is_one_name;

impl SudoFs<'_> {
    /// Lists a directory, sorted by the bytes of the names; at most 100,000 of them. What cannot be
    /// a name is left out.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; more names than that; `sudo`'s refusal or the session's failure.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>, Error> {
        let path = path.as_ref();
        let found = self.found(path, LIST, LISTED_MAX)?.into_iter();
        let found = found.filter(|found| is_one_name(remote_path::name(&found.path)));
        let listed = found.map(|found| Entry {
            name: remote_path::name(&found.path).to_vec(),
            attributes: found.attributes,
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// Returns all that is below a directory, at most `found_max`, sorted so that a directory comes
    /// right before what is in it. A link is found but not followed, the root alone excepted.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said, of a directory that may not be listed too; more than
    /// `found_max`; `sudo`'s refusal or the session's failure.
    pub fn walk(
        &self,
        root: impl AsRef<[u8]>,
        found_max: NonZeroUsize,
    ) -> Result<Vec<Found>, Error> {
        let root = root.as_ref();
        let given = arg(root);
        // The root is found as well.
        let mut all = self.found(root, WALK, found_max.get().saturating_add(1))?;
        all.retain(|found| found.path != given);
        for found in &mut all {
            let below = found.path.get(given.len()..).unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            found.path = remote_path::join(root, below);
        }
        // By their parts: `a/b` comes before `a.b`, as what is in a directory comes with it.
        fn parts(found: &Found) -> impl Iterator<Item = &[u8]> {
            found.path.split(|byte| *byte == b'/')
        }
        all.sort_by(|one, other| parts(one).cmp(parts(other)));
        Ok(all)
    }

    /// Returns the paths that fit a pattern, sorted by their bytes, as
    /// [`RemoteFs::glob`](super::super::RemoteFs::glob) does; each directory is listed by a command.
    ///
    /// # Errors
    ///
    /// More names than are looked at; `sudo`'s refusal or the session's failure.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>, Error> {
        find::glob(self, pattern.as_ref())
    }

    fn found(&self, directory: &[u8], search: &str, most: usize) -> Result<Vec<Found>, Error> {
        let each = format!("{RECORDS}{EACH}");
        let path = arg(directory);
        let arguments: [&[u8]; 2] = [&path, each.as_bytes()];
        let output = self.run(Script::new(Operation::List, search, &arguments))?;
        let found = parse(&output, most).ok_or_else(|| Error::Command {
            operation: Operation::List,
            remote: directory.to_vec(),
            message: "the host's answer makes no sense".to_owned(),
        })?;
        match found.len() > most {
            true => Err(too_many("more names in a tree than were allowed")),
            false => Ok(found),
        }
    }
}

impl Look for SudoFs<'_> {
    fn is_there(&self, path: &[u8]) -> Result<bool, Error> {
        Ok(self.standing(path)?.is_some())
    }

    fn within(&self, directory: &[u8]) -> Result<Option<Vec<Entry>>, Error> {
        match self.list(directory) {
            Ok(listed) => Ok(Some(listed)),
            Err(Error::Command { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads what [`EACH`] printed: names, each ended by NUL, an empty one, and a line for each of them,
/// ended by NUL; and so on. Beyond `most`, one more is read and no others.
fn parse(told: &[u8], most: usize) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    let mut rest = told;
    while !rest.is_empty() {
        // What is told of names is behind all of them.
        let end = rest.windows(2).position(|pair| pair == b"\0\0")?;
        let (names, behind) = (rest.get(..end)?, rest.get(end + 2..)?);
        let lines_end = behind.iter().position(|byte| *byte == 0)?;
        let mut lines = behind[..lines_end]
            .trim_ascii_end()
            .split(|byte| *byte == b'\n');
        for name in names.split(|byte| *byte == 0) {
            if name.is_empty() {
                return None;
            }
            found.push(Found {
                path: name.to_vec(),
                attributes: record(lines.next()?)?,
            });
            if found.len() > most {
                return Some(found);
            }
        }
        if lines.next().is_some() {
            return None;
        }
        rest = &behind[lines_end + 1..];
    }
    Some(found)
}

/// Names of a directory that are taken.
const LISTED_MAX: usize = 100_000;
/// What is in a directory, `.` itself left out as POSIX can say it.
const LIST: &str = "[ -d \"$1\" ] || { ls -d \"$1\" >/dev/null && echo 'Not a directory' >&2; \
                    exit 1; }; exec find -H \"$1/.\" ! -name . -prune -exec sh -c \"$2\" sh {} +";
/// A directory and all below it.
const WALK: &str = "[ -d \"$1\" ] || { ls -d \"$1\" >/dev/null && echo 'Not a directory' >&2; \
                    exit 1; }; exec find -H \"$1\" -exec sh -c \"$2\" sh {} +";
/// Prints names and what they are, many at once; one by one where some have gone meanwhile.
const EACH: &str = "\
    p() { printf '%s\\0' \"$@\"; printf '\\0%s\\0' \"$a\"; }; \
    if a=$(r '' \"$@\" 2>/dev/null); then p \"$@\"; \
    else for f do if a=$(r '' \"$f\" 2>/dev/null); then p \"$f\"; fi; done; fi";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_before_what_they_are() {
        let told = b"a\nb\0c\0\0c 81a4 5 1 2 3 4\nc 41ed 6 1 2 3 4\0d\0\0c 81a4 7 1 2 3 4\0";
        let found = parse(told, 9).expect("makes sense");
        let sizes: Vec<_> = (found.iter())
            .map(|found| (found.path.as_slice(), found.attributes.size))
            .collect();
        assert_eq!(
            sizes,
            [(&b"a\nb"[..], Some(5)), (b"c", Some(6)), (b"d", Some(7))]
        );
        assert_eq!(parse(told, 1).map(|found| found.len()), Some(2));
        assert_eq!(parse(b"", 9).map(|found| found.len()), Some(0));
        for wrong in [
            &b"a\0"[..],
            b"a\0\0",
            b"a\0\0x\0",
            b"a\0b\0\0c 81a4 5 1 2 3 4\0",
            b"a\0\0c 81a4 5 1 2 3 4\nc 81a4 5 1 2 3 4\0",
            b"a\0\0c 81a4 5 1 2 3 4",
            b"\0a\0\0c 81a4 5 1 2 3 4\nc 81a4 5 1 2 3 4\0",
            b"\0",
        ] {
            assert!(parse(wrong, 9).is_none(), "{}", wrong.escape_ascii());
        }
    }
}
