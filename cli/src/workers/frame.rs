//! Frames on the socket between the run and a worker: a head in JSON and a payload of bytes.
//!
//! A frame is two lengths, four bytes each with the lowest first, the head, and the payload. The
//! reader's [`Limits`] come before the memory: a worker has talked to hostile hosts.

use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How much of a frame is taken from the other side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of the head.
    pub(super) head_max: usize,
    /// Bytes of the payload.
    pub(super) payload_max: usize,
}

/// Reads one frame; `None` at the end of the stream, between two frames.
///
/// # Errors
/// The stream failed or ended within a frame, or the frame is too large or none.
pub(super) fn read<T: DeserializeOwned>(
    from: &mut impl Read,
    limits: Limits,
) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut lengths = [0; LENGTHS];
    let mut have = 0;
    while have < LENGTHS {
        match from.read(&mut lengths[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let [a, b, c, d, e, f, g, h] = lengths;
    let head = within(u32::from_le_bytes([a, b, c, d]), limits.head_max)?;
    let payload = within(u32::from_le_bytes([e, f, g, h]), limits.payload_max)?;
    let head = exactly(from, head)?;
    // With room for all at once: it may be a secret, of which growing would leave copies.
    let payload = exactly(from, payload)?;
    let head = serde_json::from_slice(&head).map_err(io::Error::other)?;
    Ok(Some((head, payload)))
}

fn within(length: u32, max: usize) -> io::Result<usize> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match length <= max {
        true => Ok(length),
        false => Err(io::Error::other("a frame is larger than any may be")),
    }
}

fn exactly(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Appends a frame to `to`, which has room for the payload without being moved.
///
/// # Errors
/// The head cannot be written as JSON, or a part is larger than a length can say.
pub(super) fn write(to: &mut Vec<u8>, head: &impl Serialize, payload: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head).map_err(io::Error::other)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let lengths = [length(&head)?, length(payload)?];
    to.reserve(LENGTHS + head.len() + payload.len());
    for length in lengths {
        to.extend_from_slice(&length.to_le_bytes());
    }
    to.extend_from_slice(&head);
    to.extend_from_slice(payload);
    Ok(())
}

/// Bytes of the two lengths.
const LENGTHS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::workers::wire::{ORDERS, Order, REPORTS, Report};

    #[test]
    fn frames_that_are_too_large_are_refused_before_they_are_read() {
        let frame = [&u32::MAX.to_le_bytes()[..], &[0; 4]].concat();
        assert!(read::<Report>(&mut &frame[..], REPORTS).is_err());
        let frame = [&[0; 4][..], &u32::MAX.to_le_bytes()].concat();
        assert!(read::<Report>(&mut &frame[..], REPORTS).is_err());
    }

    #[test]
    fn a_frame_that_is_cut_is_an_error_and_no_frame_is_the_end() {
        let mut frame = Vec::new();
        write(&mut frame, &Report::Ready, b"").unwrap();
        assert!(read::<Report>(&mut &frame[..0], REPORTS).unwrap().is_none());
        for cut in 1..frame.len() {
            assert!(
                read::<Report>(&mut &frame[..cut], REPORTS).is_err(),
                "{cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn frames_come_back_as_they_were(
            payloads in proptest::collection::vec(any::<Vec<u8>>(), 0..8),
            session in any::<u64>(),
            name in "\\PC*",
        ) {
            let mut stream = Vec::new();
            let head = Order::Signal { command: session, name };
            for payload in &payloads {
                write(&mut stream, &head, payload).unwrap();
            }
            let mut from = &stream[..];
            for payload in &payloads {
                let (read, bytes) = read::<Order>(&mut from, ORDERS).unwrap().unwrap();
                prop_assert_eq!(&read, &head);
                prop_assert_eq!(&bytes, payload);
            }
            prop_assert!(read::<Order>(&mut from, ORDERS).unwrap().is_none());
        }

        #[test]
        fn no_bytes_are_more_than_a_refused_frame(bytes in any::<Vec<u8>>(), head in ".*") {
            let _ = read::<Report>(&mut &bytes[..], REPORTS);
            let mut framed = u32::try_from(head.len()).unwrap().to_le_bytes().to_vec();
            framed.extend_from_slice(&[0; 4]);
            framed.extend_from_slice(head.as_bytes());
            let _ = read::<Report>(&mut &framed[..], REPORTS);
            let _ = read::<Order>(&mut &framed[..], ORDERS);
        }
    }
}
