//! Pieces of SSH messages, and packets in the clear.

/// A string on the wire (RFC 4251 §5).
#[must_use]
pub fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

/// A positive number on the wire (RFC 4251 §5).
#[must_use]
pub fn mpint(bytes: &[u8]) -> Vec<u8> {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut number = bytes[zeroes..].to_vec();
    if number.first().is_some_and(|byte| byte & 0x80 != 0) {
        number.insert(0, 0);
    }
    string(&number)
}

/// A packet in the clear (RFC 4253 §6): a message with its length and padding.
#[must_use]
pub fn packet(message: &[u8]) -> Vec<u8> {
    padded(message, 8, 4)
}

/// The packet of a message, padded to a block; `counted` of the length's four bytes count as part of the blocks.
pub(crate) fn padded(message: &[u8], block: usize, counted: usize) -> Vec<u8> {
    let mut padding = block - (counted + 1 + message.len()) % block;
    if padding < 4 {
        padding += block;
    }
    let length = u32::try_from(1 + message.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(message);
    packet.resize(4 + length as usize, 0);
    packet
}

/// A KEXINIT (RFC 4253 §7.1) that offers one of each, in the order of the message.
#[must_use]
pub fn kexinit(kex: &str, host_key: &str, cipher: &str, mac: &str) -> Vec<u8> {
    kexinit_of([
        kex, host_key, cipher, cipher, mac, mac, "none", "none", "", "",
    ])
}

/// A KEXINIT with these lists.
#[must_use]
pub fn kexinit_of(lists: [&str; 10]) -> Vec<u8> {
    let mut message = vec![20];
    message.extend([7; 16]);
    for names in lists {
        message.extend(string(names.as_bytes()));
    }
    message.extend([0; 5]);
    message
}

/// A KEXINIT that every client of ours has something in common with, for servers that go no further.
#[must_use]
pub fn any_kexinit() -> Vec<u8> {
    kexinit(
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "hmac-sha2-256",
    )
}

/// A message to one of the client's channels, which it numbers from 0 on.
#[must_use]
pub fn to_channel(message: u8, channel: u32, rest: &[u8]) -> Vec<u8> {
    [&[message][..], &channel.to_be_bytes(), rest].concat()
}

/// Bytes of standard output.
#[must_use]
pub fn data(channel: u32, bytes: &[u8]) -> Vec<u8> {
    to_channel(94, channel, &string(bytes))
}

/// Bytes of standard error.
#[must_use]
pub fn extended(channel: u32, bytes: &[u8]) -> Vec<u8> {
    extended_of(channel, 1, bytes)
}

/// Bytes of a sort beside standard output; RFC 4254 §5.2 knows 1 alone, standard error.
#[must_use]
pub fn extended_of(channel: u32, sort: u32, bytes: &[u8]) -> Vec<u8> {
    let sort_and_data = [&sort.to_be_bytes()[..], &string(bytes)].concat();
    to_channel(95, channel, &sort_and_data)
}

/// The exit status of a command.
#[must_use]
pub fn exit_status(channel: u32, status: u32) -> Vec<u8> {
    let rest = [&string(b"exit-status")[..], &[0], &status.to_be_bytes()].concat();
    to_channel(98, channel, &rest)
}

/// The exit signal of a command, with words to it.
#[must_use]
pub fn exit_signal(channel: u32, name: &str, words: &str) -> Vec<u8> {
    let rest = [
        &string(b"exit-signal")[..],
        &[0],
        &string(name.as_bytes()),
        &[0],
        &string(words.as_bytes()),
        &string(b""),
    ];
    to_channel(98, channel, &rest.concat())
}

/// The end of what a channel sends.
#[must_use]
pub fn eof(channel: u32) -> Vec<u8> {
    to_channel(96, channel, &[])
}

/// The end of a channel.
#[must_use]
pub fn close(channel: u32) -> Vec<u8> {
    to_channel(97, channel, &[])
}

/// A farewell (RFC 4253 §11.1).
#[must_use]
pub fn disconnect(reason: u32, words: &[u8]) -> Vec<u8> {
    [
        &[1][..],
        &reason.to_be_bytes(),
        &string(words),
        &string(b""),
    ]
    .concat()
}
