//! Authentication requests (RFC 4252).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libssh2_sys as sys;

use super::callback::sign;
use super::{Called, Code, Library, done, length};
use crate::sign::Signing;

type SignCallback = unsafe extern "C" fn(
    *mut sys::LIBSSH2_SESSION,
    *mut *mut u8,
    *mut usize,
    *const u8,
    usize,
    *mut *mut c_void,
) -> c_int;

// In the static library that libssh2-sys builds, but not declared by it (libssh2.h).
unsafe extern "C" {
    fn libssh2_userauth_publickey(
        session: *mut sys::LIBSSH2_SESSION,
        user: *const c_char,
        blob: *const u8,
        blob_length: usize,
        sign: SignCallback,
        context: *mut *mut c_void,
    ) -> c_int;
}

impl Library {
    /// Asks for authentication by a public key; signs through `signing` (law S9).
    pub(crate) fn auth_public_key(
        &mut self,
        user: &CStr,
        blob: &[u8],
        signing: &mut Signing,
    ) -> Called<()> {
        let mut context: *mut c_void = ptr::from_mut(signing).cast();
        self.enter(|library| {
            // SAFETY: F1, F2, F5; the context outlives the call, and only `sign` uses it.
            let code = unsafe {
                libssh2_userauth_publickey(
                    library.pointer,
                    user.as_ptr(),
                    blob.as_ptr(),
                    blob.len(),
                    sign,
                    &raw mut context,
                )
            };
            done(code)
        })
    }

    /// Asks for authentication by password; a demand to change it is refused.
    pub(crate) fn auth_password(&mut self, user: &CStr, password: &[u8]) -> Called<()> {
        let user = user.to_bytes();
        let (user_length, length) = (length(user)?, length(password)?);
        self.enter(|library| {
            // SAFETY: F1, F2, F5.
            let code = unsafe {
                sys::libssh2_userauth_password_ex(
                    library.pointer,
                    user.as_ptr().cast(),
                    user_length,
                    password.as_ptr().cast(),
                    length,
                    None,
                )
            };
            done(code)
        })
    }

    /// Asks which methods can continue, by the method `none` (RFC 4252 §5.2); `None` if the server
    /// let the user in without any.
    pub(crate) fn auth_methods(&mut self, user: &CStr) -> Called<Option<String>> {
        let length = length(user.to_bytes())?;
        self.enter(|library| {
            // SAFETY: F1, F2, F5.
            let list =
                unsafe { sys::libssh2_userauth_list(library.pointer, user.as_ptr(), length) };
            if list.is_null() {
                // SAFETY: F1, F2.
                let code = unsafe { sys::libssh2_session_last_errno(library.pointer) };
                return if library.session.authenticated() {
                    Ok(None)
                } else {
                    Err(Code(code))
                };
            }
            // SAFETY: F1: libssh2 returns a C string that lives until its next call.
            let list = unsafe { CStr::from_ptr(list) };
            Ok(Some(list.to_string_lossy().into_owned()))
        })
    }
}
