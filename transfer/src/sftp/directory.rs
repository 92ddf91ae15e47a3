//! The names in a remote directory.

use sshoal_reactor::Scope;

use super::attributes::Attributes;
use super::packet::{Reply, Writer, kind};
use super::status::{SftpError, SftpStatus};
use super::{Sftp, refused};

/// One name in a remote directory, as the host gave it: it may be anything, `..` and what holds `/`
/// included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "all that the protocol tells")]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// What the host tells of it; of a link, of the link itself.
    pub attributes: Attributes,
}

/// An open remote directory; dropping it closes it without waiting for the host's word.
#[derive(Debug)]
pub struct Directory {
    sftp: Sftp,
    handle: Vec<u8>,
    /// Names that were received and not taken yet, the next one last.
    ahead: Vec<Entry>,
    over: bool,
    /// `.` and `..` that were skipped: a host that lists nothing else never ends.
    dots: usize,
}

impl Directory {
    pub(super) fn new(sftp: Sftp, handle: Vec<u8>) -> Self {
        Self {
            sftp,
            handle,
            ahead: Vec::new(),
            over: false,
            dots: 0,
        }
    }

    /// Returns the next name but `.` and `..`, in the host's order; `None` after the last. Parks.
    ///
    /// A host may go on for ever: the caller bounds how many it takes.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn next(&mut self, scope: &Scope) -> Result<Option<Entry>, SftpError> {
        loop {
            if let Some(entry) = self.ahead.pop() {
                if matches!(entry.name.as_slice(), b"." | b"..") {
                    self.dots += 1;
                    if self.dots > DOTS_MAX {
                        return Err(SftpError::Protocol("a directory of nothing but dots"));
                    }
                    continue;
                }
                return Ok(Some(entry));
            }
            if self.over {
                return Ok(None);
            }
            let handle = &self.handle;
            let reply = self.sftp.0.ask(scope, |id| {
                let mut packet = Writer::request(kind::READDIR, id);
                packet.bytes(handle);
                packet
            })?;
            match reply {
                Reply::Names(names) if names.is_empty() => {
                    return Err(SftpError::Protocol("a list of no names"));
                }
                Reply::Names(names) => {
                    let entries = names.into_iter().rev().map(|name| Entry {
                        name: name.name,
                        attributes: name.attributes,
                    });
                    self.ahead.extend(entries);
                }
                Reply::Status(SftpStatus::EOF) => self.over = true,
                other => return Err(refused(other)),
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        super::file::close_unasked(&self.sftp, std::mem::take(&mut self.handle));
    }
}

/// How often a directory may list `.` and `..`.
const DOTS_MAX: usize = 1000;
