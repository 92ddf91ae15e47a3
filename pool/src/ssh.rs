//! The pool's sessions, as `sshoal-session` makes them.

use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_session::{
    ApiMisuse, Child, Config, Ending, Error, Exit, Host, OutputStream, Phase, Session, Timings,
};

use crate::connector::{Connected, Connector, NotStarted, Request, Running, StdinEnd, Taker};

/// Opens SSH sessions.
pub(crate) struct Ssh;

impl Connector for Ssh {
    fn connect(
        &self,
        (host, config): (&Host, &Config),
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error> {
        let session = Session::connect_watched(host, config, scope, timings, reached)?;
        Ok(Arc::new(session))
    }
}

impl Connected for Session {
    fn start(&self, request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted> {
        if !self.is_open() {
            let error = ApiMisuse::SessionClosed.into();
            return Err(NotStarted {
                error,
                asked: false,
            });
        }
        let command = self.command(request.bytes).launched(request.launch);
        let command = match request.stdin {
            StdinEnd::AtOnce => command.no_stdin(),
            StdinEnd::Later => command,
        };
        let mut asked = false;
        let child = command.scope(scope).spawn_noting(&mut asked);
        let child = child.map_err(|error| NotStarted { error, asked })?;
        Ok(Arc::new(child))
    }

    fn close(&self) {
        // The outcome is delivered: how the goodbye went is nobody's concern.
        let _ = Self::close(self);
    }

    fn session(&self) -> Option<&Session> {
        Some(self)
    }
}

impl Running for Child {
    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error> {
        Self::read(self, buf, scope)
    }

    fn write_stdin(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error> {
        Self::write_stdin(self, bytes, scope)
    }

    fn close_stdin(&self, scope: &Scope) -> Result<(), Error> {
        Self::close_stdin(self, scope)
    }

    fn signal(&self, name: &str, scope: &Scope) -> Result<(), Error> {
        Self::signal(self, name, scope)
    }

    fn end(&self, grace: Duration, scope: &Scope, output: &mut Taker<'_>) -> Ending {
        Self::end(self, grace, scope, output)
    }

    fn wait(&self, scope: &Scope) -> Result<Exit, Error> {
        Self::wait(self, scope)
    }
}
