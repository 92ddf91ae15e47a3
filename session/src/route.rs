//! How a host's SSH server is reached: straight, through a jump host, or by a command.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sshoal_reactor::Scope;
use sshoal_reactor::Stream;

use crate::address;
use crate::config::Config;
use crate::engine::stopped;
use crate::error::{Error, Phase};
use crate::host::Host;
use crate::jump::Jump;
use crate::link::Link;
use crate::proxy_command::ProxyCommand;
use crate::timings::Timings;
use crate::tunnel::Destination;

/// The way to a host's SSH server.
#[derive(Debug, Clone, Default)]
pub(crate) enum Route {
    /// TCP from here.
    #[default]
    Direct,
    /// Through a jump host (`ProxyJump`).
    Jump(Arc<Jump>),
    /// The two ends of a child process (`ProxyCommand`).
    Command(ProxyCommand),
}

/// Makes the connection that a session will run on. Parks.
pub(crate) fn connect(
    host: &Host,
    config: &Config,
    scope: &Scope,
    timings: &mut Timings,
) -> Result<Link, Error> {
    let port = host.port().unwrap_or(config.port);
    let name = config.name_of(host);
    let begun = Instant::now();
    let link = match (&config.route, &config.unix_socket) {
        (Route::Direct, None) => {
            return address::connect(name, port, config, scope, timings).map(Link::Socket);
        }
        (Route::Direct, Some(path)) => to_unix_socket(path, scope).map(Link::Socket),
        (Route::Jump(jump), path) => {
            let destination = match path {
                None => Destination::Tcp(name.to_owned(), port),
                Some(path) => Destination::Unix(path.display().to_string()),
            };
            let opened = jump.open(&destination, scope);
            opened.map(|(ends, session)| Link::Tunnel {
                ends,
                _session: session,
            })
        }
        (Route::Command(command), _) => {
            let user = host.user().unwrap_or(&config.user);
            let proxy = command.start(name, port, user, scope);
            proxy.map(Link::Command)
        }
    };
    timings.add(Phase::Connect, begun.elapsed());
    link
}

fn to_unix_socket(path: &Path, scope: &Scope) -> Result<Stream, Error> {
    Stream::connect_unix(path, scope).map_err(|source| {
        let phase = Phase::Connect;
        match scope.check() {
            Err(stop) => stopped(stop, phase, scope),
            Ok(()) => Error::Disconnected { phase, source },
        }
    })
}
