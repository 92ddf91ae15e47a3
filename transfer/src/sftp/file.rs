//! An open remote file: many reads and writes under way at once.

use std::collections::VecDeque;

use sshoal_reactor::Scope;

use super::attributes::Attributes;
use super::client::Pending;
use super::packet::{Reply, Writer, kind};
use super::status::{SftpError, SftpStatus};
use super::{Sftp, done, extended, refused};

/// An open remote file. Dropping it closes it without waiting for the host's word;
/// [`RemoteFile::close`] is for files that were written to, since some hosts tell of a full disk
/// only there.
#[derive(Debug)]
pub struct RemoteFile {
    sftp: Sftp,
    handle: Vec<u8>,
    closed: bool,
}

/// Writes under way on a file, at most a bounded number of bytes.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    file: &'a RemoteFile,
    under_way: VecDeque<(Pending<'a>, usize)>,
    bytes: usize,
}

impl RemoteFile {
    pub(super) fn new(sftp: Sftp, handle: Vec<u8>) -> Self {
        Self {
            sftp,
            handle,
            closed: false,
        }
    }

    /// Reads bytes from an offset on; 0 at the file's end, and maybe fewer than there is room for
    /// before it. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn read_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
        scope: &Scope,
    ) -> Result<usize, SftpError> {
        let most = buffer.len().min(self.read_max());
        let data = self.ask_for(offset, most, scope)?.wait(scope)?;
        let data = data_of(data, most)?.unwrap_or_default();
        buffer[..data.len()].copy_from_slice(&data);
        Ok(data.len())
    }

    /// Writes all bytes at an offset, and returns when the host has taken them. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn write_at(&self, offset: u64, bytes: &[u8], scope: &Scope) -> Result<(), SftpError> {
        let mut writing = self.writing();
        writing.write(offset, bytes, scope)?;
        writing.finish(scope)
    }

    /// Reads from an offset to the file's end, many reads under way at once, and gives each piece
    /// to `take` in order; returns the offset of the end. Parks.
    ///
    /// A host may send without end: `take` bounds it by its error.
    ///
    /// # Errors
    ///
    /// The server's status, the session's failure, or what `take` gave.
    pub(crate) fn read_to_end<E: From<SftpError>>(
        &self,
        from: u64,
        size: Option<u64>,
        scope: &Scope,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut most = self.read_max();
        let (mut asked, mut taken) = (from, from);
        let mut under_way = VecDeque::new();
        loop {
            // Beyond the size that the host told, one read at a time finds the end.
            // One read begins where the file should end, to learn that it does.
            while under_way.is_empty()
                || (under_way.len() < reads_max(most) && size.is_some_and(|size| asked <= size))
            {
                let left = size.and_then(|size| size.checked_sub(asked)).unwrap_or(0);
                let length = match usize::try_from(left) {
                    Ok(left @ 1..) => left.min(most),
                    _ => most,
                };
                under_way.push_back((length, self.ask_for(asked, length, scope)?));
                asked += length as u64;
            }
            let Some((length, read)) = under_way.pop_front() else {
                unreachable!("one was asked for above");
            };
            let Some(data) = data_of(read.wait(scope)?, length)? else {
                return Ok(taken);
            };
            take(&data)?;
            taken += data.len() as u64;
            if data.len() < length {
                // A short answer, at the end or not: what was asked for beyond it leaves a gap.
                under_way.clear();
                asked = taken;
                // No more is asked for than such a host gives, or each answer would leave one.
                most = most.min(data.len().max(READ_BYTES_MIN));
            }
        }
    }

    /// Begins to write, many writes under way at once.
    pub(crate) fn writing(&self) -> Writing<'_> {
        Writing {
            file: self,
            under_way: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Returns what is known of the file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn stat(&self, scope: &Scope) -> Result<Attributes, SftpError> {
        let shared = &self.sftp.0;
        shared.attributes(scope, |id| self.request(kind::FSTAT, id))
    }

    /// Sets size, owner, permissions and times, as far as they are given. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn set_stat(&self, attributes: &Attributes, scope: &Scope) -> Result<(), SftpError> {
        self.sftp.0.done(scope, |id| {
            let mut packet = self.request(kind::FSETSTAT, id);
            attributes.write(&mut packet);
            packet
        })
    }

    /// Has the host write the file to its disk (`fsync@openssh.com`); returns whether it can. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn sync(&self, scope: &Scope) -> Result<bool, SftpError> {
        if !self.sftp.0.extensions.fsync {
            return Ok(false);
        }
        self.sftp.0.done(scope, |id| {
            let mut packet = extended(id, "fsync@openssh.com");
            packet.bytes(&self.handle);
            packet
        })?;
        Ok(true)
    }

    /// Closes the file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn close(mut self, scope: &Scope) -> Result<(), SftpError> {
        self.closed = true;
        self.sftp.0.done(scope, |id| self.request(kind::CLOSE, id))
    }

    /// Returns how much a write carries at most: as many whole packets of the channel as it can.
    pub(crate) fn write_max(&self) -> usize {
        let most = self.sftp.0.limits.write as usize;
        match most / CHANNEL_BYTES {
            0 => most,
            packets => packets * CHANNEL_BYTES,
        }
    }

    fn read_max(&self) -> usize {
        self.sftp.0.limits.read as usize
    }

    fn ask_for(&self, offset: u64, most: usize, scope: &Scope) -> Result<Pending<'_>, SftpError> {
        self.sftp.0.send(scope, |id| {
            let mut packet = self.request(kind::READ, id);
            packet.u64(offset);
            packet.u32(u32::try_from(most).expect("at most what a request carries"));
            packet
        })
    }

    fn request(&self, kind: u8, id: u32) -> Writer {
        let mut packet = Writer::request(kind, id);
        packet.bytes(&self.handle);
        packet
    }
}

impl Drop for RemoteFile {
    fn drop(&mut self) {
        if !self.closed {
            close_unasked(&self.sftp, std::mem::take(&mut self.handle));
        }
    }
}

/// Has the host close a handle, on a green thread, since nothing waits in a drop.
pub(super) fn close_unasked(sftp: &Sftp, handle: Vec<u8>) {
    let sftp = sftp.clone();
    // Without a green thread it stays open until the channel ends.
    let _ = sshoal_reactor::spawn(move || {
        let scope = Scope::root().child(Some(CLOSE_TIMEOUT));
        let _ = sftp.0.done(&scope, |id| {
            let mut packet = Writer::request(kind::CLOSE, id);
            packet.bytes(&handle);
            packet
        });
    });
}

impl Writing<'_> {
    /// Writes all bytes at an offset; parks while too many are under way.
    pub(crate) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        scope: &Scope,
    ) -> Result<(), SftpError> {
        let mut offset = offset;
        for piece in bytes.chunks(self.file.write_max()) {
            self.write_one(offset, piece, scope)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn write_one(&mut self, offset: u64, bytes: &[u8], scope: &Scope) -> Result<(), SftpError> {
        while self.bytes + bytes.len() > WRITES_BYTES && !self.under_way.is_empty() {
            self.reap(scope)?;
        }
        let file = self.file;
        let head = |id| {
            let mut packet = file.request(kind::WRITE, id);
            packet.u64(offset);
            packet.u32(u32::try_from(bytes.len()).expect("at most what a request carries"));
            packet
        };
        // What is sent is not copied into a packet of ours first.
        let sent = file.sftp.0.client.send(head, bytes, scope)?;
        self.under_way.push_back((sent, bytes.len()));
        self.bytes += bytes.len();
        Ok(())
    }

    /// Waits until the host has taken all that was written.
    pub(crate) fn finish(mut self, scope: &Scope) -> Result<(), SftpError> {
        while !self.under_way.is_empty() {
            self.reap(scope)?;
        }
        Ok(())
    }

    fn reap(&mut self, scope: &Scope) -> Result<(), SftpError> {
        if let Some((write, bytes)) = self.under_way.pop_front() {
            self.bytes -= bytes;
            done(write.wait(scope)?)?;
        }
        Ok(())
    }
}

/// Returns how many reads of so many bytes are under way at most: as many as the channel's window
/// holds, since a host that cannot send does not read either.
fn reads_max(most: usize) -> usize {
    (READS_BYTES / most).max(1)
}

/// Returns the data of an answer to a read; `None` at the end of the file.
fn data_of(reply: Reply, most: usize) -> Result<Option<Vec<u8>>, SftpError> {
    match reply {
        Reply::Data(data) if data.is_empty() => Err(SftpError::Protocol("a read of no bytes")),
        Reply::Data(data) if data.len() > most => {
            Err(SftpError::Protocol("more than was asked for"))
        }
        Reply::Data(data) => Ok(Some(data)),
        Reply::Status(SftpStatus::EOF) => Ok(None),
        other => Err(refused(other)),
    }
}

/// Bytes of writes under way: what a link of 100 MB/s takes in 40 ms.
const WRITES_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of reads under way, less than the channel's window.
const READS_BYTES: usize = 3 * 1024 * 1024 - 64 * 1024;
/// The fewest bytes that a read asks for, however short answers are.
const READ_BYTES_MIN: usize = 4 * 1024;
/// What libssh2 puts into one packet of a channel (law S11).
pub(crate) const CHANNEL_BYTES: usize = 32_700;
/// How long a host may take to close what nobody waits for.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
