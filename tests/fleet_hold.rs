//! Many sessions held open at once on `sleep`: what each costs in memory, and all of them in processor time and wake-ups.
//!
//! `SSHOAL_HOLD_SESSIONS=5000 cargo test --release --test fleet_hold -- --nocapture` is the full run, and with
//! `SSHOAL_HOLD_SESSIONS=1000 SSHOAL_HOLD_SECONDS=30` the one for what sleeping costs.

mod support;

use std::{
    env,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use sshoal::{Detail, Event, Events, Fleet, KeepOpen, RunSpec, raise_descriptor_limit};
use support::{
    alone::{is_alone, try_alone},
    fleet::EmbeddedFleet,
    usage::{processor_time, resident_kib, wakes},
};

support::fleet::embedded_fleet!();

/// How many sessions the full run holds.
const SESSIONS: &str = "SSHOAL_HOLD_SESSIONS";
/// For how long they sleep.
const SECONDS: &str = "SSHOAL_HOLD_SECONDS";
/// Sessions in CI.
const SESSIONS_DEFAULT: usize = 500;
/// The most resident memory of one session; libssh2 alone takes 82 to 92 KiB of it. Without
/// optimisation the same calls reach three or four pages deeper into each stack.
const KIB_PER_SESSION_MAX: f64 = if cfg!(debug_assertions) { 130.0 } else { 110.0 };
/// The most processor time while all sleep, as a part of one core.
const CORE_MAX: f64 = 0.01;
/// The most wake-ups of all threads together while all sleep, in a second: the number of sessions is no cause for any.
const WAKES_PER_SECOND_MAX: f64 = 1.0;
/// And for what ends that time: the first command's end, and the measurement.
const WAKES_FREE: u64 = 20;
/// The shortest time asleep that says anything about the processor.
const ASLEEP_MIN: Duration = Duration::from_secs(1);

/// Starts this test again as a client of its own, so that its memory and processor time are the client's alone. One on a
/// busy machine may need longer for the sessions than they sleep, or be measured with what else is done there.
#[test]
fn held_sessions_are_small_and_sleep() {
    let asked = env::var(SECONDS).ok();
    let longer = asked.map_or_else(|| vec![None, Some("40"), Some("120")], |_| vec![None]);
    let is_good = longer.into_iter().any(|seconds| {
        let seconds = seconds.map(|seconds| (SECONDS, seconds));
        let (passes, printed) = try_alone("hold_client", seconds);
        passes && printed.contains("KiB per session")
    });
    assert!(is_good, "none passes");
}

/// The client of the test above; passes at once when nobody asked for it.
#[test]
fn hold_client() {
    if !is_alone("hold_client") {
        return;
    }
    let sessions = env::var(SESSIONS).map_or(SESSIONS_DEFAULT, |text| text.parse().unwrap());
    // Opening them all takes a part of the time for which the first one sleeps.
    let seconds = env::var(SECONDS).map_or(10 + sessions / 500, |text| text.parse().unwrap());
    raise_descriptor_limit().unwrap();
    let servers = EmbeddedFleet::start(sessions);
    let builder = Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(sessions).unwrap())
        .connect_timeout(Some(Duration::from_secs(60)))
        .keep_open(KeepOpen::No);
    let fleet = builder.build().unwrap();
    assert_eq!(fleet.pool().size(), sessions, "this machine has no room");
    warm_up(&servers);

    let before = resident_kib();
    let begin = Instant::now();
    let spec = RunSpec::new(format!("sleep {seconds}")).detail(Detail::Progress);
    let mut events = fleet.run(spec).unwrap().events();
    await_all_asleep(&mut events, sessions);
    let opened = begin.elapsed();
    let resident = resident_kib().saturating_sub(before);
    let (asleep, spent, woken) = (Instant::now(), processor_time(), wakes());
    // The first one to wake up ends the time in which all sleep.
    let first = events.next().expect("a host ends");
    let (asleep, spent) = (asleep.elapsed(), processor_time() - spent);
    let woken = wakes() - woken;
    let ended = std::iter::once(first).chain(events);
    let failed: Vec<_> = ended.filter_map(failure).collect();

    let each = resident as f64 / sessions as f64;
    let core = spent.as_secs_f64() / asleep.as_secs_f64();
    println!(
        "{sessions} sessions: opened in {opened:?}, {each:.1} KiB per session, \
         {:.3} % of a core and {woken} wake-ups over {asleep:?} asleep",
        core * 100.0
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(servers.count("peak"), sessions as u64);
    assert!(each <= KIB_PER_SESSION_MAX, "{each:.1} KiB per session");
    assert!(asleep >= ASLEEP_MIN, "all slept for {asleep:?} only");
    assert!(core < CORE_MAX, "{:.2} % of a core", core * 100.0);
    let woken = woken.saturating_sub(WAKES_FREE) as f64 / asleep.as_secs_f64();
    assert!(woken < WAKES_PER_SECOND_MAX, "{woken:.1} wake-ups a second");
}

/// What the process needs once, whatever the number of sessions: threads, the crypto library's tables.
fn warm_up(servers: &EmbeddedFleet) {
    let hosts = servers.targets().into_iter().take(1).collect::<Vec<_>>();
    let fleet = Fleet::builder(hosts, servers.config()).keep_open(KeepOpen::No);
    let report = fleet
        .build()
        .expect("the fleet is sound")
        .run("true")
        .expect("runs")
        .report();
    assert!(report.is_success());
}

/// Waits until every host has accepted its command.
fn await_all_asleep(events: &mut Events, sessions: usize) {
    let mut accepted = 0;
    while accepted < sessions {
        match events.next().expect("more hosts begin") {
            Event::Accepted { .. } => accepted += 1,
            Event::Started { .. } | Event::Connected { .. } | Event::Authenticated { .. } => {}
            other => panic!("before all were accepted: {other:?}"),
        }
    }
}

fn failure(event: Event) -> Option<String> {
    match event {
        Event::Finished(outcome) if outcome.is_success() => None,
        Event::Exit { .. } => None,
        other => Some(format!("{other:?}")),
    }
}
