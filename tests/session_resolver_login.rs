//! What ssh_config says of the user's login, in effect: keys, certificates, agents, methods.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use sshoal::{AuthError, Error, Identity, Kind, Passphrases, Phase, Secret, Session};
use support::{
    agent::Agent,
    keys::{Authority, generate_key, keygen, run_keygen},
    sessions::assert_failed,
    ssh_config::{Client, named, reaches, said, whereabouts},
    sshd::Sshd,
};

/// Writes an additional key pair that the server accepts.
fn accepted(sshd: &Sshd, path: &Path, kind: &str, passphrase: &str) {
    keygen(path, kind, passphrase);
    sshd.authorize(&fs::read_to_string(path.with_extension("pub")).expect("reads the key"));
}

/// The fingerprint of a key file, as sshd logs it.
fn fingerprint(path: &Path) -> String {
    let identity = Identity::load_public(path).expect("has a public half");
    identity.fingerprint()
}

/// In which order these appear in a log; each has to.
#[track_caller]
fn order(log: &str, texts: &[String]) -> Vec<usize> {
    let at = |text: &String| {
        log.find(text)
            .unwrap_or_else(|| panic!("no {text} in {log}"))
    };
    let mut places: Vec<(usize, usize)> = texts.iter().map(at).zip(0..).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, number)| number).collect()
}

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

/// The server's keys, and a client with two keys of its own, of which the second is accepted.
fn two_keys() -> Option<(Sshd, Client, PathBuf, PathBuf)> {
    let sshd = Sshd::start()?;
    let client = Client::new();
    let (other, good) = (client.home().join("other"), client.home().join("good"));
    generate_key(&other, "ed25519");
    accepted(&sshd, &good, "ed25519", "");
    Some((sshd, client, other, good))
}

#[test]
fn keys_are_offered_in_the_order_of_the_file() {
    let Some((sshd, client, other, good)) = two_keys() else {
        return;
    };
    let (other_print, good_print) = (fingerprint(&other), fingerprint(&good));
    for (text, expected) in [
        (
            "IdentityFile ~/other\nIdentityFile ~/missing\nIdentityFile ~/good",
            [0, 1],
        ),
        ("IdentityFile %d/other\nIdentityFile ~/good", [0, 1]),
    ] {
        let mark = sshd.log_mark();
        let text = format!("{text}\n{}", whereabouts(&sshd));
        client
            .try_connect(&text, "t")
            .expect("the last key lets in");
        let texts = [other_print.clone(), good_print.clone()];
        assert_eq!(order(&sshd.log()[mark..], &texts), expected);
    }
    // `none` is no key, and keeps the default names from being tried.
    fs::copy(&good, client.home().join(".ssh/id_ed25519")).expect("copies");
    let all = whereabouts(&sshd);
    client.try_connect(&all, "t").expect("by a default name");
    let error = client.try_connect(&format!("IdentityFile none\n{all}"), "t");
    assert_failed(&error.expect_err("no key"), Phase::Auth, Kind::Denied);
}

#[test]
fn a_key_that_cannot_be_used_is_told_and_left_out() {
    let Some((sshd, client, _, good)) = two_keys() else {
        return;
    };
    let text = format!(
        "IdentityFile ~/damaged\nIdentityFile ~/good\n{}",
        whereabouts(&sshd)
    );
    client.write("damaged", "no key\n");
    let resolver = client.builder(&text).build();
    let config = resolver.config(&named("t")).expect("the other one is good");
    assert!(config.has_credentials());
    let notices = resolver.notices();
    assert!(
        matches!(&notices[..], [one] if one.contains("damaged") && one.ends_with("it is left out")),
        "{notices:?}"
    );
    for (option, said) in [
        (
            "IdentityFile=~/damaged",
            "command line: IdentityFile: identity",
        ),
        (
            "IdentityFile=~/missing",
            "command line: IdentityFile: could not read identity",
        ),
    ] {
        let client = Client::new().option(option);
        client.write("damaged", "no key\n");
        let error = client.refuses("");
        assert!(
            error.contains(said) && error.contains("command line"),
            "{error}"
        );
    }
    fs::remove_file(good).expect("was there");
}

#[test]
fn passphrases_are_asked_for_as_often_as_the_file_says() {
    let client = Client::new();
    keygen(&client.home().join("key"), "ed25519", "secret");
    for (text, expected) in [
        ("", 3),
        ("NumberOfPasswordPrompts 1", 1),
        ("NumberOfPasswordPrompts 0", 0),
        ("BatchMode yes", 0),
    ] {
        let knows = knows("wrong");
        let text = format!("{text}\nIdentityFile ~/key\nUserKnownHostsFile none");
        let resolver = client.builder(&text).passphrases(knows.clone()).build();
        let config = resolver
            .config(&named("t"))
            .expect("a key of the file is left out");
        assert!(!config.has_credentials());
        assert_eq!(knows.1.load(Ordering::Relaxed), expected, "{text}");
        let notices = resolver.notices();
        let said = if expected == 0 {
            "ssh-add"
        } else {
            "wrong passphrase"
        };
        assert!(notices[0].contains(said), "{notices:?}");
    }
}

/// Nobody is asked for what the agent has, with or without a public key beside; what it lacks is asked for.
#[test]
fn an_encrypted_key_that_the_agent_holds_needs_no_passphrase() {
    let Some(sshd) = Sshd::start() else { return };
    let agent = Agent::start(&sshd.scratch(), "agent");
    let client = Client::new().variable("SSH_AUTH_SOCK", &agent.socket.display().to_string());
    let key = client.home().join("key");
    accepted(&sshd, &key, "ed25519", "");
    agent.add(&key);
    run_keygen(&["-q", "-p", "-N", "secret", "-f", &key.display().to_string()]);
    let text = format!(
        "IdentitiesOnly yes\nIdentityFile ~/key\n{}",
        whereabouts(&sshd)
    );
    let connect = |knows: &Arc<Knows>| {
        let resolver = client.builder(&text).passphrases(knows.clone()).build();
        let config = resolver.config(&named("t")).expect("can be used");
        Session::connect(&named("t"), &config).map(drop)
    };
    let silent = knows("secret");
    connect(&silent).expect("the agent signs");
    fs::remove_file(key.with_extension("pub")).expect("was there");
    connect(&silent).expect("the public half is in the private key's file");
    assert_eq!(silent.1.load(Ordering::Relaxed), 0);
    agent.clear();
    connect(&silent).expect("the passphrase is asked for");
    assert_eq!(silent.1.load(Ordering::Relaxed), 1);
}

#[test]
fn agents_are_those_of_the_file_and_offer_what_it_allows() {
    let Some((sshd, client, other, good)) = two_keys() else {
        return;
    };
    let (mine, named_one) = (
        Agent::start(client.home(), "mine"),
        Agent::start(client.home(), "named"),
    );
    mine.add(&other);
    named_one.add(&good);
    let client = client.variable("SSH_AUTH_SOCK", &mine.socket.display().to_string());
    let client = client.variable("NAMED", &named_one.socket.display().to_string());
    let at = whereabouts(&sshd);
    for (text, lets_in) in [
        ("", false),
        ("IdentityAgent ~/named", true),
        ("IdentityAgent $NAMED", true),
        ("IdentityAgent none", false),
        ("IdentityAgent SSH_AUTH_SOCK", false),
        ("IdentityAgent ~/named\nIdentitiesOnly yes", false),
        (
            "IdentityAgent ~/named\nIdentitiesOnly yes\nIdentityFile ~/good.pub",
            true,
        ),
    ] {
        let result = client.try_connect(&format!("{text}\n{at}"), "t");
        assert_eq!(result.is_ok(), lets_in, "{text}: {:?}", result.err());
    }
}

#[test]
fn an_agent_is_forwarded_as_the_file_says() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let agent = Agent::start(client.home(), "agent");
    agent.add(&sshd.key_path());
    let socket = agent.socket.display().to_string();
    let with = |client: Client, text: &str| {
        let session = client.connect(&sshd, text);
        said(&session, "ssh-add -L 2>/dev/null | wc -l")
            .trim()
            .to_owned()
    };
    let named = |name| Client::new().variable(name, &socket);
    assert_eq!(with(named("SSH_AUTH_SOCK"), "ForwardAgent yes"), "1");
    assert_eq!(with(named("SSH_AUTH_SOCK"), "ForwardAgent no"), "0");
    assert_eq!(with(named("SSH_AUTH_SOCK"), ""), "0");
    assert_eq!(with(named("OTHER"), "ForwardAgent $OTHER"), "1");
    assert_eq!(with(named("NOBODY"), "ForwardAgent $UNSET"), "0");
    assert_eq!(with(Client::new(), &format!("ForwardAgent {socket}")), "1");
    assert_eq!(
        with(
            named("SSH_AUTH_SOCK"),
            "ForwardAgent yes\nIdentityAgent none"
        ),
        "0"
    );
}

#[test]
fn certificates_are_shown_whether_named_or_beside_the_key() {
    let client = Client::new();
    let authority = Authority::new(client.home());
    let line = format!("TrustedUserCAKeys {}", authority.public_key().display());
    let Some(sshd) = Sshd::builder().config(&line).start() else {
        return;
    };
    let key = client.home().join("key");
    generate_key(&key, "ed25519");
    let at = format!("IdentityFile ~/key\n{}", whereabouts(&sshd));
    let error = client
        .try_connect(&at, "t")
        .expect_err("the key alone is unknown");
    assert_failed(&error, Phase::Auth, Kind::Denied);
    let certificate = authority.certify(&key, &sshd.user(), "always:forever");
    client
        .try_connect(&at, "t")
        .expect("by the certificate beside");
    fs::rename(certificate, client.home().join("elsewhere")).expect("moves");
    assert!(client.try_connect(&at, "t").is_err());
    let text = format!("CertificateFile ~/missing\nCertificateFile %d/elsewhere\n{at}");
    client
        .try_connect(&text, "t")
        .expect("by the certificate that is named");
}

#[test]
fn types_of_keys_are_those_that_the_file_accepts() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let rsa = client.home().join("rsa");
    accepted(&sshd, &rsa, "rsa", "");
    let at = format!("IdentityFile ~/rsa\n{}", reaches(&sshd));
    for (number, (text, expected)) in [
        ("", "rsa-sha2-512"),
        ("PubkeyAcceptedAlgorithms rsa-sha2-256", "rsa-sha2-256"),
        (
            "PubkeyAcceptedAlgorithms -rsa-sha2-512,ssh-*",
            "rsa-sha2-256",
        ),
        (
            "PubkeyAcceptedAlgorithms sk-ssh-ed25519@openssh.com,rsa-sha2-*",
            "rsa-sha2-512",
        ),
        ("PubkeyAcceptedAlgorithms ssh-ed25519", "ssh-ed25519"),
        ("PubkeyAcceptedAlgorithms -rsa-*", "ssh-ed25519"),
        ("PubkeyAcceptedAlgorithms +ssh-rsa", "rsa-sha2-512"),
        ("PubkeyAcceptedAlgorithms ^ssh-ed25519", "rsa-sha2-512"),
    ]
    .into_iter()
    .enumerate()
    {
        let mark = sshd.log_mark();
        let session = client
            .try_connect(&format!("{text}\n{at}"), "t")
            .expect(text);
        assert_eq!(said(&session, "echo in"), "in\n");
        session.close().expect("closes");
        sshd.wait_for_ends(number + 1, support::sessions::LIMIT);
        let log = sshd.log();
        let signed = log[mark..].lines().find_map(|line| {
            let (_, rest) = line.split_once("userauth_pubkey: authenticated 1 pkalg ")?;
            rest.split(' ').next()
        });
        assert_eq!(signed, Some(expected), "{text}");
    }
    let text = format!("PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256\n{at}");
    let error = client.try_connect(&text, "t").expect_err("no such key");
    assert_failed(&error, Phase::Auth, Kind::Denied);
}

#[test]
fn rsa_keys_that_are_too_small_are_not_offered() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let key = client.home().join("key");
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
    sshd.authorize(&fs::read_to_string(key.with_extension("pub")).expect("reads the key"));
    let at = format!("IdentityFile ~/key\n{}", whereabouts(&sshd));
    client
        .try_connect(&format!("RequiredRSASize 2048\n{at}"), "t")
        .expect("is large enough");
    let error = client
        .try_connect(&format!("RequiredRSASize 2049\n{at}"), "t")
        .expect_err("is small");
    match &error {
        Error::Auth(AuthError::RsaTooSmall {
            identity,
            bits,
            required,
            ..
        }) => {
            assert!(identity.ends_with("/key"), "{identity}");
            assert_eq!((*bits, *required), (2048, 2049));
        }
        other => panic!("{other:?}"),
    }
    // So are an agent's, and another key still lets in.
    let agent = Agent::start(client.home(), "agent");
    agent.add(&key);
    let text = format!(
        "RequiredRSASize 3072\nIdentityAgent ~/agent\nIdentityFile none\n{}",
        whereabouts(&sshd)
    );
    let error = client.try_connect(&text, "t").expect_err("is small");
    assert!(
        matches!(error, Error::Auth(AuthError::RsaTooSmall { .. })),
        "{error:?}"
    );
    client.connect(&sshd, "RequiredRSASize 3072\nIdentityAgent ~/agent");
}
