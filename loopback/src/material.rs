//! What a fleet leaves in its directory for clients: keys, `known_hosts` and the list of hosts.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

use crate::address::address;

/// The keys of a fleet, made anew for each.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The host key that all hosts share and `known_hosts` names.
    pub(crate) host: PrivateKey,
    /// The host key of hosts with the fault `other-key`.
    pub(crate) other_host: PrivateKey,
    /// The one user key that is let in.
    pub(crate) user: PrivateKey,
}

impl Keys {
    pub(crate) fn generate() -> io::Result<Self> {
        Ok(Self {
            host: ed25519_key()?,
            other_host: ed25519_key()?,
            user: ed25519_key()?,
        })
    }
}

/// Makes the directory if it is missing, open to its owner only.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        result => result,
    }
}

/// Writes `hosts`, `known_hosts`, `user_ed25519` and `user_ed25519.pub` into `dir`.
pub(crate) fn write_files(dir: &Path, keys: &Keys, hosts: usize, port: u16) -> io::Result<()> {
    let mut list = String::new();
    for i in 0..hosts {
        writeln!(list, "{}:{port}", address(i)).map_err(io::Error::other)?;
    }
    let user = keys
        .user
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)?;
    let user_public = keys
        .user
        .public_key()
        .to_openssh()
        .map_err(io::Error::other)?;
    write_file(&dir.join("hosts"), &list)?;
    write_file(
        &dir.join("known_hosts"),
        &known_hosts_line(keys.host.public_key(), port)?,
    )?;
    write_file(&dir.join("user_ed25519"), &user)?;
    write_file(&dir.join("user_ed25519.pub"), &format!("{user_public}\n"))
}

/// Returns one line that covers every host: OpenSSH matches the pattern against `[host]:port`.
fn known_hosts_line(key: &PublicKey, port: u16) -> io::Result<String> {
    let key = key.to_openssh().map_err(io::Error::other)?;
    let pattern = if port == 22 {
        "127.*".to_owned()
    } else {
        format!("[127.*]:{port}")
    };
    Ok(format!("{pattern} {key}\n"))
}

/// Replaces a file by a new one that only its owner can read.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn ed25519_key() -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(&seed)))
}
