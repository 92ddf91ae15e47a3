//! A file of any size put under `sudo`: its bytes go to a command as it takes them.

use sshoal_reactor::Scope;
use sshoal_session::{Child, Exit, Kind, OutputStream};

use super::write::Write;
use super::{STDERR_BYTES, Stdin, SudoFs, arg};
use crate::error::{Error, Operation};
use crate::fs::WriteOptions;
use crate::fs::write::Before;
use crate::limits::Governor;
use crate::options::{CopyOptions, Parents, Preserve, Resume, Verify};
use crate::put::{Copied, target};
use crate::remote_path;
use crate::source::Source;

/// A source on its way.
pub(super) struct Sending<'s> {
    source: &'s Source,
    governor: &'s Governor,
    /// Where to, for errors.
    remote: &'s [u8],
}

impl SudoFs<'_> {
    /// Copies to a host's file, whole or not at all, as [`put`](fn@crate::put) does: in bounded
    /// memory, under a temporary name beside it, which is given away when all bytes have arrived.
    ///
    /// A file that has these bytes already stays as it is and counts as kept, and one that is
    /// replaced hands its owner and permissions on. A file that is made has the source's
    /// permissions, less what others than the owner may write; directories for it are made with
    /// 0755 at most.
    ///
    /// # Errors
    ///
    /// `Exists` and `IsDirectory` by what is there; `NotOffered` for [`Preserve::Yes`],
    /// [`Verify::Sha256`] and [`Resume::Yes`]; `Command` with what the host said; `sudo`'s refusal,
    /// the local file's or the session's failure. The file is then as it was.
    pub fn put(
        &self,
        source: &Source,
        path: impl AsRef<[u8]>,
        options: &CopyOptions,
    ) -> Result<Copied, Error> {
        check_offered(options)?;
        let path = target(source, path.as_ref())?;
        let governor = Governor::enter(options, &self.scope)?;
        let mut write = WriteOptions::new().existing(options.existing);
        let kept = Copied {
            bytes: 0,
            kept: true,
        };
        let before = match write.before(&path, self.standing(&path)?)? {
            Before::Kept => return Ok(kept),
            Before::File(before) => before,
        };
        write.permissions = options.permissions;
        if before.is_none() {
            let own = source.about().map(|about| about.permissions & 0o755);
            write.permissions = options.permissions.or(own);
            if options.parents == Parents::Make {
                self.make_parents(&path)?;
            }
        }
        let sending = Sending {
            source,
            governor: &governor,
            remote: &path,
        };
        let changed = self.replace(Write {
            path: &path,
            content: Stdin::Sent(&sending),
            options: &write,
            before,
            expected: b"",
        })?;
        governor.end();
        Ok(match changed {
            true => Copied {
                bytes: source.size(),
                kept: false,
            },
            false => kept,
        })
    }

    fn make_parents(&self, path: &[u8]) -> Result<(), Error> {
        let Some(above) = remote_path::parent(path) else {
            return Ok(());
        };
        // A directory that is there may be one that it is not allowed to make.
        let script = "[ -d \"$1\" ] || { umask 022; exec mkdir -p \"$1\"; }";
        self.simple(Operation::MakeDirectory, script, &[&arg(above)])
    }
}

impl Sending<'_> {
    pub(super) fn size(&self) -> u64 {
        self.source.size()
    }

    /// Sends all to a command and returns how it ended, and what it wrote to its two streams.
    pub(super) fn into(
        &self,
        child: &Child,
        scope: &Scope,
    ) -> Result<(Exit, Vec<u8>, Vec<u8>), Error> {
        match self.send(child, scope) {
            Ok(()) => {}
            // It ended before, and says why.
            Err(Error::Session(error)) if error.kind() == Kind::Closed => {}
            Err(error) => {
                if error.is_local() && child.close_stdin(scope).is_ok() {
                    // It finds the copy short, and removes it.
                    let _ = self.end(child, scope);
                }
                return Err(error);
            }
        }
        self.end(child, scope)
    }

    /// Waits for a command's end.
    fn end(&self, child: &Child, scope: &Scope) -> Result<(Exit, Vec<u8>, Vec<u8>), Error> {
        let (mut stdout, mut stderr, mut all) = (Vec::new(), Vec::new(), 0);
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Some((stream, count)) = child.read(&mut buffer, scope)? {
            all += count;
            if all > SAID_BYTES_MAX {
                return Err(Error::Command {
                    operation: Operation::Write,
                    remote: self.remote.to_vec(),
                    message: "it says more than was asked for".to_owned(),
                });
            }
            let said = match stream {
                OutputStream::Stdout => &mut stdout,
                OutputStream::Stderr => &mut stderr,
            };
            // A script says little; what is more than a message has room for is left out.
            let room = STDERR_BYTES.saturating_sub(said.len());
            said.extend_from_slice(&buffer[..count.min(room)]);
        }
        Ok((child.wait(scope)?, stdout, stderr))
    }

    fn send(&self, child: &Child, scope: &Scope) -> Result<(), Error> {
        let (size, mut offset) = (self.size(), 0);
        let local = || Error::local(self.source.path().unwrap_or_else(|| "".as_ref()));
        self.governor.begin(size);
        let mut chunk = vec![0; CHUNK_BYTES];
        while offset < size {
            let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
            let count = left.min(CHUNK_BYTES);
            self.governor.pass(count, scope)?;
            self.source
                .read_at(offset, &mut chunk[..count])
                .map_err(local())?;
            offset += count as u64;
            if offset == size {
                // Without its last bytes the host finds the copy short, and removes it.
                self.source.check_unchanged().map_err(local())?;
            }
            child.write_stdin(&chunk[..count], scope)?;
        }
        child.close_stdin(scope)?;
        Ok(())
    }
}

fn check_offered(options: &CopyOptions) -> Result<(), Error> {
    let what = if options.preserve == Preserve::Yes {
        "the times of files"
    } else if options.verify == Verify::Sha256 {
        "SHA-256 of each file"
    } else if options.resume == Resume::Yes {
        "copies that are gone on with"
    } else {
        return Ok(());
    };
    Err(Error::NotOffered {
        way: "a copy under sudo",
        what,
    })
}

/// Bytes that are read and sent at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// Bytes that a script may say.
const SAID_BYTES_MAX: usize = 4 * 1024 * 1024;
