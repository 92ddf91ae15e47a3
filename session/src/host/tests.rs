//! Tables of host specs and hosts files, and the round trip through text.

use proptest::prelude::*;

use super::lines::LINE_BYTES_MAX;
use super::*;

type Parts<'a> = (&'a str, Option<u16>, Option<&'a str>);

#[track_caller]
fn check(spec: &str, (name, port, user): Parts<'_>) {
    let host: Host = spec.parse().unwrap_or_else(|e| panic!("{spec}: {e}"));
    assert_eq!(
        (host.name(), host.port(), host.user()),
        (name, port, user),
        "{spec}"
    );
    assert_eq!(host.to_string().parse(), Ok(host), "{spec}");
}

#[track_caller]
fn refuse(spec: &str, message: &str) {
    let error = spec.parse::<Host>().expect_err(spec);
    assert_eq!(error.to_string(), message, "{spec:?}");
}

#[test]
fn reads_every_form_of_a_spec() {
    check("web1", ("web1", None, None));
    check("Web1.Example.COM", ("Web1.Example.COM", None, None));
    check("web1:2222", ("web1", Some(2222), None));
    check("root@web1", ("web1", None, Some("root")));
    check("root@web1:1", ("web1", Some(1), Some("root")));
    check("a@corp@web1:65535", ("web1", Some(65535), Some("a@corp")));
    check("CORP\\a@web1", ("web1", None, Some("CORP\\a")));
    check("127.0.0.1:22", ("127.0.0.1", Some(22), None));
    check("::1", ("::1", None, None));
    check("[::1]", ("::1", None, None));
    check("[::1]:22", ("::1", Some(22), None));
    check(
        "root@[fe80::1%eth0]:22",
        ("fe80::1%eth0", Some(22), Some("root")),
    );
    check("fe80::1%eth0", ("fe80::1%eth0", None, None));
    check("[web1]:22", ("web1", Some(22), None));
    check("web1:0022", ("web1", Some(22), None));
    check("ssh://web1", ("web1", None, None));
    check("ssh://root@web1:2222/", ("web1", Some(2222), Some("root")));
    check("ssh://[::1]:22", ("::1", Some(22), None));
}

#[test]
fn refuses_what_names_no_host() {
    refuse("", "the host name is empty");
    refuse("root@", "the host name is empty");
    refuse(":22", "the host name is empty");
    refuse("[]:22", "the host name is empty");
    refuse("@web1", "the user is empty");
    refuse("web1:", "port \"\" is not a number");
    refuse("web1:ssh", "port \"ssh\" is not a number");
    refuse("web1:+22", "port \"+22\" is not a number");
    refuse("web1:-1", "port \"-1\" is not a number");
    refuse("web1:0", "port 0 is not between 1 and 65535");
    refuse("web1:70000", "port 70000 is not between 1 and 65535");
    refuse(
        "web1:99999999999999999999",
        "port 99999999999999999999 is not between 1 and 65535",
    );
    refuse("[::1", "unbalanced brackets in \"[::1\"");
    refuse("[::1]22", "unbalanced brackets in \"[::1]22\"");
    refuse("::1]", "bad character ']' in host name \"::1]\"");
    refuse(
        "a:b:c",
        "\"a:b:c\" is neither host:port nor an IPv6 address",
    );
    refuse(
        "[a:b]:22",
        "\"a:b\" is neither host:port nor an IPv6 address",
    );
    refuse(
        "fe80::1%",
        "\"fe80::1%\" is neither host:port nor an IPv6 address",
    );
    refuse(&"a".repeat(256), "longer than 255 bytes");
    refuse(
        "-oProxyCommand=x",
        "bad character '-' in host name \"-oProxyCommand=x\"",
    );
    refuse("-l@web1", "bad character '-' in user \"-l\"");
    refuse(
        "\u{feff}a@web1",
        "bad character '\\u{feff}' in user \"\\u{feff}a\"",
    );
    refuse("a b@web1", "bad character ' ' in user \"a b\"");
    refuse("a;b@web1", "bad character ';' in user \"a;b\"");
    refuse("a\\@web1", "bad character '\\\\' in user \"a\\\\\"");
}

#[test]
fn refuses_passwords_without_a_word_of_them() {
    for spec in [
        "root:s3cret@web1",
        "root:s3cret@web1:0",
        "root:s3;cret@we;b1",
        "root:s3@cret@web1",
        "ssh://root:s3cret@web1",
        "web1 root:s3cret",
        ":s3cret@web1",
    ] {
        let error = parse_hosts_file(spec, "f").expect_err(spec);
        assert_eq!(error.source, HostError::Password, "{spec}");
        assert!(!error.source.to_string().contains("s3"), "{spec}");
    }
    // A jump host for others may be told by the user whom to reach; that is no text of a list.
    let host = Host::new("gate").unwrap().with_user("ann:web1").unwrap();
    assert_eq!(host.user(), Some("ann:web1"));
}

#[test]
fn refuses_other_uris() {
    let other = "leads to no host of SSH: write [user@]host[:port]";
    refuse("http://web1", &format!("http:// {other}"));
    refuse("sftp://root@web1:22", &format!("sftp:// {other}"));
    refuse("ssh://", "the host name is empty");
    refuse(
        "ssh://web1/srv",
        "bad character '/' in host name \"web1/srv\"",
    );
    refuse("ssh://web1:22/srv", "port \"22/srv\" is not a number");
}

#[test]
fn refuses_characters_with_a_meaning_elsewhere() {
    for character in " \t\r\n\0\x1b\u{7f}\u{9b}\u{202e},*?!|#/\\'\"`$;&<>(){}=".chars() {
        let name = format!("a{character}b");
        let error = HostError::BadNameCharacter {
            text: name.clone(),
            character,
        };
        assert_eq!(Host::new(name), Err(error));
    }
}

#[test]
fn setters_check_like_the_parser() {
    let host = Host::new("web1").unwrap();
    assert_eq!(
        host.clone()
            .with_port(22)
            .unwrap()
            .with_user("u")
            .unwrap()
            .to_string(),
        "u@web1:22"
    );
    assert_eq!(
        host.clone().with_port(0).unwrap_err(),
        HostError::PortOutOfRange { text: "0".into() }
    );
    assert_eq!(host.with_user("").unwrap_err(), HostError::EmptyUser);
}

#[test]
fn reads_hosts_files_with_comments_and_second_fields() {
    let text = "\u{feff}# fleet\r\n\r\nweb1\r\n  root@web2:22  # second\nweb3:24\tadmin\nweb4 # x\n\
                u@web5 u\n[::1]:22 root#x\n";
    let error = parse_hosts_file(text, "f").unwrap_err();
    assert_eq!(error.to_string(), "f:8");
    assert_eq!(
        error.source.to_string(),
        "bad character '#' in user \"root#x\""
    );
    let text = text.replace("#x", " #x");
    let hosts: Vec<_> = parse_hosts_file(text, "f")
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        hosts,
        [
            "web1",
            "root@web2:22",
            "admin@web3:24",
            "web4",
            "u@web5",
            "root@[::1]:22"
        ]
    );
}

#[test]
fn names_the_bad_line_of_a_hosts_file() {
    #[track_caller]
    fn fail(text: &[u8], line: usize, source: HostError) {
        let error = parse_hosts_file(text, "hosts").unwrap_err();
        assert_eq!(
            error,
            HostsFileError {
                origin: "hosts".into(),
                line,
                source
            }
        );
    }
    fail(
        b"a\nb:0\n",
        2,
        HostError::PortOutOfRange { text: "0".into() },
    );
    fail(b"a b c", 1, HostError::TooManyFields { text: "c".into() });
    fail(b"\n\xff\n", 2, HostError::NotUtf8);
    fail(
        b"x@a y",
        1,
        HostError::TwoUsers {
            first: "x".into(),
            second: "y".into(),
        },
    );
    fail(
        &[b'a'; 5000],
        1,
        HostError::TooLong {
            max: LINE_BYTES_MAX,
        },
    );
    assert_eq!(parse_hosts_file("", "hosts"), Ok(Vec::new()));
}

/// Reads a line of a hosts file; returns the host and its options.
#[track_caller]
fn line(text: &str) -> (String, Vec<String>) {
    let lines = parse_host_lines(text, "hosts").unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let [line] = lines.as_slice() else {
        panic!("{text}: {lines:?}")
    };
    let options = line.options.iter().map(|option| option.text().to_owned());
    (line.host.to_string(), options.collect())
}

#[test]
fn reads_the_options_of_a_line() {
    #[track_caller]
    fn check(text: &str, host: &str, options: &[&str]) {
        assert_eq!(
            line(text),
            (
                host.to_owned(),
                options.iter().map(ToString::to_string).collect()
            )
        );
    }
    check("web1", "web1", &[]);
    check("web1 Port=2222 # web2", "web1", &["Port=2222"]);
    check(
        "web1:22 bob\tPort=2222  User=ann",
        "bob@web1:22",
        &["Port=2222", "User=ann"],
    );
    check(
        "web1 ProxyJump=none Compression=no",
        "web1",
        &["ProxyJump=none", "Compression=no"],
    );
    let key = "IdentityFile=\"~/my keys/#1\"";
    check(&format!("web1 {key} Port=1"), "web1", &[key, "Port=1"]);
    let command = "ProxyCommand='nc -x \"a b\" %h %p'";
    check(&format!("web1 {command}\r"), "web1", &[command]);
    check(
        "web1 SetEnv=A=\\\" IdentityFile=a\\ b",
        "web1",
        &["SetEnv=A=\\\"", "IdentityFile=a\\ b"],
    );
    check("web1 SetEnv=A=b#c", "web1", &["SetEnv=A=b#c"]);
    let lines = parse_host_lines("# first\nweb1 Port=1\n", "hosts").unwrap();
    assert_eq!(lines[0].options[0].origin().to_string(), "hosts:2");
}

#[test]
fn refuses_fields_that_are_no_options() {
    #[track_caller]
    fn fail(text: &str, source: HostError) {
        assert_eq!(
            parse_host_lines(text, "f").unwrap_err().source,
            source,
            "{text}"
        );
    }
    let field = |text: &str| HostError::TooManyFields { text: text.into() };
    fail("web1 Port=1 bob", field("bob"));
    fail("web1 bob =1", field("=1"));
    fail("web1 bob a-b=1", field("a-b=1"));
    fail("web1 IdentityFile=\"a b", HostError::UnbalancedQuote);
    let long = format!("web1 Tag={}", "x".repeat(LINE_BYTES_MAX));
    fail(
        &long,
        HostError::TooLong {
            max: LINE_BYTES_MAX,
        },
    );
    assert_eq!(line(&format!("web1 # {long}")).0, "web1");
    // Who does not read options must not go on without them.
    let text = "Port=1".to_owned();
    let error = parse_hosts_file("web1 Port=1", "f").unwrap_err();
    assert_eq!(error.source, HostError::Option { text });
}

proptest! {
    #[test]
    fn hosts_and_options_are_divided_as_they_were_joined(
        values in proptest::collection::vec("[a-z \"'#=\\\\]{0,8}", 0..4),
        blank in "[ \t]{1,3}",
    ) {
        use crate::ssh_config::quote;
        let options: Vec<_> = values.iter().map(|value| format!("Tag={}", quote(value))).collect();
        let text = [&["web1".to_owned()], options.as_slice()].concat().join(&blank);
        prop_assert_eq!(line(&text), ("web1".to_owned(), options));
    }

    #[test]
    fn text_form_parses_to_itself(spec in "([a-z\\\\@.]{1,6}@)?(\\[?[a-z0-9.:%]{1,12}\\]?)(:[0-9]{1,5})?") {
        if let Ok(host) = spec.parse::<Host>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
    }

    #[test]
    fn built_hosts_parse_back(
        name in prop_oneof!["[a-zA-Z0-9][a-zA-Z0-9.-]{0,20}", any::<Ipv6Addr>().prop_map(|a| a.to_string())],
        port in proptest::option::of(1..=u16::MAX),
        user in proptest::option::of("[a-z@.][a-z0-9@.-]{0,10}"),
    ) {
        let mut host = Host::new(name).unwrap();
        if let Some(port) = port {
            host = host.with_port(port).unwrap();
        }
        if let Some(user) = user {
            host = host.with_user(user).unwrap();
        }
        prop_assert_eq!(host.to_string().parse(), Ok(host));
    }

    #[test]
    fn any_text_is_read_or_refused(spec in any::<String>()) {
        let _ = spec.parse::<Host>();
        let lines = parse_host_lines(&spec, "f");
        // Both read the same hosts, where both read anything.
        if let Ok(hosts) = parse_hosts_file(spec, "f") {
            let lines: Vec<_> = lines.unwrap().into_iter().map(|line| line.host).collect();
            prop_assert_eq!(hosts, lines);
        }
    }
}
