//! What is refused, and how it is said.

use super::*;

#[test]
fn unknown_options_are_errors_unless_ignored_before() {
    let said = error("Host other\n Bogus 1", "h");
    assert_eq!(
        said,
        "ssh_config:2: bogus: unknown option: correct it, or name it in IgnoreUnknown"
    );
    assert_eq!(
        *lookup("IgnoreUnknown b*,X\nBogus 1\nx y\nPort 5", "h")
            .port
            .value(),
        5
    );
    assert!(error("Bogus 1\nIgnoreUnknown bogus", "h").contains(":1: bogus"));
    assert!(error("Host x\nIgnoreUnknown bogus\nHost *\nBogus 1", "h").contains(":4: bogus"));
    let config = SshConfig::builder(local())
        .option("IgnoreUnknown=bogus")
        .text("bogus 1")
        .load();
    assert!(config.unwrap().lookup(&host("h")).is_ok());
    let config = SshConfig::builder(local())
        .option("Bogus=1")
        .text("")
        .load();
    assert_eq!(
        chain(&config.unwrap_err()),
        said.replace("ssh_config:2", "command line")
    );
}

#[test]
fn what_ssh_forgot_is_left_alone() {
    let options = lookup(
        "Protocol 1\nUseRoaming x y\nRSAAuthentication yes\nPort 9",
        "h",
    );
    assert_eq!(*options.port.value(), 9);
}

#[test]
fn a_bad_line_is_an_error_for_every_host() {
    for (line, said) in [
        ("Port 0", "Port: \"0\" is no port, which is 1 to 65535"),
        ("Port 22 23", "Port: \"23\" follows the value"),
        ("Port", "Port: no value follows"),
        ("User \"a", "User: a quote is not closed"),
        (
            "StrictHostKeyChecking maybe",
            "\"maybe\" is no yes, no, ask or accept-new",
        ),
        ("Ciphers arcfour", "\"arcfour\" is no cipher"),
        (
            "Match bogus x",
            "Match: criterion \"bogus\" is not supported",
        ),
        ("Match user", "Match: criterion \"user\" needs an argument"),
        ("Include \"\"", "Include: the value is missing or empty"),
        ("Include %d/x", "Include: cannot include \"%d/x\": tokens"),
        (
            "IdentityAgent ${NOT_SET}",
            "environment variable \"NOT_SET\" is not set",
        ),
        ("ProxyJump a b", "bad character ' ' in host name"),
    ] {
        let said_so = error(format!("Host other\n{line}\n"), "h");
        assert!(
            said_so.starts_with("ssh_config:2: ") && said_so.contains(said),
            "{said_so}"
        );
    }
}

#[test]
fn a_bad_value_is_an_error_where_it_counts() {
    for (line, said) in [
        ("HostName a b", "follows the value"),
        ("HostName \"a b\"", "HostName: \"a b\" names no host"),
        (
            "HostName %p",
            "HostName: token %p cannot be used here: %h can",
        ),
        ("User a;b", "User: \"a;b\" names no host"),
        (
            "IdentityFile %t",
            "IdentityFile: token %t cannot be used here",
        ),
        (
            "IdentityFile ~nobody-at-all/x",
            "no user \"nobody-at-all\" has a home",
        ),
        (
            "UserKnownHostsFile ${NOT_SET}",
            "environment variable \"NOT_SET\" is not set",
        ),
        ("ConnectionAttempts 0", "\"0\" is no number of attempts"),
    ] {
        let said_so = error(line, "h");
        assert!(
            said_so.starts_with("ssh_config:1: ") && said_so.contains(said),
            "{said_so}"
        );
    }
    assert_eq!(
        *lookup("Host other\nIdentityFile %t\nHost *\nPort 5", "h")
            .port
            .value(),
        5
    );
}

#[test]
fn options_without_effect_here_are_refused_by_name() {
    for line in [
        "RemoteCommand ls",
        "CanonicalizeHostname yes",
        "CanonicalizeHostname always",
        "ChannelTimeout session=1m",
        "ForkAfterAuthentication yes",
        "KnownHostsCommand /bin/x",
        "GSSAPIAuthentication yes",
        "GSSAPIDelegateCredentials yes",
        "PKCS11Provider /x.so",
        "RequestTTY force",
        "RefuseConnection \"not today\"",
        "RemoteForward 1 a:2",
        "SessionType none",
        "SessionType subsystem",
        "Tunnel yes",
        "Tunnel ethernet",
        "VerifyHostKeyDNS yes",
    ] {
        let keyword = line.split(' ').next().unwrap();
        let said = error(format!("# x\n{line}"), "h");
        let begins = said.starts_with(&format!("ssh_config:2: {keyword}: "));
        assert!(begins && said.contains("is not supported: "), "{said}");
        assert_eq!(
            *lookup(&format!("Host x\n{line}\nHost *\nPort 5"), "h")
                .port
                .value(),
            5
        );
    }
    for text in [
        "RemoteCommand none",
        "CanonicalizeHostname no",
        "RequestTTY yes",
        "SessionType default",
        "Tunnel no",
        "VerifyHostKeyDNS ask",
        "PKCS11Provider none",
        "LocalForward 1 a:2",
        "GSSAPIAuthentication no",
        "UseKeychain yes",
        "HostbasedAuthentication yes",
        "ControlMaster auto",
        "ClearAllForwardings yes\nRemoteForward 1 a:2\nTunnel yes",
        "LocalCommand ls",
        "PermitLocalCommand yes",
        "ProxyUseFdpass yes",
        "ProxyUseFdpass yes\nProxyJump a",
        "ForwardX11 yes\nAddKeysToAgent yes",
    ] {
        assert_eq!(
            *lookup(&format!("{text}\nPort 5"), "h").port.value(),
            5,
            "{text}"
        );
    }
    let both = error("ProxyCommand nc\nProxyUseFdpass yes", "h");
    assert!(both.contains(":2: ProxyUseFdpass"), "{both}");
    let both = error("LocalCommand ls\nPermitLocalCommand yes", "h");
    assert!(both.contains(":1: LocalCommand"), "{both}");
}

#[test]
fn an_option_of_the_command_line_takes_back_what_is_refused() {
    let builder = SshConfig::builder(local()).option("RemoteCommand=none");
    let config = builder.text("RemoteCommand ls").load().unwrap();
    assert!(config.lookup(&host("h")).is_ok());
    for structure in ["Host=x", "Match=all", "Include=x"] {
        let result = SshConfig::builder(local())
            .option(structure)
            .text("")
            .load();
        assert!(chain(&result.unwrap_err()).contains("cannot be given on the command line"));
    }
}

#[test]
fn commands_of_match_are_run_only_with_leave() {
    let text =
        "Match host other exec \"test %h = h\"\n Port 1\nMatch exec \"test %h = h\"\n Port 2\n";
    let said = error(text, "h");
    assert!(
        said.contains("ssh_config:3: Match: would run \"test h = h\""),
        "{said}"
    );
    assert!(error(text, "other").contains(":1: Match: would run \"test other = h\""));
    let builder = SshConfig::builder(local())
        .text(text)
        .match_exec(MatchExec::Run);
    let config = builder.load().unwrap();
    assert_eq!(*config.lookup(&host("h")).unwrap().port.value(), 2);
    assert_eq!(*config.lookup(&host("x")).unwrap().port.value(), 22);
    let text = "Host x\nUser $(x)\nMatch exec \"id %r\"\nPort 1";
    assert!(error(text, "x").contains("%r is \"$(x)\", which is not safe"));
}

#[test]
fn a_local_network_is_matched_by_our_addresses() {
    let text = "Match localnetwork 10.0.0.0/8,fe80::/10\nPort 1\n";
    assert!(error(text, "h").contains("addresses of this machine are not known"));
    for (address, port) in [("10.1.2.3", 1), ("11.1.2.3", 22), ("fe80::1", 1)] {
        let local = local().with_addresses(vec![address.parse().unwrap()]);
        let config = SshConfig::builder(local).text(text).load().unwrap();
        assert_eq!(
            *config.lookup(&host("h")).unwrap().port.value(),
            port,
            "{address}"
        );
    }
}

#[test]
fn text_is_bounded_and_utf8() {
    assert!(error(vec![b'x'; (64 << 10) + 1], "h").contains(":1: line: line longer than"));
    let many = "\n".repeat(200_000);
    assert!(error(many, "h").contains("ssh_config: more than 200000 lines"));
    assert!(error(b"Port 1\nUser \xff".to_vec(), "h").contains(":2: line: line is not UTF-8"));
    assert!(error(b"User a\0b".to_vec(), "h").contains(":1: line: line is not UTF-8"));
    let config = SshConfig::builder(local())
        .text(b" # caf\xe9\nPort 5".to_vec())
        .load();
    assert_eq!(*config.unwrap().lookup(&host("h")).unwrap().port.value(), 5);
}
