//! Keyboard-interactive (RFC 4256): challenges, and who answers them.

use std::ffi::CStr;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use sshoal_reactor::sync::Semaphore;
use sshoal_reactor::{Scope, blocking_within, yield_now};

use crate::config::Config;
use crate::engine::{Engine, Tried, stopped};
use crate::error::{Error, Libssh2Error, Phase};
use crate::ffi::{Code, Conversation, Library};
use crate::host::Host;
use crate::secret::Secret;
use crate::session::internal;

/// Answers what hosts ask by keyboard-interactive, for example for one-time codes.
///
/// It is called on a thread where it may block, for several hosts at once. What it waits for counts
/// towards the limit on connecting.
///
/// # Examples
///
/// ```
/// use sshoal_session::{Answers, Challenge, Host, Secret};
///
/// struct Code;
///
/// impl Answers for Code {
///     fn answer(&self, _host: &Host, challenge: &Challenge) -> Option<Vec<Secret>> {
///         let prompts = challenge.prompts().iter();
///         prompts.map(|_| Some(Secret::from("123456".to_owned()))).collect()
///     }
/// }
/// ```
pub trait Answers: Send + Sync {
    /// Returns one answer for each prompt, or `None` to try the next method instead.
    ///
    /// A challenge without prompts only tells something; no answers are the right ones.
    fn answer(&self, host: &Host, challenge: &Challenge) -> Option<Vec<Secret>>;
}

/// What a host asks in one round.
///
/// All texts are the host's: clean them before they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

impl Challenge {
    pub(crate) fn new(name: String, instruction: String, prompts: Vec<Prompt>) -> Self {
        Self {
            name,
            instruction,
            prompts,
        }
    }

    /// Returns the title, often empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what is to be told before the prompts, often nothing.
    pub fn instruction(&self) -> &str {
        &self.instruction
    }

    /// Returns the prompts, at most 32.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }
}

/// One thing that a host asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    echo: bool,
}

impl Prompt {
    pub(crate) fn new(text: String, echo: bool) -> Self {
        Self { text, echo }
    }

    /// Returns the prompt's text, for example `Password: `.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the answer may be seen as it is typed.
    pub fn is_echoed(&self) -> bool {
        self.echo
    }
}

/// An [`Answers`] that can stand in a configuration.
#[derive(Clone)]
pub(crate) struct Answerer(pub(crate) Arc<dyn Answers>);

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answerer")
    }
}

/// Conversations that may hold a blocking thread at once: fewer than there are, so that people who
/// think do not keep names from being looked up.
const CONVERSATIONS_MAX: usize = 16;
static CONVERSATIONS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(CONVERSATIONS_MAX));

/// How a conversation ended.
pub(super) enum Ended {
    Accepted,
    /// Nothing was answered, on this side.
    Declined,
    Failed(Libssh2Error),
}

/// Runs the exchange; notes whether the password was used. Parks.
pub(super) fn converse(
    engine: &Arc<Engine>,
    (user, host): (&CStr, &Host),
    config: &Config,
    password_used: &Arc<AtomicBool>,
    scope: &Scope,
) -> Result<Ended, Error> {
    let _turn = engine.reply_turn(Phase::Auth, scope)?;
    let mut conversation = Some(Box::new(conversation(host, config, password_used)));
    let may_block = config.answers.is_some();
    loop {
        let tried = if may_block {
            let permit = CONVERSATIONS
                .acquire(scope)
                .map_err(give_up(engine, scope))?;
            let step = {
                let (engine, user, mut taken) =
                    (engine.clone(), user.to_owned(), conversation.take());
                move || {
                    // Kept until the thread is free again, given up or not.
                    let _permit = permit;
                    let tried = engine.try_once(true, &mut |library: &mut Library| {
                        library.auth_keyboard_interactive(&user, &mut taken)
                    });
                    (tried, taken)
                }
            };
            let stepped = blocking_within(scope, step).map_err(give_up(engine, scope))?;
            let (tried, given_back) = stepped.map_err(internal(Phase::Auth))?;
            conversation = given_back;
            tried
        } else {
            engine.try_once(true, &mut |library: &mut Library| {
                library.auth_keyboard_interactive(user, &mut conversation)
            })
        };
        match tried {
            Tried::Done(()) => return Ok(Ended::Accepted),
            Tried::Failed(error) => {
                let declined = conversation.is_some_and(|talk| talk.is_declined());
                let abandoned = Code(error.code()) == ABANDONED;
                return Ok(match declined && abandoned {
                    true => Ended::Declined,
                    false => Ended::Failed(error),
                });
            }
            Tried::Again { .. } => {
                scope.check().map_err(give_up(engine, scope))?;
                yield_now();
            }
            Tried::Later { sequence } => {
                if let Some(ticket) = engine.register(sequence) {
                    ticket.wait(scope).map_err(give_up(engine, scope))?;
                }
            }
        }
    }
}

/// What libssh2 returns for an exchange that was left before the first answer.
const ABANDONED: Code = Code(-1);

/// An authentication that is given up leaves the session unusable (S6).
fn give_up<'a>(
    engine: &'a Arc<Engine>,
    scope: &'a Scope,
) -> impl Fn(sshoal_reactor::Stop) -> Error + 'a {
    |stop| {
        engine.give_up();
        stopped(stop, Phase::Auth, scope)
    }
}

fn conversation(host: &Host, config: &Config, password_used: &Arc<AtomicBool>) -> Conversation {
    let (password, used) = (config.password.clone(), password_used.clone());
    let answers = config
        .answers
        .clone()
        .map(|Answerer(answers)| (answers, host.clone()));
    Conversation::new(Box::new(move |challenge| {
        // As people type it: the password answers the one hidden prompt, once.
        if let ([prompt], Some(password)) = (challenge.prompts(), &password)
            && !prompt.is_echoed()
            && (answers.is_none() || !speaks_of_a_code(prompt.text()))
            && !used.swap(true, Ordering::Relaxed)
        {
            return Some(vec![Secret::from(password.expose().to_vec())]);
        }
        match &answers {
            Some((answers, host)) => answers.answer(host, challenge),
            None => challenge.prompts().is_empty().then(Vec::new),
        }
    }))
}

/// Whether a prompt asks for something that changes, as far as its words tell.
fn speaks_of_a_code(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    let words = ["code", "token", "otp", "one-time", "one time", "pin"];
    // "Password + token" wants both, and no password alone is right there.
    words.iter().any(|word| prompt.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_for_codes_are_told_from_those_for_passwords() {
        for prompt in [
            "Password: ",
            "ann@web1's password:",
            "Passwort:",
            "Kennwort: ",
        ] {
            assert!(!speaks_of_a_code(prompt), "{prompt}");
        }
        for prompt in [
            "Verification code: ",
            "Passcode or option (1-3): ",
            "One-time password (OATH): ",
            "Enter PIN:",
            "Password & OTP:",
        ] {
            assert!(speaks_of_a_code(prompt), "{prompt}");
        }
    }
}
