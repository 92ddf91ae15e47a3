//! How far one side of an SSH connection is, as far as anybody can read it.

use std::fmt;

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The version line, or a line before it.
    Version,
    /// The length of a packet in the clear, or of its padding.
    Length,
    /// The message with this number, in the clear.
    Message(u8),
    /// The padding of a packet in the clear, which nothing protects.
    Padding,
    /// What comes behind NEWKEYS.
    Sealed,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("version"),
            Self::Length => f.write_str("length"),
            Self::Message(number) => write!(f, "message {number}"),
            Self::Padding => f.write_str("padding"),
            Self::Sealed => f.write_str("sealed"),
        }
    }
}

/// Follows the bytes of one direction.
#[derive(Debug, Default)]
pub(super) struct Framer {
    state: State,
    /// Packets in the clear that are over.
    packets: u64,
    /// Bytes behind NEWKEYS.
    sealed: u64,
}

#[derive(Debug)]
enum State {
    /// The begin of the line so far.
    Version {
        head: Vec<u8>,
    },
    Packet(Packet),
    Sealed,
}

/// A packet in the clear: what is known of its head, and how many of its bytes came.
#[derive(Debug, Default)]
struct Packet {
    head: [u8; 6],
    came: usize,
}

impl Default for State {
    fn default() -> Self {
        Self::Version { head: Vec::new() }
    }
}

impl Framer {
    /// The packet in the clear whose first byte is next.
    pub(super) fn packet(&self) -> Option<u64> {
        match &self.state {
            State::Packet(packet) if packet.came == 0 => Some(self.packets),
            _ => None,
        }
    }

    /// How many bytes behind NEWKEYS came.
    pub(super) fn sealed(&self) -> Option<u64> {
        matches!(self.state, State::Sealed).then_some(self.sealed)
    }

    /// Takes the next byte; returns what it belongs to.
    pub(super) fn step(&mut self, byte: u8) -> Part {
        match &mut self.state {
            State::Version { head } => {
                if head.len() < VERSION.len() {
                    head.push(byte);
                }
                if byte == b'\n' {
                    let is_version = head == VERSION;
                    head.clear();
                    if is_version {
                        self.state = State::Packet(Packet::default());
                    }
                }
                Part::Version
            }
            State::Packet(packet) => {
                let part = packet.step(byte);
                if packet.is_over() {
                    self.packets += 1;
                    self.state = match packet.head[5] {
                        NEWKEYS => State::Sealed,
                        _ => State::Packet(Packet::default()),
                    };
                }
                part
            }
            State::Sealed => {
                self.sealed += 1;
                Part::Sealed
            }
        }
    }

    /// Takes bytes that nobody has to know of.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.iter();
        while !matches!(self.state, State::Sealed) {
            let Some(byte) = bytes.next() else { return };
            self.step(*byte);
        }
        self.sealed += bytes.len() as u64;
    }
}

impl Packet {
    fn length(&self) -> usize {
        let length = self.head[..4].try_into().unwrap();
        4 + u32::from_be_bytes(length) as usize
    }

    fn is_over(&self) -> bool {
        // A message has a number at least; what is shorter is none of ours.
        self.came > 5 && self.came >= self.length()
    }

    fn step(&mut self, byte: u8) -> Part {
        if let Some(place) = self.head.get_mut(self.came) {
            *place = byte;
        }
        self.came += 1;
        match self.came {
            ..=5 => Part::Length,
            came if came > self.length().saturating_sub(usize::from(self.head[4])) => Part::Padding,
            _ => Part::Message(self.head[5]),
        }
    }
}

const VERSION: &[u8] = b"SSH-";
const NEWKEYS: u8 = 21;
