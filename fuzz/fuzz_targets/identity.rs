//! Any key file is read or refused, and a key that is taken signs as its own algorithm says.
//!
//! The input is a key file, private or public. Encrypted ones in the corpus have `pass` for their
//! passphrase. Files that ask for many rounds of a key derivation are refused before any.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sshoal_session::{Identity, Secret};

fuzz_target!(|file: &[u8]| {
    let passphrase = Secret::from(String::from("pass"));
    for passphrase in [None, Some(&passphrase)] {
        let Ok(identity) = Identity::parse(file, passphrase) else {
            continue;
        };
        assert!(identity.has_private_key());
        let blob = identity.public_blob();
        let length = u32::from_be_bytes(*blob.first_chunk().expect("a blob has a name")) as usize;
        assert_eq!(&blob[4..4 + length], identity.algorithm().as_bytes());
        if identity.algorithm() != "ssh-rsa" {
            let signature = identity.sign(identity.algorithm(), b"data");
            assert!(signature.is_ok_and(|signature| !signature.is_empty()));
        }
    }
    if let Ok(identity) = Identity::public(file, "fuzz") {
        assert!(!identity.has_private_key());
        assert!(identity.fingerprint().starts_with("SHA256:"));
    }
});
