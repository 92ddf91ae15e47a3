//! What the bench `guard` of the root package measures, what tests begin with, and what nobody else
//! has a use for: no part of the interface.

use std::time::Duration;

use crate::framing::{Framing, Offer};

/// Cuts a stream as it is after the key exchange under AES-GCM into what libssh2 is given, which
/// has so much room at a time; returns how many pieces that is.
pub fn frame(stream: &[u8], room: usize) -> usize {
    let mut framing = Framing::new();
    // Up to the keys: the version line, byte by byte, and the server's NEWKEYS after ours.
    let new_keys = [0, 0, 0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for byte in b"SSH-2.0-x\r\n" {
        let _ = framing.gave(&[*byte], 1);
    }
    framing.sent(&new_keys);
    let _ = framing.gave(&new_keys, new_keys.len());
    framing.set_cipher("aes256-gcm@openssh.com", "");
    let (mut given, mut pieces) = (0, 0);
    while let Offer::Give(bytes) = framing.offer(&stream[given..], room, usize::MAX, true) {
        if framing.gave(&stream[given..], bytes).is_err() {
            break;
        }
        given += bytes;
        pieces += 1;
    }
    pieces
}

/// Lets hosts make so much work for nothing at once, whatever they have made before, and at most as
/// much as at the begin of the process: so each case of a test begins with the same.
pub fn save_work(work: Duration) {
    crate::wire::save_work(work);
}

#[cfg(test)]
mod tests {
    /// Packets of 4 bytes of length, 32 and a tag of 16 go two at a time into room for 110.
    #[test]
    fn packets_go_whole_into_the_room_there_is() {
        let mut packet = vec![0, 0, 0, 32];
        packet.resize(4 + 32 + 16, 7);
        assert_eq!(super::frame(&packet.repeat(6), 110), 3);
    }
}
