//! libssh2's memory: an allocator that bounds it, that erases what authentication frees, and what is
//! told by that.
//!
//! libssh2 queues every packet that it has no use for yet, or ever: data within a window, and also
//! answers to nothing, empty data, messages that it does not know. One such packet takes some
//! hundred bytes, or 80 KB where 100 bytes on the wire were inflated. So all blocks are counted,
//! and beyond the bound the connection is broken off (law S1).
//!
//! libssh2 erases neither the packets with a user's answers nor its copies of them. While
//! [`Memory::watch`] is on, every block is erased before it goes back to the system. The same
//! moment tells what libssh2 keeps for itself: a server's refusal (RFC 4252 §5.1) names the methods
//! that can continue and whether the request was a partial success; libssh2 frees that packet
//! unread. So the freed block is looked at, and the last refusal is kept. It is the same with a
//! challenge (RFC 4256 §3.2) that libssh2 cannot read: it frees it and waits for the next.

use std::ffi::c_void;
use std::{io, ptr};

use zeroize::Zeroize;

use super::callback::{break_off, break_off_breach};
use super::conversation::Conversation;
use crate::error::{Error, Phase, printable};

/// What a session's callbacks share; libssh2's "abstract" points to it.
#[derive(Default)]
pub(super) struct Memory {
    /// Bytes of all blocks; the few that were made before this was put in place count as none.
    held: usize,
    /// What the windows of open channels may be filled with.
    allowance: usize,
    watched: bool,
    /// Makes the next allocation fail: the only way to leave an exchange that libssh2 offers none.
    fails_next: bool,
    refusal: Option<Refusal>,
    farewell: Option<Farewell>,
    pub(super) conversation: Option<Box<Conversation>>,
}

/// A server's SSH_MSG_USERAUTH_FAILURE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The methods that can continue, separated by commas; foreign text.
    pub(crate) methods: String,
    /// Whether the request was right, and something more is wanted.
    pub(crate) partial: bool,
}

/// A server's SSH_MSG_DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    /// The reason's number (RFC 4253 §11.1).
    pub(crate) reason: i32,
    /// The reason in words; foreign text.
    pub(crate) text: String,
}

impl Farewell {
    /// The error of a connection that ended by it.
    pub(crate) fn into_error(self, phase: Phase) -> Error {
        let said = format!("the host said: {}", printable(&self.text));
        let source = io::Error::new(io::ErrorKind::ConnectionAborted, said);
        Error::Disconnected { phase, source }
    }

    /// Whether it ends an authentication for good: too many failures, or nothing left to try
    /// (RFC 4253 §11.1, reason 14; OpenSSH says 2, "protocol error", and its text).
    pub(crate) fn is_refusal(&self) -> bool {
        const PROTOCOL_ERROR: i32 = 2;
        const NO_MORE_AUTH_METHODS_AVAILABLE: i32 = 14;
        match self.reason {
            NO_MORE_AUTH_METHODS_AVAILABLE => true,
            PROTOCOL_ERROR => self.text.starts_with("Too many authentication failures"),
            _ => false,
        }
    }
}

/// Bytes that libssh2 may hold besides what the windows allow: key exchange, compression, answers,
/// and the packets of SFTP, of which one may have 4 MiB (`sftp.c`).
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes beyond the bound from which on libssh2 gets none at all. It is left running out of memory
/// only as a last resort: once the connection is broken off, a call ends with the 35,000 bytes that
/// libssh2 has received, which inflate to at most 28 MiB.
const LAST_RESORT_BYTES: usize = 32 * 1024 * 1024;
/// More than any list of methods takes.
const METHODS_BYTES_MAX: usize = 1024;
/// More than any farewell takes.
const FAREWELL_BYTES_MAX: usize = 1024;
const USERAUTH_FAILURE: u8 = 51;
const USERAUTH_INFO_REQUEST: u8 = 60;

impl Memory {
    /// Erases blocks from here on, and looks for refusals; forgets an earlier one.
    pub(super) fn watch(&mut self, on: bool) {
        self.watched = on;
        if on {
            self.refusal = None;
        }
    }

    /// Sets what the windows of open channels may be filled with.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Counts a block; `false` where libssh2 must not have it.
    fn take_on(&mut self, bytes: usize) -> bool {
        self.held += bytes;
        let beyond = self.held.saturating_sub(HELD_BYTES_MAX + self.allowance);
        if beyond > 0 {
            break_off("more in memory than it was asked for");
        }
        beyond <= LAST_RESORT_BYTES
    }

    pub(super) fn fail_next(&mut self) {
        self.fails_next = true;
    }

    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.fails_next = false;
        self.refusal.take()
    }

    pub(super) fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    pub(super) fn note_farewell(&mut self, reason: i32, text: &[u8]) {
        let text = &text[..text.len().min(FAREWELL_BYTES_MAX)];
        self.farewell = Some(Farewell {
            reason,
            text: String::from_utf8_lossy(text).into_owned(),
        });
    }

    fn look_at(&mut self, block: &mut [u8]) {
        if !self.watched {
            return;
        }
        if let Some(refusal) = refusal(block) {
            self.refusal = Some(refusal);
        }
        if let Some(conversation) = &mut self.conversation
            && is_challenge(block)
            && conversation.is_unread()
        {
            break_off_breach("a challenge that cannot be read");
        }
        block.zeroize();
    }
}

/// Reads a packet's block; padding and a MAC may follow the packet.
fn refusal(block: &[u8]) -> Option<Refusal> {
    let (&USERAUTH_FAILURE, rest) = block.split_first()? else {
        return None;
    };
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > METHODS_BYTES_MAX {
        return None;
    }
    let (methods, rest) = rest.split_at_checked(length)?;
    let partial = *rest.first()?;
    let plain = methods.iter().all(u8::is_ascii_graphic) && partial <= 1;
    plain.then(|| Refusal {
        methods: String::from_utf8_lossy(methods).into_owned(),
        partial: partial == 1,
    })
}

/// Returns whether a packet's block is a challenge's, SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 §3.2),
/// as far as to its instruction. Prompts and other texts are freed too, and may begin with the same
/// byte, `<`; but no text has a length behind it.
fn is_challenge(block: &[u8]) -> bool {
    let string = |from: &[u8]| -> Option<usize> {
        let length = usize::try_from(u32::from_be_bytes(*from.first_chunk()?)).ok()?;
        from.get(4..)?.get(..length).map(|text| 4 + text.len())
    };
    let instruction = |rest: &[u8]| string(rest).and_then(|name| string(&rest[name..]));
    match block.split_first() {
        Some((&USERAUTH_INFO_REQUEST, rest)) => instruction(rest).is_some(),
        _ => false,
    }
}

/// Returns the memory that an "abstract" points to.
///
/// # Safety
///
/// It is one that libssh2 gave to a callback, of a session made with a [`Memory`] that lives (F7).
pub(super) unsafe fn memory<'a>(context: *mut *mut c_void) -> &'a mut Memory {
    // SAFETY: F7: libssh2 gives the address of the pointer that it was made with.
    let pointer = unsafe { *context }.cast::<Memory>();
    // SAFETY: F7: one call at a time per session, and each callback drops its reference.
    unsafe { &mut *pointer }
}

/// How many bytes a block of malloc's has, at least as many as were asked for.
///
/// # Safety
///
/// It is a block that malloc made and nobody has freed.
unsafe fn size(block: *mut c_void) -> usize {
    #[cfg(target_os = "macos")]
    // SAFETY: the caller's.
    let size = unsafe { libc::malloc_size(block) };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: the caller's.
    let size = unsafe { libc::malloc_usable_size(block) };
    size
}

/// libssh2's allocator.
pub(super) extern "C" fn allocate(count: usize, context: *mut *mut c_void) -> *mut c_void {
    // SAFETY: F7.
    let memory = unsafe { memory(context) };
    if std::mem::take(&mut memory.fails_next) {
        return ptr::null_mut();
    }
    // SAFETY: any size may be asked for.
    let block = unsafe { libc::malloc(count) };
    if block.is_null() {
        return block;
    }
    // SAFETY: malloc has just made it.
    if !memory.take_on(unsafe { size(block) }) {
        free(block, context);
        return ptr::null_mut();
    }
    block
}

/// libssh2's `free`.
pub(super) extern "C" fn free(block: *mut c_void, context: *mut *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: F7.
    let memory = unsafe { memory(context) };
    // SAFETY: F7: every block of this session was made by malloc.
    let count = unsafe { size(block) };
    memory.held = memory.held.saturating_sub(count);
    if memory.watched {
        // SAFETY: F7: libssh2 gave the block up, of which it may have set a part only; its bytes
        // are read as what they are and never trusted.
        memory.look_at(unsafe { std::slice::from_raw_parts_mut(block.cast::<u8>(), count) });
    }
    // SAFETY: malloc made the block.
    unsafe { libc::free(block) };
}

/// libssh2's `realloc`: always moves, so that the old place can be erased.
pub(super) extern "C" fn reallocate(
    block: *mut c_void,
    count: usize,
    context: *mut *mut c_void,
) -> *mut c_void {
    let moved = allocate(count, context);
    if block.is_null() || moved.is_null() {
        return moved;
    }
    // SAFETY: F7: made by malloc.
    let held = unsafe { size(block) };
    // SAFETY: both blocks have as much room, and they do not overlap.
    unsafe { ptr::copy_nonoverlapping(block.cast::<u8>(), moved.cast(), held.min(count)) };
    free(block, context);
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(methods: &[u8], partial: u8, tail: &[u8]) -> Vec<u8> {
        let length = u32::try_from(methods.len()).unwrap().to_be_bytes();
        [&[USERAUTH_FAILURE], &length[..], methods, &[partial], tail].concat()
    }

    #[test]
    fn reads_a_refusal_out_of_a_freed_block() {
        let whole = packet(b"publickey,password", 1, &[9; 40]);
        let want = Refusal {
            methods: "publickey,password".into(),
            partial: true,
        };
        assert_eq!(refusal(&whole), Some(want));
        let none = refusal(&packet(b"", 0, &[])).unwrap();
        assert_eq!((none.methods.as_str(), none.partial), ("", false));
    }

    #[test]
    fn takes_nothing_else_for_a_refusal() {
        let whole = packet(b"password", 0, &[]);
        for cut in 0..whole.len() {
            assert_eq!(refusal(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(refusal(&packet(b"pass\x1bword", 0, &[])), None);
        assert_eq!(refusal(&packet(b"password", 2, &[])), None);
        assert_eq!(refusal(&[52, 0, 0, 0, 0, 0]), None);
        assert_eq!(refusal(&packet(&[b'a'; 2000], 0, &[])), None);
    }

    #[test]
    fn tells_a_challenge_from_a_text() {
        let challenge = b"\x3c\0\0\0\x02hi\0\0\0\x03you\0\0\0\0";
        assert!(is_challenge(challenge) && is_challenge(&challenge[..14]));
        assert!(!is_challenge(&challenge[..13]) && !is_challenge(b""));
        let text = format!(
            "<{}>",
            "Password of the day for everyone who is here: ".repeat(99)
        );
        assert!(!is_challenge(text.as_bytes()));
    }

    #[test]
    fn erases_blocks_only_while_it_watches() {
        let mut memory = Memory::default();
        let mut block = *b"canary";
        memory.look_at(&mut block);
        assert_eq!(&block, b"canary");
        memory.watch(true);
        memory.look_at(&mut block);
        assert_eq!(block, [0; 6]);
    }
}
