//! The keys, CAs and certificates that files speak of and servers show.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::keys::generate_key;

/// Everything that is made once.
pub(crate) struct World {
    dir: tempfile::TempDir,
    /// Keys as known_hosts lines hold them, those of CAs and of nobody among them.
    pub(crate) fields: Vec<String>,
    /// Names as `ssh-keygen -H` hides them.
    pub(crate) hidden: Vec<String>,
    /// What servers with one key show.
    pub(crate) shown: Vec<Shown>,
    /// Servers with many keys.
    pub(crate) servers: Vec<Server>,
}

/// A key or certificate, and the configuration of a server that has nothing else.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// The signature algorithm to ask for.
    pub(crate) algorithm: &'static str,
    pub(crate) blob: Vec<u8>,
    /// The key without its certificate.
    pub(crate) plain: Vec<u8>,
    pub(crate) config: PathBuf,
}

/// A server with many keys: which of [`World::shown`] they are.
pub(crate) struct Server {
    pub(crate) config: PathBuf,
    shown: Vec<usize>,
}

impl Server {
    /// What the server shows when it is asked for an algorithm.
    pub(crate) fn shown<'a>(&self, algorithm: &str, world: &'a World) -> Option<&'a Shown> {
        let mut shown = self.shown.iter().map(|at| &world.shown[*at]);
        shown.find(|shown| shown.algorithm == algorithm)
    }
}

/// Name, type as ssh-keygen has it with its bits, algorithm without and with a certificate.
const KEYS: [(&str, &str, &str, &str, &str); 5] = [
    (
        "a",
        "ed25519",
        "",
        "ssh-ed25519",
        "ssh-ed25519-cert-v01@openssh.com",
    ),
    (
        "b",
        "ed25519",
        "",
        "ssh-ed25519",
        "ssh-ed25519-cert-v01@openssh.com",
    ),
    (
        "e",
        "ecdsa",
        "256",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    ),
    (
        "f",
        "ecdsa",
        "384",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    ),
    (
        "r",
        "rsa",
        "2048",
        "rsa-sha2-512",
        "rsa-sha2-512-cert-v01@openssh.com",
    ),
];

const CAS: [(&str, &str, &str); 4] = [
    ("ca1", "ed25519", ""),
    ("ca2", "ecdsa", "521"),
    ("ca3", "rsa", "2048"),
    ("nobody", "ed25519", ""),
];

/// Certificates: name, key, CA, and further arguments of ssh-keygen.
const CERTIFICATES: [(&str, &str, &str, &[&str]); 12] = [
    ("a1", "a", "ca1", &["-h", "-n", "web1,a.ex.com,one,::1"]),
    ("a-any", "a", "ca1", &["-h"]),
    ("a-expired", "a", "ca1", &["-h", "-V", "20200101:20200201"]),
    ("a-early", "a", "ca1", &["-h", "-V", "20900101:20910101"]),
    ("a-user", "a", "ca1", &["-n", "web1"]),
    ("a-critical", "a", "ca1", &["-h", "-O", "critical:x@y=z"]),
    ("a-wild", "a", "ca1", &["-h", "-n", "*,web?,*.ex.com"]),
    ("b2", "b", "ca2", &["-h", "-n", "web2,web1,WEB1"]),
    ("e1", "e", "ca1", &["-h"]),
    ("f3", "f", "ca3", &["-h", "-n", "web1,web2,db1.ex.com"]),
    ("r2", "r", "ca2", &["-h"]),
    ("r-sha1", "r", "ca3", &["-h", "-t", "ssh-rsa"]),
];

/// Servers with many keys, by the names above.
const SERVERS: [&[&str]; 4] = [
    &["a", "e", "r"],
    &["a1", "f3", "r"],
    &["b2", "e1", "r2", "f"],
    &["e", "r2"],
];

/// Names that are hidden.
const HIDDEN: [&str; 7] = [
    "web1",
    "web2",
    "[web1]:2222",
    "[web2]:2222",
    "a.ex.com",
    "::1",
    "[a.ex.com]:2222",
];

impl World {
    /// Makes keys and configurations; `None` where the tests against sshd are switched off.
    pub(crate) fn make() -> Option<Self> {
        super::support::sshd::program()?;
        super::support::sshd::make_privilege_separation_dir();
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = |name: &str| dir.path().join(name);
        let keys = KEYS.iter().map(|(name, kind, bits, ..)| (name, kind, bits));
        let cas = CAS.iter().map(|(name, kind, bits)| (name, kind, bits));
        for (name, kind, bits) in keys.chain(cas) {
            match *bits {
                "" => generate_key(&path(name), kind),
                bits => keygen(
                    dir.path(),
                    &["-q", "-N", "", "-t", kind, "-b", bits, "-f", name],
                ),
            }
        }
        let plain = KEYS.iter().map(|(name, _, _, algorithm, _)| {
            let config = config(&path(&format!("{name}.conf")), &[path(name)], &[]);
            let blob = blob(&path(&format!("{name}.pub")));
            Shown {
                name: (*name).to_owned(),
                algorithm,
                plain: blob.clone(),
                blob,
                config,
            }
        });
        let certified = CERTIFICATES.iter().map(|one| certificate(dir.path(), one));
        let shown: Vec<Shown> = plain.chain(certified).collect();
        let servers = SERVERS.iter().enumerate();
        let servers = servers.map(|(at, names)| server(dir.path(), at, names, &shown));
        let servers = servers.collect();
        let names = KEYS
            .iter()
            .map(|key| key.0)
            .chain(CAS.iter().map(|ca| ca.0));
        let fields = names.map(|name| fields(&path(&format!("{name}.pub"))));
        // Certificates where keys should be, one of a CA among them.
        keygen(
            dir.path(),
            &["-q", "-h", "-s", "nobody", "-I", "x", "ca1.pub"],
        );
        let certificates = ["a1", "e1", "r2", "ca1"];
        let certificates = certificates.map(|name| path(&format!("{name}-cert.pub")));
        let fields = fields.chain(certificates.iter().map(|path| self::fields(path)));
        let fields = fields.collect();
        let hidden = hide(dir.path());
        Some(Self {
            dir,
            fields,
            hidden,
            shown,
            servers,
        })
    }

    /// A directory for the test's own files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Makes one of [`CERTIFICATES`] and a server that shows it.
fn certificate(dir: &Path, (name, key, ca, args): &(&str, &str, &str, &[&str])) -> Shown {
    let public = dir.join(format!("{name}.pub"));
    std::fs::copy(dir.join(format!("{key}.pub")), &public).expect("copies the key");
    let file = format!("{name}.pub");
    keygen(
        dir,
        &[&["-q", "-s", ca, "-I", name], *args, &[&file]].concat(),
    );
    let certificate = dir.join(format!("{name}-cert.pub"));
    let of = KEYS.iter().find(|(of, ..)| of == key);
    Shown {
        name: (*name).to_owned(),
        algorithm: of.expect("it is listed").4,
        blob: blob(&certificate),
        plain: blob(&public),
        config: config(
            &dir.join(format!("{name}.conf")),
            &[dir.join(key)],
            &[certificate],
        ),
    }
}

/// A server that shows these keys and certificates, each under its plain algorithm too.
fn server(dir: &Path, at: usize, names: &[&str], all: &[Shown]) -> Server {
    let (mut keys, mut certificates, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let place = |name: &str| {
            all.iter()
                .position(|shown| shown.name == name)
                .expect("it is listed")
        };
        let certificate = CERTIFICATES.iter().find(|(of, ..)| of == name);
        let key = certificate.map_or(*name, |(_, key, ..)| *key);
        keys.push(dir.join(key));
        shown.push(place(key));
        if certificate.is_some() {
            certificates.push(dir.join(format!("{name}-cert.pub")));
            shown.push(place(name));
        }
    }
    let config = config(&dir.join(format!("many{at}.conf")), &keys, &certificates);
    Server { config, shown }
}

fn config(path: &Path, keys: &[PathBuf], certificates: &[PathBuf]) -> PathBuf {
    let mut text = "LogLevel QUIET\nStrictModes no\nUsePAM no\nUseDNS no\n".to_owned();
    for key in keys {
        text += &format!("HostKey {}\n", key.display());
    }
    for certificate in certificates {
        text += &format!("HostCertificate {}\n", certificate.display());
    }
    std::fs::write(path, text).expect("writes the configuration");
    path.to_owned()
}

#[track_caller]
fn keygen(dir: &Path, args: &[&str]) {
    let output = Command::new("ssh-keygen")
        .args(args)
        .current_dir(dir)
        .output();
    let output = output.expect("ssh-keygen runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ssh-keygen {args:?}: {error}");
}

/// Type and base64 of a public key's file.
fn fields(path: &Path) -> String {
    let line = std::fs::read_to_string(path).expect("reads the key");
    line.split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

fn blob(path: &Path) -> Vec<u8> {
    let fields = fields(path);
    super::support::keys::base64(fields.split(' ').nth(1).expect("two fields"))
}

/// Hides each name under several salts.
fn hide(dir: &Path) -> Vec<String> {
    let key = fields(&dir.join("nobody.pub"));
    let lines = HIDDEN.iter().map(|name| format!("{name} {key}\n"));
    let text = lines.collect::<String>().repeat(3);
    std::fs::write(dir.join("hidden"), text).expect("writes a file");
    keygen(dir, &["-q", "-H", "-f", "hidden"]);
    let text = std::fs::read_to_string(dir.join("hidden")).expect("reads it back");
    text.lines()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}
