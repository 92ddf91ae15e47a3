//! Authentication (RFC 4252): which methods are tried, in which order, and what their end means.

use std::ffi::CStr;
use std::sync::Arc;

use sshoal_reactor::{Scope, offload};

use crate::agent::Agent;
use crate::config::{AgentKeys, Config};
use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Kind, Libssh2Error, Phase};
use crate::ffi::c_string;
use crate::host_key::VerifiedHost;
use crate::identity::Identity;
use crate::secret::Secret;
use crate::session::internal;
use crate::sign::Signing;

/// Why the user was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server refused every method that was tried.
    #[error("Permission denied ({methods}).")]
    Denied {
        /// The methods the server says can continue, as it lists them (RFC 4252 §5.1).
        methods: String,
    },
    /// The exchange itself failed.
    #[error("authentication failed")]
    Failed {
        /// What libssh2 said.
        source: Libssh2Error,
    },
    /// An identity could not sign.
    #[error("identity {identity} could not sign")]
    Sign {
        /// The identity's file or comment.
        identity: String,
        /// Why.
        source: crate::IdentityError,
    },
    /// The agent could not be asked.
    #[error("the authentication agent at {path}")]
    Agent {
        /// Its socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl AuthError {
    /// Returns what went wrong, in one word.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied { .. } => Kind::Denied,
            Self::Failed { .. } => Kind::Protocol,
            Self::Sign { .. } | Self::Agent { .. } => Kind::Io,
        }
    }
}

/// Authenticates the user: the identities in their order, the agent's keys, the password.
///
/// Takes the proof that the host was verified, so that nothing secret leaves without it (S10).
pub(crate) fn authenticate(
    engine: &Arc<Engine>,
    user: &str,
    config: &Config,
    _verified: &VerifiedHost,
    scope: &Scope,
) -> Result<(), Error> {
    let user = c_string(user.as_bytes())?;
    for identity in &config.identities {
        let signer = Signer::Identity(identity.clone());
        if public_key(engine, &user, identity.public_blob(), &signer, scope)? {
            return Ok(());
        }
    }
    if let Some(agent) = &config.agent
        && by_agent(engine, &user, agent, config, scope)?
    {
        return Ok(());
    }
    if let Some(password) = &config.password
        && by_password(engine, &user, password, scope)?
    {
        return Ok(());
    }
    // What can continue is only told in answer to a request (RFC 4252 §5.1).
    let methods = engine.request(Phase::Auth, scope, |library| library.auth_methods(&user));
    match methods {
        Ok(None) => Ok(()),
        Ok(Some(methods)) => Err(AuthError::Denied {
            methods: printable(&methods),
        }
        .into()),
        Err(Error::Disconnected { .. } | Error::Auth(_)) => Err(AuthError::Denied {
            methods: "unknown".into(),
        }
        .into()),
        Err(error) => Err(error),
    }
}

/// Who makes a signature.
enum Signer {
    Identity(Arc<Identity>),
    Agent(Arc<Agent>),
}

fn by_agent(
    engine: &Arc<Engine>,
    user: &CStr,
    agent: &Arc<Agent>,
    config: &Config,
    scope: &Scope,
) -> Result<bool, Error> {
    let keys = agent
        .identities(scope)
        .map_err(|source| agent_error(agent, source, scope))?;
    for key in keys.iter() {
        let same = |identity: &Arc<Identity>| identity.public_blob() == key.blob();
        let is_identity = config.identities.iter().any(same);
        // Identities were tried by their files; the agent's other keys only where wanted.
        if is_identity || config.agent_keys == AgentKeys::IdentitiesOnly {
            continue;
        }
        if public_key(
            engine,
            user,
            key.blob(),
            &Signer::Agent(agent.clone()),
            scope,
        )? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tries one public key; `false` if the server does not take it.
fn public_key(
    engine: &Arc<Engine>,
    user: &CStr,
    blob: &[u8],
    signer: &Signer,
    scope: &Scope,
) -> Result<bool, Error> {
    let _turn = engine.reply_turn(Phase::Auth, scope)?;
    let mut signing = Signing::default();
    loop {
        let attempt = engine.attempt(true, &mut |library| {
            library.auth_public_key(user, blob, &mut signing)
        });
        let stopped = |stop| {
            engine.give_up();
            stopped(stop, Phase::Auth, scope)
        };
        match attempt {
            Attempt::Done(()) => return Ok(true),
            Attempt::Failed(error) => return denied(engine, error),
            attempt => {
                if let Some(data) = signing.take_wanted() {
                    drop(attempt);
                    let signature = sign(signer, blob, data, scope);
                    signing.set(Some(signature.inspect_err(|_| engine.give_up())?));
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

/// Makes the signature that libssh2 asked for (law S9).
fn sign(signer: &Signer, blob: &[u8], data: Vec<u8>, scope: &Scope) -> Result<Vec<u8>, Error> {
    let algorithm = Identity::signature_algorithm(&data)
        .map(str::to_owned)
        .unwrap_or_default();
    match signer {
        Signer::Identity(identity) => {
            let name = identity.name().to_owned();
            let signature = if signs_at_once(&algorithm) {
                identity.sign(&algorithm, &data)
            } else {
                let identity = identity.clone();
                offload(move || identity.sign(&algorithm, &data)).map_err(internal(Phase::Auth))?
            };
            Ok(signature.map_err(|source| AuthError::Sign {
                identity: name,
                source,
            })?)
        }
        Signer::Agent(agent) => agent
            .sign(blob, &algorithm, &data, scope)
            .map_err(|source| agent_error(agent, source, scope)),
    }
}

/// Whether a signature takes less CPU time (10 to 60 µs) than handing it to the offload pool and
/// back costs the machine; an RSA signature takes 0.5 to 6 ms.
fn signs_at_once(algorithm: &str) -> bool {
    matches!(algorithm, "ssh-ed25519" | "ecdsa-sha2-nistp256")
}

fn by_password(
    engine: &Arc<Engine>,
    user: &CStr,
    password: &Secret,
    scope: &Scope,
) -> Result<bool, Error> {
    let _turn = engine.reply_turn(Phase::Auth, scope)?;
    let sent = engine.request(Phase::Auth, scope, |library| {
        library.auth_password(user, password.expose())
    });
    match sent {
        Ok(()) => Ok(true),
        Err(Error::Auth(AuthError::Failed { source })) => denied(engine, source),
        Err(error) => Err(error),
    }
}

/// Tells a server's "no" from a failure of the exchange.
fn denied(engine: &Arc<Engine>, error: Libssh2Error) -> Result<bool, Error> {
    let no = matches!(
        error.code(),
        libssh2_sys::LIBSSH2_ERROR_AUTHENTICATION_FAILED
            | libssh2_sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED
            | libssh2_sys::LIBSSH2_ERROR_PASSWORD_EXPIRED
    );
    if no && engine.wire().broken().is_none() {
        return Ok(false);
    }
    Err(engine.error(Phase::Auth, error))
}

fn agent_error(agent: &Agent, source: std::io::Error, scope: &Scope) -> Error {
    match scope.check() {
        Err(stop) => stopped(stop, Phase::Auth, scope),
        Ok(()) => AuthError::Agent {
            path: agent.path().display().to_string(),
            source,
        }
        .into(),
    }
}

/// A server's list of methods, as it may stand in a report.
fn printable(methods: &str) -> String {
    methods
        .chars()
        .filter(char::is_ascii_graphic)
        .take(256)
        .collect()
}
