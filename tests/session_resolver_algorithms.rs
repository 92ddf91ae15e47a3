//! What ssh_config says of algorithms and of the environment, in effect.

mod support;

use support::{
    ssh_config::{Client, chain, reaches, said},
    sshd::Sshd,
};

/// Lists as distributions and manuals have them, with names that OpenSSH alone has, and what is then agreed on.
#[test]
fn what_is_agreed_on_is_what_the_lists_of_the_file_allow() {
    let Some(sshd) = Sshd::builder()
        .host_keys(&["ed25519", "rsa", "ecdsa"])
        .start()
    else {
        return;
    };
    let client = Client::new();
    for (text, expected) in [
        ("Ciphers aes256-ctr", "cipher aes256-ctr,"),
        (
            "Ciphers chacha20-poly1305@openssh.com,3des-cbc",
            "cipher chacha20-poly1305@openssh.com,",
        ),
        ("Ciphers 3des-cbc,aes192-ctr", "cipher aes192-ctr,"),
        ("Ciphers -aes128-gcm*", "cipher aes256-gcm@openssh.com,"),
        ("Ciphers -chacha20*,*gcm*", "cipher aes128-ctr,"),
        ("Ciphers ^3des-cbc,aes192-ctr", "cipher aes192-ctr,"),
        ("Ciphers +3des-cbc", "cipher aes128-gcm@openssh.com,"),
        (
            "Ciphers aes128-ctr\nMACs umac-128-etm@openssh.com,hmac-sha2-512",
            "mac hmac-sha2-512,",
        ),
        (
            "Ciphers aes128-ctr\nMACs ^hmac-sha2-512,umac-64@openssh.com",
            "mac hmac-sha2-512,",
        ),
        (
            "Ciphers aes128-ctr\nMACs -*etm@openssh.com",
            "mac hmac-sha2-256,",
        ),
        (
            "KexAlgorithms sntrup761x25519-sha512@openssh.com,ecdh-sha2-nistp384",
            "kex ecdh-sha2-nistp384,",
        ),
        (
            "KexAlgorithms -curve25519*,mlkem*",
            "kex ecdh-sha2-nistp256,",
        ),
        (
            "KexAlgorithms ^ecdh-sha2-nistp521",
            "kex ecdh-sha2-nistp521,",
        ),
        ("KexAlgorithms +diffie-hellman-group1-sha1", "kex "),
        (
            "HostKeyAlgorithms rsa-sha2-256,ssh-rsa",
            "host key rsa-sha2-256,",
        ),
        (
            "HostKeyAlgorithms ^ecdsa-sha2-nistp256",
            "host key ecdsa-sha2-nistp256,",
        ),
        (
            "HostKeyAlgorithms -ssh-ed25519,ecdsa-*",
            "host key rsa-sha2-512,",
        ),
        (
            "HostKeyAlgorithms sk-ssh-ed25519@openssh.com,ssh-ed25519",
            "host key ssh-ed25519,",
        ),
    ] {
        let agreed = client
            .connect(&sshd, text)
            .algorithms()
            .expect("is open")
            .to_string();
        assert!(agreed.contains(expected), "{text}: {agreed}");
    }
}

#[test]
fn lists_of_which_nothing_is_left_are_told_by_file_and_line() {
    let client = Client::new();
    for (option, value) in [
        ("Ciphers", "3des-cbc"),
        ("Ciphers", "-*"),
        ("MACs", "umac-64@openssh.com,hmac-md5"),
        ("MACs", "-hmac-*"),
        ("KexAlgorithms", "sntrup761x25519-sha512@openssh.com"),
        ("PubkeyAcceptedAlgorithms", "ssh-rsa,ssh-dss"),
        ("PubkeyAcceptedAlgorithms", "-*"),
        ("HostKeyAlgorithms", "ssh-rsa,ssh-dss"),
        ("HostKeyAlgorithms", "-*"),
    ] {
        let said = client.refuses(&format!("Host t\n  {option} {value}"));
        let expected = format!("config:2: {option} {value}: none of these is one that libssh2 has");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn variables_are_sent_as_the_file_says_and_those_that_are_set_count() {
    let accepting = Sshd::builder().config("AcceptEnv LANG LC_* GOOD_*");
    let Some(sshd) = accepting.start() else {
        return;
    };
    let client = Client::new()
        .variable("LANG", "de_DE.UTF-8")
        .variable("LC_TIME", "C")
        .variable("GOOD_A", "from here")
        .variable("GOOD_B", "from here")
        .variable("SECRET", "stays here");
    let print = "printf '%s|' \"$LANG\" \"$LC_TIME\" \"$GOOD_A\" \"$GOOD_B\" \"$SECRET\"";
    let with = |text: &str| said(&client.connect(&sshd, text), print);
    assert_eq!(with(""), "||||".to_owned() + "|");
    assert_eq!(with("SendEnv LANG LC_*"), "de_DE.UTF-8|C||||");
    assert_eq!(
        with("SendEnv LANG LC_*\nSendEnv GOOD_?"),
        "de_DE.UTF-8|C|from here|from here||"
    );
    assert_eq!(with("SendEnv GOOD_A LANG\nSendEnv -LANG"), "||from here|||");
    assert_eq!(
        with("SetEnv GOOD_A=\"set there\"\nSendEnv GOOD_*"),
        "||set there|from here||"
    );
    assert_eq!(with("SetEnv GOOD_A=1 GOOD_B=2\nSetEnv GOOD_A=3"), "||1|2||");
}

/// What ssh would do with these would change the run, or nothing at all.
#[test]
fn remote_commands_are_refused_and_log_levels_left_alone() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let error = client.refuses("\nRemoteCommand uptime");
    assert!(
        error.contains("config:2: RemoteCommand: \"uptime\" is not supported: "),
        "{error}"
    );
    client.connect(&sshd, "RemoteCommand none");
    for level in ["QUIET", "DEBUG3"] {
        let session = client.connect(&sshd, &format!("LogLevel {level}"));
        assert_eq!(said(&session, "echo same"), "same\n");
    }
    let text = format!("Host t\n  Port 0x16\n{}", reaches(&sshd));
    let result = sshoal::ssh_config::SshConfig::builder(client.local())
        .text(text)
        .load();
    assert!(chain(&result.expect_err("is no port")).contains("ssh_config:2: Port"));
}
