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

impl SudoFs<'_> {
    /// Lists a directory, sorted by the bytes of the names.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>, Error> {
        let path = path.as_ref();
        let found = self.found(path, LIST)?.into_iter();
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
        let mut all = self.found(root, WALK)?;
        all.retain(|found| found.path != given);
        if all.len() > found_max.get() {
            return Err(too_many("more names in a tree than were allowed"));
        }
        for found in &mut all {
            let below = found.path.get(given.len()..).unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            found.path = remote_path::join(root, below);
        }
        // By their parts: `a/b` comes before `a.b`, as what is in a directory comes with it.
        let parts = |found: &Found| -> Vec<Vec<u8>> {
            let parts = found.path.split(|byte| *byte == b'/');
            parts.map(<[u8]>::to_vec).collect()
        };
        all.sort_by_cached_key(parts);
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

    fn found(&self, directory: &[u8], search: &str) -> Result<Vec<Found>, Error> {
        let each = format!("{RECORDS}{EACH}");
        let path = arg(directory);
        let arguments: [&[u8]; 2] = [&path, each.as_bytes()];
        let output = self.run(Script::new(Operation::List, search, &arguments))?;
        parse(&output).ok_or_else(|| Error::Command {
            operation: Operation::List,
            remote: directory.to_vec(),
            message: "the host's answer makes no sense".to_owned(),
        })
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
/// ended by NUL; and so on.
fn parse(told: &[u8]) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    let mut parts = told.split(|byte| *byte == 0).peekable();
    while parts.peek().is_some_and(|part| !part.is_empty()) {
        let names: Vec<&[u8]> = parts.by_ref().take_while(|name| !name.is_empty()).collect();
        let lines = parts.next()?.trim_ascii_end();
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        if lines.len() != names.len() {
            return None;
        }
        for (name, line) in names.into_iter().zip(lines) {
            found.push(Found {
                path: name.to_vec(),
                attributes: record(line)?,
            });
        }
    }
    Some(found)
}

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
        let found = parse(told).expect("makes sense");
        let sizes: Vec<_> = (found.iter())
            .map(|found| (found.path.as_slice(), found.attributes.size))
            .collect();
        assert_eq!(
            sizes,
            [(&b"a\nb"[..], Some(5)), (b"c", Some(6)), (b"d", Some(7))]
        );
        assert_eq!(parse(b"").map(|found| found.len()), Some(0));
        for wrong in [
            &b"a\0"[..],
            b"a\0\0",
            b"a\0\0x\0",
            b"a\0b\0\0c 81a4 5 1 2 3 4\0",
        ] {
            assert!(parse(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }
}
