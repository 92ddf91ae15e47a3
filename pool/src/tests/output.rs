//! Output on its way to the caller.

use std::sync::atomic::Ordering;

use sshoal_session::OutputStream::{Stderr, Stdout};

use super::fake::*;
use crate::{Collect, Detail, Event, RunSpec};

/// Bytes that tell their own position and host.
fn pattern(host: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16) ^ (host * 37)) as u8)
        .collect()
}

#[test]
fn output_comes_back_byte_for_byte_from_memory_and_from_the_file() {
    let mut fake = Fake::default();
    let sizes = [0, 1, 2_048, 100_000, 1_048_576, 1_048_577, 3_000_000];
    for (host, size) in sizes.into_iter().enumerate() {
        let bytes = pattern(host, size);
        let pieces = bytes.chunks(70_001);
        // Standard error comes in between, so that the streams' pieces alternate.
        let prints = pieces.flat_map(|p| [(Stdout, p.to_vec()), (Stderr, p[..1].to_vec())]);
        let prints = prints.collect();
        fake = fake.with(
            host,
            Script {
                prints,
                ..Script::default()
            },
        );
    }
    let report = fake
        .pool_of(builder(sizes.len()).memory_bytes_max(2_000_000))
        .run("x")
        .unwrap()
        .report();
    for (host, size) in sizes.into_iter().enumerate() {
        assert!(
            report[host].stdout().bytes().unwrap() == pattern(host, size),
            "{size}"
        );
        assert_eq!(report[host].stderr().len(), size.div_ceil(70_001) as u64);
        assert!(!report[host].stdout().is_truncated());
    }
    assert!(report[6].stdout().is_spilled());
}

#[test]
fn output_is_cut_at_the_byte_on_request_only() {
    let fake = Fake::new(Script::printing(&pattern(0, 5_000)));
    let pool = fake.pool_of(builder(2).output_bytes_max(Some(4_999)));
    let report = pool.run("x").unwrap().report();
    assert_eq!(report[1].stdout().bytes().unwrap(), pattern(0, 4_999));
    assert!(report[1].stdout().is_truncated() && report.is_success());
    let report = fake
        .pool_of(builder(2).output_bytes_max(Some(5_000)))
        .run("x")
        .unwrap()
        .report();
    assert!(!report[1].stdout().is_truncated());
}

/// P4: hosts print without end while the caller is slow. What has been printed is never ahead of
/// what was taken by more than the bound and one buffer per host.
#[test]
fn a_slow_caller_holds_the_hosts_up() {
    const HOSTS: usize = 20;
    const BOUND: usize = 256 * 1024;
    let fake = Fake::new(Script {
        endless: true,
        ..Script::printing(&pattern(0, 100_000))
    });
    let pool = fake.pool_of(builder(HOSTS).event_bytes_max(BOUND));
    let spec = RunSpec::new("x")
        .detail(Detail::Output)
        .collect(Collect::No);
    let (mut taken, mut offsets) = (0, [0_usize; HOSTS]);
    let mut events = pool.run(spec).unwrap().events();
    while taken < 20_000_000 {
        let printed = fake.gauges.printed.load(Ordering::Relaxed);
        assert!(
            printed <= taken + BOUND + HOSTS * 2 * crate::worker::CHUNK_MAX,
            "{printed}"
        );
        if let Some(Event::Output { index, bytes, .. }) = events.next() {
            let expected = pattern(0, 100_000);
            for byte in &bytes {
                assert_eq!(
                    *byte,
                    expected[offsets[index] % 100_000],
                    "in order, none lost"
                );
                offsets[index] += 1;
            }
            taken += bytes.len();
        }
    }
    drop(events);
    fake.gauges.live.wait_for(0);
}

#[test]
fn output_can_be_passed_on_and_collected_too() {
    let fake = Fake::new(Script::printing(&pattern(0, 50_000)));
    let spec = RunSpec::new("x").detail(Detail::Output);
    let mut passed = 0;
    for event in fake.pool(3).run(spec).unwrap().events() {
        match event {
            Event::Output { bytes, .. } => passed += bytes.len(),
            Event::Finished(o) => assert_eq!(o.stdout().bytes().unwrap(), pattern(0, 50_000)),
            _ => {}
        }
    }
    assert_eq!(passed, 150_000);
}
