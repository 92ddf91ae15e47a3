//! Where SSH packets begin and end in what a server sends, as far as that can be read: pure.
//!
//! libssh2 must not be given half a packet wherever the length is readable (law S3): before
//! NEWKEYS, under AES-GCM and under encrypt-then-MAC. With any other cipher it gets bytes as they
//! come. The version lines before the first packet are given as libssh2 asks for them, byte by
//! byte (`session.c`, `session_banner_receive`).

use crate::error::printable;
use crate::wire::Broken;

/// The longest packet on the wire, length field and MAC included, that is taken (RFC 4253 §6.1);
/// libssh2's own buffer (`PACKETBUFSIZE`) has this size too.
pub(crate) const PACKET_BYTES_MAX: usize = 35_000;

/// Bytes that a server may send before the keys are exchanged.
pub(crate) const BEFORE_KEYS_BYTES_MAX: usize = 64 * 1024;

const SSH_MSG_KEXINIT: u8 = 20;
/// Length, padding length, message number and cookie are before the lists.
const KEXINIT_LISTS_AT: usize = 4 + 1 + 1 + 16;
const SSH_MSG_NEWKEYS: u8 = 21;
/// `SSH_MSG_KEXDH_REPLY`, `SSH_MSG_KEX_ECDH_REPLY` (RFC 4253 §8, RFC 5656 §4).
const SSH_MSG_KEX_REPLY: u8 = 31;
/// `SSH_MSG_KEX_DH_GEX_REPLY` (RFC 4419 §5).
const SSH_MSG_KEX_GEX_REPLY: u8 = 33;

/// What is in front of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Version lines: how many bytes of the line were given, and its first ones.
    Version {
        length: usize,
        head: [u8; HEAD_BYTES],
    },
    /// Packets in the clear, up to and with the server's first NEWKEYS.
    Clear,
    /// That NEWKEYS was given: the cipher must be known before any later byte.
    Switch,
    /// The length is in the clear; so many bytes of tag or MAC follow each packet.
    Length { trailer: usize },
    /// The length is encrypted. Where packets are whole blocks, the size of one and how much of it
    /// was given: a block never holds the end of one packet and the begin of the next.
    Opaque { block: Option<usize>, given: usize },
}

/// What may be given to libssh2 next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// This many bytes.
    Give(usize),
    /// Nothing: more must come from the network first.
    More,
    /// Nothing until [`Framing::set_cipher`] was called.
    NeedCipher,
    /// Nothing now: next is the packet on which the costly step of the key exchange is done.
    Costly,
    /// The server broke the rules.
    Broken(&'static str),
}

/// Returns how long those of our lists of algorithms are that are made shorter for later exchanges
/// (law S3): of ciphers and of MACs (RFC 4253 §7.1).
fn pinned_bytes(kexinit: &[u8]) -> usize {
    let (mut at, mut sum) = (KEXINIT_LISTS_AT, 0);
    for list in 0..6 {
        let Some(length) = kexinit.get(at..).and_then(<[u8]>::first_chunk) else {
            return kexinit.len();
        };
        let length = u32::from_be_bytes(*length) as usize;
        at += 4 + length;
        sum += if list < 2 { 0 } else { length };
    }
    sum.min(kexinit.len())
}

/// The reader's place in the server's stream.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// Bytes of a run of whole packets that did not fit the buffer they were asked for.
    rest: usize,
    /// Whether our own NEWKEYS was sent: the server's is legal only then, and only then does
    /// libssh2 switch its cipher on it.
    sent_newkeys: bool,
    /// What a packet with our lists of algorithms has at least, in later exchanges.
    kexinit_min: usize,
    /// Bytes given before the keys.
    early: usize,
    /// In the clear, the message of the packet that was given last, in whole or in part.
    message: u8,
    /// The server's lists of algorithms, as it sent them behind the cookie (RFC 4253 §7.1); until
    /// the keys are there.
    kexinit: Vec<u8>,
    /// What followed the number in the server's last message of the first key exchange, its reply.
    reply: Vec<u8>,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Version {
                length: 0,
                head: [0; HEAD_BYTES],
            },
            rest: 0,
            sent_newkeys: false,
            kexinit_min: usize::MAX,
            early: 0,
            message: 0,
            kexinit: Vec::new(),
            reply: Vec::new(),
        }
    }

    /// Returns the server's lists of algorithms, of its first key exchange and while that lasts.
    pub(crate) fn kexinit(&self) -> &[u8] {
        &self.kexinit
    }

    /// Returns what was in the server's reply of the first key exchange, once.
    pub(crate) fn take_reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    /// Returns whether the server's version line is still awaited.
    pub(crate) fn awaits_version(&self) -> bool {
        matches!(self.state, State::Version { .. })
    }

    /// Returns whether a packet was given in part: the rest must follow at once.
    pub(crate) fn is_within_packet(&self) -> bool {
        self.rest > 0
    }

    /// Returns whether the length of packets cannot be read.
    pub(crate) fn hides_lengths(&self) -> bool {
        matches!(self.state, State::Opaque { .. })
    }

    /// Takes note of a packet that libssh2 sends; returns whether it may be our lists of algorithms,
    /// with which a key exchange behind the first one begins. They are told by their length: of what
    /// libssh2 sends by itself, only keys can be as long.
    pub(crate) fn sent(&mut self, packet: &[u8]) -> bool {
        if self.state != State::Clear {
            return packet.len() >= self.kexinit_min;
        }
        match packet.get(5) {
            Some(&SSH_MSG_KEXINIT) => self.kexinit_min = packet.len() - pinned_bytes(packet),
            Some(&SSH_MSG_NEWKEYS) => self.sent_newkeys = true,
            _ => {}
        }
        false
    }

    /// Sets the server's cipher and MAC, by the names that were negotiated.
    pub(crate) fn set_cipher(&mut self, cipher: &str, mac: &str) {
        debug_assert_eq!(self.state, State::Switch);
        self.kexinit = Vec::new();
        self.state = match (cipher, mac) {
            (gcm, _) if gcm.ends_with("-gcm@openssh.com") => State::Length { trailer: 16 },
            ("chacha20-poly1305@openssh.com", _) => State::Opaque {
                block: None,
                given: 0,
            },
            (_, "hmac-sha2-256-etm@openssh.com") => State::Length { trailer: 32 },
            (_, "hmac-sha2-512-etm@openssh.com") => State::Length { trailer: 64 },
            _ => State::Opaque {
                block: Some(BLOCK_BYTES),
                given: 0,
            },
        };
    }

    /// Returns how much of `buffer`, which begins at the reader's place, may be given now: at most
    /// `room` bytes, and no new packet once `budget` is reached. `costly` allows the packet of the
    /// key exchange's costly step.
    pub(crate) fn offer(&self, buffer: &[u8], room: usize, budget: usize, costly: bool) -> Offer {
        let give = Offer::Give;
        if self.state == State::Switch {
            return Offer::NeedCipher;
        }
        if buffer.is_empty() {
            return Offer::More;
        }
        if self.rest > 0 {
            return give(self.rest.min(room).min(buffer.len()));
        }
        match self.state {
            State::Version { .. } => give(1),
            State::Opaque { block, given } => {
                let most = block.map_or(usize::MAX, |block| block - given);
                give(buffer.len().min(room).min(budget.max(1)).min(most))
            }
            State::Clear => self.clear(buffer, room, costly),
            State::Length { trailer } => Self::encrypted(buffer, room, budget, trailer),
            State::Switch => Offer::NeedCipher,
        }
    }

    /// One packet at a time: there are few, and some must go alone.
    fn clear(&self, buffer: &[u8], room: usize, costly: bool) -> Offer {
        let Some(total) = whole(buffer, 0) else {
            return Offer::More;
        };
        let bytes = match total {
            Ok(bytes) => bytes,
            Err(broken) => return broken,
        };
        match buffer[5] {
            SSH_MSG_NEWKEYS if !self.sent_newkeys => {
                Offer::Broken("new keys before the key exchange was done")
            }
            SSH_MSG_KEX_REPLY | SSH_MSG_KEX_GEX_REPLY if !costly => Offer::Costly,
            _ => Offer::Give(bytes.min(room)),
        }
    }

    /// As many whole packets as there are, up to the room and the budget.
    fn encrypted(buffer: &[u8], room: usize, budget: usize, trailer: usize) -> Offer {
        let mut run = 0;
        while run < budget {
            let total = match whole_sealed(&buffer[run..], trailer) {
                None => break,
                Some(Err(broken)) if run == 0 => return broken,
                Some(Err(_)) => break,
                Some(Ok(total)) => total,
            };
            if run > 0 && run + total > room {
                break;
            }
            run += total;
        }
        if run == 0 {
            return Offer::More;
        }
        Offer::Give(run.min(room))
    }

    /// Takes note that an offer of `bytes` was given out of `buffer`.
    pub(crate) fn gave(&mut self, buffer: &[u8], bytes: usize) -> Result<(), Broken> {
        if matches!(self.state, State::Version { .. } | State::Clear) {
            self.early += bytes;
            if self.early > BEFORE_KEYS_BYTES_MAX {
                let what = "more than 64 KiB before the keys were exchanged";
                return Err(Broken::Overstepped(what, false));
            }
        }
        if self.rest > 0 {
            self.rest -= bytes;
        } else if let State::Length { trailer } = self.state {
            self.rest = overhang(buffer, trailer, bytes);
        } else if self.state == State::Clear {
            self.rest = overhang(buffer, 0, bytes);
            self.message = buffer[5];
            if self.message == SSH_MSG_KEXINIT {
                // The whole packet is there, even where only a part of it is given.
                let lists = buffer.get(KEXINIT_LISTS_AT..bytes + self.rest);
                self.kexinit = lists.unwrap_or_default().to_vec();
            } else if matches!(self.message, SSH_MSG_KEX_REPLY | SSH_MSG_KEX_GEX_REPLY) {
                let end = (bytes + self.rest).saturating_sub(usize::from(buffer[4]));
                self.reply = buffer.get(6..end).unwrap_or_default().to_vec();
            }
        }
        match self.state {
            State::Version { .. } => self.version_byte(buffer[0])?,
            State::Clear if self.rest == 0 && self.message == SSH_MSG_NEWKEYS => {
                self.state = State::Switch;
            }
            State::Opaque {
                block: Some(block),
                given,
            } => {
                self.state = State::Opaque {
                    block: Some(block),
                    given: (given + bytes) % block,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows libssh2: line breaks before a line are skipped, a line ends at 8,192 bytes. Fails
    /// where the line names a version that we do not speak.
    fn version_byte(&mut self, byte: u8) -> Result<(), Broken> {
        let State::Version {
            mut length,
            mut head,
        } = self.state
        else {
            return Ok(());
        };
        let skipped = length == 0 && (byte == b'\r' || byte == b'\n');
        if !skipped {
            if let Some(place) = head.get_mut(length) {
                *place = byte;
            }
            length += 1;
        }
        let ended = length > 0 && (byte == b'\n' || length == VERSION_LINE_BYTES_MAX);
        self.state = match (ended, head.starts_with(b"SSH-")) {
            (true, true) => {
                if let Some(theirs) = other_version(&head) {
                    return Err(Broken::OtherVersion(theirs));
                }
                State::Clear
            }
            (true, false) => State::Version {
                length: 0,
                head: [0; HEAD_BYTES],
            },
            (false, _) => State::Version { length, head },
        };
        Ok(())
    }
}

/// Returns the version of a line that begins so, unless it is 2 or stands for it (RFC 4253 §5.1).
/// libssh2 takes any, and would wait for an answer that never comes.
fn other_version(head: &[u8]) -> Option<String> {
    let number = head.get(4..).unwrap_or_default();
    let end = number
        .iter()
        .position(|byte| matches!(byte, b'-' | b'\r' | b'\n' | 0));
    let number = &number[..end.unwrap_or(number.len())];
    let ours = number == b"1.99" || number.starts_with(b"2.");
    (!ours).then(|| format!("SSH-{}", printable(&String::from_utf8_lossy(number))))
}

/// The length of the packet that `buffer` begins with, if all of it is there.
fn whole(buffer: &[u8], trailer: usize) -> Option<Result<usize, Offer>> {
    let length = usize::try_from(u32::from_be_bytes(*buffer.first_chunk()?)).ok()?;
    // A padding length byte and a message number are the least (RFC 4253 §6).
    if length < 2 {
        return Some(Err(Offer::Broken("a packet without a message")));
    }
    let total = 4 + length + trailer;
    if total > PACKET_BYTES_MAX {
        return Some(Err(Offer::Broken("a packet of more than 35,000 bytes")));
    }
    (buffer.len() >= total).then_some(Ok(total))
}

/// As [`whole`], of a packet under encrypt-then-MAC or AES-GCM, both of which encrypt what follows the length by whole
/// blocks (RFC 5647 §7.2, OpenSSH's PROTOCOL 1.5). libssh2 is not to see one that is uneven.
fn whole_sealed(buffer: &[u8], trailer: usize) -> Option<Result<usize, Offer>> {
    let length = u32::from_be_bytes(*buffer.first_chunk()?);
    if !length.is_multiple_of(BLOCK_BYTES as u32) {
        return Some(Err(Offer::Broken("a packet that is not of whole blocks")));
    }
    whole(buffer, trailer)
}

/// How many bytes of the last packet begun within `bytes` lie behind them.
fn overhang(buffer: &[u8], trailer: usize, bytes: usize) -> usize {
    let mut run = 0;
    while run < bytes {
        match whole(&buffer[run..], trailer) {
            Some(Ok(total)) => run += total,
            _ => return 0,
        }
    }
    run - bytes
}

/// Bytes of a version line that are looked at: `SSH-`, and a number longer than any there is.
const HEAD_BYTES: usize = 16;
/// The longest line before libssh2 takes it as ended (`banner_TxRx_banner`).
const VERSION_LINE_BYTES_MAX: usize = 8192;
/// The block of AES, which the MACs' 32 and 64 bytes are multiples of, so that all packets are.
const BLOCK_BYTES: usize = 16;

#[cfg(test)]
mod tests;
