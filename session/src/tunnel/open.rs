//! Asks the host to make a connection for us (RFC 4254 §7.2).

use std::sync::Arc;

use sshoal_reactor::sync::Permit;
use sshoal_reactor::{Scope, spawn};

use super::Ends;
use super::carrier::Carrier;
use crate::channels;
use crate::engine::stopped;
use crate::error::{ApiMisuse, Error, Phase};
use crate::ffi::ChannelId;

/// Where a host is asked to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// A name or address, as the host resolves it, and a TCP port.
    Tcp(String, u16),
    /// A Unix socket's path on the host (OpenSSH's PROTOCOL §2.4).
    Unix(String),
}

impl Destination {
    /// The channel's kind and what it adds to the request.
    fn request(&self) -> Result<(&'static str, Vec<u8>), Error> {
        let mut message = Vec::new();
        let kind = match self {
            Self::Tcp(name, port) => {
                put_text(&mut message, name)?;
                message.extend(u32::from(*port).to_be_bytes());
                // Where it comes from is for the host's log.
                put_text(&mut message, "127.0.0.1")?;
                message.extend(0_u32.to_be_bytes());
                "direct-tcpip"
            }
            Self::Unix(path) => {
                put_text(&mut message, path)?;
                put_text(&mut message, "")?;
                message.extend(0_u32.to_be_bytes());
                "direct-streamlocal@openssh.com"
            }
        };
        Ok((kind, message))
    }
}

/// Appends a string in the wire's form (RFC 4251 §5).
fn put_text(message: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(ApiMisuse::NulByte.into());
    }
    message.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(text.as_bytes());
    Ok(())
}

/// The receive window of a tunnel's channel (law S2).
const WINDOW_BYTES: u32 = 256 * 1024;

/// Opens a tunnel, whose near side the caller has to close; `settled` is dropped once the host has
/// answered, be it long after the scope's end. Parks.
///
/// An open that outlasts its scope is not abandoned, which would cost the session: a green thread
/// of its own waits for the answer meanwhile, and nothing else is opened before (law S2).
pub(crate) fn open(
    carrier: &Arc<Carrier>,
    destination: &Destination,
    scope: &Scope,
    settled: impl Send + 'static,
) -> Result<Arc<Ends>, Error> {
    let (kind, message) = destination.request()?;
    ask(carrier, (kind, message), scope, settled)
}

/// Opens a channel for commands (RFC 4254 §6.1) that is never given one: while there is a channel
/// to read, the carrier takes in, and libssh2 answers, what the host sends of its own accord. Parks.
pub(crate) fn hold(carrier: &Arc<Carrier>, scope: &Scope) -> Result<Arc<Ends>, Error> {
    let channel = channels::open(carrier.engine(), WINDOW_BYTES, scope)?;
    Ok(carrier.carry(channel))
}

fn ask(
    carrier: &Arc<Carrier>,
    (kind, message): (&'static str, Vec<u8>),
    scope: &Scope,
    settled: impl Send + 'static,
) -> Result<Arc<Ends>, Error> {
    let turn = carrier.engine().reply_turn(Phase::Open, scope)?;
    // Nothing is asked for that nobody waits for.
    scope
        .check()
        .map_err(|stop| stopped(stop, Phase::Open, scope))?;
    carrier.engine().free_left();
    let opened = request(carrier, kind, &message, scope);
    match opened {
        Ok(channel) => {
            carrier.engine().wire().replied();
            Ok(carrier.carry(channel))
        }
        Err(error @ (Error::TimedOut { .. } | Error::Cancelled { .. })) => {
            let later = Later {
                carrier: carrier.clone(),
                _turn: turn,
            };
            let waiting = spawn(move || {
                later.wait(kind, &message);
                drop(settled);
            });
            if waiting.is_err() {
                carrier.engine().give_up();
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

fn request(
    carrier: &Carrier,
    kind: &str,
    message: &[u8],
    scope: &Scope,
) -> Result<ChannelId, Error> {
    carrier.engine().call(Phase::Open, scope, |library| {
        library.open_channel(kind, WINDOW_BYTES, message)
    })
}

/// An open whose asker has gone.
struct Later {
    carrier: Arc<Carrier>,
    _turn: Permit,
}

impl Later {
    /// Waits for the answer, however long it takes, and closes what it opened.
    fn wait(&self, kind: &str, message: &[u8]) {
        if let Ok(channel) = request(&self.carrier, kind, message, &Scope::root()) {
            self.carrier.engine().wire().replied();
            self.carrier.carry(channel).close();
        }
    }
}
