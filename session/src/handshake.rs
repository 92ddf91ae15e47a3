//! Versions, keys and the host's key: everything before the user is named.

use std::sync::Arc;
use std::time::Instant;

use sshoal_reactor::{Scope, blocking, offload};

use crate::certificate::Certificate;
use crate::config::Config;
use crate::engine::{Attempt, Engine, stopped};
use crate::error::{Error, Phase};
use crate::ffi::Library;
use crate::host_key::VerifiedHost;
use crate::session::internal;
use crate::timings::Timings;
use crate::{HostKeyError, algorithms};

/// Exchanges versions and keys.
pub(crate) fn shake_hands(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<(), Error> {
    let begun = Instant::now();
    let result =
        set_algorithms(engine, name, port, config).and_then(|()| exchange_keys(engine, scope));
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

fn set_algorithms(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<(), Error> {
    use ssh2::MethodType::{CryptCs, CryptSc, HostKey, Kex, MacCs, MacSc};
    let (keys, asked) = (config.host_keys.clone(), config.lookup_name(name, port));
    let order = move || keys.algorithms_to_offer(&asked, None);
    // Hashed names make this a matter of milliseconds.
    let hashed = config.host_keys.known_hosts().has_hashed();
    let order = if hashed {
        offload(order).map_err(internal(Phase::Kex))?
    } else {
        order()
    };
    let ciphers = config.ciphers.as_deref().unwrap_or(algorithms::CIPHERS);
    let set = engine.with(|library| {
        library.prefer(Kex, algorithms::KEX)?;
        library.prefer(HostKey, &order)?;
        library.prefer(CryptCs, ciphers)?;
        library.prefer(CryptSc, ciphers)?;
        library.prefer(MacCs, algorithms::MACS)?;
        library.prefer(MacSc, algorithms::MACS)
    })?;
    set.map_err(|code| {
        let source = engine.with(|library| library.error(code));
        source.map_or_else(
            |error| error,
            |source| Error::Handshake {
                phase: Phase::Kex,
                source,
            },
        )
    })
}

/// Runs libssh2's handshake. Its costly step, the answer to the server's half of the exchange,
/// goes to the offload pool where it is costly indeed (law R5): a finite-field group takes 3 to
/// 160 ms of CPU time, a curve 0.1 ms, less than it costs the machine to hand it over and back.
fn exchange_keys(engine: &Arc<Engine>, scope: &Scope) -> Result<(), Error> {
    let phase = || match engine.wire().awaits_version() {
        true => Phase::Banner,
        false => Phase::Kex,
    };
    let mut allow_costly = false;
    loop {
        match engine.attempt(allow_costly, &mut Library::handshake) {
            Attempt::Done(()) => return Ok(()),
            Attempt::Failed(error) => return Err(engine.error(phase(), error)),
            Attempt::Again { costly: true } => {
                let kex = engine.with(|library| library.negotiated(ssh2::MethodType::Kex))?;
                if kex.is_none_or(|kex| kex.starts_with("diffie-hellman")) {
                    let engine = engine.clone();
                    offload(move || engine.step(&mut Library::handshake))
                        .map_err(internal(Phase::Kex))?;
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

/// Returns the key or certificate that the host presented.
pub(crate) fn host_key_blob(engine: &Arc<Engine>, name: &str) -> Result<Vec<u8>, Error> {
    let blob = engine.with(|library| library.host_key())?;
    let name = name.to_owned();
    Ok(blob.ok_or(HostKeyError::Malformed { name })?)
}

/// Checks the host's key; nothing of the user's was sent yet.
pub(crate) fn verify(
    engine: &Arc<Engine>,
    name: &str,
    port: u16,
    config: &Config,
) -> Result<VerifiedHost, Error> {
    let blob = host_key_blob(engine, name)?;
    let (keys, name) = (config.host_keys.clone(), config.lookup_name(name, port));
    let on_disk = keys.needs_blocking_store();
    // Each takes a millisecond or so of CPU time.
    let costly = keys.known_hosts().has_hashed() || Certificate::is_named_by(&blob);
    let check = move || keys.verify_name(&name, &blob);
    let verdict = match (on_disk, costly) {
        (true, _) => blocking(check).map_err(internal(Phase::HostKey))?,
        (false, true) => offload(check).map_err(internal(Phase::HostKey))?,
        (false, false) => check(),
    };
    Ok(verdict?)
}
