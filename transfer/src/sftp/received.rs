//! What an SFTP channel has received, until whole packets of it are handed out.

use super::packet::{Malformed, PACKET_BYTES_MAX};

/// Bytes in their order. The buffer is kept, and its bytes are set to zero once, as long as much
/// comes; a channel with nothing under way holds none.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// The buffer; all of it may be written to.
    bytes: Vec<u8>,
    /// Where the first packet begins that was not handed out.
    start: usize,
    /// Where what was received ends.
    end: usize,
    /// Whether the last read filled the small room.
    comes_much: bool,
}

impl Received {
    /// Returns room for what comes next: small at first, since most answers are short.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let room = match self.comes_much {
            true => READ_BYTES_MAX,
            false => READ_BYTES_MIN,
        };
        if self.start > 0 && self.bytes.len() < self.end + room {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let needed = self.end + room;
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        &mut self.bytes[self.end..needed]
    }

    /// Takes note that so many bytes of the room were filled.
    pub(super) fn fill(&mut self, count: usize) {
        self.comes_much = count >= READ_BYTES_MIN;
        self.end += count;
    }

    /// Takes the next packet, without its length, once it is whole.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(length) = whole_packet(&self.bytes[self.start..self.end])? else {
            self.give_back();
            return Ok(None);
        };
        let from = self.start + 4;
        self.start = from + length;
        Ok(Some(&self.bytes[from..self.start]))
    }

    /// Gives the buffer back that nothing is in, unless more is to come.
    fn give_back(&mut self) {
        if self.start < self.end {
            return;
        }
        (self.start, self.end) = (0, 0);
        if !self.comes_much {
            self.bytes = Vec::new();
        }
    }
}

/// Returns the length of the first packet, less the four bytes of its length, once it is whole.
fn whole_packet(received: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = received.first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length == 0 || length > PACKET_BYTES_MAX {
        return Err(Malformed);
    }
    Ok((received.len() >= 4 + length).then_some(length))
}

/// Bytes taken from the channel at once, at first.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Bytes taken from the channel at once, while there is much to take.
const READ_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However the bytes come in, the packets are handed out whole and in order.
        #[test]
        fn packets_come_out_as_they_went_in(
            lengths in prop::collection::vec(1_usize..200_000, 1..20),
            steps in prop::collection::vec(1_usize..70_000, 1..50),
        ) {
            let packet = |(at, length): (usize, &usize)| vec![at as u8; *length];
            let packets: Vec<_> = lengths.iter().enumerate().map(packet).collect();
            let mut sent = Vec::new();
            for packet in &packets {
                sent.extend(u32::try_from(packet.len()).unwrap().to_be_bytes());
                sent.extend(packet);
            }
            let (mut received, mut out) = (Received::default(), Vec::new());
            let mut steps = steps.iter().cycle();
            let mut left = &sent[..];
            while !left.is_empty() {
                let room = received.room();
                let count = room.len().min(left.len()).min(*steps.next().unwrap());
                room[..count].copy_from_slice(&left[..count]);
                received.fill(count);
                left = &left[count..];
                while let Some(packet) = received.next().unwrap() {
                    out.push(packet.to_vec());
                }
            }
            prop_assert_eq!(out, packets);
            prop_assert!(received.start == received.end);
        }
    }
}
