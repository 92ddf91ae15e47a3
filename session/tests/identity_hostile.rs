//! Identities from files that nobody should have written: damaged, hostile, or open to others.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sshoal_session::{Identity, IdentityError, Secret};
use support::{KEY_TYPES, algorithms, keygen, public_blob, verify};
use tempfile::TempDir;

#[path = "identity/support.rs"]
mod support;

const DATA: &[u8] = b"what the server wants signed";
const PASSPHRASE: &str = "correct horse";

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

#[test]
fn refuses_a_file_that_others_may_read() {
    let folder = TempDir::new().unwrap();
    let path = keygen(folder.path(), "ed25519", "256", "", &[]);
    for (mode, good) in [
        (0o644, false),
        (0o640, false),
        (0o602, false),
        (0o400, true),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match Identity::load(&path, None) {
            Ok(identity) => {
                assert!(good, "{mode:o} taken");
                assert_eq!(identity.public_blob(), public_blob(&path));
            }
            Err(error) => {
                assert!(
                    !good && matches!(error, IdentityError::TooPermissive { .. }),
                    "{error}"
                );
                assert!(
                    error.to_string().contains(&format!("{mode:04o}")),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn refuses_what_is_no_private_key_file() {
    let folder = TempDir::new().unwrap();
    let missing = Identity::load(&folder.path().join("missing"), None).unwrap_err();
    assert!(
        matches!(missing, IdentityError::Unreadable { .. }),
        "{missing}"
    );
    let directory = folder.path().join("directory");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    let directory = Identity::load(&directory, None).unwrap_err();
    assert!(
        matches!(directory, IdentityError::Unreadable { .. }),
        "{directory}"
    );

    let large = vec![b'x'; 1024 * 1024 + 1];
    let path = folder.path().join("large");
    std::fs::write(&path, &large).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for error in [
        Identity::load(&path, None),
        Identity::from_bytes(&large, "large", None),
    ] {
        assert!(matches!(error, Err(IdentityError::TooLarge { .. })));
    }
    for text in [
        "",
        "ssh-ed25519 AAAA me@here",
        "-----BEGIN PRIVATE KEY-----",
        "\u{0}",
    ] {
        let error = Identity::from_bytes(text.as_bytes(), "text", None).unwrap_err();
        assert!(
            matches!(error, IdentityError::Malformed { .. }),
            "{text:?}: {error}"
        );
    }
    let putty = Identity::from_bytes(b"PuTTY-User-Key-File-3: ssh-ed25519", "k", None).unwrap_err();
    assert!(putty.to_string().contains("PuTTY"), "{putty}");
}

/// An OpenSSH key file of the fields given, around a private part of zeros.
fn openssh_file(cipher: &str, rounds: u32, key_type: &str) -> Vec<u8> {
    use base64::Engine as _;
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let options = [string(&[1; 16]), rounds.to_be_bytes().to_vec()].concat();
    let binary = [
        b"openssh-key-v1\0".to_vec(),
        string(cipher.as_bytes()),
        string(b"bcrypt"),
        string(&options),
        1u32.to_be_bytes().to_vec(),
        string(&string(key_type.as_bytes())),
        string(&[0; 160]),
    ]
    .concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(binary);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{encoded}\n-----END OPENSSH PRIVATE KEY-----\n")
        .into_bytes()
}

/// T19: the head is judged before any derivation begins, with and without a passphrase.
#[test]
fn refuses_absurd_rounds_before_any_work() {
    for rounds in [1025, 1 << 20, u32::MAX] {
        let file = openssh_file("aes256-ctr", rounds, "ssh-ed25519");
        for passphrase in [None, Some(secret("x"))] {
            // The best of many tries, since another process may hold the core meanwhile.
            let mut best = Duration::MAX;
            let error = (0..50)
                .map(|_| {
                    let started = Instant::now();
                    let error = Identity::from_bytes(&file, "k", passphrase.as_ref()).unwrap_err();
                    best = best.min(started.elapsed());
                    error
                })
                .last()
                .unwrap();
            assert!(best < Duration::from_millis(10), "{best:?}");
            assert!(
                matches!(error, IdentityError::TooManyRounds { rounds: r, .. } if r == rounds.into()),
                "{error}"
            );
        }
    }
    let none = openssh_file("aes256-ctr", 0, "ssh-ed25519");
    let error = Identity::from_bytes(&none, "k", Some(&secret("x"))).unwrap_err();
    assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
}

#[test]
fn refuses_absurd_rounds_in_pkcs8_too() {
    let folder = TempDir::new().unwrap();
    let path = keygen(folder.path(), "rsa", "2048", "secret", &["-m", "PKCS8"]);
    let pem = std::fs::read(&path).unwrap();
    let der = openssl_der(&pem);
    // ssh-keygen's 2,048 rounds, INTEGER 08 00, become 7f ff.
    let at = der
        .windows(4)
        .position(|bytes| bytes == [2, 2, 8, 0])
        .unwrap();
    for (value, refused) in [([2, 2, 0x7f, 0xff], false), ([2, 2, 0xff, 0xff], true)] {
        let mut changed = der.clone();
        changed[at..at + 4].copy_from_slice(&value);
        let error = Identity::from_bytes(&encrypted_pem(&changed), "k", Some(&secret("secret")));
        match error.unwrap_err() {
            IdentityError::TooManyRounds { .. } => assert!(refused),
            IdentityError::WrongPassphrase { .. } => assert!(!refused),
            other => panic!("{other}"),
        }
    }
}

fn openssl_der(pem: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = std::str::from_utf8(pem).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap()
}

fn encrypted_pem(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    format!(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{encoded}\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    .into_bytes()
}

#[test]
fn names_security_key_types_and_unknown_ciphers() {
    for (cipher, key_type, names) in [
        (
            "aes256-ctr",
            "sk-ssh-ed25519@openssh.com",
            "sk-ssh-ed25519@openssh.com",
        ),
        (
            "aes256-ctr",
            "sk-ecdsa-sha2-nistp256@openssh.com",
            "security key (FIDO)",
        ),
        ("rot13", "ssh-ed25519", "cipher rot13"),
    ] {
        let error = Identity::from_bytes(&openssh_file(cipher, 16, key_type), "k", None);
        let error = error.unwrap_err();
        assert!(
            matches!(error, IdentityError::Unsupported { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(names), "{error}");
    }
}

/// One key of each type and format, encrypted or not, cheap to decrypt.
static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let mut files = Vec::new();
    for (sort, bits, _) in &KEY_TYPES[..5] {
        for (passphrase, more) in [
            ("", &[][..]),
            (PASSPHRASE, &["-a", "1"]),
            (PASSPHRASE, &["-a", "1", "-Z", "aes256-gcm@openssh.com"]),
            ("", &["-m", "PEM"]),
            (PASSPHRASE, &["-m", "PEM"]),
            ("", &["-m", "PKCS8"]),
            (PASSPHRASE, &["-m", "PKCS8"]),
        ] {
            files.push(std::fs::read(keygen(folder.path(), sort, bits, passphrase, more)).unwrap());
        }
    }
    files
});

fn corpus_file() -> impl Strategy<Value = Vec<u8>> {
    (0..CORPUS.len()).prop_map(|index| CORPUS[index].clone())
}

/// Damages the binary inside the base64 of an OpenSSH file, which bit flips in the text seldom do.
fn damage_inside(file: &[u8], at: usize, mask: u8) -> Vec<u8> {
    use base64::Engine as _;
    let text = std::str::from_utf8(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    if lines[1].contains(':') {
        return file.to_vec();
    }
    let engine = &base64::engine::general_purpose::STANDARD;
    let mut binary = engine.decode(lines[1..lines.len() - 1].concat()).unwrap();
    let at = at % binary.len();
    binary[at] ^= mask;
    format!(
        "{}\n{}\n{}\n",
        lines[0],
        engine.encode(binary),
        lines[lines.len() - 1]
    )
    .into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn truncated_files_are_refused(file in corpus_file(), keep in any::<prop::sample::Index>()) {
        // The last line's end may be missing, nothing else.
        let keep = keep.index(file.len() - 1);
        let loaded = Identity::from_bytes(&file[..keep], "k", Some(&secret(PASSPHRASE)));
        prop_assert!(loaded.is_err());
    }

    /// A damaged file is refused, or the damage is where nothing depends on it (a comment): then
    /// the key signs as before. Never a panic, never a key that signs wrongly.
    #[test]
    fn damaged_files_never_give_a_bad_key(
        file in corpus_file(),
        at in any::<prop::sample::Index>(),
        mask in 1..=255u8,
        inside in any::<bool>(),
    ) {
        let at = at.index(file.len());
        let damaged = if inside {
            damage_inside(&file, at, mask)
        } else {
            let mut damaged = file;
            damaged[at] ^= mask;
            damaged
        };
        if let Ok(identity) = Identity::from_bytes(&damaged, "k", Some(&secret(PASSPHRASE))) {
            let algorithm = algorithms(identity.algorithm())[0];
            let signature = identity.sign(algorithm, DATA).unwrap();
            verify(identity.public_blob(), algorithm, DATA, &signature);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Identity::from_bytes(&bytes, "k", None).is_err());
        for label in ["OPENSSH ", "RSA ", "EC ", "", "ENCRYPTED "] {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(
                [if label == "OPENSSH " { &b"openssh-key-v1\0"[..] } else { b"" }, &bytes].concat(),
            );
            let file = format!(
                "-----BEGIN {label}PRIVATE KEY-----\n{encoded}\n-----END {label}PRIVATE KEY-----\n"
            );
            let loaded = Identity::from_bytes(file.as_bytes(), "k", Some(&secret("x")));
            prop_assert!(loaded.is_err());
        }
    }
}
