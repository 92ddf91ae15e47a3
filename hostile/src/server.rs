//! An SSH server in little: one key exchange, one cipher, and scripts that say whatever they like at any stage of it.
//!
//! Plain blocking sockets, one thread per client. It lets everyone in and believes everything.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

pub use crate::client::Client;
use crate::messages::string;

/// The ciphers of the server, by what their packets show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-GCM: the length is in the clear.
    Readable,
    /// AES-CTR with a MAC over the plain text: the length is encrypted.
    Hidden,
}

impl Cipher {
    /// Its name and its MAC's.
    #[must_use]
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::Readable => ["aes128-gcm@openssh.com", "hmac-sha2-256"],
            Self::Hidden => ["aes128-ctr", "hmac-sha2-256"],
        }
    }
}

/// How far the server plays along before its script takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// A client connected; nothing was said.
    Connected,
    /// Both version lines were exchanged.
    Greeted,
    /// Keys were exchanged, and no service was granted.
    Keyed,
    /// The client is about to authenticate.
    Authenticating,
    /// The client was let in.
    LoggedIn,
}

/// Makes the blob of a signature.
type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// The host key that a server shows, and what it signs by.
#[derive(Clone)]
pub struct HostKey {
    pub(crate) algorithm: &'static str,
    pub(crate) blob: Vec<u8>,
    sign: Arc<Sign>,
}

impl HostKey {
    /// Shows `blob` under `algorithm`; `sign` makes the signature's blob over the exchange's hash.
    pub fn new(
        algorithm: &'static str,
        blob: Vec<u8>,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let sign = Arc::new(sign);
        Self {
            algorithm,
            blob,
            sign,
        }
    }

    /// A key that was not there before.
    #[must_use]
    pub fn generate() -> Self {
        let key: PKey<Private> = PKey::generate_ed25519().unwrap();
        let blob = [
            string(b"ssh-ed25519"),
            string(&key.raw_public_key().unwrap()),
        ]
        .concat();
        Self::new("ssh-ed25519", blob, move |hash| {
            let mut signer = Signer::new_without_digest(&key).unwrap();
            let signature = signer.sign_oneshot_to_vec(hash).unwrap();
            [string(b"ssh-ed25519"), string(&signature)].concat()
        })
    }

    /// The same key with signatures that do not hold.
    #[must_use]
    pub fn with_bad_signatures(&self) -> Self {
        let good = self.clone();
        Self::new(self.algorithm, self.blob.clone(), move |hash| {
            let mut signature = good.sign(hash);
            *signature.last_mut().unwrap() ^= 1;
            signature
        })
    }

    pub(crate) fn sign(&self, hash: &[u8]) -> Vec<u8> {
        (self.sign)(hash)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostKey").field(&self.algorithm).finish()
    }
}

/// What a server is like, before it starts.
#[derive(Clone, Debug)]
#[must_use]
pub struct Manner {
    pub(crate) cipher: Cipher,
    /// What is offered for what the server says.
    pub(crate) compression: &'static str,
    pub(crate) key: HostKey,
    /// Whether the end of a key exchange resets the counts of packets (OpenSSH's PROTOCOL, 1.9).
    pub(crate) strict: bool,
    ip: IpAddr,
    stage: Stage,
}

impl Manner {
    /// A server of 127.0.0.1 under this cipher, whose script begins once the client was let in.
    pub fn new(cipher: Cipher) -> Self {
        Self {
            cipher,
            compression: "none",
            key: HostKey::generate(),
            strict: false,
            ip: Ipv4Addr::LOCALHOST.into(),
            stage: Stage::LoggedIn,
        }
    }

    /// Where the script begins (default [`Stage::LoggedIn`]).
    pub fn from(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// The address to listen on; the port is a free one.
    pub fn listen_on(mut self, ip: IpAddr) -> Self {
        self.ip = ip;
        self
    }

    /// The host key to show (default a fresh one).
    pub fn host_key(mut self, key: HostKey) -> Self {
        self.key = key;
        self
    }

    /// Offers and keeps to the strict key exchange of OpenSSH.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Compresses what the server says once the client was let in.
    pub fn compressed(mut self) -> Self {
        self.compression = "zlib@openssh.com";
        self
    }

    /// Starts; the script is run for each client, on a thread of its own.
    pub fn start(
        self,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind((self.ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let known_hosts = format!(
            "[{}]:{} {} {}\n",
            address.ip(),
            address.port(),
            self.key.algorithm,
            STANDARD.encode(&self.key.blob)
        );
        let stop = Arc::new(AtomicBool::new(false));
        let acceptor = thread::spawn({
            let stop = stop.clone();
            move || accept(&listener, &self, &script, &stop)
        });
        Server {
            address,
            known_hosts,
            stop,
            acceptor: Some(acceptor),
        }
    }
}

/// A running server; dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    known_hosts: String,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs a script for each client that was let in.
    pub fn start(
        cipher: Cipher,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Manner::new(cipher).start(script)
    }

    /// As [`Server::start`]; what the server says from there on is compressed.
    pub fn start_compressed(
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Manner::new(Cipher::Readable).compressed().start(script)
    }

    /// Runs a script for each client that is about to authenticate.
    pub fn start_at_authentication(
        cipher: Cipher,
        script: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Manner::new(cipher)
            .from(Stage::Authenticating)
            .start(script)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its line in known_hosts.
    #[must_use]
    pub fn known_hosts(&self) -> &str {
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
    manner: &Manner,
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
                let _ = serve(stream, manner, script);
            });
        }
        for stream in streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

fn serve(
    stream: TcpStream,
    manner: &Manner,
    script: &impl Fn(&mut Client) -> io::Result<()>,
) -> io::Result<()> {
    let mut client = Client::new(stream, manner)?;
    client.play_to(manner.stage)?;
    script(&mut client)?;
    // Silent from here on, until the client goes.
    while client.receive().is_ok() {}
    Ok(())
}
