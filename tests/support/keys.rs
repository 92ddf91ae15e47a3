//! Keys made by ssh-keygen.

use std::{path::Path, process::Command};

/// Writes a key pair without passphrase to `path` and `path.pub`.
pub(crate) fn generate_key(path: &Path, kind: &str) {
    keygen(path, kind, "");
}

/// Writes a key pair to `path` and `path.pub`, encrypted if the passphrase is not empty.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let output = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "sshoal test",
            "-f",
        ])
        .arg(path)
        .output()
        .expect("ssh-keygen runs: it comes with the package `openssh-client`");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen -t {kind}: {error}");
}

/// Decodes base64 with padding.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = DIGITS
            .iter()
            .position(|digit| *digit == byte)
            .expect("base64");
        bits = bits << 6 | u32::try_from(digit).expect("below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("8 bits"));
        }
    }
    bytes
}
