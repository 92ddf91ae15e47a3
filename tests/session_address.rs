//! From where, to where and how often a host is connected to.

mod support;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use rustix::net::getsockname;
use sshoal::{AddressFamily, Error, Host, Kind, Phase, Session};
use support::{
    faults::Refused,
    sessions::{
        LATE, assert_failed, config_for, config_knowing, connect_with, fails, host, one_of_five,
    },
    sockets::sockets_to,
    sshd::{Sshd, known_hosts_line},
};

#[test]
fn connections_come_from_the_address_that_is_asked_for() {
    let first = Ipv4Addr::new(127, 5, 2, 1);
    let Some(sshd) = Sshd::builder().first_address(first).start() else {
        return;
    };
    let from = IpAddr::from(Ipv4Addr::new(127, 5, 2, 77));
    let sessions: Vec<_> = (0..3)
        .map(|_| connect_with(&sshd, config_for(&sshd).bind_address(from)))
        .collect();
    let sockets = sockets_to(sshd.socket());
    assert_eq!(sockets.len(), sessions.len());
    for socket in sockets {
        let name = getsockname(socket).expect("has a name");
        let name = SocketAddr::try_from(name).expect("of the Internet");
        assert_eq!(name.ip(), from);
    }
    // One that is not this machine's: told at once, and not as a want that passes.
    let elsewhere = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
    let config = config_for(&sshd).bind_address(elsewhere).build();
    let config = config.expect("a whole configuration");
    let (error, took) = fails(&host(sshd.socket()), &config, 60_000);
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(took < LATE, "{took:?}");
    let Error::Connect { source, .. } = error else {
        return;
    };
    assert!(source.to_string().contains("192.0.2.1"), "{source}");
}

/// A name of both families: `localhost`, as the hosts file of this machine has it.
#[test]
fn only_addresses_of_the_family_asked_for_are_tried() {
    let Some(sshd) = Sshd::start() else { return };
    let v6 = host(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), sshd.port()));
    for (host, family) in [
        (host(sshd.socket()), AddressFamily::V6),
        (v6, AddressFamily::V4),
    ] {
        let config = config_for(&sshd).address_family(family).build();
        let (error, _) = fails(&host, &config.expect("a whole configuration"), 10_000);
        assert_failed(&error, Phase::Resolve, Kind::UnknownHost);
        let Error::Resolve { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().contains("family"), "{source}");
    }
    let config = config_for(&sshd).address_family(AddressFamily::V4);
    connect_with(&sshd, config);
}

/// The host keeps its own name; what is connected to, and whose key is looked for, is the other one.
#[test]
fn another_name_stands_in_for_the_hosts_own() {
    let Some(sshd) = Sshd::start() else { return };
    let known = known_hosts_line(sshd.address(), sshd.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).host_name(sshd.address().to_string());
    let config = config.build().expect("a whole configuration");
    let alias = Host::new("no-such-name.invalid").expect("a name");
    let alias = alias.with_port(sshd.port()).expect("above zero");
    let session = Session::connect(&alias, &config).expect("connects");
    assert_eq!(session.host().name(), "no-such-name.invalid");
    assert!(
        session
            .command("true")
            .output()
            .expect("runs")
            .exit
            .is_success()
    );
}

/// An IPv6 address with a zone; link-local addresses need one.
#[test]
fn a_zone_is_taken_with_the_address() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // A machine without IPv6.
        return;
    }
    let loopback = Ipv6Addr::LOCALHOST.into();
    let Some(sshd) = Sshd::builder().also_on(loopback).start() else {
        return;
    };
    let known = format!("* {}\n", sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).build();
    let config = config.expect("a whole configuration");
    let at = |name: &str| {
        let host = Host::new(name).expect("a name");
        host.with_port(sshd.port()).expect("above zero")
    };
    Session::connect(&at("::1%lo"), &config).expect("connects");
    let (error, _) = fails(&at("fe80::1%nothing"), &config, 10_000);
    assert_failed(&error, Phase::Resolve, Kind::UnknownHost);
}

/// A port that nobody listens on yet: each try is a second after the other, and one that comes after the server is
/// there succeeds.
#[test]
fn a_host_is_tried_as_often_as_is_asked_for() {
    let Some(sshd) = Sshd::start() else { return };
    let refused = Refused::on(Ipv4Addr::new(127, 5, 2, 2));
    let attempts = |count| NonZeroU32::new(count).expect("above zero");
    let config = config_for(&sshd).connection_attempts(attempts(3)).build();
    let config = config.expect("a whole configuration");
    // A fourth attempt would come a second later, each time; what else the machine does comes once in a while.
    let round = || {
        let (error, took) = fails(&host(refused.address()), &config, 60_000);
        assert_failed(&error, Phase::Connect, Kind::Refused);
        assert!(took >= Duration::from_secs(2), "{took:?}");
        took
    };
    one_of_five(round, |took| *took < Duration::from_secs(3));
    // The connect timeout goes on over all of them.
    let many = config_for(&sshd).connection_attempts(attempts(100)).build();
    let many = many.expect("a whole configuration");
    let (error, took) = fails(&host(refused.address()), &many, 1_500);
    assert_failed(&error, Phase::Connect, Kind::Timeout);
    assert!(took < LATE, "{took:?}");
    let begun = Instant::now();
    Session::connect(&host(sshd.socket()), &config).expect("connects at once");
    assert!(begun.elapsed() < LATE);
}
