//! Streams cut at every place, and what is told of what we send.

use super::*;
use proptest::prelude::*;

fn packet(message: u8, length: usize, trailer: usize) -> Vec<u8> {
    let mut packet = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    packet.extend([4, message]);
    packet.resize(4 + length + trailer, 7);
    packet
}

fn after_version() -> Framing {
    let mut framing = Framing::new();
    for byte in b"hello\r\nSSH-2.0-x\r\n" {
        assert_eq!(framing.offer(&[*byte], 1, 1, true), Offer::Give(1));
        framing.gave(&[*byte], 1).unwrap();
    }
    assert!(!framing.awaits_version());
    framing
}

fn with_cipher(cipher: &str, mac: &str) -> Framing {
    let mut framing = after_version();
    let newkeys = packet(SSH_MSG_NEWKEYS, 12, 0);
    framing.sent(&newkeys);
    framing.gave(&newkeys, newkeys.len()).unwrap();
    assert_eq!(framing.offer(&[1], 1, 1, true), Offer::NeedCipher);
    framing.set_cipher(cipher, mac);
    assert!(matches!(
        framing.state,
        State::Length { .. } | State::Opaque { .. }
    ));
    framing
}

#[test]
fn clear_packets_go_whole_and_new_keys_only_after_ours() {
    let framing = after_version();
    let kexinit = packet(20, 300, 0);
    assert_eq!(
        framing.offer(&kexinit[..303], 9999, 9999, true),
        Offer::More
    );
    assert_eq!(framing.offer(&kexinit, 9999, 9999, true), Offer::Give(304));
    let newkeys = packet(SSH_MSG_NEWKEYS, 12, 0);
    assert!(matches!(
        framing.offer(&newkeys, 99, 99, true),
        Offer::Broken(_)
    ));
    let reply = packet(SSH_MSG_KEX_REPLY, 200, 0);
    assert_eq!(framing.offer(&reply, 9999, 9999, false), Offer::Costly);
    let huge = packet(20, 35_000, 0);
    assert!(matches!(
        framing.offer(&huge, 9999, 9999, true),
        Offer::Broken(_)
    ));
}

/// What is behind the begin of a packet says nothing of its message: a packet in parts ends in
/// any few bytes, and new keys in parts are new keys.
#[test]
fn a_clear_packet_given_in_parts_keeps_its_message() {
    let mut framing = after_version();
    let mut kexinit = packet(20, 300, 0);
    kexinit[200 + 5] = SSH_MSG_NEWKEYS;
    for part in [0..100, 100..200, 200..302, 302..304] {
        framing.gave(&kexinit[part.start..], part.len()).unwrap();
        assert_eq!(framing.state, State::Clear);
    }
    let newkeys = packet(SSH_MSG_NEWKEYS, 12, 0);
    framing.sent(&newkeys);
    framing.gave(&newkeys, 9).unwrap();
    assert_eq!(framing.state, State::Clear);
    framing.gave(&newkeys[9..], 7).unwrap();
    assert_eq!(framing.state, State::Switch);
}

#[test]
fn an_uneven_packet_is_broken_off() {
    let framing = with_cipher("aes128-gcm@openssh.com", "");
    for length in [1, 15, 17, 31] {
        let packet = packet(94, length, 16);
        let offer = framing.offer(&packet, 9999, 9999, true);
        assert!(matches!(offer, Offer::Broken(_)), "{length}: {offer:?}");
    }
    let even = packet(94, 32, 16);
    assert_eq!(framing.offer(&even, 9999, 9999, true), Offer::Give(52));
}

#[test]
fn a_flood_before_the_keys_is_broken_off() {
    let mut framing = Framing::new();
    let given = (0..).take_while(|_| framing.gave(b"\n", 1).is_ok()).count();
    assert_eq!(given, BEFORE_KEYS_BYTES_MAX);
}

#[test]
fn ciphers_with_hidden_lengths_are_given_as_they_come() {
    let framing = with_cipher("chacha20-poly1305@openssh.com", "");
    assert_eq!(framing.offer(&[1, 2, 3], 9, 9, true), Offer::Give(3));
}

#[test]
fn hidden_lengths_in_blocks_are_given_block_by_block() {
    let mut framing = with_cipher("aes128-ctr", "hmac-sha2-512");
    let buffer = [7; 100];
    for (room, expected) in [
        (999, 16),
        (10, 10),
        (999, 6),
        (5, 5),
        (5, 5),
        (999, 6),
        (16, 16),
    ] {
        let Offer::Give(bytes) = framing.offer(&buffer, room, 999, true) else {
            panic!("nothing is given");
        };
        assert_eq!(bytes, expected);
        framing.gave(&buffer, bytes).unwrap();
    }
}

proptest! {
    /// However the bytes come in and whatever the room, all are given, in order, and where the
    /// length is readable a packet is begun only if all of it is there.
    #[test]
    fn packets_are_given_whole(
        blocks in prop::collection::vec(1usize..200, 1..20),
        steps in prop::collection::vec((1usize..5000, 1usize..5000, 1usize..9000), 1..400),
        sha512 in any::<bool>(),
    ) {
        let mac = if sha512 { "hmac-sha2-512-etm@openssh.com" } else { "hmac-sha2-256-etm@openssh.com" };
        let trailer = if sha512 { 64 } else { 32 };
        let mut framing = with_cipher("aes128-ctr", mac);
        let mut ends = vec![0];
        let mut all = Vec::new();
        for blocks in blocks {
            all.extend(packet(94, blocks * BLOCK_BYTES, trailer));
            ends.push(all.len());
        }
        let (mut given, mut arrived) = (0, 0);
        for (more, room, budget) in steps {
            arrived = all.len().min(arrived + more);
            let buffer = &all[given..arrived];
            if let Offer::Give(bytes) = framing.offer(buffer, room, budget, true) {
                prop_assert!(bytes > 0 && bytes <= room && bytes <= buffer.len());
                framing.gave(buffer, bytes).unwrap();
                given += bytes;
                // All of the packet that is given in part has arrived.
                let end = ends.iter().copied().find(|end| *end >= given).unwrap();
                prop_assert!(end <= arrived);
            }
        }
        arrived = all.len();
        while given < arrived {
            let Offer::Give(bytes) = framing.offer(&all[given..], 777, 777, true) else {
                return Err(TestCaseError::fail("bytes are left and none is given"));
            };
            framing.gave(&all[given..], bytes).unwrap();
            given += bytes;
        }
    }
}

/// Our lists of algorithms, those of ciphers and MACs of 100 bytes each.
fn our_lists() -> Vec<u8> {
    let mut payload = vec![0; KEXINIT_LISTS_AT];
    payload[5] = SSH_MSG_KEXINIT;
    for list in 0..10 {
        let length: u8 = if (2..6).contains(&list) { 100 } else { 40 };
        payload.extend([0, 0, 0, length]);
        payload.resize(payload.len() + usize::from(length), b'a');
    }
    payload.resize(payload.len() + 5 + 4, 0);
    payload
}

/// With the ciphers and MACs pinned they are shorter, and anything else is shorter still.
#[test]
fn our_lists_are_told_by_their_length() {
    let lists = our_lists();
    let mut framing = Framing::new();
    framing.state = State::Clear;
    assert!(!framing.sent(&lists), "the first exchange");
    assert!(!framing.sent(&packet(21, 12, 0)));
    framing.state = State::Length { trailer: 16 };
    assert!(!framing.sent(&lists[..200]));
    assert!(framing.sent(&lists[..lists.len() - 300]));
    assert!(framing.sent(&lists));
}

#[test]
fn lists_that_are_cut_off_are_told_by_nothing() {
    let lists = our_lists();
    for cut in KEXINIT_LISTS_AT..lists.len() {
        assert!(pinned_bytes(&lists[..cut]) <= cut);
    }
}
