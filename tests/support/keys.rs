//! Keys made by ssh-keygen.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

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

/// Has a CA sign a host key, with further arguments of ssh-keygen; returns the certificate's file.
pub(crate) fn certify(ca: &Path, key: &Path, args: &[&str]) -> PathBuf {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-h", "-I", "sshoal test", "-s"])
        .arg(ca)
        .args(args)
        .arg(key.with_extension("pub"))
        .output()
        .expect("ssh-keygen runs: it comes with the package `openssh-client`");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen -s: {error}");
    let name = key.file_name().expect("a key has a file").to_string_lossy();
    key.with_file_name(format!("{name}-cert.pub"))
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

/// Runs `ssh-keygen` with these arguments.
#[track_caller]
pub(crate) fn run_keygen(args: &[&str]) {
    let output = Command::new("ssh-keygen")
        .args(args)
        .output()
        .expect("ssh-keygen runs: it comes with the package `openssh-client`");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen {args:?}: {error}");
}

/// An authority for user certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    path: PathBuf,
}

impl Authority {
    /// Makes the authority's key in a directory.
    pub(crate) fn new(dir: &Path) -> Self {
        let path = dir.join("authority");
        generate_key(&path, "ed25519");
        Self { path }
    }

    /// The authority's public key, for `TrustedUserCAKeys`.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.path.with_extension("pub")
    }

    /// Certifies a key for a principal and a time as `ssh-keygen -V` takes it; the certificate is put beside the key.
    pub(crate) fn certify(&self, key: &Path, principal: &str, validity: &str) -> PathBuf {
        let (authority, public) = (self.path.display(), key.with_extension("pub"));
        run_keygen(&[
            "-q",
            "-s",
            &authority.to_string(),
            "-I",
            "sshoal test",
            "-n",
            principal,
            "-V",
            validity,
            &public.display().to_string(),
        ]);
        let name = key.file_name().expect("a key has a name").to_string_lossy();
        key.with_file_name(format!("{name}-cert.pub"))
    }
}
