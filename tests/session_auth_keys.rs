//! Keys of every type, format and encryption, and user certificates, against sshd.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sshoal::{
    AgentKeys, AuthError, Config, ConfigBuilder, Error, HostKeyPolicy, Identity, IdentityError,
    Kind, Phase, Secret, UserCertificate,
};
use support::{
    agent::Agent,
    keys::{Authority, keygen, run_keygen},
    sessions::{assert_failed, connect_with, fails, host, host_keys},
    sshd::{Sshd, SshdBuilder},
};

const PASSPHRASE: &str = "open sesame";

fn bare(sshd: &Sshd) -> ConfigBuilder {
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    Config::builder(keys).user(sshd.user())
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

fn load(path: &Path) -> Arc<Identity> {
    Arc::new(Identity::load(path, None).expect("loads the key"))
}

fn public(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub")).expect("reads the public key")
}

#[track_caller]
fn is_let_in(sshd: &Sshd, config: ConfigBuilder) {
    let output = connect_with(sshd, config).command("echo in").output();
    assert_eq!(output.expect("runs").stdout, b"in\n");
}

#[track_caller]
fn is_denied(sshd: &Sshd, config: ConfigBuilder) {
    let config = config.build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 30_000);
    assert_failed(&error, Phase::Auth, Kind::Denied);
    let denied = matches!(error, Error::Auth(AuthError::Denied { .. }));
    assert!(denied, "{error:?}");
}

/// Every type, in every format, in clear and encrypted, lets in to one server by a file and from memory; a wrong
/// passphrase and none are told apart before any host is asked.
#[test]
fn keys_of_every_type_format_and_encryption_let_in() {
    let Some(sshd) = Sshd::builder().log_level("VERBOSE").start() else {
        return;
    };
    let types = [
        ("ed25519", "256", "ED25519"),
        ("ecdsa", "256", "ECDSA"),
        ("ecdsa", "384", "ECDSA"),
        ("ecdsa", "521", "ECDSA"),
        ("rsa", "3072", "RSA"),
    ];
    let mut count = 0;
    for (kind, bits, _) in types {
        for format in ["RFC4716", "PEM", "PKCS8"] {
            // ssh-keygen writes Ed25519 in its own format whichever is asked for.
            if kind == "ed25519" && format != "RFC4716" {
                continue;
            }
            for passphrase in ["", PASSPHRASE] {
                let path = sshd.scratch().join(format!("key{count}"));
                let file = path.display().to_string();
                run_keygen(&[
                    "-q", "-t", kind, "-b", bits, "-m", format, "-a", "1", "-N", passphrase, "-f",
                    &file,
                ]);
                sshd.authorize(&public(&path));
                lets_in_from_file_and_memory(&sshd, &path, passphrase);
                count += 1;
            }
        }
    }
    let accepted = sshd.log().matches("Accepted publickey").count();
    assert_eq!(accepted, 2 * count, "{}", sshd.log());
    for (_, _, name) in types {
        assert!(sshd.log().contains(&format!("ssh2: {name} SHA256:")));
    }
}

#[track_caller]
fn lets_in_from_file_and_memory(sshd: &Sshd, path: &Path, passphrase: &str) {
    let right = (!passphrase.is_empty()).then(|| secret(passphrase));
    let from_file = Identity::load(path, right.as_ref()).expect("loads the key");
    is_let_in(sshd, bare(sshd).identity(Arc::new(from_file)));
    let bytes = std::fs::read(path).expect("reads the key");
    let from_memory = Identity::parse(&bytes, right.as_ref()).expect("reads the key");
    is_let_in(sshd, bare(sshd).identity(Arc::new(from_memory)));
    if right.is_some() {
        let none = Identity::parse(&bytes, None).expect_err("needs a passphrase");
        assert!(matches!(none, IdentityError::Encrypted { .. }), "{none:?}");
        let wrong = Identity::load(path, Some(&secret("mellon"))).expect_err("is another");
        let is_wrong = matches!(wrong, IdentityError::WrongPassphrase { .. });
        assert!(is_wrong, "{wrong:?}");
    }
}

/// A server that trusts an authority and no key by itself.
fn trusting() -> Option<(Sshd, Authority)> {
    let dir = tempfile::tempdir().expect("makes a directory").keep();
    let authority = Authority::new(&dir);
    let line = format!("TrustedUserCAKeys {}", authority.public_key().display());
    let builder: SshdBuilder = Sshd::builder().config(&line);
    let sshd = builder.start()?;
    Some((sshd, authority))
}

fn certified(sshd: &Sshd, authority: &Authority, kind: &str, validity: &str) -> (PathBuf, PathBuf) {
    let path = sshd.scratch().join(format!("id_{kind}_{validity}"));
    keygen(&path, kind, "");
    let certificate = authority.certify(&path, &sshd.user(), validity);
    (path, certificate)
}

#[test]
fn a_certificate_beside_a_key_of_every_type_lets_in() {
    let Some((sshd, authority)) = trusting() else {
        return;
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (path, certificate) = certified(&sshd, &authority, kind, "-5m:+1h");
        let identity = load(&path);
        assert_eq!(identity.certificates().len(), 1);
        is_let_in(&sshd, bare(&sshd).identity(identity));
        // By name (`CertificateFile`), and without.
        let elsewhere = sshd.scratch().join(format!("{kind}.cert"));
        std::fs::rename(certificate, &elsewhere).expect("moves the certificate");
        is_denied(&sshd, bare(&sshd).identity(load(&path)));
        let named = Arc::new(UserCertificate::load(&elsewhere).expect("is one"));
        is_let_in(
            &sshd,
            bare(&sshd).identity(load(&path)).certificate(named.clone()),
        );
        let bound = Identity::load(&path, None).expect("loads the key");
        let bound = bound
            .with_certificate((*named).clone())
            .expect("is its own");
        is_let_in(&sshd, bare(&sshd).identity(Arc::new(bound)));
    }
    let log = sshd.log();
    assert!(log.contains("rsa-sha2-512-cert-v01@openssh.com"), "{log}");
}

#[test]
fn certificates_that_are_not_valid_are_denied() {
    let Some((sshd, authority)) = trusting() else {
        return;
    };
    let (path, _) = certified(&sshd, &authority, "ed25519", "-2h:-1h");
    let expired = load(&path);
    let now = std::time::SystemTime::now();
    assert!(!expired.certificates()[0].is_valid_at(now));
    is_denied(&sshd, bare(&sshd).identity(expired));
    let other = sshd.scratch().join("id_other");
    keygen(&other, "ed25519", "");
    authority.certify(&other, "somebody-else", "-5m:+1h");
    is_denied(&sshd, bare(&sshd).identity(load(&other)));
    let log = sshd.log();
    assert!(log.contains("Certificate invalid: expired"), "{log}");
    assert!(log.contains("name is not a listed principal"), "{log}");
}

#[test]
fn a_certificate_of_another_key_is_refused_on_this_side() {
    let Some((sshd, authority)) = trusting() else {
        return;
    };
    let (path, certificate) = certified(&sshd, &authority, "ed25519", "-5m:+1h");
    let certificate = UserCertificate::load(&certificate).expect("is one");
    let other = sshd.scratch().join("other");
    keygen(&other, "ed25519", "");
    let other = Identity::load(&other, None).expect("loads the key");
    let error = other
        .with_certificate(certificate)
        .expect_err("is another's");
    assert!(matches!(error, IdentityError::OtherCertificate { .. }));
    // What is no user certificate is none.
    let error = UserCertificate::load(&path.with_extension("pub")).expect_err("is a key");
    assert!(
        matches!(error, IdentityError::Unsupported { .. }),
        "{error:?}"
    );
}

/// The agent holds the key alone, and the certificate is a file; or it holds both.
#[test]
fn certificates_of_an_agents_keys_let_in() {
    let Some((sshd, authority)) = trusting() else {
        return;
    };
    let (path, certificate) = certified(&sshd, &authority, "rsa", "-5m:+1h");
    let with_both = Agent::start(&sshd.scratch(), "both");
    with_both.add(&path);
    is_let_in(&sshd, bare(&sshd).agent(&with_both.socket));
    let only = Arc::new(Identity::load_public(&path).expect("reads the public key"));
    let config = bare(&sshd).agent(&with_both.socket);
    let config = config.agent_keys(AgentKeys::IdentitiesOnly);
    is_let_in(&sshd, config.identity(only));
    let elsewhere = sshd.scratch().join("elsewhere");
    std::fs::rename(certificate, &elsewhere).expect("moves the certificate");
    let with_key = Agent::start(&sshd.scratch(), "key");
    with_key.add(&path);
    is_denied(&sshd, bare(&sshd).agent(&with_key.socket));
    let named = Arc::new(UserCertificate::load(&elsewhere).expect("is one"));
    is_let_in(
        &sshd,
        bare(&sshd).agent(&with_key.socket).certificate(named),
    );
}

/// The server takes one RSA algorithm, and says that it takes all: which one is used is set on this side.
#[test]
fn algorithms_are_those_that_are_set() {
    let Some(sshd) = Sshd::builder()
        .config("PubkeyAcceptedAlgorithms rsa-sha2-256,ssh-ed25519")
        .start()
    else {
        return;
    };
    let path = sshd.scratch().join("rsa");
    keygen(&path, "rsa", "");
    sshd.authorize(&public(&path));
    let rsa = bare(&sshd).identity(load(&path));
    is_let_in(&sshd, rsa.clone().public_key_algorithms("rsa-sha2-256"));
    assert!(sshd.log().contains("pkalg rsa-sha2-256"), "{}", sshd.log());
    let mark = sshd.log_mark();
    let both = rsa.identity(load(&sshd.key_path()));
    is_let_in(&sshd, both.public_key_algorithms("ssh-*"));
    // No signature by SHA-1, whatever the pattern says: the key is left out.
    assert!(!sshd.log()[mark..].contains("pkalg rsa"), "{}", sshd.log());
    assert!(
        !sshd.log()[mark..].contains("pkalg ssh-rsa"),
        "{}",
        sshd.log()
    );
}

/// Two keys are demanded, and partial success by the first goes on with the second.
#[test]
fn two_keys_are_given_where_two_are_demanded() {
    let Some(sshd) = Sshd::builder()
        .config("AuthenticationMethods publickey,publickey")
        .config("MaxAuthTries 1")
        .start()
    else {
        return;
    };
    let path = sshd.scratch().join("second");
    keygen(&path, "ecdsa", "");
    sshd.authorize(&public(&path));
    let first = load(&sshd.key_path());
    let both = bare(&sshd).identity(first.clone()).identity(load(&path));
    is_let_in(&sshd, both);
    is_denied(&sshd, bare(&sshd).identity(first));
}
