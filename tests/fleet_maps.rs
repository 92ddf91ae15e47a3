//! A machine on which memory maps run out: hosts wait for room, and none fails by it.
//!
//! `SSHOAL_MAPPED_HOSTS=1000 cargo test --release --test fleet_maps -- --nocapture` is the full run.

mod support;

use std::{env, fs, num::NonZeroUsize, sync::Arc};

use sshoal::{Fleet, JoinHandle, KeepOpen, LocalLimits, Report, Scope, spawn, sync::Event};
use support::{
    alone::{is_alone, run_alone},
    fleet::EmbeddedFleet,
};

support::fleet::embedded_fleet!();

/// How many hosts there are.
const HOSTS: &str = "SSHOAL_MAPPED_HOSTS";
/// Hosts in CI.
const HOSTS_DEFAULT: usize = 60;
/// A green thread's stack and its guard page.
const MAPS_PER_STACK: usize = 2;
/// Sessions for which there is room in the end; other threads and libraries have some of their own.
const ROOM: usize = 20;
/// Stacks that are left in a pool that counted on one for each host.
const FEW: usize = 4;

/// Green threads that do nothing but have a stack each.
#[derive(Default)]
struct Ballast {
    end: Arc<Event>,
    threads: Vec<JoinHandle<()>>,
}

impl Ballast {
    /// Takes so many stacks more, or as many as there are; returns whether there were that many.
    fn take(&mut self, stacks: usize) -> bool {
        for _ in 0..stacks {
            let end = Arc::clone(&self.end);
            match spawn(move || end.wait(&Scope::root()).unwrap_or_default()) {
                Ok(thread) => self.threads.push(thread),
                Err(_) => return false,
            }
        }
        true
    }

    fn leave(self) {
        self.end.set();
        for thread in self.threads {
            thread.join().expect("it does nothing");
        }
    }
}

/// H14. In a process of its own, all of whose maps but a few are taken. What is taken before a pool is made is counted
/// against it. What is taken later is met at run time: stacks cannot be made, and what sessions there are do it all.
#[test]
fn hosts_without_memory_maps_wait_and_all_end_well() {
    let stdout = run_alone("maps_client");
    assert!(
        stdout.contains("memory maps") || stdout.contains("skipped"),
        "{stdout}"
    );
}

/// The client of the test above; passes at once when nobody asked for it.
#[test]
fn maps_client() {
    if !is_alone("maps_client") {
        return;
    }
    let hosts = env::var(HOSTS).map_or(HOSTS_DEFAULT, |text| text.parse().unwrap());
    let max = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let max: usize = max.trim().parse().unwrap();
    if max > MAX_TRIED {
        return println!("skipped: {max} memory maps are more than can be taken here");
    }
    let servers = EmbeddedFleet::start(hosts);
    let fleet = || {
        let builder = Fleet::builder(servers.targets(), servers.config());
        let builder = builder.pool_size(NonZeroUsize::new(hosts).unwrap());
        builder.keep_open(KeepOpen::No).build().unwrap()
    };
    // Made while there is room for all: this one cannot know what comes.
    let unaware = fleet();
    assert_eq!(unaware.pool().size(), hosts, "this machine has no room");
    let mut ballast = Ballast::default();
    let free = LocalLimits::find().by_memory_maps();
    assert!(ballast.take(free.saturating_sub(ROOM)), "there was room");
    let aware = fleet();
    let size = aware.pool().size();
    println!("{hosts} hosts, {max} memory maps; room for {size} sessions was found");
    assert!(size < hosts, "{size}");
    check(hosts, &aware.run("echo ok").unwrap().report());

    let mut few = Ballast::default();
    assert!(few.take(FEW), "there was room");
    assert!(!ballast.take(max / MAPS_PER_STACK), "it has no end");
    few.leave();
    println!("{} stacks are taken, {FEW} are left", ballast.threads.len());
    check(hosts, &unaware.run("echo ok").unwrap().report());
    ballast.leave();
    check(hosts, &unaware.run("echo ok").unwrap().report());
}

#[track_caller]
fn check(hosts: usize, report: &Report) {
    assert_eq!(report.counts().succeeded, hosts, "{report:?}");
    assert!(report.outcomes().iter().all(|host| host.attempts() == 1));
}

/// The most maps that are taken in a test: each second one is a page or two of memory.
const MAX_TRIED: usize = 140_000;
