//! Outcomes, events and reports: how many, and in which order.

use super::fake::*;
use crate::{Collect, Detail, End, Event, KeepOpen, PoolError, RunSpec};
use sshoal_session::{Exit, Host};
use std::sync::Arc;
use std::time::Duration;

/// Host 0 is let go only when all others are taken: completion order is theirs, input order not.
#[test]
fn outcomes_come_as_hosts_end_and_are_reported_as_hosts_are_listed() {
    let gate = Arc::new(sshoal_reactor::sync::Event::new());
    let slow = Script {
        run: Step::Waits(Arc::clone(&gate)),
        ..Script::printing(b"slow")
    };
    let fake = Fake::new(Script::printing(b"fast")).with(0, slow);
    let pool = fake.pool(20);
    let mut run = pool.run("x").unwrap();
    let first: Vec<usize> = run.by_ref().take(19).map(|o| o.index()).collect();
    assert!(!first.contains(&0));
    gate.set();
    assert_eq!(run.next().unwrap().index(), 0);
    assert!(run.next().is_none());
    let report = pool.run("x").unwrap().report();
    assert!(
        report
            .outcomes()
            .iter()
            .enumerate()
            .all(|(n, o)| o.index() == n)
    );
    assert_eq!(report[0].stdout().text().unwrap(), "slow");
    assert_eq!(report[7].stdout().text().unwrap(), "fast");
    assert!(report.is_success() && report.counts().succeeded == 20);
}

#[test]
fn a_host_listed_twice_runs_twice() {
    let fake = Fake::new(Script::default());
    let host: Host = "h0".parse().unwrap();
    let pool = fake.pool_of(builder_of(vec![host.clone(), host.clone(), host]));
    let report = pool.run("x").unwrap().report();
    assert_eq!(report.by_name("h0").count(), 3);
    assert_eq!(report.counts().succeeded, 3);
    fake.gauges.live.wait_for(0);
}

#[test]
fn the_ends_of_commands_are_told_apart() {
    let ends = |exit: Exit| Script {
        exit,
        ..Script::default()
    };
    let signal = Exit::Signal {
        name: "KILL".into(),
        message: String::new(),
    };
    let fake = Fake::new(Script::default())
        .with(1, ends(Exit::Status(3)))
        .with(2, ends(signal))
        .with(3, ends(Exit::None));
    let report = fake.pool(4).run("x").unwrap().report();
    let words: Vec<String> = report
        .outcomes()
        .iter()
        .map(|o| o.end().to_string())
        .collect();
    assert_eq!(words, ["ok", "exit 3", "signal KILL", "no exit status"]);
    assert!(matches!(report[1].end(), End::Exited(3)));
}

/// Per host: started, then its output in order, then finished; and nothing after.
#[test]
fn events_of_a_host_come_in_order() {
    let fake = Fake::new(Script::printing(&[7; 100_000]));
    let spec = RunSpec::new("x")
        .detail(Detail::Output)
        .collect(Collect::No);
    let mut seen = [(false, 0_usize, false); 10];
    for event in fake
        .pool_of(builder(10).size(count(3)))
        .run(spec)
        .unwrap()
        .events()
    {
        match event {
            Event::Started { index, .. } => {
                assert_eq!(seen[index], (false, 0, false));
                seen[index].0 = true;
            }
            Event::Output { index, bytes, .. } => {
                assert!(seen[index].0 && !seen[index].2);
                seen[index].1 += bytes.len();
            }
            Event::Finished(outcome) => {
                assert!(outcome.stdout().is_empty(), "nothing was to be collected");
                seen[outcome.index()].2 = true;
            }
            _ => {}
        }
    }
    assert!(seen.iter().all(|host| *host == (true, 100_000, true)));
}

#[test]
fn a_pool_that_cannot_be_is_refused_by_name() {
    let fake = || Arc::new(Fake::default());
    let error = builder(0).build_on(fake()).unwrap_err();
    assert_eq!(error, PoolError::NoHosts);
    let error = builder(1)
        .deadline(Some(Duration::ZERO))
        .build_on(fake())
        .unwrap_err();
    assert_eq!(error.to_string(), "deadline is zero");
    let error = builder(1)
        .spill_folder("/nonexistent")
        .build_on(fake())
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent"));
}

/// Several runs at once on one pool keep its bounds together, and each has all of its outcomes.
#[test]
fn runs_at_once_share_the_bounds() {
    let fake = Fake::new(Script::printing(b"."));
    for keep in [KeepOpen::No, KeepOpen::Yes] {
        let builder = builder(100)
            .size(count(7))
            .handshakes(count(3))
            .keep_open(keep);
        let pool = fake.pool_of(builder);
        let runs: Vec<_> = (0..4).map(|_| pool.run("x").unwrap()).collect();
        for run in runs {
            assert_eq!(run.report().counts().succeeded, 100);
        }
        assert!(
            fake.gauges.live.highest() <= 7,
            "P1: {}",
            fake.gauges.live.highest()
        );
        assert!(fake.gauges.connecting.highest() <= 3);
        pool.close();
        fake.gauges.live.wait_for(0);
    }
}
