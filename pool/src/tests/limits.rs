//! Limits of this machine: a host waits for them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sshoal_session::Error;

use super::fake::*;
use crate::KeepOpen;

/// P6: the machine has room for seven sessions where fifty are tried: all hosts succeed, at
/// their first attempt, and the pool settles near what fits.
#[test]
fn hosts_that_meet_a_local_limit_wait_and_never_fail() {
    for keep in [KeepOpen::No, KeepOpen::Yes] {
        let fake = Fake::new(Script::printing(b".")).room(7);
        let report = fake
            .pool_of(builder(300).size(count(50)).keep_open(keep))
            .run("x")
            .unwrap()
            .report();
        assert_eq!(report.counts().succeeded, 300);
        assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
        assert!(fake.gauges.live.highest() <= 50);
    }
}

/// P6: there is no thread for a worker, green or plain, for a while: the hosts wait for one.
#[test]
fn hosts_without_a_worker_wait_for_one() {
    let fake = Fake::new(Script::printing(b"."));
    let pool = fake.pool_of(builder(20).size(count(5)));
    pool.engine.refused.store(4, Ordering::SeqCst);
    let report = pool.run("x").unwrap().report();
    assert!(report.is_success(), "{report:?}");
    assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
    assert_eq!(pool.engine.refused.load(Ordering::SeqCst), 0);
}

/// With no room at all the hosts wait, and only the deadline ends them, as not run.
#[test]
fn hosts_without_room_wait_until_the_deadline() {
    let fake = Fake::new(Script::default()).room(0);
    let limit = Duration::from_millis(200);
    let report = fake
        .pool_of(builder(20).deadline(Some(limit)))
        .run("x")
        .unwrap()
        .report();
    assert_eq!(report.counts().cancelled, 20);
    assert_eq!(report.stopped_by(), Some(crate::StopCause::Deadline));
    assert!(report.outcomes().iter().all(|o| o.attempts() == 0));
}

/// Ports that are used up are no attempt, and no retry is taken for them.
#[test]
fn a_host_that_gets_no_port_waits_for_one() {
    fn no_port() -> Error {
        let address = "127.0.0.1:22".parse().unwrap();
        let source = rustix::io::Errno::ADDRNOTAVAIL.into();
        Error::Connect { address, source }
    }
    let fake = Fake::new(Script {
        connect: Step::FailsFirst(1, no_port),
        ..Script::printing(b".")
    });
    for retries in [0, 1] {
        let builder = builder(3).retries(retries);
        let report = fake.pool_of(builder).run("x").unwrap().report();
        assert!(report.is_success(), "{report:?}");
        assert!(report.outcomes().iter().all(|o| o.attempts() == 1));
    }
}
