//! Authentication requests (RFC 4252).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libssh2_sys as sys;

use super::callback::sign;
use super::conversation::respond;
use super::{Called, Code, Conversation, Library, Refusal, done, length};
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
    /// Erases what libssh2 frees from here on, and looks for refusals, or no longer does.
    pub(crate) fn watch_memory(&mut self, on: bool) {
        self.session.memory().watch(on);
    }

    /// Takes the server's last refusal since the last call of this or of `watch_memory`.
    pub(crate) fn take_refusal(&mut self) -> Option<Refusal> {
        self.session.memory().take_refusal()
    }

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
                    Some(refuse_change),
                )
            };
            done(code)
        })
    }

    /// Asks for authentication by keyboard-interactive; whatever the conversation waits for is
    /// waited for here. It is given back with the result.
    pub(crate) fn auth_keyboard_interactive(
        &mut self,
        user: &CStr,
        conversation: &mut Option<Box<Conversation>>,
    ) -> Called<()> {
        let user = user.to_bytes();
        let user_length = length(user)?;
        self.session.memory().conversation = conversation.take();
        let result = self.enter(|library| {
            // SAFETY: F1, F2, F5, F7.
            let code = unsafe {
                sys::libssh2_userauth_keyboard_interactive_ex(
                    library.pointer,
                    user.as_ptr().cast(),
                    user_length,
                    Some(respond),
                )
            };
            done(code)
        });
        *conversation = self.session.memory().conversation.take();
        result
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

/// libssh2's callback for a demand to change the password. Giving none makes libssh2 tell the demand
/// apart from a refusal, which it does not without a callback.
extern "C" fn refuse_change(
    _session: *mut sys::LIBSSH2_SESSION,
    _password: *mut *mut c_char,
    _length: *mut c_int,
    _context: *mut *mut c_void,
) {
}
