//! Hosts that fail, stall or panic, and those beside them.

use super::fake::*;
use crate::{End, Pool};
use sshoal_session::{Error, Kind, Phase};
use std::time::{Duration, Instant};

fn with(script: impl FnOnce(&mut Script)) -> Script {
    let mut s = Script::printing(b"partial");
    script(&mut s);
    s
}

/// Hosts 3, 500, 700 and 999 of a thousand panic in different places; the others see nothing.
#[test]
fn a_panic_in_one_host_is_that_hosts_outcome() {
    let fake = Fake::new(Script::printing(b"fine"))
        .with(3, with(|s| s.connect = Step::Panics))
        .with(500, with(|s| s.start = Step::Panics))
        .with(700, with(|s| s.run = Step::Panics))
        .with(999, with(|s| s.connect = Step::Panics));
    let report = fake
        .pool_of(builder(1000).size(count(50)))
        .run("x")
        .unwrap()
        .report();
    let phases = [
        (3, Phase::Connect),
        (500, Phase::Open),
        (700, Phase::Run),
        (999, Phase::Connect),
    ];
    for (index, phase) in phases {
        let End::Failed(error) = report[index].end() else {
            panic!("{:?}", report[index])
        };
        assert_eq!((error.phase(), error.kind()), (phase, Kind::Internal));
        assert!(error.to_string().contains("made-up panic"), "{error}");
    }
    assert_eq!(report[700].stdout().text().unwrap(), "partial");
    assert_eq!(report.counts().succeeded, 996);
    assert!(
        report
            .outcomes()
            .iter()
            .all(|o| !o.is_success() || o.stdout().len() == 4)
    );
    fake.gauges.live.wait_for(0);
}

#[test]
fn failures_name_their_phase_and_touch_no_other_host() {
    let fake = Fake::new(Script::default()).with(1, with(|s| s.connect = Step::Fails(refused)));
    let report = fake.pool(3).run("x").unwrap().report();
    assert_eq!(report.counts().failed, 1);
    let end = report[1].end();
    assert_eq!(
        (end.phase(), end.kind()),
        (Some(Phase::Connect), Some(Kind::Refused))
    );
    assert_eq!(report[1].attempts(), 1);
    assert!(report[1].started().is_some());
}

/// One host stalls while it is connected to, one before its command is accepted, one while its
/// command runs: each times out in its phase, at its limit, and keeps what it printed. Longer limits are for a machine
/// that does not get to the others in time.
#[test]
fn stalled_hosts_time_out_by_phase_and_the_rest_run() {
    let run = |factor: u64| {
        let fake = Fake::new(Script::default())
            .with(0, with(|s| s.connect = Step::Stalls))
            .with(1, with(|s| s.start = Step::Stalls))
            .with(2, with(|s| s.run = Step::Stalls));
        let limits = [150, 250].map(|ms| Duration::from_millis(ms * factor));
        let builder = builder(50).size(count(4));
        let builder = builder
            .connect_timeout(Some(limits[0]))
            .command_timeout(Some(limits[1]));
        let began = Instant::now();
        let report = fake.pool_of(builder).run("x").unwrap().report();
        assert!(began.elapsed() < limits[1] + Duration::from_secs(30));
        (fake, limits, report)
    };
    let (mut fake, mut limits, mut report) = run(1);
    if report.counts().succeeded < 47 || report[2].end().phase() < Some(Phase::Run) {
        (fake, limits, report) = run(50);
    }
    let [connect, command] = limits;
    let limits = [
        (Phase::Connect, connect),
        (Phase::Open, connect),
        (Phase::Run, command),
    ];
    for (index, expected) in limits.into_iter().enumerate() {
        let End::Failed(Error::TimedOut { phase, limit }) = report[index].end() else {
            panic!("{:?}", report[index]);
        };
        assert_eq!((*phase, *limit), expected);
        assert!(report[index].duration() >= expected.1);
        assert_eq!(report[index].stopped_by(), None);
    }
    assert_eq!(report[2].stdout().text().unwrap(), "partial");
    assert_eq!(report.counts().succeeded, 47);
    fake.gauges.live.wait_for(0);
}

/// The limit of a host as a whole ends it wherever it is, commands and programs alike; shorter limits
/// of a part stay what they are.
#[test]
fn a_host_as_a_whole_has_a_limit_over_all_phases() {
    let stalls = |fake: Fake| {
        fake.with(0, with(|s| s.connect = Step::Stalls))
            .with(1, with(|s| s.start = Step::Stalls))
            .with(2, with(|s| s.run = Step::Stalls))
    };
    let (host, command) = (Duration::from_millis(150), Duration::from_millis(50));
    for (command, last) in [(None, host), (Some(command), command)] {
        let builder = builder(9).host_timeout(Some(host)).connect_timeout(None);
        let pool = stalls(Fake::new(Script::default())).pool_of(builder.command_timeout(command));
        let report = pool.run("x").unwrap().report();
        let limits = [
            (Phase::Connect, host),
            (Phase::Open, host),
            (Phase::Run, last),
        ];
        for (index, expected) in limits.into_iter().enumerate() {
            let End::Failed(Error::TimedOut { phase, limit }) = report[index].end() else {
                panic!("{:?}", report[index]);
            };
            assert_eq!((*phase, *limit), expected);
            assert!(report[index].duration() >= expected.1);
        }
        assert_eq!(report.counts().succeeded, 6);
    }
    let pool = Fake::new(Script::default()).pool_of(builder(1).host_timeout(Some(host)));
    let mut each = pool.each(|reached| {
        let began = Instant::now();
        while reached.scope().check().is_ok() && began.elapsed() < Duration::from_secs(20) {
            sshoal_reactor::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    });
    let took = each.next().unwrap().into_result().unwrap();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let zero = builder(1).host_timeout(Some(Duration::ZERO));
    let nobody = std::sync::Arc::new(Fake::new(Script::default()));
    let error = zero.build_on(nobody).unwrap_err();
    assert_eq!(error.to_string(), "host_timeout is zero");
}

/// Only sessions whose command ended are said goodbye to; others are given up.
#[test]
fn a_session_that_timed_out_is_given_up() {
    let fake = Fake::new(with(|s| s.run = Step::Stalls));
    let builder = builder(1).command_timeout(Some(Duration::from_millis(20)));
    let report = fake.pool_of(builder).run("x").unwrap().report();
    assert_eq!(report.counts().failed, 1);
    fake.gauges.live.wait_for(0);
    assert_eq!(
        fake.gauges
            .closes
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn a_program_runs_per_host_and_its_panic_stays_there() {
    let fake = Fake::new(Script::default()).with(4, with(|s| s.connect = Step::Fails(refused)));
    let pool: Pool = fake.pool_of(builder(10).size(count(3)));
    let each = pool.each(|host| {
        assert!(host.index() != 6, "made-up panic");
        number(host.host()) * 10
    });
    for visited in each.in_order() {
        let index = visited.index();
        match (index, visited.into_result()) {
            (4, Err(error)) => assert_eq!(error.kind(), Kind::Refused),
            (6, Err(error)) => assert_eq!(error.kind(), Kind::Internal),
            (_, result) => assert_eq!(result.unwrap(), index * 10),
        }
    }
}
