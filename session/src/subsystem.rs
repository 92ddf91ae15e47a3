//! Subsystems: programs that a host knows by a name of their own (RFC 4254 §6.5).

use std::time::Instant;

use sshoal_reactor::Scope;

use crate::channels;
use crate::child::Child;
use crate::error::{ApiMisuse, Error, Phase};
use crate::session::Session;

impl Session {
    /// Starts a subsystem, for example `sftp`, whose output may be ahead of its reader by
    /// `window_bytes`; returns when the host has accepted it. It counts among the channels that the
    /// host allows at once, as commands do (see [`Command::spawn`](crate::Command::spawn)). Parks.
    ///
    /// # Errors
    ///
    /// The host refused a channel or the subsystem, the connection was lost, or the scope ended. If
    /// that was once the subsystem had been asked for, the session is given up, because the reply
    /// may still come.
    pub fn subsystem(&self, name: &str, window_bytes: u32, scope: &Scope) -> Result<Child, Error> {
        let (engine, phase) = (self.engine(), Phase::Open);
        if name.contains('\0') {
            return Err(ApiMisuse::NulByte.into());
        }
        let channel = channels::open(engine, window_bytes, scope)?;
        let child = Child::new(engine.clone(), channel);
        let _turn = engine.request_turn(phase, scope)?;
        engine.started().ask(child.number(), Instant::now());
        engine.request(phase, scope, |library| library.subsystem(channel, name))?;
        engine.started().accept(child.number(), Instant::now());
        Ok(child)
    }
}
