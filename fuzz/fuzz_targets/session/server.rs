//! A server that lets everyone in, and does what a script says to each of its messages.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey, Private};
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::symm::Mode;

use super::packets::{Keys, Packets};

const VERSION: &[u8] = b"SSH-2.0-fuzz";

pub(crate) struct HostKey(PKey<Private>);

impl HostKey {
    pub(crate) fn generate() -> Self {
        Self(PKey::generate_ed25519().expect("there is randomness"))
    }

    pub(crate) fn known_hosts_line(&self, name: &str) -> String {
        format!("{name} ssh-ed25519 {}\n", STANDARD.encode(self.blob()))
    }

    fn blob(&self) -> Vec<u8> {
        let key = self.0.raw_public_key().expect("ed25519 has one");
        [string(b"ssh-ed25519"), string(&key)].concat()
    }
}

/// What is done to the messages, in their order.
pub(crate) struct Script<'a>(&'a [u8]);

/// What is done to one message.
enum Step<'a> {
    /// Nothing.
    Plain,
    /// A byte of the message is another, before it is encrypted.
    Message { at: u8, xor: u8 },
    /// A byte of the packet is another.
    Packet { at: u8, xor: u8 },
    /// These bytes are sent before it, encrypted as a message of their own.
    Before(&'a [u8]),
    /// The message ends early.
    Cut(u8),
    /// So many bytes are sent, and after a moment the rest.
    Halves(u8),
    /// The packet is sent twice.
    Twice,
    /// These bytes are sent as they are, before it.
    Raw(&'a [u8]),
    /// It is not sent.
    Withheld,
    /// Another key exchange is begun before it, and taken as far as the client goes.
    Rekey,
    /// The connection ends.
    End,
}

impl<'a> Script<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn step(&mut self) -> Step<'a> {
        let (at, xor);
        match self.byte() {
            1 => {
                (at, xor) = (self.byte(), self.byte());
                Step::Message { at, xor }
            }
            2 => {
                (at, xor) = (self.byte(), self.byte());
                Step::Packet { at, xor }
            }
            3 => Step::Before(self.bytes()),
            4 => Step::Cut(self.byte()),
            5 => Step::Halves(self.byte()),
            6 => Step::Twice,
            7 => Step::Raw(self.bytes()),
            8 => Step::Withheld,
            9 => Step::Rekey,
            10 => Step::End,
            _ => Step::Plain,
        }
    }
}

/// One client.
struct Client<'a> {
    stream: TcpStream,
    key: &'a HostKey,
    script: Script<'a>,
    /// Whether lengths are encrypted.
    hidden: bool,
    version: Vec<u8>,
    session_id: Option<[u8; 32]>,
    out: Packets,
    into: Packets,
    sent: u32,
}

/// Serves one client by a script: from the version to the end of two commands.
pub(crate) fn serve(stream: TcpStream, key: &HostKey, mut script: Script<'_>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Of one that waits for us in turn.
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    stream.set_write_timeout(Some(Duration::from_millis(50)))?;
    let hidden = script.byte() & 1 == 1;
    let mut client = Client {
        stream,
        key,
        script,
        hidden,
        version: Vec::new(),
        session_id: None,
        out: Packets::Clear,
        into: Packets::Clear,
        sent: 0,
    };
    let served = client.serve();
    // A client that waits for more is told that there is none.
    let _ = client.stream.shutdown(Shutdown::Write);
    while client.into.open(&mut client.stream).is_ok() {}
    served
}

impl Client<'_> {
    fn serve(&mut self) -> io::Result<()> {
        self.greet()?;
        // Whoever asks is let in.
        self.until(50)?;
        self.send(&[52])?;
        // Two channels, in whatever order their requests come.
        let mut ended = 0;
        while ended < 2 {
            let message = self.receive()?;
            match message.first() {
                Some(90) => {
                    let theirs = message.get(12..16).unwrap_or(&[0; 4]);
                    let numbers = [0, 100_000, 32_768].map(u32::to_be_bytes).concat();
                    self.send(&[&[91][..], theirs, &theirs[..], &numbers[4..]].concat())?;
                }
                Some(98) => {
                    self.run(message.get(1..5).unwrap_or(&[0; 4]))?;
                    ended += 1;
                }
                Some(80) => self.send(&[82])?,
                _ => {}
            }
        }
        // The rest of the script is for a session with nothing under way.
        while !self.script.0.is_empty() {
            self.send(&[2, 0, 0, 0, 0])?;
        }
        Ok(())
    }

    /// Runs what it was asked to: both streams, an exit status, and all ends.
    fn run(&mut self, channel: &[u8]) -> io::Result<()> {
        let on = |kind: u8, rest: &[u8]| [&[kind][..], channel, rest].concat();
        self.send(&on(99, &[]))?;
        self.send(&on(93, &2_000_000_u32.to_be_bytes()))?;
        self.send(&on(94, &string(b"what it prints\n")))?;
        self.send(&on(95, &[&[0, 0, 0, 1][..], &string(b"errors\n")].concat()))?;
        let status = [&string(b"exit-status")[..], &[0, 0, 0, 0, 3]].concat();
        self.send(&on(98, &status))?;
        self.send(&on(96, &[]))?;
        self.send(&on(97, &[]))
    }

    fn greet(&mut self) -> io::Result<()> {
        let line = [VERSION, b"\r\n"].concat();
        self.emit(&line)?;
        let mut byte = [0];
        while byte != *b"\n" && self.version.len() < 300 {
            self.stream.read_exact(&mut byte)?;
            self.version.push(byte[0]);
        }
        while let Some(b'\r' | b'\n') = self.version.last() {
            self.version.pop();
        }
        self.exchange_keys()?;
        self.until(5)?;
        self.send(&[&[6][..], &string(b"ssh-userauth")].concat())
    }

    /// Both sides of a key exchange (RFC 8731).
    fn exchange_keys(&mut self) -> io::Result<()> {
        let offer = self.offer();
        self.send(&offer)?;
        let theirs = self.until(20)?;
        let init = self.until(30)?;
        let point = init.get(5..).unwrap_or_default();
        let ours = PKey::generate_x25519()?;
        let peer = PKey::public_key_from_raw_bytes(point, Id::X25519)?;
        let mut deriver = Deriver::new(&ours)?;
        deriver.set_peer(&peer)?;
        let secret = mpint(&deriver.derive_to_vec()?);
        let (blob, own) = (self.key.blob(), ours.raw_public_key()?);
        let parts: [&[u8]; 7] = [&self.version, VERSION, &theirs, &offer, &blob, point, &own];
        let mut hashed = parts.map(string).concat();
        hashed.extend(&secret);
        let hash = sha256(&hashed);
        let id = *self.session_id.get_or_insert(hash);
        let signature = Signer::new_without_digest(&self.key.0)?.sign_oneshot_to_vec(&hash)?;
        let signature = [string(b"ssh-ed25519"), string(&signature)].concat();
        let reply = [string(&blob), string(&own), string(&signature)].concat();
        self.send(&[&[31][..], &reply].concat())?;
        self.send(&[21])?;
        let keys = |letters| Keys::derive(&secret, &hash, &id, letters);
        self.out = Packets::new(self.hidden, keys(*b"BDF"), Mode::Encrypt)?;
        self.until(21)?;
        self.into = Packets::new(self.hidden, keys(*b"ACE"), Mode::Decrypt)?;
        Ok(())
    }

    fn offer(&self) -> Vec<u8> {
        let cipher = match self.hidden {
            true => "aes128-ctr",
            false => "aes128-gcm@openssh.com",
        };
        let (mac, none) = ("hmac-sha2-256", "none");
        let mut message = vec![20];
        message.extend([3; 16]);
        let first = ["curve25519-sha256", "ssh-ed25519"];
        for names in [&first[..], &[cipher, cipher, mac, mac, none, none, "", ""]].concat() {
            message.extend(string(names.as_bytes()));
        }
        message.extend([0; 5]);
        message
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut message = message.to_vec();
        let step = self.script.step();
        match step {
            Step::Message { at, xor } => {
                let at = usize::from(at) % message.len();
                message[at] ^= xor;
            }
            Step::Cut(length) => message.truncate(length.into()),
            Step::Before(bytes) => {
                let packet = self.seal(bytes)?;
                self.stream.write_all(&packet)?;
            }
            Step::Rekey if self.session_id.is_some() => self.exchange_keys()?,
            _ => {}
        }
        let packet = self.seal(&message)?;
        self.harm(&step, packet)
    }

    /// As [`Client::send`], of bytes that are no packet.
    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        let step = self.script.step();
        self.harm(&step, bytes.to_vec())
    }

    fn harm(&mut self, step: &Step<'_>, mut packet: Vec<u8>) -> io::Result<()> {
        match *step {
            Step::Packet { at, xor } => {
                let at = usize::from(at) % packet.len();
                packet[at] ^= xor;
            }
            Step::Halves(at) => {
                let (first, rest) = packet.split_at(usize::from(at) % packet.len());
                self.stream.write_all(first)?;
                std::thread::yield_now();
                return self.stream.write_all(rest);
            }
            Step::Twice => self.stream.write_all(&packet)?,
            Step::Raw(bytes) => self.stream.write_all(bytes)?,
            Step::Withheld => return Ok(()),
            Step::End => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
        self.stream.write_all(&packet)
    }

    fn seal(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let packet = self.out.seal(self.sent, message);
        self.sent = self.sent.wrapping_add(1);
        packet
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        self.into.open(&mut self.stream)
    }

    fn until(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let message = self.receive()?;
            if message.first() == Some(&kind) {
                return Ok(message);
            }
        }
    }
}

/// A string on the wire (RFC 4251 §5).
fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
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
