//! One fleet whose hosts differ in every option of their configuration, against OpenSSH servers.

mod support;

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Config, ConfigBuilder, Fleet, Host, HostKeyPolicy, Kind, Outcome, Phase, PoolError};
use support::{
    client,
    faults::Silent,
    keys::generate_key,
    proxy::Proxy,
    sessions::{LATE, config_for, config_knowing, host_keys, identity, resident_kib},
    sshd::{Sshd, known_hosts_line},
};

/// Longer than anything here takes, on a busy machine too.
const LONG: Duration = Duration::from_secs(60);

fn built(config: ConfigBuilder) -> Arc<Config> {
    Arc::new(config.build().expect("a whole configuration"))
}

/// A host by its address alone: port and user come from its configuration.
fn bare(sshd: &Sshd) -> Host {
    Host::new(sshd.address().to_string()).expect("an address is a name")
}

#[track_caller]
fn assert_end(outcome: &Outcome, phase: Phase, kind: Kind) {
    let end = outcome.end();
    assert_eq!(
        (end.phase(), end.kind()),
        (Some(phase), Some(kind)),
        "{end}"
    );
}

/// Two servers on one address, each with a port, a key and host keys of its own, and one host that names another user:
/// each host has its own, and with the other's none is let in.
#[test]
fn hosts_differ_in_port_identity_user_and_host_keys() {
    let (Some(a), Some(b)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    assert_eq!((a.address(), bare(&a)), (b.address(), bare(&b)));
    let (to_a, to_b) = (
        built(config_for(&a).port(a.port())),
        built(config_for(&b).port(b.port())),
    );
    let stranger = built(config_for(&b).port(b.port()).user("nobody-here"));
    let swapped = Config::builder(host_keys(HostKeyPolicy::Strict, &a.known_hosts()));
    let swapped = swapped.identity(identity(&b.key_path()));
    let swapped = built(swapped.user(a.user()).port(a.port()));
    let unknown = built(config_knowing(&b, "").port(b.port()));
    let configs = [
        to_a.clone(),
        to_b.clone(),
        stranger,
        swapped,
        unknown,
        to_a,
        to_b,
    ];
    let hosts = vec![bare(&a); configs.len()];
    let default = built(config_knowing(&a, "").port(1).user("default"));
    let fleet = Fleet::builder(hosts, default).configs(configs);
    let fleet = fleet.connect_timeout(Some(LONG)).build().unwrap();
    let report = fleet
        .run("set -- $SSH_CONNECTION; echo $4")
        .unwrap()
        .report();
    for (index, server) in [(0, &a), (1, &b), (5, &a), (6, &b)] {
        assert!(report[index].is_success(), "{}", report[index].end());
        let port = report[index].stdout().text().unwrap();
        assert_eq!(port, format!("{}\n", server.port()));
    }
    assert_end(&report[2], Phase::Auth, Kind::Denied);
    assert_end(&report[3], Phase::Auth, Kind::Denied);
    assert_end(&report[4], Phase::HostKey, Kind::HostKeyUnknown);
    b.wait_for_log("Invalid user nobody-here from ", LONG);
    assert!(!a.log().contains("nobody-here"));
    assert!(!a.log().contains("user default") && !b.log().contains("user default"));
}

/// What a host says of itself, its user and port, goes before its configuration, which goes before the fleet's.
#[test]
fn a_hosts_own_words_go_before_its_configuration() {
    let Some(sshd) = Sshd::start() else { return };
    let wrong = built(config_for(&sshd).port(1).user("nobody-here"));
    let host = bare(&sshd).with_port(sshd.port()).unwrap();
    let host = host.with_user(sshd.user()).unwrap();
    let default = built(config_for(&sshd).port(2));
    let fleet = Fleet::builder(vec![host], default).configs([wrong]);
    let report = fleet.build().unwrap().run("true").unwrap().report();
    assert!(report.is_success(), "{}", report[0].end());
}

#[test]
fn hosts_differ_in_ciphers() {
    let Some(sshd) = Sshd::builder().addresses(4).start() else {
        return;
    };
    let ciphers = [
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes128-ctr",
        "aes256-gcm@openssh.com",
    ];
    let configs = ciphers.map(|cipher| built(config_for(&sshd).ciphers(cipher)));
    let default = built(config_for(&sshd).ciphers("aes192-ctr"));
    let fleet = Fleet::builder(sshd.targets(), default).configs(configs);
    let fleet = fleet.connect_timeout(Some(LONG)).build().unwrap();
    let used = fleet.each(|host| host.session().algorithms().map(|agreed| agreed.cipher_in));
    for (visited, cipher) in used.in_order().into_iter().zip(ciphers) {
        assert_eq!(visited.into_result().unwrap().unwrap(), cipher);
    }
}

/// Silent hosts time out by their own limits, not the fleet's; a host without any, over a fleet that has one, waits for
/// a network that is slower than that.
#[test]
fn hosts_differ_in_timeouts_and_none_is_a_value() {
    let Some(sshd) = Sshd::start() else { return };
    let ms = Duration::from_millis;
    let silent = [1, 2].map(|last| Silent::on(Ipv4Addr::new(127, 7, 0, last)));
    let slow = Proxy::to(sshd.socket()).round_trip(ms(200)).start();
    let known = |address: std::net::SocketAddr| {
        known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0])
    };
    let base = config_knowing(&sshd, &known(slow.address()));
    let default = built(base.clone().connect_timeout(Some(ms(300))));
    let limits = [Some(ms(200)), Some(ms(900)), None, Some(ms(300))];
    let configs = limits.map(|limit| built(base.clone().connect_timeout(limit)));
    let sockets = [
        silent[0].address(),
        silent[1].address(),
        slow.address(),
        slow.address(),
    ];
    let hosts = sockets.map(client::host);
    let begun = Instant::now();
    let fleet = Fleet::builder(hosts.clone(), default.clone()).configs(configs);
    let report = fleet.build().unwrap().run("true").unwrap().report();
    for index in [0, 1, 3] {
        let outcome = &report[index];
        assert_eq!(
            outcome.end().kind(),
            Some(Kind::Timeout),
            "{}",
            outcome.end()
        );
        let limit = limits[index].unwrap();
        let took = outcome.duration();
        assert!(
            took >= limit && took < limit + LATE,
            "{took:?} instead of {limit:?}"
        );
    }
    assert!(report[0].duration() < report[1].duration());
    assert!(report[2].is_success(), "{}", report[2].end());
    assert!(begun.elapsed() > ms(900));
    let fleet = Fleet::builder(hosts, default).build().unwrap();
    assert_eq!(
        fleet.run("true").unwrap().report().counts().failed,
        4,
        "the fleet's own limit is too short"
    );
}

/// Credentials of one host go to no other: with `None` over a default that would let in, nobody is let in.
#[test]
fn a_host_without_credentials_does_not_get_the_fleets() {
    let Some(sshd) = Sshd::builder().addresses(2).start() else {
        return;
    };
    let none = Config::builder(host_keys(HostKeyPolicy::Strict, &sshd.known_hosts()));
    let none = built(none.user(sshd.user()).keepalive(None));
    let other = sshd.scratch().join("other");
    generate_key(&other, "ed25519");
    let wrong = built(client::config(&sshd.known_hosts(), &other).user(sshd.user()));
    let fleet = Fleet::builder(sshd.targets(), built(config_for(&sshd))).configs([none, wrong]);
    let fleet = fleet.connect_timeout(Some(LONG)).build().unwrap();
    let report = fleet.run("true").unwrap().report();
    for outcome in &report {
        assert_end(outcome, Phase::Auth, Kind::Denied);
    }
    assert!(!sshd.log().contains("Accepted publickey"));
}

#[test]
fn a_wrong_number_of_configurations_is_refused_by_both_numbers() {
    let config = Config::builder(host_keys(HostKeyPolicy::Strict, ""));
    let config = built(config.user("u"));
    let hosts = ["a", "b", "c"].map(|name| Host::new(name).unwrap());
    let fleet = Fleet::builder(hosts, config.clone()).configs(vec![config; 4]);
    let error = fleet.build().unwrap_err();
    assert!(matches!(
        error,
        PoolError::ConfigCount {
            configs: 4,
            hosts: 3,
            ..
        }
    ));
    let text = error.to_string();
    assert!(text.contains("4 ") && text.contains("3 "), "{text}");
}

/// Ten thousand hosts with two configurations between them cost their pointers, not their options.
#[test]
fn ten_thousand_configurations_are_pointers() {
    const HOSTS: usize = 10_000;
    let config = |user: &str| {
        let config = Config::builder(host_keys(HostKeyPolicy::Strict, ""));
        built(config.user(user))
    };
    let (a, b) = (config("a"), config("b"));
    let hosts: Vec<Host> = (0..HOSTS)
        .map(|n| Host::new(format!("h{n}")).unwrap())
        .collect();
    let before = resident_kib();
    let configs: Vec<_> = (0..HOSTS).map(|n| Arc::clone([&a, &b][n % 2])).collect();
    let fleet = Fleet::builder(hosts, a.clone())
        .configs(configs)
        .build()
        .unwrap();
    let grown = resident_kib().saturating_sub(before);
    assert_eq!(fleet.pool().config(9_999).user(), "b");
    assert_eq!(Arc::strong_count(&b), 1 + HOSTS / 2, "shared, not copied");
    // The list of pointers is 80 KB; what remains is the schedule, the names' destinations and the allocator's own.
    assert!(grown < 4_096, "{grown} KiB for {HOSTS} hosts");
}
