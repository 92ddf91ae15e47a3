//! Getting in: what is tried, as whom, and how each failure is told.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use sshoal::{AddressFamily, Config, Fleet, Host, HostKeyPolicy, Kind, Phase, Session};

use super::server;
use crate::support::{
    client,
    faults::{Refused, Silent},
    fleet::EmbeddedFleet,
    keys::generate_key,
    sessions::{fleet_host, fleet_host_keys, host_keys, identity},
    sshd::{Sshd, current_user},
};

/// Goal: where a key is given, and refused, what else is given is tried. Method: a key that the host
/// does not know, and its password.
#[test]
fn a_key_that_is_refused_gives_way_to_the_password() {
    let servers = EmbeddedFleet::with_args(1, &["--password", "sesame"]);
    let folder = tempfile::tempdir().expect("makes a directory");
    let key = folder.path().join("other");
    generate_key(&key, "ed25519");
    let config = Config::builder(fleet_host_keys(&servers))
        .user("tester")
        .port(servers.port())
        .identity(identity(&key))
        .password("sesame".to_owned().into())
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&fleet_host(&servers, 0), &config).expect("connects");
    let output = session.command("echo in").output().expect("runs");
    assert_eq!(output.stdout, b"in\n");
    assert_eq!(servers.count("auth_password"), 1);
}

#[test]
fn without_a_name_the_user_is_the_local_one() {
    let Some(sshd) = server(1) else { return };
    let config = client::config(&sshd.known_hosts(), &sshd.key_path());
    let config = config.build().expect("a whole configuration");
    let session = Session::connect(&client::host(sshd.socket()), &config).expect("connects");
    let output = session.command("id -un").output().expect("runs");
    assert_eq!(output.stdout, format!("{}\n", current_user()).into_bytes());
}

/// Goal: each way not to get in is told by phase and kind, none by a library's own words alone, and
/// with its host and port. Method: one fleet of hosts that fail, each in its own way, and one that
/// does not.
#[test]
fn each_failure_is_told_by_its_phase_its_kind_and_its_host() {
    let Some(sshd) = server(1) else { return };
    let builder = Sshd::builder().first_address(Ipv4Addr::new(127, 2, 80, 1));
    let Some(unknown) = builder.log_level("INFO").start() else {
        return;
    };
    let refused = Refused::on(Ipv4Addr::new(127, 2, 80, 2));
    let silent = Silent::on(Ipv4Addr::new(127, 2, 80, 3));
    let garbage = Silent::after(
        Ipv4Addr::new(127, 2, 80, 4),
        b"SSH-2.0-x\r\nGarbage in place of packets.",
    );
    let base = client::config(&sshd.known_hosts(), &sshd.key_path());
    let of = |config: sshoal::ConfigBuilder| Arc::new(config.build().expect("is whole"));
    let (usual, short) = (base.clone().user(sshd.user()), Duration::from_secs(2));
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    // A label of 64 characters: no resolver asks anyone for it (RFC 1035 §2.3.4).
    let nowhere = Host::new("x".repeat(64)).expect("a name");
    let here = client::host(sshd.socket());
    let v6 = usual.clone().address_family(AddressFamily::V6);
    let keyless = Config::builder(keys).user(sshd.user());
    let impatient = usual.clone().connect_timeout(Some(short));
    let (usual, expected) = (of(usual), |phase, kind| Some((phase, kind)));
    let cases = [
        (
            nowhere,
            usual.clone(),
            expected(Phase::Resolve, Kind::UnknownHost),
        ),
        (
            here.clone(),
            of(v6),
            expected(Phase::Resolve, Kind::UnknownHost),
        ),
        (
            client::host(refused.address()),
            usual.clone(),
            expected(Phase::Connect, Kind::Refused),
        ),
        (
            client::host(silent.address()),
            of(impatient),
            expected(Phase::Banner, Kind::Timeout),
        ),
        (
            client::host(garbage.address()),
            usual.clone(),
            expected(Phase::Kex, Kind::Protocol),
        ),
        (
            client::host(unknown.socket()),
            usual.clone(),
            expected(Phase::HostKey, Kind::HostKeyUnknown),
        ),
        (
            here.clone(),
            of(keyless),
            expected(Phase::Auth, Kind::Denied),
        ),
        (here, usual.clone(), None),
    ];
    let hosts: Vec<Host> = cases.iter().map(|case| case.0.clone()).collect();
    let configs: Vec<_> = cases.iter().map(|case| case.1.clone()).collect();
    let fleet = Fleet::builder(hosts, usual).configs(configs).build();
    let report = fleet.expect("is sound").run("true").expect("runs").report();
    for (outcome, (host, _, expected)) in report.outcomes().iter().zip(&cases) {
        assert_eq!(outcome.host(), host);
        let end = outcome.end();
        assert_eq!(end.phase().zip(end.kind()), *expected, "{end:?}");
        assert_eq!(outcome.is_success(), expected.is_none());
    }
    assert_eq!(report.failures().count(), 7);
}
