//! Connections that come to a port of the host's and are handed to us (RFC 4254 §7.1).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope, WaitList};

use super::Tunnel;
use super::carrier::{Bell, Carrier};
use crate::engine::stopped;
use crate::error::{Error, Phase};
use crate::ffi::{ListenerId, c_string};

/// A port that the host listens on for us; dropping it ends that, and not its connections.
///
/// Made by [`Session::listen`](crate::Session::listen).
#[derive(Debug)]
pub struct RemoteListener {
    port: u16,
    reception: Arc<Reception>,
}

impl RemoteListener {
    /// Returns the port, the host's choice where 0 was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes the next connection. Parks.
    ///
    /// # Errors
    ///
    /// The session has ended, or why the scope ended.
    pub fn accept(&self, scope: &Scope) -> io::Result<Tunnel> {
        let reception = &self.reception;
        loop {
            let sequence = reception.waiters.sequence();
            {
                let mut state = reception.state.lock();
                if let Some(tunnel) = state.waiting.pop_front() {
                    return Ok(tunnel);
                }
                if state.is_over {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            if let Some(ticket) = reception.waiters.register(sequence, Interest::READ) {
                ticket.wait(scope)?;
            }
        }
    }
}

impl Drop for RemoteListener {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.reception.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
        self.reception.bell.ring();
    }
}

/// Where a listener and the carrier meet.
#[derive(Debug)]
pub(super) struct Reception {
    state: Mutex<State>,
    waiters: WaitList,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Tunnel>,
    /// Nobody takes them any more.
    is_closed: bool,
    /// None will come any more.
    is_over: bool,
}

/// A listener on the carrier's side.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) id: ListenerId,
    pub(super) reception: Arc<Reception>,
}

impl Reception {
    /// Brings a connection to who accepts; the carrier wakes them by [`Reception::notify`].
    pub(super) fn bring(&self, tunnel: Tunnel) {
        self.state.lock().waiting.push_back(tunnel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Whether more may be brought: what nobody accepts stays with libssh2, which refuses more.
    pub(super) fn has_room(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    pub(super) fn notify(&self) {
        self.waiters.wake(Interest::READ);
    }

    /// Ends it with the session.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.notify();
    }
}

/// Has the host listen. Parks.
pub(crate) fn listen(
    carrier: &Arc<Carrier>,
    address: &str,
    port: u16,
    scope: &Scope,
) -> Result<RemoteListener, Error> {
    let (engine, phase) = (carrier.engine(), Phase::Open);
    let address = c_string(address.as_bytes())?;
    let _turn = engine.reply_turn(phase, scope)?;
    scope.check().map_err(|stop| stopped(stop, phase, scope))?;
    let (id, port) = engine.request(phase, scope, |library| library.listen(&address, port))?;
    let reception = Arc::new(Reception {
        state: Mutex::default(),
        waiters: WaitList::default(),
        bell: carrier.bell().clone(),
    });
    carrier.take_listener(Listening {
        id,
        reception: reception.clone(),
    });
    Ok(RemoteListener { port, reception })
}
