//! The calls into libssh2: all of the crate's unsafe code.
//!
//! [`Library`] owns one libssh2 session. Invariants, cited by the `SAFETY` comments:
//! - **F1**: `pointer` is the live session that `session` (of the `ssh2` crate) owns; it is freed
//!   only when `Library` is dropped.
//! - **F2**: every call is made through `&mut Library`, so there is one at a time per session (law
//!   S4); the `ssh2` crate's own lock is therefore never contended, and not needed for raw calls.
//! - **F3**: a channel pointer is in `channels` from its opening to its freeing, and nowhere else.
//! - **F4**: callbacks run only within a call made by [`Library::enter`], which sets the thread's
//!   context to this session's; outside it (in a drop) they find none and fail at once (law S7).
//! - **F5**: slices given to a call live until it returns; libssh2 keeps none of them, and after
//!   "would block" the same bytes are given again (law S6).
//! - **F7**: the session's "abstract" points to its [`memory::Memory`], which lives longer than the
//!   session; all blocks that libssh2 frees were made by malloc; a reference to the
//!   memory lives neither over a call into libssh2 nor, in a callback, over another's.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::sync::Arc;

use libssh2_sys as sys;

use self::callback::{Context, farewell, receive, send, set_context};
pub(crate) use self::channel::ChannelId;
pub use self::channel::OutputStream;
pub(crate) use self::conversation::Conversation;
pub(crate) use self::forward::ListenerId;
pub(crate) use self::memory::{Farewell, Refusal};
pub(crate) use self::options::supported_algorithms;
use self::raw::Raw;
use self::table::Table;
use crate::error::Libssh2Error;
use crate::wire::Wire;

mod auth;
mod callback;
mod channel;
mod conversation;
mod forward;
mod memory;
mod options;
mod raw;
mod table;

/// A negative `LIBSSH2_ERROR_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) c_int);

impl Code {
    pub(crate) const AGAIN: Self = Self(sys::LIBSSH2_ERROR_EAGAIN);
    /// The server said no to a channel's request.
    pub(crate) const REQUEST_DENIED: Self = Self(sys::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED);
}

pub(crate) type Called<T> = Result<T, Code>;

type Callback = unsafe extern "C" fn();
const CALLBACK_DISCONNECT: c_int = 2;
const CALLBACK_SEND: c_int = 5;
const CALLBACK_RECV: c_int = 6;

// In the static library that libssh2-sys builds, but not declared by it (libssh2.h).
unsafe extern "C" {
    fn libssh2_session_callback_set2(
        session: *mut sys::LIBSSH2_SESSION,
        callback_type: c_int,
        callback: Callback,
    ) -> *const c_void;
    fn libssh2_session_set_read_timeout(session: *mut sys::LIBSSH2_SESSION, seconds: c_long);
    fn libssh2_version(required: c_int) -> *const c_char;
}

/// One libssh2 session on a [`Wire`].
pub(crate) struct Library {
    session: Raw,
    pointer: *mut sys::LIBSSH2_SESSION,
    wire: Arc<Wire>,
    channels: Table<channel::Open>,
    /// Ports of the host's that it listens on for us; libssh2 frees those that are left (F1).
    listeners: Table<*mut sys::LIBSSH2_LISTENER>,
    /// Channels to our agent that the host opened and nobody has taken yet.
    guests: Vec<*mut sys::LIBSSH2_CHANNEL>,
}

// SAFETY: F1, F2: the pointers are used only through `&mut Library`, by one thread at a time, and
// libssh2 keeps nothing that belongs to a thread.
unsafe impl Send for Library {}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

impl Library {
    /// Makes a libssh2 session whose transport is `wire`.
    pub(crate) fn new(wire: Arc<Wire>) -> Result<Self, Libssh2Error> {
        let session = Raw::new().ok_or_else(|| {
            Libssh2Error::new(sys::LIBSSH2_ERROR_ALLOC, "no memory for a session")
        })?;
        let pointer = session.pointer();
        // SAFETY: libssh2 casts it back to the type it has (libssh2.h, LIBSSH2_RECV_FUNC).
        let receive = unsafe { std::mem::transmute::<*const (), Callback>(receive as *const ()) };
        // SAFETY: as above (LIBSSH2_SEND_FUNC).
        let send = unsafe { std::mem::transmute::<*const (), Callback>(send as *const ()) };
        // SAFETY: as above (LIBSSH2_DISCONNECT_FUNC).
        let farewell = unsafe { std::mem::transmute::<*const (), Callback>(farewell as *const ()) };
        // SAFETY: F1.
        unsafe { libssh2_session_callback_set2(pointer, CALLBACK_DISCONNECT, farewell) };
        // SAFETY: F1.
        unsafe { libssh2_session_callback_set2(pointer, CALLBACK_RECV, receive) };
        // SAFETY: F1.
        unsafe { libssh2_session_callback_set2(pointer, CALLBACK_SEND, send) };
        // SAFETY: F1.
        unsafe { libssh2_session_set_read_timeout(pointer, REPLY_TIMEOUT_SECONDS) };
        Ok(Self {
            session,
            pointer,
            wire,
            channels: Table::default(),
            listeners: Table::default(),
            guests: Vec::new(),
        })
    }

    /// Runs one call into libssh2 with the callbacks bound to this session.
    fn enter<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        set_context(Some(Context {
            wire: Arc::as_ptr(&self.wire),
            session: self.pointer,
        }));
        let result = call(self);
        set_context(None);
        self.guests.append(&mut forward::take_guests());
        result
    }

    /// Takes note of a channel opened with this window.
    fn window_opened(&mut self, window: usize) {
        let allowance = self.wire.window_opened(window);
        self.session.memory().allow(allowance);
    }

    /// Takes note of a channel freed, with so many bytes that nobody read.
    fn window_closed(&mut self, window: usize, unread: usize) {
        let allowance = self.wire.window_closed(window, unread);
        self.session.memory().allow(allowance);
    }

    /// Returns libssh2's last error, with its text.
    pub(crate) fn error(&self, code: Code) -> Libssh2Error {
        match self.session.last_error() {
            (last, text) if last == code => Libssh2Error::new(code.0, text),
            _ => Libssh2Error::new(code.0, "no message"),
        }
    }

    /// Sets which algorithms are offered for a method, best first; unknown ones are left out.
    pub(crate) fn prefer(&mut self, method: ssh2::MethodType, names: &str) -> Called<()> {
        self.enter(|library| library.session.method_pref(method, names))
    }

    /// Returns the negotiated algorithm.
    pub(crate) fn negotiated(&self, method: ssh2::MethodType) -> Option<String> {
        self.session.methods(method).map(str::to_owned)
    }

    pub(crate) fn handshake(&mut self) -> Called<()> {
        self.enter(|library| library.session.handshake())
    }

    /// Returns the host key's blob.
    pub(crate) fn host_key(&self) -> Option<Vec<u8>> {
        self.session.host_key().map(<[u8]>::to_vec)
    }

    /// Returns the host's SSH_MSG_DISCONNECT, if one came.
    pub(crate) fn farewell(&mut self) -> Option<Farewell> {
        self.session.memory().farewell().cloned()
    }

    /// Asks the host for a sign of life by a global request; libssh2 keeps its reply for ever, and
    /// sends none within two seconds of another.
    pub(crate) fn keepalive(&mut self) -> Called<()> {
        self.enter(|library| {
            // SAFETY: F1, F2.
            unsafe { sys::libssh2_keepalive_config(library.pointer, 1, 1) };
            let mut next = 0;
            // SAFETY: F1, F2; the out-parameter is ours.
            done(unsafe { sys::libssh2_keepalive_send(library.pointer, &raw mut next) })
        })
    }

    /// Tells the host that we leave (RFC 4253 §11.1).
    pub(crate) fn disconnect(&mut self) -> Called<()> {
        self.enter(|library| library.session.disconnect("bye"))
    }
}

/// Returns the version of the libssh2 that is linked.
pub(crate) fn version() -> &'static str {
    // SAFETY: libssh2 returns a C string that lives for ever, or null for a version it has not.
    let version = unsafe { libssh2_version(0) };
    if version.is_null() {
        return "unknown";
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(version) }
        .to_str()
        .unwrap_or("unknown")
}

/// libssh2's own timeout of replies; far off, because our deadlines are the ones that count (S8).
const REPLY_TIMEOUT_SECONDS: c_long = 10 * 365 * 24 * 3600;

fn done(code: c_int) -> Called<()> {
    if code < 0 { Err(Code(code)) } else { Ok(()) }
}

fn count(code: isize) -> Called<usize> {
    usize::try_from(code).map_err(|_| Code(c_int::try_from(code).unwrap_or(c_int::MIN)))
}

fn length(bytes: &[u8]) -> Called<c_uint> {
    c_uint::try_from(bytes.len()).map_err(|_| Code(sys::LIBSSH2_ERROR_INVAL))
}

/// Makes a C string, refusing NUL bytes.
pub(crate) fn c_string(text: &[u8]) -> Result<CString, crate::ApiMisuse> {
    CString::new(text).map_err(|_| crate::ApiMisuse::NulByte)
}
