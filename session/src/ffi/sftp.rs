//! SFTP (draft-ietf-secsh-filexfer-02): one channel per session, files by handle.
//!
//! Further invariants:
//! - **F6**: the SFTP pointer is set once and freed in `Library`'s drop, after every file.
//! - **F7**: a file's pointer is in `files` from its opening to its closing, and nowhere else.

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong};

use libssh2_sys as sys;

use super::table::Table;
use super::{Called, Code, Library, count, done, length};

mod entries;

pub(crate) use entries::Attributes;

unsafe extern "C" {
    fn libssh2_sftp_posix_rename_ex(
        sftp: *mut sys::LIBSSH2_SFTP,
        from: *const c_char,
        from_length: usize,
        to: *const c_char,
        to_length: usize,
    ) -> c_int;
}

/// Names an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId(u64);

/// The SFTP channel and its open files.
#[derive(Default)]
pub(super) struct Sftp {
    pointer: Option<*mut sys::LIBSSH2_SFTP>,
    files: Table<*mut sys::LIBSSH2_SFTP_HANDLE>,
}

impl Library {
    /// Opens the SFTP channel, if it is not open.
    pub(crate) fn open_sftp(&mut self) -> Called<()> {
        if self.sftp.pointer.is_some() {
            return Ok(());
        }
        let pointer = self.enter(|library| {
            // SAFETY: F1, F2.
            let pointer = unsafe { sys::libssh2_sftp_init(library.pointer) };
            library.some(pointer)
        })?;
        self.window_opened(SFTP_WINDOW_BYTES);
        self.sftp.pointer = Some(pointer);
        Ok(())
    }

    /// Returns libssh2's last error for a null pointer.
    pub(super) fn some<T>(&self, pointer: *mut T) -> Called<*mut T> {
        if pointer.is_null() {
            // SAFETY: F1, F2.
            return Err(Code(unsafe {
                sys::libssh2_session_last_errno(self.pointer)
            }));
        }
        Ok(pointer)
    }

    /// Returns the status that the server gave to the last request that failed (§7).
    pub(crate) fn sftp_status(&mut self) -> u32 {
        let Some(sftp) = self.sftp.pointer else {
            return 0;
        };
        // SAFETY: F2, F6.
        u32::try_from(unsafe { sys::libssh2_sftp_last_error(sftp) }).unwrap_or(u32::MAX)
    }

    fn on_sftp<T>(
        &mut self,
        call: impl FnOnce(&Self, *mut sys::LIBSSH2_SFTP) -> Called<T>,
    ) -> Called<T> {
        let pointer = self.sftp.pointer.ok_or(Code(sys::LIBSSH2_ERROR_BAD_USE))?;
        self.enter(|library| call(library, pointer))
    }

    fn on_file<T>(
        &mut self,
        file: FileId,
        call: impl FnOnce(*mut sys::LIBSSH2_SFTP_HANDLE) -> Called<T>,
    ) -> Called<T> {
        let pointer = self.sftp.files.get(file.0).copied();
        let pointer = pointer.ok_or(Code(sys::LIBSSH2_ERROR_BAD_USE))?;
        self.enter(|_| call(pointer))
    }

    /// Opens a file; `flags` are `LIBSSH2_FXF_*`.
    pub(crate) fn open_file(&mut self, path: &[u8], flags: c_ulong, mode: u32) -> Called<FileId> {
        let length = length(path)?;
        let pointer = self.on_sftp(|library, sftp| {
            // SAFETY: F2, F5, F6.
            let pointer = unsafe {
                sys::libssh2_sftp_open_ex(
                    sftp,
                    path.as_ptr().cast(),
                    length,
                    flags,
                    c_long::from(mode),
                    sys::LIBSSH2_SFTP_OPENFILE,
                )
            };
            library.some(pointer)
        })?;
        Ok(FileId(self.sftp.files.insert(pointer)))
    }

    /// Reads the next bytes of a file; 0 at its end.
    pub(crate) fn read_file(&mut self, file: FileId, buffer: &mut [u8]) -> Called<usize> {
        let read = self.on_file(file, |pointer| {
            // SAFETY: F2, F5, F7.
            count(unsafe {
                sys::libssh2_sftp_read(pointer, buffer.as_mut_ptr().cast(), buffer.len())
            })
        })?;
        self.wire.delivered(read);
        Ok(read)
    }

    /// Writes the next bytes of a file; returns how many the server has acknowledged.
    pub(crate) fn write_file(&mut self, file: FileId, bytes: &[u8]) -> Called<usize> {
        let written = self.on_file(file, |pointer| {
            // SAFETY: F2, F5, F7.
            count(unsafe { sys::libssh2_sftp_write(pointer, bytes.as_ptr().cast(), bytes.len()) })
        })?;
        self.wire.written(written);
        Ok(written)
    }

    /// Returns a file's size, if the server tells it.
    pub(crate) fn file_size(&mut self, file: FileId) -> Called<Option<u64>> {
        self.on_file(file, |pointer| {
            let mut attributes = sys::LIBSSH2_SFTP_ATTRIBUTES {
                flags: 0,
                filesize: 0,
                uid: 0,
                gid: 0,
                permissions: 0,
                atime: 0,
                mtime: 0,
            };
            // SAFETY: F2, F7; the attributes are ours and only filled.
            done(unsafe { sys::libssh2_sftp_fstat_ex(pointer, &raw mut attributes, 0) })?;
            let told = attributes.flags & sys::LIBSSH2_SFTP_ATTR_SIZE != 0;
            Ok(told.then_some(attributes.filesize))
        })
    }

    /// Closes a file; again after "would block".
    pub(crate) fn close_file(&mut self, file: FileId) -> Called<()> {
        let closed = self.on_file(file, |pointer| {
            // SAFETY: F2, F7: the pointer leaves `files` below once it was freed.
            done(unsafe { sys::libssh2_sftp_close_handle(pointer) })
        });
        if closed != Err(Code::AGAIN) {
            self.sftp.files.remove(file.0);
        }
        closed
    }

    /// Renames a file over another (`posix-rename@openssh.com`).
    pub(crate) fn rename_over(&mut self, from: &[u8], to: &[u8]) -> Called<()> {
        self.on_sftp(|_, sftp| {
            // SAFETY: F2, F5, F6.
            done(unsafe {
                libssh2_sftp_posix_rename_ex(
                    sftp,
                    from.as_ptr().cast(),
                    from.len(),
                    to.as_ptr().cast(),
                    to.len(),
                )
            })
        })
    }

    /// Renames a file to a name that nothing has (§6.5).
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> Called<()> {
        let (from_length, to_length): (c_uint, c_uint) = (length(from)?, length(to)?);
        self.on_sftp(|_, sftp| {
            // SAFETY: F2, F5, F6.
            done(unsafe {
                sys::libssh2_sftp_rename_ex(
                    sftp,
                    from.as_ptr().cast(),
                    from_length,
                    to.as_ptr().cast(),
                    to_length,
                    0,
                )
            })
        })
    }

    /// Removes a file.
    pub(crate) fn remove_file(&mut self, path: &[u8]) -> Called<()> {
        let length = length(path)?;
        self.on_sftp(|_, sftp| {
            // SAFETY: F2, F5, F6.
            done(unsafe { sys::libssh2_sftp_unlink_ex(sftp, path.as_ptr().cast(), length) })
        })
    }
}

impl Drop for Library {
    /// Frees files and the SFTP channel, which libssh2 does not free with the session. No callback
    /// has a context here (F4), so that none of it can wait.
    fn drop(&mut self) {
        for file in self.sftp.files.drain() {
            // SAFETY: F2, F7: taken out above, and freed once.
            unsafe { sys::libssh2_sftp_close_handle(file) };
        }
        if let Some(sftp) = self.sftp.pointer.take() {
            // SAFETY: F2, F6: taken out above, and freed once; its files are gone.
            unsafe { sys::libssh2_sftp_shutdown(sftp) };
        }
        // Channels are freed with the session.
    }
}

/// The receive window that libssh2 gives its SFTP channel (`LIBSSH2_CHANNEL_WINDOW_DEFAULT`).
const SFTP_WINDOW_BYTES: usize = 2 * 1024 * 1024;
