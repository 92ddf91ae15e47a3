//! One client of a little server, as the server sees it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey};
use openssl::sha::sha256;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cipher::{Keys, Opener, Sealer};
use crate::messages::{close, kexinit_of, mpint, string};
use crate::server::{Cipher, Manner, Stage};
use crate::zlib::Zlib;

/// What a server says in the clear.
const VERSION: &[u8] = b"SSH-2.0-little";

/// One client, as its server sees it.
pub struct Client {
    stream: TcpStream,
    manner: Manner,
    version: Vec<u8>,
    session_id: Option<[u8; 32]>,
    sealer: Sealer,
    zlib: Option<Zlib>,
    opener: Opener,
    /// Packets in each direction (RFC 4253 §6.4).
    sent: u32,
    received: u32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.manner).finish()
    }
}

impl Client {
    pub(crate) fn new(stream: TcpStream, manner: &Manner) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            manner: manner.clone(),
            version: Vec::new(),
            session_id: None,
            sealer: Sealer::Clear,
            zlib: None,
            opener: Opener::Clear,
            sent: 0,
            received: 0,
        })
    }

    /// Does what a server does, from the begin up to a stage.
    pub fn play_to(&mut self, stage: Stage) -> io::Result<()> {
        if stage >= Stage::Greeted {
            self.greet()?;
        }
        if stage >= Stage::Keyed {
            let offer = self.offer(self.cipher().names());
            self.send(&offer)?;
            self.exchange_keys(&offer)?;
        }
        if stage >= Stage::Authenticating {
            self.await_message(5)?;
            self.send(&[&[6][..], &string(b"ssh-userauth")].concat())?;
        }
        if stage >= Stage::LoggedIn {
            self.await_message(50)?;
            self.let_in()?;
        }
        Ok(())
    }

    /// Exchanges version lines.
    pub fn greet(&mut self) -> io::Result<()> {
        self.stream.write_all(&[VERSION, b"\r\n"].concat())?;
        let mut byte = [0];
        while self.version.last() != Some(&b'\n') {
            self.stream.read_exact(&mut byte)?;
            self.version.push(byte[0]);
        }
        let length = self.version.trim_ascii_end().len();
        self.version.truncate(length);
        Ok(())
    }

    /// Ends an authentication well.
    pub fn let_in(&mut self) -> io::Result<()> {
        self.send(&[52])?;
        self.zlib = (self.manner.compression != "none").then(Zlib::default);
        Ok(())
    }

    /// The session's number, which signatures of authentication are over.
    #[must_use]
    pub fn session_id(&self) -> [u8; 32] {
        self.session_id.expect("keys were exchanged")
    }

    /// The server's cipher.
    #[must_use]
    pub fn cipher(&self) -> Cipher {
        self.manner.cipher
    }

    /// Waits for the opening of a channel and the request of a command; accepts both.
    pub fn accept_command(&mut self, window: u32) -> io::Result<()> {
        self.await_message(90)?;
        let numbers = [0, 0, window, 32_768].map(u32::to_be_bytes).concat();
        self.send(&[&[91][..], &numbers].concat())?;
        self.await_message(98)?;
        self.send(&[99, 0, 0, 0, 0])
    }

    /// Ends the first channel and waits until the client has, too.
    pub fn close_command(&mut self) -> io::Result<()> {
        self.send(&close(0))?;
        self.await_message(97).map(drop)
    }

    /// A KEXINIT that offers one cipher and MAC.
    #[must_use]
    pub fn offer(&self, [cipher, mac]: [&str; 2]) -> Vec<u8> {
        let kex = match self.manner.strict {
            true => "curve25519-sha256,kex-strict-s-v00@openssh.com",
            false => "curve25519-sha256",
        };
        let compression = self.manner.compression;
        kexinit_of([
            kex,
            self.manner.key.algorithm,
            cipher,
            cipher,
            mac,
            mac,
            "none",
            compression,
            "",
            "",
        ])
    }

    /// Answers the client's half of a key exchange, our offer having been sent (RFC 8731).
    pub fn exchange_keys(&mut self, offer: &[u8]) -> io::Result<()> {
        let theirs = self.await_message(20)?;
        let init = self.await_message(30)?;
        let point = init.get(5..).ok_or(io::ErrorKind::InvalidData)?;
        let ours = PKey::generate_x25519()?;
        let peer = PKey::public_key_from_raw_bytes(point, Id::X25519)?;
        let mut deriver = Deriver::new(&ours)?;
        deriver.set_peer(&peer)?;
        let secret = mpint(&deriver.derive_to_vec()?);
        let (key, our_point) = (self.manner.key.clone(), ours.raw_public_key()?);
        let parts: [&[u8]; 7] = [
            &self.version,
            VERSION,
            &theirs,
            offer,
            &key.blob,
            point,
            &our_point,
        ];
        let mut hashed: Vec<u8> = parts.iter().flat_map(|part| string(part)).collect();
        hashed.extend(&secret);
        let hash = sha256(&hashed);
        let session_id = *self.session_id.get_or_insert(hash);
        let signature = key.sign(&hash);
        let reply = [string(&key.blob), string(&our_point), string(&signature)].concat();
        self.send(&[&[31][..], &reply].concat())?;
        self.send(&[21])?;
        let keys = |letters| Keys::derive(&secret, &hash, &session_id, letters);
        self.sealer = Sealer::new(self.cipher(), keys(*b"BDF"));
        self.await_message(21)?;
        self.opener = Opener::new(self.cipher(), keys(*b"ACE"));
        if self.manner.strict {
            (self.sent, self.received) = (0, 0);
        }
        Ok(())
    }

    /// Offers and exchanges keys once more.
    pub fn exchange_keys_again(&mut self) -> io::Result<()> {
        let offer = self.offer(self.cipher().names());
        self.send(&offer)?;
        self.exchange_keys(&offer)
    }

    /// Sends one message.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let packet = self.seal(message);
        self.stream.write_all(&packet)
    }

    /// Sends messages in few writes.
    pub fn send_all(&mut self, messages: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(self.seal(&message));
            if bytes.len() > 60_000 {
                self.send_bytes(&std::mem::take(&mut bytes))?;
            }
        }
        self.send_bytes(&bytes)
    }

    /// Makes the packet of a message; it has to be sent next, by [`Client::send_bytes`].
    pub fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let stored = self.zlib.as_mut().map(|zlib| zlib.store(message));
        self.seal_packed(stored.as_deref().unwrap_or(message))
    }

    /// As [`Client::seal`], of a message of this many runs of zeroes, for a client that inflates.
    pub fn seal_inflatable(&mut self, message: u8, runs: usize) -> Vec<u8> {
        let zlib = self.zlib.as_mut().expect("compression was agreed on");
        let packed = zlib.inflatable(message, runs);
        self.seal_packed(&packed)
    }

    fn seal_packed(&mut self, message: &[u8]) -> Vec<u8> {
        let packet = self.sealer.seal(self.sent, message);
        self.sent = self.sent.wrapping_add(1);
        packet
    }

    /// Sends a message in a packet that is not of whole blocks.
    pub fn send_uneven(&mut self, message: &[u8]) -> io::Result<()> {
        let packet = self.sealer.seal_uneven(self.sent, message);
        self.sent = self.sent.wrapping_add(1);
        self.stream.write_all(&packet)
    }

    /// Passes over a number of packets of ours, as if they had been lost on the way.
    pub fn skip_sent(&mut self, packets: u32) {
        self.sent = self.sent.wrapping_add(packets);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for so long, or until the client speaks or goes.
    pub fn idle(&mut self, time: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        poll(&mut fds, Some(&time))?;
        Ok(())
    }

    /// Waits for so long, whatever the client says meanwhile; an error if it goes.
    pub fn pause(&mut self, time: Duration) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&time))? {
            0 => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends our direction of the connection.
    pub fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Returns the next message.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let message = self.opener.open(self.received, &mut self.stream)?;
        self.received = self.received.wrapping_add(1);
        Ok(message)
    }

    /// Returns the next message of a kind; others are passed over.
    pub fn await_message(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let message = self.receive()?;
            if message.first() == Some(&kind) {
                return Ok(message);
            }
        }
    }
}
