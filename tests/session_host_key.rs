//! No secret leaves for a host that was not verified (law S10): against sshd, which logs each packet it received, and
//! against the embedded fleet, which counts.

mod support;

use std::fs;

use sshoal::{
    Config, Error, HostKeyError, HostKeyPolicy, HostKeys, Kind, Phase, Session,
    known_hosts::KnownHosts,
};
use support::{
    fleet::EmbeddedFleet,
    sessions::{
        LIMIT, assert_failed, config_for, config_for_fleet, config_knowing, connect, connect_with,
        fails, fleet_host, host, identity,
    },
    sshd::{Sshd, known_hosts_line},
};

support::fleet::embedded_fleet!();

/// Connects with what is known of the host, and shows by the server's log that the client left before it asked for
/// authentication. Returns the error.
#[track_caller]
fn refused(sshd: &Sshd, known: &str, kind: Kind) -> HostKeyError {
    let config = config_knowing(sshd, known)
        .build()
        .expect("a whole configuration");
    let error = Session::connect(&host(sshd.socket()), &config).expect_err("is refused");
    assert_failed(&error, Phase::HostKey, kind);
    sshd.wait_for_ends(1, LIMIT);
    let log = sshd.log();
    // The key exchange came to its end, and nothing came after it.
    assert!(log.contains("receive packet: type 21"), "{log}");
    assert!(!log.contains("receive packet: type 50"), "{log}");
    assert!(!log.contains("userauth-request"), "{log}");
    match error {
        Error::HostKey(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_a_changed_key_before_any_authentication() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(other) = Sshd::start() else { return };
    let known = known_hosts_line(sshd.address(), sshd.port(), &other.host_keys()[0]);
    let error = refused(&sshd, &format!("# one line\n{known}"), Kind::HostKeyChanged);
    let HostKeyError::Changed {
        name,
        algorithm,
        line,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(*name, format!("[{}]:{}", sshd.address(), sshd.port()));
    assert_eq!((algorithm.as_str(), *line), ("ssh-ed25519", 2));
    let text = error.to_string();
    assert!(
        text.starts_with("Host key verification failed. The ssh-ed25519 host key for ["),
        "{text}"
    );
    assert!(text.contains("offending key in known_hosts:2;"), "{text}");
    let remedy = format!("ssh-keygen -f \"known_hosts\" -R {name:?}");
    assert!(text.ends_with(&remedy), "{text}");
}

#[test]
fn refuses_a_revoked_key_before_any_authentication() {
    let Some(sshd) = Sshd::start() else { return };
    let good = sshd.known_hosts();
    let error = refused(
        &sshd,
        &format!("{good}@revoked * {}\n", sshd.host_keys()[0]),
        Kind::HostKeyRevoked,
    );
    assert!(
        matches!(&error, HostKeyError::Revoked { line: 2, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("is marked as revoked"),
        "{error}"
    );
}

#[test]
fn refuses_an_unknown_key_under_strict_before_any_authentication() {
    let Some(sshd) = Sshd::start() else { return };
    // The same key is known for another host only.
    let known = known_hosts_line([127, 2, 0, 9].into(), sshd.port(), &sshd.host_keys()[0]);
    let error = refused(&sshd, &known, Kind::HostKeyUnknown);
    assert!(matches!(&error, HostKeyError::Unknown { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("strict checking was requested (SHA256:"),
        "{error}"
    );
}

/// Of four hosts of the embedded fleet one shows another key; the fleet counts no authentication of any kind for it,
/// a password that waits included.
#[test]
fn the_fleet_counts_no_authentication_for_a_wrong_key() {
    let fleet = EmbeddedFleet::with_args(4, &["--fault", "other-key=3"]);
    let config = config_for_fleet(&fleet).password("secret".to_owned().into());
    let config = config.build().expect("a whole configuration");
    let (error, _) = fails(&fleet_host(&fleet, 3), &config, 10_000);
    assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
    for count in [
        "auth_none",
        "auth_offered",
        "auth_publickey",
        "auth_password",
    ] {
        assert_eq!(fleet.count(count), 0, "{count}");
    }
    assert_eq!(fleet.count("accepted"), 1);
    Session::connect(&fleet_host(&fleet, 2), &config).expect("the others are let in");
    assert_eq!(fleet.count("auth_publickey"), 1);
}

/// The first connection stores the key, a second run knows it from the file, and a host that then shows another one
/// is refused.
#[test]
fn accept_new_stores_a_key_and_knows_it_again() {
    let Some(sshd) = Sshd::start() else { return };
    let store = sshd.scratch().join("known_hosts");
    let config = || {
        let known = KnownHosts::load([&store]).expect("reads what is there");
        let keys = HostKeys::new(HostKeyPolicy::AcceptNew, known).store(&store);
        let builder = Config::builder(std::sync::Arc::new(keys)).user(sshd.user());
        builder.identity(identity(&sshd.key_path()))
    };
    for _ in 0..2 {
        let output = connect_with(&sshd, config()).command("echo hi").output();
        assert_eq!(output.expect("runs").stdout, b"hi\n");
        let stored = fs::read_to_string(&store).expect("reads the store");
        assert_eq!(stored, sshd.known_hosts(), "stored once, as ssh would");
    }
    let Some(other) = Sshd::start() else { return };
    let wrong = known_hosts_line(sshd.address(), sshd.port(), &other.host_keys()[0]);
    fs::write(&store, &wrong).expect("writes the store");
    let config = config().build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 10_000);
    assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
    assert_eq!(fs::read_to_string(&store).expect("reads the store"), wrong);
}

/// A server with three host keys is known by one of them; that one is asked for, whatever comes first otherwise.
#[test]
fn the_key_exchange_asks_for_the_type_of_key_that_is_known() {
    let builder = Sshd::builder().host_keys(&["ed25519", "ecdsa", "rsa"]);
    let Some(sshd) = builder.start() else { return };
    let expected = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"];
    for (key, expected) in sshd.host_keys().iter().zip(expected) {
        let known = known_hosts_line(sshd.address(), sshd.port(), key);
        let session = connect_with(&sshd, config_knowing(&sshd, &known));
        assert_eq!(session.algorithms().expect("is open").host_key, expected);
    }
}

/// Without a CA for the host no certificate is asked for, so a host that has one is known by its plain key.
#[test]
fn a_host_certificate_is_not_asked_for() {
    let Some(first) = Sshd::start() else { return };
    let (ca, plain) = (first.scratch().join("ca"), first.scratch().join("host"));
    support::keys::generate_key(&ca, "ed25519");
    support::keys::generate_key(&plain, "ed25519");
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-h", "-I", "host", "-n", "127.2.0.1", "-s"])
        .args([&ca, &plain.with_extension("pub")])
        .status();
    assert!(signed.expect("ssh-keygen runs").success());
    let certificate = first.scratch().join("host-cert.pub");
    let builder = Sshd::builder().config(&format!("HostKey {}", plain.display()));
    let builder = builder.config(&format!("HostCertificate {}", certificate.display()));
    let Some(sshd) = builder.host_keys(&[]).start() else {
        return;
    };
    let key = fs::read_to_string(plain.with_extension("pub")).expect("reads the key");
    let known = known_hosts_line(sshd.address(), sshd.port(), key.trim());
    let session = connect_with(&sshd, config_knowing(&sshd, &known));
    assert_eq!(
        session.algorithms().expect("is open").host_key,
        "ssh-ed25519"
    );
}

/// Takes any key, counts it, and refuses to be told a password; a revoked key stays refused.
#[test]
fn the_insecure_mode_is_named_counted_and_has_no_password() {
    let Some(sshd) = Sshd::start() else { return };
    let Some(other) = Sshd::start() else { return };
    let wrong = known_hosts_line(sshd.address(), sshd.port(), &other.host_keys()[0]);
    let keys = support::sessions::host_keys(HostKeyPolicy::DangerousAcceptAny, &wrong);
    let builder = Config::builder(keys.clone()).user(sshd.user());
    let builder = builder.identity(identity(&sshd.key_path()));
    connect_with(&sshd, builder.clone());
    assert_eq!(keys.dangerous_count(), 1);
    let password = builder.password("secret".to_owned().into()).build();
    assert!(
        password
            .expect_err("is refused")
            .to_string()
            .contains("password")
    );
    let revoked = format!("@revoked * {}\n", sshd.host_keys()[0]);
    let keys = support::sessions::host_keys(HostKeyPolicy::DangerousAcceptAny, &revoked);
    let config = Config::builder(keys)
        .user(sshd.user())
        .build()
        .expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 10_000);
    assert_failed(&error, Phase::HostKey, Kind::HostKeyRevoked);
}

/// The order of ciphers keeps packet lengths readable (law S3) where the server leaves the choice.
#[test]
fn the_default_choice_is_aes_gcm() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect(&sshd);
    assert_eq!(
        session.algorithms().expect("is open").cipher_in,
        "aes128-gcm@openssh.com"
    );
    let builder = Sshd::builder().config("Ciphers chacha20-poly1305@openssh.com,aes256-ctr");
    let Some(sshd) = builder.start() else { return };
    let session = connect(&sshd);
    let agreed = session.algorithms().expect("is open");
    assert_eq!(
        (agreed.cipher_in.as_str(), agreed.mac_in.as_deref()),
        ("aes256-ctr", Some("hmac-sha2-256-etm@openssh.com"))
    );
    let builder = Sshd::builder().config("Ciphers 3des-cbc");
    let Some(sshd) = builder.start() else { return };
    let config = config_for(&sshd).build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 10_000);
    assert_failed(&error, Phase::Kex, Kind::NoCommonAlgorithm);
}
