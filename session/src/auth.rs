//! Authentication (RFC 4252): which methods are tried, in which order, and what their end means.
//!
//! A method is tried only where the server lists it, and nothing that it refused is tried again. A
//! request that was right and not enough ("partial success") goes on with what the server then
//! lists. Keys come from `keys`, answers from `keyboard`.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sshoal_reactor::{Scope, offload};
use zeroize::Zeroizing;

pub(crate) use self::keyboard::Answerer;
pub use self::keyboard::{Answers, Challenge, Prompt};
use self::keys::{Candidate, Keys, Signer};
pub use self::method::Method;
use crate::agent::Agent;
use crate::config::Config;
use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Libssh2Error, Phase, printable};
use crate::ffi::{Refusal, c_string};
use crate::host::Host;
use crate::host_key::VerifiedHost;
use crate::identity::Identity;
use crate::session::internal;
use crate::sign::Signing;

mod error;
mod keyboard;
mod keys;
mod method;

pub use self::error::AuthError;

/// Authenticates the user of this name.
///
/// Takes the proof that the host was verified, so that nothing secret leaves without it (S10).
#[inline(never)]
pub(crate) fn authenticate(
    engine: &Arc<Engine>,
    (user, host): (&str, &Host),
    config: &Config,
    _verified: &VerifiedHost,
    scope: &Scope,
) -> Result<(), Box<Error>> {
    let mut attempts = Attempts::new(engine, (user, host), config, scope)?;
    engine.with(|library| library.watch_memory(true))?;
    attempts.run()?;
    // Not after a failure: whoever still thinks about an answer holds the library's lock.
    Ok(engine.with(|library| library.watch_memory(false))?)
}

/// More methods than any server demands together; one that lies about it ends here.
const PARTIALS_MAX: usize = 8;

/// One user's authentication at one host.
struct Attempts<'a> {
    engine: &'a Arc<Engine>,
    user: CString,
    host: &'a Host,
    config: &'a Config,
    scope: &'a Scope,
    keys: Keys<'a>,
    /// What the server says can continue; `None` before its first refusal.
    listed: Option<String>,
    /// Whether the server refused anything.
    refused: bool,
    /// Requests that were right and not enough.
    partials: usize,
    /// Whether keyboard-interactive was refused since the last partial success.
    answered: bool,
    /// The password is given away once, by whichever method.
    password_used: Arc<AtomicBool>,
}

/// What is done next.
enum Step {
    /// Ask what can continue.
    Ask,
    Key(Candidate),
    Keyboard,
    Password,
}

/// What came of a request.
enum Verdict {
    Accepted,
    Refused(Refusal),
    /// It was given up on this side, without harm to the session.
    Declined,
}

impl<'a> Attempts<'a> {
    /// On the heap, and not inlined: it would lie in the stack under the deepest calls of all.
    #[inline(never)]
    fn new(
        engine: &'a Arc<Engine>,
        (user, host): (&str, &'a Host),
        config: &'a Config,
        scope: &'a Scope,
    ) -> Result<Box<Self>, Error> {
        Ok(Box::new(Self {
            engine,
            user: c_string(user.as_bytes())?,
            host,
            config,
            scope,
            keys: Keys::new(config),
            listed: None,
            refused: false,
            partials: 0,
            answered: false,
            password_used: Arc::default(),
        }))
    }

    #[inline(never)]
    fn run(&mut self) -> Result<(), Error> {
        while let Some(step) = self.next()? {
            let is_keyboard = matches!(step, Step::Keyboard);
            match self.take(step)? {
                Verdict::Accepted => return Ok(()),
                Verdict::Declined => {}
                Verdict::Refused(refusal) => {
                    if refusal.partial && self.partials < PARTIALS_MAX {
                        self.partials += 1;
                        tracing::debug!(host = %self.host, next = refusal.methods, "partial success");
                        self.answered = false;
                    } else {
                        self.refused = true;
                        self.answered |= is_keyboard;
                    }
                    self.listed = Some(refusal.methods);
                }
            }
        }
        // What failed on this side tells more, where the server had nothing to refuse.
        match self.keys.take_failure() {
            Some(failure) if !self.refused => Err(failure.into()),
            _ => Err(self.denied()),
        }
    }

    /// Chooses what is done next: the first method that is listed and has something left.
    // Not inlined, like what follows a request: it would lie in the stack under each that waits.
    #[inline(never)]
    fn next(&mut self) -> Result<Option<Step>, Error> {
        for method in &self.config.methods {
            let listed = self.listed.as_ref().map(|listed| {
                let mut names = listed.split(',');
                names.any(|name| name == method.as_str())
            });
            if listed == Some(false) {
                continue;
            }
            let step = match method {
                // The first key asks as well as the method `none`, and saves a round trip.
                Method::PublicKey => match self.keys.next(self.scope)? {
                    Some(candidate) => return Ok(Some(Step::Key(candidate))),
                    None => continue,
                },
                Method::KeyboardInteractive if self.can_answer() => Step::Keyboard,
                Method::Password if self.has_password() => Step::Password,
                _ => continue,
            };
            return Ok(Some(if listed.is_none() { Step::Ask } else { step }));
        }
        // What can continue is only told in answer to a request (RFC 4252 §5.1).
        let unknown = self.listed.is_none() && !self.keys.has_failed();
        Ok(unknown.then_some(Step::Ask))
    }

    fn has_password(&self) -> bool {
        self.config.password.is_some() && !self.password_used.load(Ordering::Relaxed)
    }

    fn can_answer(&self) -> bool {
        !self.answered && (self.config.answers.is_some() || self.has_password())
    }

    fn take(&mut self, step: Step) -> Result<Verdict, Error> {
        match step {
            Step::Ask => self.ask(),
            Step::Key(candidate) => self.public_key(&candidate),
            Step::Keyboard => self.keyboard(),
            Step::Password => self.password(),
        }
    }

    /// Asks by the method `none`, which servers do not count as a failure if it comes first.
    #[inline(never)]
    fn ask(&mut self) -> Result<Verdict, Error> {
        let (engine, user) = (self.engine, &self.user);
        let _turn = engine.reply_turn(Phase::Auth, self.scope)?;
        match engine.request(Phase::Auth, self.scope, |library| {
            library.auth_methods(user)
        }) {
            Ok(None) => Ok(Verdict::Accepted),
            Ok(Some(methods)) => {
                self.listed = Some(methods);
                Ok(Verdict::Declined)
            }
            Err(Error::Auth(AuthError::Failed { source })) => self.judge(source),
            Err(error) => Err(self.lost(error)),
        }
    }

    #[inline(never)]
    fn password(&mut self) -> Result<Verdict, Error> {
        let (engine, user) = (self.engine, &self.user);
        let Some(password) = &self.config.password else {
            return Ok(Verdict::Declined);
        };
        self.password_used.store(true, Ordering::Relaxed);
        let _turn = engine.reply_turn(Phase::Auth, self.scope)?;
        let sent = engine.request(Phase::Auth, self.scope, |library| {
            library.auth_password(user, password.expose())
        });
        match sent {
            Ok(()) => Ok(Verdict::Accepted),
            Err(Error::Auth(AuthError::Failed { source })) => {
                if source.code() == libssh2_sys::LIBSSH2_ERROR_PASSWORD_EXPIRED {
                    return Err(AuthError::PasswordExpired.into());
                }
                self.judge(source)
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    #[inline(never)]
    fn keyboard(&mut self) -> Result<Verdict, Error> {
        let ended = keyboard::converse(
            self.engine,
            (&self.user, self.host),
            self.config,
            &self.password_used,
            self.scope,
        )?;
        match ended {
            keyboard::Ended::Accepted => Ok(Verdict::Accepted),
            keyboard::Ended::Declined => {
                self.answered = true;
                Ok(Verdict::Declined)
            }
            keyboard::Ended::Failed(error) => self.judge(error),
        }
    }

    /// Tries one public key.
    #[inline(never)]
    fn public_key(&mut self, candidate: &Candidate) -> Result<Verdict, Error> {
        let (engine, scope) = (self.engine, self.scope);
        let _turn = engine.reply_turn(Phase::Auth, scope)?;
        if let Some(algorithms) = &candidate.rsa_algorithms {
            // That libssh2 takes a list of names was seen by every test; the names are ours.
            let _ =
                engine.with(|library| library.prefer(ssh2::MethodType::SignAlgo, algorithms))?;
        }
        let mut signing = Signing::default();
        let mut declined = false;
        loop {
            let (user, blob) = (&self.user, &candidate.blob);
            let attempt = engine.attempt(true, &mut |library| {
                library.auth_public_key(user, blob, &mut signing)
            });
            let stopped = |stop| {
                engine.give_up();
                stopped(stop, Phase::Auth, scope)
            };
            match attempt {
                Attempt::Done(()) => return Ok(Verdict::Accepted),
                Attempt::Failed(_) if declined => return Ok(Verdict::Declined),
                Attempt::Failed(error) => return self.judge(error),
                attempt => {
                    if let Some(data) = signing.take_wanted() {
                        drop(attempt);
                        let signature = self.sign(candidate, data)?;
                        declined = signature.is_none();
                        signing.set(signature);
                    } else if let Attempt::Wait(ticket) = attempt {
                        ticket.wait(scope).map_err(stopped)?;
                    } else {
                        scope.check().map_err(stopped)?;
                        sshoal_reactor::yield_now();
                    }
                }
            }
        }
    }

    /// Makes the signature that libssh2 asked for (law S9); `None` if whoever holds the key does
    /// not, which is no reason to leave out the next one.
    #[inline(never)]
    fn sign(
        &mut self,
        candidate: &Candidate,
        data: Zeroizing<Vec<u8>>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let algorithm = Identity::signature_algorithm(&data).unwrap_or_default();
        let failure = match &candidate.signer {
            Signer::Identity(identity) => {
                let made = if signs_at_once(algorithm) {
                    identity.sign(algorithm, &data)
                } else {
                    let (identity, algorithm) = (identity.clone(), algorithm.to_owned());
                    offload(move || identity.sign(&algorithm, &data))
                        .map_err(internal(Phase::Auth))?
                };
                match made {
                    Ok(signature) => return Ok(Some(signature.into())),
                    Err(source) => AuthError::Sign {
                        identity: identity.name().to_owned(),
                        source,
                    },
                }
            }
            Signer::Agent { agent, blob } => match self.ask_agent(agent, blob, algorithm, &data)? {
                Ok(signature) => return Ok(Some(signature)),
                Err(failure) => failure,
            },
        };
        self.keys.note_failure(failure);
        Ok(None)
    }

    /// Has the agent sign; the inner error is one that another key may not meet.
    #[inline(never)]
    fn ask_agent(
        &self,
        agent: &Agent,
        blob: &[u8],
        algorithm: &str,
        data: &[u8],
    ) -> Result<Result<Zeroizing<Vec<u8>>, AuthError>, Error> {
        let source = match agent.sign(blob, algorithm, data, self.scope) {
            Ok(signature) => return Ok(Ok(signature.into())),
            Err(source) => source,
        };
        if let Err(stop) = self.scope.check() {
            self.engine.give_up();
            return Err(stopped(stop, Phase::Auth, self.scope));
        }
        let lacks = keys::is_exhaustion(&source);
        let failure = AuthError::Agent {
            path: agent.path().display().to_string(),
            source,
        };
        if lacks {
            self.engine.give_up();
            return Err(failure.into());
        }
        Ok(Err(failure))
    }

    /// Tells a server's "no" from a failure of the exchange, by whether its refusal came.
    #[inline(never)]
    fn judge(&mut self, error: Libssh2Error) -> Result<Verdict, Error> {
        let refusal = self.engine.with(|library| library.take_refusal());
        match refusal {
            Ok(Some(refusal)) => {
                self.engine.wire().replied();
                Ok(Verdict::Refused(refusal))
            }
            // No algorithm of this key is one that both sides take.
            _ if error.code() == libssh2_sys::LIBSSH2_ERROR_METHOD_NONE => Ok(Verdict::Declined),
            _ => {
                let error = self.engine.error(Phase::Auth, error);
                Err(self.lost(error))
            }
        }
    }

    /// The error of a connection that ended. A server that has had enough of a user says so in its
    /// farewell and does not refuse the last request: that is a refusal all the same.
    fn lost(&self, error: Error) -> Error {
        let over = matches!(
            error,
            Error::Disconnected { .. } | Error::Auth(AuthError::Failed { .. })
        );
        match self.engine.farewell().filter(|_| over) {
            Some(farewell) if farewell.is_refusal() => self.denied(),
            Some(farewell) => farewell.into_error(Phase::Auth),
            None => error,
        }
    }

    fn denied(&self) -> Error {
        let methods = self.listed.as_deref().unwrap_or("unknown");
        AuthError::Denied {
            methods: printable(methods),
        }
        .into()
    }
}

/// Whether a signature takes less CPU time (10 to 60 µs) than handing it to the offload pool and
/// back costs the machine; an RSA signature takes 0.5 to 6 ms.
fn signs_at_once(algorithm: &str) -> bool {
    let plain = crate::identity::certificate::plain_algorithm(algorithm);
    matches!(
        plain.as_deref().unwrap_or(algorithm),
        "ssh-ed25519" | "ecdsa-sha2-nistp256"
    )
}
