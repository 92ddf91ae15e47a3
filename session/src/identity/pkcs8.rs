//! How much work an encrypted PKCS#8 file asks for, read before any of it is done.
//!
//! The file says itself how often its passphrase is hashed (RFC 8018), and the library obeys:
//! a hostile file could keep a core busy for days. Only the head is read here.

use super::Fault;

/// A million rounds take half a second; OWASP asks for 600,000 and OpenSSL writes 2,048.
/// A fuzzer has no time for so many.
const ROUNDS_MAX: u64 = if cfg!(fuzzing) { 1 << 12 } else { 1 << 20 };

const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The object identifier of scrypt, 1.3.6.1.4.1.11591.4.11 (RFC 7914 §7).
const SCRYPT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];

/// Deeper nesting than PBES2's has no meaning: parameters, key derivation, its parameters, PRF.
const DEPTH_MAX: usize = 8;

/// Refuses a file whose key derivation asks for too many rounds.
pub(super) fn check_rounds(der: &[u8]) -> Result<(), Fault> {
    let rounds = rounds(der).ok_or(Fault::Malformed)?;
    if rounds > ROUNDS_MAX {
        return Err(Fault::TooManyRounds(rounds));
    }
    Ok(())
}

/// The rounds of PBES1, PBES2 with PBKDF2, and PKCS#12 schemes; for scrypt N·r·p.
///
/// In all of them the count is the first integer of the algorithm's parameters.
fn rounds(der: &[u8]) -> Option<u64> {
    let (SEQUENCE, whole, _) = element(der)? else {
        return None;
    };
    let (SEQUENCE, algorithm, _) = element(whole)? else {
        return None;
    };
    let mut found = Found::default();
    walk(algorithm, DEPTH_MAX, &mut found)?;
    match (found.scrypt, found.integers.as_slice()) {
        (true, [n, r, p, ..]) => Some(n.saturating_mul(*r).saturating_mul(*p)),
        (false, [count, ..]) => Some(*count),
        _ => None,
    }
}

#[derive(Default)]
struct Found {
    integers: Vec<u64>,
    scrypt: bool,
}

fn walk(mut der: &[u8], depth: usize, found: &mut Found) -> Option<()> {
    let deeper = depth.checked_sub(1)?;
    while !der.is_empty() {
        let (tag, value, rest) = element(der)?;
        match tag {
            SEQUENCE => walk(value, deeper, found)?,
            INTEGER => found.integers.push(integer(value)),
            OID if value == SCRYPT => found.scrypt = true,
            _ => {}
        }
        der = rest;
    }
    Some(())
}

/// An integer's value; one that does not fit, or is negative, counts as the largest.
fn integer(bytes: &[u8]) -> u64 {
    let negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = &bytes[zeros..];
    if negative || significant.len() > 8 {
        return u64::MAX;
    }
    significant
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Splits off the first DER element: its tag, its value and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (length, der) = match first {
        0..=0x7f => (usize::from(first), der),
        0x81..=0x84 => {
            let (bytes, der) = der.split_at_checked(usize::from(first & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte)),
                der,
            )
        }
        // Indefinite lengths are not DER, and no key is longer than four bytes can say.
        _ => return None,
    };
    let (value, rest) = der.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        let value = parts.concat();
        [&[SEQUENCE, u8::try_from(value.len()).unwrap()][..], &value].concat()
    }

    #[track_caller]
    fn check(parameters: &[&[u8]], want: Option<u64>) {
        let algorithm = sequence(&[&[OID, 1, 0x2a], &sequence(parameters)]);
        assert_eq!(rounds(&sequence(&[&algorithm, &[4, 1, 0]])), want);
    }

    #[test]
    fn reads_the_rounds_of_each_scheme() {
        check(&[&[4, 2, 1, 2], &[INTEGER, 2, 8, 0]], Some(2048));
        check(
            &[&[4, 2, 1, 2], &[INTEGER, 5, 0, 0x80, 0, 0, 0]],
            Some(1 << 31),
        );
        check(&[&[INTEGER, 1, 0xff]], Some(u64::MAX));
        let scrypt = [&[OID, 9][..], SCRYPT].concat();
        let cost = sequence(&[&[INTEGER, 2, 0x40, 0], &[INTEGER, 1, 8], &[INTEGER, 1, 2]]);
        check(&[&scrypt, &cost], Some(16_384 * 8 * 2));
        check(&[&scrypt], None);
        check(&[], None);
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = rounds(&bytes);
        }
    }
}
