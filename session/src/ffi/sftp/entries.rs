//! What an SFTP server tells of files: attributes (§5) and directories (§6.7).

use std::ptr;

use libssh2_sys as sys;

use super::super::{Called, Library, count, done, length};
use super::FileId;

/// What a server told of a file; a field that it left out is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) size: Option<u64>,
    pub(crate) owner: Option<(u32, u32)>,
    /// Type and permission bits, as of `st_mode`.
    pub(crate) mode: Option<u32>,
    /// Last access and change, in seconds since 1970.
    pub(crate) times: Option<(u32, u32)>,
}

impl Library {
    /// Asks for a file's attributes; of a symbolic link its target's.
    pub(crate) fn stat(&mut self, path: &[u8]) -> Called<Attributes> {
        let length = length(path)?;
        self.on_sftp(|_, sftp| {
            let mut attributes = EMPTY;
            // SAFETY: F2, F5, F6; the attributes are ours and only filled.
            done(unsafe {
                sys::libssh2_sftp_stat_ex(
                    sftp,
                    path.as_ptr().cast(),
                    length,
                    sys::LIBSSH2_SFTP_STAT,
                    &raw mut attributes,
                )
            })?;
            Ok(told(&attributes))
        })
    }

    /// Opens a directory; it is closed as files are.
    pub(crate) fn open_directory(&mut self, path: &[u8]) -> Called<FileId> {
        let length = length(path)?;
        let pointer = self.on_sftp(|library, sftp| {
            // SAFETY: F2, F5, F6.
            let pointer = unsafe {
                sys::libssh2_sftp_open_ex(
                    sftp,
                    path.as_ptr().cast(),
                    length,
                    0,
                    0,
                    sys::LIBSSH2_SFTP_OPENDIR,
                )
            };
            library.some(pointer)
        })?;
        Ok(FileId(self.sftp.files.insert(pointer)))
    }

    /// Reads the next name of a directory into the buffer; returns its length, 0 at the end.
    pub(crate) fn read_directory(
        &mut self,
        directory: FileId,
        name: &mut [u8],
    ) -> Called<(usize, Attributes)> {
        let (read, attributes) = self.on_file(directory, |pointer| {
            let mut attributes = EMPTY;
            // SAFETY: F2, F5, F7: at most `name.len()` bytes are written; attributes as above.
            let read = unsafe {
                sys::libssh2_sftp_readdir_ex(
                    pointer,
                    name.as_mut_ptr().cast(),
                    name.len(),
                    ptr::null_mut(),
                    0,
                    &raw mut attributes,
                )
            };
            let read = count(read as isize)?;
            Ok((read.min(name.len()), told(&attributes)))
        })?;
        self.wire.delivered(read);
        Ok((read, attributes))
    }
}

const EMPTY: sys::LIBSSH2_SFTP_ATTRIBUTES = sys::LIBSSH2_SFTP_ATTRIBUTES {
    flags: 0,
    filesize: 0,
    uid: 0,
    gid: 0,
    permissions: 0,
    atime: 0,
    mtime: 0,
};

/// All of these are 32 bits on the wire, but for the size.
fn told(attributes: &sys::LIBSSH2_SFTP_ATTRIBUTES) -> Attributes {
    let has = |flag| attributes.flags & flag != 0;
    let owner = (attributes.uid as u32, attributes.gid as u32);
    let times = (attributes.atime as u32, attributes.mtime as u32);
    Attributes {
        size: has(sys::LIBSSH2_SFTP_ATTR_SIZE).then_some(attributes.filesize),
        owner: has(sys::LIBSSH2_SFTP_ATTR_UIDGID).then_some(owner),
        mode: has(sys::LIBSSH2_SFTP_ATTR_PERMISSIONS).then_some(attributes.permissions as u32),
        times: has(sys::LIBSSH2_SFTP_ATTR_ACMODTIME).then_some(times),
    }
}
