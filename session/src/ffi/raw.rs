//! One session of the `ssh2` crate, with an allocator of ours under it.

use std::ffi::c_void;
use std::ptr;
use std::sync::LazyLock;

use libssh2_sys as sys;
use ssh2::{ErrorCode, MethodType};

use super::memory::{self, Memory};
use super::{Called, Code};

/// A number that libssh2 takes for a descriptor and that never is one (law S2).
struct NoDescriptor;

impl std::os::fd::AsRawFd for NoDescriptor {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        i32::MAX
    }
}

/// A session with the memory that its callbacks share.
pub(super) struct Raw {
    /// Dropped before the memory that it uses.
    session: ssh2::Session,
    pointer: *mut sys::LIBSSH2_SESSION,
    memory: Shared,
}

/// From `Box::into_raw`: libssh2 keeps this pointer, so no box may claim it meanwhile (F7).
struct Shared(*mut Memory);

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: F7: made by `Box::into_raw`, and the session that knew it is gone.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// What a libssh2 session begins with (`libssh2_priv.h`, `struct _LIBSSH2_SESSION`): the "abstract"
/// that `libssh2_session_abstract` gives the address of, and its allocator.
///
/// The `ssh2` crate gives no way to name an allocator. That the words are where they are is looked
/// up in a session that was made with ours ([`IS_AS_KNOWN`]), in the one version that is built.
#[repr(C)]
struct Head {
    context: *mut c_void,
    allocate: usize,
    reallocate: usize,
    free: usize,
}

static OURS: LazyLock<[usize; 3]> = LazyLock::new(|| {
    [
        memory::allocate as *const () as usize,
        memory::reallocate as *const () as usize,
        memory::free as *const () as usize,
    ]
});

/// Whether a session made with our allocator has it where [`Head`] says.
static IS_AS_KNOWN: LazyLock<bool> = LazyLock::new(|| {
    sys::init();
    let memory = Shared(Box::into_raw(Box::default()));
    // SAFETY: the callbacks have the types that libssh2.h asks for; F7 is what they rely on.
    let pointer = unsafe {
        sys::libssh2_session_init_ex(
            Some(memory::allocate),
            Some(memory::free),
            Some(memory::reallocate),
            memory.0.cast::<c_void>(),
        )
    };
    if pointer.is_null() {
        return false;
    }
    // SAFETY: libssh2 gives the address of a member of the session, which is larger than a `Head`.
    let head = unsafe { libssh2_session_abstract(pointer) }.cast::<Head>();
    // SAFETY: as above; any bytes are a `Head`.
    let head = unsafe { head.read() };
    let found = [head.allocate, head.reallocate, head.free];
    // SAFETY: made above, and used nowhere else.
    unsafe { sys::libssh2_session_free(pointer) };
    head.context == memory.0.cast() && found == *OURS
});

unsafe extern "C" {
    fn libssh2_session_abstract(session: *mut sys::LIBSSH2_SESSION) -> *mut *mut c_void;
}

impl Raw {
    /// Makes a session; `None` where memory is short, or libssh2 is not the one that is known.
    pub(super) fn new() -> Option<Self> {
        if !*IS_AS_KNOWN {
            return None;
        }
        let mut session = ssh2::Session::new().ok()?;
        session.set_blocking(false);
        session.set_tcp_stream(NoDescriptor);
        let pointer: *mut sys::LIBSSH2_SESSION = {
            let mut guard = session.raw();
            &raw mut *guard
        };
        let memory = Shared(Box::into_raw(Box::default()));
        // SAFETY: F1; the address of a member of the session, found to be a `Head`.
        let head = unsafe { libssh2_session_abstract(pointer) }.cast::<Head>();
        let [allocate, reallocate, free] = *OURS;
        let ours = Head {
            context: memory.0.cast(),
            allocate,
            reallocate,
            free,
        };
        // SAFETY: as above. What libssh2 has allocated so far came from malloc, as ours does (F7).
        unsafe { ptr::write(head, ours) };
        Some(Self {
            session,
            pointer,
            memory,
        })
    }

    pub(super) fn pointer(&self) -> *mut sys::LIBSSH2_SESSION {
        self.pointer
    }

    /// Returns what the callbacks share; not to be held over a call into libssh2.
    pub(super) fn memory(&mut self) -> &mut Memory {
        // SAFETY: F7: made in `new`, freed in `drop`, and no call into libssh2 runs meanwhile.
        unsafe { &mut *self.memory.0 }
    }

    /// Returns libssh2's last error.
    pub(super) fn last_error(&self) -> (Code, String) {
        match ssh2::Error::last_session_error(&self.session) {
            Some(error) => (code(&error), error.message().to_owned()),
            None => (Code(0), String::new()),
        }
    }

    pub(super) fn allow_compression(&mut self) {
        self.session.set_compress(true);
    }

    pub(super) fn handshake(&mut self) -> Called<()> {
        self.session.handshake().map_err(|error| code(&error))
    }

    pub(super) fn method_pref(&mut self, method: MethodType, names: &str) -> Called<()> {
        let set = self.session.method_pref(method, names);
        set.map_err(|error| code(&error))
    }

    pub(super) fn methods(&self, method: MethodType) -> Option<&str> {
        self.session.methods(method)
    }

    pub(super) fn host_key(&self) -> Option<&[u8]> {
        self.session.host_key().map(|(blob, _)| blob)
    }

    pub(super) fn disconnect(&mut self, text: &str) -> Called<()> {
        let told = self.session.disconnect(None, text, None);
        told.map_err(|error| code(&error))
    }

    pub(super) fn authenticated(&self) -> bool {
        self.session.authenticated()
    }
}

fn code(error: &ssh2::Error) -> Code {
    match error.code() {
        ErrorCode::Session(code) => Code(code),
        ErrorCode::SFTP(_) => Code(sys::LIBSSH2_ERROR_SFTP_PROTOCOL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The allocator is where the `ssh2` crate's session will be given ours; a libssh2 that differs
    /// makes no session at all, and this test says why.
    #[test]
    fn sessions_begin_with_their_allocator() {
        assert!(*IS_AS_KNOWN);
        assert!(Raw::new().is_some());
    }
}
