//! One host's forwardings: set up, all or none, and held until something ends them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, io};

use rustix::fs::Mode;
use rustix::process::umask;
use sshoal::{
    JoinHandle, Kind, Listener, Phase, Reached, Scope, forward_remote, spawn, spawn_forward_local,
};

use super::spec::{Listen, Local, Remote, Shown, joined};
use crate::record::Failure;
use crate::wording::{os_text, reason};

/// What every host is to forward.
#[derive(Debug)]
pub(super) struct Forwards {
    pub(super) local: Vec<Local>,
    pub(super) remote: Vec<Remote>,
}

/// How a host's forwardings ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With the run.
    Stopped,
    /// They could not be set up, or were lost.
    Failed(Failure),
}

/// What a host holds while its forwardings are up.
#[derive(Debug, Default)]
struct Held {
    /// What is said of them.
    lines: Vec<String>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<SocketFile>,
    /// Why the first of them ended by itself.
    broken: Arc<OnceLock<Failure>>,
}

impl Forwards {
    /// Sees to it that Unix sockets made later are the user's alone, as ssh's are.
    pub(super) fn prepare(&self) {
        let is_unix = |local: &Local| matches!(local.listen, Listen::Unix(_));
        if self.local.iter().any(is_unix) {
            umask(Mode::RWXG | Mode::RWXO);
        }
    }

    /// Sets all forwardings of a host up, tells `up` of them, and parks until they end.
    pub(super) fn hold(&self, host: &Reached<'_>, up: impl FnOnce(Vec<String>)) -> Ended {
        let scope = host.scope().child(None);
        let mut held = Held::default();
        let set_up = self.set_up(host, &scope, &mut held);
        let failure = set_up.err().unwrap_or_else(|| {
            up(std::mem::take(&mut held.lines));
            let error = host.session().wait_for_end(&scope);
            let own = match error.phase() {
                phase @ (Phase::Run | Phase::Open) => phase.as_str(),
                _ => Phase::Run.as_str(),
            };
            let lost = failure(own, error.kind(), reason(&error));
            let is_stop = scope.check().is_err();
            let broken = held.broken.get().cloned();
            broken.filter(|_| is_stop).unwrap_or(lost)
        });
        let is_stopped = host.scope().check().is_err();
        scope.cancel();
        for thread in held.threads {
            // A panic in one ended it, and it is over anyway.
            let _ = thread.join();
        }
        match is_stopped {
            true => Ended::Stopped,
            false => Ended::Failed(failure),
        }
    }

    fn set_up(&self, host: &Reached<'_>, scope: &Scope, held: &mut Held) -> Result<(), Failure> {
        for local in &self.local {
            begin_local(local, host, scope, held)?;
        }
        for remote in &self.remote {
            begin_remote(remote, host, scope, held)?;
        }
        Ok(())
    }
}

fn begin_local(
    local: &Local,
    host: &Reached<'_>,
    scope: &Scope,
    held: &mut Held,
) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        let text = format!("-L {}: cannot listen: {}", local.text, os_text(&error));
        failure("local", Kind::Io, text)
    };
    let (listener, place) = listen(&local.listen).map_err(cannot)?;
    if let Listen::Unix(path) = &local.listen {
        held.sockets.push(SocketFile(path.clone()));
    }
    let destination = Shown(&local.connect);
    held.lines.push(format!("local {place} -> {destination}"));
    let (within, broken) = (scope.clone(), held.broken.clone());
    let connect = local.connect.clone();
    let forwarding = spawn_forward_local(host.session(), listener, connect, scope);
    let forwarding = forwarding.map_err(cannot)?;
    let text = local.text.clone();
    let thread = spawn(move || {
        let ended = forwarding
            .join()
            .unwrap_or_else(|panic| Err(io::Error::other(panic)));
        note_end(ended, &format!("-L {text}"), &broken, &within);
    });
    held.threads.push(thread.map_err(cannot)?);
    Ok(())
}

/// Listens, and returns how the place is called.
fn listen(place: &Listen) -> io::Result<(Listener, String)> {
    match place {
        Listen::Unix(path) => Ok((Listener::bind_unix(path)?, path.display().to_string())),
        Listen::Tcp(addresses) => {
            let mut failed = io::ErrorKind::AddrNotAvailable.into();
            for address in addresses {
                match Listener::bind(*address) {
                    Ok(listener) => {
                        let bound = listener.address().unwrap_or(*address);
                        return Ok((listener, bound.to_string()));
                    }
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        }
    }
}

fn begin_remote(
    remote: &Remote,
    host: &Reached<'_>,
    scope: &Scope,
    held: &mut Held,
) -> Result<(), Failure> {
    let within = scope.child(Some(ANSWER_LIMIT));
    let listener = host.session().listen(&remote.address, remote.port, &within);
    let listener = listener.map_err(|error| {
        let text = match error.kind() {
            Kind::Denied => {
                let place = joined(&remote.address, remote.port);
                format!("the host refused to listen on {place}")
            }
            _ => reason(&error),
        };
        let text = format!("-R {}: {text}", remote.text);
        failure(error.phase().as_str(), error.kind(), text)
    })?;
    let place = joined(&remote.address, listener.port());
    let destination = Shown(&remote.connect);
    held.lines.push(format!("remote {place} -> {destination}"));
    let (within, broken) = (scope.clone(), held.broken.clone());
    let (connect, text) = (remote.connect.clone(), remote.text.clone());
    let thread = spawn(move || {
        let ended = forward_remote(&listener, &connect, &within);
        note_end(ended, &format!("-R {text}"), &broken, &within);
    });
    let thread = thread.map_err(|error| failure("local", Kind::Io, os_text(&error)))?;
    held.threads.push(thread);
    Ok(())
}

/// Ends a host's other forwardings with one that ended by itself.
fn note_end(ended: io::Result<()>, what: &str, broken: &OnceLock<Failure>, scope: &Scope) {
    match ended {
        // The session's end has a better reason, which whoever waits for it is told.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
        Err(error) if scope.check().is_ok() => {
            let text = format!("{what}: {}", os_text(&error));
            let _ = broken.set(failure("local", Kind::Io, text));
            scope.cancel();
        }
        _ => {}
    }
}

fn failure(phase: &'static str, kind: Kind, reason: String) -> Failure {
    Failure {
        phase,
        kind: kind.as_str(),
        reason: crate::sanitise::one_line(&reason).into_owned(),
        by_our_limit: false,
    }
}

/// A Unix socket's name, which goes with its forwarding.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // Somebody else may have removed it.
        let _ = fs::remove_file(path);
    }
}

/// How long a host may take to say whether it listens.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
