//! Five hundred hosts that print without end while nobody reads (must show 5), and what reading costs in memory.
//!
//! `SSHOAL_BACKPRESSURE_BYTES=100000000 cargo test --release --test fleet_backpressure -- --nocapture` reads more.

mod support;

use std::{
    env,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use sshoal::{Fleet, KeepOpen, LineEnding, OutputStream, RunSpec, Started, raise_descriptor_limit};
use support::{
    alone::{is_alone, run_alone},
    fleet::EmbeddedFleet,
    sessions::one_of_five,
    usage::{processor_time, resident_kib, wakes},
};

support::fleet::embedded_fleet!();

const HOSTS: usize = 500;
/// Bytes that are read of one host in the full run.
const BYTES: &str = "SSHOAL_BACKPRESSURE_BYTES";
const BYTES_DEFAULT: usize = 20_000_000;
/// The bound of all unread output, which is the default.
const UNREAD_KIB: u64 = 64 * 1024;
/// What each session may hold besides: its own memory, its window with what libssh2 makes of it, and its worker's
/// buffer.
const KIB_PER_SESSION: u64 = 125 + 256 * 2 + 32;
/// For how long nothing may happen once all hosts are held up, the most processor time in it as a part of one core, and
/// the most wake-ups of all threads, which the measurement itself has.
const QUIET: Duration = Duration::from_secs(1);
const CORE_MAX: f64 = 0.01;
const WAKES_MAX: u64 = 20;
/// Only what hangs takes it.
const LONG: Option<Duration> = Some(Duration::from_secs(120));
/// More than anybody reads.
const COMMAND: &str = "head -c 1000000000000";
/// The line that it prints again and again.
const LINE: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq\n";

/// Starts this test again as a client of its own, so that its memory is the client's alone.
#[test]
fn unread_hosts_stay_within_the_bound_and_lose_nothing() {
    let stdout = run_alone("backpressure_client");
    assert!(stdout.contains("KiB beside"), "{stdout}");
}

/// The client of the test above; passes at once when nobody asked for it.
#[test]
fn backpressure_client() {
    if !is_alone("backpressure_client") {
        return;
    }
    raise_descriptor_limit().unwrap();
    let servers = EmbeddedFleet::start(HOSTS);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(HOSTS).unwrap())
        .connect_timeout(Some(Duration::from_secs(60)))
        .keep_open(KeepOpen::No);
    let fleet = fleet.build().unwrap();
    assert_eq!(fleet.pool().size(), HOSTS, "this machine has no room");

    let before = resident_kib();
    let run = fleet.start(COMMAND).unwrap();
    let there = run.accepted(LONG);
    assert!(there.is_complete(), "{there:?}");
    let (unread, peak) = all_are_held_up(&run);
    println!(
        "{HOSTS} hosts: {} KiB unread, {} KiB beside {before}",
        unread / 1024,
        peak - before
    );
    assert!(unread <= UNREAD_KIB * 1024, "{unread}");
    assert!(
        unread >= UNREAD_KIB * 1024 / 2,
        "most of the bound is used: {unread}"
    );
    let bound = UNREAD_KIB + HOSTS as u64 * KIB_PER_SESSION;
    assert!(peak - before <= bound, "{} of {bound} KiB", peak - before);

    println!("{}", being_held_up_costs_nothing());

    let bytes = env::var(BYTES).map_or(BYTES_DEFAULT, |text| text.parse().unwrap());
    println!("{}", reading_one_host_keeps_memory_where_it_is(&run, bytes));
    every_host_is_complete_until_it_is_closed(&run);
    drop(run);
    cut_output_is_complete_up_to_the_mark(&fleet);
}

/// Waits until no host gives more, however often one looks; returns how much is unread, and the highest memory until then.
fn all_are_held_up(run: &Started) -> (u64, u64) {
    let (mut last, mut looks, mut peak) = (0, 0, 0);
    loop {
        let unread = run
            .hosts()
            .iter()
            .map(|host| host.unread(OutputStream::Stdout))
            .sum();
        peak = resident_kib().max(peak);
        looks = if unread == last { looks + 1 } else { 0 };
        last = unread;
        if unread > 0 && looks > 50 {
            return (unread, peak);
        }
        sshoal::sleep(Duration::from_millis(20));
    }
}

/// Hosts whose windows are full send nothing, so nothing wakes the client, however many they are.
fn being_held_up_costs_nothing() -> String {
    let mut told = String::new();
    let round = || {
        let (spent, woken) = (processor_time(), wakes());
        sshoal::sleep(QUIET);
        let (spent, woken) = (processor_time() - spent, wakes() - woken);
        let core = spent.as_secs_f64() / QUIET.as_secs_f64();
        told = format!(
            "held up for {QUIET:?}: {:.3} % of a core, {woken} wake-ups",
            core * 100.0
        );
        (core, woken)
    };
    one_of_five(round, |(core, woken)| {
        *core < CORE_MAX && *woken <= WAKES_MAX
    });
    told
}

/// One host is read at length while the others hold their part of the bound: bytes come in order, and reading them costs
/// no memory that stays.
fn reading_one_host_keeps_memory_where_it_is(run: &Started, bytes: usize) -> String {
    let before = resident_kib();
    let mut reader = run.host(HOSTS / 2).stdout().idle_timeout(LONG);
    let (mut at, mut buf, begun) = (0, vec![0; 50_001], Instant::now());
    while at < bytes {
        let len = reader.read(&mut buf).expect("more comes");
        for byte in &buf[..len] {
            assert_eq!(*byte, LINE[at % LINE.len()], "at {at}");
            at += 1;
        }
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown <= 8 * 1024, "{grown} KiB");
    format!(
        "{at} bytes of one host read in {:?}: {grown} KiB grown",
        begun.elapsed()
    )
}

fn every_host_is_complete_until_it_is_closed(run: &Started) {
    for host in run.hosts() {
        host.close();
    }
    for (index, host) in run.hosts().iter().enumerate() {
        // Where the one that was read at length goes on is anywhere in a line.
        let skipped = usize::from(index == HOSTS / 2);
        let mut lines = host.stdout().lines().skip(skipped).peekable();
        let mut count = 0;
        while let Some(line) = lines.next() {
            let line = line.expect("is read");
            let whole = line.with_terminator() == LINE;
            let last = lines.peek().is_none() && line.ending() == LineEnding::None;
            assert!(
                whole || (last && LINE.starts_with(line.bytes())),
                "{line:?}"
            );
            count += 1;
        }
        assert!(count > 0 && host.is_finished(), "{host:?}");
        assert!(!host.is_truncated(OutputStream::Stdout));
    }
}

/// With a bound asked for, the rest is thrown away, and hosts that print more than that come to their end unread.
fn cut_output_is_complete_up_to_the_mark(fleet: &Fleet) {
    let spec = RunSpec::new("head -c 300000").output_bytes_max(Some(100_003));
    let run = fleet.start(spec).expect("starts");
    let report = run.into_report().expect("reads");
    assert!(report.is_success());
    for outcome in &report {
        let bytes = outcome.stdout().bytes().expect("reads");
        assert!(outcome.stdout().is_truncated() && bytes.len() == 100_003);
        assert!(
            bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == LINE[at % LINE.len()])
        );
    }
}
