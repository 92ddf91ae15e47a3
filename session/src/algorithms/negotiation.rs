//! What the two sides' lists have in common (RFC 4253 §7.1): libssh2 tells that there is nothing,
//! but not in which list.

use super::{AlgorithmList, Offer};

/// The lists of a host's KEXINIT, in the order they are sent.
const LISTS: usize = 8;
/// Of what the host offers, so much is told.
const TOLD_BYTES_MAX: usize = 500;

/// Returns the first list of a host's KEXINIT (its bytes behind the cookie) in which nothing is
/// that we offer, and what is there; `None` if there is none, or the message is not whole.
pub(crate) fn nothing_in_common(
    kexinit: &[u8],
    offer: &Offer,
    host_keys: &str,
) -> Option<(AlgorithmList, String)> {
    let mut rest = kexinit;
    let mut lists = [""; LISTS];
    for list in &mut lists {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (names, behind) = behind.split_at_checked(length)?;
        *list = std::str::from_utf8(names).ok()?;
        rest = behind;
    }
    let [
        kex,
        keys,
        cipher_out,
        cipher_in,
        mac_out,
        mac_in,
        comp_out,
        comp_in,
    ] = lists;
    // With AES-GCM libssh2 looks for no MAC; with ChaCha20, which needs none either, it does.
    let macs = |cipher: &str, macs| {
        let own = |cipher: &str| cipher.contains("-gcm");
        let chosen = common(&offer.ciphers, cipher);
        (!chosen.is_none_or(own)).then_some((AlgorithmList::Mac, offer.macs.as_str(), macs))
    };
    let compression = offer.compression.unwrap_or("none");
    let pairs = [
        Some((AlgorithmList::Kex, offer.kex.as_str(), kex)),
        Some((AlgorithmList::HostKey, host_keys, keys)),
        Some((AlgorithmList::Cipher, &offer.ciphers, cipher_out)),
        Some((AlgorithmList::Cipher, &offer.ciphers, cipher_in)),
        macs(cipher_out, mac_out),
        macs(cipher_in, mac_in),
        Some((AlgorithmList::Compression, compression, comp_out)),
        Some((AlgorithmList::Compression, compression, comp_in)),
    ];
    let mut pairs = pairs.into_iter().flatten();
    let (list, _, theirs) = pairs.find(|(_, ours, theirs)| common(ours, theirs).is_none())?;
    let told = theirs.chars().filter(char::is_ascii_graphic);
    Some((list, told.take(TOLD_BYTES_MAX).collect()))
}

/// The first of our names that they have too.
fn common<'a>(ours: &'a str, theirs: &str) -> Option<&'a str> {
    ours.split(',')
        .find(|name| !name.is_empty() && theirs.split(',').any(|other| other == *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer() -> Offer {
        Offer {
            kex: "k1,k2".into(),
            host_keys: "h1".into(),
            known_first: true,
            ciphers: "x-gcm,ctr".into(),
            macs: "m1,m2".into(),
            compression: None,
        }
    }

    fn message(lists: [&str; LISTS]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in lists.into_iter().chain(["", ""]) {
            bytes.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            bytes.extend(list.as_bytes());
        }
        bytes.extend([0; 5]);
        bytes
    }

    fn check(lists: [&str; LISTS]) -> Option<(AlgorithmList, String)> {
        nothing_in_common(&message(lists), &offer(), "h1")
    }

    #[test]
    fn the_first_list_with_nothing_in_common_is_told() {
        let fine = ["k2", "h1", "ctr,y", "x-gcm", "m2", "m9", "none", "none"];
        assert_eq!(check(fine), None);
        for (place, theirs, list) in [
            (0, "k3,k", AlgorithmList::Kex),
            (1, "h2\x1b[2J", AlgorithmList::HostKey),
            (2, "ct", AlgorithmList::Cipher),
            (3, "", AlgorithmList::Cipher),
            (4, "m3", AlgorithmList::Mac),
            (6, "zlib", AlgorithmList::Compression),
        ] {
            let mut lists = fine;
            lists[place] = theirs;
            let told = theirs.replace('\x1b', "");
            assert_eq!(check(lists), Some((list, told)));
        }
    }

    proptest! {
        /// Whatever a host sends, it is read without a panic and little of it is told.
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..200) {
            let told = nothing_in_common(&bytes, &offer(), "h1");
            prop_assert!(told.is_none_or(|(_, text)| text.len() <= TOLD_BYTES_MAX));
            let whole = message(["k3", "h1", "ctr", "ctr", "m1", "m1", "none", "none"]);
            let _ = nothing_in_common(&whole[..cut.min(whole.len())], &offer(), "h1");
        }
    }
}
