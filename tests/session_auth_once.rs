//! One encrypted key for a whole fleet, decrypted once (law S9).

mod support;

use std::{sync::Arc, time::Instant};

use sshoal::{Config, Identity, IdentityError, Secret, Session};
use support::{
    fleet::EmbeddedFleet,
    keys::run_keygen,
    sessions::{LIMIT, fleet_host, fleet_host_keys},
};

support::fleet::embedded_fleet!();

const PASSPHRASE: &str = "open sesame";

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

/// Alone in its process, which counts derivations: a fleet of hosts, a key whose decryption takes 24 rounds of bcrypt, and one decryption for all.
#[test]
fn a_fleet_of_any_size_costs_one_decryption() {
    let hosts = std::env::var("SSHOAL_AUTH_HOSTS").map_or(200, |text| {
        text.parse().expect("SSHOAL_AUTH_HOSTS is a number")
    });
    let fleet = EmbeddedFleet::start(hosts);
    let file = fleet.key_path().display().to_string();
    run_keygen(&[
        "-q", "-p", "-a", "24", "-P", "", "-N", PASSPHRASE, "-f", &file,
    ]);
    let bytes = std::fs::read(fleet.key_path()).expect("reads the key");
    let wrong = Identity::parse(&bytes, Some(&secret("mellon"))).expect_err("is another");
    assert!(matches!(wrong, IdentityError::WrongPassphrase { .. }));
    let identity = Identity::parse(&bytes, Some(&secret(PASSPHRASE))).expect("decrypts");
    let identity = Arc::new(identity);
    let builder = Config::builder(fleet_host_keys(&fleet)).user("tester");
    let builder = builder.port(fleet.port()).connect_timeout(Some(LIMIT));
    let config = builder.identity(identity.clone()).build().expect("whole");
    let begun = Instant::now();
    connect_to_all(&fleet, &Arc::new(config));
    assert_eq!(fleet.count("auth_publickey"), fleet.hosts() as u64);
    assert_eq!(Arc::strong_count(&identity), 1, "no session keeps it");
    let derived = Identity::derivations();
    eprintln!(
        "{hosts} hosts in {:?}, {derived} derivations",
        begun.elapsed()
    );
    assert_eq!(derived, 2, "the wrong passphrase's and the right one's");
}

#[track_caller]
fn connect_to_all(fleet: &EmbeddedFleet, config: &Arc<Config>) {
    let threads: Vec<_> = (0..fleet.hosts())
        .map(|index| {
            let (host, config) = (fleet_host(fleet, index), config.clone());
            sshoal::spawn(move || Session::connect(&host, &config).map(drop)).expect("starts")
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic").expect("connects");
    }
}
