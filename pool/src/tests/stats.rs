//! Numbers over the outcomes of made-up hosts.

use super::fake::*;
use crate::{RetryOn, Stats};
use sshoal_session::{Exit, Kind, Phase};

/// Ten hosts: six are well, one of them at its second attempt; one cannot be reached, one exits with a status, one
/// panics while it connects, one is lost. The numbers are those of the outcomes, all at once and one by one.
#[test]
fn stats_are_the_numbers_of_the_outcomes() {
    let script = Script::default;
    let fake = Fake::new(Script::printing(b"12345"))
        .with(
            1,
            Script {
                connect: Step::FailsFirst(1, refused),
                ..script()
            },
        )
        .with(
            2,
            Script {
                connect: Step::Fails(refused),
                ..script()
            },
        )
        .with(
            3,
            Script {
                exit: Exit::Status(9),
                ..script()
            },
        )
        .with(
            4,
            Script {
                connect: Step::Panics,
                ..script()
            },
        )
        .with(
            5,
            Script {
                start: Step::Fails(refused),
                ..script()
            },
        );
    let pool = fake.pool_of(builder(10).retries(1).retry_on(RetryOn::default()));
    let report = pool.run("x").unwrap().report();
    let stats = report.stats();
    assert_eq!((stats.hosts(), stats.counts()), (10, report.counts()));
    assert_eq!((stats.stdout_bytes(), stats.stderr_bytes()), (5 * 5, 0));
    assert_eq!(stats.retries(), 2, "hosts 1 and 2, once each");
    let failures: Vec<_> = stats.failures().collect();
    let refused = (Phase::Connect, Kind::Refused, 2);
    assert_eq!(failures, [refused, (Phase::Connect, Kind::Internal, 1)]);
    let count = |phase| stats.phase(phase).map(|spread| spread.count);
    assert_eq!(count(Phase::Resolve), Some(10));
    assert_eq!(count(Phase::Connect), Some(8), "two did not connect");
    assert_eq!(count(Phase::Run), Some(7), "one was not accepted");
    assert_eq!(count(Phase::Transfer), None);
    let phases: Vec<_> = stats.phases().map(|(phase, _)| phase).collect();
    let reached = [Phase::Resolve, Phase::Connect, Phase::Open, Phase::Run];
    assert_eq!(phases, reached);
    let whole = stats.whole().unwrap();
    let longest = report.outcomes().iter().map(crate::Outcome::duration).max();
    assert_eq!((whole.count, Some(whole.max)), (10, longest));
    assert!(whole.min <= whole.p50 && whole.p50 <= whole.p90 && whole.p90 <= whole.p99);

    let mut twice = Stats::new();
    twice.extend(&report);
    report
        .outcomes()
        .iter()
        .for_each(|outcome| twice.add(outcome));
    assert_eq!((twice.hosts(), twice.retries()), (20, 4));
    assert_eq!(twice.whole().unwrap().p50, whole.p50);
}
