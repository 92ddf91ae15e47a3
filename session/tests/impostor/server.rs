//! A server that does one key exchange, showing whatever key it is told, and takes down what the client says then.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey};
use openssl::sha::sha256;

use super::LIMIT;
use super::cipher::{Keys, Opener, Sealer};
use super::keys::{KeyPair, mpint, string};

const VERSION: &[u8] = b"SSH-2.0-impostor";

/// The ciphers that packets can be under; this server has the first.
#[expect(dead_code, reason = "the other is for another test")]
#[derive(Clone, Copy)]
pub(crate) enum Cipher {
    Readable,
    Hidden,
}

/// A running server for one client.
pub(crate) struct Server {
    address: SocketAddr,
    said: Receiver<Vec<u8>>,
}

impl Server {
    /// Shows `blob` under `algorithm`, and signs the exchange by `key`.
    pub(crate) fn start(algorithm: &'static str, blob: Vec<u8>, key: KeyPair) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut client = Client {
                stream,
                sealer: Sealer::Clear,
                opener: Opener::Clear,
            };
            // A client that goes before the end of the exchange has said nothing behind it.
            let said = client.serve(algorithm, &blob, &key).unwrap_or_default();
            let _ = sender.send(said);
        });
        Self { address, said }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the client's end, or its first attempt to authenticate; returns the numbers of its messages behind
    /// the request of the service, which libssh2 makes as a part of the exchange.
    pub(crate) fn said_after_exchange(self) -> Vec<u8> {
        self.said.recv_timeout(LIMIT).unwrap()
    }
}

struct Client {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
}

impl Client {
    fn serve(&mut self, algorithm: &str, blob: &[u8], key: &KeyPair) -> io::Result<Vec<u8>> {
        self.stream.write_all(&[VERSION, b"\r\n"].concat())?;
        let (mut version, mut byte) = (Vec::new(), [0]);
        while byte[0] != b'\n' {
            self.stream.read_exact(&mut byte)?;
            version.push(byte[0]);
        }
        let version = version.trim_ascii_end().to_vec();
        let offer = offer(algorithm);
        self.send(0, &offer)?;
        let theirs = self.receive()?;
        let init = self.receive()?;
        let point = &init[5..];
        let ours = PKey::generate_x25519()?;
        let peer = PKey::public_key_from_raw_bytes(point, Id::X25519)?;
        let mut deriver = Deriver::new(&ours)?;
        deriver.set_peer(&peer)?;
        let secret = mpint(&deriver.derive_to_vec()?);
        let our_point = ours.raw_public_key()?;
        let parts: [&[u8]; 7] = [&version, VERSION, &theirs, &offer, blob, point, &our_point];
        let mut hashed: Vec<u8> = parts.iter().flat_map(|part| string(part)).collect();
        hashed.extend(&secret);
        let hash = sha256(&hashed);
        let reply = [string(blob), string(&our_point), string(&key.sign(&hash))].concat();
        self.send(1, &[&[31][..], &reply].concat())?;
        self.send(2, &[21])?;
        while self.receive()? != [21] {}
        let keys = |letters| Keys::derive(&secret, &hash, &hash, letters);
        self.sealer = Sealer::new(Cipher::Readable, keys(*b"BDF"));
        self.opener = Opener::new(Cipher::Readable, keys(*b"ACE"));
        while self.receive()?.first() != Some(&5) {}
        self.send(3, &[&[6][..], &string(b"ssh-userauth")].concat())?;
        let mut said = Vec::new();
        while let Ok(message) = self.receive() {
            said.extend(message.first());
            if said.contains(&50) {
                break;
            }
        }
        Ok(said)
    }

    fn send(&mut self, number: u32, message: &[u8]) -> io::Result<()> {
        let packet = self.sealer.seal(number, message);
        self.stream.write_all(&packet)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.opener.open(0, &mut self.stream)
    }
}

/// A KEXINIT with one host key algorithm (RFC 4253 §7.1).
fn offer(algorithm: &str) -> Vec<u8> {
    let cipher = "aes128-gcm@openssh.com";
    let mac = "hmac-sha2-256";
    let mut message = vec![20];
    message.extend([3; 16]);
    for names in [
        "curve25519-sha256",
        algorithm,
        cipher,
        cipher,
        mac,
        mac,
        "none",
        "none",
        "",
        "",
    ] {
        message.extend(string(names.as_bytes()));
    }
    message.extend([0; 5]);
    message
}
