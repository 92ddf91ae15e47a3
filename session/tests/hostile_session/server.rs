//! An SSH server in little: one key exchange, one cipher, and scripts that say whatever they like after it.
//!
//! Plain blocking sockets, one thread per client. It lets everyone in and believes everything.
#![allow(dead_code, reason = "each test binary uses another part of it")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;

use super::cipher::{Keys, Opener, Sealer};
use zlib::Zlib;

#[path = "zlib.rs"]
mod zlib;

/// What the server says in the clear, and at which cipher.
const VERSION: &[u8] = b"SSH-2.0-little";
/// The ciphers of the server, by what their packets show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AES-GCM: the length is in the clear.
    Readable,
    /// AES-CTR with a MAC over the plain text: the length is encrypted.
    Hidden,
}

impl Cipher {
    /// Its name and its MAC's.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Readable => ["aes128-gcm@openssh.com", "hmac-sha2-256"],
            Self::Hidden => ["aes128-ctr", "hmac-sha2-256"],
        }
    }
}

/// A running server; dropping it ends it and all its connections.
pub(crate) struct Server {
    address: SocketAddr,
    known_hosts: String,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs a script for each client that was let in.
    pub(crate) fn start(
        cipher: Cipher,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at_authentication(cipher, move |client| {
            client.await_message(50)?;
            client.send(&[52])?;
            script(client)
        })
    }

    /// As [`Server::start`]; what the server says from there on is compressed.
    pub(crate) fn start_compressed(
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let script = move |client: &mut Client| {
            client.await_message(50)?;
            client.send(&[52])?;
            client.zlib = Some(Zlib::default());
            script(client)
        };
        Self::start_with(Cipher::Readable, "zlib@openssh.com", script)
    }

    /// Runs a script for each client that is about to authenticate.
    pub(crate) fn start_at_authentication(
        cipher: Cipher,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(cipher, "none", script)
    }

    fn start_with(
        cipher: Cipher,
        compression: &'static str,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let key = PKey::generate_ed25519().unwrap();
        let blob = host_key_blob(&key);
        let known_hosts = format!(
            "[127.0.0.1]:{} ssh-ed25519 {}\n",
            address.port(),
            STANDARD.encode(blob)
        );
        let stop = Arc::new(AtomicBool::new(false));
        let acceptor = thread::spawn({
            let stop = stop.clone();
            let manner = (cipher, compression);
            move || accept(&listener, &key, manner, &script, &stop)
        });
        Self {
            address,
            known_hosts,
            stop,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn known_hosts(&self) -> &str {
        &self.known_hosts
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the acceptor, which then ends its clients.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    key: &PKey<Private>,
    manner: (Cipher, &'static str),
    script: &(impl Fn(&mut Client) -> io::Result<()> + Sync),
    stop: &AtomicBool,
) {
    thread::scope(|scope| {
        let mut streams = Vec::new();
        for stream in listener.incoming().flatten() {
            if stop.load(Ordering::Acquire) {
                break;
            }
            streams.extend(stream.try_clone());
            scope.spawn(move || {
                // A client that goes away is what most scripts wait for.
                let _ = serve(stream, key, manner, script);
            });
        }
        for stream in streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

fn serve(
    stream: TcpStream,
    key: &PKey<Private>,
    (cipher, compression): (Cipher, &'static str),
    script: &impl Fn(&mut Client) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut client = Client {
        stream,
        key: key.clone(),
        cipher,
        compression,
        version: Vec::new(),
        session_id: None,
        sealer: Sealer::Clear,
        zlib: None,
        opener: Opener::Clear,
        sent: 0,
        received: 0,
    };
    client.greet()?;
    script(&mut client)?;
    // Silent from here on, until the client goes.
    while client.receive().is_ok() {}
    Ok(())
}

/// One client, as its server sees it.
pub(crate) struct Client {
    stream: TcpStream,
    key: PKey<Private>,
    cipher: Cipher,
    /// What is offered for what we say.
    compression: &'static str,
    version: Vec<u8>,
    session_id: Option<[u8; 32]>,
    sealer: Sealer,
    zlib: Option<Zlib>,
    opener: Opener,
    /// Packets in each direction (RFC 4253 §6.4).
    sent: u32,
    received: u32,
}

impl Client {
    /// Exchanges versions and keys, and grants the service of authentication.
    fn greet(&mut self) -> io::Result<()> {
        self.stream.write_all(&[VERSION, b"\r\n"].concat())?;
        let mut byte = [0];
        while self.version.last() != Some(&b'\n') {
            self.stream.read_exact(&mut byte)?;
            self.version.push(byte[0]);
        }
        while self
            .version
            .pop_if(|byte| matches!(byte, b'\r' | b'\n'))
            .is_some()
        {}
        let offer = self.offer(self.cipher.names());
        self.send(&offer)?;
        self.exchange_keys(&offer)?;
        self.await_message(5)?;
        self.send(&[&[6][..], &string(b"ssh-userauth")].concat())
    }

    /// The session's number, which signatures of authentication are over.
    pub(crate) fn session_id(&self) -> [u8; 32] {
        self.session_id.expect("keys were exchanged")
    }

    pub(crate) fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Waits for the opening of a channel and the request of a command; accepts both.
    pub(crate) fn accept_command(&mut self, window: u32) -> io::Result<()> {
        self.await_message(90)?;
        let numbers = [0, 0, window, 32_768].map(u32::to_be_bytes).concat();
        self.send(&[&[91][..], &numbers].concat())?;
        self.await_message(98)?;
        self.send(&[99, 0, 0, 0, 0])
    }

    /// A KEXINIT that offers one cipher and MAC.
    pub(crate) fn offer(&self, [cipher, mac]: [&str; 2]) -> Vec<u8> {
        let mut message = vec![20];
        message.extend([3; 16]);
        let kex = "curve25519-sha256";
        for names in [
            kex,
            "ssh-ed25519",
            cipher,
            cipher,
            mac,
            mac,
            "none",
            self.compression,
            "",
            "",
        ] {
            message.extend(string(names.as_bytes()));
        }
        message.extend([0; 5]);
        message
    }

    /// Answers the client's half of a key exchange, our offer having been sent (RFC 8731).
    pub(crate) fn exchange_keys(&mut self, offer: &[u8]) -> io::Result<()> {
        let theirs = self.await_message(20)?;
        let init = self.await_message(30)?;
        let point = &init[5..];
        let ours = PKey::generate_x25519()?;
        let peer = PKey::public_key_from_raw_bytes(point, Id::X25519)?;
        let mut deriver = Deriver::new(&ours)?;
        deriver.set_peer(&peer)?;
        let secret = mpint(&deriver.derive_to_vec()?);
        let (blob, our_point) = (host_key_blob(&self.key), ours.raw_public_key()?);
        let mut hashed = Vec::new();
        for part in [
            &self.version,
            VERSION,
            &theirs,
            offer,
            &blob,
            point,
            &our_point,
        ] {
            hashed.extend(string(part));
        }
        hashed.extend(&secret);
        let hash = sha256(&hashed);
        let session_id = *self.session_id.get_or_insert(hash);
        let signature = Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(&hash)?;
        let signature = [string(b"ssh-ed25519"), string(&signature)].concat();
        let reply = [string(&blob), string(&our_point), string(&signature)].concat();
        self.send(&[&[31][..], &reply].concat())?;
        self.send(&[21])?;
        let keys = |letters| Keys::derive(&secret, &hash, &session_id, letters);
        self.sealer = Sealer::new(self.cipher, keys(*b"BDF"));
        self.await_message(21)?;
        self.opener = Opener::new(self.cipher, keys(*b"ACE"));
        Ok(())
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let packet = self.seal(message);
        self.stream.write_all(&packet)
    }

    /// Makes the packet of a message; it has to be sent next, by [`Client::send_bytes`].
    pub(crate) fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let stored = self.zlib.as_mut().map(|zlib| zlib.store(message));
        self.seal_packed(stored.as_deref().unwrap_or(message))
    }

    /// As [`Client::seal`], of a message of this many runs of zeroes, for a client that inflates.
    pub(crate) fn seal_inflatable(&mut self, message: u8, runs: usize) -> Vec<u8> {
        let zlib = self.zlib.as_mut().expect("compression was agreed on");
        let packed = zlib.inflatable(message, runs);
        self.seal_packed(&packed)
    }

    fn seal_packed(&mut self, message: &[u8]) -> Vec<u8> {
        let packet = self.sealer.seal(self.sent, message);
        self.sent = self.sent.wrapping_add(1);
        packet
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends our direction of the connection.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Returns the next message.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let message = self.opener.open(self.received, &mut self.stream)?;
        self.received = self.received.wrapping_add(1);
        Ok(message)
    }

    /// Returns the next message of a kind; others are passed over.
    pub(crate) fn await_message(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let message = self.receive()?;
            if message.first() == Some(&kind) {
                return Ok(message);
            }
        }
    }
}

fn host_key_blob(key: &PKey<Private>) -> Vec<u8> {
    [
        string(b"ssh-ed25519"),
        string(&key.raw_public_key().unwrap()),
    ]
    .concat()
}

/// A string on the wire (RFC 4251 §5).
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    string.extend(bytes);
    string
}

/// A positive number on the wire (RFC 4251 §5).
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes[zeroes..].to_vec();
    if number.first().is_some_and(|byte| byte & 0x80 != 0) {
        number.insert(0, 0);
    }
    string(&number)
}
