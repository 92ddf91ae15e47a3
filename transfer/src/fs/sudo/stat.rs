//! What stands at a path, and how much room there is, by `stat` in its three dialects or by `ls`.

use super::{Script, SudoFs, arg};
use crate::error::{Error, Operation};
use crate::sftp::{Attributes, FileSystemStat};

impl SudoFs<'_> {
    /// Tells what stands at a path; of a symbolic link, its target. A host without `stat` does not
    /// tell the times.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<Attributes, Error> {
        self.attributes(path.as_ref(), "-L")
    }

    /// Tells what stands at a path; of a symbolic link, the link itself.
    ///
    /// # Errors
    ///
    /// As [`SudoFs::stat`].
    pub fn lstat(&self, path: impl AsRef<[u8]>) -> Result<Attributes, Error> {
        self.attributes(path.as_ref(), "")
    }

    /// Tells whether anything stands at a path; a link that leads nowhere is nothing.
    ///
    /// # Errors
    ///
    /// `Command` where the host cannot tell; `sudo`'s refusal or the session's failure.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.if_there(path.as_ref(), "-L")?.is_some())
    }

    /// As [`SudoFs::lstat`], with `None` where nothing is.
    pub(super) fn standing(&self, path: &[u8]) -> Result<Option<Attributes>, Error> {
        self.if_there(path, "")
    }

    fn attributes(&self, path: &[u8], follow: &str) -> Result<Attributes, Error> {
        let script = format!("{RECORDS}r '{follow}' \"$1\"");
        let told = self.told(Operation::Stat, &script, &[path])?;
        record(told.trim_ascii_end()).ok_or_else(|| unclear(path, &told))
    }

    fn if_there(&self, path: &[u8], follow: &str) -> Result<Option<Attributes>, Error> {
        match self.attributes(path, follow) {
            Ok(told) => Ok(Some(told)),
            Err(error) if error.is_not_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns how much room the file system of a path has. Where `stat` does not tell, as on the
    /// BSDs, `df` does, in blocks of 1 KiB: numbers of files are 0 then.
    ///
    /// # Errors
    ///
    /// `Command` with what the host said; `sudo`'s refusal or the session's failure.
    pub fn stat_file_system(&self, path: impl AsRef<[u8]>) -> Result<FileSystemStat, Error> {
        let (path, name) = (path.as_ref(), arg(path.as_ref()));
        let arguments: [&[u8]; 1] = [&name];
        let script = Script::new(Operation::StatFileSystem, ROOM, &arguments);
        let told = self.run(script)?;
        room(&told).ok_or_else(|| Error::Command {
            operation: Operation::StatFileSystem,
            remote: path.to_vec(),
            message: said(&told),
        })
    }
}

fn unclear(path: &[u8], told: &[u8]) -> Error {
    Error::Command {
        operation: Operation::Stat,
        remote: path.to_vec(),
        message: said(told),
    }
}

fn said(told: &[u8]) -> String {
    format!("the host said {:?}", crate::scp::cleaned(told))
}

/// Reads a line that `r` of [`RECORDS`] printed; `None` if it is none.
pub(super) fn record(line: &[u8]) -> Option<Attributes> {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.split_ascii_whitespace();
    let dialect = fields.next()?;
    let mode = fields.next()?;
    let number = |text: &str| text.parse::<u64>().ok();
    let mode = match dialect {
        "c" => u32::from_str_radix(mode, 16).ok()?,
        "f" => u32::from_str_radix(mode, 8).ok()?,
        "l" => mode_of(mode.as_bytes())?,
        _ => return None,
    };
    if dialect == "l" {
        fields.next()?;
        let owner = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        // A device has two numbers in the place of its size.
        let size = fields.next().and_then(number);
        return Some(Attributes {
            size,
            owner: Some(owner),
            mode: Some(mode),
            times: None,
        });
    }
    let size = number(fields.next()?)?;
    let owner = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let mut time = || {
        let seconds: i64 = fields.next()?.parse().ok()?;
        Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    };
    Some(Attributes {
        size: Some(size),
        owner: Some(owner),
        mode: Some(mode),
        times: Some((time()?, time()?)),
    })
}

/// Reads a mode as `ls` shows it, for example `-rwsr-x--T`.
fn mode_of(text: &[u8]) -> Option<u32> {
    let kind = match text.first()? {
        b'-' => 0o100_000,
        b'd' => 0o040_000,
        b'l' => 0o120_000,
        b'c' => 0o020_000,
        b'b' => 0o060_000,
        b'p' => 0o010_000,
        b's' => 0o140_000,
        _ => return None,
    };
    let mut mode = kind;
    for (at, letter) in text.get(1..10)?.iter().enumerate() {
        let bit = 0o400 >> at;
        let special = 0o4000 >> (at / 3);
        mode |= match letter {
            b'-' => 0,
            b'r' | b'w' | b'x' => bit,
            b's' | b't' => bit | special,
            b'S' | b'T' => special,
            _ => return None,
        };
    }
    Some(mode)
}

fn room(told: &[u8]) -> Option<FileSystemStat> {
    let text = String::from_utf8_lossy(told);
    let fields = text.split_ascii_whitespace();
    let numbers: Option<Vec<u64>> = fields.map(|field| field.parse().ok()).collect();
    let [
        block_size,
        fragment_size,
        blocks,
        free,
        available,
        files,
        files_free,
        name_max,
    ] = numbers?.try_into().ok()?;
    Some(FileSystemStat {
        block_size,
        fragment_size,
        blocks,
        blocks_free: free,
        blocks_available: available,
        files,
        files_free,
        files_available: files_free,
        id: 0,
        flags: 0,
        name_max,
    })
}

/// `r -L NAME…`, or with an empty first argument for links themselves, prints a line for each name.
///
/// GNU's `-f` is for file systems, and the BSDs have no `-c`: which one it is the root tells. The
/// first letter says how the line is to be read.
pub(super) const RECORDS: &str = "\
    r() { o=$1; shift; if stat -c %f / >/dev/null 2>&1; then \
    stat $o -c 'c %f %s %u %g %X %Y' \"$@\"; elif stat -f %p / >/dev/null 2>&1; then \
    stat $o -f 'f %p %z %u %g %a %m' \"$@\"; else for n do \
    a=$(ls -dn $o \"$n\") || return 1; printf '%s\\n' \"$a\" | sed -n '1s/^/l /p'; done; fi; }; ";

/// Sizes of a block and a fragment, blocks, those free and those available, files, those free, and
/// the longest name. `df` of a file system that holds no files prints `-`.
const ROOM: &str = "\
    stat -f -c '%s %S %b %f %a %c %d %l' \"$1\" 2>/dev/null && exit 0; \
    d=$(df -Pk \"$1\") || exit 1; set -- \"$(getconf NAME_MAX \"$1\" 2>/dev/null || echo 255)\"; \
    printf '%s\\n' \"$d\" | awk -v m=\"$1\" \
    'NR == 2 { for (i = 1; i < NF; i++) if ($i ~ /%$/) { \
    print 1024, 1024, $(i-3), $(i-3) - $(i-2), $(i-1), 0, 0, m; exit } }'";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, mode: u32, size: Option<u64>, times: Option<(u32, u32)>) {
        let told = record(line.as_bytes()).expect("is a record");
        let owner = Some((1, 2));
        let mode = Some(mode);
        assert_eq!(
            told,
            Attributes {
                size,
                owner,
                mode,
                times
            },
            "{line}"
        );
    }

    #[test]
    fn each_dialect_tells_the_same() {
        let times = Some((10, 20));
        check("c 81a4 5 1 2 10 20", 0o100_644, Some(5), times);
        check("f 100644 5 1 2 10 20", 0o100_644, Some(5), times);
        let ls = "l -rw-r--r--. 1 1 2 5 Nov 21 12:36 a b";
        check(ls, 0o100_644, Some(5), None);
        check(
            "c a1ff 3 1 2 -1 9999999999",
            0o120_777,
            Some(3),
            Some((0, u32::MAX)),
        );
    }

    #[test]
    fn a_mode_is_read_as_ls_shows_it() {
        for (text, mode) in [
            ("drwxr-xr-x", 0o040_755),
            ("-rwsr-S--T", 0o107_740),
            ("lrwxrwxrwx", 0o120_777),
            ("drwxrwxrwt", 0o041_777),
            ("p---------", 0o010_000),
        ] {
            assert_eq!(mode_of(text.as_bytes()), Some(mode), "{text}");
        }
        for wrong in ["", "-", "?rwxrwxrwx", "-rwxrwxrw", "-rwqrwxrwx"] {
            assert_eq!(mode_of(wrong.as_bytes()), None, "{wrong}");
        }
        let device = record(b"l crw-rw-rw- 1 0 0 1, 3 Nov 21 12:36 null").expect("is one");
        assert_eq!(device.size, None);
        assert!(record(b"c zz 1 1 1 1 1").is_none() && record(b"").is_none());
    }
}
