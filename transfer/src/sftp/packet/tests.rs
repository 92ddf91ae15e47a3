//! Packets there and back, and bytes that are none.

use proptest::prelude::*;

use super::*;

fn attributes() -> impl Strategy<Value = Attributes> {
    let pair = || proptest::option::of(any::<(u32, u32)>());
    (
        proptest::option::of(any::<u64>()),
        pair(),
        proptest::option::of(any::<u32>()),
        pair(),
    )
        .prop_map(|(size, owner, mode, times)| Attributes {
            size,
            owner,
            mode,
            times,
        })
}

proptest! {
    #[test]
    fn attributes_are_read_as_they_were_written(before in attributes()) {
        let mut packet = Writer::request(kind::ATTRS, 7);
        before.write(&mut packet);
        let packet = packet.finish();
        prop_assert_eq!(Reply::parse(&packet[4..]), Ok((7, Reply::Attributes(before))));
        // And no byte may be missing.
        for length in 4..packet.len() {
            prop_assert_eq!(Reply::parse(&packet[4..length]), Err(Malformed));
        }
    }

    #[test]
    fn names_are_read_as_they_were_written(
        names in proptest::collection::vec((any::<Vec<u8>>(), attributes()), 0..20),
    ) {
        let mut packet = Writer::request(kind::NAME, 1);
        packet.u32(names.len() as u32);
        let mut expected = Vec::new();
        for (name, attributes) in names {
            packet.bytes(&name);
            packet.bytes(b"-rw-r--r-- 1 root");
            attributes.write(&mut packet);
            expected.push(Name { name, attributes });
        }
        let packet = packet.finish();
        prop_assert_eq!(Reply::parse(&packet[4..]), Ok((1, Reply::Names(expected))));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in any::<Vec<u8>>(), kind in any::<u8>()) {
        let mut packet = vec![kind];
        packet.extend(bytes);
        let _ = Reply::parse(&packet);
        let _ = parse_version(&packet);
    }
}

/// A count that promises more names than there are bytes sets nothing aside for them.
#[test]
fn an_absurd_count_is_malformed() {
    let mut packet = Writer::request(kind::NAME, 1);
    packet.u32(u32::MAX);
    assert_eq!(Reply::parse(&packet.finish()[4..]), Err(Malformed));
}

#[test]
fn versions_and_extensions_are_told() {
    let mut packet = Writer::bare(kind::VERSION);
    packet.u32(3);
    for (name, data) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fsync@openssh.com", "2"),
        ("vendor-id", "x"),
        ("limits@openssh.com", "1"),
    ] {
        packet.bytes(name.as_bytes());
        packet.bytes(data.as_bytes());
    }
    let expected = Extensions {
        posix_rename: true,
        statvfs: true,
        limits: true,
        ..Extensions::default()
    };
    assert_eq!(parse_version(&packet.finish()[4..]), Ok((3, expected)));
    assert_eq!(parse_version(b"\x02\0\0"), Err(Malformed));
    assert_eq!(parse_version(b"Welcome to"), Err(Malformed));
}
