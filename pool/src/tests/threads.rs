//! Who may call: plain threads and green threads.

use super::fake::*;
use crate::{Collected, Each, Events, Outcome, Pool, PoolBuilder, Report, Run, RunHandle, Visited};

#[test]
fn what_is_public_can_go_to_other_threads() {
    fn send<T: Send>() {}
    fn share<T: Send + Sync>() {}
    share::<Pool>();
    share::<RunHandle>();
    share::<Outcome>();
    share::<Collected>();
    share::<Report>();
    send::<PoolBuilder>();
    send::<Run>();
    send::<Events>();
    send::<Each<u8>>();
    send::<Visited<u8>>();
}

/// Eight plain and eight green threads share one pool while two more pools work.
#[test]
fn plain_and_green_threads_share_a_pool() {
    let fake = Fake::new(Script::printing(b"out"));
    let pool = std::sync::Arc::new(fake.pool_of(builder(40).size(count(10))));
    let others = [fake.pool(30), fake.pool(30)];
    let runs = others
        .iter()
        .map(|pool| pool.run("x").unwrap())
        .collect::<Vec<_>>();
    let once = |pool: std::sync::Arc<Pool>| {
        move || {
            let report = pool.run("x").unwrap().report();
            assert!(report.outcomes().iter().all(|o| o.stdout().len() == 3));
            report.counts().succeeded
        }
    };
    let plain: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(once(pool.clone())))
        .collect();
    let green: Vec<_> = (0..8)
        .map(|_| sshoal_reactor::spawn(once(pool.clone())).unwrap())
        .collect();
    assert!(plain.into_iter().all(|thread| thread.join().unwrap() == 40));
    assert!(green.into_iter().all(|thread| thread.join().unwrap() == 40));
    assert!(
        runs.into_iter()
            .all(|run| run.report().counts().succeeded == 30)
    );
    fake.gauges.live.wait_for(0);
}
