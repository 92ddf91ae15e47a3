//! Identities from files that real tools wrote, and from files that nobody should have written.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sshoal_session::{Identity, IdentityError, Secret};
use support::{KEY_TYPES, algorithms, keygen, public_blob, run, verify};
use tempfile::TempDir;

#[path = "identity/support.rs"]
mod support;

const DATA: &[u8] = b"what the server wants signed";
const PASSPHRASE: &str = "correct horse";

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

/// Signs with every algorithm of the key and verifies each signature.
#[track_caller]
fn check_signs(identity: &Identity) {
    for algorithm in algorithms(identity.algorithm()) {
        // ECDSA draws at random: enough times that numbers of each length come up.
        for _ in 0..if algorithm.starts_with("ecdsa") {
            64
        } else {
            2
        } {
            let signature = identity.sign(algorithm, DATA).unwrap();
            verify(identity.public_blob(), algorithm, DATA, &signature);
        }
    }
}

/// Loads a key in clear and one encrypted of each type, in the format that the options choose.
#[track_caller]
fn check_format(more: &[&str], encrypted: &[&str]) {
    let folder = TempDir::new().unwrap();
    for (sort, bits, key_type) in KEY_TYPES {
        let path = keygen(folder.path(), sort, bits, "", more);
        let identity = Identity::load(&path, None).unwrap();
        assert_eq!(identity.algorithm(), key_type);
        assert_eq!(identity.public_blob(), public_blob(&path));
        assert_eq!(identity.name(), path.to_str().unwrap());
        check_signs(&identity);

        let path = keygen(
            folder.path(),
            sort,
            bits,
            PASSPHRASE,
            &[more, encrypted].concat(),
        );
        let identity = Identity::load(&path, Some(&secret(PASSPHRASE))).unwrap();
        assert_eq!(identity.public_blob(), public_blob(&path));
        check_signs(&identity);
        let wrong = Identity::load(&path, Some(&secret("wrong"))).unwrap_err();
        assert!(
            matches!(wrong, IdentityError::WrongPassphrase { .. }),
            "{sort} {more:?} {wrong}"
        );
        let empty = Identity::load(&path, Some(&secret(""))).unwrap_err();
        assert!(
            matches!(empty, IdentityError::WrongPassphrase { .. }),
            "{sort} {more:?} {empty}"
        );
        let none = Identity::load(&path, None).unwrap_err();
        assert!(
            matches!(none, IdentityError::Encrypted { .. }),
            "{sort} {more:?} {none}"
        );
        let text = none.to_string();
        assert!(
            text.contains("is encrypted and no passphrase was given"),
            "{text}"
        );
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
}

#[test]
fn loads_and_signs_with_keys_in_openssh_format() {
    check_format(&[], &["-a", "16"]);
}

#[test]
fn loads_and_signs_with_keys_in_pem_format() {
    check_format(&["-m", "PEM"], &[]);
}

#[test]
fn loads_and_signs_with_keys_in_pkcs8_format() {
    check_format(&["-m", "PKCS8"], &[]);
}

#[test]
fn decrypts_every_cipher_that_ssh_keygen_offers() {
    let folder = TempDir::new().unwrap();
    for cipher in String::from_utf8(run("ssh", &["-Q", "cipher"]))
        .unwrap()
        .lines()
    {
        let path = keygen(
            folder.path(),
            "ed25519",
            "256",
            PASSPHRASE,
            &["-a", "1", "-Z", cipher],
        );
        let loaded = Identity::load(&path, Some(&secret(PASSPHRASE)));
        if matches!(cipher, "3des-cbc" | "rijndael-cbc@lysator.liu.se") {
            let error = loaded.unwrap_err();
            assert!(
                error.to_string().contains(&format!("cipher {cipher}")),
                "{error}"
            );
            continue;
        }
        check_signs(&loaded.unwrap());
        let wrong = Identity::load(&path, Some(&secret("wrong"))).unwrap_err();
        assert!(
            matches!(wrong, IdentityError::WrongPassphrase { .. }),
            "{cipher}: {wrong}"
        );
    }
}

/// Closes a file to others, which `openssl` leaves open.
fn private(path: &str) -> PathBuf {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    PathBuf::from(path)
}

/// Ed25519 in PKCS#8, scrypt, many rounds, old schemes, and parameters before the key.
#[test]
fn loads_what_openssl_writes() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let plain = file("plain");
    run(
        "openssl",
        &["genpkey", "-algorithm", "ed25519", "-out", &plain],
    );
    check_signs(&Identity::load(&private(&plain), None).unwrap());
    for (name, options) in [
        ("scrypt", &["-scrypt"][..]),
        ("pbes2", &["-v2", "aes-256-cbc", "-iter", "600000"]),
        ("pbes1", &["-v1", "PBE-SHA1-3DES"]),
    ] {
        let out = file(name);
        let mut arguments = vec![
            "pkcs8",
            "-topk8",
            "-in",
            &plain,
            "-out",
            &out,
            "-passout",
            "pass:secret",
        ];
        arguments.extend_from_slice(options);
        run("openssl", &arguments);
        let loaded = Identity::load(&private(&out), Some(&secret("secret")));
        if name == "scrypt" && cfg!(feature = "aws-lc") {
            let error = loaded.unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("encryption scheme is not supported"),
                "{error}"
            );
            continue;
        }
        check_signs(&loaded.unwrap());
        let wrong = Identity::load(&private(&out), Some(&secret("wrong"))).unwrap_err();
        assert!(
            matches!(wrong, IdentityError::WrongPassphrase { .. }),
            "{name}: {wrong}"
        );
    }
    let curve = file("curve");
    run(
        "openssl",
        &["ecparam", "-name", "prime256v1", "-genkey", "-out", &curve],
    );
    check_signs(&Identity::load(&private(&curve), None).unwrap());
}

#[test]
fn names_key_types_that_cannot_sign() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let short = keygen(folder.path(), "rsa", "1024", "", &["-m", "PEM"]);
    let curve = file("secp256k1");
    run(
        "openssl",
        &["ecparam", "-name", "secp256k1", "-genkey", "-out", &curve],
    );
    let ed448 = file("ed448");
    run(
        "openssl",
        &["genpkey", "-algorithm", "ed448", "-out", &ed448],
    );
    let dsa = keygen(folder.path(), "dsa", "1024", "", &[]);
    let dsa_pem = keygen(folder.path(), "dsa", "1024", "", &["-m", "PEM"]);
    let dsa_pkcs8 = keygen(folder.path(), "dsa", "1024", "", &["-m", "PKCS8"]);
    for (path, names) in [
        (short, "RSA key of 1024 bits"),
        (private(&curve), "secp256k1"),
        (private(&ed448), "ED448"),
        (dsa, "ssh-dss"),
        (dsa_pem, "ssh-dss"),
        (dsa_pkcs8, "ssh-dss"),
    ] {
        let error = Identity::load(&path, None).unwrap_err();
        if names == "ED448" && cfg!(feature = "aws-lc") {
            // AWS-LC does not know the type, so it is no key to it.
            assert!(
                matches!(error, IdentityError::Malformed { .. }),
                "{error:?}"
            );
            continue;
        }
        assert!(
            matches!(error, IdentityError::Unsupported { .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains(names) && text.ends_with("not supported"),
            "{text}"
        );
    }
}

#[test]
fn names_the_comment_and_the_fingerprint_as_ssh_keygen_does() {
    let folder = TempDir::new().unwrap();
    let path = keygen(folder.path(), "ed25519", "256", "", &[]);
    let identity = Identity::load(&path, None).unwrap();
    assert_eq!(identity.comment(), "a comment");
    let listed = String::from_utf8(run("ssh-keygen", &["-lf", path.to_str().unwrap()])).unwrap();
    assert_eq!(
        listed.split(' ').nth(1),
        Some(identity.fingerprint().as_str())
    );
    let debug = format!("{identity:?}");
    assert!(
        debug.contains(&identity.fingerprint()) && debug.len() < 300,
        "{debug}"
    );
}

#[test]
fn refuses_sha1_and_algorithms_of_other_keys() {
    let folder = TempDir::new().unwrap();
    let rsa = Identity::load(&keygen(folder.path(), "rsa", "2048", "", &[]), None).unwrap();
    let ed25519 = Identity::load(&keygen(folder.path(), "ed25519", "256", "", &[]), None).unwrap();
    for (identity, algorithm) in [
        (&rsa, "ssh-rsa"),
        (&rsa, "ssh-ed25519"),
        (&ed25519, "rsa-sha2-512"),
        (&rsa, ""),
    ] {
        let error = identity.sign(algorithm, DATA).unwrap_err();
        assert!(
            matches!(error, IdentityError::AlgorithmRefused { .. }),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains(&format!("algorithm {algorithm} refused")),
            "{error}"
        );
    }
}

#[test]
fn signs_on_many_threads_at_once() {
    let folder = TempDir::new().unwrap();
    for sort in ["ed25519", "ecdsa", "rsa"] {
        let bits = if sort == "rsa" { "2048" } else { "256" };
        let path = keygen(folder.path(), sort, bits, "", &[]);
        let identity = Arc::new(Identity::load(&path, None).unwrap());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let identity = Arc::clone(&identity);
                std::thread::spawn(move || check_signs(&identity))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn takes_any_line_width_and_line_end() {
    let folder = TempDir::new().unwrap();
    let path = keygen(folder.path(), "ed25519", "256", "", &[]);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let body = lines[1..lines.len() - 1].concat();
    for (width, end) in [(64, "\n"), (76, "\r\n"), (10_000, "\n")] {
        let rows: Vec<&str> = body
            .as_bytes()
            .chunks(width)
            .map(|row| std::str::from_utf8(row).unwrap())
            .collect();
        let all = [&lines[..1], &rows, &lines[lines.len() - 1..]]
            .concat()
            .join(end);
        check_signs(&Identity::from_bytes(all.as_bytes(), "wrapped", None).unwrap());
    }
}

#[test]
fn reads_a_key_from_a_pipe() {
    let folder = TempDir::new().unwrap();
    let path = keygen(folder.path(), "ed25519", "256", "", &[]);
    let mut child = std::process::Command::new("cat")
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    use std::os::fd::AsRawFd as _;
    let mut pipe = child.stdout.take().unwrap();
    let name = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let identity = Identity::load(Path::new(&name), None).unwrap();
    assert_eq!(identity.public_blob(), public_blob(&path));
    assert_eq!(pipe.read(&mut [0]).unwrap(), 0);
    child.wait().unwrap();
}
