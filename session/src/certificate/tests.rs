//! Certificates made by ssh-keygen, whole and damaged.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[track_caller]
fn keygen(args: &[&str], dir: &Path) {
    let output = Command::new("ssh-keygen")
        .args(args)
        .current_dir(dir)
        .output();
    let output = output.expect("ssh-keygen runs (Debian: openssh-client)");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen {args:?}: {error}");
}

fn blob_of(path: &Path) -> Vec<u8> {
    let line = std::fs::read_to_string(path).unwrap();
    STANDARD
        .decode(line.split_whitespace().nth(1).unwrap())
        .unwrap()
}

/// Makes a CA and a key, has the one sign the other, and returns the certificate's blob.
fn certificate(dir: &Path, ca: &[&str], key: &str, args: &[&str]) -> Vec<u8> {
    for file in ["ca", "ca.pub", "key", "key.pub", "key-cert.pub"] {
        let _ = std::fs::remove_file(dir.join(file));
    }
    keygen(&[&["-q", "-N", "", "-f", "ca", "-t"], ca].concat(), dir);
    keygen(&["-q", "-N", "", "-f", "key", "-t", key], dir);
    keygen(&[&["-q", "-s", "ca"], args, &["key.pub"]].concat(), dir);
    blob_of(&dir.join("key-cert.pub"))
}

#[test]
fn reads_what_ssh_keygen_writes_for_every_pair_of_types() {
    let dir = tempfile::tempdir().unwrap();
    let types: [&[&str]; 5] = [
        &["ed25519"],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "384"],
        &["ecdsa", "-b", "521"],
        &["rsa", "-b", "2048"],
    ];
    for ca in types {
        for key in ["ed25519", "ecdsa", "rsa"] {
            let args = ["-h", "-I", "some host", "-n", "a,b", "-z", "7", "-V", "+1d"];
            let blob = certificate(dir.path(), ca, key, &args);
            let read = Certificate::parse(&blob).unwrap();
            assert_eq!(read.verify_signature(), Ok(()), "{ca:?} signs {key}");
            assert_eq!(read.kind, CertificateKind::Host);
            assert_eq!((read.serial, &read.key_id[..]), (7, &b"some host"[..]));
            assert_eq!(read.principals, [b"a", b"b"]);
            assert!(read.valid_before - read.valid_after >= 86_400);
            assert!(read.critical_options.is_empty() && read.extensions.is_empty());
            assert_eq!(read.ca.blob(), blob_of(&dir.path().join("ca.pub")));
            assert_eq!(read.key.blob(), blob_of(&dir.path().join("key.pub")));
            assert!(Certificate::is_named_by(&blob));
            assert!(!Certificate::is_named_by(read.key.blob()));
        }
    }
}

#[test]
fn reads_options_and_extensions_of_user_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-I", "u", "-n", "me", "-O", "force-command=date"];
    let blob = certificate(dir.path(), &["ed25519"], "ed25519", &args);
    let read = Certificate::parse(&blob).unwrap();
    assert_eq!(read.kind, CertificateKind::User);
    assert_eq!((read.valid_after, read.valid_before), (0, u64::MAX));
    assert_eq!(read.critical_options[0].0, b"force-command");
    assert!(
        read.extensions
            .iter()
            .any(|(name, _)| name == b"permit-pty")
    );
}

/// The hash of a signature with SHA-1 is not computed at all.
#[test]
fn a_signature_with_sha_1_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-h", "-I", "h", "-t", "ssh-rsa"];
    let blob = certificate(dir.path(), &["rsa", "-b", "2048"], "ed25519", &args);
    let error = Certificate::parse(&blob).unwrap().verify_signature();
    let algorithm = "ssh-rsa".to_owned();
    assert_eq!(error, Err(CertificateError::Algorithm { algorithm }));
}

/// Every single bit counts: a certificate with one of them turned is damaged or wrongly signed.
#[test]
fn no_bit_can_be_turned_and_no_byte_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let blob = certificate(
        dir.path(),
        &["ed25519"],
        "ed25519",
        &["-h", "-I", "h", "-n", "h"],
    );
    let is_good = |blob: &[u8]| Certificate::parse(blob).and_then(|c| c.verify_signature());
    assert_eq!(is_good(&blob), Ok(()));
    for at in 0..blob.len() * 8 {
        let mut turned = blob.clone();
        turned[at / 8] ^= 1 << (at % 8);
        assert!(is_good(&turned).is_err(), "bit {at}");
    }
    for end in 0..blob.len() {
        assert!(is_good(&blob[..end]).is_err(), "{end} bytes");
    }
    assert!(
        is_good(&[&blob[..], b"\0"].concat()).is_err(),
        "one byte more"
    );
}

/// Method: a security key is played by an Ed25519 key that signs what such a device would.
#[test]
fn security_keys_sign_with_flags_and_counter() {
    use openssl::{pkey::PKey, sha::sha256, sign::Signer};
    let device = PKey::generate_ed25519().unwrap();
    let mut key = Vec::new();
    put_string(&mut key, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut key, &device.raw_public_key().unwrap());
    put_string(&mut key, b"ssh:");
    let tail = [1, 0, 0, 0, 9];
    let message = [&sha256(b"ssh:")[..], &tail, &sha256(b"text")].concat();
    let mut signer = Signer::new_without_digest(&device).unwrap();
    let made = signer.sign_oneshot_to_vec(&message).unwrap();
    let mut blob = Vec::new();
    put_string(&mut blob, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut blob, &made);
    blob.extend(tail);
    assert_eq!(signature::verify(&key, &blob, b"text"), Ok(()));
    assert!(signature::verify(&key, &blob, b"other").is_err());
    *blob.last_mut().unwrap() = 8;
    assert!(
        signature::verify(&key, &blob, b"text").is_err(),
        "another counter"
    );
}
