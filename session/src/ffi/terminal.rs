//! A channel's pseudo-terminal (RFC 4254 §6.2, §6.7).

use std::ffi::c_int;

use libssh2_sys as sys;

use super::{Called, ChannelId, Code, Library, done, length};
use crate::launch::Pty;

impl Library {
    /// Requests a pseudo-terminal for what the channel will run.
    pub(crate) fn request_pty(&mut self, channel: ChannelId, pty: &Pty) -> Called<()> {
        let (term, modes) = (pty.term(), pty.encoded_modes());
        let (term_length, modes_length) = (length(term.as_bytes())?, length(&modes)?);
        let (width, height) = characters(pty.size())?;
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5: both are copied into the request by the first call.
            done(unsafe {
                sys::libssh2_channel_request_pty_ex(
                    pointer,
                    term.as_ptr().cast(),
                    term_length,
                    modes.as_ptr().cast(),
                    modes_length,
                    width,
                    height,
                    0,
                    0,
                )
            })
        })
    }

    /// Tells the size of the channel's pseudo-terminal; there is no reply to it.
    pub(crate) fn resize(&mut self, channel: ChannelId, columns: u32, rows: u32) -> Called<()> {
        let (width, height) = characters((columns, rows))?;
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            done(unsafe { sys::libssh2_channel_request_pty_size_ex(pointer, width, height, 0, 0) })
        })
    }
}

fn characters((columns, rows): (u32, u32)) -> Called<(c_int, c_int)> {
    match (c_int::try_from(columns), c_int::try_from(rows)) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(Code(sys::LIBSSH2_ERROR_INVAL)),
    }
}
