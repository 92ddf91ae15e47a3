//! The scheduler with its caller, machine and hosts made up from a seed: time is a number, and nothing waits.
//!
//! Where `random.rs` calls the schedule in any order at all, here its caller does what the engine
//! does and no more: it asks after an event or when the alarm rings that the schedule asked for. A
//! host that is forgotten is then a world without a next event. [`Plan`] is what a seed makes up,
//! [`World`] what comes of it.
//!
//! `SSHOAL_SIM_SEEDS=1000000` runs more seeds, `SSHOAL_SIM_SEED=17` one, with a line for each event.

use std::str::FromStr;

use plan::Plan;
use world::{Told, World};

mod laws;
mod plan;
mod world;

/// A seed under way: names itself if its world breaks a law.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let again = "cargo test -p sshoal-pool --lib simulat -- --nocapture";
            eprintln!("this world again: SSHOAL_SIM_SEED={} {again}", self.0);
        }
    }
}

fn run(number: u64, told: Told) -> World {
    let _seed = Seed(number);
    let mut world = World::new(Plan::of(number), told);
    world.live();
    world
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let Ok(number) = text.parse() else {
        panic!("{name}={text} is no number");
    };
    Some(number)
}

/// P1, P2, P3, P5, P6: in thousands of worlds in which connections fail, hang and meet local
/// limits, sessions die, and runs are stopped, cancelled, overdue and followed by others, every
/// host has one outcome, the bounds and deadlines hold, nobody is forgotten or passed over, and
/// it all ends in as many steps as there is something to do.
#[test]
fn every_simulated_world_keeps_the_laws_and_ends() {
    if let Some(seed) = variable("SSHOAL_SIM_SEED") {
        run(seed, Told::Aloud);
        return;
    }
    let mut sum = [0; 8];
    let seeds: u64 = variable("SSHOAL_SIM_SEEDS").unwrap_or(3_000);
    for seed in 0..seeds {
        let seen = run(seed, Told::Not).seen();
        for (sum, seen) in sum.iter_mut().zip(seen) {
            *sum += seen;
        }
    }
    println!("{seeds} worlds: {}", told(&sum));
    // Worlds in which nothing goes wrong would show nothing.
    assert!(
        seeds < 1_000 || sum.iter().all(|count| *count > seeds / 10),
        "{}",
        told(&sum)
    );
}

fn told(sum: &[u64; 8]) -> String {
    let named = SEEN.iter().zip(sum);
    named
        .map(|(name, count)| format!("{count} {name} "))
        .collect()
}

/// What [`World::seen`] counts.
const SEEN: [&str; 8] = [
    "outcomes",
    "begins",
    "retries",
    "local limits",
    "dead kept sessions",
    "deadlines",
    "stops",
    "alarms",
];

/// The same seed is the same world, event by event: a seed that was printed is worth something.
#[test]
fn a_simulated_world_is_the_same_each_time() {
    for seed in 0..20 {
        let worlds = [(), ()].map(|()| run(seed, Told::Kept));
        assert!(!worlds[0].story().is_empty());
        assert_eq!(worlds[0].story(), worlds[1].story());
    }
}
