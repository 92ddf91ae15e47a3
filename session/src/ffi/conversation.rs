//! Keyboard-interactive (RFC 4256): libssh2's response callback and the conversation behind it.
//!
//! libssh2 wants the answers within its call, so whoever makes that call must be allowed to wait
//! for as long as the answers take.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{mem, ptr, slice};

use libssh2_sys as sys;

use super::callback::{break_off, bytes};
use super::memory::{allocate, memory};
use crate::auth::{Challenge, Prompt};
use crate::secret::Secret;

type Ask = Box<dyn FnMut(&Challenge) -> Option<Vec<Secret>> + Send>;

/// One exchange of challenges and answers.
pub(crate) struct Conversation {
    ask: Ask,
    rounds: u32,
    /// Challenges that libssh2 has freed; it frees each one behind its round.
    freed: u32,
    declined: bool,
}

/// More rounds than any server has reason for: password, code, new password twice.
const ROUNDS_MAX: u32 = 16;
/// More prompts in one round than anyone answers; libssh2 allows 100.
const PROMPTS_MAX: usize = 32;

impl Conversation {
    pub(crate) fn new(ask: Ask) -> Self {
        Self {
            ask,
            rounds: 0,
            freed: 0,
            declined: false,
        }
    }

    /// Returns whether the answers were refused on this side.
    pub(crate) fn is_declined(&self) -> bool {
        self.declined
    }

    /// Takes note of a challenge that libssh2 has freed; returns whether it asked nobody for the
    /// answers, because it could not read them. Behind the first round it would tell nobody, and
    /// wait for ever.
    pub(super) fn is_unread(&mut self) -> bool {
        self.freed += 1;
        self.freed > self.rounds
    }

    fn answer(&mut self, challenge: &Challenge) -> Option<Vec<Secret>> {
        let count = challenge.prompts().len();
        if self.declined || count > PROMPTS_MAX {
            return None;
        }
        // No panic may go through C.
        let asked = catch_unwind(AssertUnwindSafe(|| (self.ask)(challenge)));
        let asked = asked.unwrap_or_else(|panic| {
            // What it carries may panic when it is dropped.
            mem::forget(panic);
            None
        });
        asked.filter(|answers| answers.len() == count)
    }
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation")
            .field("rounds", &self.rounds)
            .field("declined", &self.declined)
            .finish_non_exhaustive()
    }
}

/// libssh2's response callback (libssh2.h, `LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC`).
pub(super) extern "C" fn respond(
    name: *const c_char,
    name_length: c_int,
    instruction: *const c_char,
    instruction_length: c_int,
    count: c_int,
    prompts: *const sys::LIBSSH2_USERAUTH_KBDINT_PROMPT,
    responses: *mut sys::LIBSSH2_USERAUTH_KBDINT_RESPONSE,
    context: *mut *mut c_void,
) {
    // SAFETY: F7. Taken out, because answering allocates.
    let Some(mut conversation) = (unsafe { memory(context) }).conversation.take() else {
        return;
    };
    let text = |pointer, length| {
        // SAFETY: libssh2 gives each text with its length.
        let bytes = unsafe { bytes(pointer, usize::try_from(length).unwrap_or(0)) };
        String::from_utf8_lossy(bytes).into_owned()
    };
    let count = usize::try_from(count).unwrap_or(0);
    let prompts = match count {
        0 => &[],
        // SAFETY: libssh2 gives so many prompts.
        _ => unsafe { slice::from_raw_parts(prompts, count) },
    };
    let prompts = prompts.iter().map(|prompt| {
        let length = c_int::try_from(prompt.length).unwrap_or(0);
        Prompt::new(
            text(prompt.text.cast_const().cast(), length),
            prompt.echo != 0,
        )
    });
    let challenge = Challenge::new(
        text(name, name_length),
        text(instruction, instruction_length),
        prompts.collect(),
    );
    conversation.rounds += 1;
    match conversation.answer(&challenge) {
        Some(answers) => {
            for (index, answer) in answers.iter().enumerate() {
                // SAFETY: libssh2 has a place for the answer to each prompt.
                let place = unsafe { responses.add(index) };
                // SAFETY: as above, and nobody else refers to it meanwhile.
                let place = unsafe { &mut *place };
                give(answer.expose(), place, context);
            }
        }
        None => conversation.declined = true,
    }
    if conversation.rounds > ROUNDS_MAX {
        break_off("more keyboard-interactive rounds than anyone answers");
    }
    // SAFETY: F7.
    let memory = unsafe { memory(context) };
    // The exchange has no other way out before the first answer (RFC 4256 §3.1 allows it). Later
    // libssh2 would wait for ever, so that empty answers have to make the server end it.
    if conversation.declined && conversation.rounds == 1 {
        memory.fail_next();
    }
    memory.conversation = Some(conversation);
}

/// Copies an answer to where libssh2 takes it from and frees it.
fn give(
    answer: &[u8],
    place: &mut sys::LIBSSH2_USERAUTH_KBDINT_RESPONSE,
    context: *mut *mut c_void,
) {
    let Ok(length) = c_uint::try_from(answer.len()) else {
        return;
    };
    let copy = allocate(answer.len(), context).cast::<u8>();
    if copy.is_null() {
        return;
    }
    // SAFETY: the copy has room for it, and the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(answer.as_ptr(), copy, answer.len()) };
    place.text = copy.cast();
    place.length = length;
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a drop that panics");
        }
    }

    #[test]
    fn what_a_panic_carries_goes_no_further() {
        let mut conversation = Conversation::new(Box::new(|_| panic_any(Bomb)));
        let challenge = Challenge::new(String::new(), String::new(), Vec::new());
        assert!(conversation.answer(&challenge).is_none());
    }
}
