//! Versions, keys and the host's key: everything before the user is named.

use std::sync::Arc;
use std::time::Instant;

use sshoal_reactor::{Scope, blocking, offload};

use crate::HostKeyError;
use crate::algorithms::nothing_in_common;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Kind, Libssh2Error, Phase};
use crate::ffi::Library;
use crate::host_key::VerifiedHost;
use crate::identity::wire::rsa_bits;
use crate::session::internal;
use crate::timings::Timings;

mod reply;

use self::reply::is_signed_by;

/// Exchanges versions and keys.
#[inline(never)]
pub(crate) fn shake_hands(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<(), Box<Error>> {
    let begun = Instant::now();
    let result = set_algorithms(engine, name, port, config).and_then(|host_keys| {
        let exchanged = exchange_keys(engine, scope).and_then(|()| check_reply(engine));
        exchanged.map_err(|error| Box::new(with_reason(engine, config, &host_keys, error)))
    });
    // The version line's arrival parts the two phases.
    let version_at = engine.wire().version_at();
    timings.add(
        Phase::Banner,
        version_at.map_or_else(|| begun.elapsed(), |at| at - begun),
    );
    if let Some(at) = version_at {
        timings.add(Phase::Kex, at.elapsed());
    }
    result
}

/// Checks the form of the host's signature, of which libssh2 has checked the value.
fn check_reply(engine: &Engine) -> Result<(), Error> {
    let reply = engine.wire().take_reply();
    let agreed = engine.with(|library| library.negotiated(ssh2::MethodType::HostKey))?;
    if is_signed_by(&reply, agreed.as_deref().unwrap_or_default()) {
        return Ok(());
    }
    let (phase, kind) = (Phase::Kex, Kind::Protocol);
    let what = "a signature of another form than agreed";
    Err(Error::Overstepped { phase, what, kind })
}

/// Names what the two sides do not share: libssh2, and a host that hangs up, tell no more than that
/// the exchange failed.
#[inline(never)]
fn with_reason(engine: &Engine, config: &Config, host_keys: &str, error: Error) -> Error {
    let kexinit = engine.wire().kexinit();
    match nothing_in_common(&kexinit, &config.offer, host_keys) {
        Some((list, theirs)) => Error::NoCommonAlgorithm { list, theirs },
        None => error,
    }
}

/// Sets what is offered; returns the types of host keys, which differ from host to host.
#[inline(never)]
fn set_algorithms(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<String, Box<Error>> {
    use ssh2::MethodType::{CompCs, CompSc, CryptCs, CryptSc, HostKey, Kex, MacCs, MacSc};
    let offer = &config.offer;
    let host_keys = host_key_order(name, port, config)?;
    let set = engine.with(|library| {
        library.prefer(Kex, &offer.kex)?;
        library.prefer(HostKey, &host_keys)?;
        library.prefer(CryptCs, &offer.ciphers)?;
        library.prefer(CryptSc, &offer.ciphers)?;
        library.prefer(MacCs, &offer.macs)?;
        library.prefer(MacSc, &offer.macs)?;
        if let Some(compression) = offer.compression {
            library.allow_compression();
            library.prefer(CompCs, compression)?;
            library.prefer(CompSc, compression)?;
        }
        Ok(())
    })?;
    match set {
        Ok(()) => Ok(host_keys),
        Err(code) => {
            let source = engine.with(|library| library.error(code))?;
            let phase = Phase::Kex;
            Err(Box::new(Error::Handshake { phase, source }))
        }
    }
}

/// The types of host keys to offer to a host: those of the keys known for it first.
fn host_key_order(name: &str, port: u16, config: &Config) -> Result<String, Box<Error>> {
    let (offered, known_first) = (config.offer.host_keys.clone(), config.offer.known_first);
    let (keys, asked) = (config.host_keys.clone(), config.lookup_name(name, port));
    let order = move || keys.offer(&asked, &offered, known_first);
    // Hashed names make this a matter of milliseconds.
    if config.host_keys.known_hosts().has_hashed() {
        Ok(offload(order).map_err(internal(Phase::Kex))?)
    } else {
        Ok(order())
    }
}

/// Runs libssh2's handshake. Its costly step, the answer to the server's half of the exchange,
/// goes to the offload pool where it is costly indeed (law R5): a finite-field group takes 3 to
/// 160 ms of CPU time, a curve 0.1 ms, less than it costs the machine to hand it over and back.
#[inline(never)]
fn exchange_keys(engine: &Arc<Engine>, scope: &Scope) -> Result<(), Error> {
    let phase = || match engine.wire().awaits_version() {
        true => Phase::Banner,
        false => Phase::Kex,
    };
    let mut allow_costly = false;
    loop {
        match engine.attempt(allow_costly, &mut Library::handshake) {
            Attempt::Done(()) => return Ok(()),
            Attempt::Failed(error) => return Err(said_farewell(engine, phase(), error)),
            Attempt::Again { costly: true } => {
                let kex = engine.with(|library| library.negotiated(ssh2::MethodType::Kex))?;
                if kex.is_none_or(|kex| kex.starts_with("diffie-hellman")) {
                    step_elsewhere(engine)?;
                } else {
                    allow_costly = true;
                }
            }
            Attempt::Again { costly: false } => {
                scope
                    .check()
                    .map_err(|stop| stopped(stop, phase(), scope))?;
                sshoal_reactor::yield_now();
            }
            Attempt::Wait(ticket) => {
                ticket
                    .wait(scope)
                    .map_err(|stop| stopped(stop, phase(), scope))?;
            }
        }
    }
}

/// The error of an exchange that failed. libssh2 takes a host's farewell for a broken exchange.
#[inline(never)]
fn said_farewell(engine: &Engine, phase: Phase, error: Libssh2Error) -> Error {
    match (engine.error(phase, error), engine.farewell()) {
        (Error::Handshake { .. } | Error::Disconnected { .. }, Some(farewell)) => {
            farewell.into_error(phase)
        }
        (error, _) => error,
    }
}

#[inline(never)]
fn step_elsewhere(engine: &Arc<Engine>) -> Result<(), Error> {
    let engine = engine.clone();
    offload(move || engine.step(&mut Library::handshake)).map_err(internal(Phase::Kex))
}

/// Returns the key or certificate that the host presented, unless it is too weak for any policy.
pub(crate) fn host_key_blob(
    engine: &Arc<Engine>,
    name: &str,
    config: &Config,
) -> Result<Vec<u8>, Error> {
    let blob = engine.with(|library| library.host_key())?;
    let name = name.to_owned();
    let Some(blob) = blob else {
        return Err(HostKeyError::Malformed { name }.into());
    };
    let required = config.required_rsa_bits;
    match rsa_bits(&blob) {
        Some(bits) if bits < required => Err(HostKeyError::TooSmall {
            name,
            bits,
            required,
        }
        .into()),
        _ => Ok(blob),
    }
}

/// Checks the host's key; nothing of the user's was sent yet.
#[inline(never)]
pub(crate) fn verify(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<VerifiedHost, Box<Error>> {
    let blob = host_key_blob(engine, name, config)?;
    let (keys, name) = (config.host_keys.clone(), config.lookup_name(name, port));
    let on_disk = keys.needs_blocking_store();
    // Each takes a millisecond or so of CPU time.
    let costly = keys.known_hosts().has_hashed() || Certificate::is_named_by(&blob);
    if !on_disk && !costly {
        return keys.verify_name(&name, &blob).map_err(boxed);
    }
    elsewhere(on_disk, move || keys.verify_name(&name, &blob))
}

/// Runs a check where it may wait for the disk, or else may take long. Not inlined, for the sake
/// of the stack under the check in place.
#[inline(never)]
fn elsewhere(
    on_disk: bool,
    check: impl FnOnce() -> Result<VerifiedHost, HostKeyError> + Send + 'static,
) -> Result<VerifiedHost, Box<Error>> {
    let verdict = match on_disk {
        true => blocking(check),
        false => offload(check),
    };
    verdict.map_err(internal(Phase::HostKey))?.map_err(boxed)
}

fn boxed(error: HostKeyError) -> Box<Error> {
    Box::new(error.into())
}
