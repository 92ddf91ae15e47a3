//! What libssh2 calls: receive, send, sign, and the host's farewell.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libssh2_sys as sys;

use super::memory;
use crate::sign::Signing;
use crate::wire::{Broken, Received, Wire};

/// A session's wire and pointer, while a call into libssh2 runs on this thread.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) wire: *const Wire,
    pub(super) session: *mut sys::LIBSSH2_SESSION,
}

thread_local! {
    static CONTEXT: Cell<Option<Context>> = const { Cell::new(None) };
}

// Not inlined: the address of a thread-local must not be kept across a switch (law G5).
#[inline(never)]
pub(super) fn set_context(context: Option<Context>) {
    CONTEXT.with(|place| place.set(context));
}

#[inline(never)]
fn context() -> Option<Context> {
    CONTEXT.with(Cell::get)
}

/// libssh2's receive callback: bytes, or a negative `errno`. It never tells the end of the stream:
/// libssh2 would not give what it has received before it any more.
pub(super) unsafe extern "C" fn receive(
    _descriptor: c_int,
    buffer: *mut c_void,
    length: usize,
    _flags: c_int,
    _context: *mut *mut c_void,
) -> isize {
    let Some(context) = context() else {
        return -(libc::ECONNABORTED as isize);
    };
    // SAFETY: F4: the wire lives as long as the call that set the context.
    let wire = unsafe { &*context.wire };
    // SAFETY: libssh2 gives a buffer of this length, of which nothing is read before it is set.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    loop {
        match wire.receive(buffer) {
            Received::Bytes(bytes) => return bytes.cast_signed(),
            Received::Nothing => return -(libc::EAGAIN as isize),
            Received::Failed => return -(libc::ECONNABORTED as isize),
            Received::NeedCipher => {
                if !pin_methods(context.session, wire) {
                    wire.break_off(Broken::Overstepped("unreadable methods", true));
                }
            }
        }
    }
}

/// Ends the connection that the running call is of, whose host went past a bound.
pub(super) fn break_off(what: &'static str) {
    end(Broken::Overstepped(what, false));
}

/// Ends the connection that the running call is of, whose host broke the protocol.
pub(super) fn break_off_breach(what: &'static str) {
    end(Broken::Overstepped(what, true));
}

fn end(why: Broken) {
    if let Some(context) = context() {
        // SAFETY: F4.
        let wire = unsafe { &*context.wire };
        wire.break_off(why);
    }
}

/// Reads what the first key exchange settled on, tells the wire, and offers nothing else in later
/// exchanges, so that a hostile one cannot change the framing (law S3).
fn pin_methods(session: *mut sys::LIBSSH2_SESSION, wire: &Wire) -> bool {
    let name = |method: c_int| {
        // SAFETY: F1, F4: the session lives as long as the call that set the context.
        let name = unsafe { sys::libssh2_session_methods(session, method) };
        // SAFETY: a C string of libssh2's own, which lives for ever.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    };
    for method in [
        sys::LIBSSH2_METHOD_CRYPT_CS,
        sys::LIBSSH2_METHOD_CRYPT_SC,
        sys::LIBSSH2_METHOD_MAC_CS,
        sys::LIBSSH2_METHOD_MAC_SC,
    ] {
        // The MAC under AES-GCM has a name that is not one of the wire's.
        let Some(name) = name(method).filter(|n| !n.to_bytes().starts_with(b"INTEGRATED")) else {
            continue;
        };
        // SAFETY: F1, F4, F5.
        if unsafe { sys::libssh2_session_method_pref(session, method, name.as_ptr()) } != 0 {
            return false;
        }
    }
    let text = |method| name(method).and_then(|name| name.to_str().ok());
    let Some(cipher) = text(sys::LIBSSH2_METHOD_CRYPT_SC) else {
        return false;
    };
    wire.set_cipher(cipher, text(sys::LIBSSH2_METHOD_MAC_SC).unwrap_or(""));
    true
}

/// libssh2's send callback: takes everything (law S1).
pub(super) unsafe extern "C" fn send(
    _descriptor: c_int,
    bytes: *const c_void,
    length: usize,
    _flags: c_int,
    _context: *mut *mut c_void,
) -> isize {
    let Some(context) = context() else {
        return -(libc::ECONNABORTED as isize);
    };
    // SAFETY: F4.
    let wire = unsafe { &*context.wire };
    // SAFETY: libssh2 gives a buffer of this length.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    if wire.send(bytes) {
        length.cast_signed()
    } else {
        -(libc::ECONNABORTED as isize)
    }
}

/// libssh2's signing callback (law S9): "would block" until the signature is there.
pub(super) unsafe extern "C" fn sign(
    session: *mut sys::LIBSSH2_SESSION,
    signature: *mut *mut u8,
    signature_length: *mut usize,
    data: *const u8,
    length: usize,
    context: *mut *mut c_void,
) -> c_int {
    // SAFETY: the context is the one that `auth_public_key` gave, alive during its call.
    let signing = unsafe { *context }.cast::<Signing>();
    // SAFETY: as above, and nobody else refers to it meanwhile.
    let signing = unsafe { &mut *signing };
    // SAFETY: libssh2 gives the data with this length.
    let data = unsafe { std::slice::from_raw_parts(data, length) };
    match signing.answer(data) {
        Ok(None) => sys::LIBSSH2_ERROR_EAGAIN,
        Err(()) => sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED,
        Ok(Some(made)) => {
            // SAFETY: the session's abstract, of which libssh2 frees what it gets here.
            let place = unsafe { sys::libssh2_session_abstract(session) };
            let copy = memory::allocate(made.len().max(1), place).cast::<u8>();
            if copy.is_null() {
                return sys::LIBSSH2_ERROR_ALLOC;
            }
            // SAFETY: the copy has room for it, and the two do not overlap.
            unsafe { ptr::copy_nonoverlapping(made.as_ptr(), copy, made.len()) };
            // SAFETY: the out-parameters are libssh2's.
            unsafe { *signature = copy };
            // SAFETY: as above.
            unsafe { *signature_length = made.len() };
            0
        }
    }
}

/// libssh2's callback for SSH_MSG_DISCONNECT; the reason is kept, as libssh2 keeps none.
pub(super) unsafe extern "C" fn farewell(
    _session: *mut sys::LIBSSH2_SESSION,
    reason: c_int,
    text: *const c_char,
    text_length: c_int,
    _language: *const c_char,
    _language_length: c_int,
    context: *mut *mut c_void,
) {
    // SAFETY: F7.
    let memory = unsafe { memory::memory(context) };
    // SAFETY: libssh2 gives the text with this length, or none.
    let text = unsafe { bytes(text, usize::try_from(text_length).unwrap_or(0)) };
    memory.note_farewell(reason, text);
}

/// Bytes that libssh2 gave with their length; none at all may have no place either.
///
/// # Safety
///
/// The pointer is null or that of so many bytes, which live as long as they are used.
pub(super) unsafe fn bytes<'a>(pointer: *const c_char, length: usize) -> &'a [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(pointer.cast(), length) }
}
