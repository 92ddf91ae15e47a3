//! Hashed host names (`|1|salt|hash`, HMAC-SHA1 of RFC 2104), tried ten thousand at a time.
//!
//! A name is tried against every line, so what does not change is done once: the salt is hashed
//! in when a line is read, the name is cut into blocks when a lookup begins. What remains is two
//! SHA-1 blocks a line over 64 contiguous bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use sha1::compress;

type Block = [u8; BLOCK_BYTES];
type State = [u32; 5];

/// A name hidden by a hash under a salt of its own.
#[derive(Clone, Copy)]
pub(super) struct HashedName {
    /// SHA-1 after the inner key block.
    inner: State,
    /// SHA-1 after the outer key block.
    outer: State,
    hash: State,
}

impl HashedName {
    /// Reads a names field; `None` unless it is written as ssh writes it.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let field = field.strip_prefix(b"|1|")?;
        let divider = field.iter().position(|byte| *byte == b'|')?;
        let decode = |text: &[u8]| <[u8; 20]>::try_from(STANDARD.decode(text).ok()?).ok();
        let salt = decode(&field[..divider])?;
        let hash = decode(&field[divider + 1..])?;
        let mut words = [0; 5];
        for (word, bytes) in words.iter_mut().zip(hash.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Some(Self::keyed(&salt, words))
    }

    fn keyed(salt: &[u8; HASH_BYTES], hash: State) -> Self {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK_BYTES];
            block
                .iter_mut()
                .zip(salt)
                .for_each(|(byte, salt)| *byte ^= salt);
            digest(INITIAL, [block])
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
            hash,
        }
    }

    /// Returns whether this is the hash of the name. Not in constant time: the names are no
    /// secret from whoever can measure this process.
    pub(super) fn matches(&self, lookup: &Lookup) -> bool {
        self.of(lookup) == self.hash
    }

    /// Returns a name's hash under this salt.
    fn of(&self, lookup: &Lookup) -> State {
        let inner = digest(self.inner, lookup.blocks.iter().copied());
        let mut block = [0; BLOCK_BYTES];
        for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        pad(&mut block, HASH_BYTES, BLOCK_BYTES + HASH_BYTES);
        digest(self.outer, [block])
    }
}

/// Hides a name, given as looked up, under a salt of its own: the names field that ssh writes.
pub(super) fn hidden(name: &str) -> Result<String, ErrorStack> {
    let mut salt = [0; HASH_BYTES];
    rand_bytes(&mut salt)?;
    let lookup = Lookup::new(name);
    let mut bytes = [0; HASH_BYTES];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(hash(&salt, &lookup)) {
        *bytes = word.to_be_bytes();
    }
    Ok(format!(
        "|1|{}|{}",
        STANDARD.encode(salt),
        STANDARD.encode(bytes)
    ))
}

fn hash(salt: &[u8; HASH_BYTES], lookup: &Lookup) -> State {
    HashedName::keyed(salt, [0; 5]).of(lookup)
}

impl std::fmt::Debug for HashedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedName")
    }
}

/// A name as looked up, ready to be hashed under any salt.
pub(super) struct Lookup {
    /// Padded for a message that one key block precedes.
    blocks: Vec<Block>,
}

impl Lookup {
    pub(super) fn new(name: &str) -> Self {
        let (whole, rest) = name.as_bytes().as_chunks::<BLOCK_BYTES>();
        let mut blocks = whole.to_vec();
        let mut last = [0; BLOCK_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        let message_bytes = BLOCK_BYTES + name.len();
        if rest.len() < BLOCK_BYTES - 8 {
            pad(&mut last, rest.len(), message_bytes);
            blocks.push(last);
        } else {
            // The length has no room behind the mark, so it gets a block of its own.
            last[rest.len()] = 0x80;
            let mut length = [0; BLOCK_BYTES];
            length[BLOCK_BYTES - 8..].copy_from_slice(&(message_bytes as u64 * 8).to_be_bytes());
            blocks.extend([last, length]);
        }
        Self { blocks }
    }
}

/// Ends a message in its last block (RFC 3174 §4): a mark behind the text, then the length.
fn pad(block: &mut Block, text_bytes: usize, message_bytes: usize) {
    block[text_bytes] = 0x80;
    block[BLOCK_BYTES - 8..].copy_from_slice(&(message_bytes as u64 * 8).to_be_bytes());
}

fn digest(mut state: State, blocks: impl IntoIterator<Item = Block>) -> State {
    for block in blocks {
        compress(&mut state, &[block.into()]);
    }
    state
}

const BLOCK_BYTES: usize = 64;
const HASH_BYTES: usize = 20;

/// RFC 3174 §6.1.
const INITIAL: State = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, Mac as _};
    use sha1::Sha1;

    #[test]
    fn hashes_names_of_every_length_as_hmac_does() {
        for length in 0..300 {
            let name = "n".repeat(length);
            let mut hmac = Hmac::<Sha1>::new_from_slice(&[9; 20]).unwrap();
            hmac.update(name.as_bytes());
            let hash = STANDARD.encode(hmac.finalize().into_bytes());
            let field = format!("|1|{}|{hash}", STANDARD.encode([9; 20]));
            let hashed = HashedName::parse(field.as_bytes()).unwrap();
            assert!(hashed.matches(&Lookup::new(&name)), "{length} bytes");
            assert!(
                !hashed.matches(&Lookup::new(&format!("{name}n"))),
                "{length} bytes and one"
            );
        }
    }

    #[test]
    fn a_hidden_name_is_found_by_itself_and_hidden_otherwise_each_time() {
        let [one, other] = [(); 2].map(|()| hidden("[web1]:2222").unwrap());
        assert_ne!(one, other);
        let hashed = HashedName::parse(one.as_bytes()).unwrap();
        assert!(hashed.matches(&Lookup::new("[web1]:2222")));
        assert!(!hashed.matches(&Lookup::new("web1")));
    }

    #[test]
    fn a_damaged_hash_is_none() {
        let good = format!("|1|{0}|{0}", STANDARD.encode([9; 20]));
        assert!(HashedName::parse(good.as_bytes()).is_some());
        let short = STANDARD.encode([9; 19]);
        for bad in [
            "|1|",
            "|1||",
            "|2|x|y",
            &good[..good.len() - 1],
            &format!("{good},h"),
            &format!("|1|{short}|{short}"),
        ] {
            assert!(HashedName::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
