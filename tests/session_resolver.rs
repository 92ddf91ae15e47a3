//! What many hosts of one ssh_config share, and odd machines that it is read on.

mod support;

use std::{
    fs,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sshoal::{
    Identity, Passphrases, Resolver, Secret,
    ssh_config::{Local, SshConfig},
};
use support::{
    keys::{generate_key, keygen},
    ssh_config::{Client, chain, named},
};

/// Counts how often it was asked, and knows one passphrase.
struct Knows(&'static str, AtomicU32);

impl Passphrases for Knows {
    fn passphrase(&self, _: &Path, _: u32) -> Option<Secret> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Some(Secret::from(self.0.to_owned()))
    }
}

fn knows(passphrase: &'static str) -> Arc<Knows> {
    Arc::new(Knows(passphrase, AtomicU32::new(0)))
}

/// One key, 1,000 hosts with configurations of their own: asked for once, read once, decrypted once.
#[test]
fn an_encrypted_key_is_decrypted_once_for_all_hosts() {
    let client = Client::new();
    let key = client.home().join("key");
    keygen(&key, "ed25519", "secret");
    let mut text = String::new();
    for number in 0..1000 {
        text += &format!("Host h{number}\n  Port {}\n", 1000 + number);
    }
    text += "Host *\n  IdentityFile ~/key\n  UserKnownHostsFile none\n";
    let knows = knows("secret");
    let resolver = client.builder(&text).passphrases(knows.clone()).build();
    let before = Identity::derivations();
    let mut configs = Vec::new();
    for number in 0..1000 {
        let host = named(&format!("h{number}"));
        configs.push(resolver.config(&host).expect("is known"));
        fs::remove_file(&key).ok();
    }
    assert!(configs.iter().all(|config| config.has_credentials()));
    assert!(!Arc::ptr_eq(&configs[0], &configs[1]));
    assert_eq!(knows.1.load(Ordering::Relaxed), 1);
    assert_eq!(Identity::derivations() - before, 1);
    assert!(resolver.notices().is_empty(), "{:?}", resolver.notices());
}

/// 10,000 hosts of which nothing differs but the name have one configuration, those of a section another one.
#[test]
fn equal_hosts_share_one_configuration() {
    let client = Client::new();
    generate_key(&client.home().join("key"), "ed25519");
    client.write("kh", "");
    let text = "Host db*\n  Port 2222\nHost *\n  IdentityFile ~/key\n  UserKnownHostsFile ~/kh\n";
    let resolver = client.builder(text).build();
    let configs = |prefix: &str| -> Vec<_> {
        let hosts = (0..10_000).map(|number| named(&format!("{prefix}{number}")));
        hosts
            .map(|host| resolver.config(&host).expect("is known"))
            .collect()
    };
    let (web, db) = (configs("Web"), configs("db"));
    assert!(web.iter().all(|config| Arc::ptr_eq(config, &web[0])));
    assert!(db.iter().all(|config| Arc::ptr_eq(config, &db[0])));
    assert!(!Arc::ptr_eq(&web[0], &db[0]));
    assert_eq!((web[0].port(), db[0].port()), (22, 2222));
    // The check of host keys is one for both, as accepted keys have to be.
    assert!(Arc::ptr_eq(web[0].host_keys(), db[0].host_keys()));
}

/// Policies of their own on the same files: the files are read once, by whoever comes first.
#[test]
fn known_hosts_files_are_read_once() {
    let client = Client::new();
    let known = client.write("kh", "not a line of a known_hosts file\n");
    let text = "Host a\n  StrictHostKeyChecking yes\nHost b\n  StrictHostKeyChecking accept-new\n\
        Host c\n  HashKnownHosts yes\nHost *\n  UserKnownHostsFile ~/kh\n  GlobalKnownHostsFile none\n";
    let resolver = client.builder(text).build();
    let first = resolver.config(&named("a")).expect("is known");
    fs::remove_file(known).expect("was there");
    for host in ["b", "c"] {
        let config = resolver.config(&named(host)).expect("is known");
        assert!(!Arc::ptr_eq(config.host_keys(), first.host_keys()));
        assert_eq!(config.host_keys().known_hosts().bad_lines().len(), 1);
    }
    let notices = resolver.notices();
    assert!(
        matches!(&notices[..], [one] if one.contains("known_hosts line is skipped")),
        "{notices:?}"
    );
    assert_eq!(resolver.host_keys().len(), 3);
}

/// A file that is there and cannot be read is told; what nobody has is as good as empty.
#[test]
fn files_that_cannot_be_read_are_told() {
    let client = Client::new();
    for (name, option) in [
        ("UserKnownHostsFile", "~/.ssh"),
        ("GlobalKnownHostsFile", "~/.ssh"),
    ] {
        let said = client.refuses(&format!("\n{name} {option}"));
        let expected = format!("config:2: {name}: make the file readable");
        assert!(
            said.contains(&expected) && said.contains("/.ssh: "),
            "{said}"
        );
    }
    let config = client.config(
        "UserKnownHostsFile ~/a ~/b\nIdentityFile ~/c\nCertificateFile ~/d",
        "t",
    );
    assert!(!config.expect("as with ssh").has_credentials());
    // A directory is no key; it is told, and the run goes on.
    let resolver = client
        .builder("IdentityFile ~/.ssh\nUserKnownHostsFile none")
        .build();
    resolver.config(&named("t")).expect("as with ssh");
    let notices = resolver.notices();
    assert!(
        matches!(&notices[..], [one] if one.contains(".ssh") && one.contains("left out")),
        "{notices:?}"
    );
}

/// Nothing of the user's is found without a home, and `~` is told.
#[test]
fn an_empty_home_is_no_home() {
    let local = || Local::default().with_user("me", 1000).with_home("");
    let load = |text: &str| {
        SshConfig::builder(local())
            .text(text)
            .load()
            .expect("is read")
    };
    let resolver = Resolver::builder(load("GlobalKnownHostsFile none")).build();
    let config = resolver
        .config(&named("t"))
        .expect("nothing is needed from there");
    assert!(!config.has_credentials());
    assert!(config.host_keys().store_path().is_none());
    let resolver = Resolver::builder(load("\nIdentityFile ~/key")).build();
    let said = chain(&resolver.config(&named("t")).expect_err("there is no home"));
    assert!(
        said.contains("ssh_config:2: IdentityFile: no user \"me\" has a home directory"),
        "{said}"
    );
}

/// Child mode of the next test: this process has the odd environment.
#[test]
fn odd_environments_are_survived() {
    const CHILD: &str = "SSHOAL_TEST_ODD_ENVIRONMENT";
    if std::env::var_os(CHILD).is_some() {
        let ssh_config = SshConfig::builder(Local::of_this_process())
            .option("SendEnv=*")
            .option("UserKnownHostsFile=none")
            .option("GlobalKnownHostsFile=none")
            .file("none");
        let resolver = Resolver::builder(ssh_config.load().expect("is read")).build();
        assert!(resolver.config(&named("t")).is_ok());
        let builder = SshConfig::builder(Local::of_this_process());
        let loaded = builder.text("\nIdentityAgent ${ODD}").load();
        let said = chain(&loaded.expect_err("is not there"));
        assert!(
            said.contains("ssh_config:2: IdentityAgent: environment variable \"ODD\" is not set"),
            "{said}"
        );
        return;
    }
    let odd = || std::ffi::OsString::from_vec(b"/\xff\xfe".to_vec());
    let child = Command::new(std::env::current_exe().expect("is known"))
        .args(["--exact", "odd_environments_are_survived", "--nocapture"])
        .env(CHILD, "1")
        .env("ODD", odd())
        .env("HOME", odd())
        .env("SSH_AUTH_SOCK", odd())
        .env(odd(), "x")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
}

/// A directory that keeps its user out: without its rights, everything in it is as good as not there or told.
#[test]
fn a_locked_home_is_told() {
    let client = Client::new();
    generate_key(&client.home().join(".ssh/id_ed25519"), "ed25519");
    let lock = |mode| {
        let path = client.home().join(".ssh");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("is ours");
    };
    let ssh_config = SshConfig::builder(client.local()).system_dir(client.home().join("etc"));
    lock(0o000);
    let loaded = ssh_config.load().map(|ssh_config| {
        let resolver = Resolver::builder(ssh_config).build();
        resolver.config(&named("t")).map(|_| resolver.notices())
    });
    lock(0o700);
    // Root reads everything; all others are told by name what they cannot read.
    let is_root = rustix::process::geteuid().is_root();
    let said = match loaded {
        Ok(Ok(notices)) => {
            assert!(is_root, "{notices:?}");
            return;
        }
        Ok(Err(error)) => chain(&error),
        Err(error) => chain(&error),
    };
    assert!(!is_root && said.contains(".ssh/"), "{said}");
}
