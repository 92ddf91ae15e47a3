//! What only this crate can see of the known hosts; `tests/known_hosts.rs` holds the rest.

use super::key::Key;
use super::*;

#[test]
fn names_are_looked_up_lowercase_and_with_a_port_off_22() {
    let name = |name, port| LookupName::new(name, port).as_str().to_owned();
    assert_eq!(name("Web1", 22), "web1");
    assert_eq!(name("Web1", 2222), "[web1]:2222");
    assert_eq!(name("::1", 22), "::1");
    assert_eq!(name("FE80::1", 23), "[fe80::1]:23");
}

/// The key and its fingerprint as `ssh-keygen -l` prints it.
#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    const PUBLIC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKU7Cw6XYgTf63KDUd\
        gRMTUP07FQEZKnSR80LJcvFc7caVQjqZSDbUXNmbTlBBryDx3QXr/nhSeOaY5YXgkPAmQ=";
    const FINGERPRINT: &str = "SHA256:whliV+FZov7aUdjW/ayaTj1OHPdJILUh+WCypzkgfvY";
    let (algorithm, base64) = PUBLIC.split_once(' ').unwrap();
    let key = Key::from_fields(algorithm.as_bytes(), base64.as_bytes()).unwrap();
    assert_eq!(key.fingerprint(), FINGERPRINT);
    assert_eq!(key.to_fields(), PUBLIC);
}

#[test]
fn damaged_keys_are_no_keys() {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let good = [string(b"ssh-ed25519"), string(&[1; 32])].concat();
    assert!(Key::from_blob(&good).is_some());
    for cut in 0..good.len() {
        assert!(Key::from_blob(&good[..cut]).is_none(), "cut at {cut}");
    }
    assert!(
        Key::from_blob(&[&good[..], b"\0"].concat()).is_none(),
        "trailing byte"
    );
    let short = [string(b"ssh-rsa"), string(&[1, 0, 1]), string(&[0x7f; 96])].concat();
    assert!(Key::from_blob(&short).is_none(), "768 bits");
    let other = [
        string(b"ssh-ed25519-cert-v01@openssh.com"),
        string(&[1; 32]),
    ]
    .concat();
    assert!(Key::from_blob(&other).is_none(), "certificate");
    assert!(Key::from_blob(&[0xff; 64]).is_none());
}
