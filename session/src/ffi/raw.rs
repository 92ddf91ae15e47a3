//! One libssh2 session, owned: made with our allocator, freed when dropped.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use libssh2_sys as sys;
use ssh2::MethodType;

use super::memory::{self, Memory};
use super::{Called, Code, done};

/// A session with the memory that its callbacks share.
pub(super) struct Raw {
    pointer: *mut sys::LIBSSH2_SESSION,
    /// From `Box::into_raw`: libssh2 keeps this pointer, so no box may claim it meanwhile (F7).
    memory: *mut Memory,
}

impl Raw {
    pub(super) fn new() -> Option<Self> {
        sys::init();
        let memory: *mut Memory = Box::into_raw(Box::default());
        // SAFETY: the callbacks have the types that libssh2.h asks for; F7 is what they rely on.
        let pointer = unsafe {
            sys::libssh2_session_init_ex(
                Some(memory::allocate),
                Some(memory::free),
                Some(memory::reallocate),
                memory.cast::<c_void>(),
            )
        };
        // Dropping it frees the memory in either case.
        let raw = Self { pointer, memory };
        if pointer.is_null() {
            return None;
        }
        // SAFETY: F1.
        unsafe { sys::libssh2_session_set_blocking(pointer, 0) };
        Some(raw)
    }

    pub(super) fn pointer(&self) -> *mut sys::LIBSSH2_SESSION {
        self.pointer
    }

    /// Returns what the callbacks share; not to be held over a call into libssh2.
    pub(super) fn memory(&mut self) -> &mut Memory {
        // SAFETY: F7: made in `new`, freed in `drop`, and no call into libssh2 runs meanwhile.
        unsafe { &mut *self.memory }
    }

    /// Returns libssh2's last error.
    pub(super) fn last_error(&self) -> (Code, String) {
        let mut text: *mut c_char = ptr::null_mut();
        // SAFETY: F1; the text stays libssh2's, which copies nothing for a last argument of 0.
        let code = unsafe {
            sys::libssh2_session_last_error(self.pointer, &raw mut text, ptr::null_mut(), 0)
        };
        if text.is_null() {
            return (Code(code), String::new());
        }
        // SAFETY: F1: a C string that lives until the next call.
        let text = unsafe { CStr::from_ptr(text) };
        (Code(code), text.to_string_lossy().into_owned())
    }

    pub(super) fn handshake(&mut self) -> Called<()> {
        // SAFETY: F1. The number stands for a descriptor and never is one (law S2).
        done(unsafe { sys::libssh2_session_handshake(self.pointer, c_int::MAX) })
    }

    pub(super) fn method_pref(&mut self, method: MethodType, names: &str) -> Called<()> {
        let names = CString::new(names).map_err(|_| Code(sys::LIBSSH2_ERROR_INVAL))?;
        // SAFETY: F1, F5.
        done(unsafe {
            sys::libssh2_session_method_pref(self.pointer, method as c_int, names.as_ptr())
        })
    }

    pub(super) fn methods(&self, method: MethodType) -> Option<&str> {
        // SAFETY: F1.
        let name = unsafe { sys::libssh2_session_methods(self.pointer, method as c_int) };
        if name.is_null() {
            return None;
        }
        // SAFETY: a C string of libssh2's own, which lives for ever.
        unsafe { CStr::from_ptr(name) }.to_str().ok()
    }

    pub(super) fn host_key(&self) -> Option<&[u8]> {
        let (mut length, mut sort) = (0, 0);
        // SAFETY: F1; the out-parameters are ours.
        let key =
            unsafe { sys::libssh2_session_hostkey(self.pointer, &raw mut length, &raw mut sort) };
        if key.is_null() {
            return None;
        }
        // SAFETY: libssh2 gives the key with this length; it changes in a later key exchange only,
        // which needs `&mut`.
        Some(unsafe { std::slice::from_raw_parts(key.cast::<u8>(), length) })
    }

    pub(super) fn disconnect(&mut self, text: &CStr) -> Called<()> {
        // SAFETY: F1, F5.
        done(unsafe {
            sys::libssh2_session_disconnect_ex(
                self.pointer,
                sys::SSH_DISCONNECT_BY_APPLICATION,
                text.as_ptr(),
                c"".as_ptr(),
            )
        })
    }

    pub(super) fn authenticated(&self) -> bool {
        // SAFETY: F1.
        unsafe { sys::libssh2_userauth_authenticated(self.pointer) != 0 }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if !self.pointer.is_null() {
            // SAFETY: F1: the last use of the session.
            unsafe { sys::libssh2_session_free(self.pointer) };
        }
        // SAFETY: F7: made by `Box::into_raw`, and the session that knew it is gone.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}
