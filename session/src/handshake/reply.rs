//! The form of the host's signature of the key exchange: pure.
//!
//! libssh2 checks the signature, but takes its length and name for what it expects without a look
//! (`hostkey.c`); neither is covered by the signature itself.

/// Returns whether a reply (RFC 4253 §8, RFC 5656 §4: key, public half, signature) is whole, and
/// its signature is one of the algorithm that was agreed on.
pub(super) fn is_signed_by(reply: &[u8], algorithm: &str) -> bool {
    // A certificate's key signs as it does without one.
    let certificate = algorithm.strip_suffix("-cert-v01@openssh.com");
    let algorithm = certificate.unwrap_or(algorithm).as_bytes();
    strings(reply).is_some_and(|[_key, _public, signature]| {
        strings(signature).is_some_and(|[name, _value]| name == algorithm)
    })
}

/// Splits what consists of so many strings and nothing else (RFC 4251 §5).
fn strings<const N: usize>(mut bytes: &[u8]) -> Option<[&[u8]; N]> {
    let mut found = [&[][..]; N];
    for string in &mut found {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        (*string, bytes) = rest.split_at_checked(length)?;
    }
    bytes.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        [
            &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    }

    #[test]
    fn each_bit_of_name_and_lengths_counts() {
        let signature = [string(b"ssh-ed25519"), string(&[7; 64])].concat();
        let reply = [string(b"key"), string(b"public"), string(&signature)].concat();
        assert!(is_signed_by(&reply, "ssh-ed25519"));
        assert!(is_signed_by(&reply, "ssh-ed25519-cert-v01@openssh.com"));
        assert!(!is_signed_by(&reply, "rsa-sha2-512"));
        let from = reply.len() - signature.len() - 4;
        for bit in 8 * from..8 * (reply.len() - 64) {
            let mut reply = reply.clone();
            reply[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed_by(&reply, "ssh-ed25519"), "bit {bit}");
        }
        for end in 0..reply.len() {
            assert!(!is_signed_by(&reply[..end], "ssh-ed25519"));
        }
    }
}
