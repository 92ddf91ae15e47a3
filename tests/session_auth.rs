//! Users let in and kept out: keys, agents, passwords, against sshd, a real ssh-agent and the embedded fleet.

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use sshoal::{
    AgentKeys, AuthError, Config, ConfigBuilder, Error, HostKeyPolicy, Identity, IdentityError,
    Kind, Phase, Session,
};
use support::{
    agent::Agent,
    fleet::EmbeddedFleet,
    keys::keygen,
    sessions::{
        LIMIT, assert_failed, config_for_fleet, connect_with, fails, fleet_host, fleet_host_keys,
        host, host_keys, identity,
    },
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

/// A configuration that knows the server and has nothing to authenticate with yet.
fn bare(sshd: &Sshd) -> ConfigBuilder {
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    Config::builder(keys).user(sshd.user())
}

/// Makes a key of a type; returns its path.
fn key(sshd: &Sshd, name: &str, kind: &str, passphrase: &str) -> PathBuf {
    let path = sshd.scratch().join(name);
    keygen(&path, kind, passphrase);
    path
}

fn public(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub")).expect("reads the public key")
}

#[track_caller]
fn is_let_in(sshd: &Sshd, config: ConfigBuilder) {
    let output = connect_with(sshd, config).command("echo in").output();
    assert_eq!(output.expect("runs").stdout, b"in\n");
}

/// The methods that the server says can continue.
#[track_caller]
fn is_denied(sshd: &Sshd, config: ConfigBuilder) -> String {
    let config = config.build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    match error {
        Error::Auth(AuthError::Denied { methods }) => methods,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_every_type_let_the_user_in() {
    let Some(sshd) = Sshd::start() else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = key(&sshd, kind, kind, "");
        let denied = is_denied(&sshd, bare(&sshd).identity(identity(&path)));
        assert_eq!(denied, "publickey");
        sshd.authorize(&public(&path));
        is_let_in(&sshd, bare(&sshd).identity(identity(&path)));
    }
    assert!(sshd.log().contains("pkalg rsa-sha2-512"), "{}", sshd.log());
}

#[test]
fn an_encrypted_key_lets_in_by_its_passphrase() {
    let Some(sshd) = Sshd::start() else { return };
    let path = key(&sshd, "encrypted", "ed25519", "open sesame");
    sshd.authorize(&public(&path));
    let error = Identity::load(&path, None).expect_err("needs a passphrase");
    assert!(
        matches!(error, IdentityError::Encrypted { .. }),
        "{error:?}"
    );
    let secret = "open sesame".to_owned().into();
    let identity = Identity::load(&path, Some(&secret)).expect("decrypts");
    is_let_in(&sshd, bare(&sshd).identity(Arc::new(identity)));
}

#[test]
fn identities_are_tried_in_order_until_one_is_taken() {
    let Some(sshd) = Sshd::start() else { return };
    let mut config = bare(&sshd);
    for number in 0..3 {
        let path = key(&sshd, &format!("other{number}"), "ed25519", "");
        config = config.identity(identity(&path));
    }
    is_let_in(&sshd, config.identity(identity(&sshd.key_path())));
    assert_eq!(
        sshd.log().matches("Failed publickey").count(),
        3,
        "{}",
        sshd.log()
    );
}

/// The server ends the connection at the second failure, and tells the reason in its farewell only.
#[test]
fn a_server_that_hangs_up_on_failures_denies() {
    let Some(sshd) = Sshd::builder().config("MaxAuthTries 2").start() else {
        return;
    };
    let mut config = bare(&sshd);
    for number in 0..4 {
        let path = key(&sshd, &format!("other{number}"), "ed25519", "");
        config = config.identity(identity(&path));
    }
    for _ in 0..20 {
        assert_eq!(is_denied(&sshd, config.clone()), "publickey");
    }
}

/// An RSA key signs by SHA-2 only; where the server takes SHA-1 alone the user is not let in, and nothing is signed
/// by SHA-1.
#[test]
fn an_rsa_key_never_signs_by_sha1() {
    let Some(sshd) = Sshd::builder()
        .config("PubkeyAcceptedAlgorithms ssh-rsa")
        .start()
    else {
        return;
    };
    let path = key(&sshd, "rsa", "rsa", "");
    sshd.authorize(&public(&path));
    let config = bare(&sshd)
        .identity(identity(&path))
        .build()
        .expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_eq!(error.phase(), Phase::Auth, "{error:?}");
    match error {
        Error::Auth(AuthError::Denied { .. }) => {}
        Error::Auth(AuthError::Sign {
            source: IdentityError::AlgorithmRefused { algorithm, .. },
            ..
        }) => {
            assert_eq!(algorithm, "ssh-rsa");
        }
        other => panic!("{other:?}"),
    }
    assert!(!sshd.log().contains("Accepted publickey"), "{}", sshd.log());
}

#[test]
fn the_last_of_an_agents_three_keys_lets_in() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd.scratch(), "agent");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let path = key(&sshd, kind, kind, "");
        agent.add(&path);
        if kind == "rsa" {
            sshd.authorize(&public(&path));
        }
    }
    is_let_in(&sshd, bare(&sshd).agent(&agent.socket));
    let log = sshd.log();
    assert_eq!(log.matches("Failed publickey").count(), 2, "{log}");
    assert!(log.contains("pkalg rsa-sha2-512"), "{log}");
}

#[test]
fn an_agents_keys_of_every_type_sign() {
    let Some(sshd) = Sshd::start() else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let agent = Agent::start(&sshd.scratch(), &format!("agent_{kind}"));
        let path = key(&sshd, kind, kind, "");
        agent.add(&path);
        sshd.authorize(&public(&path));
        is_let_in(&sshd, bare(&sshd).agent(&agent.socket));
    }
}

#[test]
fn identities_only_leaves_an_agents_other_keys_out() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd.scratch(), "agent");
    agent.add(&sshd.key_path());
    let other = key(&sshd, "other", "ed25519", "");
    let config = bare(&sshd).identity(identity(&other)).agent(&agent.socket);
    is_let_in(&sshd, config.clone());
    is_denied(&sshd, config.agent_keys(AgentKeys::IdentitiesOnly));
}

/// An agent that is not there fails the authentication by its name; identities that come before it need none.
#[test]
fn an_agent_that_is_gone_is_named() {
    let Some(sshd) = Sshd::start() else { return };
    let socket = {
        let agent = Agent::start(&sshd.scratch(), "agent");
        agent.socket.clone()
    };
    let config = bare(&sshd)
        .agent(&socket)
        .build()
        .expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Io);
    assert!(
        error.to_string().contains(&socket.display().to_string()),
        "{error}"
    );
    is_let_in(
        &sshd,
        bare(&sshd)
            .identity(identity(&sshd.key_path()))
            .agent(&socket),
    );
}

/// A hundred sessions ask one agent for their signatures at once.
#[test]
fn one_agent_signs_for_many_sessions_at_once() {
    let fleet = EmbeddedFleet::start(100);
    let agent = Agent::start(fleet.dir(), "agent");
    agent.add(&fleet.key_path());
    let builder = Config::builder(fleet_host_keys(&fleet))
        .user("tester")
        .port(fleet.port());
    let builder = builder.agent(&agent.socket).connect_timeout(Some(LIMIT));
    connect_to_all(
        &fleet,
        &Arc::new(builder.build().expect("a whole configuration")),
    );
}

/// A key whose decryption takes long is decrypted once, and two hundred sessions sign with it (law S9).
#[test]
fn two_hundred_sessions_share_one_identity() {
    let fleet = EmbeddedFleet::start(200);
    let encrypted = Command::new("ssh-keygen")
        .args(["-q", "-p", "-a", "64", "-P", "", "-N", "open sesame", "-f"])
        .arg(fleet.key_path())
        .status();
    assert!(encrypted.expect("ssh-keygen runs").success());
    let secret = "open sesame".to_owned().into();
    let identity = Arc::new(Identity::load(&fleet.key_path(), Some(&secret)).expect("decrypts"));
    // Gone, so that nothing can read it once more.
    std::fs::remove_file(fleet.key_path()).expect("removes the key");
    let builder = Config::builder(fleet_host_keys(&fleet))
        .user("tester")
        .port(fleet.port());
    let builder = builder
        .identity(identity.clone())
        .connect_timeout(Some(LIMIT));
    connect_to_all(
        &fleet,
        &Arc::new(builder.build().expect("a whole configuration")),
    );
    assert_eq!(Arc::strong_count(&identity), 1, "no session keeps it");
}

#[track_caller]
fn connect_to_all(fleet: &EmbeddedFleet, config: &Arc<Config>) {
    let threads: Vec<_> = (0..fleet.hosts())
        .map(|index| {
            let (host, config) = (fleet_host(fleet, index), config.clone());
            sshoal::spawn(move || {
                let session = Session::connect(&host, &config).expect("connects");
                session.command("hostname").output().expect("runs").stdout
            })
            .expect("starts")
        })
        .collect();
    for (index, thread) in threads.into_iter().enumerate() {
        let name = thread.join().expect("no session failed");
        assert_eq!(name, format!("host-{index:04}\n").as_bytes());
    }
    assert_eq!(fleet.count("auth_publickey"), fleet.hosts() as u64);
}

#[test]
fn a_password_lets_in_and_a_wrong_one_is_tried_once() {
    let fleet = EmbeddedFleet::with_args(1, &["--password", "sesame"]);
    let bare = || {
        Config::builder(fleet_host_keys(&fleet))
            .user("tester")
            .port(fleet.port())
    };
    let right = bare()
        .password("sesame".to_owned().into())
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&fleet_host(&fleet, 0), &right).expect("connects");
    assert_eq!(
        session.command("echo in").output().expect("runs").stdout,
        b"in\n"
    );
    assert_eq!(
        (fleet.count("auth_password"), fleet.count("auth_offered")),
        (1, 0)
    );
    let wrong = bare()
        .password("mellon".to_owned().into())
        .build()
        .expect("a whole configuration");
    let (error, _) = fails(&fleet_host(&fleet, 0), &wrong, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    // The fleet no longer lists a method that failed.
    assert_eq!(error.to_string(), "Permission denied (publickey).");
    assert!(!error.to_string().contains("mellon"), "{error}");
    assert_eq!(
        fleet.count("auth_password"),
        2,
        "the right one and the wrong one, once each"
    );
}

#[test]
fn a_password_comes_after_the_keys() {
    let fleet = EmbeddedFleet::with_args(1, &["--password", "sesame"]);
    let config = config_for_fleet(&fleet).password("sesame".to_owned().into());
    let config = config.build().expect("a whole configuration");
    Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
    assert_eq!(
        (fleet.count("auth_password"), fleet.count("auth_publickey")),
        (0, 1)
    );
}

#[test]
fn with_nothing_to_try_the_servers_methods_are_named() {
    let Some(sshd) = Sshd::builder().config("PasswordAuthentication yes").start() else {
        return;
    };
    assert_eq!(is_denied(&sshd, bare(&sshd)), "publickey,password");
}
