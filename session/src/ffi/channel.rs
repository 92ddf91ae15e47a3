//! Channels (RFC 4254 §5, §6): open, exec, read, write, end.

use std::ffi::{c_char, c_int, c_ulong};
use std::ptr;

use libssh2_sys as sys;

use super::{Called, Code, Library, count, done, length};
use crate::channels::Place;
use crate::exit::Exit;

unsafe extern "C" {
    fn libssh2_channel_has_exit_status(channel: *mut sys::LIBSSH2_CHANNEL) -> c_int;
    fn libssh2_channel_signal_ex(
        channel: *mut sys::LIBSSH2_CHANNEL,
        name: *const c_char,
        name_length: usize,
    ) -> c_int;
}

/// Names a channel of a [`Library`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelId(pub(super) u64);

/// The two streams that a channel carries towards us (RFC 4254 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 4254 §5.2 defines no third")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A channel that libssh2 knows.
pub(super) struct Open {
    pub(super) pointer: *mut sys::LIBSSH2_CHANNEL,
    pub(super) window: u32,
    /// A grant that libssh2 could not send yet: it is made again as it was (law S6).
    pub(super) granting: Option<c_ulong>,
    /// Its place below the host's limit, given back when it was freed.
    pub(super) _place: Option<Place>,
}

impl Library {
    /// Opens a channel of this kind with this receive window; `message` is what the kind adds to
    /// the request (RFC 4254 §5.1).
    pub(crate) fn open_channel(
        &mut self,
        kind: &str,
        window: u32,
        message: &[u8],
    ) -> Called<ChannelId> {
        let (kind_length, message_length) = (length(kind.as_bytes())?, length(message)?);
        let message = if message.is_empty() {
            ptr::null()
        } else {
            message.as_ptr().cast()
        };
        let pointer = self.enter(|library| {
            // SAFETY: F1, F2, F5.
            let pointer = unsafe {
                sys::libssh2_channel_open_ex(
                    library.pointer,
                    kind.as_ptr().cast(),
                    kind_length,
                    window,
                    sys::LIBSSH2_CHANNEL_PACKET_DEFAULT,
                    message,
                    message_length,
                )
            };
            if pointer.is_null() {
                // SAFETY: F1, F2.
                return Err(Code(unsafe {
                    sys::libssh2_session_last_errno(library.pointer)
                }));
            }
            Ok(pointer)
        })?;
        self.window_opened(window as usize);
        Ok(ChannelId(self.channels.insert(Open {
            pointer,
            window,
            granting: None,
            _place: None,
        })))
    }

    /// Gives a channel its place below the host's limit, to be kept until it was freed.
    pub(crate) fn give_place(&mut self, channel: ChannelId, place: Place) {
        if let Some(open) = self.channels.get_mut(channel.0) {
            open._place = Some(place);
        }
    }

    /// Takes in what has come, and returns whether the host has ended a channel.
    pub(crate) fn is_over(&mut self, channel: ChannelId) -> bool {
        let read = self.read(channel, OutputStream::Stdout, &mut []);
        read != Err(Code::AGAIN) || self.is_at_end(channel)
    }

    /// Returns how many bytes of a channel's first stream are here unread; asks the host nothing.
    pub(crate) fn unread(&mut self, channel: ChannelId) -> usize {
        let mut unread: c_ulong = 0;
        let counted = self.on(channel, |pointer| {
            // SAFETY: F2, F3; the out-parameter is ours.
            unsafe {
                sys::libssh2_channel_window_read_ex(pointer, &raw mut unread, ptr::null_mut())
            };
            Ok(())
        });
        counted.map_or(0, |()| usize::try_from(unread).unwrap_or(usize::MAX))
    }

    /// Runs a call on an open channel; one that was freed gives an error.
    pub(super) fn on<T>(
        &mut self,
        channel: ChannelId,
        call: impl FnOnce(*mut sys::LIBSSH2_CHANNEL) -> Called<T>,
    ) -> Called<T> {
        let Some(open) = self.channels.get(channel.0) else {
            return Err(Code(sys::LIBSSH2_ERROR_CHANNEL_CLOSED));
        };
        let pointer = open.pointer;
        self.enter(|_| call(pointer))
    }

    /// Requests that the channel runs `command` (RFC 4254 §6.5).
    pub(crate) fn exec(&mut self, channel: ChannelId, command: &[u8]) -> Called<()> {
        self.start(channel, b"exec", command)
    }

    /// Requests that the channel runs a subsystem (RFC 4254 §6.5).
    pub(crate) fn subsystem(&mut self, channel: ChannelId, name: &str) -> Called<()> {
        self.start(channel, b"subsystem", name.as_bytes())
    }

    fn start(&mut self, channel: ChannelId, request: &[u8], message: &[u8]) -> Called<()> {
        let (request_length, length) = (length(request)?, length(message)?);
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5.
            done(unsafe {
                sys::libssh2_channel_process_startup(
                    pointer,
                    request.as_ptr().cast(),
                    request_length,
                    message.as_ptr().cast(),
                    length,
                )
            })
        })
    }

    /// Requests that the channel runs the user's login shell (RFC 4254 §6.5).
    pub(crate) fn shell(&mut self, channel: ChannelId) -> Called<()> {
        const REQUEST: &[u8] = b"shell";
        let request_length = length(REQUEST)?;
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5; a request without a message has none.
            done(unsafe {
                sys::libssh2_channel_process_startup(
                    pointer,
                    REQUEST.as_ptr().cast(),
                    request_length,
                    ptr::null(),
                    0,
                )
            })
        })
    }

    /// Reads what is there of one stream; 0 at its end.
    pub(crate) fn read(
        &mut self,
        channel: ChannelId,
        stream: OutputStream,
        buffer: &mut [u8],
    ) -> Called<usize> {
        let id = match stream {
            OutputStream::Stdout => 0,
            // SSH_EXTENDED_DATA_STDERR (RFC 4254 §5.2).
            OutputStream::Stderr => 1,
        };
        // libssh2 grants the host as much beyond the window as a read has room for.
        let most = self
            .channels
            .get(channel.0)
            .map_or(0, |open| open.window as usize);
        let most = buffer.len().min(most);
        let buffer = &mut buffer[..most];
        self.grant(channel, most)?;
        let read = self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5: at most `buffer.len()` bytes are written.
            count(unsafe {
                sys::libssh2_channel_read_ex(pointer, id, buffer.as_mut_ptr().cast(), buffer.len())
            })
        })?;
        if read > 0 {
            self.wire.delivered(read);
        }
        Ok(read)
    }

    /// Grants the host what a read of so many bytes would have libssh2 grant.
    ///
    /// Held up by a key exchange, libssh2 goes on with the packet that it has made, but counts what
    /// the next read would grant: read in another size, its window and the host's were not the same
    /// any more.
    fn grant(&mut self, channel: ChannelId, most: usize) -> Called<()> {
        loop {
            let Some(open) = self.channels.get_mut(channel.0) else {
                return Err(Code(sys::LIBSSH2_ERROR_CHANNEL_CLOSED));
            };
            // SAFETY: F2, F3; the out-parameters may be null.
            let left = unsafe {
                sys::libssh2_channel_window_read_ex(open.pointer, ptr::null_mut(), ptr::null_mut())
            };
            let (whole, most) = (c_ulong::from(open.window), most as c_ulong);
            // As in `ssh2_channel_read`, which then finds nothing to do.
            let wanted = (left < whole / 4 * 3 + most).then(|| whole + most - left);
            let Some(grant) = open.granting.or(wanted) else {
                return Ok(());
            };
            open.granting = Some(grant);
            self.on(channel, |pointer| {
                // SAFETY: F2, F3; the out-parameter may be null.
                done(unsafe {
                    sys::libssh2_channel_receive_window_adjust2(pointer, grant, 1, ptr::null_mut())
                })
            })?;
            if let Some(open) = self.channels.get_mut(channel.0) {
                open.granting = None;
            }
        }
    }

    /// Writes to the command's standard input; returns how many bytes were taken.
    ///
    /// Where there is no room it would block, and fails once the command has ended: no room will
    /// ever come then.
    pub(crate) fn write(&mut self, channel: ChannelId, bytes: &[u8]) -> Called<usize> {
        let written = self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5.
            count(unsafe {
                sys::libssh2_channel_write_ex(pointer, 0, bytes.as_ptr().cast(), bytes.len())
            })
        });
        match written {
            Ok(0) | Err(Code::AGAIN) => {
                let left = self.wire.budget();
                if self.wait_closed(channel).is_ok() {
                    return Err(Code(sys::LIBSSH2_ERROR_CHANNEL_CLOSED));
                }
                // What came meanwhile may have been the room, or the end of a key exchange: there
                // may be nothing else to come.
                if self.wire.budget() != left {
                    self.wire.retry_if_moved();
                }
                Err(Code::AGAIN)
            }
            Ok(written) => {
                self.wire.written(written);
                Ok(written)
            }
            failed => failed,
        }
    }

    /// Returns whether the host has granted room for more input.
    pub(crate) fn has_room(&mut self, channel: ChannelId) -> bool {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3; the out-parameter may be null.
            Ok(unsafe { sys::libssh2_channel_window_write_ex(pointer, ptr::null_mut()) } != 0)
        })
        .unwrap_or(false)
    }

    /// Ends the command's standard input.
    pub(crate) fn send_eof(&mut self, channel: ChannelId) -> Called<()> {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            done(unsafe { sys::libssh2_channel_send_eof(pointer) })
        })
    }

    /// Returns whether all output was read and no more will come.
    pub(crate) fn is_at_end(&mut self, channel: ChannelId) -> bool {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            Ok(unsafe { sys::libssh2_channel_eof(pointer) } != 0)
        })
        .unwrap_or(true)
    }

    /// Sends a signal to the command (RFC 4254 §6.9), its name without `SIG`.
    pub(crate) fn signal(&mut self, channel: ChannelId, name: &str) -> Called<()> {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3, F5.
            done(unsafe { libssh2_channel_signal_ex(pointer, name.as_ptr().cast(), name.len()) })
        })
    }

    /// Waits for the end of the server's output, whether or not it was read.
    pub(crate) fn wait_eof(&mut self, channel: ChannelId) -> Called<()> {
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            match done(unsafe { sys::libssh2_channel_wait_eof(pointer) }) {
                // The window is full of what nobody reads.
                Err(Code(sys::LIBSSH2_ERROR_CHANNEL_WINDOW_FULL)) => Err(Code::AGAIN),
                other => other,
            }
        })
    }

    /// Waits for the server's end of the channel; all output must have been read.
    pub(crate) fn wait_closed(&mut self, channel: ChannelId) -> Called<()> {
        // It comes first: closing without the end of output is an error.
        self.wait_eof(channel)?;
        self.on(channel, |pointer| {
            // SAFETY: F2, F3.
            done(unsafe { sys::libssh2_channel_wait_closed(pointer) })
        })
    }

    /// Returns how the command ended, as far as the server told.
    pub(crate) fn exit(&mut self, channel: ChannelId) -> Called<Exit> {
        let session = self.pointer;
        self.on(channel, |pointer| {
            let (mut name, mut name_length) = (ptr::null_mut(), 0);
            let (mut message, mut message_length) = (ptr::null_mut(), 0);
            // SAFETY: F2, F3; the out-parameters are ours.
            let code = unsafe {
                sys::libssh2_channel_get_exit_signal(
                    pointer,
                    &raw mut name,
                    &raw mut name_length,
                    &raw mut message,
                    &raw mut message_length,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
            done(code)?;
            // SAFETY: libssh2 allocated both for us, with these lengths, or left them null.
            let name = unsafe { take_text(session, name, name_length) };
            // SAFETY: as above.
            let message = unsafe { take_text(session, message, message_length) };
            if let Some(name) = name {
                return Ok(Exit::Signal {
                    name,
                    message: message.unwrap_or_default(),
                });
            }
            // SAFETY: F2, F3.
            if unsafe { libssh2_channel_has_exit_status(pointer) } == 0 {
                return Ok(Exit::None);
            }
            // SAFETY: F2, F3. The status is 32 bits on the wire (RFC 4254 §6.10).
            let status = unsafe { sys::libssh2_channel_get_exit_status(pointer) };
            Ok(Exit::Status(status.cast_unsigned()))
        })
    }

    /// Closes a channel's own side and frees it; again after "would block".
    pub(crate) fn free_channel(&mut self, channel: ChannelId) -> Called<()> {
        let unread = self.unread(channel);
        let freed = self.on(channel, |pointer| {
            // SAFETY: F2, F3: the pointer leaves `channels` below once it was freed.
            done(unsafe { sys::libssh2_channel_free(pointer) })
        });
        if freed != Err(Code::AGAIN)
            && let Some(open) = self.channels.remove(channel.0)
        {
            self.window_closed(open.window as usize, unread);
        }
        freed
    }
}

/// Copies a text that libssh2 allocated, and frees it.
///
/// # Safety
///
/// `text` is null, or allocated by `session` with at least `length` bytes.
unsafe fn take_text(
    session: *mut sys::LIBSSH2_SESSION,
    text: *mut c_char,
    length: usize,
) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by the contract.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    let copy = String::from_utf8_lossy(bytes).into_owned();
    // SAFETY: by the contract, and it is freed once.
    unsafe { sys::libssh2_free(session, text.cast()) };
    Some(copy)
}
