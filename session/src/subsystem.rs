//! Subsystems: programs that a host knows by a name of their own (RFC 4254 §6.5).

use sshoal_reactor::Scope;

use crate::command::Child;
use crate::error::{ApiMisuse, Error, Phase};
use crate::session::Session;

impl Session {
    /// Starts a subsystem, for example `sftp`, whose output may be ahead of its reader by
    /// `window_bytes`; returns when the host has accepted it. Parks.
    ///
    /// # Errors
    ///
    /// The host refused a channel or the subsystem, the connection was lost, or the scope ended:
    /// the session is then given up, because the reply may still come.
    pub fn subsystem(&self, name: &str, window_bytes: u32, scope: &Scope) -> Result<Child, Error> {
        let (engine, phase) = (self.engine(), Phase::Open);
        if name.contains('\0') {
            return Err(ApiMisuse::NulByte.into());
        }
        let _turn = engine.reply_turn(phase, scope)?;
        engine.free_left();
        let channel = engine.request(phase, scope, |library| {
            library.open_channel("session", window_bytes, b"")
        })?;
        let child = Child::new(engine.clone(), channel);
        engine.request(phase, scope, |library| library.subsystem(channel, name))?;
        Ok(child)
    }
}
