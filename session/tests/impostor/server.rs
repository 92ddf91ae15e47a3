//! A server that does one key exchange, showing whatever key it is told, and takes down what the client says then.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

use sshoal_hostile::server::{self, Cipher, Client, HostKey, Manner, Stage};

use super::LIMIT;
use super::keys::KeyPair;

/// A running server for one client.
pub(crate) struct Server {
    server: server::Server,
    said: Receiver<Vec<u8>>,
}

impl Server {
    /// Shows `blob` under `algorithm`, and signs the exchange by `key`.
    pub(crate) fn start(algorithm: &'static str, blob: Vec<u8>, key: KeyPair) -> Self {
        let (sender, said) = channel();
        let key = HostKey::new(algorithm, blob, move |hash| key.sign(hash));
        let manner = Manner::new(Cipher::Readable).host_key(key);
        let server = manner.from(Stage::Connected).start(move |client| {
            // A client that goes before the end of the exchange has said nothing behind it.
            let _ = sender.send(said_to(client).unwrap_or_default());
            client.end()
        });
        Self { server, said }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Waits for the client's end, or its first attempt to authenticate; returns the numbers of its messages behind
    /// the request of the service, which libssh2 makes as a part of the exchange.
    pub(crate) fn said_after_exchange(self) -> Vec<u8> {
        self.said.recv_timeout(LIMIT).unwrap()
    }
}

fn said_to(client: &mut Client) -> io::Result<Vec<u8>> {
    client.play_to(Stage::Authenticating)?;
    let mut said = Vec::new();
    while let Ok(message) = client.receive() {
        said.extend(message.first());
        if said.contains(&50) {
            break;
        }
    }
    Ok(said)
}
