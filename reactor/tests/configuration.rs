//! The scheduler is set up once, and costs nothing while nothing happens (law G2).
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::sync::Event;
use sshoal_reactor::{Scope, sleep, spawn, yield_now};
use support::alone;

/// Returns a field of every thread's `status`.
fn of_all_threads(field: &str) -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let read = |status: String| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_once(':').unwrap().1.trim().to_string()
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok())
        .map(read)
        .collect()
}

fn park(count: usize) -> (Arc<Event>, Vec<sshoal_reactor::JoinHandle<()>>) {
    let (event, parked) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let left = Arc::new(std::sync::atomic::AtomicUsize::new(count));
    let handles = (0..count).map(|_| {
        let (event, parked, left) = (event.clone(), parked.clone(), left.clone());
        let wait = move || {
            if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                parked.set();
            }
            event.wait(&Scope::root()).unwrap();
        };
        spawn(wait).unwrap()
    });
    let handles = handles.collect();
    parked.wait(&support::watchdog()).unwrap();
    (event, handles)
}

#[test]
fn g2_workers_are_not_pinned() {
    alone("g2_workers_are_not_pinned", || {
        let before = of_all_threads("Cpus_allowed_list");
        spawn(yield_now).unwrap().join().unwrap();
        let after = of_all_threads("Cpus_allowed_list");
        assert!(after.len() > before.len(), "the workers are there");
        assert!(after.iter().all(|mask| *mask == before[0]), "{after:?}");
    });
}

/// With a thousand green threads parked and a deadline far away, a second passes almost without a
/// context switch; the default settings of the scheduler would take a hundred per worker, each second.
#[test]
fn g2_idle_workers_sleep() {
    alone("g2_idle_workers_sleep", || {
        let _far = Scope::root().child(Some(Duration::from_secs(3600)));
        let (event, handles) = park(1000);
        sleep(Duration::from_millis(100));
        let switches = || -> u64 {
            let all = of_all_threads("voluntary_ctxt_switches");
            all.iter().map(|count| count.parse::<u64>().unwrap()).sum()
        };
        let mut seconds = (0..5).map(|_| {
            let before = switches();
            sleep(Duration::from_secs(1));
            switches() - before
        });
        assert!(seconds.any(|spent| spent <= 20), "no second was idle");
        event.set();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn g2_a_parked_green_thread_takes_less_than_16_kib() {
    alone("g2_a_parked_green_thread_takes_less_than_16_kib", || {
        let resident = || -> usize {
            let statm = fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
        };
        spawn(yield_now).unwrap().join().unwrap();
        let before = resident();
        let (event, handles) = park(2000);
        let each = (resident() - before) as f64 / 2000.0;
        assert!(each < 16.0, "{each} KiB");
        println!("{each:.2} KiB resident per parked green thread");
        event.set();
        handles
            .into_iter()
            .for_each(|handle| handle.join().unwrap());
    });
}
