//! No key blob is taken for a host but those that a known CA signed.
//!
//! The input is a blob as a host would show it. The private keys of the CAs are nowhere, so whatever is taken has to be
//! one of the seeds; only an ECDSA signature has a second form.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use sshoal_session::known_hosts::KnownHosts;
use sshoal_session::{HostKeyPolicy, HostKeys};

/// One CA of each type, as known_hosts lines hold them.
const CAS: &str = include_str!("certificate_cas.txt");

/// A certificate of each, for the host `h`.
const SIGNED: [&[u8]; 3] = [
    include_bytes!("../corpus/certificate/host_ed25519"),
    include_bytes!("../corpus/certificate/host_ecdsa"),
    include_bytes!("../corpus/certificate/host_rsa"),
];

static STRICT: LazyLock<HostKeys> = LazyLock::new(|| {
    let lines = CAS.lines().map(|ca| format!("@cert-authority h {ca}\n"));
    let mut known = KnownHosts::new();
    known.add_text(lines.collect::<String>().as_bytes(), "kh");
    HostKeys::new(HostKeyPolicy::Strict, known)
});

fuzz_target!(|blob: &[u8]| {
    let is_signed = SIGNED.iter().zip(CAS.lines()).any(|(signed, ca)| {
        let ca = STANDARD
            .decode(ca.split(' ').nth(1).expect("two fields"))
            .expect("base64");
        // All that stands before the signature, whose own form may be another.
        let at = signed.windows(ca.len()).position(|bytes| bytes == ca);
        blob.starts_with(&signed[..at.expect("it names its CA") + ca.len()])
    });
    let is_taken = STRICT.verify("h", 22, blob).is_ok();
    assert!(is_signed || !is_taken, "a forged certificate is taken");
    assert!(
        is_taken || !SIGNED.contains(&blob),
        "a good certificate is refused"
    );
    // Under another name the same certificates are nothing.
    assert!(STRICT.verify("other", 22, blob).is_err());
});
