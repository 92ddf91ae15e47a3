//! Keys made by `ssh-keygen` and `openssl`, and signatures checked by OpenSSL's verifier.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;

/// Key types and sizes as `ssh-keygen -t -b` names them, and the types that SSH calls them.
pub(crate) const KEY_TYPES: [(&str, &str, &str); 6] = [
    ("ed25519", "256", "ssh-ed25519"),
    ("ecdsa", "256", "ecdsa-sha2-nistp256"),
    ("ecdsa", "384", "ecdsa-sha2-nistp384"),
    ("ecdsa", "521", "ecdsa-sha2-nistp521"),
    ("rsa", "2048", "ssh-rsa"),
    ("rsa", "4096", "ssh-rsa"),
];

/// Runs a tool to its end and returns its standard output; a failure of the tool fails the test.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program} (Debian packages openssh-client, openssl): {e}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    output.stdout
}

/// Makes a key with `ssh-keygen`; `more` are further options, like `-m PEM`.
#[track_caller]
pub(crate) fn keygen(
    folder: &Path,
    sort: &str,
    bits: &str,
    passphrase: &str,
    more: &[&str],
) -> PathBuf {
    let path = folder.join(format!(
        "key_{sort}_{bits}_{}",
        more.concat().replace('/', "_")
    ));
    let _ = std::fs::remove_file(&path);
    let file = path.to_str().unwrap();
    let mut arguments = vec![
        "-q",
        "-t",
        sort,
        "-b",
        bits,
        "-N",
        passphrase,
        "-C",
        "a comment",
        "-f",
        file,
    ];
    arguments.extend_from_slice(more);
    run("ssh-keygen", &arguments);
    path
}

/// The public blob as `ssh-keygen` wrote it beside a private key.
pub(crate) fn public_blob(private: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let line = std::fs::read_to_string(private.with_extension("pub")).unwrap();
    let encoded = line.split(' ').nth(1).unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .unwrap()
}

/// The signature algorithms that a key type is good for.
pub(crate) fn algorithms(key_type: &str) -> &[&str] {
    match key_type {
        "ssh-rsa" => &["rsa-sha2-256", "rsa-sha2-512"],
        "ssh-ed25519" => &["ssh-ed25519"],
        "ecdsa-sha2-nistp256" => &["ecdsa-sha2-nistp256"],
        "ecdsa-sha2-nistp384" => &["ecdsa-sha2-nistp384"],
        "ecdsa-sha2-nistp521" => &["ecdsa-sha2-nistp521"],
        other => panic!("{other} is no key type of these tests"),
    }
}

/// Takes a `string` off the front of bytes.
#[track_caller]
pub(crate) fn string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (head, rest) = bytes.split_at(4);
    let (taken, rest) = rest.split_at(u32::from_be_bytes(head.try_into().unwrap()) as usize);
    *bytes = rest;
    taken
}

/// Takes an `mpint` and insists on RFC 4251's form: not negative, no zero too many.
#[track_caller]
fn mpint(bytes: &mut &[u8]) -> BigNum {
    let number = string(bytes);
    assert!(
        !number.is_empty() && number[0] & 0x80 == 0,
        "zero or negative: {number:?}"
    );
    assert!(
        number[0] != 0 || number[1] & 0x80 != 0,
        "a zero too many: {number:?}"
    );
    BigNum::from_slice(number).unwrap()
}

/// Verifies an inner signature, reading the public key out of its blob.
#[track_caller]
pub(crate) fn verify(mut blob: &[u8], algorithm: &str, data: &[u8], mut signature: &[u8]) {
    let key_type = std::str::from_utf8(string(&mut blob)).unwrap();
    let digest = match algorithm {
        "rsa-sha2-256" | "ecdsa-sha2-nistp256" => Some(MessageDigest::sha256()),
        "ecdsa-sha2-nistp384" => Some(MessageDigest::sha384()),
        "rsa-sha2-512" | "ecdsa-sha2-nistp521" => Some(MessageDigest::sha512()),
        _ => None,
    };
    let key: PKey<Public> = match key_type {
        "ssh-ed25519" => {
            assert_eq!(signature.len(), 64);
            PKey::public_key_from_raw_bytes(string(&mut blob), Id::ED25519).unwrap()
        }
        "ssh-rsa" => {
            let (e, n) = (mpint(&mut blob), mpint(&mut blob));
            PKey::from_rsa(Rsa::from_public_components(n, e).unwrap()).unwrap()
        }
        _ => {
            let nid = match string(&mut blob) {
                b"nistp256" => Nid::X9_62_PRIME256V1,
                b"nistp384" => Nid::SECP384R1,
                _ => Nid::SECP521R1,
            };
            let group = EcGroup::from_curve_name(nid).unwrap();
            let mut context = openssl::bn::BigNumContext::new().unwrap();
            let point = EcPoint::from_bytes(&group, string(&mut blob), &mut context).unwrap();
            PKey::from_ec_key(EcKey::from_public_key(&group, &point).unwrap()).unwrap()
        }
    };
    let signature = if key_type.starts_with("ecdsa-") {
        let (r, s) = (mpint(&mut signature), mpint(&mut signature));
        assert!(signature.is_empty());
        EcdsaSig::from_private_components(r, s)
            .unwrap()
            .to_der()
            .unwrap()
    } else {
        signature.to_vec()
    };
    let good = match digest {
        Some(digest) => {
            let mut verifier = Verifier::new(digest, &key).unwrap();
            verifier.update(data).unwrap();
            verifier.verify(&signature).unwrap()
        }
        None => Verifier::new_without_digest(&key)
            .unwrap()
            .verify_oneshot(&signature, data)
            .unwrap(),
    };
    assert!(good, "{algorithm} signature does not verify");
}
