//! What is offered to a host, what is agreed on, and what is told where nothing can be.

mod support;

use sshoal::{AlgorithmList, Config, ConfigBuilder, ConfigError, Error, Kind, Phase};
use support::{
    sessions::{assert_failed, config_for, connect_with, fails, host},
    sshd::Sshd,
};

/// Something that a configuration is told.
type Set = fn(ConfigBuilder) -> ConfigBuilder;

/// What was agreed on is what was asked for, per direction, and reads as one line.
#[test]
fn each_list_can_be_set_and_is_agreed_on() {
    let builder = Sshd::builder().host_keys(&["ed25519", "ecdsa", "rsa"]);
    let builder = builder
        .config("Ciphers +aes128-cbc")
        .config("MACs +hmac-sha1");
    let Some(sshd) = builder.start() else { return };
    // Over AWS-LC what is not on a curve cannot be offered.
    let (set_finite, finite): (Set, &str) = match cfg!(feature = "aws-lc") {
        false => (
            |c| c.kex("-curve25519-*,ecdh-*,mlkem*"),
            "kex diffie-hellman-group14-sha256,",
        ),
        true => (
            |c| c.kex("-curve25519-*,ecdh-sha2-nistp256"),
            "kex ecdh-sha2-nistp384,",
        ),
    };
    let cases: [(Set, &str); 8] = [
        (
            |c| c,
            "kex curve25519-sha256, host key ssh-ed25519, cipher aes128-gcm@openssh.com, mac implicit, compression none",
        ),
        (
            |c| c.kex("ecdh-sha2-nistp384"),
            "kex ecdh-sha2-nistp384, host key ssh-ed25519,",
        ),
        (set_finite, finite),
        (
            |c| c.host_key_algorithms("^rsa-sha2-256"),
            "host key rsa-sha2-256,",
        ),
        (
            |c| c.host_key_algorithms("-ssh-ed25519"),
            "host key ecdsa-sha2-nistp256,",
        ),
        (
            |c| c.ciphers("aes256-ctr").macs("^hmac-sha2-512"),
            "cipher aes256-ctr, mac hmac-sha2-512,",
        ),
        (
            |c| c.ciphers("^aes192-ctr"),
            "cipher aes192-ctr, mac hmac-sha2-256-etm@openssh.com,",
        ),
        (
            |c| c.ciphers("aes128-cbc"),
            "cipher aes128-cbc, mac hmac-sha2-256-etm@openssh.com,",
        ),
    ];
    for (set, expected) in cases {
        let session = connect_with(&sshd, set(config_for(&sshd)));
        let agreed = session.algorithms().expect("is open").to_string();
        assert!(agreed.contains(expected), "{agreed}");
        let output = session.command("echo well").output().expect("runs");
        assert_eq!(output.stdout, b"well\n", "{agreed}");
    }
}

/// Weak algorithms that libssh2 has are not offered unless asked for: a server that has nothing else is refused.
#[test]
fn a_host_with_nothing_in_common_is_told_by_the_list() {
    let cases = [
        ("Ciphers aes256-cbc", AlgorithmList::Cipher, "aes256-cbc"),
        (
            "KexAlgorithms diffie-hellman-group14-sha1",
            AlgorithmList::Kex,
            "diffie-hellman-group14-sha1",
        ),
        (
            "HostKeyAlgorithms ssh-rsa",
            AlgorithmList::HostKey,
            "ssh-rsa",
        ),
    ];
    for (line, expected, offer) in cases {
        let builder = Sshd::builder().host_keys(&["rsa"]).config(line);
        let Some(sshd) = builder.start() else { return };
        let config = config_for(&sshd).build().expect("a whole configuration");
        let (error, _) = fails(&host(sshd.socket()), &config, 20_000);
        assert_failed(&error, Phase::Kex, Kind::NoCommonAlgorithm);
        let Error::NoCommonAlgorithm { list, theirs } = error else {
            panic!("{error:?}")
        };
        assert_eq!(list, expected);
        // OpenSSH puts what is not an algorithm behind it.
        assert!(theirs.split(',').any(|name| name == offer), "{theirs}");
    }
    let builder = Sshd::builder()
        .config("Ciphers aes256-ctr")
        .config("MACs hmac-sha1");
    let Some(sshd) = builder.start() else { return };
    let config = config_for(&sshd).build().expect("a whole configuration");
    let (error, _) = fails(&host(sshd.socket()), &config, 20_000);
    assert_eq!(
        error.to_string(),
        "no matching MAC found; their offer: hmac-sha1"
    );
}

/// libssh2 fails at exchanges in finite fields over AWS-LC: they are not offered, and who asks for one is told.
#[test]
fn exchanges_that_fail_over_aws_lc_are_told_before() {
    let keys = support::sessions::host_keys(sshoal::HostKeyPolicy::Strict, "");
    let asked = Config::builder(keys)
        .user("me")
        .kex("diffie-hellman-group14-sha256");
    match (asked.build(), cfg!(feature = "aws-lc")) {
        (Ok(_), false) => {}
        (Err(ConfigError::Algorithm { why, .. }), true) => assert!(why.contains("AWS-LC"), "{why}"),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_cannot_be_offered_is_named() {
    let keys = support::sessions::host_keys(sshoal::HostKeyPolicy::Strict, "");
    let builder = || Config::builder(keys.clone()).user("me");
    let cases: [(ConfigBuilder, &str, &str); 6] = [
        (
            builder().ciphers("aes256-ctr,aes512-ctr"),
            "aes512-ctr",
            "no such algorithm",
        ),
        (builder().ciphers("+3des-cbc"), "3des-cbc", "built without"),
        (builder().macs("hmac-sha1"), "hmac-sha1", "SHA-1"),
        (
            builder().kex("+diffie-hellman-group1-sha1"),
            "diffie-hellman-group1-sha1",
            "SHA-1",
        ),
        (builder().host_key_algorithms("ssh-rsa"), "ssh-rsa", "SHA-1"),
        (
            builder().host_key_algorithms("sk-ssh-ed25519-cert-v01@openssh.com"),
            "sk-ssh-ed25519-cert-v01@openssh.com",
            "does not have it",
        ),
    ];
    for (builder, expected, reason) in cases {
        match builder.build() {
            Err(ConfigError::Algorithm { name, why, .. }) => {
                assert_eq!(name, expected);
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let none = builder().macs("-*").build();
    assert_eq!(
        none.expect_err("leaves nothing"),
        ConfigError::NoAlgorithm {
            list: AlgorithmList::Mac
        }
    );
}
