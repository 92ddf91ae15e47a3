//! Connections that the host asks us to take: from its ports (RFC 4254 §7.1), to our agent.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};

use libssh2_sys as sys;

use super::channel::Open;
use super::{Callback, Called, ChannelId, Code, Library, done, libssh2_session_callback_set2};

/// `LIBSSH2_CALLBACK_AUTHAGENT` (libssh2.h).
const CALLBACK_AUTHAGENT: c_int = 7;

// In the static library that libssh2-sys builds, but not declared by it (libssh2.h).
unsafe extern "C" {
    fn libssh2_channel_request_auth_agent(channel: *mut sys::LIBSSH2_CHANNEL) -> c_int;
    fn libssh2_channel_forward_cancel(listener: *mut sys::LIBSSH2_LISTENER) -> c_int;
    fn libssh2_channel_forward_accept(
        listener: *mut sys::LIBSSH2_LISTENER,
    ) -> *mut sys::LIBSSH2_CHANNEL;
    fn libssh2_channel_forward_listen_ex(
        session: *mut sys::LIBSSH2_SESSION,
        host: *const c_char,
        port: c_int,
        bound_port: *mut c_int,
        queue_maxsize: c_int,
    ) -> *mut sys::LIBSSH2_LISTENER;
}

/// Names a port of the host's that a [`Library`] listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenerId(u64);

/// What a channel to our agent may fill of the window that libssh2 grants it: requests are small, and
/// the host opens as many channels as it likes.
const GUEST_WINDOW_BYTES: u32 = 32 * 1024;
/// Connections that wait to be taken; more are refused by libssh2.
const WAITING_MAX: c_int = 16;

thread_local! {
    /// Channels to our agent that the host opened during the call that runs on this thread.
    static GUESTS: RefCell<Vec<*mut sys::LIBSSH2_CHANNEL>> = const { RefCell::new(Vec::new()) };
}

// Not inlined: the address of a thread-local must not be kept across a switch (law G5).
#[inline(never)]
pub(super) fn take_guests() -> Vec<*mut sys::LIBSSH2_CHANNEL> {
    GUESTS.with_borrow_mut(std::mem::take)
}

/// libssh2's callback for a channel to our agent; it has confirmed it already.
unsafe extern "C" fn welcome(
    _session: *mut sys::LIBSSH2_SESSION,
    channel: *mut sys::LIBSSH2_CHANNEL,
    _context: *mut *mut c_void,
) {
    GUESTS.with_borrow_mut(|guests| guests.push(channel));
}

impl Library {
    /// Returns libssh2's last error for a null pointer.
    fn some<T>(&self, pointer: *mut T) -> Called<*mut T> {
        if pointer.is_null() {
            // SAFETY: F1, F2.
            return Err(Code(unsafe {
                sys::libssh2_session_last_errno(self.pointer)
            }));
        }
        Ok(pointer)
    }

    /// Lets the host open channels to our agent from here on; libssh2 refuses them otherwise.
    pub(crate) fn welcome_agents(&mut self) {
        // SAFETY: libssh2 casts it back to the type it has (libssh2.h, LIBSSH2_AUTHAGENT_FUNC).
        let welcome = unsafe { std::mem::transmute::<*const (), Callback>(welcome as *const ()) };
        // SAFETY: F1.
        unsafe { libssh2_session_callback_set2(self.pointer, CALLBACK_AUTHAGENT, welcome) };
    }

    /// Tells the host that it may ask our agent while this channel's command runs.
    pub(crate) fn request_agent(&mut self, channel: ChannelId) -> Called<()> {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            done(unsafe { libssh2_channel_request_auth_agent(pointer) })
        })
    }

    /// Returns the next channel that the host opened to our agent, if there is one.
    pub(crate) fn next_guest(&mut self) -> Option<ChannelId> {
        let pointer = self.guests.pop()?;
        Some(self.adopt(pointer, GUEST_WINDOW_BYTES))
    }

    /// Has the host listen on an address and port of its own, 0 for any; returns the port.
    pub(crate) fn listen(&mut self, address: &CStr, port: u16) -> Called<(ListenerId, u16)> {
        let mut bound = c_int::from(port);
        let pointer = self.enter(|library| {
            // SAFETY: F1, F2, F5; the out-parameter is ours.
            let pointer = unsafe {
                libssh2_channel_forward_listen_ex(
                    library.pointer,
                    address.as_ptr(),
                    c_int::from(port),
                    &raw mut bound,
                    WAITING_MAX,
                )
            };
            library.some(pointer)
        })?;
        let bound = u16::try_from(bound).unwrap_or(0);
        Ok((ListenerId(self.listeners.insert(pointer)), bound))
    }

    /// Takes the next connection that came to a listener.
    pub(crate) fn accept(&mut self, listener: ListenerId) -> Called<ChannelId> {
        let Some(pointer) = self.listeners.get(listener.0).copied() else {
            return Err(Code(sys::LIBSSH2_ERROR_BAD_USE));
        };
        let channel = self.enter(|library| {
            // SAFETY: F1, F2: a listener's pointer is in `listeners` until it is freed.
            library.some(unsafe { libssh2_channel_forward_accept(pointer) })
        })?;
        // libssh2 has granted it so much (packet.c).
        Ok(self.adopt(channel, sys::LIBSSH2_CHANNEL_WINDOW_DEFAULT))
    }

    /// Ends a listener; again after "would block".
    pub(crate) fn unlisten(&mut self, listener: ListenerId) -> Called<()> {
        let Some(pointer) = self.listeners.get(listener.0).copied() else {
            return Ok(());
        };
        let ended = self.enter(|_| {
            // SAFETY: F1, F2: it leaves `listeners` below once it was freed.
            done(unsafe { libssh2_channel_forward_cancel(pointer) })
        });
        if ended != Err(Code::AGAIN) {
            self.listeners.remove(listener.0);
        }
        ended
    }

    fn adopt(&mut self, pointer: *mut sys::LIBSSH2_CHANNEL, window: u32) -> ChannelId {
        self.window_opened(window as usize);
        ChannelId(self.channels.insert(Open { pointer, window }))
    }
}
