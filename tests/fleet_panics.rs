//! A panic at any wait of one host is that host's outcome, and costs nobody else anything.

mod support;

use std::num::NonZeroUsize;
use std::time::Duration;

use sshoal::{Fleet, KeepOpen, Kind};
use sshoal_reactor::faults;
use support::fleet::EmbeddedFleet;

support::fleet::embedded_fleet!();

/// Every seventh host panics, at its first to its thirtieth wait; those that have fewer do not.
const EVERY: usize = 7;
const WAITS: usize = 30;

fn waits(host: usize) -> u32 {
    let number = host / EVERY % WAITS;
    if host % EVERY == 3 {
        number as u32 + 1
    } else {
        0
    }
}

/// How many hosts there are; `SSHOAL_PANIC_HOSTS` sets another number.
fn hosts() -> usize {
    let set = std::env::var("SSHOAL_PANIC_HOSTS").ok();
    set.map_or(EVERY * WAITS, |count| count.parse().expect("is a number"))
}

/// H23: panics at thirty waits, from the connection's first to the command's last: `internal` for
/// each host that has one, and the other hosts are as ever, in this run and in the next.
#[test]
fn a_panic_at_any_wait_costs_its_own_host_alone() {
    let servers = EmbeddedFleet::start(hosts());
    faults::plan(waits);
    for (keep, rounds) in [(KeepOpen::No, 1), (KeepOpen::Yes, 2)] {
        let fleet = Fleet::builder(servers.targets(), servers.config())
            .pool_size(NonZeroUsize::new(100).expect("has room"))
            .keep_open(keep)
            .connect_timeout(Some(Duration::from_secs(60)))
            .build()
            .expect("is complete");
        for _ in 0..rounds {
            let before = faults::fired();
            let report = fleet.run("hostname").expect("begins").report();
            let mut internal = 0;
            for outcome in report.outcomes() {
                let (index, end) = (outcome.index(), outcome.end());
                if end.kind() == Some(Kind::Internal) {
                    assert_ne!(waits(index), 0, "host {index} had no panic");
                    assert!(end.to_string().contains("made-up panic"), "{end}");
                    internal += 1;
                    continue;
                }
                assert!(outcome.is_success(), "host {index}: {end}");
                let name = format!("host-{index:04}\n");
                assert_eq!(outcome.stdout().text().expect("is read"), name);
            }
            assert_eq!(report.outcomes().len(), hosts());
            assert_eq!(
                internal,
                faults::fired() - before,
                "each panic is an outcome"
            );
            // A kept session has a few waits left.
            println!("{keep:?}: {internal} panics among {} hosts", hosts());
            assert!(internal >= 2, "{internal} panics");
        }
    }
    // Programs have as many waits as anybody wants.
    let fleet = Fleet::builder(servers.targets(), servers.config());
    let fleet = fleet.connect_timeout(Some(Duration::from_secs(60))).build();
    let before = faults::fired();
    let visited = fleet.expect("is complete").each(|host| {
        let hostname = || {
            host.command("hostname")
                .output()
                .map(|output| output.stdout)
        };
        (0..12).map(|_| hostname()).collect::<Result<Vec<_>, _>>()
    });
    let mut internal = 0;
    for (index, visited) in visited.in_order().into_iter().enumerate() {
        match visited.into_result() {
            Ok(printed) => {
                let name = format!("host-{index:04}\n").into_bytes();
                let printed = printed.expect("runs all");
                assert!(printed.iter().all(|one| *one == name), "host {index}");
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Internal, "host {index}: {error}");
                internal += 1;
            }
        }
    }
    println!("programs: {internal} panics among {} hosts", hosts());
    assert_eq!(internal, faults::fired() - before);
    assert!(
        internal >= hosts().min(EVERY * WAITS) / EVERY,
        "{internal} panics"
    );
}
