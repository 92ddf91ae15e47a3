//! What a server may send where `zlib@openssh.com` was agreed on: deflate (RFC 1951) without a library.

/// The stream of one direction.
#[derive(Default)]
pub(crate) struct Zlib {
    begun: bool,
}

impl Zlib {
    /// The bytes of a packet as they are, in a stored block (RFC 1951 §3.2.4).
    pub(crate) fn store(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut bytes = self.head();
        let length = u16::try_from(packet.len()).unwrap();
        bytes.push(0);
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(packet);
        bytes
    }

    /// A message of so many runs of 258 zeroes, the longest that one code stands for, in some two hundred bytes: a block of fixed codes (RFC 1951 §3.2.6).
    pub(crate) fn inflatable(&mut self, message: u8, runs: usize) -> Vec<u8> {
        assert!(message >= 144, "the code of a smaller one is another");
        let mut bits = Bits {
            bytes: self.head(),
            used: 8,
        };
        // Not the last block, fixed codes: the least bit first.
        for bit in [0, 1, 0] {
            bits.push(bit);
        }
        bits.code(0b1_1001_0000 + u32::from(message) - 144, 9);
        bits.code(0b0011_0000, 8);
        for _ in 0..runs {
            bits.code(0b1100_0101, 8);
            bits.code(0, 5);
        }
        // The end of the block, and an empty one that ends at a byte.
        bits.code(0, 7);
        bits.code(0, 3);
        bits.bytes.extend([0, 0, 0xff, 0xff]);
        bits.bytes
    }

    fn head(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.begun, true) {
            true => Vec::new(),
            false => vec![0x78, 0x9c],
        }
    }
}

struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken.
    used: u32,
}

impl Bits {
    fn push(&mut self, bit: u8) {
        if self.used == 8 {
            self.bytes.push(0);
            self.used = 0;
        }
        *self.bytes.last_mut().unwrap() |= bit << self.used;
        self.used += 1;
    }

    /// A code goes the greatest bit first.
    fn code(&mut self, code: u32, length: u32) {
        for place in (0..length).rev() {
            self.push(u8::from(code >> place & 1 == 1));
        }
    }
}
