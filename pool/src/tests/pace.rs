//! Retries, rates, destinations and configurations of one host each.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sshoal_session::{AuthError, Error, Host, Kind, Phase};

use super::fake::*;
use crate::{End, KeepOpen, PoolError, RetryOn, StopCause};

fn failing(error: fn() -> Error, times: usize) -> Script {
    Script {
        connect: Step::FailsFirst(times, error),
        ..Script::printing(b".")
    }
}

fn dropped() -> Error {
    let (phase, source) = (Phase::Banner, std::io::ErrorKind::UnexpectedEof.into());
    Error::Disconnected { phase, source }
}

fn denied() -> Error {
    let methods = "password".to_owned();
    AuthError::Denied { methods }.into()
}

/// Hosts fail none to three times; those whose failures are more than the retries keep the last.
#[test]
fn a_host_is_tried_again_until_it_answers_or_has_no_retry_left() {
    let mut fake = Fake::default();
    for host in 0..40 {
        fake = fake.with(host, failing(dropped, host % 4));
    }
    let report = fake
        .pool_of(builder(40).retries(2))
        .run("x")
        .unwrap()
        .report();
    for (host, outcome) in report.outcomes().iter().enumerate() {
        let failures = host % 4;
        let attempts = outcome.attempts() as usize;
        match failures {
            3 => {
                let end = outcome.end();
                assert_eq!(
                    (end.phase(), end.kind()),
                    (Some(Phase::Banner), Some(Kind::Closed))
                );
                assert_eq!((attempts, outcome.stopped_by()), (3, None));
            }
            _ => assert!(
                outcome.is_success() && attempts == failures + 1,
                "{outcome:?}"
            ),
        }
    }
    fake.gauges.live.wait_for(0);
}

/// What was refused is final: the password, and the command once it may have been asked for (P7).
#[test]
fn a_refused_user_and_a_command_that_may_have_started_are_not_tried_again() {
    let asked = Script {
        start: Step::Fails(dropped),
        ..Script::default()
    };
    let broken = Script {
        run: Step::Fails(dropped),
        ..Script::default()
    };
    let fake = Fake::new(failing(denied, usize::MAX))
        .with(1, asked)
        .with(2, broken);
    let report = fake
        .pool_of(builder(3).retries(5))
        .run("x")
        .unwrap()
        .report();
    assert_eq!(report[0].end().kind(), Some(Kind::Denied));
    assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
    assert_eq!(fake.gauges.connects.load(Ordering::Relaxed), 3);
}

#[test]
fn without_retries_or_in_other_phases_a_failure_is_final() {
    let fake = Fake::new(failing(refused, usize::MAX));
    let banner = RetryOn::new(&[Phase::Banner]).unwrap();
    for builder in [builder(3), builder(3).retries(4).retry_on(banner)] {
        let report = fake.pool_of(builder).run("x").unwrap().report();
        assert_eq!(report.counts().failed, 3);
        assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
    }
}

/// A pool of one place: while the first host waits for its next try the others have the place, and
/// its worker too.
#[test]
fn a_host_that_waits_for_its_next_try_holds_nobody_up() {
    for _ in 0..10 {
        let fake = Fake::new(Script::printing(b".")).with(0, failing(dropped, 1));
        let pool = fake.pool_of(builder(20).size(count(1)).retries(1));
        let mut run = pool.run("x").unwrap();
        assert_eq!(run.by_ref().filter(|o| o.is_success()).count(), 20);
        assert_eq!(fake.gauges.live.highest(), 1, "P1");
    }
}

/// Each attempt has the connect timeout for itself.
#[test]
fn a_host_that_stalls_once_answers_at_its_second_attempt() {
    let script = Script {
        connect: Step::StallsFirst(1),
        ..Script::printing(b".")
    };
    let fake = Fake::new(script);
    let limit = Duration::from_millis(300);
    let pool = builder(5).connect_timeout(Some(limit)).retries(1);
    let report = fake.pool_of(pool).run("x").unwrap().report();
    assert!(report.is_success(), "{report:?}");
    for outcome in &report {
        assert_eq!(outcome.attempts(), 2);
        assert!(outcome.duration() >= limit, "both attempts count");
    }
}

/// Hosts that never answer end with their own failure, at the deadline at the latest.
#[test]
fn the_deadline_ends_the_retries_with_the_last_failure() {
    let fake = Fake::new(failing(refused, usize::MAX));
    // A longer one where the machine had no time for a second attempt.
    for limit in [1_500, 30_000].map(Duration::from_millis) {
        let pool = builder(30).retries(1_000).deadline(Some(limit));
        let begun = Instant::now();
        let report = fake.pool_of(pool).run("x").unwrap().report();
        assert!(begun.elapsed() < limit + Duration::from_secs(30));
        let again = report.outcomes().iter().all(|o| o.attempts() >= 2);
        if !again && limit < Duration::from_secs(30) {
            continue;
        }
        for outcome in &report {
            assert_eq!(outcome.end().kind(), Some(Kind::Refused), "{outcome:?}");
            assert!(outcome.attempts() >= 2);
        }
        return;
    }
}

#[test]
fn a_run_that_is_cancelled_does_not_wait_for_retries() {
    let fake = Fake::new(failing(refused, usize::MAX));
    let pool = fake.pool_of(builder(10).retries(1_000));
    let run = pool.run("x").unwrap();
    while fake.gauges.connects.load(Ordering::Relaxed) < 30 {
        sshoal_reactor::sleep(Duration::from_millis(5));
    }
    run.cancel();
    let begun = Instant::now();
    for outcome in run {
        let failed = matches!(outcome.end(), End::Failed(error) if error.kind() == Kind::Refused);
        assert!(failed && outcome.attempts() >= 1, "{outcome:?}");
        assert_eq!(outcome.stopped_by(), Some(StopCause::Caller));
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Forty hosts at a hundred a second take as long as that, whatever the pool size.
#[test]
fn connections_begin_at_the_rate() {
    let fake = Fake::new(Script::printing(b"."));
    let rate = NonZeroU32::new(100);
    let begun = Instant::now();
    let report = fake
        .pool_of(builder(40).rate(rate))
        .run("x")
        .unwrap()
        .report();
    assert!(report.is_success());
    // 39 intervals of 10 ms, less what late wake-ups may make up for.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(380), "{took:?}");
}

/// Two destinations, one of them behind sixty hosts: never more than so many of these connect at
/// once, and the hosts of the other do not wait for them.
#[test]
fn a_destination_has_a_bound_of_its_own() {
    let connecting = Script {
        connect: Step::Takes(Duration::from_millis(10)),
        ..Script::printing(b".")
    };
    let fake = Fake::new(connecting);
    let hosts: Vec<Host> = (0..60)
        .map(|n| format!("u{n}@h0").parse().unwrap())
        .collect();
    let report = fake
        .pool_of(builder_of(hosts.clone()))
        .run("x")
        .unwrap()
        .report();
    assert!(report.is_success());
    let highest = fake.gauges.connecting.highest();
    assert!(highest <= 8, "{highest} handshakes at one destination");

    let gate = Arc::new(sshoal_reactor::sync::Event::new());
    let stuck = Script {
        connect: Step::Waits(Arc::clone(&gate)),
        ..Script::printing(b".")
    };
    let fake = Fake::new(Script::printing(b".")).with(0, stuck);
    let others = (1..=20).map(|n| format!("h{n}").parse().unwrap());
    let hosts: Vec<Host> = hosts.into_iter().chain(others).collect();
    let pool = builder_of(hosts).destination_handshakes(count(3));
    let pool = fake.pool_of(pool);
    let mut run = pool.run("x").unwrap();
    let first: Vec<usize> = run.by_ref().take(20).map(|o| o.index()).collect();
    assert!(first.iter().all(|index| *index >= 60), "{first:?}");
    assert_eq!(run.handle().progress().connecting, 3);
    gate.set();
    assert!(run.all(|outcome| outcome.is_success()));
}

/// A pool that is dropped while an alarm is set is gone at once, with its idle sessions.
#[test]
fn an_alarm_does_not_keep_a_pool_alive() {
    let fake = Fake::new(Script::printing(b"."));
    let rate = NonZeroU32::new(1);
    let pool = fake.pool_of(builder(3).rate(rate).keep_open(KeepOpen::Yes));
    let mut run = pool.run("x").unwrap();
    assert!(run.next().is_some());
    drop(run);
    drop(pool);
    fake.gauges.live.wait_for(0);
}

#[test]
fn there_has_to_be_a_configuration_for_each_host() {
    let config = |limit| Arc::new(config().connect_timeout(limit).build().unwrap());
    let fake = || Arc::new(Fake::new(Script::default()));
    let wrong = builder(3).configs([config(None), config(None)]);
    let error = wrong.build_on(fake()).unwrap_err();
    let expected = PoolError::ConfigCount {
        configs: 2,
        hosts: 3,
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(text.contains('2') && text.contains('3'), "{text}");
    let zero = builder(2).configs([config(None), config(Some(Duration::ZERO))]);
    let error = zero.build_on(fake()).unwrap_err();
    assert_eq!(error.to_string(), "connect_timeout is zero");
}

/// Each host has its own connect timeout, where the pool sets none for all.
#[test]
fn the_connect_timeout_is_the_hosts_own_unless_the_pool_has_one() {
    let stalled = Script {
        connect: Step::Stalls,
        ..Script::default()
    };
    let fake = Fake::new(stalled);
    let limits = [40, 80, 120].map(Duration::from_millis);
    let configs = limits.map(|limit| {
        let config = config().connect_timeout(Some(limit));
        Arc::new(config.build().unwrap())
    });
    let limit_of = |outcome: &crate::Outcome| match outcome.end() {
        End::Failed(Error::TimedOut { limit, .. }) => *limit,
        end => panic!("{end:?}"),
    };
    let pool = fake.pool_of(builder(3).configs(configs.clone()));
    assert!(Arc::ptr_eq(pool.config(2), &configs[2]));
    let report = pool.run("x").unwrap().report();
    let seen: Vec<Duration> = report.outcomes().iter().map(limit_of).collect();
    assert_eq!(seen, limits);
    let all = Duration::from_millis(60);
    let pool = builder(3).configs(configs).connect_timeout(Some(all));
    let report = fake.pool_of(pool).run("x").unwrap().report();
    assert!(report.outcomes().iter().all(|o| limit_of(o) == all));
}
