//! The system's ssh_config as distributions ship it: it never stops a run, and what it asks for is done.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sshoal::{Error, HostKeyError};
use support::{
    keys::run_keygen,
    ssh_config::{Client, chain, said, whereabouts},
    sshd::{Sshd, known_hosts_line},
};

/// Copies a distribution's files below a client's `etc`.
fn install(name: &str, client: &Client) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ssh_config_files")
        .join(name);
    let to = client.home().join("etc");
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        fs::create_dir_all(to.join(&directory)).expect("makes a directory");
        for entry in fs::read_dir(from.join(&directory)).expect("is there") {
            let path = directory.join(entry.expect("is there").file_name());
            if from.join(&path).is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(from.join(&path)).expect("is text");
            let text = text.replace("DIR/", &format!("{}/", to.display()));
            client.write(&format!("etc/{}", path.display()), &text);
        }
    }
}

fn distributions() -> Vec<String> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ssh_config_files");
    let entries = fs::read_dir(files).expect("is there");
    let entries = entries.map(|entry| entry.expect("is there"));
    let directories = entries.filter(|entry| entry.path().is_dir());
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let names: Vec<_> = directories.map(name).collect();
    assert!(names.len() >= 8, "{names:?}");
    names
}

/// Every distribution's files under a user's of no more than the host: a command runs, by an Ed25519 and an RSA key.
#[test]
fn every_distributions_files_let_a_command_run() {
    let builder = Sshd::builder().host_keys(&["ed25519", "rsa", "ecdsa"]);
    let Some(sshd) = builder.config("AcceptEnv LANG LC_*").start() else {
        return;
    };
    for name in distributions() {
        let client = Client::new().variable("LC_ALL", "C.UTF-8");
        install(&name, &client);
        let rsa = client.home().join("rsa");
        rsa_key(&rsa, 2048);
        sshd.authorize(&fs::read_to_string(rsa.with_extension("pub")).expect("reads the key"));
        for key in [rsa, sshd.key_path()] {
            let text = format!("{}  IdentityFile {}\n", whereabouts(&sshd), key.display());
            let session = client.try_connect(&text, "t");
            let session = session.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
            let sends =
                !name.starts_with("fedora") && !name.starts_with("alpine") && name != "rhel-10";
            let expected = if sends { "C.UTF-8\n" } else { "\n" };
            assert_eq!(said(&session, "echo $LC_ALL"), expected, "{name}");
        }
    }
}

/// The lists of a crypto-policy hold: its first cipher that libssh2 has is taken, not our own first one.
#[test]
fn the_lists_of_a_crypto_policy_are_followed() {
    let Some(sshd) = Sshd::start() else { return };
    for name in ["fedora-40", "rhel-9", "rhel-10"] {
        let client = Client::new();
        install(name, &client);
        let agreed = client
            .connect(&sshd, "")
            .algorithms()
            .expect("is open")
            .to_string();
        assert!(
            agreed.contains("cipher aes256-gcm@openssh.com,"),
            "{name}: {agreed}"
        );
        assert!(agreed.contains("host key ssh-ed25519,"), "{name}: {agreed}");
    }
}

/// `RequiredRSASize` of the policy holds for hosts: without it this key would be taken.
#[test]
fn a_crypto_policy_refuses_small_host_keys() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let key = dir.path().join("host");
    rsa_key(&key, 1024);
    let line = format!("HostKey {}", key.display());
    let Some(sshd) = Sshd::builder().host_keys(&[]).config(&line).start() else {
        return;
    };
    let public = fs::read_to_string(key.with_extension("pub")).expect("reads the key");
    let known = known_hosts_line(sshd.address(), sshd.port(), public.trim());
    for (name, taken) in [("debian-12", true), ("fedora-40", false), ("rhel-9", false)] {
        let client = Client::new();
        install(name, &client);
        client.write("kh", &known);
        let text = "UserKnownHostsFile ~/kh";
        if taken {
            client.connect(&sshd, text);
            continue;
        }
        let error = client.fails(&sshd, text);
        let small = matches!(
            error,
            Error::HostKey(HostKeyError::TooSmall { bits: 1024, .. })
        );
        assert!(small, "{name}: {error:?}");
    }
}

fn rsa_key(path: &Path, bits: u32) {
    let (bits, path) = (bits.to_string(), path.display().to_string());
    run_keygen(&["-q", "-t", "rsa", "-b", &bits, "-N", "", "-f", &path]);
}

/// Names of accepted keys are hashed where Debian's file says so, and not where Fedora's says nothing.
#[test]
fn hosts_are_stored_as_the_distribution_says() {
    let Some(sshd) = Sshd::start() else { return };
    for (name, hashed) in [
        ("debian-12", true),
        ("ubuntu-24.04", true),
        ("fedora-40", false),
    ] {
        let client = Client::new();
        install(name, &client);
        client.connect(
            &sshd,
            "UserKnownHostsFile ~/kh\nStrictHostKeyChecking accept-new",
        );
        let stored = fs::read_to_string(client.home().join("kh")).expect("was stored");
        assert_eq!(stored.starts_with("|1|"), hashed, "{name}: {stored}");
    }
}

/// On a Mac it stands in the user's file, with or without leave for other systems' ssh to ignore it.
#[test]
fn options_of_macos_are_left_alone_in_the_users_file() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    for text in [
        "UseKeychain yes\nAddKeysToAgent yes",
        "IgnoreUnknown UseKeychain,AddKeysToAgent\nUseKeychain yes",
        "IgnoreUnknown AppleMultiPath\nAppleMultiPath yes",
    ] {
        client.connect(&sshd, text);
    }
    client.write(".ssh/config", "AppleMultiPath yes\n");
    let builder = sshoal::ssh_config::SshConfig::builder(client.local());
    let said = chain(&builder.load().expect_err("the user's file has to be right"));
    assert!(
        said.contains("config:1: applemultipath: unknown option"),
        "{said}"
    );
}
