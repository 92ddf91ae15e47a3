//! The policies, one by one, and what one run remembers.

use super::*;
use crate::error::Kind;

fn key(number: u8) -> Vec<u8> {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([number; 32]);
    blob
}

fn fields(number: u8) -> String {
    Key::from_blob(&key(number)).unwrap().to_fields()
}

/// `h` has key 1, `r` has key 1 that is revoked, `rsa` an RSA key.
fn known() -> KnownHosts {
    let mut known = KnownHosts::new();
    let mut rsa = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0\x80".to_vec();
    rsa.extend([1; 255]);
    let rsa = Key::from_blob(&rsa).unwrap().to_fields();
    let one = fields(1);
    known.add_text(
        format!("h {one}\nr {one}\n@revoked r {one}\nrsa {rsa}\n").as_bytes(),
        "kh",
    );
    known
}

#[track_caller]
fn refused(keys: &HostKeys, name: &str, number: u8, kind: Kind) -> String {
    let error = keys.verify(name, 22, &key(number)).expect_err("refused");
    assert_eq!(error.kind(), kind);
    error.to_string()
}

#[test]
fn strict_takes_known_keys_only() {
    let keys = HostKeys::new(HostKeyPolicy::default(), known()).store("/nonexistent/file");
    let host = keys.verify("H", 22, &key(1)).unwrap();
    assert!(!host.is_new() && !host.is_dangerous());
    let message = refused(&keys, "new", 1, Kind::HostKeyUnknown);
    let fingerprint = Key::from_blob(&key(1)).unwrap().fingerprint();
    assert_eq!(
        message,
        format!(
            "Host key verification failed. No ssh-ed25519 host key is known for new and strict \
             checking was requested ({fingerprint})"
        )
    );
    assert!(refused(&keys, "h", 2, Kind::HostKeyChanged).contains("offending key in kh:1"));
    assert!(refused(&keys, "r", 1, Kind::HostKeyRevoked).contains("in kh:3"));
    assert!(!keys.needs_blocking_store());
}

#[test]
fn accept_new_takes_unknown_keys_and_no_others() {
    let keys = HostKeys::new(HostKeyPolicy::AcceptNew, known());
    assert!(keys.verify("new", 22, &key(1)).unwrap().is_new());
    assert!(keys.verify("NEW", 22, &key(1)).unwrap().is_new());
    assert!(
        keys.verify("new", 2222, &key(2)).unwrap().is_new(),
        "another port, another daemon"
    );
    let message = refused(&keys, "new", 2, Kind::HostKeyChanged);
    assert!(message.contains("accepted in this run"), "{message}");
    let _ = refused(&keys, "h", 2, Kind::HostKeyChanged);
    let _ = refused(&keys, "r", 1, Kind::HostKeyRevoked);
    assert!(!keys.needs_blocking_store());
}

#[test]
fn dangerous_takes_and_counts_all_but_revoked_keys() {
    let keys = HostKeys::new(HostKeyPolicy::DangerousAcceptAny, known());
    assert!(!keys.verify("h", 22, &key(1)).unwrap().is_dangerous());
    assert_eq!(keys.dangerous_count(), 0);
    assert!(keys.verify("h", 22, &key(2)).unwrap().is_dangerous());
    assert!(keys.verify("new", 22, &key(2)).unwrap().is_dangerous());
    let _ = refused(&keys, "r", 1, Kind::HostKeyRevoked);
    assert_eq!(keys.dangerous_count(), 2);
}

#[test]
fn no_policy_takes_what_is_no_key_or_no_name() {
    for policy in [
        HostKeyPolicy::Strict,
        HostKeyPolicy::AcceptNew,
        HostKeyPolicy::Ask,
        HostKeyPolicy::DangerousAcceptAny,
    ] {
        let keys = HostKeys::new(policy, KnownHosts::new());
        for alias in [
            "", "a b", "a,b", "*", "!h", "@revoked", "|1|", "#h", "a\tb", "a\nb",
        ] {
            let error = keys
                .verify_name(&LookupName::alias(alias), &key(1))
                .unwrap_err();
            assert_eq!(error.kind(), Kind::HostKeyUnknown, "{alias:?}");
        }
        for blob in [&b""[..], b"ssh-ed25519", &key(1)[..50], &[0; 100]] {
            let error = keys.verify("h", 22, blob).unwrap_err();
            assert_eq!(error.kind(), Kind::Protocol);
        }
        for name in [
            "",
            "a b",
            "a\nb ssh-ed25519",
            "a,b",
            "*",
            "!h",
            "@revoked",
            "|1|",
            "#h",
        ] {
            let error = keys.verify(name, 22, &key(1)).unwrap_err();
            assert_eq!(error.kind(), Kind::HostKeyUnknown, "{name:?}");
        }
    }
}

#[test]
fn accepted_keys_go_to_the_store_and_are_known_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let keys = HostKeys::new(HostKeyPolicy::AcceptNew, KnownHosts::new()).store(&path);
    assert!(keys.needs_blocking_store());
    let _ = keys.verify("New", 22, &key(1)).unwrap();
    let _ = keys.verify("::1", 2222, &key(2)).unwrap();
    let _ = keys.verify("new", 22, &key(1)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        format!("new {}\n[::1]:2222 {}\n", fields(1), fields(2))
    );
    let keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([&path]).unwrap());
    let _ = keys.verify("::1", 2222, &key(2)).unwrap();
}

#[test]
fn a_key_that_cannot_be_stored_is_refused_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    std::fs::create_dir(&path).unwrap();
    let keys = HostKeys::new(HostKeyPolicy::AcceptNew, KnownHosts::new()).store(&path);
    let message = refused(&keys, "new", 1, Kind::Io);
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    std::fs::remove_dir(&path).unwrap();
    let _ = keys.verify("new", 22, &key(1)).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("new {}\n", fields(1))
    );
}

#[test]
fn algorithms_of_known_keys_come_first_and_certificates_never() {
    let keys = HostKeys::new(HostKeyPolicy::AcceptNew, known());
    let all = [
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256",
        "ssh-ed25519",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    let order = |name| keys.algorithm_order(name, 22, &all);
    let unknown = [
        "ecdsa-sha2-nistp256",
        "ssh-ed25519",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    assert_eq!(order("new"), unknown);
    let ed25519 = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    assert_eq!(order("h"), ed25519);
    assert_eq!(order("r"), unknown, "a revoked key is not asked for");
    let rsa = [
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ecdsa-sha2-nistp256",
        "ssh-ed25519",
    ];
    assert_eq!(order("rsa"), rsa);
    let _ = keys.verify("new", 22, &key(1)).unwrap();
    assert_eq!(order("new"), ed25519, "accepted in this run");
}

#[test]
fn certificates_are_offered_where_a_ca_is_known_and_by_a_users_list_in_its_order() {
    let mut known = KnownHosts::new();
    let [one, two] = [fields(1), fields(2)];
    let lines = format!("@cert-authority ca,port {one}\n[port]:2222 {two}\nplain {two}\n");
    known.add_text(lines.as_bytes(), "kh");
    let keys = HostKeys::new(HostKeyPolicy::Strict, known);
    let [rsa, certificate] = ["rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com"];
    let all = [rsa, "ssh-ed25519", certificate];
    let order = |name, port| keys.algorithm_order(name, port, &all);
    assert_eq!(order("ca", 22), [certificate, rsa, "ssh-ed25519"]);
    assert_eq!(order("ca", 2222), [certificate, rsa, "ssh-ed25519"]);
    assert_eq!(order("port", 2222), ["ssh-ed25519", certificate, rsa]);
    assert_eq!(order("plain", 22), ["ssh-ed25519", rsa]);
    let offer = |name, given| keys.algorithms_to_offer(&LookupName::alias(name), Some(given));
    let list = format!("{rsa}, {certificate},ssh-ed25519");
    assert_eq!(offer("ca", &list), list.replace(' ', ""));
    assert_eq!(offer("plain", &list), format!("{rsa},ssh-ed25519"));
    assert_eq!(offer("plain", certificate), certificate);
}
