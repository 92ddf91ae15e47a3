//! Packets: in the clear, under AES-GCM (RFC 5647), under AES-CTR with a MAC (RFC 4253 §6).

use std::io::{self, Read};

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::symm::{Cipher, Crypter, Mode, decrypt_aead, encrypt_aead};

/// Both directions' keys before, and one's after the exchange.
pub(crate) struct Keys {
    iv: [u8; 16],
    key: [u8; 16],
    mac: [u8; 32],
}

/// One direction.
pub(crate) enum Packets {
    Clear,
    Gcm(Keys),
    Ctr(Keys, Crypter),
}

impl Keys {
    /// Derives them (RFC 4253 §7.2); the letters are those of IV, key and MAC key.
    pub(crate) fn derive(secret: &[u8], hash: &[u8], id: &[u8], letters: [u8; 3]) -> Self {
        let [iv, key, mac] = letters.map(|letter| sha256(&[secret, hash, &[letter], id].concat()));
        let half = |bytes: [u8; 32]| *bytes.first_chunk().expect("is longer");
        Self {
            iv: half(iv),
            key: half(key),
            mac,
        }
    }

    /// Returns the nonce of the next packet, and counts it (RFC 5647 §7.1).
    fn nonce(&mut self) -> [u8; 12] {
        let nonce = *self.iv.first_chunk().expect("is longer");
        let count = u64::from_be_bytes(self.iv[4..12].try_into().expect("are eight"));
        self.iv[4..12].copy_from_slice(&count.wrapping_add(1).to_be_bytes());
        nonce
    }
}

impl Packets {
    pub(crate) fn new(hidden: bool, keys: Keys, mode: Mode) -> io::Result<Self> {
        if !hidden {
            return Ok(Self::Gcm(keys));
        }
        let counter = Crypter::new(Cipher::aes_128_ctr(), mode, &keys.key, Some(&keys.iv))?;
        Ok(Self::Ctr(keys, counter))
    }

    /// Makes the packet of a message.
    pub(crate) fn seal(&mut self, number: u32, message: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Clear => Ok(padded(message, 8, 4)),
            Self::Gcm(keys) => {
                let packet = padded(message, 16, 0);
                let (length, body) = packet.split_at(4);
                let (nonce, mut tag) = (keys.nonce(), [0; 16]);
                let cipher = Cipher::aes_128_gcm();
                let sealed = encrypt_aead(cipher, &keys.key, Some(&nonce), length, body, &mut tag)?;
                Ok([length, &sealed, &tag].concat())
            }
            Self::Ctr(keys, counter) => {
                let packet = padded(message, 16, 4);
                let key = PKey::hmac(&keys.mac)?;
                let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
                signer.update(&[&number.to_be_bytes(), &*packet].concat())?;
                let mut sealed = apply(counter, &packet)?;
                sealed.extend(signer.sign_to_vec()?);
                Ok(sealed)
            }
        }
    }

    /// Reads one packet and returns its message; MACs are taken on trust.
    pub(crate) fn open(&mut self, from: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        from.read_exact(&mut head)?;
        let body = match self {
            Self::Clear => read(from, head)?,
            Self::Gcm(keys) => {
                let (sealed, tag) = (read(from, head)?, read(from, [0, 0, 0, 16])?);
                let (nonce, cipher) = (keys.nonce(), Cipher::aes_128_gcm());
                decrypt_aead(cipher, &keys.key, Some(&nonce), &head, &sealed, &tag)?
            }
            Self::Ctr(_, counter) => {
                let head = apply(counter, &head)?;
                let sealed = read(from, head.try_into().unwrap_or_default())?;
                read(from, [0, 0, 0, 32])?;
                apply(counter, &sealed)?
            }
        };
        let padding = usize::from(*body.first().ok_or(io::ErrorKind::InvalidData)?);
        let end = body.len().checked_sub(padding);
        let message = end.and_then(|end| body.get(1..end));
        Ok(message.ok_or(io::ErrorKind::InvalidData)?.to_vec())
    }
}

fn read(from: &mut impl Read, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (u32::from_be_bytes(length) as usize).min(1 << 20)];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn apply(counter: &mut Crypter, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = vec![0; bytes.len() + 16];
    let count = counter.update(bytes, &mut out)?;
    out.truncate(count);
    Ok(out)
}

/// The packet of a message, padded to a block; `counted` of the length's four bytes are part of it.
fn padded(message: &[u8], block: usize, counted: usize) -> Vec<u8> {
    let mut padding = block - (counted + 1 + message.len()) % block;
    if padding < 4 {
        padding += block;
    }
    let length = (1 + message.len() + padding) as u32;
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(padding as u8);
    packet.extend(message);
    packet.resize(4 + length as usize, 0);
    packet
}
