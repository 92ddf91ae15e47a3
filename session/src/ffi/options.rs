//! What a session or a channel is set to before it is used.

use std::ffi::c_uint;
use std::ptr;

use libssh2_sys as sys;

use super::channel::Open;
use super::{Called, ChannelId, Code, Library, done, length};

impl Library {
    /// Lets the two sides agree on compression; before the preferences are set.
    pub(crate) fn allow_compression(&mut self) {
        self.session.allow_compression();
    }

    /// Asks the host for a channel of a kind that it cannot have, for the sake of its refusal; until
    /// that is there the call must be repeated, and no other channel be opened. A host that opens
    /// one all the same gives a channel to be freed.
    pub(crate) fn ask(&mut self) -> Called<Option<ChannelId>> {
        const KIND: &[u8] = b"keepalive@sshoal";
        const WINDOW: u32 = 1;
        let opened = self.enter(|library| {
            // SAFETY: F1, F2, F5; a message of no length may be null.
            let pointer = unsafe {
                sys::libssh2_channel_open_ex(
                    library.pointer,
                    KIND.as_ptr().cast(),
                    KIND.len() as c_uint,
                    WINDOW,
                    sys::LIBSSH2_CHANNEL_PACKET_DEFAULT,
                    ptr::null(),
                    0,
                )
            };
            if pointer.is_null() {
                // SAFETY: F1, F2.
                return Err(Code(unsafe {
                    sys::libssh2_session_last_errno(library.pointer)
                }));
            }
            Ok(pointer)
        });
        match opened {
            Ok(pointer) => {
                self.window_opened(WINDOW as usize);
                let window = WINDOW;
                let channel = self.channels.insert(Open {
                    pointer,
                    window,
                    granting: None,
                    _place: None,
                });
                Ok(Some(ChannelId(channel)))
            }
            Err(Code(sys::LIBSSH2_ERROR_CHANNEL_FAILURE)) => Ok(None),
            Err(code) => Err(code),
        }
    }

    /// Sets a variable for what the channel will run (RFC 4254 §6.4).
    pub(crate) fn set_variable(
        &mut self,
        channel: ChannelId,
        name: &[u8],
        value: &[u8],
    ) -> Called<()> {
        let (name_length, value_length) = (length(name)?, length(value)?);
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5.
            done(unsafe {
                sys::libssh2_channel_setenv_ex(
                    pointer,
                    name.as_ptr().cast(),
                    name_length,
                    value.as_ptr().cast(),
                    value_length,
                )
            })
        })
    }
}

/// Returns the algorithms that the linked libssh2 has; none where memory is short.
pub(crate) fn supported_algorithms(method: ssh2::MethodType) -> Vec<&'static str> {
    let session = ssh2::Session::new();
    let names = session.and_then(|session| session.supported_algs(method));
    names.unwrap_or_default()
}
