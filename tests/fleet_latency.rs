//! Many hosts far away take hardly longer than one: waiting for one of them keeps none of the others.

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Config, Fleet, Host, KeepOpen};
use support::{
    client, fleet::EmbeddedFleet, proxy::Proxy, sessions::one_of_five, sshd::known_hosts_line,
};

support::fleet::embedded_fleet!();

const HOSTS: usize = 32;
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// How much longer all may take than one.
const RATIO_MAX: f64 = 1.5;

/// Runs one host and then all of them, each behind a proxy of its own, until that was done as fast as it can be.
#[test]
fn thirty_two_hosts_at_100_ms_take_at_most_half_longer_than_one() {
    let servers = EmbeddedFleet::start(HOSTS);
    let proxies: Vec<_> = (0..HOSTS)
        .map(|index| {
            let upstream = SocketAddr::new(servers.address(index).into(), servers.port());
            let address = Ipv4Addr::new(127, 4, 0, 1 + index as u8);
            let script = Proxy::to(upstream).listen_on(address.into());
            script.round_trip(ROUND_TRIP).start()
        })
        .collect();
    let file = std::fs::read_to_string(servers.known_hosts_path()).unwrap();
    let (_, key) = file.trim().split_once(' ').expect("a name and a key");
    let known = proxies.iter().map(|proxy| {
        let address = proxy.address();
        known_hosts_line(address.ip(), address.port(), key)
    });
    let config = client::config(&known.collect::<String>(), &servers.key_path());
    let config = Arc::new(config.build().unwrap());
    let hosts: Vec<_> = proxies.iter().map(|p| client::host(p.address())).collect();

    // What a process does only once shall not count for the first run.
    time(&hosts[..1], &config);
    let round = || {
        let one = time(&hosts[..1], &config);
        let all = time(&hosts, &config);
        assert!(one >= ROUND_TRIP * 4, "no delay: {one:?}");
        let ratio = all.as_secs_f64() / one.as_secs_f64();
        println!("1 host {one:?}, {HOSTS} hosts {all:?}, ratio {ratio:.2}");
        ratio
    };
    one_of_five(round, |ratio| *ratio <= RATIO_MAX);
}

/// How long a command takes from the first connect to the last outcome.
#[track_caller]
fn time(hosts: &[Host], config: &Arc<Config>) -> Duration {
    let fleet = Fleet::builder(hosts, Arc::clone(config))
        .pool_size(NonZeroUsize::new(HOSTS).expect("there are hosts"))
        .keep_open(KeepOpen::No)
        .build()
        .expect("the fleet is sound");
    let begin = Instant::now();
    let report = fleet.run("echo far away").expect("runs").report();
    let took = begin.elapsed();
    for outcome in &report {
        assert!(
            outcome.is_success(),
            "{}: {}",
            outcome.host(),
            outcome.end()
        );
        assert_eq!(
            outcome.stdout().text().expect("output is kept"),
            "far away\n"
        );
    }
    took
}
