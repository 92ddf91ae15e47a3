//! How much room a remote file system has (`statvfs@openssh.com`, OpenSSH's PROTOCOL 4.4).

use sshoal_reactor::Scope;

use super::packet::{Malformed, Reader};
use super::status::SftpError;
use super::{SHORT, Sftp, extended};

/// How much room a remote file system has (`statvfs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what POSIX has in its statvfs")]
pub struct FileSystemStat {
    /// The size of a block.
    pub block_size: u64,
    /// The size of a fragment, in which the counts of blocks are.
    pub fragment_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Blocks that are free for ordinary users.
    pub blocks_available: u64,
    /// Files that there can be.
    pub files: u64,
    /// Files that can still be made.
    pub files_free: u64,
    /// Files that ordinary users can still make.
    pub files_available: u64,
    /// The file system's number.
    pub id: u64,
    /// `ST_RDONLY` is 1, `ST_NOSUID` is 2.
    pub flags: u64,
    /// The longest name.
    pub name_max: u64,
}

impl Sftp {
    /// Returns how much room the file system of a path has (`statvfs@openssh.com`). Parks.
    ///
    /// # Errors
    ///
    /// `OP_UNSUPPORTED` where the server cannot tell, the server's status, or the session's failure.
    pub fn stat_file_system(
        &self,
        path: &[u8],
        scope: &Scope,
    ) -> Result<FileSystemStat, SftpError> {
        self.0.needs(self.0.extensions.statvfs)?;
        let reply = self.0.extended(scope, |id| {
            let mut packet = extended(id, "statvfs@openssh.com");
            packet.path(path);
            packet
        })?;
        FileSystemStat::read(&reply).map_err(|Malformed| SHORT)
    }
}

impl FileSystemStat {
    fn read(reply: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(reply);
        Ok(Self {
            block_size: from.u64()?,
            fragment_size: from.u64()?,
            blocks: from.u64()?,
            blocks_free: from.u64()?,
            blocks_available: from.u64()?,
            files: from.u64()?,
            files_free: from.u64()?,
            files_available: from.u64()?,
            id: from.u64()?,
            flags: from.u64()?,
            name_max: from.u64()?,
        })
    }
}
