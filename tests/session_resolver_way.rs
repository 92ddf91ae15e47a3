//! What ssh_config says of the way to a host, in effect: names, addresses, limits, jump hosts, commands.

mod support;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use rustix::net::sockopt;
use sshoal::ssh_config::{Local, SshConfig};
use sshoal::{Error, Kind, Phase, Resolver};
use support::{
    faults::{FullBacklog, Refused},
    sessions::{LATE, assert_failed, one_of_five},
    sockets::sockets_to,
    ssh_config::{Client, chain, reaches, said},
    sshd::Sshd,
};

#[test]
fn the_name_port_and_user_of_the_file_are_those_that_are_reached() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let session = client.connect(&sshd, "");
    let connection = said(&session, "echo $SSH_CONNECTION");
    let socket = format!(" {} {}\n", sshd.address(), sshd.port());
    assert!(connection.ends_with(&socket), "{connection}");
    assert_eq!(session.host().name(), "t");

    let error = client.fails(&sshd, "User no-such-user");
    assert_failed(&error, Phase::Auth, Kind::Denied);
    sshd.wait_for_log("user no-such-user", Duration::from_secs(10));
    let text = format!("Port 1\nUser no-such-user-either\n{}", reaches(&sshd));
    let host = format!("{}@t:{}", support::sshd::current_user(), sshd.port());
    client
        .try_connect(&text, &host)
        .expect("its own user and port go before the file's");
}

#[test]
fn connections_are_of_the_family_and_from_the_address_of_the_file() {
    let Some(sshd) = Sshd::builder()
        .first_address(Ipv4Addr::new(127, 5, 3, 1))
        .start()
    else {
        return;
    };
    let client = Client::new();
    let session = client.connect(&sshd, "BindAddress 127.5.3.77\nAddressFamily inet");
    let connection = said(&session, "echo $SSH_CONNECTION");
    assert!(connection.starts_with("127.5.3.77 "), "{connection}");
    let error = client.fails(&sshd, "AddressFamily inet6");
    assert_failed(&error, Phase::Resolve, Kind::UnknownHost);

    let said = client.refuses("\nBindAddress somewhere");
    assert!(
        said.contains("config:2: BindAddress somewhere: write an address"),
        "{said}"
    );
    let said = client.refuses("BindInterface lo");
    assert!(
        said.contains("config:1: BindInterface lo: ") && said.contains("use BindAddress"),
        "{said}"
    );
}

#[test]
fn a_host_that_does_not_answer_is_given_up_after_the_time_of_the_file() {
    let hole = FullBacklog::on(Ipv4Addr::new(127, 5, 3, 2));
    let (client, begun) = (Client::new(), Instant::now());
    let text = format!(
        "ConnectTimeout 1\nHostName {}\nPort {}\nUserKnownHostsFile none",
        hole.address().ip(),
        hole.address().port()
    );
    let error = client.try_connect(&text, "t").expect_err("times out");
    assert_failed(&error, Phase::Connect, Kind::Timeout);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < LATE, "{took:?}");
    let unlimited = client.config(&text.replace("Timeout 1", "Timeout none"), "t");
    assert_eq!(unlimited.expect("no limit").connect_timeout(), None);
}

#[test]
fn what_the_file_does_not_limit_may_be_left_to_the_system() {
    for (text, expected) in [
        ("Port 22", None),
        ("ConnectTimeout 3", Some(Duration::from_secs(3))),
    ] {
        let ssh_config = SshConfig::builder(Local::of_this_process().with_home("/nonexistent"));
        let ssh_config = ssh_config.text(text);
        let resolver = Resolver::builder(ssh_config.load().expect("the text is read"));
        let resolver = resolver.unsaid_connect_timeout(None).build();
        let config = resolver.config(&"t".parse().expect("a host"));
        assert_eq!(config.expect("a configuration").connect_timeout(), expected);
    }
}

#[test]
fn a_host_that_refuses_is_tried_as_often_as_the_file_says() {
    let refused = Refused::on(Ipv4Addr::new(127, 5, 3, 3));
    let (client, begun) = (Client::new(), Instant::now());
    let text = format!(
        "ConnectionAttempts 3\nHostName {}\nPort {}\nUserKnownHostsFile none",
        refused.address().ip(),
        refused.address().port()
    );
    let error = client.try_connect(&text, "t").expect_err("is refused");
    assert_failed(&error, Phase::Connect, Kind::Refused);
    // A second lies between two attempts.
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < LATE, "{took:?}");
}

#[test]
fn bytes_are_compressed_where_the_file_says_so() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    for (text, expected) in [
        ("Compression yes", "zlib@openssh.com"),
        ("Compression no", "none"),
        ("", "none"),
    ] {
        let agreed = client.connect(&sshd, text).algorithms().expect("is open");
        assert_eq!(
            (
                agreed.compression_in.as_str(),
                agreed.compression_out.as_str()
            ),
            (expected, expected)
        );
    }
}

/// The system's probes have the times of the signs of life, and are off where the file says so.
#[test]
fn signs_of_life_are_asked_for_as_the_file_says() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let probes = |text: &str| {
        let session = client.connect(&sshd, text);
        let sockets = sockets_to(sshd.socket());
        let socket = sockets.last().expect("is connected");
        let found = (
            sockopt::socket_keepalive(socket).expect("says so"),
            sockopt::tcp_keepidle(socket).expect("says so").as_secs(),
        );
        drop(session);
        found
    };
    let (on, idle) = probes("ServerAliveInterval 7\nServerAliveCountMax 4");
    assert!(on && idle <= 7 * 4, "{idle}");
    let (on, idle) = probes("ServerAliveInterval 0");
    assert!(on && idle > 60, "the system's own times hold: {idle}");
    assert!(!probes("TCPKeepAlive no").0);
    // Silence is found out, and a count of 0 is as good as 1. A machine that stands still for a second looks silent before.
    for text in [
        "ServerAliveInterval 1\nServerAliveCountMax 1",
        "ServerAliveInterval 1\nServerAliveCountMax 0",
    ] {
        let round = || {
            let session = client.connect(&sshd, text);
            let error = session
                .command("kill -STOP $PPID; sleep 30")
                .output()
                .expect_err("goes silent");
            for daemon in sshd.daemons() {
                daemon.signal_tree(rustix::process::Signal::CONT);
            }
            assert_eq!(error.kind(), Kind::Stalled, "{error:?}");
            error.phase()
        };
        one_of_five(round, |phase| *phase == Phase::Run);
    }
}

/// Three servers; the jump host's own section names the one before it, and the command line is for the target alone.
#[test]
fn jump_hosts_have_sections_and_jump_hosts_of_their_own() {
    let start = |last: u8| {
        let builder = Sshd::builder().first_address(Ipv4Addr::new(127, 5, 4, last));
        builder.log_level("VERBOSE").start()
    };
    let (Some(first), Some(second), Some(target)) = (start(1), start(2), start(3)) else {
        return;
    };
    let sections = |jump: &str| {
        let mut text = String::new();
        for (name, sshd, more) in [
            ("first", &first, ""),
            ("second", &second, "ProxyJump first"),
            ("t", &target, jump),
        ] {
            text += &reaches(sshd).replace("Host *", &format!("Host {name}\n  {more}"));
        }
        text
    };
    for jump in ["ProxyJump second", "ProxyJump first,second"] {
        let (at_first, at_second) = (first.log_mark(), second.log_mark());
        let session = Client::new().try_connect(&sections(jump), "t").expect(jump);
        let connection = said(&session, "echo $SSH_CONNECTION");
        let socket = format!(" {} {}\n", target.address(), target.port());
        assert!(connection.ends_with(&socket), "{connection}");
        assert_eq!(
            first.log()[at_first..]
                .matches("Accepted publickey")
                .count(),
            1,
            "{jump}"
        );
        assert_eq!(
            second.log()[at_second..]
                .matches("Accepted publickey")
                .count(),
            1,
            "{jump}"
        );
    }
    // `none` keeps a later section from naming one; so does the command line, for the target.
    let at_second = second.log_mark();
    let both = format!("Host t\n  ProxyJump none\n{}", sections("ProxyJump second"));
    Client::new().try_connect(&both, "t").expect("directly");
    assert!(!second.log()[at_second..].contains("Connection from"));

    // Options of the command line are not the jump host's: this port is nobody's there.
    let client = Client::new().option(&format!("Port={}", target.port()));
    let text =
        sections("ProxyJump second").replace(&format!("Port {}\n", target.port()), "Port 1\n");
    client
        .try_connect(&text, "t")
        .expect("the port is the target's alone");
}

#[test]
fn jump_hosts_that_lead_in_a_circle_are_errors() {
    let client = Client::new();
    let said = client.refuses("Host t\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a");
    assert!(
        said.contains("config:6: ProxyJump goes in a circle: t, a, b"),
        "{said}"
    );
    assert!(said.contains("ProxyJump none"), "{said}");
    let said = client.refuses("Host *\n  ProxyJump t");
    assert!(
        said.contains("config:2: ProxyJump: t would be reached through itself"),
        "{said}"
    );
    // A chain that comes by two names for one host ends as well.
    let mut text = String::new();
    for number in 0..40 {
        text += &format!("Host h{number}\n  ProxyJump h{}\n", number + 1);
    }
    let config = client.config(&text, "h0");
    let said = chain(&config.expect_err("is too long"));
    assert!(said.contains("circle"), "{said}");
}

#[test]
fn a_command_is_the_way_with_its_tokens_replaced() {
    let Some(sshd) = Sshd::start() else { return };
    let client = Client::new();
    let noted = client.home().join("noted");
    let script = format!(
        "echo \"$*\" > {}\nexec ssh -F none -o BatchMode=yes -o UserKnownHostsFile={} -i {} -p {} -W \"$1:$2\" \"$3@{}\"\n",
        noted.display(),
        sshd.known_hosts_path().display(),
        sshd.key_path().display(),
        sshd.port(),
        sshd.address()
    );
    let script = client.write("way", &script);
    let command = format!("ProxyCommand sh {} %h %p %r %n '%%'", script.display());
    let session = client.connect(&sshd, &command);
    assert_eq!(said(&session, "echo through"), "through\n");
    let expected = format!("{} {} {} t %\n", sshd.address(), sshd.port(), sshd.user());
    assert_eq!(std::fs::read_to_string(&noted).expect("was run"), expected);

    std::fs::remove_file(&noted).expect("was written");
    client.connect(&sshd, &format!("ProxyCommand none\n{command}"));
    client.connect(&sshd, &format!("ProxyJump none\n{command}"));
    assert!(!noted.exists(), "no command is run");
    let error = client.fails(&sshd, "ProxyCommand echo no way >&2; exit 1");
    assert!(matches!(error, Error::ProxyCommand(_)), "{error:?}");
}
