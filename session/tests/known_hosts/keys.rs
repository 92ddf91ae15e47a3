//! Host keys that are well formed and belong to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Returns the wire form of an Ed25519 key, a different one for each number.
pub(crate) fn ed25519(number: u8) -> Vec<u8> {
    blob(&[b"ssh-ed25519", &[number; 32]])
}

/// Returns the wire form of an ECDSA key on P-256.
pub(crate) fn ecdsa(number: u8) -> Vec<u8> {
    let mut point = [number; 65];
    point[0] = 4;
    blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &point])
}

/// Returns the wire form of an RSA key of 2,048 bits.
pub(crate) fn rsa(number: u8) -> Vec<u8> {
    let mut modulus = [number; 257];
    modulus[0] = 0;
    modulus[1] = 0x80;
    blob(&[b"ssh-rsa", &[1, 0, 1], &modulus])
}

/// Returns the two key fields of a known_hosts line.
pub(crate) fn fields(blob: &[u8]) -> String {
    let length = blob[3] as usize;
    let algorithm = str::from_utf8(&blob[4..4 + length]).expect("the names above are ASCII");
    format!("{algorithm} {}", STANDARD.encode(blob))
}

/// Writes out a line in which `A`, `B` (Ed25519), `E` (ECDSA) or `R` (RSA) stands for a key.
pub(crate) fn expand(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((rest, "A")) => format!("{rest} {}", fields(&ed25519(1))),
        Some((rest, "B")) => format!("{rest} {}", fields(&ed25519(2))),
        Some((rest, "E")) => format!("{rest} {}", fields(&ecdsa(1))),
        Some((rest, "R")) => format!("{rest} {}", fields(&rsa(1))),
        _ => line.to_owned(),
    }
}

/// Joins strings in the form of RFC 4251 §5.
pub(crate) fn blob(parts: &[&[u8]]) -> Vec<u8> {
    let mut blob = Vec::new();
    for part in parts {
        let length = u32::try_from(part.len()).expect("keys are short");
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(part);
    }
    blob
}
