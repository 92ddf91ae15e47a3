//! A stack overflow of a green thread ends the process (law G4).
//!
//! The scheduler's own handler "recovers" by switching away from the signal frame: nothing is
//! unwound and every lock held stays held, in C code too. Ours, installed after it, reports and
//! lets the default action end the process.
//!
//! Invariant, cited by the `SAFETY` comments: the handler calls only functions that are
//! async-signal-safe (`write`, `sigaction`), and runs on the alternate stack that the standard
//! library gives each of its threads.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Installs the handler for the two signals that an overflow can raise.
pub(crate) fn install() -> io::Result<()> {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        let action = action(handle as *const () as libc::sighandler_t, libc::SA_ONSTACK);
        // SAFETY: the handler is async-signal-safe, and `action` is a whole `sigaction`.
        let installed = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        if installed != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn action(handler: libc::sighandler_t, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data; all zeroes is a default action with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

extern "C" fn handle(signal: libc::c_int) {
    const TEXT: &[u8] =
        b"sshoal: memory fault, probably a stack overflow of a green thread; aborting\n";
    // SAFETY: `write` is async-signal-safe, and the text lives for ever.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, TEXT.as_ptr().cast(), TEXT.len()) };
    let default = action(libc::SIG_DFL, 0);
    // SAFETY: `sigaction` is async-signal-safe. The fault happens again on return, and ends the
    // process with the right signal and, where wanted, a core file of the right place.
    let _ = unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
}
