//! A file written under `sudo`, whole or not at all, and a line of it edited.

use super::{CHANGED, EXISTS, MOVE, Script, Stdin, SudoFs, arg};
use crate::error::{Error, Operation};
use crate::fs::diff::{between, unknown};
use crate::fs::line::{EDIT_BYTES_MAX, TRIES, changed, unchanged};
use crate::fs::write::{Before, FILE_PERMISSIONS};
use crate::fs::{LineChange, LineEdit, Owner, WriteOptions};
use crate::options::Existing;
use crate::part;
use crate::sftp::{Attributes, FileType};

/// A file as it is to be.
pub(super) struct Write<'w> {
    pub(super) path: &'w [u8],
    pub(super) content: Stdin<'w>,
    pub(super) options: &'w WriteOptions,
    /// The file that is replaced.
    pub(super) before: Option<Attributes>,
    /// What `cksum` says of it, or `-` for nothing there; empty where it may be anything.
    pub(super) expected: &'w [u8],
}

impl SudoFs<'_> {
    /// Writes a file, whole or not at all, as [`RemoteFs::write`](crate::RemoteFs::write) does;
    /// returns whether anything changed.
    ///
    /// # Errors
    ///
    /// `Exists` and `IsDirectory` by what is there; `Command` with what the host said, of an unknown
    /// owner too; `sudo`'s refusal or the session's failure. The file is then as it was.
    pub fn write(
        &self,
        path: impl AsRef<[u8]>,
        bytes: impl Into<Vec<u8>>,
        options: &WriteOptions,
    ) -> Result<bool, Error> {
        let path = path.as_ref();
        match options.before(path, self.standing(path)?)? {
            Before::Kept => Ok(false),
            Before::File(before) => self.replace(Write {
                path,
                content: Stdin::Bytes(bytes.into()),
                options,
                before,
                expected: b"",
            }),
        }
    }

    /// Tells what [`SudoFs::write`] would change, with the difference of the bytes, and changes
    /// nothing. Whether an owner by name is another one is not found out: it counts as one.
    ///
    /// # Errors
    ///
    /// As [`SudoFs::write`].
    pub fn write_preview(
        &self,
        path: impl AsRef<[u8]>,
        bytes: impl AsRef<[u8]>,
        options: &WriteOptions,
    ) -> Result<LineChange, Error> {
        let (path, bytes) = (path.as_ref(), bytes.as_ref());
        let before = match options.before(path, self.standing(path)?)? {
            Before::Kept => return Ok(unchanged()),
            Before::File(before) => before,
        };
        let Some(before) = before else {
            let diff = between(path, b"", bytes);
            return Ok(LineChange {
                changed: true,
                diff,
            });
        };
        let diff = match self.read(path, EDIT_BYTES_MAX) {
            Ok(old) => between(path, &old, bytes),
            Err(Error::Command { .. } | Error::TooLarge { .. }) => unknown(path),
            Err(error) => return Err(error),
        };
        let is = |wanted: &Option<Owner>, own: Option<u32>| match wanted {
            Some(Owner::Id(id)) => own == Some(*id),
            Some(Owner::Name(_)) => false,
            None => true,
        };
        let dressed = (options.permissions).is_none_or(|mode| before.permissions() == Some(mode))
            && is(&options.user, before.owner.map(|(user, _)| user))
            && is(&options.group, before.owner.map(|(_, group)| group));
        Ok(LineChange {
            changed: !diff.is_empty() || !dressed,
            diff,
        })
    }

    /// Brings a file of at most 64 MiB to have a line, or not to, as
    /// [`RemoteFs::line_in_file`](crate::RemoteFs::line_in_file) does; returns what changed.
    ///
    /// # Errors
    ///
    /// `Changed` if others keep changing it; `Pattern`; as [`SudoFs::read`] and [`SudoFs::write`].
    pub fn line_in_file(
        &self,
        path: impl AsRef<[u8]>,
        edit: &LineEdit,
    ) -> Result<LineChange, Error> {
        let path = path.as_ref();
        for _ in 0..TRIES {
            match self.edit(path, edit) {
                Err(Error::Changed { .. }) => {}
                other => return other,
            }
        }
        Err(changed(path))
    }

    /// Tells what [`SudoFs::line_in_file`] would change, and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`SudoFs::line_in_file`].
    pub fn line_in_file_preview(
        &self,
        path: impl AsRef<[u8]>,
        edit: &LineEdit,
    ) -> Result<LineChange, Error> {
        let path = path.as_ref();
        let old = match self.exists(path)? || edit.needs_file() {
            true => self.read(path, EDIT_BYTES_MAX)?,
            false => Vec::new(),
        };
        let edited = edit.apply(path, &old)?;
        Ok(edited.map_or_else(unchanged, |(_, change)| change))
    }

    fn edit(&self, path: &[u8], edit: &LineEdit) -> Result<LineChange, Error> {
        let is_link = |at: &Attributes| at.file_type() == FileType::Link;
        let mut before = self.standing(path)?;
        // The name of the file is given to the edited one, not that of a link to it.
        let target = match before.as_ref().is_some_and(is_link) {
            true => self.real_path(path)?,
            false => path.to_vec(),
        };
        if target != path {
            before = self.standing(&target)?;
        }
        // Its checksum comes first: what is read is of that, or of something later, which is then
        // found to be another.
        let (expected, old) = match before.is_some() || edit.needs_file() {
            true => (
                self.told(Operation::Read, "exec cksum < \"$1\"", &[&target])?,
                self.read(&target, EDIT_BYTES_MAX)?,
            ),
            false => (b"-".to_vec(), Vec::new()),
        };
        let Some((bytes, change)) = edit.apply(path, &old)? else {
            return Ok(unchanged());
        };
        self.replace(Write {
            path: &target,
            content: Stdin::Bytes(bytes),
            options: &WriteOptions::new(),
            before: before.filter(|before| before.file_type() == FileType::File),
            expected: expected.trim_ascii(),
        })?;
        Ok(change)
    }

    /// Writes beside a file and takes its name; returns whether that changes anything.
    pub(super) fn replace(&self, write: Write<'_>) -> Result<bool, Error> {
        let Write {
            path,
            content,
            options,
            before,
            expected,
        } = write;
        let kept = before.as_ref();
        let mode = options.permissions;
        let mode = mode.or(kept.and_then(Attributes::permissions));
        let mode = format!("{:o}", mode.unwrap_or(FILE_PERMISSIONS));
        let owner = kept.and_then(|kept| kept.owner);
        let number = |id: Option<u32>| id.map(|id| id.to_string()).unwrap_or_default();
        let word = |owner: &Option<Owner>| owner.as_ref().map(Owner::word).unwrap_or_default();
        let (old_user, old_group) = (
            number(owner.map(|(user, _)| user)),
            number(owner.map(|(_, group)| group)),
        );
        let (user, group) = (word(&options.user), word(&options.group));
        let how: &[u8] = match options.existing {
            Existing::Overwrite => b"over",
            _ => b"alone",
        };
        let size = match &content {
            Stdin::Bytes(bytes) => bytes.len() as u64,
            Stdin::Sent(sending) => sending.size(),
        };
        let size = size.to_string();
        let (target, part) = (arg(path), arg(&part::name_beside(path)));
        let arguments: [&[u8]; 10] = [
            &target,
            &part,
            size.as_bytes(),
            mode.as_bytes(),
            old_user.as_bytes(),
            old_group.as_bytes(),
            user.as_bytes(),
            group.as_bytes(),
            how,
            expected,
        ];
        let text = format!("{}{MOVE}{WRITE}", Self::refuse_directory());
        let text = text.replace("CHANGED", &CHANGED.to_string());
        let text = text.replace("EXISTS", &EXISTS.to_string());
        let script = Script {
            stdin: content,
            ..Script::new(Operation::Write, &text, &arguments)
        };
        Ok(!self.run(script)?.starts_with(b"same"))
    }
}

/// Target, part file, size, mode, owner and group that it had and that it is to have, whether it may
/// replace something, and the checksum of that.
///
/// Owner before mode: a change of the owner takes id bits away. Nobody else reads the file before it
/// has both. What it had it keeps only where the user may give it that. Two files are the same where
/// `ls` shows them alike, in mode and owner, and their bytes are the same.
const WRITE: &str = "\
    umask 077; t=$2; set -C; : > \"$t\" || exit 1; set +C; \
    trap 'rm -f \"$t\"' EXIT; trap 'exit 1' HUP INT TERM; cat > \"$t\" || exit 1; \
    [ \"$(wc -c < \"$t\")\" -eq \"$3\" ] || { echo 'not all bytes arrived' >&2; exit 1; }; \
    [ -z \"$6\" ] || chgrp -- \"$6\" \"$t\" 2>/dev/null; \
    [ -z \"$5\" ] || chown -- \"$5\" \"$t\" 2>/dev/null; \
    [ -z \"$8\" ] || chgrp -- \"$8\" \"$t\" || exit 1; \
    [ -z \"$7\" ] || chown -- \"$7\" \"$t\" || exit 1; \
    chmod \"$4\" \"$t\" || exit 1; sync \"$t\" 2>/dev/null; \
    l() { ls -dn \"$1\" | awk 'NR == 1 { print $1, $3, $4 }'; }; \
    if [ -n \"$5\" ] && [ ! -L \"$1\" ] && [ -f \"$1\" ] && \
    [ \"$(l \"$1\")\" = \"$(l \"$t\")\" ] && cmp -s \"$1\" \"$t\"; then echo same; exit 0; fi; \
    case ${10} in '') ;; -) if [ -e \"$1\" ] || [ -L \"$1\" ]; then exit CHANGED; fi;; \
    *) [ \"$(cksum < \"$1\")\" = \"${10}\" ] || exit CHANGED;; esac; \
    case $9 in over) v \"$t\" \"$1\";; *) \
    if [ -e \"$1\" ] || [ -L \"$1\" ]; then exit EXISTS; fi; ln \"$t\" \"$1\";; esac";
