//! The harm that a script does to the bytes of one direction.

use std::sync::PoisonError;
use std::time::Duration;

use super::framer::Framer;
use super::{Counts, Direction, Ending, Harm, Place, Script};

/// What goes on, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Pause(Duration),
    Slow(usize, Duration),
    Eof,
    End(Ending),
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// Goes through the bytes of one direction once.
pub(super) struct Editor {
    /// What is still to be done.
    harms: Vec<(Place, Harm)>,
    framer: Framer,
    place: u64,
    /// Bytes to leave out.
    skip: usize,
    /// What passed last, if it may be wanted again.
    last: Option<Vec<u8>>,
    ended: bool,
}

impl Editor {
    pub(super) fn new(script: &Script, direction: Direction) -> Self {
        let harms = script.harms.iter().filter(|(to, ..)| *to == direction);
        let harms: Vec<_> = harms
            .map(|(_, place, harm)| (*place, harm.clone()))
            .collect();
        let repeats = harms
            .iter()
            .any(|(_, harm)| matches!(harm, Harm::Repeat(_)));
        Self {
            harms,
            framer: Framer::default(),
            place: 0,
            skip: 0,
            last: repeats.then(Vec::new),
            ended: false,
        }
    }

    /// What is to go on in place of these bytes.
    pub(super) fn edit(&mut self, bytes: &[u8], counts: &Counts) -> Vec<Piece> {
        let mut out = Out::default();
        for (index, byte) in bytes.iter().enumerate() {
            if self.ended {
                break;
            }
            if self.harms.is_empty() && self.skip == 0 {
                self.pass(&bytes[index..], &mut out);
                break;
            }
            let flipped = self.harm(true, &mut out);
            if self.ended {
                break;
            }
            let part = self.framer.step(*byte);
            self.place += 1;
            if flipped != 0 {
                let mut parts = counts
                    .flipped
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                parts.push(part);
            }
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.remember(&[byte ^ flipped]);
            out.bytes(&[byte ^ flipped]);
        }
        // What comes behind the last byte needs no other one to come.
        if !self.ended {
            self.harm(false, &mut out);
        }
        out.pieces
    }

    fn pass(&mut self, bytes: &[u8], out: &mut Out) {
        self.framer.skip(bytes);
        self.place += bytes.len() as u64;
        self.remember(bytes);
        out.bytes(bytes);
    }

    fn remember(&mut self, bytes: &[u8]) {
        if let Some(last) = &mut self.last {
            last.extend(bytes);
            if last.len() > 2 * REPEAT_BYTES_MAX {
                last.drain(..last.len() - REPEAT_BYTES_MAX);
            }
        }
    }

    /// Does what is due at this place; returns the bits to flip in the byte here, if there is one.
    fn harm(&mut self, has_byte: bool, out: &mut Out) -> u8 {
        let mut mask = 0;
        while let Some(index) = self.harms.iter().position(|(place, harm)| {
            self.is_here(*place) && (has_byte || !matches!(harm, Harm::Flip(_)))
        }) {
            match self.harms.remove(index).1 {
                Harm::Flip(bit) => mask ^= 1 << (bit % 8),
                Harm::Insert(bytes) => out.bytes(&bytes),
                Harm::Remove(bytes) => self.skip += bytes,
                Harm::Repeat(bytes) => {
                    let last = self.last.as_deref().unwrap_or_default();
                    out.bytes(&last[last.len().saturating_sub(bytes)..]);
                }
                Harm::Pause(time) => out.pieces.push(Piece::Pause(time)),
                Harm::Slow(bytes, time) => out.pieces.push(Piece::Slow(bytes.max(1), time)),
                Harm::End(ending) => {
                    out.pieces.push(Piece::End(ending));
                    self.ended = true;
                    break;
                }
            }
        }
        mask
    }

    fn is_here(&self, place: Place) -> bool {
        match place {
            Place::Byte(byte) => byte == self.place,
            Place::Packet(packet) => self.framer.packet() == Some(packet),
            Place::Sealed(bytes) => self.framer.sealed() == Some(bytes),
        }
    }
}

#[derive(Default)]
struct Out {
    pieces: Vec<Piece>,
}

impl Out {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(Piece::Bytes(last)) = self.pieces.last_mut() {
            last.extend(bytes);
        } else if !bytes.is_empty() {
            self.pieces.push(Piece::Bytes(bytes.to_vec()));
        }
    }
}

const REPEAT_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::{Part, Proxy};
    use super::*;
    use crate::messages::packet;

    /// Both a stream that comes at once and one that comes byte by byte.
    #[track_caller]
    fn check(place: Place, harm: Harm, expected: &[Piece]) {
        let script = Proxy::to(([127, 0, 0, 1], 1).into());
        let script = script.harm(Direction::ToClient, place, harm);
        let mut whole = Editor::new(&script, Direction::ToClient);
        assert_eq!(whole.edit(&stream(), &Counts::default()), expected);
        let mut single = Editor::new(&script, Direction::ToClient);
        let mut pieces = Vec::new();
        for byte in stream() {
            for piece in single.edit(&[byte], &Counts::default()) {
                match (pieces.last_mut(), piece) {
                    (Some(Piece::Bytes(last)), Piece::Bytes(bytes)) => last.extend(bytes),
                    (_, piece) => pieces.push(piece),
                }
            }
        }
        assert_eq!(pieces, expected);
    }

    fn stream() -> Vec<u8> {
        let packets = [packet(&[20, 1, 2, 3]), packet(&[21])].concat();
        [&b"hello\r\nSSH-2.0-x\r\n"[..], &packets, b"sealed"].concat()
    }

    fn bytes(bytes: &[u8]) -> Piece {
        Piece::Bytes(bytes.to_vec())
    }

    #[test]
    fn bytes_are_flipped_added_left_out_and_repeated_where_it_is_said() {
        let (head, all) = (&stream()[..7], stream());
        let mut flipped = all.clone();
        flipped[9] ^= 4;
        check(Place::Byte(9), Harm::Flip(2), &[bytes(&flipped)]);
        let inserted = [head, b"more", &all[7..]].concat();
        let harm = Harm::Insert(b"more".to_vec());
        check(Place::Byte(7), harm, &[bytes(&inserted)]);
        let version = 18;
        assert_eq!(&all[version..version + 4], [0, 0, 0, 12]);
        let removed = [&all[..version], &all[version + 16..]].concat();
        check(Place::Packet(0), Harm::Remove(16), &[bytes(&removed)]);
        let sealed = all.len() - 6;
        let repeated = [&all[..sealed], &all[sealed - 16..]].concat();
        check(Place::Packet(2), Harm::Repeat(16), &[bytes(&all)]);
        check(Place::Sealed(0), Harm::Repeat(16), &[bytes(&repeated)]);
    }

    #[test]
    fn ends_and_pauses_come_right_behind_the_bytes_before_them() {
        let all = stream();
        let (before, after) = all.split_at(all.len() - 4);
        let pause = Duration::from_secs(1);
        check(
            Place::Sealed(2),
            Harm::Pause(pause),
            &[bytes(before), Piece::Pause(pause), bytes(after)],
        );
        let end = Harm::End(Ending::Reset);
        let ended = [bytes(before), Piece::End(Ending::Reset)];
        check(Place::Sealed(2), end.clone(), &ended);
        let ended = [bytes(&all), Piece::End(Ending::Reset)];
        check(Place::Byte(all.len() as u64), end, &ended);
    }

    #[test]
    fn the_part_of_each_byte_is_known() {
        let mut framer = Framer::default();
        let all = stream();
        let parts: Vec<_> = all.iter().map(|byte| framer.step(*byte)).collect();
        let mut expected = vec![Part::Version; 18];
        let packets = [(20, 4, 16 - 9), (21, 1, 16 - 6)];
        for (message, length, padding) in packets {
            expected.extend([Part::Length; 5]);
            expected.extend(vec![Part::Message(message); length]);
            expected.extend(vec![Part::Padding; padding]);
        }
        expected.extend([Part::Sealed; 6]);
        assert_eq!(parts, expected);
    }
}
