//! Host certificates, aliases, revoked keys and keys accepted beforehand, against sshd, which logs each packet it
//! received.

mod support;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use sshoal::{
    CertificateError, Config, Error, HostKeyError, HostKeyPolicy, HostKeys, Kind, Phase, Session,
    host_key::{self, RevokedKeys},
    known_hosts::KnownHosts,
};
use support::{
    keys::{certify, generate_key},
    sessions::{
        LIMIT, assert_failed, config_knowing, connect_with, host, host_keys, identity, limit,
    },
    sshd::{Sshd, known_hosts_line},
};

/// An sshd with one host key, its certificate, and the CA's public key.
struct Certified {
    sshd: Sshd,
    ca: String,
    key: String,
    certificate: PathBuf,
    // Dropped last: sshd reads from it.
    _dir: tempfile::TempDir,
}

impl Certified {
    /// `args` are ssh-keygen's for the certificate; sshd listens on 127.2.0.1.
    fn start(kind: &str, args: &[&str], config: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("makes a directory");
        let (ca, key) = (dir.path().join("ca"), dir.path().join("host"));
        generate_key(&ca, "ed25519");
        generate_key(&key, kind);
        let certificate = certify(&ca, &key, args);
        let builder = Sshd::builder().host_keys(&[]).config(config);
        let builder = builder.config(&format!("HostKey {}", key.display()));
        let builder = builder.config(&format!("HostCertificate {}", certificate.display()));
        let line = |path: &PathBuf| {
            let text = fs::read_to_string(path.with_extension("pub")).expect("reads a key");
            text.split(' ').take(2).collect::<Vec<_>>().join(" ")
        };
        Some(Self {
            sshd: builder.start()?,
            ca: line(&ca),
            key: line(&key),
            certificate,
            _dir: dir,
        })
    }

    fn authority(&self) -> String {
        format!("@cert-authority * {}\n", self.ca)
    }

    fn plain_line(&self) -> String {
        known_hosts_line(self.sshd.address(), self.sshd.port(), &self.key)
    }

    /// Connects and shows by the server's log that no authentication was asked for.
    #[track_caller]
    fn refused(&self, known: &str, kind: Kind) -> HostKeyError {
        let config = config_knowing(&self.sshd, known);
        refused(
            &self.sshd,
            &config.build().expect("a whole configuration"),
            kind,
        )
    }
}

#[track_caller]
fn refused(sshd: &Sshd, config: &Config, kind: Kind) -> HostKeyError {
    let mark = sshd.log_mark();
    let error = Session::connect(&host(sshd.socket()), config).expect_err("is refused");
    assert_failed(&error, Phase::HostKey, kind);
    let log = sshd.wait_for_early_end(mark, LIMIT);
    assert!(log.contains("receive packet: type 21"), "{log}");
    assert!(!log.contains("receive packet: type 50"), "{log}");
    match error {
        Error::HostKey(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Only the CA is known; the certificate's key type is that of the exchange, which is then repeated under way.
#[test]
fn certificates_of_every_type_let_a_host_be_known_by_its_ca() {
    for (kind, algorithm) in [
        ("ed25519", "ssh-ed25519-cert-v01@openssh.com"),
        ("ecdsa", "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        ("rsa", "rsa-sha2-512-cert-v01@openssh.com"),
    ] {
        let args = ["-n", "127.2.0.1,other", "-V", "-1d:+1d"];
        let Some(host) = Certified::start(kind, &args, "RekeyLimit 100K") else {
            return;
        };
        let session = connect_with(&host.sshd, config_knowing(&host.sshd, &host.authority()));
        assert_eq!(session.algorithms().expect("is open").host_key, algorithm);
        let output = session.command("head -c 1000000 /dev/zero").output();
        assert_eq!(output.expect("runs").stdout.len(), 1_000_000);
        host.sshd.wait_for_log("rekeying", LIMIT);
    }
}

/// What is wrong with it is said, unless the plain key is known: that counts then, as with ssh.
#[test]
fn a_certificate_that_is_not_good_for_the_host_is_refused_before_any_authentication() {
    let cases: [(&[&str], CertificateError); 4] = [
        (&["-V", "20200101:20200201"], CertificateError::Expired),
        (&["-V", "20900101:20910101"], CertificateError::NotYetValid),
        (&["-n", "127.2.0.2,*"], CertificateError::Principal),
        (&["-O", "critical:x@y=z"], CertificateError::Expired),
    ];
    for (args, expected) in cases {
        let Some(host) = Certified::start("ed25519", args, "") else {
            return;
        };
        let error = host.refused(&host.authority(), Kind::HostKeyUnknown);
        let HostKeyError::Certificate { source, .. } = &error else {
            panic!("{error:?}");
        };
        if args[0] == "-O" {
            assert!(error.to_string().contains("critical option x@y"), "{error}");
        } else {
            assert_eq!(*source, expected);
        }
        let known = host.authority() + &host.plain_line();
        connect_with(&host.sshd, config_knowing(&host.sshd, &known));
    }
}

#[test]
fn a_users_certificate_is_no_hosts() {
    let Some(first) = Certified::start("ed25519", &[], "") else {
        return;
    };
    // Signed once more, as a user's, for the next daemon.
    let dir = first.certificate.parent().expect("a file in a directory");
    let user = dir.join("user.pub");
    fs::copy(dir.join("host.pub"), &user).expect("copies the key");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "u", "-n", "127.2.0.1", "-s"])
        .args([&dir.join("ca"), &user])
        .status();
    assert!(status.expect("ssh-keygen runs").success());
    let builder = Sshd::builder().host_keys(&[]);
    let builder = builder.config(&format!("HostKey {}", dir.join("host").display()));
    let certificate = dir.join("user-cert.pub");
    let builder = builder.config(&format!("HostCertificate {}", certificate.display()));
    let Some(sshd) = builder.start() else { return };
    let config = config_knowing(&sshd, &first.authority());
    let error = refused(&sshd, &config.build().expect("whole"), Kind::HostKeyUnknown);
    assert!(
        error.to_string().contains("not a host certificate"),
        "{error}"
    );
}

#[test]
fn another_ca_and_a_revoked_one_are_refused_before_any_authentication() {
    let Some(host) = Certified::start("ed25519", &["-n", "127.2.0.1"], "") else {
        return;
    };
    let Some(other) = Sshd::start() else { return };
    let wrong_ca = format!("@cert-authority * {}\n", other.host_keys()[0]);
    let error = host.refused(&wrong_ca, Kind::HostKeyUnknown);
    assert!(matches!(error, HostKeyError::Unknown { .. }), "{error:?}");
    for revoked in [&host.ca, &host.key] {
        let known = format!(
            "{}@revoked * {revoked}\n{}",
            host.authority(),
            host.plain_line()
        );
        let _ = host.refused(&known, Kind::HostKeyRevoked);
    }
    // The CA of another host is none of this one's, and the plain key is asked for.
    let known = format!(
        "@cert-authority 127.2.0.2 {}\n{}",
        host.ca,
        host.plain_line()
    );
    let session = connect_with(&host.sshd, config_knowing(&host.sshd, &known));
    assert_eq!(
        session.algorithms().expect("is open").host_key,
        "ssh-ed25519"
    );
}

/// `RevokedHostKeys`: by key and by CA; a file that cannot be read whole is an error, not an empty list.
#[test]
fn listed_keys_are_refused_under_every_policy() {
    let Some(host) = Certified::start("ed25519", &["-n", "127.2.0.1"], "") else {
        return;
    };
    let path = host.sshd.scratch().join("revoked");
    for listed in [&host.ca, &host.key] {
        fs::write(&path, format!("# gone\n{listed} comment\n")).expect("writes the list");
        for policy in [
            HostKeyPolicy::Strict,
            HostKeyPolicy::AcceptNew,
            HostKeyPolicy::Ask,
            HostKeyPolicy::DangerousAcceptAny,
        ] {
            let mut known = KnownHosts::new();
            known.add_text(
                (host.authority() + &host.plain_line()).as_bytes(),
                "known_hosts",
            );
            let revoked = RevokedKeys::load(&path).expect("reads the list");
            let keys = HostKeys::new(policy, known).revoked(revoked);
            let config = Config::builder(Arc::new(keys)).user("nobody").build();
            let config = config.expect("a whole configuration");
            let error = refused(&host.sshd, &config, Kind::HostKeyRevoked);
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("{}:2", path.display())),
                "{error}"
            );
        }
    }
    fs::write(&path, format!("{}\nnonsense\n", host.ca)).expect("writes the list");
    assert!(RevokedKeys::load(&path).is_err());
}

/// The alias stands for name and port: in known_hosts lines, in certificates, and in what is stored.
#[test]
fn an_alias_replaces_name_and_port() {
    let Some(host) = Certified::start("ed25519", &["-n", "cluster"], "") else {
        return;
    };
    let aliased = |known: &str| config_knowing(&host.sshd, known).host_key_alias("Cluster");
    connect_with(
        &host.sshd,
        aliased(&format!("@cert-authority cluster {}\n", host.ca)),
    );
    connect_with(&host.sshd, aliased(&format!("cluster {}\n", host.key)));
    let config = aliased(&host.plain_line()).build().expect("whole");
    let _ = refused(&host.sshd, &config, Kind::HostKeyUnknown);
    let _ = host.refused(&host.authority(), Kind::HostKeyUnknown);
    let store = host.sshd.scratch().join("known_hosts");
    let keys = HostKeys::new(HostKeyPolicy::AcceptNew, KnownHosts::new()).store(&store);
    let config = Config::builder(Arc::new(keys)).user(host.sshd.user());
    let config = config
        .identity(identity(&host.sshd.key_path()))
        .host_key_alias("Cluster");
    connect_with(&host.sshd, config);
    let stored = fs::read_to_string(&store).expect("reads the store");
    assert_eq!(stored, format!("cluster {}\n", host.key));
}

/// A fleet's unknown keys are looked at without any authentication, accepted by one word, stored with hidden names
/// that ssh finds again, and known from then on; a host that was not accepted stays unknown.
#[test]
fn keys_are_seen_and_accepted_before_the_run() {
    let Some(sshd) = Sshd::builder().addresses(3).start() else {
        return;
    };
    let store = sshd.scratch().join("known_hosts");
    let keys = HostKeys::new(HostKeyPolicy::Ask, KnownHosts::new()).store(&store);
    let keys = Arc::new(keys.hash_stored_names());
    let config = Config::builder(keys.clone()).user(sshd.user());
    let config = config
        .identity(identity(&sshd.key_path()))
        .build()
        .expect("whole");
    let hosts: Vec<_> = sshd.sockets().into_iter().map(host).collect();
    let look = |host| host_key::probe(host, &config, &limit()).expect("shows its key");
    let seen: Vec<_> = hosts.iter().map(look).collect();
    sshd.wait_for_ends(3, LIMIT);
    assert!(
        !sshd.log().contains("receive packet: type 50"),
        "{}",
        sshd.log()
    );
    let fingerprint = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(sshd.known_hosts_path())
        .output();
    let fingerprint =
        String::from_utf8(fingerprint.expect("ssh-keygen runs").stdout).expect("text");
    for (seen, host) in seen.iter().zip(&hosts) {
        assert!(!seen.is_known() && seen.host() == host);
        assert_eq!(seen.public_key(), sshd.host_keys()[0]);
        assert!(fingerprint.contains(&seen.fingerprint()), "{fingerprint}");
    }
    for result in keys.accept(&seen[..2]) {
        result.expect("is stored");
    }
    for host in &hosts[..2] {
        Session::connect(host, &config).expect("was accepted");
        assert!(look(host).is_known());
    }
    let error = Session::connect(&hosts[2], &config).expect_err("was not accepted");
    assert_failed(&error, Phase::HostKey, Kind::HostKeyUnknown);
    let stored = fs::read_to_string(&store).expect("reads the store");
    assert_eq!(
        stored
            .lines()
            .filter(|line| line.starts_with("|1|"))
            .count(),
        2
    );
    for seen in &seen[..2] {
        let found = Command::new("ssh-keygen")
            .args(["-F", seen.name(), "-f"])
            .arg(&store)
            .output();
        assert!(
            found.expect("ssh-keygen runs").status.success(),
            "{}",
            seen.name()
        );
    }
}

/// Strict takes keys out of files only; another key for an accepted name is refused.
#[test]
fn keys_cannot_be_accepted_under_strict_nor_twice_for_a_name() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(other) = Sshd::start() else { return };
    let look = |sshd: &Sshd, keys: &Arc<HostKeys>| {
        let config = Config::builder(keys.clone())
            .user("nobody")
            .host_key_alias("one");
        let config = config.build().expect("a whole configuration");
        host_key::probe(&host(sshd.socket()), &config, &limit()).expect("shows its key")
    };
    let strict = host_keys(HostKeyPolicy::Strict, "");
    let seen = [look(&sshd, &strict), look(&other, &strict)];
    let error = strict.accept(&seen[..1]).remove(0).expect_err("is strict");
    assert_eq!(error.kind(), Kind::HostKeyUnknown);
    let ask = host_keys(HostKeyPolicy::Ask, "");
    let results = ask.accept(&seen);
    assert!(results[0].is_ok());
    assert!(
        matches!(results[1], Err(HostKeyError::Conflict { .. })),
        "{results:?}"
    );
}
