//! Packets of the little server: in the clear, under AES-GCM (RFC 5647), under AES-CTR with a MAC (RFC 4253 §6).

use std::io::{self, Read};

use openssl::cipher_ctx::CipherCtx;
use openssl::sha::{Sha256, sha256};
use openssl::symm::{Cipher as Algorithm, Crypter, Mode, decrypt_aead};

use crate::messages::padded;
use crate::server::Cipher;

/// The keys of one direction.
pub(crate) struct Keys {
    iv: [u8; 16],
    key: [u8; 16],
    mac: [u8; 32],
}

impl Keys {
    /// Derives them (RFC 4253 §7.2); the letters are those of IV, key and MAC key.
    pub(crate) fn derive(secret: &[u8], hash: &[u8], session_id: &[u8], letters: [u8; 3]) -> Self {
        let [iv, key, mac] =
            letters.map(|letter| sha256(&[secret, hash, &[letter], session_id].concat()));
        let half = |bytes: [u8; 32]| *bytes.first_chunk().unwrap();
        Self {
            iv: half(iv),
            key: half(key),
            mac,
        }
    }

    /// HMAC-SHA-256 (RFC 2104). By hand, since a flood of small packets spends most of its time here.
    fn mac_of(&self, number: u32, packet: &[u8]) -> [u8; 32] {
        let [mut inner, mut outer] = [0x36, 0x5c].map(|pad| {
            let mut block = [pad; 64];
            let key = block.iter_mut().zip(self.mac);
            key.for_each(|(byte, key)| *byte ^= key);
            let mut hash = Sha256::new();
            hash.update(&block);
            hash
        });
        inner.update(&number.to_be_bytes());
        inner.update(packet);
        outer.update(&inner.finish());
        outer.finish()
    }

    /// Counts a packet in the IV of AES-GCM (RFC 5647 §7.1) and returns what it was.
    fn nonce(&mut self) -> [u8; 12] {
        let nonce = *self.iv.first_chunk().unwrap();
        let count = u64::from_be_bytes(self.iv[4..12].try_into().unwrap());
        self.iv[4..12].copy_from_slice(&count.wrapping_add(1).to_be_bytes());
        nonce
    }

    fn counter(&self, mode: Mode) -> Crypter {
        Crypter::new(Algorithm::aes_128_ctr(), mode, &self.key, Some(&self.iv)).unwrap()
    }
}

/// The direction to the client.
pub(crate) enum Sealer {
    Clear,
    Gcm(Keys, CipherCtx),
    Ctr(Keys, Crypter),
}

impl Sealer {
    pub(crate) fn new(cipher: Cipher, keys: Keys) -> Self {
        match cipher {
            Cipher::Readable => {
                let mut context = CipherCtx::new().unwrap();
                let algorithm = openssl::cipher::Cipher::aes_128_gcm();
                context
                    .encrypt_init(Some(algorithm), Some(&keys.key), None)
                    .unwrap();
                Self::Gcm(keys, context)
            }
            Cipher::Hidden => {
                let crypter = keys.counter(Mode::Encrypt);
                Self::Ctr(keys, crypter)
            }
        }
    }

    pub(crate) fn seal(&mut self, number: u32, message: &[u8]) -> Vec<u8> {
        self.seal_packet(number, |block, counted| padded(message, block, counted))
    }

    /// As [`Sealer::seal`], with a byte of padding more than whole blocks have.
    pub(crate) fn seal_uneven(&mut self, number: u32, message: &[u8]) -> Vec<u8> {
        self.seal_packet(number, |block, counted| {
            let mut packet = padded(message, block, counted);
            packet[3] += 1;
            packet[4] += 1;
            packet.push(0);
            packet
        })
    }

    fn seal_packet(
        &mut self,
        number: u32,
        padded: impl FnOnce(usize, usize) -> Vec<u8>,
    ) -> Vec<u8> {
        match self {
            Self::Clear => padded(8, 4),
            Self::Gcm(keys, context) => {
                let mut packet = padded(16, 0);
                let nonce = keys.nonce();
                context.encrypt_init(None, None, Some(&nonce)).unwrap();
                context.cipher_update(&packet[..4], None).unwrap();
                let length = packet.len() - 4;
                context
                    .cipher_update_inplace(&mut packet[4..], length)
                    .unwrap();
                context.cipher_final(&mut []).unwrap();
                let mut tag = [0; 16];
                context.tag(&mut tag).unwrap();
                packet.extend(tag);
                packet
            }
            Self::Ctr(keys, crypter) => {
                let packet = padded(16, 4);
                let mac = keys.mac_of(number, &packet);
                let mut sealed = apply(crypter, &packet);
                sealed.extend(mac);
                sealed
            }
        }
    }
}

/// The direction from the client.
pub(crate) enum Opener {
    Clear,
    Gcm(Keys),
    Ctr(Crypter),
}

impl Opener {
    pub(crate) fn new(cipher: Cipher, keys: Keys) -> Self {
        match cipher {
            Cipher::Readable => Self::Gcm(keys),
            Cipher::Hidden => Self::Ctr(keys.counter(Mode::Decrypt)),
        }
    }

    /// Reads one packet and returns its message; MACs are taken on trust.
    pub(crate) fn open(&mut self, _number: u32, from: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        from.read_exact(&mut head)?;
        let body = match self {
            Self::Clear => read(from, length(head))?,
            Self::Gcm(keys) => {
                let sealed = read(from, length(head))?;
                let tag = read(from, 16)?;
                let nonce = keys.nonce();
                let algorithm = Algorithm::aes_128_gcm();
                decrypt_aead(algorithm, &keys.key, Some(&nonce), &head, &sealed, &tag)?
            }
            Self::Ctr(crypter) => {
                let head = apply(crypter, &head);
                let sealed = read(from, length(*head.first_chunk().unwrap()))?;
                read(from, 32)?;
                apply(crypter, &sealed)
            }
        };
        let padding = usize::from(*body.first().ok_or(io::ErrorKind::InvalidData)?);
        let end = body
            .len()
            .checked_sub(padding)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(body.get(1..end).ok_or(io::ErrorKind::InvalidData)?.to_vec())
    }
}

fn length(head: [u8; 4]) -> usize {
    u32::from_be_bytes(head) as usize
}

fn read(from: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn apply(crypter: &mut Crypter, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; bytes.len() + 16];
    let count = crypter.update(bytes, &mut out).unwrap();
    out.truncate(count);
    out
}
