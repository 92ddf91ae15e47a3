//! Names under `sudo`: given, taken away, linked and led along, and directories.

use super::{EXISTS, IS_DIRECTORY, MOVE, SudoFs};
use crate::error::{Error, Operation};
use crate::sftp::{FileType, SftpStatus};
use crate::{part, remote_path};

impl SudoFs<'_> {
    /// Gives a file or directory another name, in place of a file or link that has it.
    ///
    /// # Errors
    ///
    /// `Exists` if a directory has the name; `Command` with what the host said; `sudo`'s refusal or
    /// the session's failure.
    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), Error> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if let Some(there) = self.standing(to)?
            && there.file_type() == FileType::Directory
        {
            return Err(Error::Exists { path: to.to_vec() });
        }
        let script = format!("{MOVE}v \"$1\" \"$2\"");
        self.simple(Operation::Rename, &script, &[from, to])
    }

    /// Removes a file or a link; returns whether there was one.
    ///
    /// # Errors
    ///
    /// `IsDirectory`; `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn remove(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        let Some(there) = self.standing(path)? else {
            return Ok(false);
        };
        if there.file_type() == FileType::Directory {
            return Err(Error::IsDirectory {
                remote: path.to_vec(),
            });
        }
        self.simple(Operation::Remove, "exec rm -f \"$1\"", &[path])?;
        Ok(true)
    }

    /// Removes an empty directory; returns whether there was one.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn remove_directory(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        if self.standing(path)?.is_none() {
            return Ok(false);
        }
        self.simple(Operation::Remove, "exec rmdir \"$1\"", &[path])?;
        Ok(true)
    }

    /// Removes what stands at a path, with all that is in it; of a link, the link. Returns whether
    /// there was anything.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said, which leaves the rest, and for the root, `.` and `..`;
    /// `sudo`'s refusal or the session's failure.
    pub fn remove_all(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let path = path.as_ref();
        let end = path.iter().rposition(|byte| *byte != b'/');
        let trimmed = &path[..end.map_or(0, |last| last + 1)];
        if matches!(remote_path::name(trimmed), b"" | b"." | b"..") {
            return Err(Error::Command {
                operation: Operation::Remove,
                remote: path.to_vec(),
                message: SftpStatus::FAILURE.to_string(),
            });
        }
        // With a slash behind it, a link would be followed.
        if self.standing(trimmed)?.is_none() {
            return Ok(false);
        }
        self.simple(Operation::Remove, "exec rm -rf \"$1\"", &[trimmed])?;
        Ok(true)
    }

    /// Has a symbolic link at `path` say `target`; returns whether it did not before. A link that
    /// says something else is replaced, anything else is not.
    ///
    /// # Errors
    ///
    /// `Exists` if something else has the name; `Command` with what the host said; `sudo`'s refusal
    /// or the session's failure.
    pub fn symlink(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (target, path) = (target.as_ref(), path.as_ref());
        match self.standing(path)?.map(|there| there.file_type()) {
            Some(FileType::Link) if self.read_link(path)? == target => return Ok(false),
            None | Some(FileType::Link) => {}
            Some(_) => {
                return Err(Error::Exists {
                    path: path.to_vec(),
                });
            }
        }
        // It gets its name like a file that is written: nobody finds none meanwhile. What the link
        // says is no path yet, and may begin with `-`.
        let script = format!(
            "{MOVE}ln -s -- \"${{3#x}}\" \"$2\" && {{ v \"$2\" \"$1\" || {{ rm -f \"$2\"; exit 1; }}; }}"
        );
        let marked = [b"x", target].concat();
        let paths = [path, &part::name_beside(path), &marked];
        self.simple(Operation::Link, &script, &paths)?;
        Ok(true)
    }

    /// Makes a hard link at `path`, where nothing stands, to the file `target`.
    ///
    /// # Errors
    ///
    /// `Exists` if something has the name; `Command` with what the host said; `sudo`'s refusal or
    /// the session's failure.
    pub fn hard_link(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<(), Error> {
        let script = format!(
            "if [ -e \"$1\" ] || [ -L \"$1\" ]; then exit {EXISTS}; fi; exec ln \"$2\" \"$1\""
        );
        let paths = [path.as_ref(), target.as_ref()];
        self.simple(Operation::Link, &script, &paths)
    }

    /// Returns what a symbolic link says.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let script = "[ -L \"$1\" ] || { ls -d \"$1\" >/dev/null && echo 'not a link' >&2; exit 1; }; \
                      exec readlink \"$1\"";
        let told = self.told(Operation::ReadLink, script, &[path.as_ref()])?;
        Ok(line(told))
    }

    /// Returns a path from the root, without links.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn real_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let script = "realpath \"$1\" 2>/dev/null || exec readlink -f \"$1\"";
        let path = path.as_ref();
        let told = line(self.told(Operation::Resolve, script, &[path])?);
        match told.first() {
            Some(b'/') => Ok(told),
            _ => Err(Error::Command {
                operation: Operation::Resolve,
                remote: path.to_vec(),
                message: "no such file".to_owned(),
            }),
        }
    }

    /// Makes a directory where nothing stands, with mode 0777 less the host's umask.
    ///
    /// # Errors
    ///
    /// `Exists` if something has the name; `Command` with what the host said; `sudo`'s refusal or
    /// the session's failure.
    pub fn make_directory(&self, path: impl AsRef<[u8]>) -> Result<(), Error> {
        let script =
            format!("if [ -e \"$1\" ] || [ -L \"$1\" ]; then exit {EXISTS}; fi; exec mkdir \"$1\"");
        self.simple(Operation::MakeDirectory, &script, &[path.as_ref()])
    }

    /// Makes a directory and those above it, with mode 0777 less the host's umask, or the last one
    /// with these permissions; returns whether it was not there, or not so.
    ///
    /// # Errors
    ///
    /// `Exists` if something else has the name; `Command` with what the host said; `sudo`'s refusal
    /// or the session's failure.
    pub fn make_directories(
        &self,
        path: impl AsRef<[u8]>,
        permissions: Option<u32>,
    ) -> Result<bool, Error> {
        let path = path.as_ref();
        let script = format!(
            "if [ -d \"$1\" ]; then echo there; exit; fi; \
             if [ -e \"$1\" ] || [ -L \"$1\" ]; then exit {EXISTS}; fi; exec mkdir -p \"$1\""
        );
        let told = self.told(Operation::MakeDirectory, &script, &[path])?;
        let made = !told.starts_with(b"there");
        if let Some(permissions) = permissions.map(|permissions| permissions & 0o7777)
            && (made || self.stat(path)?.permissions() != Some(permissions))
        {
            self.chmod(path, permissions)?;
            return Ok(true);
        }
        Ok(made)
    }

    /// Fails where a directory stands that a file is to replace; a link to one is replaced.
    pub(super) fn refuse_directory() -> String {
        format!("[ -L \"$1\" ] || [ ! -d \"$1\" ] || exit {IS_DIRECTORY}; ")
    }
}

/// Takes the end off a line, which may have others in it.
fn line(mut told: Vec<u8>) -> Vec<u8> {
    if told.last() == Some(&b'\n') {
        told.pop();
    }
    told
}
