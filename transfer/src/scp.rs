//! Files and directories there or back by the host's `scp`, for hosts without SFTP.
//!
//! The principal type is [`Scp`]. The protocol is spoken here, over a command's two streams. What a
//! host sends as one file is its bytes and nothing else: it chooses neither a name nor a place. What
//! it sends as a directory is written beneath the chosen one (`incoming`).

use std::fs::{File, FileTimes, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sshoal_reactor::{Scope, blocking};
use sshoal_session::Session;

use crate::error::Error;
use crate::limits::Governor;
use crate::options::CopyOptions;
use crate::part;
use crate::put::Copied;
use crate::source::Source;
use crate::tree::name::is_one_name;

mod receive_tree;
mod record;
pub(crate) use record::cleaned;
mod send_tree;
pub(crate) use send_tree::{check_offered, dress, tell_of_walk};
mod talk;

#[cfg(fuzzing)]
pub(crate) use record::check as check_record;
use record::{Record, parse};
use talk::Talk;

/// Copies by the host's `scp`, over one session and within one scope.
#[derive(Debug, Clone)]
#[must_use]
pub struct Scp<'a> {
    session: &'a Session,
    scope: &'a Scope,
    keep: Keep,
    bytes_max: Option<u64>,
    limits: CopyOptions,
}

/// What of a file goes along with its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keep {
    /// Nothing: the copy gets mode 0600.
    Nothing,
    /// The mode, without the bits that set an id.
    #[default]
    Mode,
    /// The mode as above, and the times in whole seconds.
    ModeAndTimes,
}

/// What a copy is to be given, with its size.
struct Given {
    mode: u32,
    size: u64,
    /// Last change and access, in seconds since 1970.
    times: Option<(u64, u64)>,
}

impl<'a> Scp<'a> {
    /// Returns copies over a session, within a scope.
    pub fn new(session: &'a Session, scope: &'a Scope) -> Self {
        Self {
            session,
            scope,
            keep: Keep::default(),
            bytes_max: None,
            limits: CopyOptions::new(),
        }
    }

    /// Sets what goes along with the bytes. Default: [`Keep::Mode`].
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Sets how many bytes a received file may have. Default: any number into a file, and 64 MiB
    /// into memory ([`Scp::receive_bytes`]).
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Sets the counters, the bounds of bytes a second and how many copies there are at once, as
    /// these options have them; the rest of them is not for single files. Default: none.
    ///
    /// Directories are copied by the options that are given with them.
    pub fn limits(mut self, options: &CopyOptions) -> Self {
        self.limits = options.clone();
        self
    }

    /// Copies a local file to a path on the host where nothing stands; behind a `/` at its end, the
    /// file keeps its name. Parks.
    ///
    /// It is written under a temporary name in the same directory and gets its own by a hard link,
    /// which the host's system makes only where nothing stands: of two senders one fails, and a copy
    /// that is cut short is never seen. Where the file system has no hard links, the name is first
    /// taken by an empty file, made only where nothing stands, and the copy renamed over that.
    /// The host needs `sh`, `scp` and `link`; the user's shell must quote as a POSIX one does.
    ///
    /// # Errors
    ///
    /// `Exists` if something stands there, which is then as it was; what the host's `scp` said; the
    /// local file's or the session's failure.
    pub fn send(&self, local: &Path, remote: &[u8]) -> Result<Copied, Error> {
        let mut source = File::open(local).map_err(Error::local(local))?;
        let metadata = source.metadata().map_err(Error::local(local))?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let given = Given {
            mode: match self.keep {
                Keep::Nothing => PRIVATE,
                Keep::Mode | Keep::ModeAndTimes => metadata.mode() & MODE_BITS,
            },
            size: metadata.len(),
            times: (self.keep == Keep::ModeAndTimes)
                .then(|| (seconds(metadata.mtime()), seconds(metadata.atime()))),
        };
        let name = local.file_name().map(|name| name.as_encoded_bytes());
        let remote = match (remote, name) {
            ([.., b'/'], Some(name)) => [remote, name].concat(),
            _ => remote.to_vec(),
        };
        let governor = Governor::enter(&self.limits, self.scope)?;
        self.deliver((&mut source, local), &remote, (&given, &governor))
    }

    /// Writes bytes to a path on the host where nothing stands, with a mode. Parks.
    ///
    /// # Errors
    ///
    /// As [`Scp::send`].
    pub fn send_bytes(&self, bytes: &[u8], remote: &[u8], mode: u32) -> Result<Copied, Error> {
        let given = Given {
            mode: mode & MODE_BITS,
            size: bytes.len() as u64,
            times: None,
        };
        let mut source = bytes;
        let governor = Governor::enter(&self.limits, self.scope)?;
        self.deliver((&mut source, Path::new("")), remote, (&given, &governor))
    }

    fn deliver(
        &self,
        (source, local): (&mut dyn Read, &Path),
        remote: &[u8],
        (given, governor): (&Given, &Governor),
    ) -> Result<Copied, Error> {
        governor.begin(given.size);
        let command = sink_command(&part::name_beside(remote), remote);
        let mut talk = Talk::start(self.session, command, (remote, self.scope))?;
        talk.acknowledged()?;
        if let Some((modified, accessed)) = given.times {
            talk.send(format!("T{modified} 0 {accessed} 0\n").as_bytes())?;
            talk.acknowledged()?;
        }
        // The name is of no use to a host that was given a whole path.
        talk.send(format!("C{:04o} {} file\n", given.mode, given.size).as_bytes())?;
        talk.acknowledged()?;
        let (mut chunk, mut left) = (vec![0; CHUNK_BYTES], given.size);
        while left > 0 {
            let most = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let filled = fill(source, &mut chunk[..most]).map_err(Error::local(local))?;
            if filled == 0 {
                // Left without its end, the host's `scp` fails and removes what it has.
                return Err(Error::Short {
                    expected: given.size,
                    arrived: given.size - left,
                });
            }
            governor.pass(filled, self.scope)?;
            talk.send(&chunk[..filled])?;
            left -= filled as u64;
        }
        talk.send(&[0])?;
        talk.acknowledged()?;
        talk.finish()?;
        governor.end();
        Ok(Copied {
            bytes: given.size,
            kept: false,
        })
    }

    /// Copies a host's file to this machine, over one that is there. Parks.
    ///
    /// The file is written under a temporary name in the same directory, synced and renamed.
    ///
    /// # Errors
    ///
    /// What the host's `scp` said, or how it broke the protocol; `TooLarge`; the local file's or the
    /// session's failure. The local target is then as it was, and nothing is left beside it.
    pub fn receive(&self, remote: &[u8], local: &Path) -> Result<Copied, Error> {
        let directory = local
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let part = tempfile::NamedTempFile::new_in(directory.unwrap_or_else(|| Path::new(".")));
        let mut part = part.map_err(Error::local(local))?;
        let governor = Governor::enter(&self.limits, self.scope)?;
        let bytes_max = self.bytes_max.unwrap_or(u64::MAX);
        let given = self.fetch(remote, (bytes_max, &governor), &mut |bytes| {
            part.write_all(bytes).map_err(Error::local(local))
        })?;
        let (target, keep) = (local.to_path_buf(), self.keep);
        // Syncing takes as long as the disk takes.
        let stored = blocking(move || {
            let file = part.as_file();
            if keep != Keep::Nothing {
                file.set_permissions(Permissions::from_mode(given.mode & MODE_BITS))?;
            }
            if let Some((modified, accessed)) = given.times {
                let times = FileTimes::new().set_modified(time(modified));
                file.set_times(times.set_accessed(time(accessed)))?;
            }
            file.sync_all()?;
            part.persist(&target).map_err(|error| error.error)?;
            Ok(given.size)
        });
        let stored = stored.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let bytes = stored.map_err(Error::local(local))?;
        governor.end();
        Ok(Copied { bytes, kept: false })
    }

    /// Reads a host's file of at most 64 MiB, or what [`Scp::bytes_max`] says. Parks.
    ///
    /// # Errors
    ///
    /// As [`Scp::receive`].
    pub fn receive_bytes(&self, remote: &[u8]) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        let governor = Governor::enter(&self.limits, self.scope)?;
        let bytes_max = self.bytes_max.unwrap_or(MEMORY_BYTES_MAX);
        self.fetch(remote, (bytes_max, &governor), &mut |bytes| {
            all.extend_from_slice(bytes);
            Ok(())
        })?;
        governor.end();
        Ok(all)
    }

    fn fetch(
        &self,
        remote: &[u8],
        (bytes_max, governor): (u64, &Governor),
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Given, Error> {
        let with_times = self.keep == Keep::ModeAndTimes;
        let command = source_command(remote, with_times);
        let mut talk = Talk::start(self.session, command, (remote, self.scope))?;
        talk.send(&[0])?;
        let mut line = talk.line()?;
        let mut times = None;
        if let Record::Times { modified, accessed } = read(&talk, &line)? {
            if !with_times {
                return Err(talk.protocol("times that were not asked for"));
            }
            times = Some((modified, accessed));
            talk.send(&[0])?;
            line = talk.line()?;
        }
        let (mode, size) = match read(&talk, &line)? {
            Record::File { mode, size, name } if is_one_name(name) => (mode, size),
            Record::File { .. } => return Err(talk.protocol("a name that leads elsewhere")),
            Record::Times { .. } => return Err(talk.protocol("times twice")),
            Record::Directory { .. } | Record::End => {
                return Err(talk.protocol("a directory where a file was asked for"));
            }
        };
        if size > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        governor.begin(size);
        talk.send(&[0])?;
        let mut left = size;
        while left > 0 {
            let data = talk.data(left)?;
            governor.pass(data.len(), self.scope)?;
            left -= data.len() as u64;
            take(data)?;
        }
        // The host's word that it could read all of it.
        talk.acknowledged()?;
        talk.send(&[0])?;
        talk.finish()?;
        Ok(Given { mode, size, times })
    }
}

fn read<'a>(talk: &Talk<'_>, line: &'a [u8]) -> Result<Record<'a>, Error> {
    parse(line).map_err(|what| talk.protocol(what))
}

/// What a source has, byte after byte.
struct Bytes<'a> {
    source: &'a Source,
    offset: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.source.size() - self.offset;
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.source.read_at(self.offset, &mut buffer[..count])?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Reads until the chunk is full or the source ends.
fn fill(source: &mut dyn Read, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match source.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn time(seconds: u64) -> SystemTime {
    // Beyond what the clock can show, the begin of time is as true.
    (UNIX_EPOCH.checked_add(Duration::from_secs(seconds))).unwrap_or(UNIX_EPOCH)
}

/// The command that takes a file in: to a temporary name, and from there to its own if nothing
/// stands there.
fn sink_command(part: &[u8], target: &[u8]) -> Vec<u8> {
    // In one line: not every user's shell takes more between quotes.
    let script = format!("sh -c '{}' sshoal ", SINK.replace('\n', "; "));
    [script.as_bytes(), &word(part), b" ", &word(target)].concat()
}

/// The command that gives a file out.
fn source_command(path: &[u8], with_times: bool) -> Vec<u8> {
    let flags: &[u8] = if with_times { b"-pf " } else { b"-f " };
    [b"scp ", flags, &word(path)].concat()
}

/// Returns a path as one word of a POSIX shell that no program takes for an option.
pub(crate) fn word(path: &[u8]) -> Vec<u8> {
    let mut word = b"'".to_vec();
    if path.first() == Some(&b'-') {
        word.extend_from_slice(b"./");
    }
    for byte in path {
        match byte {
            b'\'' => word.extend_from_slice(br"'\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

/// `$1` is the temporary name, `$2` the file's own; there is no `'` in it. `link` is link(2) and no
/// more: unlike `ln` it fails on a directory.
const SINK: &str = r#"there() { [ -e "$1" ] || [ -h "$1" ]; }
end() { rm -f "$2"; exit "$1"; }
there "$2" && exit 73
scp -qpt "$1" || end $? "$1"
link "$1" "$2" 2>/dev/null && end 0 "$1"
there "$2" && end 73 "$1"
(set -C; : >"$2") 2>/dev/null && { mv -f "$1" "$2" && exit 0; rm -f "$2"; end 1 "$1"; }
there "$2" && end 73 "$1"
end 1 "$1""#;

/// The exit status of [`SINK`] where something stands already (`EX_CANTCREAT` of sysexits.h).
const EXISTS: u32 = 73;
/// Bytes of a file that are received into memory by default.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes sent at once.
const CHUNK_BYTES: usize = 32_700;
/// The permission bits that are passed on.
const MODE_BITS: u32 = 0o777;
/// The mode of a copy that keeps nothing.
const PRIVATE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn words_come_through_a_shell_as_they_are() {
        for path in [
            "a b",
            "it's",
            "$HOME `id` \"\\",
            "*?[a]",
            "new\nline",
            "-rf",
            "",
        ] {
            let line = [b"printf %s " as &[u8], &word(path.as_bytes())].concat();
            let line = String::from_utf8(line).unwrap();
            let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
            let expected = path.replace("-rf", "./-rf");
            assert_eq!(output.stdout, expected.as_bytes(), "{path:?}");
        }
    }

    #[test]
    fn the_script_stands_in_single_quotes() {
        assert!(!SINK.contains('\''));
    }
}
