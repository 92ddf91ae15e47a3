//! What ssh_config says of host keys and certificates, in effect.

mod support;

use std::{fs, path::Path};

use sshoal::{CertificateError, Error, HostKeyError, Kind, Phase};
use support::{
    keys::{certify, generate_key, run_keygen},
    sessions::assert_failed,
    ssh_config::{Client, chain, named, reaches},
    sshd::{Sshd, known_hosts_line},
};

/// What reaches the server with no known hosts: the test's own lines say where they are.
fn unknown(sshd: &Sshd) -> String {
    let text = reaches(sshd);
    let lines = text.lines().filter(|line| !line.contains("KnownHostsFile"));
    lines.fold(String::new(), |text, line| text + line + "\n") + "  GlobalKnownHostsFile ~/global\n"
}

#[track_caller]
fn assert_unknown(error: &Error) {
    assert_failed(error, Phase::HostKey, Kind::HostKeyUnknown);
}

#[test]
fn known_hosts_are_those_of_the_files_that_are_named() {
    let Some(sshd) = Sshd::start() else { return };
    let (client, at) = (Client::new(), unknown(&sshd));
    let connect = |text: &str| client.try_connect(&format!("{text}\n{at}"), "t").map(drop);
    assert_unknown(&connect("").expect_err("nobody is known"));
    // ssh's names, in the home; then those that are said, of which every one counts.
    for name in [".ssh/known_hosts", ".ssh/known_hosts2", "global"] {
        let path = client.write(name, &sshd.known_hosts());
        connect("").unwrap_or_else(|error| panic!("{name}: {error}"));
        if name != "global" {
            assert_unknown(&connect("UserKnownHostsFile none").expect_err("not there"));
        }
        fs::remove_file(path).expect("was there");
    }
    client.write("mine", &sshd.known_hosts());
    connect("UserKnownHostsFile ~/missing %d/mine").expect("the second file knows it");
    assert_unknown(&connect("UserKnownHostsFile ~/missing").expect_err("not there"));
    connect("GlobalKnownHostsFile ~/missing ~/mine").expect("the system's files may be others");
}

#[test]
fn keys_that_are_not_known_are_treated_as_the_file_says() {
    let Some(sshd) = Sshd::start() else { return };
    let (client, at) = (Client::new(), unknown(&sshd));
    let store = client.home().join(".ssh/known_hosts");
    for (text, taken) in [
        ("", false),
        ("StrictHostKeyChecking yes", false),
        ("StrictHostKeyChecking ask", false),
        ("StrictHostKeyChecking accept-new", true),
        ("StrictHostKeyChecking no", true),
        ("StrictHostKeyChecking off", true),
    ] {
        let resolver = client.builder(&format!("{text}\n{at}")).build();
        let config = resolver.config(&named("t")).expect("a configuration");
        let result = sshoal::Session::connect(&named("t"), &config).map(drop);
        assert_eq!(result.is_ok(), taken, "{text}: {result:?}");
        let stored = fs::read_to_string(&store).unwrap_or_default();
        assert_eq!(stored.contains(&sshd.host_keys()[0]), taken, "{text}");
        let notices = resolver.notices();
        let told = notices
            .iter()
            .any(|notice| notice.contains("acts as accept-new"));
        assert_eq!(
            told,
            text.ends_with("no") || text.ends_with("off"),
            "{notices:?}"
        );
        let _ = fs::remove_file(&store);
    }
    // Nothing is kept where the file is no file.
    client
        .try_connect(
            &format!("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n{at}"),
            "t",
        )
        .expect("is taken");
    assert!(!store.exists());
}

/// Where ssh would go on without a password, nothing goes on at all.
#[test]
fn a_changed_key_is_refused_whatever_the_file_says() {
    let Some(sshd) = Sshd::start() else { return };
    let (client, at) = (Client::new(), unknown(&sshd));
    let other = client.home().join("other");
    generate_key(&other, "ed25519");
    let other = fs::read_to_string(other.with_extension("pub")).expect("reads the key");
    client.write(
        "kh",
        &known_hosts_line(sshd.address(), sshd.port(), other.trim()),
    );
    for policy in ["yes", "accept-new", "ask", "no", "off"] {
        let text = format!("StrictHostKeyChecking {policy}\nUserKnownHostsFile ~/kh\n{at}");
        let error = client.try_connect(&text, "t").expect_err("has changed");
        assert_failed(&error, Phase::HostKey, Kind::HostKeyChanged);
    }
}

#[test]
fn keys_are_looked_up_and_stored_by_the_alias() {
    let Some(sshd) = Sshd::start() else { return };
    let (client, at) = (Client::new(), unknown(&sshd));
    client.write("kh", &format!("the-alias {}\n", sshd.host_keys()[0]));
    let text = format!("HostKeyAlias The-Alias\nUserKnownHostsFile ~/kh\n{at}");
    client
        .try_connect(&text, "t")
        .expect("is known by its alias");
    client.write("kh", "");
    let text = format!("StrictHostKeyChecking accept-new\n{text}");
    client.try_connect(&text, "t").expect("is taken");
    let stored = fs::read_to_string(client.home().join("kh")).expect("was stored");
    assert!(stored.starts_with("the-alias ssh-ed25519 "), "{stored}");
}

#[test]
fn names_are_stored_as_hashes_where_the_file_says_so() {
    let Some(sshd) = Sshd::start() else { return };
    for (text, hashed) in [
        ("HashKnownHosts yes", true),
        ("HashKnownHosts no", false),
        ("", false),
    ] {
        let client = Client::new();
        let text = format!(
            "StrictHostKeyChecking accept-new\n{text}\n{}",
            unknown(&sshd)
        );
        client.try_connect(&text, "t").expect("is taken");
        let stored =
            fs::read_to_string(client.home().join(".ssh/known_hosts")).expect("was stored");
        assert_eq!(stored.starts_with("|1|"), hashed, "{stored}");
        client
            .try_connect(&text.replace("accept-new", "yes"), "t")
            .expect("is found again");
    }
}

#[test]
fn revoked_keys_are_refused_and_the_list_has_to_be_there() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    client.write("revoked", &format!("{}\n", sshd.host_keys()[0]));
    let error = client.fails(&sshd, "RevokedHostKeys ~/revoked");
    assert_failed(&error, Phase::HostKey, Kind::HostKeyRevoked);
    client.connect(&sshd, "RevokedHostKeys none");
    let said = client.refuses("\nRevokedHostKeys ~/missing");
    assert!(
        said.contains("config:2: RevokedHostKeys: ") && said.contains("missing"),
        "{said}"
    );
}

#[test]
fn small_rsa_host_keys_are_refused_under_every_policy() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let key = dir.path().join("host");
    run_keygen(&[
        "-q",
        "-t",
        "rsa",
        "-b",
        "2048",
        "-N",
        "",
        "-f",
        &key.display().to_string(),
    ]);
    let line = format!("HostKey {}", key.display());
    let Some(sshd) = Sshd::builder().host_keys(&[]).config(&line).start() else {
        return;
    };
    let client = Client::new();
    let text = fs::read_to_string(key.with_extension("pub")).expect("reads the key");
    client.write(
        "kh",
        &known_hosts_line(sshd.address(), sshd.port(), text.trim()),
    );
    client.connect(&sshd, "UserKnownHostsFile ~/kh\nRequiredRSASize 2048");
    for policy in ["yes", "accept-new", "no"] {
        let text = format!(
            "UserKnownHostsFile ~/kh\nRequiredRSASize 4096\nStrictHostKeyChecking {policy}"
        );
        match client.fails(&sshd, &text) {
            Error::HostKey(HostKeyError::TooSmall { bits, required, .. }) => {
                assert_eq!((bits, required), (2048, 4096));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A CA of one type of key signs the host's key.
fn certified(dir: &Path, ca_kind: &str, args: &[&str]) -> Option<(Sshd, String)> {
    let (ca, key) = (dir.join("ca"), dir.join("host"));
    generate_key(&ca, ca_kind);
    generate_key(&key, "ed25519");
    let certificate = certify(&ca, &key, args);
    let sshd = Sshd::builder()
        .host_keys(&[])
        .config(&format!("HostKey {}", key.display()))
        .config(&format!("HostCertificate {}", certificate.display()));
    let ca = fs::read_to_string(ca.with_extension("pub")).expect("reads the CA's key");
    Some((sshd.start()?, format!("@cert-authority * {ca}")))
}

#[test]
fn certificates_count_by_how_their_authority_signed() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let Some((sshd, authority)) = certified(dir.path(), "rsa", &["-t", "rsa-sha2-256"]) else {
        return;
    };
    let client = Client::new();
    client.write("kh", &authority);
    let with = |text: &str| {
        client.try_connect(
            &format!("UserKnownHostsFile ~/kh\n{text}\n{}", reaches(&sshd)),
            "t",
        )
    };
    for text in [
        "",
        "CASignatureAlgorithms rsa-sha2-256",
        "CASignatureAlgorithms ssh-ed25519,rsa-sha2-*",
        "CASignatureAlgorithms -ssh-ed25519",
        "CASignatureAlgorithms +ssh-rsa",
    ] {
        with(text).unwrap_or_else(|error| panic!("{text}: {}", chain(&error)));
    }
    for text in [
        "CASignatureAlgorithms ssh-ed25519",
        "CASignatureAlgorithms -rsa-*",
        "CASignatureAlgorithms rsa-sha2-512",
    ] {
        match with(text).expect_err("is not signed so") {
            Error::HostKey(HostKeyError::Certificate { source, .. }) => {
                let told = matches!(&source, CertificateError::Algorithm { algorithm, .. } if algorithm == "rsa-sha2-256");
                assert!(told, "{text}: {source}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let said = client.refuses("\nCASignatureAlgorithms ssh-rsa");
    assert!(
        said.contains("config:2: CASignatureAlgorithms ssh-rsa: none of these"),
        "{said}"
    );
}

#[test]
fn checks_that_are_not_made_are_refused_by_file_and_line() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    for option in ["CheckHostIP", "NoHostAuthenticationForLocalhost"] {
        let said = client.refuses(&format!("\n{option} yes"));
        assert!(
            said.contains(&format!("config:2: {option} yes: ")),
            "{said}"
        );
        assert!(said.contains("say no"), "{said}");
        client.connect(&sshd, &format!("{option} no"));
    }
}
