//! The data types of RFC 4251 §5, as far as keys, signatures and the agent use them.
//!
//! [`Reader`] borrows and never reads past the end; what it does not find is `None`.

/// Takes values off the front of a byte slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let count = usize::try_from(ahead.u32()?).ok()?;
        let taken = ahead.bytes(count)?;
        *self = ahead;
        Some(taken)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// An `mpint` that is not negative, as its magnitude without leading zeros.
    pub(crate) fn magnitude(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            return None;
        }
        Some(strip_zeros(bytes))
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Returns the size of the RSA key in a blob, in bits, be it plain or in a certificate; `None` for
/// other types and for damage.
pub(crate) fn rsa_bits(blob: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(blob);
    match reader.text()? {
        "ssh-rsa" => {}
        "ssh-rsa-cert-v01@openssh.com" => {
            let _nonce = reader.string()?;
        }
        _ => return None,
    }
    let _e = reader.magnitude()?;
    let n = reader.magnitude()?;
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    u32::try_from(bits).ok()
}

/// Appends a `string`.
///
/// # Panics
///
/// If the bytes are longer than a `string` can be, 4 GiB; everything here is bounded far below.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = u32::try_from(bytes.len()).expect("lengths are bounded far below 4 GiB");
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a non-negative `mpint`, given its magnitude, in the one form RFC 4251 §5 allows.
pub(crate) fn put_mpint(out: &mut Vec<u8>, magnitude: &[u8]) {
    let magnitude = strip_zeros(magnitude);
    if magnitude.first().is_some_and(|first| first & 0x80 != 0) {
        let count = u32::try_from(magnitude.len() + 1).expect("keys are bounded far below 4 GiB");
        out.extend_from_slice(&count.to_be_bytes());
        out.push(0);
        out.extend_from_slice(magnitude);
    } else {
        put_string(out, magnitude);
    }
}

fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_examples_of_rfc_4251() {
        for (magnitude, want) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0x7f], &[0, 0, 0, 1, 0x7f]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
        ] {
            let mut out = Vec::new();
            put_mpint(&mut out, magnitude);
            assert_eq!(out, want);
            let got = Reader::new(&out).magnitude().unwrap();
            assert_eq!(got, strip_zeros(magnitude));
        }
    }

    #[test]
    fn reads_nothing_past_the_end() {
        let mut short = Reader::new(&[0, 0, 0, 9, 1, 2]);
        assert_eq!(short.string(), None);
        assert_eq!(short.u32(), Some(9), "a failed read takes nothing");
        assert_eq!(short.u32(), None);
        assert_eq!(Reader::new(&[0xff; 8]).string(), None);
        assert_eq!(
            Reader::new(&[0, 0, 0, 1, 0x80]).magnitude(),
            None,
            "negative"
        );
    }
}
